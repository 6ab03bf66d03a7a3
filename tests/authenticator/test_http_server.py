"""The webhook's HTTP: order, bounds, bad input and the end. Source: RFC 9112."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from rolecall.authenticator import http_server
from rolecall.authenticator.http_server import MAX_BODY, HttpServer, Request, Response
from rolecall.authenticator.supervisor import bound_sockets


def handle(request: Request) -> Response | object:
    if request.path == "/slow":

        async def later() -> Response:
            await asyncio.sleep(float(request.body or b"0.1"))
            return Response(200, b"slow" + request.body)

        return later()
    if request.path == "/crash":
        raise ValueError("secret in the message")
    if request.path == "/crash-later":

        async def crash() -> Response:
            raise ValueError("secret in the message")

        return crash()
    return Response(200, request.method.encode() + b" " + request.path.encode() + b" " + request.body)


@pytest.fixture
async def server() -> AsyncIterator[tuple[HttpServer, int]]:
    found = HttpServer(handle)  # type: ignore[arg-type]
    listening = bound_sockets("127.0.0.1", 0, 1)[0]
    port = listening.getsockname()[1]
    await found.listen(listening, None)
    yield found, port
    await found.drain(0.0)


async def talk(port: int, *pieces: bytes, pause: float = 0.0, half_close: bool = False, until: bytes = b"") -> bytes:
    """Everything that comes back until the server closes, or until the end of ``until`` has arrived."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        if writer.is_closing() or reader.at_eof():
            break
        writer.write(piece)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        await asyncio.sleep(pause)
    if half_close:
        writer.write_eof()
    found = b""
    try:
        # The limit is for hangs alone.
        async with asyncio.timeout(300):
            while data := await reader.read(65536):
                found += data
                if until and found.endswith(until):
                    found += b"|open"
                    break
    except ConnectionError:
        found += b"|reset"
    writer.close()
    return found


def post(path: str, body: bytes = b"") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_answers_leave_in_the_order_of_the_questions(server: tuple[HttpServer, int]) -> None:
    data = post("/slow", b"0.2") + post("/a", b"1") + post("/slow", b"0.05") + post("/b?timeout=1s", b"22")
    found = await talk(server[1], data, until=b"POST /b 22")
    assert [part.partition(b"\r\n\r\n")[2] for part in found.split(b"HTTP/1.1 ")[1:]] == [
        b"slow0.2",
        b"POST /a 1",
        b"slow0.05",
        b"POST /b 22|open",
    ]


async def test_a_request_in_many_pieces(server: tuple[HttpServer, int]) -> None:
    data = post("/a", b"hello")
    pieces = [data[index : index + 1] for index in range(len(data))]
    assert b"POST /a hello" in await talk(server[1], *pieces, half_close=True)


async def test_chunks_and_a_client_that_shuts_its_side(server: tuple[HttpServer, int]) -> None:
    data = b"POST /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n0.1\r\n0\r\n\r\n"
    found = await talk(server[1], data, half_close=True)
    assert found.endswith(b"slow0.1")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50, b"400"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"10000\r\n"
            + b"x" * 65536
            + (b"\r\n10000\r\n" + b"x" * 65536) * 20,
            b"413",
        ),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", b"400"),
        (post("/a") * 100 + post("/slow", b"0.2") * 50, b""),
    ],
)
async def test_bad_http_costs_its_connection_alone(server: tuple[HttpServer, int], data: bytes, status: bytes) -> None:
    found = await talk(server[1], data)
    assert not found.endswith(b"|open")
    if not found.endswith(b"|reset"):
        assert status in found.split(b"\r\n", 1)[0]
    assert b"Traceback" not in found
    assert b"POST /b" in await talk(server[1], post("/b"), half_close=True)


@pytest.mark.parametrize("path", ["/crash", "/crash-later"])
async def test_an_error_inside_shows_nothing(server: tuple[HttpServer, int], path: str) -> None:
    found = await talk(server[1], post(path), half_close=True)
    assert found.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in found


async def test_slow_and_idle_clients_are_closed(
    server: tuple[HttpServer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(http_server, "IDLE_SECONDS", 0.3)
    # A byte now and then gains nothing.
    head = [bytes([byte]) for byte in post("/a", b"x" * 40)]
    found = await asyncio.gather(talk(server[1], *head, pause=0.1), talk(server[1], post("/a")), talk(server[1], b""))
    assert found[0] in (b"", b"|reset")
    assert b"POST /a" in found[1]
    assert found[2] in (b"", b"|reset")


async def test_the_end_lets_answers_leave() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    def slowly(request: Request) -> object:
        async def later() -> Response:
            asked.set()
            await go.wait()
            return Response(200, b"slow")

        return later()

    server = HttpServer(slowly)  # type: ignore[arg-type]
    listening = bound_sockets("127.0.0.1", 0, 1)[0]
    port = listening.getsockname()[1]
    await server.listen(listening, None)
    owed = asyncio.create_task(talk(port, post("/slow")))
    await asked.wait()
    idle = asyncio.create_task(talk(port))
    draining = asyncio.create_task(server.drain(300.0))
    # Who is owed nothing is closed at once, or refused.
    with contextlib.suppress(OSError):
        assert await idle in (b"", b"|reset")
    assert not owed.done()
    go.set()
    assert (await owed).endswith(b"slow")
    await draining
    with pytest.raises(OSError):
        await talk(port, post("/a"))


async def test_the_body_is_bounded_exactly(server: tuple[HttpServer, int]) -> None:
    assert b"200 OK" in await talk(server[1], post("/a", b"x" * MAX_BODY), half_close=True)
    assert b" 413 " in await talk(server[1], post("/a", b"x" * (MAX_BODY + 1)))
