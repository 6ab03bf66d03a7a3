"""SubjectAccessReview in, SubjectAccessReview out: the EKS access policies as an authorisation webhook.

EKS grants them by the principal's id, to a caller who shows a token of their own. The webhook sees only what the API
server took over from the TokenReview, and an impersonator can set all of that: the id counts if a proof that only the
authenticator can make is with it (:mod:`rolecall.authenticator.principal_proof`). Whatever is not allowed is no
opinion, never a denial: RBAC decides. Sources: Kubernetes documentation, "Webhook Mode" (authorization); EKS user
guide, "Associate access policies with access entries".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.mapping.access_entries import AccessEntry
from rolecall.mapping.backends.chain import AccessEntryBackend, path_free
from rolecall.mapping.resolve import EXTRA_PRINCIPAL_ID
from rolecall.model import KubernetesUser
from rolecall.rbac.access_policies import PolicyAssociation, authorize_access_policies
from rolecall.rbac.rules import Attributes, RbacDecision

VERSIONS = ("authorization.k8s.io/v1", "authorization.k8s.io/v1beta1")
MAX_GROUPS = 10_000
_UID_PREFIX = "aws-iam-authenticator:"


@dataclass(frozen=True, slots=True)
class AccessOutcome:
    """An answered SubjectAccessReview.

    :param request: what was asked; ``None`` if the body is not a SubjectAccessReview that can be answered.
    """

    answer: Mapping[str, Any]
    allowed: bool
    principal_id: str = ""
    reason: str = ""
    request: Attributes | None = None


def authorize(
    review: Any, entries: AccessEntryBackend | None, is_proven: Callable[[Mapping[str, Any]], bool]
) -> AccessOutcome:
    """Allow what an access policy of the caller's entry allows; no opinion about everything else.

    :param is_proven: whether the extras of a review's spec come from the authenticator.
    """
    version = review.get("apiVersion") if isinstance(review, Mapping) else None
    spec = review.get("spec") if isinstance(review, Mapping) else None
    if version not in VERSIONS or review.get("kind") != "SubjectAccessReview" or not isinstance(spec, Mapping):
        return _outcome(VERSIONS[0], "this is not a SubjectAccessReview")
    request = _attributes(spec)
    if request is None:
        return _outcome(version, "the SubjectAccessReview cannot be read")
    principal_id, arn = _principal(spec) if is_proven(spec) else ("", "")
    entry = None
    if principal_id and entries is not None:
        entry = entries.by_id.get(principal_id) or entries.by_arn.get(arn)
    if entry is None:
        return _outcome(version, "", principal_id, request)
    decision = entry_allows(entry, request, principal_id)
    if not decision.allowed:
        return _outcome(version, "", principal_id, request)
    answer = _answer(version, {"allowed": True, "reason": decision.reason})
    return AccessOutcome(answer, True, principal_id, decision.reason, request)


def entry_allows(entry: AccessEntry, request: Attributes, principal_id: str) -> RbacDecision:
    """What the access policies of an entry say about a request of its principal's."""
    associations = [PolicyAssociation(entry.principal_arn, one.policy_arn, one.namespaces) for one in entry.policies]
    return authorize_access_policies(request, principal_id, associations)


def _principal(spec: Mapping[str, Any]) -> tuple[str, str]:
    """The AWS principal's id and canonical ARN, if uid and extras agree about it."""
    extra = spec.get("extra")
    if not isinstance(extra, Mapping):
        return "", ""

    def only(key: str) -> str:
        values = extra.get(key)
        return values[0] if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str) else ""

    principal_id, uid = only(EXTRA_PRINCIPAL_ID), spec.get("uid")
    if not principal_id or not isinstance(uid, str) or not uid.startswith(_UID_PREFIX):
        return "", ""
    # Behind the prefix comes the account; a federated user's id has a colon of its own.
    if uid.removeprefix(_UID_PREFIX).partition(":")[2] != principal_id:
        return "", ""
    return principal_id, path_free(only("canonicalArn"))


def _attributes(spec: Mapping[str, Any]) -> Attributes | None:
    # v1beta1 calls the groups `group`.
    groups, name = spec.get("groups", spec.get("group")), spec.get("user")
    groups, name = () if groups is None else groups, "" if name is None else name
    if not isinstance(name, str) or not isinstance(groups, (list, tuple)) or len(groups) > MAX_GROUPS:
        return None
    user = KubernetesUser(name, groups=tuple(group for group in groups if isinstance(group, str)))
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if isinstance(resource, Mapping):
        keys = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
        values = [resource.get(key) or "" for key in keys]
        if all(isinstance(value, str) for value in values) and values[0] and values[3]:
            return Attributes(user, *values)
    elif isinstance(path, Mapping):
        verb, where = path.get("verb"), path.get("path")
        if isinstance(verb, str) and isinstance(where, str) and verb and where:
            return Attributes(user, verb, path=where)
    return None


def _outcome(version: str, error: str, principal_id: str = "", request: Attributes | None = None) -> AccessOutcome:
    status: dict[str, Any] = {"allowed": False}
    if error:
        status["evaluationError"] = error
    return AccessOutcome(_answer(version, status), False, principal_id, error, request)


def _answer(version: str, status: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": "SubjectAccessReview", "status": status}
