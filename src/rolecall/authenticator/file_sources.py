"""Mappings in files: looked at twice a second, read when they have changed.

A ConfigMap mounted into a pod changes by a swapped link, an editor replaces the file, a person writes into it: the
device, inode, size and time of what the path leads to tell all of them. inotify would tell only some. Whoever writes
into the file itself empties it first: a version counts once it has stood still for a moment, and an empty one is none.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from rolecall.authenticator.mapping_store import MappingStore, Version
from rolecall.authenticator.metrics import Metrics
from rolecall.mapping.backends.access_entry_file import parse_access_entry_file
from rolecall.mapping.backends.chain import ACCESS_ENTRIES, DYNAMIC_FILE, MOUNTED_FILE, AccessEntryBackend, TableBackend
from rolecall.mapping.backends.dynamic_file import parse_dynamic_file
from rolecall.mapping.backends.entry_table import EntryTable, MatchOptions
from rolecall.mapping.backends.server_config import ConfigError, mode_names, read_server_config
from rolecall.mapping.reading.bounded_yaml import MAX_LENGTH, UnreadableYamlError, by_lower_key, compose

SECONDS = 0.5
SETTLE_SECONDS = 0.15

State = tuple[int, int, int, int]


class WatchedFile:
    """A file and the state it was last seen in.

    :param changed: called with the text of every new version.
    :param gone: called when the file is not there, or empty.
    :param unreadable: called with the reason where it is there and cannot be read.
    """

    def __init__(
        self, path: str, changed: Callable[[str], None], gone: Callable[[], None], unreadable: Callable[[str], None]
    ) -> None:
        self.path = Path(path)
        self._changed = changed
        self._gone = gone
        self._unreadable = unreadable
        self._state: State | str | None = "not looked at yet"
        self._seen: State | None = None
        self._is_first = True

    def look(self) -> None:
        """Read the file where it is not what it was."""
        is_first, self._is_first = self._is_first, False
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                state: State = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                if state == self._state:
                    return
                is_still, self._seen = is_first or state == self._seen, state
                if not is_still:
                    return
                self._seen = None
                data = file.read(MAX_LENGTH + 1)
        except FileNotFoundError:
            self._seen = None
            if self._state is not None:
                self._state = None
                self._gone()
            return
        except OSError as error:
            self._fail(error.strerror or type(error).__name__)
            return
        if not data.strip():
            if self._state is not None:
                self._state = None
                self._gone()
            return
        if len(data) > MAX_LENGTH:
            self._fail(f"longer than {MAX_LENGTH} bytes")
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._fail("not UTF-8")
            return
        self._state = state
        self._changed(text)

    def _fail(self, why: str) -> None:
        if self._state != why:
            self._state = why
            self._unreadable(why)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(SECONDS if self._seen is None else SETTLE_SECONDS)


def mounted_file(path: str, store: MappingStore, options: MatchOptions) -> WatchedFile:
    """The configuration file's ``mapRoles``, ``mapUsers``, ``mapAccounts`` and reserved prefixes."""

    def changed(text: str) -> None:
        reading = read_server_config(text, options, path)
        if store.take(Version(reading.backend, path, reading.problems, reading.doubts)):
            store.set_reserved(reading.reserved)

    return WatchedFile(
        path,
        changed,
        lambda: store.missing(TableBackend(MOUNTED_FILE, EntryTable(), path), path),
        lambda why: store.unreadable(MOUNTED_FILE, path, why),
    )


def dynamic_file(
    path: str, store: MappingStore, options: MatchOptions, metrics: Metrics, *, user_id_strict: bool
) -> WatchedFile:
    """The DynamicFile backend."""
    first = True

    def changed(text: str) -> None:
        nonlocal first
        found = parse_dynamic_file(text, user_id_strict=user_id_strict, options=options, where=path)
        if store.take(Version(found.backend, path, found.problems, found.doubts)):
            # The first reading says when the server was started, not how long a change took.
            if not first and found.updated.isascii() and found.updated.isdigit():
                metrics.dynamic_latency.labels("dynamic_file").observe(max(0.0, time.time() - int(found.updated)))
            first = False

    def unreadable(why: str) -> None:
        metrics.dynamic_file_failures.inc()
        store.unreadable(DYNAMIC_FILE, path, why)

    empty = TableBackend(DYNAMIC_FILE, EntryTable(), path)
    return WatchedFile(path, changed, lambda: store.missing(empty, path), unreadable)


def access_entry_file(path: str, store: MappingStore) -> WatchedFile:
    """Access entries in a file."""

    def changed(text: str) -> None:
        found = parse_access_entry_file(text)
        store.take(Version(found.backend, path, found.problems))

    return WatchedFile(
        path,
        changed,
        lambda: store.missing(AccessEntryBackend({}), path),
        lambda why: store.unreadable(ACCESS_ENTRIES, path, why),
    )


def backend_mode_file(path: str, store: MappingStore, modes: tuple[str, ...]) -> WatchedFile:
    """The order of the backends in a file of its own: ``{"BackendMode": "DynamicFile MountedFile"}``.

    Source: aws-iam-authenticator v0.7 ``pkg/server/server.go``, ``CallBackForFileLoad``: names separated by spaces; a
    file that is gone brings back the configured order. Only backends that were configured can be named, because only
    their sources run.
    """

    def changed(text: str) -> None:
        try:
            node = compose(text)
            value = by_lower_key(node)["backendmode"].value if node is not None else ""
            wanted = mode_names(str(value).replace(",", " ").split())
            missing = [name for name in wanted if name not in modes]
            if missing:
                raise ConfigError(f"{', '.join(missing)} is not among the backends the server was started with")
        except (UnreadableYamlError, ConfigError) as error:
            store.unreadable("BackendMode", path, error.what)
        except KeyError:
            store.unreadable("BackendMode", path, "BackendMode is missing")
        else:
            store.set_modes(wanted)

    return WatchedFile(
        path, changed, lambda: store.set_modes(modes), lambda why: store.unreadable("BackendMode", path, why)
    )
