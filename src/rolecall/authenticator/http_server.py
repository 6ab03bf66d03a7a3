"""HTTP/1.1 for a webhook: small bodies, short answers, many connections that stay open.

Everything that a client sends is bounded while it arrives: line, headers, body, requests that wait, what one connection
and what all of them hold, connections (from their first byte on, before the handshake), and the time for each step. A
client is read from only as fast as it is answered: what it sends in the meantime stays in the kernel, which keeps a
bounded amount for each connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from rolecall.authenticator.connection_limits import MAX_CONNECTIONS, ConnectionLimits
from rolecall.authenticator.http_parsing import MessageError, ParsedRequest, RequestReader
from rolecall.authenticator.tls_channel import TlsChannel

log = logging.getLogger(__name__)

MAX_BODY = 262_144
MAX_WAITING = 32
# Answers that a client has not read; beyond this no further request of its is answered.
MAX_UNREAD = 65_536
# What the kernel keeps of a client that sends while it is not read from (socket(7): it doubles the figure).
RECEIVE_BUFFER = 32_768
IDLE_SECONDS = 120.0
REQUEST_SECONDS = 20.0
HANDSHAKE_SECONDS = 10.0
SWEEP_SECONDS = 1.0
TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=UTF-8"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


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
    """An answer.

    :param confirmed: whether STS has confirmed an identity for it; such a client's connection is the last to be closed
        for others.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: str = ""
    confirmed: bool = False

    def head(self, keep_alive: bool) -> bytes:
        connection = "" if keep_alive else "Connection: close\r\n"
        return (
            f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, '')}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n{self.headers}{connection}\r\n"
        ).encode("latin-1")


Handle = Callable[[Request], "Response | Coroutine[Any, Any, Response]"]


class Connection(asyncio.Protocol):
    """One client. Answers leave in the order of the requests."""

    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None) -> None:
        self._loop = loop
        self._server = server
        self._limits = server.limits
        self._reader = RequestReader(MAX_BODY, MAX_WAITING)
        self._tls = TlsChannel(tls) if tls else None
        self._transport: Any = None
        self._client, self._port = "", 0
        self._task: asyncio.Task[None] | None = None
        # When the connection has to have got on: in the middle of a request sooner than between two. It is set by the
        # first byte of a request and not by the next ones, so that sending them one by one gains nothing.
        self.deadline = loop.time() + (HANDSHAKE_SECONDS if tls else REQUEST_SECONDS)
        self._reading = False
        self._closing = False
        self._paused = False
        self._unread = False
        # The answer to what could not be read; it leaves after the answers that are owed.
        self._refusal: Response | None = None

    @property
    def busy(self) -> bool:
        """Whether an answer is owed."""
        return self._task is not None or bool(self._reader.complete)

    @property
    def waits_for_client(self) -> bool:
        """Whether it is the client's turn. Handlers have time limits of their own."""
        return self._task is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._client, self._port = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else ("", 0)
        self._transport.set_write_buffer_limits(high=MAX_UNREAD)
        if not self._limits.enter(self):
            self._transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self._limits.leave(self)
        # An answer under way is finished all the same: others may wait for the same token, and it is recorded.
        self._reader.complete.clear()
        self._reader.close()
        self._tls = None

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._tls is not None:
            data = self._plain_text(self._tls, data)
        if data:
            self._take(data)

    def _plain_text(self, tls: TlsChannel, data: bytes) -> bytes:
        was_established = tls.established
        try:
            found = tls.receive(data)
        except ssl.SSLError:
            # The alert says to the client what is wrong; nobody else has to hear of it.
            self._transport.write(tls.outgoing())
            self._transport.abort()
            return b""
        if records := tls.outgoing():
            self._transport.write(records)
        if tls.established and not was_established:
            self.deadline = self._loop.time() + REQUEST_SECONDS
        if tls.ended and not found:
            self.eof_received()
        if self._unread:
            self._pause()
        return found

    def _take(self, data: bytes) -> None:
        reader = self._reader
        if not self._reading:
            self._reading = True
            self.deadline = self._loop.time() + REQUEST_SECONDS
        try:
            reader.feed(data)
        except MessageError as error:
            self._refusal = _plain(error.status, error.text)
        except Exception:
            # The parser is C code that meets whatever the network sends: no input may cost more than its connection.
            log.warning("a request could not be parsed")
            self._refusal = _plain(400, "the request cannot be read")
        if self._refusal is not None:
            self._closing = True
            reader.partial = None
        if self._task is not None or self._unread:
            # One piece ahead, and no more: the client waits until what it asked first is answered.
            self._pause()
        self._advance()

    def eof_received(self) -> bool | None:
        """A client may shut its side down and still read the answer that it is owed."""
        self._closing = True
        if not self.busy:
            self._close()
        return self.busy

    def _advance(self) -> None:
        """Handle requests that are complete, until one takes its time or the client does not read its answers."""
        waiting = self._reader.complete
        while waiting and self._task is None and not self._unread and self._transport is not None:
            parsed = waiting.popleft()
            keep_alive = parsed.keep_alive and not self._server.draining
            answer = self._server.handle(self._request(parsed))
            if isinstance(answer, Response):
                self._send(answer, keep_alive)
            else:
                self._task = self._loop.create_task(self._later(answer, keep_alive))
        if self._transport is None:
            return
        if self._refusal is not None and not self.busy and not self._unread:
            # What came before it is answered.
            refusal, self._refusal = self._refusal, None
            self._send(refusal, keep_alive=False)
            return
        partial = self._reader.partial
        if partial is not None and partial.expects_continue and not self.busy:
            partial.expects_continue = False
            self._write(_CONTINUE)
        self.account()
        if self._paused and not self.busy and not self._unread:
            self._resume()

    def account(self) -> None:
        """Say how much is held for this client."""
        if self._transport is not None:
            self._limits.holds(self, self._reader.held + self._transport.get_write_buffer_size())

    def _request(self, parsed: ParsedRequest) -> Request:
        path = parsed.target.partition(b"?")[0].decode("latin-1")
        return Request(parsed.method, path, bytes(parsed.body), self._client, parsed.user_agent, self._port)

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
        if self._transport is None:
            return
        self._write(response.head(keep_alive) + response.body)
        self._limits.answered(self, trusted=response.confirmed)
        self._reading = self._reader.partial is not None or bool(self._reader.complete)
        self.deadline = self._loop.time() + (REQUEST_SECONDS if self._reading else IDLE_SECONDS)
        if not keep_alive or (self._closing and not self._reader.complete and self._refusal is None):
            self._close()

    def _write(self, data: bytes) -> None:
        if self._tls is not None:
            try:
                data = self._tls.send(data)
            except ssl.SSLError:
                self._transport.abort()
                return
        self._transport.write(data)

    def pause_writing(self) -> None:
        # A client that asks and never reads must not fill the memory with answers.
        self._unread = True
        self.deadline = self._loop.time() + REQUEST_SECONDS

    def resume_writing(self) -> None:
        self._unread = False
        self._advance()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        with contextlib.suppress(RuntimeError):
            # It is closing already.
            self._transport.resume_reading()

    def _close(self) -> None:
        """Close once what was written has left."""
        self._closing = True
        self._reader.complete.clear()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._tls is not None and self._tls.established and (records := self._tls.end()):
            transport.write(records)
        transport.close()

    def evict(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def shut(self, *, now: bool = False) -> None:
        """Close at once, or as soon as no answer is owed any more."""
        if now:
            self.evict()
        elif not self.busy:
            self._close()


class HttpServer:
    """Accepts connections and hands their requests to ``handle``, which answers at once or with a coroutine.

    :param most: connections at once.
    """

    def __init__(self, handle: Handle, most: int = MAX_CONNECTIONS) -> None:
        self.handle = self._guarded(handle)
        self.draining = False
        self.limits: ConnectionLimits[Connection] = ConnectionLimits(most)
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
        # Accepted sockets have it from the one that listens.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._listeners.append(
            await loop.create_server(lambda: Connection(self, loop, tls), sock=listening, backlog=1024)
        )
        if self._sweeper is None:
            self._sweeper = loop.create_task(self._sweep())

    async def drain(self, seconds: float) -> None:
        """Stop accepting, let answers that are owed leave, then close every connection."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while len(self.limits) and loop.time() < ends:
            for connection in self.limits.members():
                connection.shut()
            await asyncio.sleep(0.02)
        for connection in self.limits.members():
            connection.shut(now=True)
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        told = 0
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection in self.limits.members():
                if connection.deadline < now and connection.waits_for_client:
                    connection.shut(now=True)
                else:
                    connection.account()
            crowded = self.limits.evicted + self.limits.refused
            if crowded > told:
                log.warning("too many connections, or too much unread: %d had to go for others", crowded - told)
                told = crowded


def _plain(status: int, text: str) -> Response:
    return Response(status, (text + "\n").encode("utf-8", "replace"), "text/plain; charset=utf-8")
