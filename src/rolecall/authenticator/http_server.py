"""HTTP/1.1 for a webhook: small bodies, short answers, many connections that stay open.

aiohttp's parser in C reads the requests; what its web server adds on top (a task and a dozen objects a request) costs
more than all that this server does with one. Bounded: line, headers, body, requests waiting on a connection,
connections, and time for each of them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from rolecall.authenticator.http_parsing import FlowControl, body_of, request_parser

log = logging.getLogger(__name__)

MAX_BODY = 262_144
MAX_WAITING = 32
MAX_CONNECTIONS = 8_192
IDLE_SECONDS = 120.0
REQUEST_SECONDS = 20.0
HANDSHAKE_SECONDS = 10.0
SWEEP_SECONDS = 1.0
JSON = "application/json; charset=UTF-8"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body is there.

    :param path: without the query.
    :param client: the peer's address.
    :param port: the peer's port.
    """

    method: str
    path: str
    body: bytes
    client: str
    user_agent: str = ""
    port: int = 0

    @property
    def peer(self) -> str:
        """Address and port of the client, as Go writes them."""
        return f"[{self.client}]:{self.port}" if ":" in self.client else f"{self.client}:{self.port}"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: str = ""

    def head(self, keep_alive: bool) -> bytes:
        connection = "" if keep_alive else "Connection: close\r\n"
        return (
            f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, '')}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n{self.headers}{connection}\r\n"
        ).encode("latin-1")


Handle = Callable[[Request], "Response | Coroutine[Any, Any, Response]"]


class Connection(asyncio.Protocol):
    """One client. Answers leave in the order of the requests."""

    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._server = server
        self._flow = FlowControl()
        self._parser = request_parser(loop, self._flow, MAX_BODY)
        self._transport: Any = None
        self._client, self._port = "", 0
        self._waiting: deque[tuple[Any, StreamReader]] = deque()
        self._task: asyncio.Task[None] | None = None
        # When the connection has to have got on: in the middle of a request sooner than between two. It is set by the
        # first byte of a request and not by the next ones, so that sending them one by one gains nothing.
        self.deadline = loop.time() + REQUEST_SECONDS
        self._reading = False
        self._closing = False

    @property
    def busy(self) -> bool:
        """Whether an answer is owed."""
        return self._task is not None or bool(self._waiting)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._client, self._port = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else ("", 0)
        if not self._server.admit(self):
            self._transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self._server.forget(self)
        # An answer under way is finished all the same: others may wait for the same token, and it is recorded.
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if not self._reading:
            self._reading = True
            self.deadline = self._loop.time() + REQUEST_SECONDS
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._refuse(400, _first_line(error.message))
            return
        except Exception:
            # The parser is C code that meets whatever the network sends: no input may cost more than its connection.
            log.warning("a request could not be parsed")
            self._refuse(400, "the request cannot be read")
            return
        self._waiting.extend(messages)
        if upgraded or len(self._waiting) > MAX_WAITING:
            self._refuse(400, "an upgrade is not possible" if upgraded else "too many requests at once")
            return
        self._advance()

    def eof_received(self) -> bool | None:
        # A client may shut its side down and still read the answer that it is owed.
        self._closing = True
        return self.busy

    def _advance(self) -> None:
        """Handle requests that are complete, until one takes its time."""
        while self._waiting and self._task is None and self._transport is not None:
            message, payload = self._waiting[0]
            if self._flow.over or payload.total_bytes > MAX_BODY or _content_length(message) > MAX_BODY:
                self._refuse(413, f"the request is longer than {MAX_BODY} bytes")
                return
            if not payload.is_eof():
                return
            self._waiting.popleft()
            request = Request(
                message.method,
                message.path.partition("?")[0],
                body_of(payload),
                self._client,
                message.headers.get("User-Agent", ""),
                self._port,
            )
            keep_alive = not message.should_close and not self._server.draining
            answer = self._server.handle(request)
            if isinstance(answer, Response):
                self._send(answer, keep_alive)
            else:
                self._task = self._loop.create_task(self._later(answer, keep_alive))

    async def _later(self, answer: Coroutine[Any, Any, Response], keep_alive: bool) -> None:
        try:
            response = await answer
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("internal error")
            response, keep_alive = _plain(500, "internal error"), False
        self._task = None
        self._send(response, keep_alive)
        self._advance()

    def _send(self, response: Response, keep_alive: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.write(response.head(keep_alive) + response.body)
        self.deadline, self._reading = self._loop.time() + IDLE_SECONDS, False
        # A client that asks and never reads must not fill the memory with answers.
        if not keep_alive or (self._closing and not self._waiting):
            self._closing = True
            self._waiting.clear()
            transport.close()
        elif transport.get_write_buffer_size() > MAX_BODY:
            transport.abort()

    def _refuse(self, status: int, text: str) -> None:
        self._waiting.clear()
        self._closing = True
        if self._task is None:
            self._send(_plain(status, text), keep_alive=False)
        elif self._transport is not None:
            self._transport.close()

    def shut(self, *, now: bool = False) -> None:
        """Close at once, or as soon as no answer is owed any more."""
        transport = self._transport
        if transport is None:
            return
        if now:
            transport.abort()
        elif not self.busy:
            transport.close()


class HttpServer:
    """Accepts connections and hands their requests to ``handle``, which answers at once or with a coroutine."""

    def __init__(self, handle: Handle) -> None:
        self.handle = self._guarded(handle)
        self.draining = False
        self._connections: set[Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None

    @staticmethod
    def _guarded(handle: Handle) -> Handle:
        def guarded(request: Request) -> Response | Coroutine[Any, Any, Response]:
            try:
                return handle(request)
            except Exception:
                log.exception("internal error in %s", request.path[:100])
                return _plain(500, "internal error")

        return guarded

    async def listen(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept connections on a bound socket."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"ssl": tls, "ssl_handshake_timeout": HANDSHAKE_SECONDS} if tls else {}
        self._listeners.append(
            await loop.create_server(lambda: Connection(self, loop), sock=listening, backlog=1024, **options)
        )
        if self._sweeper is None:
            self._sweeper = loop.create_task(self._sweep())

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more connection."""
        if len(self._connections) >= MAX_CONNECTIONS:
            log.warning("more than %d connections: one is turned away", MAX_CONNECTIONS)
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)

    async def drain(self, seconds: float) -> None:
        """Stop accepting, let answers that are owed leave, then close every connection."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while self._connections and loop.time() < ends:
            for connection in tuple(self._connections):
                connection.shut()
            await asyncio.sleep(0.02)
        for connection in tuple(self._connections):
            connection.shut(now=True)
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection in tuple(self._connections):
                # Whoever waits for an answer is waited with: handlers have bounds of their own.
                if connection.deadline < now and connection._task is None:
                    connection.shut(now=True)


def _content_length(message: Any) -> int:
    text = message.headers.get("Content-Length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else MAX_BODY + 1


def _plain(status: int, text: str) -> Response:
    return Response(status, (text + "\n").encode("utf-8", "replace"), "text/plain; charset=utf-8")


def _first_line(message: str) -> str:
    """The parser's messages show what was sent over several lines; the first says what is wrong."""
    return (message.strip().splitlines() or ["the request cannot be read"])[0][:200]
