"""Nobody is locked out by accident: the caller, the last administrator, worker nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rolecall.access.effective import EffectiveAccess
from rolecall.plan.findings import Finding
from rolecall.plan.guards.case import Case, cluster_label, mapped_arn, user_on
from rolecall.plan.links import principal_key
from rolecall.plan.resources import MAPPING_KINDS, Change, Kind

NODES = "system:nodes"


def caller_loses_access(case: Case) -> Iterator[Finding]:
    """Whoever runs the plan would no longer get into a cluster, or no longer as its administrator."""
    for arn in case.changed_clusters():
        caller = case.before.callers.get(case.before.clusters[arn].account) or case.before.caller
        before = user_on(case.access, arn, caller) if caller else None
        if before is None:
            continue
        after, name = user_on(case.access_after, arn, caller), cluster_label(case, arn)
        if after is None:
            yield _caller(name, f"you ({caller}) would lose access to cluster {name}")
        elif before.admin and not after.admin:
            yield _caller(name, f"you ({caller}) would no longer be administrator of cluster {name}")
    callers = {principal_key(arn) for arn in (case.before.caller, *case.before.callers.values()) if arn}
    for change in case.changes:
        kind = {Kind.IAM_ROLE: "role", Kind.IAM_USER: "user"}.get(change.resource.kind)
        name = change.resource.name
        if kind and change.after is None and f"{change.resource.place}/{kind}/{name}".lower() in callers:
            yield _caller(name, f"the {kind} {name}, which you are, would be deleted")


def _caller(about: str, text: str) -> Finding:
    advice = "let somebody else apply it, or keep your own access in the file"
    return Finding("lockout-caller", (about,), text, advice)


def last_administrator(case: Case) -> Iterator[Finding]:
    """Nobody could administer a cluster any more: no mapping gives it, or nobody can be those who are mapped."""
    for arn in case.before.clusters:
        before = _administrators(case.access, arn)
        if not before or _administrators(case.access_after, arn):
            continue
        name = cluster_label(case, arn)
        text = f"nobody would be administrator of cluster {name} any more; now it is {', '.join(sorted(before)[:5])}"
        yield Finding("lockout-last-admin", (name,), text, "grant a role cluster-admin, or keep one of them")


def _administrators(access: EffectiveAccess, cluster: str) -> set[str]:
    """The mapped administrators that somebody can be; services assume roles, and administer nothing."""
    return {
        principal
        for principal, user in access.mapped(cluster).items()
        if user.admin and any(not person.startswith("service ") for person in access.reached_by(principal))
    }


def node_role_loses_access(case: Case) -> Iterator[Finding]:
    """Nodes that carry a role would no longer be nodes: they and what runs on them are lost to the cluster."""
    for change in case.changes:
        if change.resource.kind in MAPPING_KINDS and _is_node(change.before) and not _is_node(change.after):
            arn = mapped_arn(change)
            if _still_node(case, change):
                continue
            name = cluster_label(case, change.resource.place)
            text = f"worker nodes with {arn} would no longer be nodes of cluster {name}"
            advice = "write a grant with nodeRole: true for it"
            yield case.finding("lockout-nodes", (arn.rpartition("/")[2], name), text, advice, of=change.resource)


def _is_node(value: Mapping[str, object] | None) -> bool:
    if value is None:
        return False
    groups = value.get("groups") or ()
    return (isinstance(groups, list) and NODES in groups) or value.get("type") in ("EC2_LINUX", "EC2_WINDOWS", "EC2")


def _still_node(case: Case, change: Change) -> bool:
    """Whether another mapping of the same principal makes nodes of it after all, such as an entry for aws-auth's."""
    wanted = case.planned.want.values
    key = principal_key(change.resource.name)
    return any(
        resource.place == change.resource.place
        and resource.kind in MAPPING_KINDS
        and principal_key(str(value.get("arn") or resource.name)) == key
        and _is_node(value)
        for resource, value in wanted.items()
    )
