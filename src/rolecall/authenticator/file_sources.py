"""Mappings in files: looked at twice a second, read when they have changed.

A ConfigMap mounted into a pod changes by a swapped link, an editor replaces the file, a person writes into it: the
device, inode, size and time of what the path leads to show all of them; inotify would show only some. A file that is
written in place is empty at first and half-written for a while (docs/adr/0009): a version counts once no program has
the file open for writing. Where the system cannot say that, it counts once it has not changed for half a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rolecall.authenticator.mapping_store import MappingStore, Version
from rolecall.authenticator.metrics import Metrics
from rolecall.mapping.backends.access_entry_file import parse_access_entry_file
from rolecall.mapping.backends.chain import ACCESS_ENTRIES, DYNAMIC_FILE, MOUNTED_FILE, AccessEntryBackend, TableBackend
from rolecall.mapping.backends.dynamic_file import parse_dynamic_file
from rolecall.mapping.backends.entry_table import EntryTable, MatchOptions
from rolecall.mapping.backends.server_config import ConfigError, ConfigReading, mode_names, read_server_config
from rolecall.mapping.reading.bounded_yaml import MAX_LENGTH

SECONDS = 0.5
# How soon a file that has changed is looked at again, and how long it must not change if nobody knows who writes.
SETTLE_SECONDS, STILL_SECONDS = 0.15, 0.5
# A program that never closes a file must not hold back what it has written.
HELD_SECONDS = 30.0

State = tuple[int, int, int, int]
Changed = Callable[[str], Callable[[], None] | None]


class WatchedFile:
    """A file and the state it was last seen in.

    :param changed: reads the text of a new version, away from the event loop, and returns what puts it in force.
    :param gone: called when the file is not there, or empty.
    :param unreadable: called with the reason if it is there and cannot be read.
    """

    def __init__(
        self, path: str, changed: Changed, gone: Callable[[], None], unreadable: Callable[[str], None]
    ) -> None:
        self.path = Path(path)
        self._changed = changed
        self._gone = gone
        self._unreadable = unreadable
        self._state: State | str | None = "not looked at yet"
        self._seen: State | None = None
        self._since = 0.0

    @property
    def is_gone(self) -> bool:
        """Whether it was not there, or empty, at the last look."""
        return self._state is None

    def look(self) -> None:
        """Read the file if it is not what it was."""
        if (text := self._look()) is not None and (put := self._changed(text)):
            put()

    def _look(self) -> str | None:
        """The text of a new version; ``None`` if there is none."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                state: State = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                if state == self._state:
                    return None
                with unwritten(file.fileno()) as is_whole:
                    if not self._counts(state, is_whole):
                        return None
                    self._seen = None
                    data = file.read(MAX_LENGTH + 1)
        except FileNotFoundError:
            self._seen = None
            if self._state is not None:
                self._state = None
                self._gone()
            return None
        except OSError as error:
            self._fail(error.strerror or type(error).__name__)
            return None
        return self._read(state, data)

    def _counts(self, state: State, is_whole: bool | None) -> bool:
        """Whether a state that is new is a version: at the first look, if nothing says that it is being written."""
        now = time.monotonic()
        if state != self._seen:
            self._seen, self._since = state, now
            return is_whole is not False and self._state == "not looked at yet"
        still = now - self._since
        return is_whole is True or still >= (HELD_SECONDS if is_whole is False else STILL_SECONDS)

    def _read(self, state: State, data: bytes) -> str | None:
        if not data.strip():
            if self._state is not None:
                self._state = None
                self._gone()
            return None
        if len(data) > MAX_LENGTH:
            self._fail(f"longer than {MAX_LENGTH} bytes")
            return None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._fail("not UTF-8")
            return None
        self._state = state
        return text

    def _fail(self, why: str) -> None:
        if self._state != why:
            self._state = why
            self._unreadable(why)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            # A large map takes seconds to read, and nobody is answered while the loop waits.
            if (text := self._look()) is not None and (put := await asyncio.to_thread(self._changed, text)):
                put()
            await asyncio.sleep(SECONDS if self._seen is None else SETTLE_SECONDS)


@contextlib.contextmanager
def unwritten(descriptor: int) -> Iterator[bool | None]:
    """Whether no program has an open file open for writing, ``None`` if the system does not say; so until the end.

    A read lease is given only if nobody writes, and a writer's ``open`` waits until it is given back: fcntl(2),
    ``F_SETLEASE``. It is for a file's owner and for root, on file systems that have leases.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        yield None
        return
    try:
        # A writer's wish comes as a signal, by default one that ends the process; this one is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        yield False if error.errno == errno.EAGAIN else None
        return
    try:
        yield True
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


class ConfigurationFile:
    """The configuration file after the start: its reserved prefixes, whatever backends there are, and its mappings.

    Other settings count from the next start on, which the log says if they change.
    """

    def __init__(self, path: str, store: MappingStore, options: MatchOptions) -> None:
        self._path = path
        self._store = store
        self._options = options
        self._values: Mapping[str, Any] | None = None
        self._reading: ConfigReading | None = None
        self._is_mapped = False
        self._file = WatchedFile(path, self._changed, self._gone, self._unreadable)

    def look(self) -> None:
        """Read the file if it is not what it was."""
        self._file.look()

    async def run(self) -> None:
        """Look until cancelled."""
        await self._file.run()

    def serve_mappings(self) -> None:
        """MountedFile is among the backends from now on."""
        if not self._is_mapped:
            self._is_mapped = True
            if self._reading is not None:
                self._take(self._reading)
            elif self._file.is_gone:
                self._gone()

    def _changed(self, text: str) -> Callable[[], None]:
        reading = read_server_config(text, self._options, self._path)
        return lambda: self._put(reading)

    def _put(self, reading: ConfigReading) -> None:
        self._reading = reading
        if self._values is not None and self._values != reading.values:
            names = sorted(
                name for name in {*self._values, *reading.values} if self._values.get(name) != reading.values.get(name)
            )
            self._store.note("a setting has changed: restart the server to use it", self._path, ", ".join(names))
        self._values = reading.values
        is_taken = self._take(reading) if self._is_mapped else not reading.problems
        if not reading.problems:
            self._store.set_reserved(reading.reserved)
        elif is_taken:
            # What could not be read may have been a prefix: those before stay in force.
            both = {*self._store.reserved, *reading.reserved}
            self._store.set_reserved(
                {name: (*self._store.reserved.get(name, ()), *reading.reserved.get(name, ())) for name in both}
            )

    def _take(self, reading: ConfigReading) -> bool:
        return self._store.take(Version(reading.backend, self._path, reading.problems, reading.doubts))

    def _gone(self) -> None:
        if self._is_mapped:
            self._store.missing(TableBackend(MOUNTED_FILE, EntryTable(), self._path), self._path)

    def _unreadable(self, why: str) -> None:
        self._store.unreadable(MOUNTED_FILE, self._path, why)


class _Latency:
    """How long changes of a file took to arrive, by the time that its writer put into it."""

    def __init__(self, metrics: Metrics, kind: str) -> None:
        self._metric = metrics.dynamic_latency.labels(kind)
        self._is_first = True

    def observe(self, updated: str) -> None:
        """A version is in force. The first one says when the server was started, not how long a change took."""
        if not self._is_first and re.fullmatch(r"[0-9]{1,12}", updated, re.ASCII):
            self._metric.observe(max(0.0, time.time() - int(updated)))
        self._is_first = False


def dynamic_file(
    path: str, store: MappingStore, options: MatchOptions, metrics: Metrics, *, user_id_strict: bool
) -> WatchedFile:
    """The DynamicFile backend."""
    latency = _Latency(metrics, "dynamic_file")

    def changed(text: str) -> Callable[[], None]:
        found = parse_dynamic_file(text, user_id_strict=user_id_strict, options=options, where=path)

        def put() -> None:
            if store.take(Version(found.backend, path, found.problems, found.doubts)):
                latency.observe(found.updated)

        return put

    def unreadable(why: str) -> None:
        metrics.dynamic_file_failures.inc()
        store.unreadable(DYNAMIC_FILE, path, why)

    empty = TableBackend(DYNAMIC_FILE, EntryTable(), path)
    return WatchedFile(path, changed, lambda: store.missing(empty, path), unreadable)


def access_entry_file(path: str, store: MappingStore) -> WatchedFile:
    """Access entries in a file."""

    def taken(version: Version) -> None:
        store.take(version)

    def changed(text: str) -> Callable[[], None]:
        found = parse_access_entry_file(text)
        version = Version(found.backend, path, found.problems)
        return lambda: taken(version)

    return WatchedFile(
        path,
        changed,
        lambda: store.missing(AccessEntryBackend({}), path),
        lambda why: store.unreadable(ACCESS_ENTRIES, path, why),
    )


def backend_mode_file(
    path: str,
    store: MappingStore,
    metrics: Metrics,
    configured: tuple[str, ...],
    use: Callable[[tuple[str, ...]], None],
) -> WatchedFile:
    """The order of the backends in a file of its own: ``{"BackendMode": "DynamicFile MountedFile"}``.

    Source: aws-iam-authenticator v0.7 ``pkg/server/server.go``, ``CallBackForFileLoad``: JSON, names separated by one
    space each; a file that is gone brings back the configured order. A file that names something else changes nothing.

    :param use: starts to ask these backends; :class:`ConfigError` if one of them cannot be asked.
    """
    latency = _Latency(metrics, "dynamic_backend_mode")

    def changed(text: str) -> Callable[[], None]:
        return lambda: put(text)

    def put(text: str) -> None:
        try:
            found = _members(text)
            use(mode_names(found.get("backendmode", "").split(" ")))
        except ConfigError as error:
            store.unreadable("BackendMode", path, error.what)
        else:
            latency.observe(found.get("lastupdateddatetime", ""))

    return WatchedFile(path, changed, lambda: use(configured), lambda why: store.unreadable("BackendMode", path, why))


def _members(text: str) -> dict[str, str]:
    """The texts of a JSON object by their keys in lower case, as Go finds them."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError("the file is not JSON") from None
    if not isinstance(found, dict):
        raise ConfigError("the file is not a JSON object")
    return {key.lower(): value for key, value in found.items() if isinstance(value, str)}
