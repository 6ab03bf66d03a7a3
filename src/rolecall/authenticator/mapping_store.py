"""The mappings in force: what each backend last said, and what becomes of a new version that is broken or missing.

A backend's source calls :meth:`MappingStore.take` with every version it sees. A broken one changes nothing, is
reported with its lines, and is in the metrics until a good one comes; a missing one empties nothing unless that was
asked for. docs/adr/0009 says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rolecall.authenticator.decision_log import Log
from rolecall.authenticator.metrics import Metrics
from rolecall.mapping.backends.chain import ACCESS_ENTRIES, DYNAMIC_FILE, AccessEntryBackend, Backend, Chain
from rolecall.mapping.backends.server_config import EMPTY, PARTIAL, ServerSettings
from rolecall.mapping.reading.aws_auth import Problem

MAX_REPORTED = 50


class Source(Protocol):
    """Where a backend's mappings come from: it runs until it is cancelled and hands over what it sees."""

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a backend's mappings.

    :param where: the file or object it was read from.
    :param broken: why it cannot be used; empty if it can.
    """

    backend: Backend
    where: str
    broken: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()


class MappingStore:
    """Holds the chain that answers are given with; replaced as a whole, so an answer sees one state."""

    def __init__(self, settings: ServerSettings, modes: Sequence[str], log: Log, metrics: Metrics) -> None:
        self._settings = settings
        self._modes = tuple(modes)
        self._log = log
        self._metrics = metrics
        self._loaded: dict[str, Backend] = {}
        self._reserved = dict(settings.reserved)
        self.chain = Chain()
        self.generation = 0
        self._rebuild()

    @property
    def pending(self) -> tuple[str, ...]:
        """Backends that have not said anything yet."""
        return tuple(mode for mode in self._modes if mode not in self._loaded)

    @property
    def access_entries(self) -> AccessEntryBackend | None:
        """The access entries in force, which ``/authorize`` decides by."""
        found = self._loaded.get(ACCESS_ENTRIES)
        return found if isinstance(found, AccessEntryBackend) else None

    @property
    def awaits_access_entries(self) -> bool:
        """Whether there are to be access entries, and none have been read yet."""
        return ACCESS_ENTRIES in self._modes and ACCESS_ENTRIES not in self._loaded

    def take(self, version: Version) -> bool:
        """A source has a new version; whether it is in force now."""
        name = version.backend.name
        self._report(name, version.where, "never matches as it stands", version.doubts)
        if version.broken:
            first = name not in self._loaded
            partial = self._settings.broken_map == PARTIAL or first
            outcome = "partial" if partial else "kept"
            what = "only what can be read of it is in force" if partial else "the last good mapping stays in force"
            self._report(name, version.where, what, version.broken, error=True)
            self._metrics.mapping_broken.labels(name).set(1)
            self._metrics.reloads.labels(name, outcome).inc()
            if name == DYNAMIC_FILE:
                self._metrics.dynamic_file_failures.inc()
            if not partial:
                return False
        else:
            self._metrics.mapping_broken.labels(name).set(0)
            self._metrics.reloads.labels(name, "loaded").inc()
            self._log.info("mapping is in force", backend=name, where=version.where)
        self._put(version.backend)
        return True

    def missing(self, empty: Backend, where: str) -> None:
        """A source's file or object is gone. The first time there is nothing to keep."""
        name = empty.name
        if name in self._loaded and self._settings.missing_map != EMPTY:
            self._metrics.mapping_broken.labels(name).set(1)
            self._metrics.reloads.labels(name, "kept").inc()
            self._log.error("mapping is gone: the last good one stays in force", backend=name, where=where)
            return
        self._metrics.reloads.labels(name, "emptied").inc()
        self._log.warning("mapping is gone: there is none in force", backend=name, where=where)
        self._put(empty)

    def unreadable(self, name: str, where: str, why: str) -> None:
        """A source cannot be read at the moment: what was read stays in force."""
        self._metrics.reloads.labels(name, "unreadable").inc()
        self._log.error("mapping cannot be read", backend=name, where=where, error=why)

    def note(self, what: str, where: str, names: str) -> None:
        """Something about a source that changes no mapping, for the log."""
        self._log.warning(what, where=where, names=names)

    @property
    def reserved(self) -> Mapping[str, tuple[str, ...]]:
        """Prefixes that no username may have, by backend."""
        return self._reserved

    def set_reserved(self, reserved: Mapping[str, tuple[str, ...]]) -> None:
        """The prefixes have changed."""
        if dict(reserved) != self._reserved:
            self._reserved = dict(reserved)
            self._log.info("reserved prefixes are in force", backends=",".join(sorted(reserved)))
            self._rebuild()

    def set_modes(self, modes: Sequence[str]) -> None:
        """The order of the backends has changed."""
        if tuple(modes) != self._modes:
            self._modes = tuple(modes)
            self._log.info("backends are asked in another order", modes=",".join(modes))
            self._rebuild()

    def _put(self, backend: Backend) -> None:
        self._loaded[backend.name] = backend
        self._rebuild()

    def _rebuild(self) -> None:
        backends = tuple(self._loaded[mode] for mode in self._modes if mode in self._loaded)
        self.chain = Chain(backends, self._reserved, frozenset(self._settings.scrubbed_accounts))
        self.generation += 1
        self._metrics.dynamic_file_enabled.set(DYNAMIC_FILE in self._modes)
        self._metrics.dynamic_file_only.set(self._modes == (DYNAMIC_FILE,))

    def _report(self, name: str, where: str, what: str, problems: Iterable[Problem], *, error: bool = False) -> None:
        for number, problem in enumerate(problems):
            if number >= MAX_REPORTED:
                self._log.warning("more problems than are shown", backend=name, where=where)
                return
            level = self._log.error if error else self._log.warning
            message = "mapping is broken" if error else "mapping has a line that does nothing"
            place = f"{problem.section} line {problem.line}".strip()
            level(message, backend=name, where=where, line=place, error=problem.text, effect=what)
