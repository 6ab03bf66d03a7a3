"""The lab's own view of a real API server: requests as its administrator, and mirrors of what it watches."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
MAX_LINE = 4 * 1024 * 1024
REQUEST_SECONDS = 30.0
# An API server ends a watch by itself after 30 to 60 minutes; a connection that is silent for longer is a dead one.
WATCH_SECONDS = 300
RETRY_SECONDS = (0.05, 0.2, 1.0, 2.0)


class ApiError(Exception):
    """A refusal of the API server."""

    def __init__(self, status: int, found: Object) -> None:
        self.status = status
        self.reason = str(found.get("reason", ""))
        super().__init__(f"HTTP {status} {self.reason}: {str(found.get('message', ''))[:300]}")


# What goes away by itself: the server is starting, stopping, or somebody else has written at the same time.
PASSING = (ApiError, aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Client:
    """Requests to one API server."""

    def __init__(self, endpoint: str, context: ssl.SSLContext) -> None:
        self._endpoint = endpoint
        connector = aiohttp.TCPConnector(ssl=context, limit=20)
        # A proxy of the person's own has no business with the loopback interface.
        self._session = aiohttp.ClientSession(connector=connector, trust_env=False, read_bufsize=MAX_LINE)

    async def close(self) -> None:
        await self._session.close()

    async def request(self, method: str, path: str, body: Object | None = None, *, accept: str = "") -> dict[str, Any]:
        """The answer's object; :class:`ApiError` for a refusal."""
        headers = {"Accept": accept or "application/json"}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        url = f"{self._endpoint}{path}"
        async with self._session.request(method, url, data=data, headers=headers, timeout=timeout) as answer:
            found = json.loads(await answer.read() or b"{}")
            if not isinstance(found, dict):
                raise ValueError("the answer is not an object")
            if answer.status >= 400:
                raise ApiError(answer.status, found)
            return found

    async def watch(self, path: str, version: str) -> AsyncIterator[tuple[str, Object]]:
        """Events from a resource version on: type and object."""
        sign = "&" if "?" in path else "?"
        url = f"{self._endpoint}{path}{sign}watch=1&allowWatchBookmarks=true&resourceVersion={version}"
        url += f"&timeoutSeconds={WATCH_SECONDS}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SECONDS + 30)
        async with self._session.get(url, timeout=timeout) as answer:
            if answer.status != 200:
                raise ApiError(answer.status, json.loads(await answer.read() or b"{}"))
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(int(event["object"].get("code", 500)), event["object"])
                yield event["type"], event["object"]


class Mirror:
    """The objects of one collection as the server has them, kept up to date by a watch for as long as it runs.

    :ivar synced: set once the first list has arrived.
    :ivar changed: set at every change; clear it before acting on changes.
    """

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path
        self._objects: dict[tuple[str, str], Object] = {}
        self.synced = asyncio.Event()
        self.changed = asyncio.Event()

    def get(self, namespace: str, name: str) -> Object | None:
        return self._objects.get((namespace, name))

    def listed(self) -> list[Object]:
        """Every object, ordered by namespace and name."""
        return [self._objects[key] for key in sorted(self._objects)]

    async def run(self) -> None:
        """List and watch until cancelled; starts again after a refusal or a broken connection."""
        failures = 0
        while True:
            try:
                version = await self._list()
                failures = 0
                async for kind, found in self._client.watch(self._path, version):
                    self._take(kind, found)
            except PASSING as error:
                log.info("watching %s: %s; starting again", self._path, error)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    async def _list(self) -> str:
        found = await self._client.request("GET", self._path)
        # Items of a list say neither their kind nor their version.
        kind, version = str(found["kind"]).removesuffix("List"), found["apiVersion"]
        items = [{"apiVersion": version, "kind": kind, **item} for item in found.get("items") or ()]
        self._objects = {_key(item): item for item in items}
        self.synced.set()
        self.changed.set()
        return str(found["metadata"]["resourceVersion"])

    def _take(self, kind: str, found: Object) -> None:
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self._objects.pop(_key(found), None)
        else:
            self._objects[_key(found)] = found
        self.changed.set()


def _key(found: Object) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]
