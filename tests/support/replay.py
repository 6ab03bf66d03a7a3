"""A run's journal played back through the rules: who could get in as whom at every moment of it.

The journal says when each step was begun and when it had ended. Between the two nobody knows whether it is in force, so
both are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from rolecall.access.effective import EffectiveAccess
from rolecall.access.world import World
from rolecall.plan.resources import Change
from rolecall.plan.simulate import with_changes
from rolecall.runs.journal import State, change_from_json

# Person, cluster, username, groups, and one thing that they may do there, or none for getting in at all.
Seat = tuple[str, str, str, tuple[str, ...], str]


def seats(access: EffectiveAccess) -> frozenset[Seat]:
    """Everything that somebody has somewhere."""
    return frozenset(
        (way.person, way.cluster, way.user.username, way.user.groups, what)
        for way in access.ways()
        for what in ("", *(f"{one.text} by {one.by}" for one in way.user.permissions))
    )


class Replay:
    """What the world before a plan and the world after it give, against which moments between them are held."""

    def __init__(self, before: World, changes: Iterable[Change]) -> None:
        self._before = EffectiveAccess(before)
        after = EffectiveAccess(with_changes(before, changes), self._before)
        self.allowed = seats(self._before) | seats(after)
        self.moments = 0

    def hold(self, world: World, moment: str) -> None:
        """Nobody has in ``world`` what neither the state before nor the state after gives."""
        self.moments += 1
        extra = seats(EffectiveAccess(world, self._before)) - self.allowed
        assert not extra, f"{moment}: {sorted(extra)[:5]}"

    def run(self, journal: Path, start: World) -> None:
        """Every moment of a run that began in ``start``."""
        for number, steps in enumerate(_moments(journal)):
            self.hold(with_changes(start, steps), f"{journal.name} moment {number}, {len(steps)} steps")


def _moments(journal: Path) -> Iterator[list[Change]]:
    """After each line: the steps that had ended in their order; with all that was under way; with each alone."""
    head, *lines = journal.read_text().splitlines()
    changes = {one["key"]: change_from_json(one) for one in json.loads(head)["changes"]}
    ended: list[Change] = []
    begun: dict[str, Change] = {}
    for line in lines:
        found = json.loads(line)
        state = State(found["state"])
        for key in found["steps"]:
            if state is State.BEGUN:
                begun[key] = changes[key]
            else:
                begun.pop(key, None)
                if state.in_force and changes[key] not in ended:
                    ended.append(changes[key])
        yield list(ended)
        if state is State.BEGUN:
            yield [*ended, *begun.values()]
            yield from ([*ended, changes[key]] for key in found["steps"] if len(begun) > 1)
