"""What a client can make the webhook hold, over TLS and without: nothing that grows with what it sends.

Sources: RFC 9112; RFC 9110, 10.1.1 (``Expect``); docs/adr/0020.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rolecall.authenticator import http_server
from rolecall.authenticator.certificates import make_certificate
from rolecall.authenticator.http_server import HttpServer, Request, Response
from rolecall.authenticator.supervisor import bound_sockets

MEBI = 1024 * 1024


@dataclass
class Site:
    """A server whose ``/slow`` is answered when ``go`` is set."""

    server: HttpServer
    port: int
    go: asyncio.Event
    tls: ssl.SSLContext | None
    asked: list[Request] = field(default_factory=list)

    async def connect(self, send_buffer: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        one = socket.socket()
        if send_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        one.setblocking(False)
        await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", self.port))
        options = {"ssl": self.tls, "server_hostname": "127.0.0.1"} if self.tls else {}
        return await asyncio.open_connection(sock=one, **options)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something to happen; the limit is for hangs alone."""
        async with asyncio.timeout(300):
            while not true():  # noqa: ASYNC110 -- what is waited for is inside the server
                await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = make_certificate("localhost", "127.0.0.1", datetime.now(UTC))
    (folder / "cert.pem").write_text(certificate)
    (folder / "key.pem").write_text(key)
    return folder


@pytest.fixture(params=["plain", "tls"])
async def site(request: pytest.FixtureRequest, pair: Path) -> AsyncIterator[Site]:
    go = asyncio.Event()
    asked: list[Request] = []

    def handle(question: Request) -> Response | object:
        asked.append(question)
        if question.path == "/slow":

            async def later() -> Response:
                await go.wait()
                return Response(200, b"slow")

            return later()
        if question.path == "/long":
            return Response(200, b"x" * 60_000)
        return Response(200, b"got %d" % len(question.body), confirmed=question.path == "/known")

    server_tls = client_tls = None
    if request.param == "tls":
        server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_tls.load_cert_chain(pair / "cert.pem", pair / "key.pem")
        client_tls = ssl.create_default_context(cafile=pair / "cert.pem")
    found = HttpServer(handle)  # type: ignore[arg-type]
    listening = bound_sockets("127.0.0.1", 0, 1)[0]
    port = listening.getsockname()[1]
    await found.listen(listening, server_tls)
    yield Site(found, port, go, client_tls, asked)
    go.set()
    await found.drain(0.0)


def post(path: str, body: bytes = b"", headers: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The next answer, head and body."""
    async with asyncio.timeout(300):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        return head + await reader.readexactly(length)


@pytest.mark.parametrize(
    "next_request",
    [
        b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n",
        b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n30000\r\n",
        b"POST /b HTTP/1.1\r\nHost: x\r\nX: ",
    ],
)
async def test_while_an_answer_is_owed_the_client_is_not_read_from(site: Site, next_request: bytes) -> None:
    reader, writer = await site.connect(send_buffer=16_384)
    writer.write(post("/slow"))
    await site.until(lambda: bool(site.asked))
    writer.write(next_request)
    taken, most = 0, 0
    # Either the connection ends, or what is sent stays with the client: it never gets rid of it all.
    with contextlib.suppress(OSError, TimeoutError):
        while taken < 64 * MEBI:
            writer.write(b"a" * 65_536)
            await asyncio.wait_for(writer.drain(), 1.0)
            taken += 65_536
            most = max(most, site.server.limits.held)
    assert taken < 4 * MEBI
    assert most < MEBI
    writer.transport.abort()
    reader.feed_eof()


@pytest.mark.parametrize("length", ["1572864000", "262145", "99999999999999999999", "0" * 5_000 + "1"])
async def test_a_length_beyond_the_limit_is_refused_before_the_body(site: Site, length: str) -> None:
    for before in (b"", post("/a")):
        reader, writer = await site.connect()
        writer.write(before + f"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        if before:
            assert b"got 0" in await answer(reader)
        assert (await answer(reader)).split()[1] in (b"413", b"400")
        assert await reader.read() == b""
        writer.close()


async def test_what_all_clients_hold_together_is_bounded_and_an_honest_one_is_served(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.server.limits, "_max_held", MEBI)
    half = post("/a", b"x" * 200_000)[:150_000]
    writers = []
    for count in range(20):
        _, writer = await site.connect()
        writer.write(half)
        writers.append(writer)
        await site.until(lambda count=count: site.server.limits.held > 0.1 * MEBI * min(count, 6))  # type: ignore[misc]
        assert site.server.limits.held <= MEBI
    reader, honest = await site.connect()
    honest.write(post("/a", b"x" * 3_000))
    assert b"got 3000" in await answer(reader)
    assert site.server.limits.evicted >= 10
    for writer in (*writers, honest):
        writer.close()


async def test_answers_that_nobody_reads_stop_the_questions(site: Site) -> None:
    _, writer = await site.connect()
    # Not more at once than may wait; the kernel takes some of the answers.
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 4_000 and not writer.is_closing():
            writer.write(post("/long") * 4)
            sent += 4
            await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.2)
            if sent > len(site.asked) + 200:
                break
    assert site.server.limits.held < MEBI
    assert len(site.asked) < sent
    writer.transport.abort()


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue"])
async def test_who_asks_before_sending_is_told_to_go_on(site: Site, expect: str) -> None:
    reader, writer = await site.connect()
    head, _, _ = post("/a", b"x" * 1_500, f"Expect: {expect}\r\n").partition(b"x" * 1_500)
    for _ in range(2):
        writer.write(head)
        assert await answer(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"x" * 1_500)
        assert b"got 1500" in await answer(reader)
    writer.close()


async def test_to_go_on_is_said_in_its_turn(site: Site) -> None:
    reader, writer = await site.connect()
    writer.write(post("/slow") + post("/a", b"xyz", "Expect: 100-continue\r\n")[:-3])
    await site.until(lambda: bool(site.asked))
    site.go.set()
    assert (await answer(reader)).endswith(b"slow")
    assert await answer(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"xyz")
    assert b"got 3" in await answer(reader)
    writer.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        # The client has not waited, has nothing to send, speaks HTTP/1.0, wants too much, or wants something else.
        (post("/a", b"xyz", "Expect: 100-continue\r\n"), b"200"),
        (post("/a", b"", "Expect: 100-continue\r\n"), b"200"),
        (post("/a", b"xyz", "Expect: 100-continue\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), b"200"),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n", b"413"),
        (post("/a", b"xyz", "Expect: a-miracle\r\n"), b"417"),
    ],
)
async def test_what_needs_no_word_to_go_on(site: Site, data: bytes, status: bytes) -> None:
    reader, writer = await site.connect()
    writer.write(data)
    assert (await answer(reader)).split()[1] == status
    writer.close()


async def test_connections_are_counted_from_their_first_byte_and_the_known_ones_stay(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.server.limits, "_most", 10)
    reader, known = await site.connect()
    known.write(post("/known"))
    await answer(reader)
    # None of these ever says a word, let alone finishes a handshake.
    silent = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(40)]
    await site.until(lambda: site.server.limits.evicted >= 30)
    assert len(site.server.limits) <= 10
    newcomer_reader, newcomer = await site.connect()
    newcomer.write(post("/a", b"1"))
    assert b"got 1" in await answer(newcomer_reader)
    known.write(post("/known", b"12"))
    assert b"got 2" in await answer(reader)
    for one in (*silent, known, newcomer):
        one.close()


async def test_empty_lines_one_by_one_gain_no_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.5)
    reader, writer = await site.connect()

    async def drip() -> None:
        while True:
            writer.write(b"\r\n")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(300):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    dripping.cancel()
    writer.close()


async def test_a_client_that_ends_its_side_is_still_answered(site: Site) -> None:
    reader, writer = await site.connect()
    writer.write(post("/slow"))
    await site.until(lambda: bool(site.asked))
    if writer.can_write_eof():
        writer.write_eof()
    site.go.set()
    assert (await answer(reader)).endswith(b"slow")
    writer.close()


async def test_noise_in_place_of_tls_costs_its_connection_alone(site: Site) -> None:
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + os.urandom(70_000), os.urandom(500)):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(noise)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(300):
                await reader.read(1)
        writer.transport.abort()
    reader, writer = await site.connect()
    writer.write(post("/a", b"12345"))
    assert b"got 5" in await answer(reader)
    writer.close()
