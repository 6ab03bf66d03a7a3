"""The custom resource IAMIdentityMapping of the authenticator's CRD backend.

Group ``iamauthenticator.k8s.aws/v1alpha1``, cluster-scoped. The controller writes ``status.canonicalARN``, and only
that field is matched. Source: aws-iam-authenticator v0.7 ``pkg/mapper/crd``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.arn import PrincipalArn, canonicalize
from rolecall.errors import InvalidArnError


@dataclass(frozen=True, slots=True)
class IdentityMapping:
    """One IAMIdentityMapping, with its status.

    :param canonical_arn: of its status, in lower case: the one that is matched.
    :param arn: of its spec, as it was written; empty where that is not known.
    """

    name: str
    canonical_arn: str
    username: str
    groups: tuple[str, ...]
    arn: str = ""

    @classmethod
    def from_object(cls, found: Mapping[str, Any]) -> IdentityMapping | None:
        """The mapping in a Kubernetes object, or ``None`` while its status is not set."""
        spec, status = found.get("spec") or {}, found.get("status") or {}
        canonical = status.get("canonicalARN")
        if not isinstance(canonical, str) or not canonical:
            return None
        groups = spec.get("groups") or ()
        return cls(
            str((found.get("metadata") or {}).get("name", "")),
            canonical.lower(),
            str(spec.get("username", "")),
            tuple(group for group in groups if isinstance(group, str)),
            str(spec.get("arn", "")),
        )


def status_of(arn: str) -> dict[str, str] | None:
    """The status that the controller writes for ``spec.arn``, without the user id; ``None`` for an invalid ARN."""
    try:
        canonical = canonicalize(arn)
        PrincipalArn.parse(canonical)
    except InvalidArnError:
        return None
    return {"canonicalARN": canonical.lower()}
