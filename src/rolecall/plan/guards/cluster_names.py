"""Names of a grant that stand for something inside a cluster exist there: ClusterRoles, Roles, namespaces.

Kubernetes takes a binding to a role that does not exist and gives nothing by it; EKS takes a namespace that does not
exist. So a slip in a name would pass for access given. A namespace may be created later, and holds back only the steps
that need it; so it is a warning, as is a role that is called like no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from rolecall.access.world import ClusterState
from rolecall.manifest.explain_errors import nearest
from rolecall.plan.findings import Finding
from rolecall.plan.guards.case import Case, cluster_label
from rolecall.plan.resources import BINDING_KINDS, Kind, ResourceId, Value

# Kind of role, namespace (empty for a ClusterRole), name.
_Role = tuple[str, str, str]


def no_such_role(case: Case) -> Iterator[Finding]:
    """A binding to a ClusterRole or Role that its cluster does not have."""
    found: dict[_Role, list[ResourceId]] = {}
    for resource, value in _changed(case, BINDING_KINDS):
        state = case.after.clusters[resource.place]
        if (role := _role(resource, value)) and not _exists(state, role):
            found.setdefault(role, []).append(resource)
    for (kind, namespace, name), resources in found.items():
        states = [case.after.clusters[resource.place] for resource in resources]
        known = sorted({n for s in states for space, n in s.roles if space == namespace})
        what = f"{kind} {name}{f' in namespace {namespace}' if namespace else ''}"
        text = f"there is no {what} on {_on(case, resources)}, so a binding to it has no effect"
        meant = _advice(name, known)
        # What is near another name is a slip; what is not may be created later, by something else.
        advice = meant or "correct the name, or create it"
        yield _finding(case, "no-such-role", name, resources, text, advice, may_refuse=bool(meant))


def no_such_namespace(case: Case) -> Iterator[Finding]:
    """A namespace of a binding or an access policy that its cluster does not have."""
    found: dict[str, list[ResourceId]] = {}
    unknown: dict[str, None] = {}
    for resource, value in _changed(case, BINDING_KINDS | {Kind.ACCESS_ENTRY}):
        namespaces = case.after.clusters[resource.place].namespaces
        for name in _namespaces(resource, value):
            if namespaces is None:
                unknown[resource.place] = None
            elif not any(fnmatchcase(one, name) for one in namespaces):
                found.setdefault(name, []).append(resource)
    for name, resources in found.items():
        known = {n for resource in resources for n in case.after.clusters[resource.place].namespaces or ()}
        what = f"no namespace matches {name}" if "*" in name else f"there is no namespace {name}"
        text = f"{what} on {_on(case, resources)}"
        advice = _advice(name, sorted(known)) or "correct the name, or create it"
        yield _finding(case, "no-such-namespace", name, resources, text, advice, may_refuse=False)
    if unknown:
        names = [cluster_label(case, arn) for arn in unknown]
        text = (
            f"whether the file's namespaces exist on {_listed(names)} is not known: you may not list namespaces there"
        )
        yield Finding("no-such-namespace", tuple(names), text, "ask for the right to list namespaces", refuses=False)


def absent_roles(case: Case, cluster: str) -> Iterator[str]:
    """In words, the roles that wanted bindings of one cluster name and that it does not have, with whom they bind."""
    state = case.after.clusters[cluster]
    for resource, value in _wanted(case, BINDING_KINDS):
        role = _role(resource, value)
        if resource.place == cluster and role and not _exists(state, role):
            who = ", ".join(f"{one['kind'].lower()} {one['name']}" for one in value["subjects"])
            yield f"{who} is bound to {role[0]} {role[2]}, which does not exist there"


def exists(state: ClusterState, kind: str, namespace: str, name: str) -> bool:
    """Whether a cluster has the role that a binding names; true if its roles were not read."""
    return _exists(state, (kind, "" if kind == "ClusterRole" else namespace, name))


def _exists(state: ClusterState, role: _Role) -> bool:
    return not state.roles or role[1:] in state.roles


def _wanted(case: Case, kinds: frozenset[Kind]) -> Iterator[tuple[ResourceId, Value]]:
    for resource, value in case.planned.want.values.items():
        if resource.kind in kinds and resource.place in case.after.clusters and not case.is_unread(resource.place):
            yield resource, value


def _changed(case: Case, kinds: frozenset[Kind]) -> Iterator[tuple[ResourceId, Value]]:
    for change in case.changes:
        if change.resource.kind in kinds and change.after is not None and change.resource.place in case.after.clusters:
            yield change.resource, change.after


def _role(resource: ResourceId, value: Value) -> _Role:
    kind, name = value["roleRef"]["kind"], value["roleRef"]["name"]
    space = resource.name.partition("/")[0] if resource.kind is Kind.ROLE_BINDING else ""
    return kind, "" if kind == "ClusterRole" else space, name


def _namespaces(resource: ResourceId, value: Value) -> Iterator[str]:
    if resource.kind is Kind.ROLE_BINDING:
        yield resource.name.partition("/")[0]
    for policy in value.get("policies", ()):
        yield from policy["namespaces"]


def _finding(
    case: Case,
    code: str,
    name: str,
    resources: list[ResourceId],
    text: str,
    advice: str,
    *,
    may_refuse: bool,
) -> Finding:
    clusters = dict.fromkeys(cluster_label(case, resource.place) for resource in resources)
    return case.finding(code, (name, *clusters), text, advice, of=resources[0], refuses=may_refuse)


def _on(case: Case, resources: list[ResourceId]) -> str:
    return _listed(sorted({cluster_label(case, resource.place) for resource in resources}))


def _listed(clusters: list[str]) -> str:
    return f"cluster{'' if len(clusters) == 1 else 's'} {', '.join(clusters)}"


def _advice(name: str, known: list[str]) -> str:
    found = nearest(name, known, many=0)
    return found if found.startswith("did you mean") else ""
