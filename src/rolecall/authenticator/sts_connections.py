"""Connections to STS that stay open: one request on each at a time, HTTP/1.1 read by aiohttp's parser in C.

A client session of aiohttp does much more than one GET needs, and takes three times as long. Nothing here follows a
redirect, keeps a cookie or decompresses; an answer is bounded, and a connection that says more than it was asked is
closed.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import deque
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from rolecall.authenticator.http_parsing import MAX_LINE, FlowControl, body_of, response_parser

MAX_ANSWER = 65_536
# STS closes an idle connection after a minute or so; one that is about to be closed is not used any more.
IDLE_SECONDS = 45.0

Answer = tuple[int, bytes]
Address = tuple[str, str]  # scheme, host with its port where it is not the scheme's own


class AnswerError(ConnectionError):
    """What came back is no answer, or too long for one."""


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._flow = FlowControl()
        self._parser = response_parser(loop, self._flow, MAX_ANSWER)
        self._transport: Any = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._message: Any = None
        self._payload: StreamReader | None = None
        self.received = False
        self.used = False
        self.usable = True
        self.idle_since = 0.0

    async def ask(self, request: bytes) -> Answer:
        """Send a request; status and body of the answer. ``ConnectionError`` where there is none."""
        transport = self._transport
        if transport is None:
            raise ConnectionResetError("the connection is gone")
        self._waiting = self._loop.create_future()
        self._message = self._payload = None
        self.received = False
        transport.write(request)
        try:
            return await self._waiting
        finally:
            payload: Any = self._payload
            if payload is None or not payload.is_eof():
                # The rest of an answer that nobody waits for must not be taken for the next one.
                self.close()
            self._waiting = None
            self.used = True

    def close(self) -> None:
        """Close it at once."""
        self.usable = False
        transport = self._transport
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        waiting = self._waiting
        if waiting is None or waiting.done():
            self.close()
            return
        self.received = True
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError:
            self._fail(AnswerError("the answer is not HTTP"))
            return
        except Exception:
            # The parser is C code that meets whatever the network sends.
            self._fail(AnswerError("the answer cannot be read"))
            return
        for message, payload in messages:
            if 100 <= message.code < 200 and not upgraded:
                continue
            if self._message is not None or upgraded:
                self._fail(AnswerError("more than one answer"))
                return
            self._message, self._payload = message, payload
        self._finish(waiting)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self.usable = False
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if self._payload is not None:
            # An answer without a length ends with its connection.
            try:
                self._parser.feed_eof()
            except Exception:
                self._fail(AnswerError("the answer ended in the middle"))
                return
            self._finish(waiting)
        if not waiting.done():
            waiting.set_exception(ConnectionResetError("the connection was closed"))

    def _finish(self, waiting: asyncio.Future[Answer]) -> None:
        payload = self._payload
        if payload is None:
            return
        if self._flow.over or payload.total_bytes > MAX_ANSWER:
            self._fail(AnswerError("the answer is too long"))
        elif payload.exception() is not None:
            self._fail(AnswerError("the answer ended in the middle"))
        elif payload.is_eof():
            self.usable = self.usable and not self._message.should_close
            waiting.set_result((self._message.code, body_of(payload)))

    def _fail(self, error: ConnectionError) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.close()


class StsConnections:
    """A pool.

    :param tls: the context that certificates are checked with.
    :param most: connections at once; whoever comes later waits.
    :param use_proxy: whether ``HTTPS_PROXY`` and ``NO_PROXY`` count, as the original's HTTP client has it.
    """

    def __init__(self, tls: ssl.SSLContext, most: int, *, use_proxy: bool) -> None:
        self._tls = tls
        self._room = asyncio.Semaphore(most)
        self._idle: dict[Address, deque[Connection]] = {}
        self._proxy = urlsplit(getproxies_environment().get("https", "") if use_proxy else "")
        self._closed = False

    async def ask(self, scheme: str, host: str, request: bytes) -> Answer:
        """Send a request to ``host``; ``OSError`` (``ssl.SSLError`` is one) where no answer comes back."""
        async with self._room:
            while True:
                connection = self._take((scheme, host)) or await self._connect(scheme, host)
                was_used = connection.used
                try:
                    answer = await connection.ask(request)
                except ConnectionError:
                    connection.close()
                    if was_used and not connection.received:
                        # Closed by STS while it was idle: that says nothing about STS, and a GET may be sent again.
                        continue
                    raise
                self._give_back((scheme, host), connection)
                return answer

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _take(self, address: Address) -> Connection | None:
        idle = self._idle.get(address)
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while idle:
            # The one used last is the least likely to be closed; the others may grow old.
            connection = idle.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    def _give_back(self, address: Address, connection: Connection) -> None:
        if not connection.usable or self._closed:
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.setdefault(address, deque()).append(connection)

    async def _connect(self, scheme: str, host: str) -> Connection:
        where = urlsplit(f"{scheme}://{host}")
        name, port = where.hostname or "", where.port or (443 if scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        if self._proxy.hostname and not proxy_bypass_environment(host):
            return await self._through_proxy(name, port)
        options: dict[str, Any] = {"ssl": self._tls, "server_hostname": name} if scheme == "https" else {}
        _, connection = await loop.create_connection(lambda: Connection(loop), name, port, **options)
        return connection

    async def _through_proxy(self, name: str, port: int) -> Connection:
        """A tunnel (``CONNECT``) through the proxy, and TLS with STS inside it."""
        loop = asyncio.get_running_loop()
        default = 443 if self._proxy.scheme == "https" else 80
        tls = ssl.create_default_context() if self._proxy.scheme == "https" else None
        reader, writer = await asyncio.open_connection(
            self._proxy.hostname, self._proxy.port or default, ssl=tls, limit=MAX_LINE
        )
        try:
            head = f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n"
            if self._proxy.username:
                user = f"{unquote(self._proxy.username)}:{unquote(self._proxy.password or '')}"
                head += f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n"
            writer.write(f"{head}\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            if answer[:8] not in (b"HTTP/1.1", b"HTTP/1.0") or answer[8:12] != b" 200":
                raise AnswerError("the proxy does not let through")
            connection = Connection(loop)
            transport = await loop.start_tls(writer.transport, connection, self._tls, server_hostname=name)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
            raise AnswerError("the proxy's answer cannot be read") from None
        except BaseException:
            writer.transport.abort()
            raise
        assert transport is not None
        connection.connection_made(transport)
        return connection
