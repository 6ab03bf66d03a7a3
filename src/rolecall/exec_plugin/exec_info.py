"""What kubectl says to a credential plugin, and how it wants to be answered.

Source: Kubernetes documentation, "client-go credential plugins"; ``client.authentication.k8s.io/v1`` and ``v1beta1``.
"""

from __future__ import annotations

import time

from rolecall.errors import RolecallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GROUP = "client.authentication.k8s.io/"
# Without KUBERNETES_EXEC_INFO the AWS CLI and aws-iam-authenticator answer in this version; so does this program.
DEFAULT_VERSION = f"{GROUP}v1beta1"
VERSIONS = (f"{GROUP}v1", DEFAULT_VERSION)
VARIABLE = "KUBERNETES_EXEC_INFO"
_MAX_INFO = 1_048_576
# What kubectl writes, unless the kubeconfig asks it to describe the cluster too. These need no JSON parser: to import
# one takes longer than all the rest for a kept token.
_KNOWN = {
    f'{{"kind":"ExecCredential","apiVersion":"{version}","spec":{{"interactive":{interactive}}}}}': version
    for version in VERSIONS
    for interactive in ("true", "false")
}


def asked_version(environ: Mapping[str, str], say: Callable[[str], None]) -> str:
    """The API version that the client wants its answer in.

    An object without an ``apiVersion`` is answered in the default version with a warning, as the AWS CLI does.

    :raises RolecallError: if it is not one of :data:`VERSIONS`: the client would refuse the answer.
    """
    text = environ.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT_VERSION
    found = _KNOWN.get(text) or _read_version(text)
    if found in VERSIONS:
        return found
    if found == "":
        say(f"{VARIABLE} names no apiVersion: the answer is in {DEFAULT_VERSION}")
        return DEFAULT_VERSION
    if found == f"{GROUP}v1alpha1":
        raise RolecallError(
            f"{found} was removed in Kubernetes 1.24",
            where=VARIABLE,
            advice=f"set apiVersion: {GROUP}v1beta1 (or v1 with interactiveMode) in the exec entry of the kubeconfig",
        )
    raise RolecallError(
        "this is not an ExecCredential of a version that this program knows",
        where=VARIABLE,
        advice=f"the known versions are {' and '.join(VERSIONS)}; was the variable set by hand?",
    )


def _read_version(text: str) -> str | None:
    """``apiVersion`` of a JSON object; empty if it has none, ``None`` if the text is not such an object."""
    import json

    try:
        found = json.loads(text) if len(text) <= _MAX_INFO else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    version = found.get("apiVersion")
    if version is None:
        return ""
    return version if isinstance(version, str) else None


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


def exec_credential_json(version: str, token: str, expires: float, *, pretty: bool) -> str:
    """:func:`exec_credential` as JSON: in one line, or indented by four as the AWS CLI does.

    Written by hand: neither a version, nor a token, nor a timestamp has a character that JSON escapes.
    """
    kind = f'"kind": "ExecCredential",\n    "apiVersion": "{version}",\n    "spec": {{}}'
    status = f'"expirationTimestamp": "{timestamp(expires)}",\n        "token": "{token}"'
    text = f'{{\n    {kind},\n    "status": {{\n        {status}\n    }}\n}}\n'
    return text if pretty else text.replace(" ", "").replace("\n", "") + "\n"


def timestamp(moment: float) -> str:
    """RFC 3339, to the second before."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
