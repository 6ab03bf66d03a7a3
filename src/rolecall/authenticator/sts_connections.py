"""Connections to STS that stay open: one request on each at a time.

A client session of a library does much more than one GET needs, and takes three times as long. Nothing here follows a
redirect, keeps a cookie or decompresses; an answer is bounded while it arrives, and a connection that says more than it
was asked is closed. :mod:`rolecall.authenticator.sts_pool` is who shares them out.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from rolecall.authenticator.host_names import HostNames
from rolecall.authenticator.http_parsing import MAX_HEAD, MessageError, ResponseReader
from rolecall.authenticator.tls_channel import TlsChannel
from rolecall.errors import RolecallError
from rolecall.tls import client_context

MAX_ANSWER = 65_536
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# For one address of a host that has several.
CONNECT_SECONDS = 3.0
_HEAD_END = b"\r\n\r\n"

Answer = tuple[int, bytes]


class AnswerError(ConnectionError):
    """What came back is no answer, or too long for one."""


class Connection(asyncio.Protocol):
    """One connection: TCP, then as many layers of TLS as the way needs, then requests."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._layers: list[TlsChannel] = []
        self._transport: Any = None
        # What is waited for: a handshake or the proxy's answer (None), or an answer of STS.
        self._waiting: asyncio.Future[Any] | None = None
        self._reader: ResponseReader | None = None
        self._proxy_answer: bytearray | None = None
        self.received = False
        self.used = False
        self.usable = True
        # Called when the connection has ended.
        self.on_lost: Callable[[Connection], None] = lambda one: None

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Speak TLS from here on, inside whatever is spoken already."""
        channel = TlsChannel(context, name)
        self._layers.append(channel)
        channel.start()
        await self._wait(channel.outgoing(), below=len(self._layers) - 1)

    async def tunnel(self, name: str, port: int, authorization: str) -> None:
        """Have a proxy connect this connection to a host (RFC 9110, 9.3.6)."""
        head = f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n{authorization}\r\n"
        self._proxy_answer = bytearray()
        await self._wait(head.encode("latin-1"))
        answer, _, rest = bytes(self._proxy_answer).partition(_HEAD_END)
        self._proxy_answer = None
        if answer[:8] not in (b"HTTP/1.1", b"HTTP/1.0") or answer[8:10] != b" 2":
            raise AnswerError(f"the proxy refuses: {answer[9:12].decode('latin-1')}")
        if rest:
            raise AnswerError("the proxy says more than it was asked")

    async def ask(self, request: bytes) -> Answer:
        """Send a request; status and body of the answer. ``ConnectionError`` if there is none."""
        reader = self._reader = ResponseReader(MAX_ANSWER)
        self.received = False
        try:
            await self._wait(request)
            self.usable = self.usable and reader.keep_alive
            return reader.status, bytes(reader.body)
        finally:
            if not reader.complete:
                # The rest of an answer that nobody waits for must not be taken for the next one.
                self.close()
            reader.close()
            self._reader = None
            self.used = True

    def close(self) -> None:
        """Close it at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, data: bytes, below: int | None = None) -> None:
        """Send, and wait until what was asked for has arrived."""
        if self._transport is None:
            raise ConnectionResetError("the connection is gone")
        self._waiting = self._loop.create_future()
        self._send(data, below)
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _send(self, data: bytes, below: int | None = None) -> None:
        """Send through the layers beneath ``below``; through all of them if it is ``None``."""
        for channel in reversed(self._layers[:below]):
            data = channel.send(data)
        self._transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        waiting = self._waiting
        try:
            data = self._plain_text(data)
            if waiting is None or waiting.done():
                if data or any(channel.ended for channel in self._layers):
                    # Nobody asked; or STS closes a connection that was idle.
                    self.close()
                return
            self._take(data)
        except ssl.SSLError as error:
            self._fail(error)
            return
        except MessageError as error:
            self._fail(AnswerError(f"the answer is not acceptable: {error.text}"))
            return
        if self._is_there():
            waiting.set_result(None)
        elif any(channel.ended for channel in self._layers):
            # The other side says no more, although it may leave the connection open for a while.
            self._ended()
            self.close()

    def _plain_text(self, data: bytes) -> bytes:
        for depth, channel in enumerate(self._layers):
            if not data:
                break
            data = channel.receive(data)
            if records := channel.outgoing():
                self._send(records, depth)
        return data

    def _take(self, data: bytes) -> None:
        if self._proxy_answer is not None:
            self._proxy_answer += data
            if len(self._proxy_answer) > MAX_HEAD:
                raise MessageError(502, "the proxy's answer is too long")
        elif data and self._reader is None:
            raise MessageError(502, "an answer without a question")
        elif data and self._reader is not None:
            self.received = True
            self._reader.feed(data)

    def _is_there(self) -> bool:
        """Whether what is waited for is complete."""
        if self._proxy_answer is not None:
            return _HEAD_END in self._proxy_answer
        if self._reader is not None:
            return self._reader.complete
        return bool(self._layers) and self._layers[-1].established

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self.usable = False
        self.on_lost(self)
        self._ended()

    def _ended(self) -> None:
        """Nothing more will be received."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if self._reader is not None and self._reader.finish():
            # An answer without a length ends with its connection.
            waiting.set_result(None)
        else:
            waiting.set_exception(ConnectionResetError("the connection was closed"))

    def _fail(self, error: OSError) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.close()


@dataclass(frozen=True, slots=True)
class Route:
    """How hosts are reached: directly, or through the proxy of the environment (``HTTPS_PROXY``, ``NO_PROXY``).

    :param tls: the context that certificates of STS are checked with.
    :param proxy: ``None`` for none.
    """

    tls: ssl.SSLContext
    names: HostNames
    proxy: SplitResult | None = None

    async def connect(self, scheme: str, host: str) -> Connection:
        """A new connection to a host (with its port, if that is not the scheme's own); ``OSError`` if there is none."""
        where = urlsplit(f"{scheme}://{host}")
        name, port = where.hostname or "", where.port or (443 if scheme == "https" else 80)
        proxy = self.proxy
        # This machine is never reached through a proxy, as in the original's HTTP client (Go's ProxyFromEnvironment).
        if proxy is None or name in LOOPBACK or proxy_bypass_environment(host):
            connection = await self._open(name, port)
        else:
            connection = await self._through(proxy, name, port)
        try:
            if scheme == "https":
                await connection.start_tls(self.tls, name)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _through(self, proxy: SplitResult, name: str, port: int) -> Connection:
        secure = proxy.scheme == "https"
        own = proxy.hostname or ""
        connection = await self._open(own, proxy.port or (443 if secure else 80))
        try:
            if secure:
                await connection.start_tls(client_context(), own)
            await connection.tunnel(name, port, _authorization(proxy))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _open(self, name: str, port: int) -> Connection:
        return await _first(await self.names.addresses(name, port), port)


def proxy_of_environment() -> SplitResult | None:
    """The proxy for HTTPS that the environment names; :class:`RolecallError` if it cannot be used."""
    text = getproxies_environment().get("https", "").strip()
    if not text:
        return None
    try:
        found = urlsplit(text if "://" in text else f"http://{text}")
        usable = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise RolecallError(
            "the proxy cannot be used",
            where="HTTPS_PROXY",
            advice="give http://HOST:PORT or https://HOST:PORT; SOCKS proxies are not supported",
        )
    return found


async def _first(addresses: Sequence[str], port: int) -> Connection:
    """A connection to the first address that takes it; each but the last gets its share of the time."""
    loop = asyncio.get_running_loop()
    trouble: OSError = ConnectionError("the name has no address")
    for index, address in enumerate(addresses):
        last = index == len(addresses) - 1
        try:
            async with asyncio.timeout(None if last else CONNECT_SECONDS):
                _, connection = await loop.create_connection(lambda: Connection(loop), address, port)
                return connection
        except OSError as error:
            # TimeoutError is one; if the whole time is over, the cancellation of the caller passes.
            trouble = error
    raise trouble


def _authorization(proxy: SplitResult) -> str:
    if not proxy.username:
        return ""
    user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n"
