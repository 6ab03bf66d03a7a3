"""The objects of one cluster: in memory for reading, in SQLite for good, with the history that watches need.

Everything is synchronous: nothing can come between reading an object and writing it, so no update is ever lost. Every
write is committed before it is answered.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Key = tuple[str, str]  # group and plural name of a resource
Object = Mapping[str, Any]
HISTORY = 5_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    grp TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (grp, plural, namespace, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One change. ``type``: ADDED, MODIFIED or DELETED; ``old`` is the object before it, if there was one."""

    version: int
    type: str
    key: Key
    object: Object
    old: Object | None


class ObjectStore:
    """Objects by resource, namespace and name. Objects are never changed in place.

    :ivar version: the last resourceVersion given out.
    """

    def __init__(self, path: Path | str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=16)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA cache_size=-256")
        self._connection.executescript(_SCHEMA)
        self._objects: dict[Key, dict[tuple[str, str], Object]] = {}
        for group, plural, namespace, name, body in self._connection.execute("SELECT * FROM objects"):
            self._objects.setdefault((group, plural), {})[namespace, name] = json.loads(body)
        row = self._connection.execute("SELECT version FROM counter").fetchone()
        self.version: int = row[0] if row else 0
        # A resource's objects changed at this version; what is derived from them is compared with it.
        self._changed: dict[Key, int] = {}
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._oldest = self.version
        self._listeners: set[Callable[[Event], None]] = set()
        self._open = 0
        self._pending: list[Event] = []

    def get(self, key: Key, namespace: str, name: str) -> Object | None:
        return self._objects.get(key, {}).get((namespace, name))

    def listed(self, key: Key, namespace: str = "") -> list[Object]:
        """Objects in the order of namespace and name; of every namespace if none is given."""
        found = self._objects.get(key, {})
        return [found[place] for place in sorted(found) if not namespace or place[0] == namespace]

    def changed(self, key: Key) -> int:
        """The version at which an object of this resource was changed last, since the store was opened."""
        return self._changed.get(key, 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several writes, all or none; watchers hear of them after the commit."""
        if self._open:
            self._open += 1
            try:
                yield
            finally:
                self._open -= 1
            return
        before_version, before = self.version, None
        self._open, self._pending = 1, []
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("INSERT OR REPLACE INTO counter VALUES (1, ?)", (self.version,))
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            before = self._pending
            raise
        finally:
            self._open = 0
            if before is not None:
                self._undo(before, before_version)
        for event in self._pending:
            self._publish(event)
        self._pending = []

    def put(self, key: Key, found: Mapping[str, Any]) -> Object:
        """Write an object under its own name and namespace with a new resourceVersion, and return it."""
        with self.transaction():
            metadata = found["metadata"]
            place = metadata.get("namespace", ""), metadata["name"]
            self.version += 1
            stored = {**found, "metadata": {**metadata, "resourceVersion": str(self.version)}}
            self._connection.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
                (*key, *place, json.dumps(stored, separators=(",", ":"))),
            )
            objects = self._objects.setdefault(key, {})
            old = objects.get(place)
            objects[place] = stored
            self._pending.append(Event(self.version, "MODIFIED" if old else "ADDED", key, stored, old))
        return stored

    def remove(self, key: Key, namespace: str, name: str) -> Object:
        """Remove an object; what was removed, with the version of its removal."""
        with self.transaction():
            self.version += 1
            self._connection.execute(
                "DELETE FROM objects WHERE grp = ? AND plural = ? AND namespace = ? AND name = ?",
                (*key, namespace, name),
            )
            old = self._objects[key].pop((namespace, name))
            gone = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.version)}}
            self._pending.append(Event(self.version, "DELETED", key, gone, old))
        return gone

    def since(self, version: int, key: Key) -> list[Event] | None:
        """The changes of a resource after ``version``; ``None`` if they are no longer known."""
        if version < self._oldest or version > self.version:
            return None
        return [event for event in self._history if event.version > version and event.key == key]

    @contextmanager
    def subscribed(self, listener: Callable[[Event], None]) -> Iterator[None]:
        """Have ``listener`` called with every change while the block runs."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        self._connection.close()

    def _publish(self, event: Event) -> None:
        if len(self._history) == HISTORY:
            self._oldest = self._history[0].version
        self._history.append(event)
        self._changed[event.key] = event.version
        for listener in list(self._listeners):
            listener(event)

    def _undo(self, events: list[Event], version: int) -> None:
        for event in reversed(events):
            metadata = event.object["metadata"]
            place = metadata.get("namespace", ""), metadata["name"]
            if event.old is None:
                self._objects[event.key].pop(place, None)
            else:
                self._objects[event.key][place] = event.old
        self.version, self._pending = version, []
