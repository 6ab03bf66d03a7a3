"""What kubectl says to a credential plugin, and how it wants to be answered.

Source: Kubernetes documentation, "client-go credential plugins"; ``client.authentication.k8s.io/v1`` and ``v1beta1``.
"""

from __future__ import annotations

import json
import time

from rolecall.errors import RolecallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP = "client.authentication.k8s.io/"
# Without KUBERNETES_EXEC_INFO the AWS CLI and aws-iam-authenticator answer in this version; so does this program.
DEFAULT_VERSION = f"{GROUP}v1beta1"
VERSIONS = (f"{GROUP}v1", DEFAULT_VERSION)
VARIABLE = "KUBERNETES_EXEC_INFO"
_MAX_INFO = 1_048_576


def asked_version(environ: Mapping[str, str]) -> str:
    """The API version that the client wants its answer in.

    :raises RolecallError: where it is not one of :data:`VERSIONS`: the client would refuse the answer.
    """
    text = environ.get(VARIABLE, "")
    if not text:
        return DEFAULT_VERSION
    try:
        found = json.loads(text) if len(text) <= _MAX_INFO else None
    except (ValueError, RecursionError):
        found = None
    version = found.get("apiVersion") if isinstance(found, dict) else None
    if version in VERSIONS:
        return str(version)
    if version == f"{GROUP}v1alpha1":
        raise RolecallError(
            f"{version} is gone since Kubernetes 1.24",
            where=VARIABLE,
            advice=f"write apiVersion: {GROUP}v1beta1 (or v1 with interactiveMode) in the exec entry of the kubeconfig",
        )
    raise RolecallError(
        "this is not an ExecCredential of a version that this program knows",
        where=VARIABLE,
        advice=f"it knows {' and '.join(VERSIONS)}; was the variable set by hand?",
    )


def exec_credential(version: str, token: str, expires: float) -> dict[str, object]:
    """An ExecCredential with a token.

    :param expires: seconds since 1970; the client asks again from then on.
    """
    return {
        "kind": "ExecCredential",
        "apiVersion": version,
        "spec": {},
        "status": {"expirationTimestamp": timestamp(expires), "token": token},
    }


def timestamp(moment: float) -> str:
    """RFC 3339, to the second before."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
