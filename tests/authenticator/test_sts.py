"""The way to STS: what is asked, how often, and whom never. Source: aws-iam-authenticator v0.7 pkg/token/token.go."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rolecall.authenticator.review import StsRefusedError, StsThrottledError, StsUnavailableError
from rolecall.authenticator.sts import ATTEMPTS, AwsSts, StsEvents, read_identity, region_of
from rolecall.authenticator.sts_connections import MAX_ANSWER
from rolecall.authenticator.verified_tokens import VerifiedTokens
from rolecall.model import Identity
from rolecall.tokens.parse import PresignedCall
from sts_stand_in import DEV, ROLES, StsStandIn

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def call(host: str, scheme: str = "http", key: str = DEV) -> PresignedCall:
    query = f"Action=GetCallerIdentity&X-Amz-Credential={key}"
    return PresignedCall(f"{scheme}://{host}/?{query}", scheme, host, query, "prod", key, NOW)


def client(endpoint: str, seconds: float = 5.0, **options: Any) -> AwsSts:
    return AwsSts(
        tls=ssl.create_default_context(),
        connections=4,
        seconds=seconds,
        own_endpoint=endpoint,
        pause=lambda longest: 0.0,
        **options,
    )


@pytest.fixture
async def sts() -> AsyncIterator[StsStandIn]:
    async with StsStandIn() as stand_in:
        yield stand_in


async def test_connections_are_kept_and_bounded(sts: StsStandIn) -> None:
    async with client(sts.endpoint) as aws:
        for _ in range(3):
            assert (await aws.get_caller_identity(call(sts.host))).arn == ROLES[DEV][0]
        assert sts.connections == 1
        sts.delay = 0.02
        await asyncio.gather(*(aws.get_caller_identity(call(sts.host)) for _ in range(20)))
        assert sts.connections <= 4


async def test_every_caller_gets_its_own_answer(sts: StsStandIn) -> None:
    sts.delay = 0.005
    async with client(sts.endpoint) as aws:
        keys = list(ROLES) * 20
        found = await asyncio.gather(*(aws.get_caller_identity(call(sts.host, key=key)) for key in keys))
    assert [one.arn for one in found] == [ROLES[key][0] for key in keys]


async def test_a_caller_who_goes_away_leaves_no_answer_to_the_next(sts: StsStandIn) -> None:
    sts.delay = 0.05
    async with client(sts.endpoint) as aws:
        for key in list(ROLES)[1:]:
            gone = asyncio.create_task(aws.get_caller_identity(call(sts.host)))
            await asyncio.sleep(0.01)
            gone.cancel()
            await asyncio.sleep(0)
            assert (await aws.get_caller_identity(call(sts.host, key=key))).arn == ROLES[key][0]


async def test_a_connection_that_sts_closed_is_no_failure(sts: StsStandIn) -> None:
    sts.close_after = 1
    failed: list[str] = []
    async with client(sts.endpoint, events=StsEvents(failed=failed.append)) as aws:
        for _ in range(3):
            await aws.get_caller_identity(call(sts.host))
            await asyncio.sleep(0.02)
    assert not failed


@pytest.mark.parametrize(
    ("trouble", "error", "asked"),
    [
        ({"status": 403, "body": b"{}"}, StsRefusedError, 1),
        ({"status": 404, "body": b""}, StsRefusedError, 1),
        ({"status": 429, "body": b""}, StsThrottledError, 1),
        ({"status": 400, "body": b"<Error><Code>Throttling</Code></Error>"}, StsThrottledError, 1),
        ({"status": 503, "body": b'{"Error":{"Code":"SlowDown"}}'}, StsThrottledError, 1),
        ({"status": 503, "body": b""}, StsUnavailableError, ATTEMPTS),
        ({"hang_up": True}, StsUnavailableError, ATTEMPTS),
        ({"raw": b"nonsense\r\n\r\n"}, StsUnavailableError, ATTEMPTS),
        ({"body": b"x" * (MAX_ANSWER + 1)}, StsUnavailableError, ATTEMPTS),
        (
            {"raw": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * (2 * MAX_ANSWER)},
            StsUnavailableError,
            ATTEMPTS,
        ),
        ({"body": b"{}"}, StsUnavailableError, 1),
        ({"status": 301, "headers": "Location: http://127.0.0.1:1/\r\n", "body": b""}, StsUnavailableError, 1),
        (
            {"raw": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
            StsUnavailableError,
            ATTEMPTS,
        ),
    ],
)
async def test_answers_that_are_none(
    sts: StsStandIn, trouble: dict[str, Any], error: type[Exception], asked: int
) -> None:
    for name, value in trouble.items():
        setattr(sts, name, value)
    async with client(sts.endpoint) as aws:
        with pytest.raises(error):
            await aws.get_caller_identity(call(sts.host))
    assert len(sts.asked) == asked


async def test_a_slow_sts_is_given_up(sts: StsStandIn) -> None:
    sts.delay = 5.0
    async with client(sts.endpoint, seconds=0.2) as aws:
        started = asyncio.get_running_loop().time()
        with pytest.raises(StsUnavailableError, match="did not answer within"):
            await aws.get_caller_identity(call(sts.host))
        assert asyncio.get_running_loop().time() - started < 2.0


async def test_nobody_there() -> None:
    async with client("http://127.0.0.1:1") as aws:
        with pytest.raises(StsUnavailableError, match="cannot be reached"):
            await aws.get_caller_identity(call("127.0.0.1:1"))


async def test_an_answer_that_ends_with_its_connection(sts: StsStandIn) -> None:
    body = (
        b'{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Arn":"a","Account":"111122223333","UserId":"u"}}}'
    )
    sts.raw, sts.close_after = b"HTTP/1.1 200 OK\r\n\r\n" + body, 1
    async with client(sts.endpoint) as aws:
        assert (await aws.get_caller_identity(call(sts.host))).user_id == "u"


async def test_the_scheme_of_ones_own_endpoint_is_fixed(sts: StsStandIn) -> None:
    async with client(sts.endpoint.replace("http://", "https://")) as aws:
        with pytest.raises(StsRefusedError):
            await aws.get_caller_identity(call(sts.host, "http"))
    assert not sts.asked


async def test_a_proxy_is_asked_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("https_proxy", f"http://me:pass@127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "")
    async with client("") as aws:
        with pytest.raises(StsUnavailableError):
            await aws.get_caller_identity(call("sts.eu-west-2.amazonaws.com", "https"))
    server.close()
    assert asked[0].startswith(b"CONNECT sts.eu-west-2.amazonaws.com:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cGFzcw==" in asked[0]


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sts.amazonaws.com", "global"),
        ("sts.eu-west-2.amazonaws.com", "eu-west-2"),
        ("sts-fips.us-east-1.amazonaws.com", "us-east-1"),
        ("127.0.0.1:4566", "own"),
    ],
)
def test_regions(host: str, region: str) -> None:
    assert region_of(host) == region


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"[" * 100_000, b'{"GetCallerIdentityResponse":null}'])
def test_nonsense_is_no_identity(body: bytes) -> None:
    with pytest.raises(StsUnavailableError):
        read_identity(body)


class Asked:
    """Counts questions and answers them."""

    def __init__(self, seconds: float = 900.0, error: Exception | None = None) -> None:
        self.count = 0
        self.ends = datetime.now(UTC) + timedelta(seconds=seconds)
        self.error = error

    async def __call__(self, token: str) -> tuple[Identity, datetime]:
        self.count += 1
        await asyncio.sleep(0.01)
        if self.error:
            raise self.error
        return Identity("arn", "arn", "1", token), self.ends


async def test_identical_tokens_in_flight_are_one_question() -> None:
    ask = Asked()
    tokens = VerifiedTokens(ask, 0)
    found = await asyncio.gather(*(tokens.verify(name, 0.0) for name in ["a"] * 50 + ["b"] * 50))
    assert ask.count == 2
    assert [one.user_id for one in found] == ["a"] * 50 + ["b"] * 50
    assert len(tokens) == 0


async def test_whoever_asked_first_may_go_away() -> None:
    ask = Asked()
    tokens = VerifiedTokens(ask, 10)
    first = asyncio.create_task(tokens.verify("a", 0.0))
    second = asyncio.create_task(tokens.verify("a", 0.0))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).user_id == "a"
    # The question went away with whoever asked it, so it was asked again.
    assert ask.count == 2


async def test_an_answer_counts_for_its_seconds_and_never_longer_than_the_token() -> None:
    now = datetime.now(UTC).timestamp()
    tokens = VerifiedTokens(Asked(900), 10)
    await tokens.verify("a", now)
    assert tokens.known("a", now + 9.9)
    assert tokens.known("a", now + 10) is None
    short = VerifiedTokens(Asked(3), 10)
    await short.verify("a", now)
    assert short.known("a", now + 2)
    assert short.known("a", now + 3.5) is None


async def test_refusals_are_not_remembered_and_the_rest_is_bounded() -> None:
    ask = Asked(error=StsRefusedError("no"))
    tokens = VerifiedTokens(ask, 10, max_tokens=3)
    for _ in range(2):
        with pytest.raises(StsRefusedError):
            await tokens.verify("a", 0.0)
    assert ask.count == 2
    ask.error = None
    for name in "abcdefg":
        await tokens.verify(name, 0.0)
    assert len(tokens) == 3
    assert tokens.known("g", 1.0)
    assert tokens.known("a", 1.0) is None


@pytest.mark.parametrize("back", [1.0, 9.0, 60.0, 3_600.0])
async def test_a_clock_that_is_set_back_makes_no_answer_count_longer(back: float) -> None:
    # docs/authenticator.md: an answer counts for --token-cache-seconds, whatever the wall clock does.
    steady = [100.0]
    now = datetime.now(UTC).timestamp()
    ask = Asked(900)
    tokens = VerifiedTokens(ask, 10, steady=lambda: steady[0])
    await tokens.verify("a", now)
    # Set back at once: what was verified in the future is not remembered.
    assert tokens.known("a", now - back) is None
    await tokens.verify("a", now)
    steady[0] += 9.9
    assert tokens.known("a", now + 9.9)
    # Set back by what has passed, so that the wall clock alone sees a new answer.
    steady[0] += 0.2
    assert tokens.known("a", now + 0.1) is None


async def test_a_clock_that_is_set_on_ends_what_is_remembered() -> None:
    now = datetime.now(UTC).timestamp()
    tokens = VerifiedTokens(Asked(900), 10, steady=lambda: 100.0)
    await tokens.verify("a", now)
    assert tokens.known("a", now + 11) is None
