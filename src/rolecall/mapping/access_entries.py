"""EKS access entries: who may have which, what EKS fills in, and what it refuses.

Sources: EKS user guide, "Grant IAM users access to Kubernetes with EKS access entries", "Create access entries";
EKS API reference, CreateAccessEntry. Texts of refusals as reported by users (facts/eks.md); not compared with live EKS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError, RolecallError

MAX_ENTRIES = 3_000
MAX_USERNAME = 63 * 4
_RESERVED_USERNAMES = ("system:", "eks:", "aws:", "amazon:", "iam:")
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")
_ALLOWED_PLACEHOLDERS = ("{{SessionName}}", "{{SessionNameRaw}}")
_POLICY = re.compile(r"arn:([a-z-]+):eks::aws:cluster-access-policy/([A-Za-z0-9]{1,100})", re.ASCII)


class EntryType(StrEnum):
    """The ``type`` of an access entry."""

    STANDARD = "STANDARD"
    EC2_LINUX = "EC2_LINUX"
    EC2_WINDOWS = "EC2_WINDOWS"
    FARGATE_LINUX = "FARGATE_LINUX"
    HYBRID_LINUX = "HYBRID_LINUX"
    EC2 = "EC2"
    HYPERPOD_LINUX = "HYPERPOD_LINUX"


class ScopeType(StrEnum):
    """How far an associated access policy reaches."""

    CLUSTER = "cluster"
    NAMESPACE = "namespace"


class EntryError(RolecallError):
    """EKS refuses an access entry; the text is EKS's."""


@dataclass(frozen=True, slots=True)
class AssociatedPolicy:
    """An access policy of an entry. ``namespaces`` may hold patterns such as ``dev-*``."""

    policy_arn: str
    scope: ScopeType = ScopeType.CLUSTER
    namespaces: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.policy_arn.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """An access entry.

    :param principal_id: the unique id of the user or role when the entry was made; one that is created again under the
        same name has another id and does not match.
    """

    principal_arn: str
    principal_id: str
    type: EntryType
    username: str
    groups: tuple[str, ...] = ()
    policies: tuple[AssociatedPolicy, ...] = ()


_NODE_GROUPS: dict[EntryType, tuple[str, ...]] = {
    EntryType.EC2_LINUX: ("system:nodes",),
    EntryType.EC2_WINDOWS: ("eks:kube-proxy-windows", "system:nodes"),
    EntryType.FARGATE_LINUX: ("system:node-proxier", "system:nodes"),
    EntryType.HYBRID_LINUX: ("system:nodes",),
    EntryType.HYPERPOD_LINUX: ("system:nodes",),
    EntryType.EC2: (),
}
_NODE_USERNAMES = {
    EntryType.FARGATE_LINUX: "system:node:{{SessionName}}",
    EntryType.HYBRID_LINUX: "system:node:{{SessionName}}",
    EntryType.HYPERPOD_LINUX: "system:node:{{SessionName}}",
}


def default_username(principal: PrincipalArn, entry_type: EntryType) -> str:
    """The username that EKS gives where none is asked for."""
    if entry_type is not EntryType.STANDARD:
        return _NODE_USERNAMES.get(entry_type, "system:node:{{EC2PrivateDNSName}}")
    if principal.kind is PrincipalKind.USER:
        return f"arn:{principal.partition}:iam::{principal.account}:user{principal.path}{principal.name}"
    return f"arn:{principal.partition}:sts::{principal.account}:assumed-role/{principal.name}/{{{{SessionName}}}}"


def default_groups(entry_type: EntryType) -> tuple[str, ...]:
    """The groups that EKS gives to the entries of nodes."""
    return _NODE_GROUPS.get(entry_type, ())


def entry_principal(text: str, cluster_account: str, entry_type: EntryType) -> PrincipalArn:
    """The user or role that an entry may be for; :class:`EntryError` for anything else."""
    try:
        principal = PrincipalArn.parse(text)
    except InvalidArnError:
        raise EntryError("The specified principalArn is invalid: invalid principal.") from None
    if principal.kind not in (PrincipalKind.USER, PrincipalKind.ROLE):
        raise EntryError(
            "The specified principalArn is invalid: it must be an IAM user or role, not a session or the root user."
        )
    if principal.path.startswith("/aws-service-role/"):
        # As users report it (hashicorp/terraform-provider-aws issue 36447).
        raise EntryError(
            "The caller is not allowed to modify access entries with a principalArn value of a Service Linked Role"
        )
    if entry_type is not EntryType.STANDARD:
        if principal.account != cluster_account:
            raise EntryError(f"Access entries of type {entry_type} must be in the account of the cluster.")
        if principal.kind is not PrincipalKind.ROLE:
            raise EntryError(f"Access entries of type {entry_type} must be for an IAM role.")
    return principal


def check_update(entry_type: EntryType, username: str | None, groups: Sequence[str] | None) -> None:
    """:class:`EntryError` if EKS refuses to change an existing entry so; ``None`` leaves a member as it is.

    Sources of the words: aws-ia/terraform-aws-eks-blueprints issue 2004 (a username of nodes), aws-controllers-k8s
    issue 2144 (anything else on an entry of nodes).
    """
    if username:
        _refuse_reserved(username)
    if entry_type is not EntryType.STANDARD and (username or groups is not None):
        raise EntryError('This operation can only be performed on Access Entries with a type of "STANDARD".')
    if username:
        check_username(username, entry_type)
    if groups is not None:
        check_groups(groups, entry_type)


def check_username(username: str, entry_type: EntryType) -> None:
    """:class:`EntryError` where EKS refuses a username."""
    if entry_type is not EntryType.STANDARD:
        raise EntryError(f"The username cannot be specified for access entries of type {entry_type}.")
    _refuse_reserved(username)
    for placeholder in _PLACEHOLDER.finditer(username):
        if placeholder[0] not in _ALLOWED_PLACEHOLDERS:
            raise EntryError(
                f"The username {username} is invalid, only {' and '.join(_ALLOWED_PLACEHOLDERS)} can be templated"
            )
        if ":" not in username[: placeholder.start()]:
            raise EntryError(f"The username {username} is invalid, a colon must precede {placeholder[0]}")
    if "{{" in _PLACEHOLDER.sub("", username) or len(username) > MAX_USERNAME:
        raise EntryError(f"The username {username[:80]} is invalid")


def _refuse_reserved(username: str) -> None:
    for prefix in _RESERVED_USERNAMES:
        if username.startswith(prefix):
            # As users report it (aws-ia/terraform-aws-eks-blueprints issue 2004).
            raise EntryError(f"The username must not begin with {prefix}")


def check_groups(groups: Sequence[str], entry_type: EntryType) -> None:
    """:class:`EntryError` where EKS refuses groups."""
    if groups and entry_type is not EntryType.STANDARD:
        raise EntryError(f"Kubernetes groups cannot be specified for access entries of type {entry_type}.")
    for group in groups:
        if group.startswith("system:"):
            raise EntryError(f"The kubernetes group name {group} is invalid, it cannot start with system:")
        if "{{" in group or not group.strip():
            raise EntryError(f"The kubernetes group name {group} is invalid")


def check_policy(
    policy: AssociatedPolicy, entry_type: EntryType, known: frozenset[str], partition: str | None = None
) -> None:
    """:class:`EntryError` where EKS refuses to associate a policy.

    :param known: names of the access policies.
    :param partition: the cluster's, which the policy has to be of; ``None`` where it is not known.
    """
    if entry_type is not EntryType.STANDARD and entry_type is not EntryType.EC2:
        raise EntryError(f"Access policies cannot be associated with access entries of type {entry_type}.")
    found = _POLICY.fullmatch(policy.policy_arn)
    if not found or found[2] not in known or partition not in (None, found[1]):
        raise EntryError("The specified policyArn is invalid: the policy does not exist.")
    if policy.scope is ScopeType.NAMESPACE and not policy.namespaces:
        raise EntryError("Namespaces must be specified when the access scope type is namespace.")
    if policy.scope is ScopeType.CLUSTER and policy.namespaces:
        raise EntryError("Namespaces cannot be specified when the access scope type is cluster.")
    for namespace in policy.namespaces:
        if not re.fullmatch(r"[a-z0-9*]([-a-z0-9*]{0,61}[a-z0-9*])?", namespace):
            raise EntryError(f"The namespace {namespace[:80]} is invalid.")


def check_entry(entry: AccessEntry, cluster_account: str, known: frozenset[str]) -> None:
    """:class:`EntryError` where EKS refuses an entry or one of its policies. ``known``: names of access policies."""
    entry_principal(entry.principal_arn, cluster_account, entry.type)
    if entry.type is EntryType.STANDARD:
        check_username(entry.username, entry.type)
        check_groups(entry.groups, entry.type)
    for policy in entry.policies:
        check_policy(policy, entry.type, known)
