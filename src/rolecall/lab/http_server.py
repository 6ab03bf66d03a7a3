"""HTTP on the loopback interface for the AWS endpoint and the clusters: bounded, and with errors of their protocol.

aiohttp's low-level server: no router, no middleware, the raw path and headers that a signature is over.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp.streams import StreamReader
from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server

from rolecall.sigv4 import HttpRequest

log = logging.getLogger(__name__)

Handle = Callable[[BaseRequest], Awaitable[StreamResponse]]
ErrorPage = Callable[[int, str], Response]  # (status, what happened) -> an error in the server's own protocol

MAX_LINE = 32_768
MAX_HEADER = 16_384
MAX_HEADERS = 100
# A connection that sends nothing, or half a request, is closed after this many seconds.
IDLE_SECONDS = 75
BODY_SECONDS = 20


class RequestTooLargeError(Exception):
    """A request's body is longer than the server reads."""


class RequestTooSlowError(Exception):
    """A request's body did not arrive in time."""


class UnreadableRequestError(Exception):
    """A request's body broke off, or is not what HTTP allows."""


class _Connection(RequestHandler):
    """A connection whose parse errors are worded by the server's protocol, and never show a traceback.

    A client that ends its side after a request (``shutdown(SHUT_WR)``, ``nc -N``) still gets the answer, and one whose
    request cannot be read gets the refusal even if it ends its side in the same breath: aiohttp answers in a task that
    runs later, when the connection may be closed already.
    """

    _body: StreamReader | None = None

    def data_received(self, data: bytes) -> None:
        is_idle = self._waiter is not None and not self._waiter.done()
        super().data_received(data)
        if not self._messages:
            return
        message, body = self._messages[-1]
        if not isinstance(message, _ErrInfo):
            self._body = body
        elif not is_idle:
            # A request is under way, and what follows it may be the rest of its body: it is not to wait for more.
            self._break_off()
        elif self.transport is not None:
            self.transport.write(_as_bytes(self._page(message.status, message.message)))
            self.force_close()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        self._break_off()
        is_idle = self._waiter is not None and not self._waiter.done()
        if is_idle or self.transport is None or self.transport.get_extra_info("sslcontext") is not None:
            # TLS cannot be closed on one side alone.
            return None
        self.close()
        return True

    def _break_off(self) -> None:
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(UnreadableRequestError())
            self._body.feed_eof()

    def _page(self, status: int, message: str | None) -> Response:
        page: ErrorPage = self._manager.error_page  # type: ignore[union-attr]
        response = page(status, _plain(status, message))
        response.force_close()
        return response

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        if self._manager is None:
            raise ConnectionError("the client has gone away")
        if status >= 500:
            log.error("internal error", exc_info=exc)
        if request.writer is not None and request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        return self._page(status, message)


class HttpServer(Server):
    """Serves connections with ``handle``; HTTP that cannot be read is answered by ``error_page``."""

    def __init__(self, handle: Handle, error_page: ErrorPage) -> None:
        super().__init__(self._guarded)
        self._handle = handle
        self.error_page = error_page
        self._listener: asyncio.Server | None = None

    def __call__(self) -> RequestHandler:
        return _Connection(
            self,
            loop=self._loop,
            keepalive_timeout=IDLE_SECONDS,
            access_log=None,  # type: ignore[arg-type]
            max_line_size=MAX_LINE,
            max_headers=MAX_HEADERS,
            max_field_size=MAX_HEADER,
            # A signature is over the body as sent, and a compressed one could grow without bound.
            auto_decompress=False,
            lingering_time=1.0,
        )

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Accept connections; the port that was bound. ``port`` 0 lets the system choose."""
        options: dict[str, Any] = {"ssl": tls, "ssl_handshake_timeout": 10.0} if tls else {}
        self._listener = await self._loop.create_server(self, host, port, backlog=256, **options)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop accepting, let requests under way finish for a moment, and close every connection."""
        if self._listener is not None:
            self._listener.close()
        self.pre_shutdown()
        await self.shutdown(0.5)

    async def _guarded(self, request: BaseRequest) -> StreamResponse:
        try:
            return await self._handle(request)
        except RequestTooLargeError:
            response = self.error_page(413, "the request is too large")
        except RequestTooSlowError:
            response = self.error_page(408, "the request's body did not arrive in time")
        except UnreadableRequestError:
            response = self.error_page(400, "the request's body broke off or cannot be read")
        except HTTPException as error:
            response = self.error_page(error.status, error.reason)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("internal error in %s %s", request.method, request.path)
            response = self.error_page(500, "an internal error; the lab's log has it")
        response.force_close()
        return response


async def raw_request(request: BaseRequest, max_body: int) -> HttpRequest:
    """The request as it travelled, its body read to the end; bounded in size and time."""
    path, _, query = request.raw_path.partition("?")
    body = await read_body(request, max_body) if request.body_exists else b""
    return HttpRequest(
        request.method,
        path.encode("utf-8", "surrogateescape"),
        query.encode("utf-8", "surrogateescape"),
        tuple(request.raw_headers),
        body,
    )


async def read_body(request: BaseRequest, max_body: int) -> bytes:
    """The body; :class:`RequestTooLargeError` or :class:`RequestTooSlowError` beyond the bounds.

    :class:`UnreadableRequestError` if it ends before its length, or is not in chunks as announced.
    """
    if (request.content_length or 0) > max_body:
        raise RequestTooLargeError
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await request.content.readany():
                size += len(chunk)
                if size > max_body:
                    raise RequestTooLargeError
                parts.append(chunk)
    except TimeoutError:
        raise RequestTooSlowError from None
    return b"".join(parts)


def _as_bytes(response: Response) -> bytes:
    """A whole answer as it travels, for a connection that is closed after it."""
    body = response.body if isinstance(response.body, bytes) else b""
    headers = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {response.status} {response.reason}\r\n{head}\r\n".encode() + body


def _plain(status: int, message: str | None) -> str:
    if status >= 500:
        return "an internal error; the lab's log has it"
    # The parser's messages show what was sent over several lines; the first line says what is wrong.
    return (message or "the request cannot be read").strip().splitlines()[0][:200]
