"""What a change of access entries must not do unless its guard is overridden; as for aws-auth."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.mapping.access_entries import AccessEntry, EntryType, ScopeType
from rolecall.mapping.editing.guards import Guard, Refusal

# EKS user guide, "Review access policy permissions": the one that may do everything.
CLUSTER_ADMIN = "AmazonEKSClusterAdminPolicy"


def is_cluster_admin(entry: AccessEntry) -> bool:
    """Whether an access policy makes the principal administrator of the whole cluster."""
    return any(policy.name == CLUSTER_ADMIN and policy.scope is ScopeType.CLUSTER for policy in entry.policies)


def aws_auth_arn(principal_arn: str) -> str:
    """How aws-auth and the authenticator name an entry's principal, in lower case: a role without its path."""
    principal = PrincipalArn.parse(principal_arn)
    if principal.kind is not PrincipalKind.ROLE:
        return principal_arn.lower()
    return f"arn:{principal.partition}:iam::{principal.account}:role/{principal.name}".lower()


def entry_refusals(
    before: Sequence[AccessEntry], after: Sequence[AccessEntry], *, caller: str = "", gone: Collection[str] = ()
) -> tuple[Refusal, ...]:
    """Why a change of a cluster's entries is not made unless the guard is overridden.

    :param caller: canonical ARN of the person who makes it.
    :param gone: principals of entries that IAM does not have any more: an entry of one lets nobody in, not even a new
        principal of that name (EKS user guide, "Create access entries").
    """
    left = {entry.principal_arn: entry for entry in after}
    living = [entry for entry in before if entry.principal_arn not in gone]
    return (
        *_caller(living, left, caller.lower()),
        *_nodes(living, left),
        *_last_admin(living, [entry for entry in after if entry.principal_arn not in gone]),
    )


def _caller(before: Sequence[AccessEntry], left: dict[str, AccessEntry], caller: str) -> Iterator[Refusal]:
    for entry in before:
        if aws_auth_arn(entry.principal_arn) != caller:
            continue
        now = left.get(entry.principal_arn)
        if now is None:
            text = f"this would lock you out: you are {entry.principal_arn}, and its access entry would be gone"
            yield Refusal(Guard.LOCKOUT_CALLER, text)
        elif is_cluster_admin(entry) and not is_cluster_admin(now):
            text = f"you would no longer be an administrator: you are {entry.principal_arn}"
            yield Refusal(Guard.LOCKOUT_CALLER, text)


def _nodes(before: Sequence[AccessEntry], left: dict[str, AccessEntry]) -> Iterator[Refusal]:
    for entry in before:
        if entry.type is not EntryType.STANDARD and entry.principal_arn not in left:
            text = f"nodes would be locked out: the entry of {entry.principal_arn} is of type {entry.type}"
            yield Refusal(Guard.LOCKOUT_NODES, text)


def _last_admin(before: Sequence[AccessEntry], after: Sequence[AccessEntry]) -> Iterator[Refusal]:
    old = [entry.principal_arn for entry in before if is_cluster_admin(entry)]
    if old and not any(is_cluster_admin(entry) for entry in after):
        text = f"no access entry would be an administrator's any more: the last one is of {', '.join(old[:3])}"
        yield Refusal(Guard.LOCKOUT_LAST_ADMIN, text)
