"""Load on an authenticator's webhook, cheap enough to share two cores with it: raw connections, requests put together
from parts, one in flight on each connection.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from rolecall.tokens.mint import PREFIX

ANSWERED = b"HTTP/1.1 200"
AUTHENTICATED = b'"authenticated":true'


@dataclass(frozen=True)
class Figures:
    """What a run came to. Times are in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float
    refused: int


class TokenMaker:
    """Requests with tokens that differ in their signature, which no stand-in looks at."""

    def __init__(self, url: str, sts_host: str, cluster: str, scheme: str = "https") -> None:
        where = urlsplit(url)
        date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        query = (
            "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential=ASIAIOSFODNN7EXAMPLE%2F{date[:8]}%2Feu-west-2%2Fsts%2Faws4_request&X-Amz-Date={date}"
            f"&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Security-Token={'A' * 400}"
        )
        call = f"{scheme}://{sts_host}/?{query}"
        # The signature begins at a boundary of base64, so that all before it is encoded once.
        call += "A" * (-(len(call) + len("&X-Amz-Signature=")) % 3) + "&X-Amz-Signature="
        before = '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"'
        self._before = (before + PREFIX).encode() + base64.urlsafe_b64encode(call.encode())
        self._after = b'"}}'
        length = len(self._before) + len(base64.urlsafe_b64encode(b"0" * 64).rstrip(b"=")) + len(self._after)
        self._head = (
            f"POST {where.path or '/authenticate'}?timeout=30s HTTP/1.1\r\nHost: {where.netloc}\r\n"
            "Accept: application/json, */*\r\nContent-Type: application/json\r\n"
            f"User-Agent: kube-apiserver\r\nContent-Length: {length}\r\n\r\n"
        ).encode() + self._before
        self._repeated = self.unique()

    def unique(self) -> bytes:
        """A request with a token that nobody has seen."""
        signature = os.urandom(32).hex().encode()
        return self._head + base64.urlsafe_b64encode(signature).rstrip(b"=") + self._after

    def repeated(self) -> bytes:
        """The same request again and again."""
        return self._repeated


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._run.make())

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._buffer.find(b"ontent-Length: ") + 15
        length = int(self._buffer[at : self._buffer.index(b"\r", at)])
        if len(self._buffer) < end + 4 + length:
            return
        good = self._buffer.startswith(ANSWERED) and AUTHENTICATED in self._buffer
        self._buffer = b""
        if self._run.count(time.perf_counter() - self._sent, good):
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost()


class _Run:
    def __init__(self, make: Callable[[], bytes], connections: int, seconds: float, most: int) -> None:
        self.make = make
        self._times: list[float] = []
        self._refused = 0
        self._left = connections
        self._most = most
        self._ends = time.perf_counter() + seconds
        self.done = asyncio.get_running_loop().create_future()

    def count(self, seconds: float, good: bool) -> bool:
        self._times.append(seconds)
        self._refused += not good
        return len(self._times) < self._most and time.perf_counter() < self._ends

    def lost(self) -> None:
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def figures(self, seconds: float) -> Figures:
        times = sorted(self._times)
        at = [times[min(len(times) - 1, int(len(times) * part))] * 1000 for part in (0.5, 0.99)]
        return Figures(len(times), len(times) / seconds, at[0], at[1], self._refused)


async def load(
    url: str,
    make: Callable[[], bytes],
    *,
    connections: int,
    seconds: float = 1e9,
    most: int = 1 << 60,
    ca_file: str = "",
) -> Figures:
    """Ask until ``seconds`` are over or ``most`` answers are there."""
    where = urlsplit(url)
    tls = None
    if where.scheme == "https":
        tls = ssl.create_default_context(cafile=ca_file or None)
    loop = asyncio.get_running_loop()
    run = _Run(make, connections, seconds, most)
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(run), where.hostname, where.port, ssl=tls)
    await run.done
    return run.figures(time.perf_counter() - started)
