"""What a run of ``apply`` was about to do and what it did, written before each step: JSON lines, one file for a run.

The first line is the plan; each later one is what happened to a step. A line counts once it ends in a newline: a
killed process leaves at most half a line, which is cut off when the run is taken up again. Every line is on disk before
the step that it announces is made. One process at a time holds a journal.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any, Self

from rolecall.errors import RolecallError
from rolecall.moments import parse_moment
from rolecall.plan.order import merged, strange_step
from rolecall.plan.resources import Change, Kind, ResourceId
from rolecall.plan.shapes import check_shape
from rolecall.plan.values import same_value

FORMAT = 1
MAX_JOURNAL = 256 * 1024 * 1024
_RUN = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}", re.ASCII)


class JournalError(RolecallError):
    """A journal cannot be found, read, or held."""


class State(StrEnum):
    """What happened to a step.

    BEGUN without a later state: nobody knows whether it was made, the world must be asked.
    """

    BEGUN = "begun"
    DONE = "done"
    ALREADY = "already"
    CONFLICT = "conflict"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def in_force(self) -> bool:
        """Whether the step's new value was in the world when the step ended."""
        return self in (State.DONE, State.ALREADY)


@dataclass(frozen=True, slots=True)
class Run:
    """What is fixed about a run.

    :param name: ``20261125T021530Z-4f2a9c``: when it began, and six random digits.
    :param what: the command in words, for lists: ``apply access.yaml``, ``undo 2026...``.
    :param caller: the canonical ARN of the principal that ran it.
    :param undoes: the name of the run that this one undoes, or empty.
    :param reach: how its accounts and clusters are reached, so that an undo needs no file; never a secret.
    :param why: the reason that the person gave, or empty.
    :param allowed: the refusals that were overridden, as ``--allow`` names them, so that it can be resumed.
    """

    name: str
    what: str
    caller: str
    at: str
    changes: tuple[Change, ...]
    undoes: str = ""
    reach: Mapping[str, Any] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()
    why: str = ""


def new_run_name(now: datetime) -> str:
    """A name for a run that begins ``now`` (UTC)."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def runs_folder(environment: Mapping[str, str]) -> Path:
    """Where journals are kept: ``$XDG_STATE_HOME/rolecall/runs``, else below ``~/.local/state``."""
    state = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".local/state")
    return Path(state) / "rolecall" / "runs"


@dataclass(slots=True)
class Journal:
    """An open journal, held by this process. Safe to write to from several threads."""

    run: Run
    states: dict[str, State]
    _path: Path
    _file: FileIO
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    @contextmanager
    def create(cls, folder: Path, run: Run) -> Iterator[Self]:
        """Begin a journal; the plan is on disk when this returns.

        :raises JournalError: where it cannot be written.
        """
        path = _path(folder, run.name)
        # It gets its name once the plan is in it: a process that is killed before leaves no run that nobody can read.
        unnamed = path.with_name(f".{path.name}.new")
        with ExitStack() as stack:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                file = stack.enter_context(os.fdopen(descriptor, "ab", buffering=0))
                try:
                    _hold(file, run.name)
                    journal = cls(run, {}, path, file)
                    journal._write({"format": FORMAT, **asdict(run)})
                    os.link(unnamed, path)
                finally:
                    unnamed.unlink()
                _sync_folder(folder)
            except OSError as error:
                raise _unwritable(folder, error, "nothing was changed") from error
            yield journal

    @classmethod
    @contextmanager
    def reopen(cls, folder: Path, name: str) -> Iterator[Self]:
        """Take up a run that ended before its end; half a line at the end is cut off."""
        path = _path(folder, name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise _missing(folder, name) from error
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            _hold(file, name)
            recorded, states, whole = _read(path)
            file.truncate(whole)
            yield cls(recorded.run, states, path, file)

    def go_on(self, steps: Iterable[Change], reach: Mapping[str, Any] | None = None) -> None:
        """Make the steps that are left in the order of ``steps``, and wait for what those wait for.

        :param steps: those of the run that are not in force, by their keys; what the file says of their order is not
            used.
        :param reach: how places are reached from now on.
        :raises JournalError: the journal has gone on since the steps were taken from it.
        """
        steps = tuple(steps)
        keys = {step.key for step in steps}
        left = {key for change in self.run.changes if not self._is_in_force(key := change.key)}
        if keys != left:
            raise JournalError(f"run {self.run.name} has gone on meanwhile", advice=f"rolecall resume {self.run.name}")
        ended = (replace(one, needs=(), follows=(), gates=()) for one in self.run.changes if one.key not in keys)
        self.run = replace(self.run, changes=(*ended, *steps), reach=self.run.reach if reach is None else reach)

    def _is_in_force(self, key: str) -> bool:
        return (state := self.states.get(key)) is not None and state.in_force

    def note(self, keys: Iterable[str], state: State, why: str = "", restore: Mapping[str, str] | None = None) -> None:
        """Record what happens to steps; on disk when this returns.

        :param restore: by key of a step, what its undo needs to put things back as they were written.
        """
        keys = tuple(keys)
        more = {name: value for name, value in (("why", why), ("restore", restore)) if value}
        with self._lock:
            try:
                self._write({"steps": keys, "state": state.value, **more})
            except OSError as error:
                name = self.run.name
                advice = f"once it can: rolecall resume {name}; or undo it: rolecall undo {name}"
                raise _unwritable(self._path, error, "no further step is made", advice) from error
            self.states.update(dict.fromkeys(keys, state))

    def _write(self, line: Mapping[str, Any]) -> None:
        content = memoryview(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        whole = os.fstat(self._file.fileno()).st_size
        try:
            while content:
                content = content[self._file.write(content) or 0 :]
            os.fsync(self._file.fileno())
        except OSError:
            # Half a line in the middle would make the rest unreadable.
            self._file.truncate(whole)
            raise


@dataclass(frozen=True, slots=True)
class Recorded:
    """A journal as read: the run, and of each step that has one the last state.

    :param restore: what the undo of a step needs, by the step's key.
    :param why: why a step was not made, by its key.
    """

    run: Run
    states: Mapping[str, State]
    restore: Mapping[str, str]
    why: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether every step's new value is in force."""
        return not self.left()

    def left(self) -> tuple[Change, ...]:
        """The steps that a resumed run has still to make."""
        return tuple(c for c in self.run.changes if (s := self.states.get(c.key)) is None or not s.in_force)

    def made(self) -> tuple[Change, ...]:
        """The steps that are, or may be, in the world: an undo asks it about those that only began."""
        counted = (State.DONE, State.BEGUN)
        return tuple(
            replace(change, text=self.restore.get(change.key, change.text))
            for change in self.run.changes
            if self.states.get(change.key) in counted
        )


def completed_by(recorded: Recorded, later: Iterable[Recorded]) -> str:
    """The name of the first later run after which everything that ``recorded`` left undone was done; else empty."""
    left = {change.resource: change for change in merged(recorded.left())}
    for run in later:
        for change in run.run.changes:
            state, wanted = run.states.get(change.key), left.get(change.resource)
            done = state is not None and state.in_force
            if wanted is not None and done and same_value(change.resource.kind, wanted.after, change.after):
                del left[change.resource]
        if not left:
            return run.run.name
    return ""


def made_for(file: str, runs: Iterable[Recorded]) -> tuple[ResourceId, ...]:
    """What the runs of one access file created and no later run of anybody deleted, as far as journals tell.

    :param file: its path, as ``reach`` has it under ``file``.
    :param runs: the oldest first.
    """
    found: dict[ResourceId, None] = {}
    for one in runs:
        for change in merged(one.made()):
            if change.after is None:
                found.pop(change.resource, None)
            elif change.before is None and one.run.reach.get("file") == file:
                found[change.resource] = None
    return tuple(found)


def read_run(folder: Path, name: str) -> Recorded:
    """A run by its name; :class:`JournalError` where there is none."""
    path = _path(folder, name)
    if not path.is_file():
        raise _missing(folder, name)
    recorded, _, _ = _read(path)
    return recorded


def run_names(folder: Path) -> list[str]:
    """The names of all runs, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path.stem for path in folder.glob("*.jsonl") if _RUN.fullmatch(path.stem))


def _path(folder: Path, name: str) -> Path:
    if not _RUN.fullmatch(name):
        raise JournalError(f"{name[:60]!r} is not the name of a run", advice="see: rolecall runs")
    return folder / f"{name}.jsonl"


def _unwritable(where: Path, error: OSError, so: str, advice: str = "") -> JournalError:
    why = (error.strerror or str(error)).lower()
    advice = advice or "make room for it or another place: XDG_STATE_HOME names the folder of state files"
    return JournalError(f"the journal cannot be written ({why}), so {so}", where=str(where), advice=advice)


def _missing(folder: Path, name: str) -> JournalError:
    return JournalError(f"there is no run {name}", where=str(folder), advice="see: rolecall runs")


def _hold(file: FileIO, name: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(
            f"run {name} is being worked on by another process", advice="wait until it ends, or stop it"
        ) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> tuple[Recorded, dict[str, State], int]:
    """A journal, its states to be written on, and how many bytes of it are whole lines."""
    if path.stat().st_size > MAX_JOURNAL:
        raise JournalError("the journal is larger than any run writes", where=str(path))
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    lines = content[:whole].split(b"\n")[:-1]
    try:
        run = _head(json.loads(lines[0]), path)
        states: dict[str, State] = {}
        restore: dict[str, str] = {}
        why: dict[str, str] = {}
        unsure: set[str] = set()
        for line in lines[1:]:
            found = json.loads(line)
            state = State(found["state"])
            for key in found["steps"]:
                if state is State.BEGUN and states.get(key) is State.BEGUN:
                    unsure.add(key)
                # Killed between the change and the line that says so: what is found made was made by this run.
                why[key] = str(found.get("why", ""))
                states[key] = State.DONE if state is State.ALREADY and key in unsure else state
            restore.update({key: _text(text) for key, text in found.get("restore", {}).items()})
        return Recorded(run, states, restore, why), states, whole
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        advice = "move the file away; other runs can be named"
        why_not = str(error) or type(error).__name__
        raise JournalError(f"the journal cannot be read: {why_not}", where=str(path), advice=advice) from error


def _head(found: Any, path: Path) -> Run:
    """What a journal's first line says, every member of the type and form that it is written in."""
    if found.pop("format") != FORMAT:
        advice = "use the rolecall that wrote it, or move the file away; other runs can be named"
        raise JournalError("the journal is of another version of rolecall", where=str(path), advice=advice)
    changes = tuple(change_from_json(change) for change in found.pop("changes"))
    if len({change.key for change in changes}) != len(changes):
        raise ValueError("two steps have one key")
    if (strange := strange_step(changes)) is not None:
        raise ValueError(f"the steps of {strange} are not those of a run")
    texts = {key: _text(found.pop(key)) for key in ("name", "what", "caller", "at", "undoes")}
    texts["why"] = _text(found.pop("why", ""))
    if texts["name"] != path.stem:
        raise ValueError(f"it is of the run {texts['name'][:60]!r}")
    parse_moment(texts["at"])
    reach, allowed = dict(found.pop("reach")), tuple(_text(one) for one in found.pop("allowed", ()))
    if found:
        raise ValueError(f"it has a member that no run has: {min(found)[:60]!r}")
    return Run(changes=changes, reach=reach, allowed=allowed, **texts)


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError(f"{str(found)[:60]!r} is not a text")
    return found


def change_from_json(found: Mapping[str, Any]) -> Change:
    """The change that ``dataclasses.asdict`` wrote."""
    resource = ResourceId(Kind(found["resource"]["kind"]), found["resource"]["place"], found["resource"]["name"])
    for value in (found["before"], found["after"]):
        check_shape(resource, value)
    needs, follows, gates = (tuple(_text(one) for one in found[name]) for name in ("needs", "follows", "gates"))
    key, text = _text(found["key"]), _text(found["text"])
    return Change(key, resource, found["before"], found["after"], needs, follows, text, gates)
