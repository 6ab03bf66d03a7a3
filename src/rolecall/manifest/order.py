"""In which order changes are made, so that nobody has access in between that neither the old nor the new state gives.

Three phases. Every change to a role's trust policy, an inline policy or a binding is taken apart into a step down to
what the old and the new value have in common, and a step up from there.

1. *Down*: mappings are removed, then trust policies, inline policies and bindings shrink to what is common.
2. *Across*: mappings change from the old value to the new one. Whoever reaches a role now reaches it in the old and in
   the new state, so the old and the new mapping are both theirs.
3. *Up*: users and roles are made, trust policies and inline policies and bindings widen, then mappings are added.

At the end, what nothing refers to any more is deleted. A step *needs* those of earlier phases that its safety rests on:
the steps of the same role, of roles that are linked to it by a trust policy, and of bindings of the same cluster. Where
one of them fails, the step is not made. A step that only takes access away never waits for the success of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import IntEnum

from rolecall.manifest.common import NOBODY, common_document, common_trust, same_grants
from rolecall.manifest.links import Links, named_in, principal_of
from rolecall.manifest.resources import BINDING_KINDS, IAM_KINDS, MAPPING_KINDS, Change, Kind, ResourceId, Value
from rolecall.manifest.values import same_value


class Phase(IntEnum):
    """When a step is made."""

    DOWN = 1
    ACROSS = 2
    UP = 3
    END = 4


@dataclass(slots=True)
class _Step:
    """A change on its way into the order. ``roles``: the linked group of roles whose reach it alters."""

    phase: Phase
    rank: int
    change: Change
    group: str = ""
    needs: list[_Step] = field(default_factory=list)
    follows: list[_Step] = field(default_factory=list)


def order(changes: Iterable[Change], actual: Mapping[ResourceId, Value] | None = None) -> tuple[Change, ...]:
    """``changes``, one for each resource, as steps in a safe order with what each needs.

    :param actual: every role and every mapping as it is, changed or not, so that links between roles, and the clusters
        that they lead to, are known; without it every step that gives access waits for every step that takes it away.
    """
    changes = [c for c in changes if not same_value(c.resource.kind, c.before, c.after)]
    links = Links.between(changes, actual)
    made = {principal_of(change) for change in changes if change.before is None} - {""}
    steps = [step for change in sorted(changes, key=lambda one: one.resource) for step in _steps(change, links, made)]
    steps.sort(key=lambda step: (step.phase, step.rank, step.change.resource))
    _connect(steps, links)
    keys = {id(step): str(number) for number, step in enumerate(steps, 1)}
    return tuple(
        replace(
            step.change,
            key=keys[id(step)],
            needs=tuple(keys[id(one)] for one in step.needs),
            follows=tuple(keys[id(one)] for one in step.follows),
        )
        for step in steps
    )


def merged(changes: Iterable[Change]) -> list[Change]:
    """The opposite of taking apart: one change for each resource, from its first value to its last."""
    found: dict[ResourceId, Change] = {}
    for change in changes:
        first = found.get(change.resource)
        found[change.resource] = (
            change if first is None else replace(first, after=change.after, text=first.text or change.text)
        )
    return [c for c in found.values() if not same_value(c.resource.kind, c.before, c.after)]


def inverted(changes: Iterable[Change]) -> list[Change]:
    """Each change turned round."""
    return [
        replace(change, before=change.after, after=change.before, needs=(), follows=()) for change in merged(changes)
    ]


# Within a phase: what is taken away from the cluster inwards, what is given from the account outwards.
_MAPPING_RANK = 6
_DOWN_RANK = {Kind.IAM_ROLE: 3, Kind.IAM_ROLE_POLICY: 4, Kind.CLUSTER_ROLE_BINDING: 5, Kind.ROLE_BINDING: 5}
_UP_RANK = {Kind.IAM_USER: 1, **_DOWN_RANK}
_NEW_ROLE_RANK = 2


def _steps(change: Change, links: Links, made: Set[str]) -> list[_Step]:
    kind, before, after = change.resource.kind, change.before, change.after
    group = links.group_of(change)
    if kind in MAPPING_KINDS:
        if after is None:
            return [_Step(Phase.DOWN, 1, change, group)]
        if before is not None:
            return [_Step(Phase.ACROSS, 1, change, group)]
        return [_Step(Phase.UP, _MAPPING_RANK, change, group)]
    if kind is Kind.IAM_USER:
        return [_Step(Phase.END if after is None else Phase.UP, 1, change, group)]
    if kind is Kind.IAM_ROLE and before is None and after is not None:
        return _new_role(change, after, group, made)
    common = _common(kind, before, after)
    if kind is Kind.IAM_ROLE and after is None:
        # A role that is going to be deleted first lets in nobody.
        return [*_down(change, common, group), _Step(Phase.END, 1, replace(change, before=common), group)]
    if common == after:
        return [_Step(Phase.DOWN, _DOWN_RANK[kind], change, group)]
    return [*_down(change, common, group), _Step(Phase.UP, _UP_RANK[kind], replace(change, before=common), group)]


def _new_role(change: Change, after: Value, group: str, made: Set[str]) -> list[_Step]:
    """Roles that trust one another can only be made when they trust nobody at first: IAM wants principals to exist."""
    if not any("/role/" in name for name in named_in(after, change.resource) if name in made):
        return [_Step(Phase.UP, _NEW_ROLE_RANK, change, group)]
    nobody = {**after, "trust": {**after["trust"], "Statement": [dict(NOBODY)]}}
    return [
        _Step(Phase.UP, _NEW_ROLE_RANK, replace(change, after=nobody), group),
        _Step(Phase.UP, _UP_RANK[Kind.IAM_ROLE], replace(change, before=nobody), group),
    ]


def _down(change: Change, common: Value | None, group: str) -> list[_Step]:
    if common == change.before:
        return []
    return [_Step(Phase.DOWN, _DOWN_RANK[change.resource.kind], replace(change, after=common), group)]


def _common(kind: Kind, before: Value | None, after: Value | None) -> Value | None:
    """The value between: never grants what ``before`` or ``after`` does not."""
    if before is None:
        return None
    if kind is Kind.IAM_ROLE:
        if after is None:
            return {**before, "trust": common_trust(before["trust"], {**before["trust"], "Statement": []})}
        if same_grants(between := common_trust(before["trust"], after["trust"]), before["trust"]):
            return before
        return after if same_grants(between, after["trust"]) else {**before, "trust": between}
    if after is None:
        return None
    if kind is Kind.IAM_ROLE_POLICY:
        document = common_document(before["document"], after["document"])
        if same_grants(document, before["document"]):
            return before
        if same_grants(document, after["document"]):
            return after
        return {**before, "document": document} if document["Statement"] else None
    if before["roleRef"] != after["roleRef"]:
        return None
    subjects = [one for one in before["subjects"] if one in after["subjects"]]
    if len(subjects) == len(before["subjects"]):
        return before
    return {**before, "subjects": subjects} if len(subjects) != len(after["subjects"]) else after


def _connect(steps: Sequence[_Step], links: Links) -> None:
    by_group: dict[str, list[_Step]] = {}
    by_cluster: dict[str, list[_Step]] = {}
    made: dict[str, _Step] = {}
    for step in steps:
        by_group.setdefault(step.group, []).append(step)
        kind = step.change.resource.kind
        if kind in MAPPING_KINDS or kind in BINDING_KINDS:
            by_cluster.setdefault(step.change.resource.place, []).append(step)
        if step.change.before is None and (principal := principal_of(step.change)):
            made[principal] = step
    mapped = links.clusters_of_groups()
    for step in steps:
        related = [*by_group[step.group], *by_cluster.get(step.change.resource.place, ())]
        if step.change.resource.kind in IAM_KINDS:
            # Who comes to a role comes to what its mappings are bound to, on every cluster where it is mapped.
            clusters = mapped.get(step.group, ()) if links.known else by_cluster
            related += (one for cluster in clusters for one in by_cluster.get(cluster, ()) if _is_binding(one))
        elif _is_binding(step):
            # And what is bound comes to whoever is still in a role that is mapped there.
            cluster = step.change.resource.place
            groups = [g for g in by_group if cluster in mapped.get(g, ())] if links.known else by_group
            related += (one for group in groups for one in by_group[group] if one.change.resource.kind in IAM_KINDS)
        earlier = _unique(one for one in related if _before(one, step))
        if step.phase is Phase.DOWN:
            step.follows = earlier
            continue
        exists = (made[arn] for arn in named_in(step.change.after, step.change.resource) if arn in made)
        # A mapping may be older than the role that it names; only what is given now waits for its principals.
        new = (one for one in exists if one is not step and step.phase is Phase.UP)
        step.needs = _unique((*earlier, *new))
        if step.change.resource.kind is Kind.IAM_USER and step.phase is Phase.END:
            # IAM shows a deleted user's id in place of its ARN, so trust policies are changed before.
            named = principal_of(step.change)
            step.follows = [
                one
                for one in steps
                if one.phase < Phase.END and named in named_in(one.change.before, one.change.resource)
            ]


def _is_binding(step: _Step) -> bool:
    return step.change.resource.kind in BINDING_KINDS


def _unique(steps: Iterable[_Step]) -> list[_Step]:
    return list({id(one): one for one in steps}.values())


def _before(one: _Step, step: _Step) -> bool:
    """Whether ``step`` waits for ``one``, both being about linked roles or the same cluster."""
    if one.phase is not step.phase or one.change.resource == step.change.resource:
        return (one.phase, one.rank) < (step.phase, step.rank)
    match step.phase:
        case Phase.DOWN:
            return one.rank == 1 < step.rank
        case Phase.UP:
            # Mappings come last of what is given; a role comes before what is inside it.
            last = step.rank == _MAPPING_RANK and one.rank < _MAPPING_RANK
            return last or _inside(step.change.resource, one.change.resource)
    return False


def _inside(policy: ResourceId, role: ResourceId) -> bool:
    return (policy.kind, role.kind, policy.place) == (Kind.IAM_ROLE_POLICY, Kind.IAM_ROLE, role.place) and (
        policy.name.partition("/")[0] == role.name
    )
