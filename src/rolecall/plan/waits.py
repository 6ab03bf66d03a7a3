"""What each step of a plan waits for, so that whatever fails, and whatever runs at once, the order stays safe.

A step waits for those steps alone without which somebody would have too much access, or be without any, in between:

- A mapping is written once the roles linked to its principal no longer trust those who lose them, and once the bindings
  of its own groups and username are as they shall be. Bindings of others do not concern it.
- A binding widens once those who leave its subjects have left, and once those who lose a role that has its subjects
  have lost it.
- A trust policy or an inline policy widens once the mappings of the linked roles, and the bindings of what these are
  mapped to, have shrunk or changed.
- What only takes access away waits for nothing; a role is deleted after its inline policies.

There may be thousands on either side, and every one of the one side waits for every one of the other. So a step does
not name them one by one: the steps of one level that have one thing in common (:class:`_Whose`) are the parts of a
*gate*, and a step names the gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum, auto

from rolecall.plan.links import EVERYBODY, TEMPLATE, Links, Subject, named_in, names_of, owner_key, principal_of
from rolecall.plan.places import principal_on, reading_order
from rolecall.plan.resources import BINDING_KINDS, MAPPING_KINDS, POLICY_KINDS, Change, Kind, ResourceId


class Level(IntEnum):
    """When a step is made: what its group and its cluster have at an earlier level is made before it.

    UNMAP: mappings are removed. SHRINK: trust policies, inline policies and bindings become what old and new have in
    common. BIND_NEW: groups that nobody is in yet are bound. REMAP: mappings change, or are written again where the
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


class Whose(Enum):
    """What the steps of a gate have in common.

    GROUP: a group of linked roles. PRINCIPAL: a principal's mappings on a cluster. MAPPED: mappings on a cluster that
    give or gave a subject. BOUND: bindings on a cluster of a subject. BOUND_FOR: bindings of what some principal of a
    group is mapped to, anywhere.
    """

    GROUP = auto()
    PRINCIPAL = auto()
    MAPPED = auto()
    BOUND = auto()
    BOUND_FOR = auto()


_Key = tuple[Whose, object]
_Wants = Iterator[tuple[_Key, tuple[Level, ...]]]
# Bindings of any group, or of any user, for mappings whose names only a session fills in.
_ANY = "*"
_SHRINKING = (Level.SHRINK, Level.UNBIND_OLD)
_MOVING = (Level.UNMAP, Level.REMAP, Level.UNMAP_OLD)
_BINDING = (Level.BIND_NEW, Level.BIND)


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
        self._links, self._groups = links, links.groups_by_subject()
        self._gates: dict[_Key, dict[Level, _Gate]] = {}
        self._made = {
            p: one for one in reversed(steps) if one.change.before is None and (p := principal_of(one.change))
        }
        self._of_resource: dict[ResourceId, list[Step]] = {}
        self._mappings: dict[tuple[str, str], list[Step]] = {}
        self._policies_of: dict[str, list[Step]] = {}
        # By cluster and subject that a mapping gave, what it gives instead.
        self._moved_to: dict[tuple[str, Subject], dict[Subject, None]] = {}
        for step in steps:
            self._of_resource.setdefault(step.change.resource, []).append(step)
            if step.change.resource.kind in MAPPING_KINDS:
                self._add_mapping(step)
            elif step.change.resource.kind in POLICY_KINDS:
                self._policies_of.setdefault(owner_key(step.change.resource), []).append(step)
        for step in steps:
            for key in dict.fromkeys(self._belongs_to(step)):
                gate = self._gates.setdefault(key, {}).setdefault(step.level, _Gate())
                gate.parts.append(step)
                step._gates.append(gate)
        self._naming = _steps_by_named(steps)

    def _add_mapping(self, step: Step) -> None:
        change = step.change
        self._mappings.setdefault(principal_on(change), []).append(step)
        for subject in names_of(change.before):
            after = dict.fromkeys(names_of(change.after))
            self._moved_to.setdefault((change.resource.place, subject), {}).update(after)

    def connect(self, step: Step) -> None:
        """Set what a step needs, and what it only comes after."""
        kind, change = step.change.resource.kind, step.change
        earlier = list(self._places_first(step)) if kind in MAPPING_KINDS else []
        if step.level > Level.SHRINK:
            same = (
                one for one in self._of_resource[change.resource] if (one.level, one.rank) < (step.level, step.rank)
            )
            # A mapping may be older than the role that it names; only what is given now waits for its principals.
            new = (self._made[arn] for arn in named_in(change.after, change.resource) if arn in self._made)
            made = (one for one in new if one is not step and step.level in (Level.WIDEN, Level.MAP))
            earlier += [*same, *made]
        if step.level is Level.DELETE and kind is Kind.IAM_ROLE:
            # IAM deletes no role that has inline policies.
            earlier += self._policies_of.get(owner_key(change.resource), ())
        step._needs = [*self._wanted_gates(step), *earlier]
        if step.level is Level.DELETE:
            # IAM shows a deleted user's id in place of its ARN, so trust policies are changed before.
            step._follows = list(self._naming.get(principal_of(change), ()))
            if kind is Kind.IAM_USER:
                # A deleted user loses its policies; removed before, they are in the journal.
                step._follows += self._policies_of.get(owner_key(change.resource), ())

    def gate_names(self) -> dict[int, str]:
        """By identity, names of the gates that somebody waits for and that have more than one part."""
        gates = (gate for levels in self._gates.values() for gate in levels.values())
        needed = (gate for gate in gates if gate.needed and len(gate.parts) > 1)
        return {id(gate): f"g{number}" for number, gate in enumerate(needed, 1)}

    def _belongs_to(self, step: Step) -> Iterator[_Key]:
        change, place = step.change, step.change.resource.place
        if change.resource.kind in BINDING_KINDS:
            for subject in _subjects(change):
                yield from ((Whose.BOUND, (place, one)) for one in (subject, (subject[0], _ANY)))
                yield from ((Whose.BOUND_FOR, group) for group in self._groups_with(place, subject))
            return
        yield Whose.GROUP, step.group
        if change.resource.kind in MAPPING_KINDS:
            yield Whose.PRINCIPAL, principal_on(change)
            for subject in (*names_of(change.before), *names_of(change.after), EVERYBODY):
                yield Whose.MAPPED, (place, subject)

    def _wanted_gates(self, step: Step) -> Iterator[_Gate]:
        """The gates that a step needs: those of the levels that concern it, and that are earlier than its own."""
        for key, levels in dict.fromkeys(self._wanted(step)):
            found = self._gates.get(key, {})
            for level in levels:
                if level < step.level and (gate := found.get(level)) is not None:
                    gate.needed = True
                    yield gate

    def _wanted(self, step: Step) -> _Wants:
        change, level, place = step.change, step.level, step.change.resource.place
        if level in (Level.REMAP, Level.MAP):
            yield (Whose.GROUP, step.group), (Level.SHRINK,)
            yield (Whose.PRINCIPAL, principal_on(change)), _MOVING
            for subject in (*names_of(change.after), EVERYBODY):
                yield from self._bound(place, subject, (*_SHRINKING, *_BINDING))
        elif level is Level.UNMAP_OLD:
            # It may bring to light another mapping of the principal, which may be an old one.
            cluster, principal = principal_on(change)
            yield (Whose.GROUP, step.group), (Level.SHRINK,)
            yield (Whose.PRINCIPAL, (cluster, principal)), (Level.REMAP,)
            for subject in (*self._links.subjects_of(principal, cluster), EVERYBODY):
                yield from self._bound(place, subject, (*_SHRINKING, *_BINDING))
        elif level in (Level.BIND, Level.UNBIND_OLD):
            yield from self._wanted_by_binding(step)
        elif level is Level.WIDEN:
            yield (Whose.GROUP, step.group), (Level.SHRINK, *_MOVING)
            # Who comes to a role comes to what its mappings are bound to, wherever it is mapped.
            yield (Whose.BOUND_FOR, step.group), _SHRINKING

    def _wanted_by_binding(self, step: Step) -> _Wants:
        place = step.change.resource.place
        for subject in _subjects(step.change):
            for given in dict.fromkeys((subject, (subject[0], TEMPLATE))):
                yield (Whose.MAPPED, (place, given)), _MOVING
            if step.level is Level.BIND:
                # What is bound comes to anyone who is still in a role that is mapped so.
                for group in self._groups_with(place, subject):
                    yield (Whose.GROUP, group), (Level.SHRINK,)
                continue
            # Nobody is without both: not the one who makes the change either.
            for one in (subject, *self._moved_to.get((place, subject), ())):
                yield from self._bound(place, one, _BINDING)

    def _bound(self, place: str, subject: Subject, levels: tuple[Level, ...]) -> _Wants:
        kind, name = subject
        yield (Whose.BOUND, (place, (kind, _ANY if name == TEMPLATE else name))), levels

    def _groups_with(self, place: str, subject: Subject) -> list[str]:
        """The linked groups of which some principal is, or may be, mapped to a subject on a cluster."""
        found = self._groups.get((place, subject), set()) | self._groups.get((place, (subject[0], TEMPLATE)), set())
        return sorted(found)

    def _places_first(self, step: Step) -> Iterator[Step]:
        """Of one principal's mappings on a cluster the steps that come first, so that none is read in between.

        What is hidden is removed before what hides it, and written after it.
        """
        change = step.change
        place = reading_order(change.resource)
        for one in self._mappings.get(principal_on(change), ()):
            other = reading_order(one.change.resource)
            if change.after is None:
                first = one.change.after is None and other > place
            else:
                first = one.change.before is None and other < place
            if first and one.level is step.level:
                yield one


def _subjects(change: Change) -> tuple[Subject, ...]:
    """The groups and users that a binding is of, before or after."""
    found = (one for value in (change.before, change.after) if value is not None for one in value["subjects"])
    return tuple(dict.fromkeys((one["kind"], one["name"]) for one in found if one["kind"] in ("Group", "User")))


def _steps_by_named(steps: Sequence[Step]) -> Mapping[str, list[Step]]:
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
