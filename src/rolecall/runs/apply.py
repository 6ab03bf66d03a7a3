"""Make the changes of a plan: each once what it needs is done, several at once, journalled before it is made.

A step looks before it writes: a resource that has the new value already is left alone, one that has neither the new
value nor the old one is a conflict, and somebody else's change stays. So a run that was killed goes on from its journal
by doing the same again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from rolecall.errors import RolecallError
from rolecall.plan.resources import Change, Kind, Value
from rolecall.plan.values import between, same_value
from rolecall.plan.waits import parts_of
from rolecall.runs.journal import Journal, JournalError, State

log = logging.getLogger(__name__)

WORKERS = 16
# One ConfigMap holds all of these: what is ready together is one read and one write.
_SHARED = frozenset({Kind.AWS_AUTH_ROLE, Kind.AWS_AUTH_USER})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended.

    :param why: what a person reads where it was not made.
    :param restore: what an undo needs to put things back as they were written, or empty.
    """

    change: Change
    state: State
    why: str = ""
    restore: str = ""


class Resources(Protocol):
    """The world as something that can be changed."""

    def change(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Make changes of one object together; one outcome each. :class:`RolecallError` where none was made."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended, step by step in the order of the plan."""

    outcomes: tuple[Outcome, ...]

    @property
    def complete(self) -> bool:
        return all(outcome.state.in_force for outcome in self.outcomes)

    def of(self, *states: State) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.state in states)


def apply_changes(
    journal: Journal,
    resources: Resources,
    *,
    workers: int = WORKERS,
    progress: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Make the changes of the journal's run that are not in force yet.

    One resource's failure stops only what needs it. On an interrupt the steps under way are finished and recorded.
    """
    run = _Running(journal, resources, progress)
    with ThreadPoolExecutor(workers, thread_name_prefix="apply") as pool:
        try:
            run.work(pool)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Report(tuple(run.outcomes[change.key] for change in journal.run.changes))


class _Running:
    """Which steps wait for what, and how the others ended. Only the thread that runs :meth:`work` touches it."""

    def __init__(self, journal: Journal, resources: Resources, progress: Callable[[Outcome], None]) -> None:
        self._journal = journal
        self._resources = resources
        self._progress = progress
        self.outcomes: dict[str, Outcome] = {}
        self._changes = {change.key: change for change in journal.run.changes}
        # Of every step and gate, how many parts have not ended, and the first that ended without being in force.
        self._parts = {name: len(parts) for name, parts in parts_of(journal.run.changes).items()}
        self._missing: dict[str, Outcome] = {}
        self._open = {key: {*change.needs, *change.follows} for key, change in self._changes.items()}
        self._waiting_for: dict[str, list[str]] = {}
        for key, earlier in self._open.items():
            for one in earlier:
                self._waiting_for.setdefault(one, []).append(key)
        if unknown := self._waiting_for.keys() - self._parts.keys():
            raise JournalError(f"its steps wait for {min(unknown)!r}, which is not one of them", advice="plan again")
        self._ready: list[Change] = [self._changes[key] for key, earlier in self._open.items() if not earlier]

    def work(self, pool: ThreadPoolExecutor) -> None:
        under_way: set[Future[Sequence[Outcome]]] = set()
        while self._ready or under_way:
            while batches := self._batches():
                under_way |= {pool.submit(self._make, batch) for batch in batches}
            if under_way:
                finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in finished:
                    for outcome in future.result():
                        self._end(outcome)
        for change in self._changes.values():
            if change.key not in self.outcomes:
                self._end(Outcome(change, State.FAILED, "its steps wait for one another; plan again"))

    def _batches(self) -> list[list[Change]]:
        """What can be made now, grouped; what is in force already or cannot be made any more has ended."""
        ready, self._ready = self._ready, []
        batches: dict[str, list[Change]] = {}
        for change in ready:
            state = self._journal.states.get(change.key)
            missing = next((self._missing[name] for name in change.needs if name in self._missing), None)
            if state is not None and state.in_force:
                self._end(Outcome(change, state))
            elif missing is not None:
                why = f"it needs {missing.change}, which was not done"
                self._journal.note((change.key,), State.SKIPPED, why)
                self._end(Outcome(change, State.SKIPPED, why))
            else:
                shared = change.resource.kind in _SHARED
                batches.setdefault(change.resource.place if shared else change.key, []).append(change)
        return list(batches.values())

    def _make(self, batch: Sequence[Change]) -> Sequence[Outcome]:
        self._journal.note((change.key for change in batch), State.BEGUN)
        try:
            outcomes = self._resources.change(batch)
        except RolecallError as error:
            outcomes = [Outcome(change, State.FAILED, str(error)) for change in batch]
        except Exception as error:
            # A fault of ours in one step must not leave the others half done; the log has the rest.
            log.exception("steps %s", [change.key for change in batch])
            outcomes = [Outcome(change, State.FAILED, f"{type(error).__name__}: {error}") for change in batch]
        restore = {outcome.change.key: outcome.restore for outcome in outcomes if outcome.restore}
        by_end: dict[tuple[State, str], list[str]] = {}
        for outcome in outcomes:
            by_end.setdefault((outcome.state, outcome.why), []).append(outcome.change.key)
        for (state, why), keys in by_end.items():
            self._journal.note(keys, state, why, {key: restore[key] for key in keys if key in restore})
        return outcomes

    def _end(self, outcome: Outcome) -> None:
        change = outcome.change
        self.outcomes[change.key] = outcome
        for name in (change.key, *change.gates):
            self._parts[name] -= 1
            if not outcome.state.in_force:
                self._missing.setdefault(name, outcome)
            for later in self._waiting_for.get(name, ()) if not self._parts[name] else ():
                self._open[later].discard(name)
                if not self._open[later]:
                    self._ready.append(self._changes[later])
        self._progress(outcome)


def compared(change: Change, current: Value | None) -> State | None:
    """Whether a change is in force already, in conflict with somebody else's, or, with ``None``, to be made."""
    kind = change.resource.kind
    if same_value(kind, current, change.after):
        return State.ALREADY
    if same_value(kind, current, change.before) or between(kind, current, change.before, change.after):
        return None
    return State.CONFLICT
