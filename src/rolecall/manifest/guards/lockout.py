"""Nobody is locked out by accident: the caller, the last administrator, worker nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from rolecall.access.world import World
from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.manifest.findings import Finding
from rolecall.manifest.guards.case import Case, ClusterView, cluster_label
from rolecall.manifest.links import principal_key
from rolecall.manifest.resources import MAPPING_KINDS, Change, Kind
from rolecall.manifest.trust import statements

NODES = "system:nodes"


def caller_loses_access(case: Case) -> Iterator[Finding]:
    """Whoever runs the plan would no longer get into a cluster, or no longer as its administrator."""
    for arn in case.changed_clusters():
        caller = case.before.callers.get(case.before.clusters[arn].account) or case.before.caller
        before, after = case.view(arn, after=False), case.view(arn, after=True)
        if not caller or before.user(caller) is None:
            continue
        name = cluster_label(case, arn)
        if after.user(caller) is None:
            yield _caller(name, f"you ({caller}) would lose access to cluster {name}")
        elif before.is_administrator(caller) and not after.is_administrator(caller):
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
    """Nobody could administer a cluster any more."""
    for arn in case.changed_clusters():
        before = _administrators(case.view(arn, after=False), case.before)
        if not before or _administrators(case.view(arn, after=True), case.after):
            continue
        name = cluster_label(case, arn)
        text = f"nobody would be administrator of cluster {name} any more; now it is {', '.join(sorted(before)[:5])}"
        yield Finding("lockout-last-admin", (name,), text, "grant a role cluster-admin, or keep one of them")


def _administrators(view: ClusterView, world: World) -> set[str]:
    return {arn for arn in view.mapped() if _reachable(arn, world) and view.is_administrator(arn)}


def _reachable(arn: str, world: World) -> bool:
    """Whether somebody can be that principal: in an account that was read it exists, and its trust lets someone in."""
    try:
        principal = PrincipalArn.parse(arn)
    except InvalidArnError:
        return False
    account = world.accounts.get(principal.account)
    if account is None or principal.kind is PrincipalKind.ROOT:
        return True
    if principal.kind is PrincipalKind.USER:
        return principal.name in account.users
    # aws-auth has a role without its path.
    found = account.roles.get(principal.name)
    return found is not None and any(s.get("Effect") == "Allow" for s in statements(json.loads(found.trust)))


def node_role_loses_access(case: Case) -> Iterator[Finding]:
    """Nodes that carry a role would no longer be nodes: they and what runs on them are lost to the cluster."""
    for change in case.changes:
        if change.resource.kind in MAPPING_KINDS and _is_node(change.before) and not _is_node(change.after):
            arn = change.resource.name
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
