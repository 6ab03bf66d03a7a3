"""In which order changes are made, so that nobody has access in between that neither the old nor the new state gives.

Every change to a role's trust policy, an inline policy or a binding is taken apart into a step down to what the old and
the new value have in common, and a step up from there. Then (:class:`~rolecall.plan.waits.Level`):

1. Mappings are removed, then trust policies, inline policies and bindings shrink to what is common. Groups that nobody
   is in yet are bound.
2. Mappings change from the old value to the new one. Anyone who reaches a role now reaches it in the old and in the new
   state, so the old and the new mapping are both theirs. Where a principal's mapping moves to another place of the same
   cluster, from aws-auth to an access entry, the new one is written here too, and only then the old one is removed:
   nobody is without both, and whichever of them the cluster reads is the old or the new one.
3. Bindings widen. Those whose groups got another one, or whose members got another group, shrink only now, so that
   nobody is without both: not the one who makes the change either.
4. Users and roles are made, trust and inline policies widen, then mappings are added.

At the end, what nothing refers to any more is deleted. A step *needs* those of earlier levels that its safety rests on:
the steps of the same role, of roles that are linked to it by a trust policy, and of bindings of the same cluster. Where
one of them fails, the step is not made. A step that only takes access away never waits for the success of another. The
removal of a mapping that hides another one of the same principal does not only take away, and waits for the other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

from rolecall.iam.common_documents import NOBODY, common_document, common_trust, same_grants
from rolecall.plan.links import Links, mapped_principal, named_in, principal_of
from rolecall.plan.places import Places
from rolecall.plan.resources import BINDING_KINDS, MAPPING_KINDS, POLICY_KINDS, Change, Kind, ResourceId, Value
from rolecall.plan.values import same_value
from rolecall.plan.waits import Level, Step, connected


def order(changes: Iterable[Change], actual: Mapping[ResourceId, Value]) -> tuple[Change, ...]:
    """``changes``, one for each resource, as steps in a safe order with what each needs.

    :param actual: every role and every mapping as it is, changed or not, so that links between roles, and the clusters
        that they lead to, are known.
    """
    changes = [c for c in changes if not same_value(c.resource.kind, c.before, c.after)]
    links = Links.between(changes, actual)
    made = {principal_of(change) for change in changes if change.before is None} - {""}
    places = Places(changes, actual)
    steps = [
        step for change in sorted(changes, key=lambda one: one.resource) for step in _steps(change, links, made, places)
    ]
    steps.sort(key=lambda step: (step.level, step.rank, step.change.resource))
    return connected(steps, links)


def reordered(steps: Iterable[Change], actual: Mapping[ResourceId, Value]) -> tuple[Change, ...]:
    """Steps of an earlier run, taken apart already, in a safe order as the world is now; each keeps its key.

    What a journal says of their order counts for nothing.
    """
    steps = [replace(step, needs=(), follows=(), gates=()) for step in steps]
    links, places = Links.between(steps, actual), Places(steps, actual)
    made = {principal_of(step) for step in steps if step.before is None} - {""}
    found = []
    for step in steps:
        *_, last = _steps(step, links, made, places)
        found.append(Step(last.level, last.rank, step, last.group))
    found.sort(key=lambda step: (step.level, step.rank, step.change.resource))
    return connected(found, links, keep_keys=True)


def strange_step(steps: Iterable[Change]) -> ResourceId | None:
    """The first resource whose steps are not those that :func:`order` takes a change apart into.

    What stands between two steps of one resource grants no more than the first value and the last one do. So anyone who
    sees these two sees all that the steps can do.
    """
    by_resource: dict[ResourceId, list[Change]] = {}
    for step in steps:
        by_resource.setdefault(step.resource, []).append(step)
    for resource, found in by_resource.items():
        if len(found) > 1 and not (len(found) == 2 and _is_taken_apart(*found)):
            return resource
    return None


def _is_taken_apart(one: Change, two: Change) -> bool:
    kind, between = one.resource.kind, one.after
    if not same_value(kind, between, two.before):
        return False
    if one.before is None:
        return two.after is not None and same_value(kind, between, _for_nobody(two.after))
    return same_value(kind, between, _common(kind, one.before, two.after))


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
        replace(change, before=change.after, after=change.before, needs=(), follows=(), gates=())
        for change in merged(changes)
    ]


# Within a level: what is taken away from the cluster inwards, what is given from the account outwards.
_DOWN_RANK = {
    Kind.IAM_ROLE: 3,
    Kind.IAM_ROLE_POLICY: 4,
    Kind.IAM_USER_POLICY: 4,
    Kind.CLUSTER_ROLE_BINDING: 5,
    Kind.ROLE_BINDING: 5,
}
_UP_RANK = {Kind.IAM_USER: 1, **_DOWN_RANK}
_NEW_ROLE_RANK = 2


def _steps(change: Change, links: Links, made: Set[str], places: Places) -> list[Step]:
    kind, before, after = change.resource.kind, change.before, change.after
    group = links.group_of(change)
    if kind in MAPPING_KINDS:
        return [Step(_level_of_mapping(change, made, places), 1, change, group)]
    if kind is Kind.IAM_USER:
        return [Step(Level.DELETE if after is None else Level.WIDEN, 1, change, group)]
    if kind is Kind.IAM_ROLE and before is None and after is not None:
        return _new_role(change, after, group, made)
    common = _common(kind, before, after)
    if kind is Kind.IAM_ROLE and after is None:
        # A role that is going to be deleted first lets in nobody.
        return [*_down(change, common, group), Step(Level.DELETE, 1, replace(change, before=common), group)]
    if kind in BINDING_KINDS:
        return _binding_steps(change, common, group, places)
    if common == after:
        return [Step(Level.SHRINK, _DOWN_RANK[kind], change, group)]
    return [*_down(change, common, group), Step(Level.WIDEN, _UP_RANK[kind], replace(change, before=common), group)]


def _binding_steps(change: Change, common: Value | None, group: str, places: Places) -> list[Step]:
    rank = _UP_RANK[change.resource.kind]
    up = Level.BIND_NEW if places.nobody_has(change) else Level.BIND
    if common == change.after:
        return [Step(Level.UNBIND_OLD if places.moves_on(change) else Level.SHRINK, rank, change, group)]
    return [*_down(change, common, group), Step(up, rank, replace(change, before=common), group)]


def _level_of_mapping(change: Change, made: Set[str], places: Places) -> Level:
    """A principal that is only made now reaches nothing yet, so its mapping is new wherever it was mapped before."""
    is_new = mapped_principal(change.resource, change.after or change.before) in made
    if change.after is None:
        return Level.UNMAP_OLD if places.mapped_after(change) and not is_new else Level.UNMAP
    if change.before is None:
        return Level.REMAP if places.mapped_before(change) and not is_new else Level.MAP
    return Level.REMAP


def _new_role(change: Change, after: Value, group: str, made: Set[str]) -> list[Step]:
    """Roles that trust one another can only be made when they trust nobody at first: IAM wants principals to exist."""
    if not any("/role/" in name for name in named_in(after, change.resource) if name in made):
        return [Step(Level.WIDEN, _NEW_ROLE_RANK, change, group)]
    nobody = _for_nobody(after)
    return [
        Step(Level.WIDEN, _NEW_ROLE_RANK, replace(change, after=nobody), group),
        Step(Level.WIDEN, _UP_RANK[Kind.IAM_ROLE], replace(change, before=nobody), group),
    ]


def _for_nobody(after: Value) -> Value:
    """A role as it shall be, but trusting nobody."""
    return {**after, "trust": {**after["trust"], "Statement": [dict(NOBODY)]}}


def _down(change: Change, common: Value | None, group: str) -> list[Step]:
    if common == change.before:
        return []
    return [Step(Level.SHRINK, _DOWN_RANK[change.resource.kind], replace(change, after=common), group)]


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
    if kind in POLICY_KINDS:
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
