"""The ways to STS where they succeed: TLS, proxies, names, many hosts at once; and that one host's trouble is its own.

Every path here was once tested by its refusal alone. Sources: RFC 9110, 9.3.6 (CONNECT); Go's
``http.ProxyFromEnvironment``, which aws-iam-authenticator v0.7 uses.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rolecall.authenticator import sts_connections, sts_pool
from rolecall.authenticator.certificates import make_certificate
from rolecall.authenticator.host_names import HostNames
from rolecall.authenticator.review import StsUnavailableError
from rolecall.authenticator.sts import AwsSts, tls_context
from rolecall.authenticator.sts_connections import proxy_of_environment
from rolecall.errors import RolecallError
from rolecall.tokens.parse import PresignedCall
from sts_stand_in import DEV, OPS, ROLES, StsStandIn

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LONDON, SYDNEY = "sts.eu-west-2.amazonaws.com", "sts.ap-southeast-2.amazonaws.com"


def call(host: str, key: str = DEV, scheme: str = "https") -> PresignedCall:
    query = f"Action=GetCallerIdentity&X-Amz-Credential={key}"
    return PresignedCall(f"{scheme}://{host}/?{query}", scheme, host, query, "prod", key, NOW)


class Authority:
    """A certificate for a name, to serve with and to trust."""

    def __init__(self, folder: Path, name: str) -> None:
        certificate, key = make_certificate(name, "127.0.0.1", datetime.now(UTC))
        self.file = folder / f"{name}.pem"
        self.file.write_text(certificate + key)
        self.serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.serving.load_cert_chain(self.file)


@pytest.fixture(scope="module")
def london(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), LONDON)


@pytest.fixture
async def sts(london: Authority) -> AsyncIterator[StsStandIn]:
    async with StsStandIn(tls=london.serving) as found:
        yield found


class Proxy:
    """A CONNECT proxy that lets through, to one place whatever the name."""

    def __init__(self, target: int, tls: ssl.SSLContext | None = None, greeting: str = "200 Connection established"):
        self.target, self.tls, self.greeting = target, tls, greeting
        self.asked: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {self.greeting}\r\nVia: test\r\n\r\n".encode())
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.target)
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)

    @staticmethod
    async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
        sink.close()


def names(**known: int) -> HostNames:
    """Every name is this machine."""
    return HostNames(lambda name, port: ["127.0.0.1"])


def client(london: Authority, **options: Any) -> AwsSts:
    chosen = {"connections": 4, "seconds": 20.0, "pause": lambda longest: 0.0, "names": names(), **options}
    return AwsSts(tls=tls_context(str(london.file)), **chosen)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


async def test_over_tls_and_on_kept_connections(sts: StsStandIn, london: Authority) -> None:
    async with client(london) as aws:
        for key in (DEV, OPS, DEV, OPS):
            assert (await aws.get_caller_identity(call(f"{LONDON}:{sts.port}", key))).arn == ROLES[key][0]
        assert sts.connections == 1
        found = await asyncio.gather(
            *(aws.get_caller_identity(call(f"{LONDON}:{sts.port}", key)) for key in list(ROLES) * 10)
        )
    assert [one.arn for one in found] == [ROLES[key][0] for key in list(ROLES) * 10]
    assert sts.connections <= 4


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_of_tls(london: Authority, version: ssl.TLSVersion) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(london.file)
    serving.minimum_version = serving.maximum_version = version
    async with StsStandIn(tls=serving) as sts, client(london) as aws:
        for _ in range(2):
            assert (await aws.get_caller_identity(call(f"{LONDON}:{sts.port}"))).arn == ROLES[DEV][0]


async def test_a_certificate_for_another_name_is_not_sts(sts: StsStandIn, london: Authority) -> None:
    async with client(london) as aws:
        with pytest.raises(StsUnavailableError, match="SSLCertVerificationError"):
            await aws.get_caller_identity(call(f"{SYDNEY}:{sts.port}"))
    assert not sts.asked


@pytest.mark.parametrize("greeting", ["200 Connection established", "200 OK", "201 Fine"])
@pytest.mark.parametrize("scheme", ["http", "https", ""])
async def test_through_a_proxy_that_lets_through(
    sts: StsStandIn, london: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str, greeting: str
) -> None:
    own = Authority(tmp_path, "localhost") if scheme == "https" else None
    if own:
        monkeypatch.setenv("SSL_CERT_FILE", str(own.file))
    async with Proxy(sts.port, own.serving if own else None, greeting) as proxy:
        prefix = f"{scheme}://me:p%40ss@" if scheme else ""
        monkeypatch.setenv("HTTPS_PROXY", f"{prefix}localhost:{proxy.port}")
        async with client(london) as aws:
            for key in (DEV, OPS):
                assert (await aws.get_caller_identity(call(LONDON, key))).arn == ROLES[key][0]
        assert len(proxy.asked) == sts.connections == 1
    assert proxy.asked[0].startswith(f"CONNECT {LONDON}:443 HTTP/1.1\r\n".encode())
    secret = base64.b64encode(b"me:p@ss")
    assert (b"Proxy-Authorization: Basic " + secret in proxy.asked[0]) == bool(scheme)


@pytest.mark.parametrize("bypass", ["*", "eu-west-2.amazonaws.com", f"localhost,{LONDON}"])
async def test_no_proxy_leads_past_the_proxy(
    sts: StsStandIn, london: Authority, monkeypatch: pytest.MonkeyPatch, bypass: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", bypass)
    async with client(london) as aws:
        assert (await aws.get_caller_identity(call(f"{LONDON}:{sts.port}"))).arn == ROLES[DEV][0]


async def test_this_machine_is_never_behind_a_proxy(
    sts: StsStandIn, london: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    async with client(london, own_endpoint=sts.endpoint) as aws:
        assert (await aws.get_caller_identity(call(sts.host))).arn == ROLES[DEV][0]


async def test_a_lab_elsewhere_does_not_take_the_proxy_from_aws(
    sts: StsStandIn, london: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy(sts.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with client(london, own_endpoint="https://lab.example:4566") as aws:
            assert (await aws.get_caller_identity(call(LONDON))).arn == ROLES[DEV][0]


@pytest.mark.parametrize(
    "text", ["socks5://127.0.0.1:1080", "http://", "http://proxy:nan", "http://proxy:99999", "http://[::1", "ftp://x:1"]
)
def test_a_proxy_that_cannot_be_used_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", text)
    with pytest.raises(RolecallError) as raised:
        proxy_of_environment()
    assert raised.value.where == "HTTPS_PROXY"


@pytest.mark.parametrize("text", [" http://127.0.0.1:3128 ", "127.0.0.1:3128", "HTTP://127.0.0.1:3128/"])
def test_a_proxy_as_people_write_it(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", text)
    found = proxy_of_environment()
    assert found is not None
    assert (found.hostname, found.port) == ("127.0.0.1", 3128)


@contextlib.asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """A server that takes connections and never says a word."""
    held: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0, backlog=1024)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in held:
        writer.transport.abort()


async def test_a_region_that_does_not_answer_delays_no_other(sts: StsStandIn, london: Authority) -> None:
    async with black_hole() as hole, client(london, connections=64, seconds=600.0) as aws:
        stuck = [
            asyncio.create_task(aws.get_caller_identity(call(f"sts.{region}.amazonaws.com:{hole}")))
            for region in ("ap-southeast-2", "ap-south-1", "sa-east-1", "us-west-1")
            for _ in range(128)
        ]
        await asyncio.sleep(0)
        async with asyncio.timeout(300):
            # Ten times as long as one login may take, and a tenth of what the others are given.
            for key in (DEV, OPS):
                assert (await aws.get_caller_identity(call(f"{LONDON}:{sts.port}", key))).arn == ROLES[key][0]
        assert not any(task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)


async def test_a_host_that_fails_gets_few_connections_until_it_answers_again(london: Authority) -> None:
    """Asked by many, it is tried by a few; whoever comes on top of a short queue hears so at once."""
    serving: ssl.SSLContext = london.serving
    async with StsStandIn(tls=serving) as sts, client(london, connections=64, seconds=600.0) as aws:
        address = f"{LONDON}:{sts.port}"
        sts.hang_up = True
        for _ in range(sts_pool.FAILURES):
            with pytest.raises(StsUnavailableError):
                await aws.get_caller_identity(call(address))
        sts.hang_up, sts.delay = False, 0.2
        tasks = [asyncio.create_task(aws.get_caller_identity(call(address))) for _ in range(200)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        good = [one for one in found if not isinstance(one, BaseException)]
        assert len(good) == sts_pool.PROBES + sts_pool.WAITING
        assert all("too many wait" in str(one) for one in found if isinstance(one, BaseException))
        sts.delay = 0.0
        # It has answered: everybody is served.
        assert len(await asyncio.gather(*(aws.get_caller_identity(call(address)) for _ in range(200)))) == 200


async def test_idle_connections_are_bounded_over_all_hosts(london: Authority, sts: StsStandIn) -> None:
    sts.delay = 0.05
    async with client(london, connections=4, own_endpoint=f"https://{LONDON}:{sts.port}") as aws:
        pool = aws._pool
        assert pool is not None
        await asyncio.gather(*(aws.get_caller_identity(call(f"{LONDON}:{sts.port}")) for _ in range(8)))
        assert len(pool._idle) == 4
        with contextlib.suppress(StsUnavailableError):
            await aws.get_caller_identity(call(f"127.0.0.1:{sts.port}"))
        assert len(pool._idle) <= 4 * sts_pool.IDLE_AT_ONCE


async def test_one_name_that_does_not_resolve_delays_no_other_name() -> None:
    release = threading.Event()

    def look_up(name: str, port: int) -> list[str]:
        if name != LONDON:
            release.wait(300)
            raise OSError("no such name")
        return ["192.0.2.1"]

    found = HostNames(look_up)
    # More than the event loop has threads.
    stuck = [asyncio.create_task(found.addresses(f"sts.r{number}.example", 443)) for number in range(40)]
    again = [asyncio.create_task(found.addresses("sts.r1.example", 443)) for _ in range(40)]
    await asyncio.sleep(0)
    threads = threading.active_count()
    async with asyncio.timeout(300):
        assert await found.addresses(LONDON, 443) == ("192.0.2.1",)
    # One thread a name, however many ask for it.
    assert threads <= 60
    release.set()
    answers = await asyncio.gather(*stuck, *again, return_exceptions=True)
    assert all(isinstance(one, OSError) for one in answers)


async def test_the_last_good_address_serves_while_names_cannot_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[list[str] | OSError] = [["192.0.2.1"], OSError("gone"), ["192.0.2.2"]]
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look_up(name: str, port: int) -> list[str]:
        loop.call_soon_threadsafe(asked.set)
        found = answers.pop(0)
        if isinstance(found, OSError):
            raise found
        return found

    found = HostNames(look_up)
    monkeypatch.setattr("rolecall.authenticator.host_names.FRESH_SECONDS", 0.0)
    for _ in range(2):
        asked.clear()
        assert await found.addresses(LONDON, 443) == ("192.0.2.1",)
        await asked.wait()
        await asyncio.sleep(0.05)
    asked.clear()
    await found.addresses(LONDON, 443)
    await asked.wait()
    async with asyncio.timeout(300):
        answers.append(["192.0.2.2"])
        while await found.addresses(LONDON, 443) != ("192.0.2.2",):
            answers.append(["192.0.2.2"])
            await asyncio.sleep(0.01)


async def test_an_address_that_takes_nobody_is_passed_over(
    sts: StsStandIn, london: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens at the first; the second answers.
    async with client(london, names=HostNames(lambda name, port: ["127.0.0.9", "127.0.0.1"])) as aws:
        assert (await aws.get_caller_identity(call(f"{LONDON}:{sts.port}"))).arn == ROLES[DEV][0]
    assert sts_connections.CONNECT_SECONDS < 10
