"""Asks STS who signed a call: pooled connections, bounded in time, size and attempts, and never led elsewhere.

The host was checked by :func:`rolecall.tokens.parse.parse_token`; a redirect is not followed, so no other host is
ever asked. Source of what is throttling and what is a refusal: aws-iam-authenticator v0.7 ``pkg/token/token.go``,
``Verify``; STS API reference, "Common errors".
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from rolecall.authenticator.host_names import HostNames
from rolecall.authenticator.review import StsRefusedError, StsThrottledError, StsUnavailableError
from rolecall.authenticator.sts_connections import Route, proxy_of_environment
from rolecall.authenticator.sts_pool import CrowdedError, StsPool
from rolecall.errors import RolecallError
from rolecall.model import CallerIdentity
from rolecall.tls import client_context
from rolecall.tokens.mint import CLUSTER_HEADER
from rolecall.tokens.parse import PresignedCall

ATTEMPTS = 3
FIRST_PAUSE = 0.05
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_REGION = re.compile(r"sts(?:-fips)?\.([a-z0-9-]+)\.")
_THROTTLED = ("throttl", "requestlimitexceeded", "slowdown")
_DISABLED_REGION = "regiondisabledexception"


@dataclass(slots=True)
class StsEvents:
    """Called as things happen, for the metrics. Every function gets the region of the host that was asked."""

    answered: Callable[[int, str], None] = lambda status, region: None
    failed: Callable[[str], None] = lambda region: None
    throttled: Callable[[str], None] = lambda region: None
    region_disabled: Callable[[], None] = lambda: None


class AwsSts:
    """Asks STS over connections that stay open. Use as an asynchronous context manager.

    :param own_endpoint: ``http(s)://HOST:PORT`` of a lab, where one was named: the only scheme its host is asked by.
    :param tls: the context to check STS's certificate with.
    :param connections: at once to one host.
    :param names: how host names are looked up.
    :param seconds: for one review, all attempts together.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        connections: int,
        seconds: float,
        own_endpoint: str = "",
        events: StsEvents | None = None,
        names: HostNames | None = None,
        pause: Callable[[float], float] = lambda longest: random.uniform(0, longest),  # noqa: S311 -- no secret
    ) -> None:
        self._tls = tls
        self._connections = connections
        self._seconds = seconds
        self._own_scheme, _, self._own_host = own_endpoint.partition("://")
        self._events = events or StsEvents()
        self._pause = pause
        self._names = names or HostNames()
        self._pool: StsPool | None = None

    async def __aenter__(self) -> AwsSts:
        self._pool = StsPool(Route(self._tls, self._names, proxy_of_environment()), self._connections)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.close()

    async def get_caller_identity(self, call: PresignedCall) -> CallerIdentity:
        """The principal that signed ``call``.

        :raises StsRefusedError: STS does not accept the call.
        :raises StsThrottledError: STS wants to be asked later.
        :raises StsUnavailableError: no answer within the time, or an answer that is not from STS.
        """
        if call.host == self._own_host and call.scheme != self._own_scheme:
            raise StsRefusedError(f"the token names {call.host} by {call.scheme}, which is not how it is reached")
        region = region_of(call.host)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._attempts(call, region)
        except TimeoutError:
            self._events.failed(region)
            raise StsUnavailableError(f"STS did not answer within {self._seconds:g} seconds") from None

    async def _attempts(self, call: PresignedCall, region: str) -> CallerIdentity:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                status, body = await self._get(call)
            except CrowdedError:
                self._events.failed(region)
                raise StsUnavailableError(f"too many wait for STS of {call.host}") from None
            except OSError as error:
                self._events.failed(region)
                trouble = f"STS cannot be reached: {type(error).__name__}"
            else:
                self._events.answered(status, region)
                if status < 500 and status != 429:
                    return self._read(status, body, region)
                if status == 429 or is_throttling(body):
                    self._events.throttled(region)
                    raise StsThrottledError("STS is asked too often")
                trouble = f"STS answered {status}"
            if attempt < ATTEMPTS:
                await asyncio.sleep(self._pause(FIRST_PAUSE * 4 ** (attempt - 1)))
        raise StsUnavailableError(trouble)

    async def _get(self, call: PresignedCall) -> tuple[int, bytes]:
        assert self._pool is not None
        # The query has no character that ends a line: parse_token refuses a URL with any.
        request = (
            f"GET /?{call.query} HTTP/1.1\r\nHost: {call.host}\r\n{CLUSTER_HEADER}: {call.cluster}\r\n"
            "Accept: application/json\r\nUser-Agent: rolecall\r\n\r\n"
        )
        return await self._pool.ask(call.scheme, call.host, request.encode("ascii"))

    def _read(self, status: int, body: bytes, region: str) -> CallerIdentity:
        if status == 200:
            return read_identity(body)
        if is_throttling(body):
            self._events.throttled(region)
            raise StsThrottledError("STS is asked too often")
        if 300 <= status < 400:
            raise StsUnavailableError(f"STS answered {status}, which would lead elsewhere")
        if _DISABLED_REGION in body.lower().decode("latin-1"):
            self._events.region_disabled()
        raise StsRefusedError(f"STS does not accept the token ({status} {error_code(body)})")


def read_identity(body: bytes) -> CallerIdentity:
    """The identity in STS's JSON answer; :class:`StsUnavailableError` where it is none."""
    try:
        result = json.loads(body)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
        arn, account, user_id = result["Arn"], result["Account"], result["UserId"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StsUnavailableError("the answer is not one of STS") from None
    if not all(isinstance(value, str) and value for value in (arn, account, user_id)) or not _ACCOUNT.fullmatch(
        account
    ):
        raise StsUnavailableError("the answer is not one of STS")
    return CallerIdentity(arn, account, user_id)


def is_throttling(body: bytes) -> bool:
    """Whether an error of STS says that it is asked too often; STS does so with status 400 as well as 429."""
    code = error_code(body).lower()
    return any(word in code for word in _THROTTLED)


def error_code(body: bytes) -> str:
    """The code in an error of STS, JSON or XML; ``unknown`` where it has none."""
    found = re.search(rb'(?:"Code"\s*:\s*"|<Code>)([A-Za-z]{1,60})["<]', body[:4096])
    return found[1].decode() if found else "unknown"


def region_of(host: str) -> str:
    """The region in the name of an STS host, ``global`` for the one without, ``own`` for any other."""
    if host == "sts.amazonaws.com":
        return "global"
    found = _REGION.match(host)
    return found[1] if found else "own"


def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """The context that STS's certificate is checked with: the system's authorities, or those in a file."""
    try:
        context = client_context(cafile=ca_file or None)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise RolecallError(
            f"no certificate authorities: {reason}", where=ca_file, advice="give a file of PEM certificates"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
