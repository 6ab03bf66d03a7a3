"""Whom a cluster knows a principal as: by which of several mappings, and by which of their groups and usernames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rolecall.plan.links import mapped_principal
from rolecall.plan.resources import BINDING_KINDS, MAPPING_KINDS, Change, Kind, ResourceId, Value

# Which one it reads: access entries before aws-auth, in it roles before users (:mod:`rolecall.mapping.resolve`); of
# several IAMIdentityMappings the first that is found, which are listed by name.
_FIRST_READ = (Kind.ACCESS_ENTRY, Kind.AWS_AUTH_ROLE, Kind.AWS_AUTH_USER, Kind.IDENTITY_MAPPING)
_Principal = tuple[str, str]
_Subject = tuple[str, str]


@dataclass(slots=True)
class _Known:
    """The mappings of one moment: those of each principal on each cluster, and who has which group or username there.

    :param having: with how many of a principal's mappings say so.
    :param open: clusters with groups or usernames, by kind of subject, that only a session fills in.
    """

    mappings: dict[_Principal, set[ResourceId]] = field(default_factory=dict)
    having: dict[tuple[str, _Subject], dict[str, int]] = field(default_factory=dict)
    open: set[tuple[str, str]] = field(default_factory=set)

    def add(self, resource: ResourceId, value: Value) -> None:
        principal = mapped_principal(resource, value)
        self.mappings.setdefault((resource.place, principal), set()).add(resource)
        names = [("Group", group) for group in value["groups"]]
        for subject in {*names, ("User", str(value["username"]))}:
            if "{{" in subject[1]:
                self.open.add((resource.place, subject[0]))
            having = self.having.setdefault((resource.place, subject), {})
            having[principal] = having.get(principal, 0) + 1

    def surely_having(self, cluster: str, subject: _Subject) -> set[str]:
        """Those who have it whichever of their mappings the cluster reads."""
        having = self.having.get((cluster, subject), {})
        return {who for who, count in having.items() if count == len(self.mappings[cluster, who])}


class Places:
    """The mappings of each principal on each cluster, as they are and as they shall be, and the bindings beside them.

    :param actual: every mapping as it is, changed or not.
    """

    def __init__(self, changes: Iterable[Change], actual: Mapping[ResourceId, Value]) -> None:
        self._before, self._after = _Known(), _Known()
        self._bound: set[tuple[str, _Subject]] = set()
        changed = {change.resource: change for change in changes}
        for resource, value in actual.items():
            if resource.kind in MAPPING_KINDS and resource not in changed:
                self._before.add(resource, value)
                self._after.add(resource, value)
        for change in changed.values():
            if change.resource.kind in MAPPING_KINDS:
                for known, one in ((self._before, change.before), (self._after, change.after)):
                    if one is not None:
                        known.add(change.resource, one)
            elif change.resource.kind in BINDING_KINDS:
                self._bound |= {(change.resource.place, subject) for subject in _more(change.before, change.after)}

    def mapped_before(self, change: Change) -> bool:
        """Whether the principal of a mapping is mapped on its cluster already, there or elsewhere."""
        return principal_on(change) in self._before.mappings

    def mapped_after(self, change: Change) -> bool:
        """Whether the principal of a mapping stays mapped on its cluster, there or elsewhere."""
        return principal_on(change) in self._after.mappings

    def nobody_has(self, change: Change) -> bool:
        """Whether nobody is, or is in, yet what a binding is widened to, so that to bind it gives nobody anything."""
        cluster, found = change.resource.place, _more(change.before, change.after)
        return all(
            self._is_told(self._before, cluster, subject) and (cluster, subject) not in self._before.having
            for subject in found
        )

    def moves_on(self, change: Change) -> bool:
        """Whether those whom a binding is taken from get another one instead, or another group, and nobody new has it.

        Then it may go last: to be without both in between could lock out the one who makes the change.
        """
        cluster, found = change.resource.place, _more(change.after, change.before)
        if not all(self._is_told(known, cluster, one) for known in (self._before, self._after) for one in found):
            return False
        had = [self._before.surely_having(cluster, one) for one in found]
        have = [self._after.having.get((cluster, one), {}).keys() for one in found]
        if not all(after <= before for before, after in zip(had, have, strict=True)):
            return False
        elsewhere = ((cluster, who) for before, after in zip(had, have, strict=True) for who in before - after)
        return any((cluster, one) in self._bound for one in found) or any(
            one in self._after.mappings for one in elsewhere
        )

    @staticmethod
    def _is_told(known: _Known, cluster: str, subject: _Subject) -> bool:
        """Whether the mappings alone tell who has it: not groups that a cluster gives by itself, nor templates."""
        kind, name = subject
        return kind in ("Group", "User") and not name.startswith("system:") and (cluster, kind) not in known.open


def _more(less: Value | None, more: Value | None) -> list[_Subject]:
    """The subjects to whom one value of a binding gives what another one does not."""
    if more is None:
        return []
    same = less is not None and less["roleRef"] == more["roleRef"]
    known = less["subjects"] if same and less is not None else ()
    return [(one["kind"], one["name"]) for one in more["subjects"] if one not in known]


def principal_on(change: Change) -> _Principal:
    """The cluster of a mapping, and the principal that it is of."""
    return change.resource.place, mapped_principal(change.resource, change.after or change.before)


def reading_order(resource: ResourceId) -> tuple[int, str]:
    """Where a mapping stands among those of its principal: the least is the one that the cluster reads."""
    return _FIRST_READ.index(resource.kind), resource.name
