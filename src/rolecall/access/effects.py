"""What changes between two worlds for people: who gains access, who loses it, whose changes, and who is locked out.

Two worlds that were computed from one another share what does not differ, and only the rest is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rolecall.access.effective import EffectiveAccess, Reach
from rolecall.access.mapped import MappedUser
from rolecall.access.world import World
from rolecall.iam.policy_model import Doubt


@dataclass(frozen=True, slots=True)
class Seat:
    """What somebody is in a cluster by way of one principal.

    :param roles: the roles assumed one after the other; empty: as the user itself.
    :param needs: what must be brought along, as sentences.
    :param certain: false if it depends on something that is not known: on ``doubts``, or on conditions that a trust
        policy has about somebody outside.
    :param doubts: what was not understood or not read of the policies on the way.
    """

    roles: tuple[str, ...]
    needs: tuple[str, ...]
    user: MappedUser
    certain: bool = True
    doubts: tuple[Doubt, ...] = field(default=(), compare=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "roles": list(self.roles),
            "needs": list(self.needs),
            "certain": self.certain,
            "doubts": [doubt.to_json() for doubt in self.doubts],
            "username": self.user.username,
            "groups": list(self.user.groups),
            "permissions": [
                {"text": permission.text, "by": permission.by, "admin": permission.admin}
                for permission in self.user.permissions
            ],
        }


@dataclass(frozen=True, slots=True)
class AccessChange:
    """The access of some people to a cluster through one principal, before and after.

    :param principal: ARN of the user or role that the cluster maps.
    :param before: ``None``: they had none; ``after``: they have none.
    :param people: all for whom it is the same change, sorted.
    """

    cluster: str
    principal: str
    before: Seat | None
    after: Seat | None
    people: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "cluster": self.cluster,
            "principal": self.principal,
            "before": self.before.to_json() if self.before else None,
            "after": self.after.to_json() if self.after else None,
            "people": list(self.people),
        }


@dataclass(frozen=True, slots=True)
class PerhapsLockedOut:
    """A cluster that somebody surely got into before; what is left to them is not certain.

    Do not say of them that no way is left, nor that a way is left.

    :param doubts: what the remaining ways hang on; empty: only on conditions about somebody outside.
    """

    person: str
    cluster: str
    doubts: tuple[Doubt, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "person": self.person,
            "cluster": self.cluster,
            "doubts": [doubt.to_json() for doubt in self.doubts],
        }


@dataclass(frozen=True, slots=True)
class Effects:
    """The difference between two worlds for people.

    :param locked_out: by person, the clusters that they got into and for certain do not any more, by whatever way.
    :param perhaps_locked_out: who certainly got into a cluster, and has only ways left that are not certain.
    """

    gains: tuple[AccessChange, ...] = ()
    losses: tuple[AccessChange, ...] = ()
    changes: tuple[AccessChange, ...] = ()
    locked_out: tuple[tuple[str, tuple[str, ...]], ...] = ()
    perhaps_locked_out: tuple[PerhapsLockedOut, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gains or self.losses or self.changes)

    def to_json(self) -> dict[str, Any]:
        """Plain values; a member without changes is an empty list."""
        return {
            "gains": [change.to_json() for change in self.gains],
            "losses": [change.to_json() for change in self.losses],
            "changes": [change.to_json() for change in self.changes],
            "lockedOut": [{"person": person, "clusters": list(clusters)} for person, clusters in self.locked_out],
            "perhapsLockedOut": [one.to_json() for one in self.perhaps_locked_out],
        }


def effects(before: EffectiveAccess, after: EffectiveAccess) -> Effects:
    """What ``after`` changes for people; quick where it was made with ``before`` as its previous world."""
    found: dict[tuple[str, str, Seat | None, Seat | None], list[str]] = {}
    for cluster, principal in _differing(before, after):
        for person, old, new in _seats(before, after, cluster, principal):
            if old != new:
                found.setdefault((cluster, principal, old, new), []).append(person)
    changes = [AccessChange(*key, tuple(sorted(people))) for key, people in found.items()]
    changes.sort(key=lambda change: (change.cluster, change.principal, change.people))
    losses = tuple(change for change in changes if change.after is None)
    others = tuple(change for change in changes if change.before is not None and change.after is not None)
    return Effects(
        tuple(change for change in changes if change.before is None),
        losses,
        others,
        tuple(_locked_out(losses, after)),
        tuple(_perhaps_locked_out((*losses, *others), before, after)),
    )


def effects_of(before: World, after: World) -> Effects:
    """The same from the worlds themselves."""
    first = EffectiveAccess(before)
    return effects(first, EffectiveAccess(after, first))


def _differing(before: EffectiveAccess, after: EffectiveAccess) -> Iterator[tuple[str, str]]:
    """Pairs of a cluster and a principal in which anything may differ."""
    moved = {p for p in _principals(before) | _principals(after) if before.reached_by(p) != after.reached_by(p)}
    for cluster in sorted(before.world.clusters.keys() | after.world.clusters.keys()):
        old, new = before.mapped(cluster), after.mapped(cluster)
        if old is new:
            yield from ((cluster, principal) for principal in sorted(moved & old.keys()))
            continue
        for principal in sorted(old.keys() | new.keys()):
            if principal in moved or old.get(principal) != new.get(principal):
                yield cluster, principal


def _principals(access: EffectiveAccess) -> set[str]:
    return {principal for cluster in access.world.clusters for principal in access.mapped(cluster)}


def _seats(
    before: EffectiveAccess, after: EffectiveAccess, cluster: str, principal: str
) -> Iterator[tuple[str, Seat | None, Seat | None]]:
    old, new = before.mapped(cluster).get(principal), after.mapped(cluster).get(principal)
    earlier, later = before.reached_by(principal), after.reached_by(principal)
    for person in earlier.keys() | later.keys():
        yield person, _seat(old, earlier.get(person)), _seat(new, later.get(person))


def _seat(user: MappedUser | None, reach: Reach | None) -> Seat | None:
    if user is None or reach is None:
        return None
    return Seat(reach.roles, tuple(str(need) for need in reach.needs), user, reach.certain, reach.doubts)


def _locked_out(losses: Iterable[AccessChange], after: EffectiveAccess) -> Iterator[tuple[str, tuple[str, ...]]]:
    lost: dict[str, set[str]] = {}
    for change in losses:
        for person in change.people:
            lost.setdefault(person, set()).add(change.cluster)
    for person in sorted(lost):
        clusters = tuple(sorted(c for c in lost[person] if not _gets_in(after, person, c)))
        if clusters:
            yield person, clusters


def _perhaps_locked_out(
    changes: Iterable[AccessChange], before: EffectiveAccess, after: EffectiveAccess
) -> Iterator[PerhapsLockedOut]:
    affected = {(person, change.cluster) for change in changes for person in change.people}
    for person, cluster in sorted(affected):
        left = tuple(_reaches(after, person, cluster))
        sure = any(reach.certain for reach in _reaches(before, person, cluster))
        if left and sure and not any(reach.certain for reach in left):
            doubts = dict.fromkeys(doubt for reach in left for doubt in reach.doubts)
            yield PerhapsLockedOut(person, cluster, tuple(doubts))


def _gets_in(access: EffectiveAccess, person: str, cluster: str) -> bool:
    return any(True for _ in _reaches(access, person, cluster))


def _reaches(access: EffectiveAccess, person: str, cluster: str) -> Iterator[Reach]:
    for principal in access.mapped(cluster):
        if (reach := access.reached_by(principal).get(person)) is not None:
            yield reach
