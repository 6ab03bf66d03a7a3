"""Nobody is locked out by accident: the caller, the last administrator, worker nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from rolecall.access.effective import EffectiveAccess, Reach
from rolecall.arn import PrincipalArn
from rolecall.plan.findings import Finding
from rolecall.plan.guards.case import Case, cluster_label, mapped_arn, user_on
from rolecall.plan.guards.cluster_names import absent_roles
from rolecall.plan.links import principal_key
from rolecall.plan.resources import MAPPING_KINDS, Change, Kind

NODES = "system:nodes"


def caller_loses_access(case: Case) -> Iterator[Finding]:
    """The person who runs the plan would lose access to a cluster or its administration, or what they reach it through.

    The caller of an account may be a role that somebody assumed. So the whole way is looked at, from the person to the
    cluster, in both states: trust policies, permissions, boundaries, mappings and what is deleted.
    """
    found: dict[tuple[str, str], Finding] = {}
    accounts = dict.fromkeys((*case.before.callers, *(state.account for state in case.before.clusters.values())))
    callers = {one: arn for one in accounts if (arn := case.before.callers.get(one) or case.before.caller)}
    for account, caller in callers.items():
        people = _people_behind(case, account, caller)
        for finding in (
            *_mapping_lost(case, account, caller),
            *_role_lost(case, account, caller, people),
            *_ways_lost(case, people),
        ):
            found.setdefault((finding.code, finding.about[0]), finding)
    yield from found.values()
    yield from _caller_deleted(case, {*callers.values(), case.before.caller, *case.before.behind.values()} - {""})


def _mapping_lost(case: Case, account: str, caller: str) -> Iterator[Finding]:
    """The caller's own mapping on the clusters of an account, whatever else leads there."""
    for arn, state in case.before.clusters.items():
        before = user_on(case.access, arn, caller) if state.account == account else None
        if before is None:
            continue
        after, name = user_on(case.access_after, arn, caller), cluster_label(case, arn)
        if after is None:
            yield _caller(name, f"you ({caller}) would lose access to cluster {name}")
        elif before.admin and not after.admin:
            yield _caller(name, f"you ({caller}) would no longer be administrator of cluster {name}")


def _people_behind(case: Case, account: str, caller: str) -> frozenset[str]:
    """Who may be the caller: they themselves, or everybody who can become the role that the caller is.

    Profiles tell whose credentials assumed the role, and a session that has somebody's name is taken for theirs.
    """
    if ":role/" not in caller:
        return frozenset({caller})
    candidates = {one for one in _who_becomes(case.access, caller) if not one.startswith("service ")}
    if behind := case.before.behind.get(account):
        if ":user/" not in behind:
            return frozenset(_who_becomes(case.access, behind))
        of_account = f"account {PrincipalArn.parse(behind).account}"
        return frozenset({one for one in candidates if one.endswith(f" {behind}") or one == of_account} or {behind})
    session = case.before.sessions.get(account, "").lower()
    named = {one for one in candidates if session and one.rpartition("/")[2].lower() == session}
    return frozenset(named or candidates)


def _who_becomes(access: EffectiveAccess, role: str) -> Mapping[str, Reach]:
    """By person, how a role is come by; its ARN with or without its path."""
    key = principal_key(role)
    known = next((arn for arn in access.graph.roles if principal_key(arn) == key), role)
    return access.reached_by(known)


def _role_lost(case: Case, account: str, caller: str, people: frozenset[str]) -> Iterator[Finding]:
    if ":role/" not in caller:
        return
    before, after = _who_becomes(case.access, caller), _who_becomes(case.access_after, caller)
    for person in sorted(people & before.keys()):
        if _holds(before[person], after.get(person)):
            continue
        role, here = caller.rpartition("/")[2], _clusters_of(case, account, caller)
        where = f"get into cluster {', '.join(here)}" if here else f"reach account {account}"
        sure = "" if len(people) == 1 else ", who may be you,"
        text = f"{person}{sure} could no longer become role {role}, as which you {where}"
        yield _caller((*here, role), text)


def _holds(before: Reach, after: Reach | None) -> bool:
    """Whether enough is left: a way that is no longer certain does not count."""
    return after is not None and (after.certain or not before.certain)


def _clusters_of(case: Case, account: str, caller: str) -> list[str]:
    states = case.before.clusters.items()
    return [cluster_label(case, a) for a, s in states if s.account == account and user_on(case.access, a, caller)]


def _ways_lost(case: Case, people: frozenset[str]) -> Iterator[Finding]:
    """Clusters into which nothing would lead a person any more who is surely the one who runs the plan."""
    if len(people) != 1:
        return
    (person,) = people
    before, after = _best(case.access, person), _best(case.access_after, person)
    for arn, admin in before.items():
        name = cluster_label(case, arn)
        if arn not in after:
            yield _caller(name, f"you ({person}) would have no way left into cluster {name}")
        elif admin and not after[arn]:
            yield _caller(name, f"you ({person}) would no longer be administrator of cluster {name}")


def _best(access: EffectiveAccess, person: str) -> dict[str, bool]:
    """By cluster that a person surely gets into, whether as its administrator by some way."""
    found: dict[str, bool] = {}
    for way in access.ways_of(person):
        if way.reach.certain:
            found[way.cluster] = found.get(way.cluster, False) or way.user.admin
    return found


def _caller_deleted(case: Case, callers: Collection[str]) -> Iterator[Finding]:
    keys = {principal_key(arn) for arn in callers}
    for change in case.changes:
        kind = {Kind.IAM_ROLE: "role", Kind.IAM_USER: "user"}.get(change.resource.kind)
        name = change.resource.name
        if kind and change.after is None and f"{change.resource.place}/{kind}/{name}".lower() in keys:
            yield _caller(name, f"the {kind} {name}, which you are, would be deleted")


def _caller(about: str | tuple[str, ...], text: str) -> Finding:
    advice = "let somebody else apply it, or keep your own access in the file"
    return Finding("lockout-caller", (about,) if isinstance(about, str) else about, text, advice)


def last_administrator(case: Case) -> Iterator[Finding]:
    """Nobody could administer a cluster any more: no mapping gives it, or nobody can be those who are mapped.

    Counted by the rules in the state that results: an entry that never matches, or whose principal is gone, counts for
    nobody, and neither does a way that is not certain, unless it is as it was.
    """
    for arn in case.before.clusters:
        before, after = _administrators(case.access, arn), _administrators(case.access_after, arn)
        sure = any(after.values()) or (after and after.keys() >= before.keys())
        if not before or sure:
            continue
        name = cluster_label(case, arn)
        perhaps = f"; {', '.join(sorted(after)[:5])} may still be it, which is not certain" if after else ""
        text = f"cluster {name} would have no administrator left; now it has {', '.join(sorted(before)[:5])}"
        absent = "".join(f"; {why}" for why in absent_roles(case, arn))
        advice = "grant a role cluster-admin, or keep one of them"
        yield Finding("lockout-last-admin", (name,), f"{text}{perhaps}{absent}", advice)


def _administrators(access: EffectiveAccess, cluster: str) -> dict[str, bool]:
    """The mapped administrators that somebody can be, each with whether that is certain.

    Services assume roles, and administer nothing.
    """
    found: dict[str, bool] = {}
    for principal, user in access.mapped(cluster).items():
        ways = [reach for person, reach in access.reached_by(principal).items() if not person.startswith("service ")]
        if user.admin and ways:
            found[principal] = any(reach.certain for reach in ways)
    return found


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
