"""What each step of a plan waits for, so that whatever fails, and whatever runs at once, the order stays safe.

A step waits for steps of earlier levels of the same group of linked roles and of the same cluster. There may be
thousands on either side, and every one of the one side waits for every one of the other. So a step does not name them
one by one: the steps of one group, or one cluster, and one level are the parts of a *gate*, and a step names the gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from rolecall.plan.links import Links, named_in, principal_of
from rolecall.plan.places import principal_on, reading_order
from rolecall.plan.resources import BINDING_KINDS, IAM_KINDS, MAPPING_KINDS, Change, Kind, ResourceId


class Level(IntEnum):
    """When a step is made: what its group and its cluster have at an earlier level is made before it.

    UNMAP: mappings are removed. SHRINK: trust policies, inline policies and bindings become what old and new have in
    common. BIND_NEW: groups that nobody is in yet are bound. REMAP: mappings change, or are written anew where the
    principal has one already. UNMAP_OLD: those that were replaced so are removed. BIND: other bindings widen.
    UNBIND_OLD: bindings shrink that were replaced. WIDEN: users and roles are made, trust and policies widen. MAP:
    mappings are added. DELETE: what nothing refers to any more goes.
    """

    UNMAP = 1
    SHRINK = 2
    BIND_NEW = 3
    REMAP = 4
    UNMAP_OLD = 5
    BIND = 6
    UNBIND_OLD = 7
    WIDEN = 8
    MAP = 9
    DELETE = 10


@dataclass(slots=True)
class Step:
    """A change on its way into the order.

    :param rank: where it stands within its level when steps are listed.
    :param group: the linked group of roles whose reach it alters.
    """

    level: Level
    rank: int
    change: Change
    group: str = ""
    _gates: list[_Gate] = field(default_factory=list)
    _needs: list[_Gate | Step] = field(default_factory=list)
    _follows: list[_Gate | Step] = field(default_factory=list)


@dataclass(slots=True)
class _Gate:
    parts: list[Step] = field(default_factory=list)
    needed: bool = False


# Whose steps a gate is about: a group of linked roles, or what is in one cluster.
_Whose = tuple[str, str]


def connected(steps: Sequence[Step], links: Links, *, keep_keys: bool = False) -> tuple[Change, ...]:
    """The changes of ``steps``, sorted as they are to be listed, each with its key and what it waits for.

    :param keep_keys: whether the steps have keys already.
    """
    waits = _Waits(steps, links)
    for step in steps:
        waits.connect(step)
    keys = {id(step): step.change.key if keep_keys else str(number) for number, step in enumerate(steps, 1)}
    names = waits.gate_names()

    def named(found: Iterable[_Gate | Step]) -> tuple[str, ...]:
        # A gate of one part is that part.
        return tuple(
            dict.fromkeys(
                names.get(id(one)) or keys[id(one.parts[0] if isinstance(one, _Gate) else one)] for one in found
            )
        )

    return tuple(
        replace(
            step.change,
            key=keys[id(step)],
            needs=named(step._needs),
            follows=named(step._follows),
            gates=tuple(names[id(gate)] for gate in step._gates if id(gate) in names),
        )
        for step in steps
    )


class _Waits:
    def __init__(self, steps: Sequence[Step], links: Links) -> None:
        self._links = links
        self._gates: dict[_Whose, dict[Level, _Gate]] = {}
        self._made: dict[str, Step] = {}
        self._mapped = links.clusters_of_groups()
        self._of_resource: dict[ResourceId, list[Step]] = {}
        for step in steps:
            self._of_resource.setdefault(step.change.resource, []).append(step)
            for whose in self._belongs_to(step):
                gate = self._gates.setdefault(whose, {}).setdefault(step.level, _Gate())
                gate.parts.append(step)
                step._gates.append(gate)
            if step.change.before is None and (principal := principal_of(step.change)):
                self._made[principal] = step
        self._groups_on = self._groups_by_cluster()
        self._naming = self._steps_by_named(steps)
        self._mappings: dict[tuple[str, str], list[Step]] = {}
        for step in steps:
            if step.change.resource.kind in MAPPING_KINDS:
                self._mappings.setdefault(principal_on(step.change), []).append(step)

    def connect(self, step: Step) -> None:
        earlier: list[_Gate | Step] = [*self._earlier_gates(step), *self._earlier_of_role(step)]
        if step.level <= Level.SHRINK:
            # What only takes access away never waits for the success of anything.
            step._follows = earlier
            step._needs = [*self._places_first(step)]
            return
        exists = (self._made[arn] for arn in named_in(step.change.after, step.change.resource) if arn in self._made)
        # A mapping may be older than the role that it names; only what is given now waits for its principals.
        new = (one for one in exists if one is not step and step.level in (Level.WIDEN, Level.MAP))
        step._needs = [*earlier, *new, *self._places_first(step)]
        if step.change.resource.kind is Kind.IAM_USER and step.level is Level.DELETE:
            # IAM shows a deleted user's id in place of its ARN, so trust policies are changed before.
            step._follows = list(self._naming.get(principal_of(step.change), ()))

    def gate_names(self) -> dict[int, str]:
        """By identity, names of the gates that somebody waits for and that have more than one part."""
        gates = (gate for levels in self._gates.values() for gate in levels.values())
        needed = (gate for gate in gates if gate.needed and len(gate.parts) > 1)
        return {id(gate): f"g{number}" for number, gate in enumerate(needed, 1)}

    def _belongs_to(self, step: Step) -> Iterator[_Whose]:
        kind = step.change.resource.kind
        if kind not in BINDING_KINDS:
            yield "group", step.group
        if kind not in IAM_KINDS:
            yield "cluster", step.change.resource.place

    def _earlier_gates(self, step: Step) -> Iterator[_Gate]:
        kind, place = step.change.resource.kind, step.change.resource.place
        related: list[_Whose] = [] if kind in BINDING_KINDS else [("group", step.group)]
        if kind in IAM_KINDS:
            # Who comes to a role comes to what its mappings are bound to, on every cluster where it is mapped.
            clusters = sorted(self._mapped.get(step.group, ()))
            yield from self._before(step, [("cluster", one) for one in clusters], (Level.SHRINK, Level.UNBIND_OLD))
        else:
            related.append(("cluster", place))
        if kind in BINDING_KINDS:
            # And what is bound comes to whoever is still in a role that is mapped there.
            groups = [("group", group) for group in self._groups_on.get(place, ())]
            yield from self._before(step, groups, (Level.SHRINK,))
        yield from self._before(step, related, Level)

    def _before(self, step: Step, whose: Iterable[_Whose], levels: Iterable[Level]) -> Iterator[_Gate]:
        levels = [level for level in levels if level < step.level]
        for one in whose:
            found = self._gates.get(one, {})
            for level in levels:
                if (gate := found.get(level)) is not None:
                    gate.needed = True
                    yield gate

    def _earlier_of_role(self, step: Step) -> Iterator[Step]:
        """Of one level: a new role's first step comes before its second, and before the policies inside it."""
        resource = step.change.resource
        role = resource
        if resource.kind is Kind.IAM_ROLE_POLICY:
            role = ResourceId(Kind.IAM_ROLE, resource.place, resource.name.partition("/")[0])
        for one in self._of_resource.get(role, ()):
            if (
                one.level is step.level is Level.WIDEN
                and (one is not step)
                and (role != resource or one.rank < step.rank)
            ):
                yield one

    def _places_first(self, step: Step) -> Iterator[Step]:
        """Of one principal's mappings on a cluster the steps that come first, so that none is read in between.

        What is hidden is removed before what hides it, and written after it.
        """
        change = step.change
        if change.resource.kind not in MAPPING_KINDS:
            return
        place = reading_order(change.resource)
        for one in self._mappings.get(principal_on(change), ()):
            other = reading_order(one.change.resource)
            if change.after is None:
                first = one.change.after is None and other > place
            else:
                first = one.change.before is None and other < place
            if first and one.level is step.level:
                yield one

    def _groups_by_cluster(self) -> Mapping[str, list[str]]:
        """The groups with steps of which somebody is mapped on a cluster."""
        found: dict[str, list[str]] = {}
        groups = [name for what, name in self._gates if what == "group"]
        for group in groups:
            for cluster in self._mapped.get(group, ()):
                found.setdefault(cluster, []).append(group)
        return found

    def _steps_by_named(self, steps: Sequence[Step]) -> Mapping[str, list[Step]]:
        """By users that are deleted, the steps that change what names them."""
        gone = {principal_of(one.change) for one in steps if one.level is Level.DELETE} - {""}
        found: dict[str, list[Step]] = {}
        for step in steps if gone else ():
            if step.level < Level.DELETE:
                for named in gone.intersection(named_in(step.change.before, step.change.resource)):
                    found.setdefault(named, []).append(step)
        return found


def parts_of(changes: Iterable[Change]) -> dict[str, tuple[str, ...]]:
    """By every name that a change may wait for, a key or a gate, the keys of the changes meant."""
    found: dict[str, list[str]] = {}
    for change in changes:
        for name in (change.key, *change.gates):
            found.setdefault(name, []).append(change.key)
    return {name: tuple(keys) for name, keys in found.items()}
