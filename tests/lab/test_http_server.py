"""The HTTP server below the AWS endpoint and the clusters: every request gets an answer, whenever its sender hangs up.

Sources: RFC 9112 section 9.6 (a client may end its side and still read), section 8 (incomplete messages: 400).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from rolecall.lab.http_server import HttpServer, raw_request
from rolecall.lab.kubernetes.certificates import ensure_certificates

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\nab"
CUT_SHORT = HEAD + b"Content-Length: 10\r\n\r\nab"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


async def _handle(request: BaseRequest) -> Response:
    found = await raw_request(request, 1_000)
    return Response(body=b"read " + found.body)


def _page(status: int, what: str) -> Response:
    return Response(status=status, text=what)


@pytest.fixture
async def plain() -> AsyncIterator[int]:
    server = HttpServer(_handle, _page)
    yield await server.listen("127.0.0.1", 0)
    await server.close()


@pytest.fixture
async def tls(tmp_path: Path) -> AsyncIterator[int]:
    server = HttpServer(_handle, _page)
    yield await server.listen("127.0.0.1", 0, ensure_certificates(tmp_path, datetime.now(UTC))[1])
    await server.close()


def _read(connection: socket.socket) -> bytes:
    read = []
    try:
        while chunk := connection.recv(65_536):
            read.append(chunk)
    except ConnectionError:
        return b"".join(read)
    return b"".join(read)


async def _exchange(port: int, *parts: bytes) -> bytes:
    """Send and end one's side at once. The loop stands still meanwhile, so the server finds data and end together."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for part in parts[:-1]:
            connection.sendall(part)
            await asyncio.sleep(0.05)
        connection.sendall(parts[-1])
        connection.shutdown(socket.SHUT_WR)
        return await asyncio.to_thread(_read, connection)


@pytest.mark.parametrize(
    ("parts", "status", "body"),
    [
        ((WHOLE,), 200, b"read ab"),
        ((WHOLE[:-1], WHOLE[-1:]), 200, b"read ab"),
        ((CUT_SHORT,), 400, b"broke off"),
        ((CUT_SHORT[:-1], CUT_SHORT[-1:]), 400, b"broke off"),
        ((CHUNKED + b"zz\r\n",), 400, b"chunk size"),
        ((CHUNKED, b"zz\r\n"), 400, b"broke off"),
        ((CHUNKED + b"2\r\nab\r\n0\r\n\r\n",), 200, b"read ab"),
        ((b"GARBAGE\r\n\r\n",), 400, b"nvalid"),
        ((WHOLE, b"GARBAGE\r\n\r\n"), 400, b"nvalid"),
    ],
)
async def test_a_request_is_answered_though_its_sender_ends_its_side(
    plain: int, parts: tuple[bytes, ...], status: int, body: bytes
) -> None:
    answer = await _exchange(plain, *parts)
    assert f"HTTP/1.1 {status} ".encode() in answer or f"HTTP/1.0 {status} ".encode() in answer, answer
    assert body in answer


@pytest.mark.parametrize("data", [CHUNKED + b"zz\r\n", b"GARBAGE\r\n\r\n"])
async def test_a_refusal_over_tls_comes_before_the_end(tls: int, data: bytes) -> None:
    """The TCP stream ends without TLS's close_notify: nothing can be sent any more once that is read."""

    def connect() -> ssl.SSLSocket:
        return ssl._create_unverified_context().wrap_socket(socket.create_connection(("127.0.0.1", tls), timeout=5))

    with await asyncio.to_thread(connect) as connection:
        connection.sendall(data)
        socket.socket.shutdown(connection, socket.SHUT_WR)
        answer = await asyncio.to_thread(_read, connection)
    assert answer.startswith(b"HTTP/1.1 400 "), answer


async def test_a_body_that_becomes_unreadable_is_refused_at_once(plain: int) -> None:
    """The sender keeps its side open and waits; the refusal does not wait for a body that cannot come."""
    started = asyncio.get_running_loop().time()
    reader, writer = await asyncio.open_connection("127.0.0.1", plain)
    writer.write(CHUNKED)
    await asyncio.sleep(0.05)
    writer.write(b"zz\r\n")
    answer = await asyncio.wait_for(reader.read(), 300)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert asyncio.get_running_loop().time() - started < 10


async def test_a_client_that_goes_away_in_the_middle_is_no_error_of_ours(
    plain: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for data in (CUT_SHORT, CHUNKED, HEAD):
            _, writer = await asyncio.open_connection("127.0.0.1", plain)
            writer.write(data)
            await asyncio.sleep(0.05)
            writer.transport.abort()
        await asyncio.sleep(0.2)
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
