"""Watches: what is there, then every change, as long as the client listens.

Source: Kubernetes documentation, "Kubernetes API Concepts", efficient detection of changes, watch bookmarks,
streaming lists.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.lab.kubernetes.kinds import Resource
from rolecall.lab.kubernetes.requests import ApiRequest
from rolecall.lab.kubernetes.selectors import Selector
from rolecall.lab.kubernetes.status import expired
from rolecall.lab.kubernetes.store import Event, ObjectStore

DEFAULT_SECONDS = 1_800
MAX_SECONDS = 3_600
BOOKMARK_SECONDS = 60.0
# A watcher that does not keep up is disconnected; it lists and watches again, as with the real server.
MAX_PENDING = 2_000
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

WatchEvent = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Watched:
    """Which objects a watch is about."""

    resource: Resource
    namespace: str
    selects: Selector

    def concerns(self, event: Event) -> bool:
        return event.key == self.resource.key and (
            not self.namespace or event.object["metadata"].get("namespace", "") == self.namespace
        )

    def seen(self, event: Event) -> tuple[str, Mapping[str, Any]] | None:
        """How the watcher sees a change: an object that comes to be selected is ADDED, one that ceases is DELETED."""
        is_selected = event.type != "DELETED" and self.selects(event.object)
        was_selected = event.old is not None and self.selects(event.old)
        if is_selected:
            return ("MODIFIED" if was_selected else "ADDED"), event.object
        return ("DELETED", event.object) if was_selected else None


async def events(
    store: ObjectStore, watched: Watched, request: ApiRequest, shown: Callable[[Mapping[str, Any]], Any]
) -> AsyncIterator[WatchEvent]:
    """The events of a watch until its time is over. ``shown``: the object in the form the client asked for."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + min(request.number("timeoutSeconds") or DEFAULT_SECONDS, MAX_SECONDS)
    bookmarks = request.flag("allowWatchBookmarks")
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def listen(event: Event) -> None:
        if watched.concerns(event):
            # None means that the watcher has fallen behind.
            queue.put_nowait(event if queue.qsize() < MAX_PENDING else None)

    with store.subscribed(listen):
        beginning = list(_beginning(store, watched, request, shown))
        for found in beginning:
            yield found
        if beginning and beginning[-1]["type"] == "ERROR":
            return
        while (left := ends - loop.time()) > 0:
            try:
                event = await asyncio.wait_for(queue.get(), min(left, BOOKMARK_SECONDS))
            except TimeoutError:
                if bookmarks and left > BOOKMARK_SECONDS:
                    yield bookmark(watched.resource, store.version)
                continue
            if event is None:
                return
            if (change := watched.seen(event)) is not None:
                yield {"type": change[0], "object": shown(change[1])}


def _beginning(
    store: ObjectStore, watched: Watched, request: ApiRequest, shown: Callable[[Mapping[str, Any]], Any]
) -> list[WatchEvent]:
    given = request.parameters.get("resourceVersion", "")
    initial = request.flag("sendInitialEvents")
    if initial or given in ("", "0"):
        found = [
            {"type": "ADDED", "object": shown(one)}
            for one in store.listed(watched.resource.key, watched.namespace)
            if watched.selects(one)
        ]
        if initial and request.flag("allowWatchBookmarks"):
            found.append(bookmark(watched.resource, store.version, {INITIAL_EVENTS_END: "true"}))
        return found
    version = request.number("resourceVersion") or 0
    missed = store.since(version, watched.resource.key)
    if missed is None:
        error = expired(f"too old resource version: {version} ({store.version})")
        return [{"type": "ERROR", "object": error.to_status()}]
    seen = [watched.seen(event) for event in missed if watched.concerns(event)]
    return [{"type": change[0], "object": shown(change[1])} for change in seen if change is not None]


def bookmark(resource: Resource, version: int, annotations: Mapping[str, str] | None = None) -> WatchEvent:
    """An event that carries a version and nothing else."""
    metadata: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "type": "BOOKMARK",
        "object": {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata},
    }
