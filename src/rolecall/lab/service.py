"""One lab at work: the AWS endpoint, its clusters, and what ties them together, in one process and one event loop."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from dataclasses import replace
from datetime import UTC, datetime

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from rolecall.authenticator.review import StsRefusedError, StsThrottledError, StsUnavailableError
from rolecall.lab.aws_endpoint.actions import AwsError
from rolecall.lab.aws_endpoint.iam.account import administrator_keys, seed_account, seed_managed_policies
from rolecall.lab.aws_endpoint.iam.directory import account_exists
from rolecall.lab.aws_endpoint.ids import Ids
from rolecall.lab.aws_endpoint.schemas import SCHEMAS
from rolecall.lab.aws_endpoint.server import MAX_BODY, AwsEndpoint
from rolecall.lab.aws_endpoint.store import Store
from rolecall.lab.aws_endpoint.wire.errors import HttpResponse, error_response
from rolecall.lab.clusters import ClusterManager
from rolecall.lab.environment import AdministratorKey, write_profiles
from rolecall.lab.home import ADMINISTRATOR, LabError, LabHome, LabSettings
from rolecall.lab.http_server import HttpServer, raw_request
from rolecall.model import CallerIdentity
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.parse import PresignedCall

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def now() -> datetime:
    return datetime.now(UTC)


class InProcessSts:
    """STS as the lab's clusters ask it: the endpoint of the same process, without a socket in between."""

    endpoint: AwsEndpoint

    async def get_caller_identity(self, call: PresignedCall) -> CallerIdentity:
        answer = self.endpoint.handle(call.request())
        found = json.loads(answer.body) if answer.status == 200 else {}
        if answer.status >= 500:
            raise StsUnavailableError("STS answered with an internal error")
        if answer.status == 429:
            raise StsThrottledError("STS asks to call less often")
        if answer.status != 200:
            raise StsRefusedError(f"STS refuses the token's signature or credentials (HTTP {answer.status})")
        identity = found["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
        return CallerIdentity(identity["Arn"], identity["Account"], identity["UserId"])


class LabService:
    """A lab from start to stop."""

    def __init__(self, home: LabHome, settings: LabSettings) -> None:
        self._home = home
        self._settings = settings
        self._store = Store(home.aws_database, SCHEMAS)
        self._ids = Ids()
        self._server: HttpServer | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._clusters: ClusterManager | None = None
        self._endpoint: AwsEndpoint | None = None

    async def start(self) -> str:
        """Everything up; the URL of the AWS endpoint."""
        self._seed()
        server = HttpServer(self._handle, _error_page)
        port = await self._listen(server)
        self._server = server
        hosts = StsHosts(self._settings.partition, frozenset({f"127.0.0.1:{port}", f"localhost:{port}"}))
        sts = InProcessSts()
        self._clusters = ClusterManager(
            self._store,
            self._home.clusters,
            clock=now,
            sts=sts,
            hosts=hosts,
            backend=self._settings.kubernetes,
        )
        self._endpoint = AwsEndpoint(
            self._store, partition=self._settings.partition, clusters=self._clusters, clock=now, ids=self._ids
        )
        sts.endpoint = self._endpoint
        await self._clusters.start()
        self._flushing = asyncio.create_task(self._flush_now_and_then(self._endpoint))
        log.info("the AWS endpoint answers at http://127.0.0.1:%d", port)
        return f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """Everything down, in order; what was acknowledged is on disk already."""
        if self._flushing is not None:
            self._flushing.cancel()
        if self._server is not None:
            await self._server.close()
        if self._clusters is not None:
            await self._clusters.stop()
        if self._endpoint is not None:
            self._endpoint.usage.flush()
        self._store.close()

    def _seed(self) -> None:
        """Make the accounts that are not there yet, and write the administrators' profiles."""
        settings = self._settings
        with self._store.transaction():
            seed_managed_policies(self._store, settings.partition, self._ids, now())
            for account in settings.accounts:
                if not account_exists(self._store, account):
                    seed_account(self._store, settings.partition, account, ADMINISTRATOR, self._ids, now())
        keys = {
            account: AdministratorKey(account, *key)
            for account, key in administrator_keys(self._store, ADMINISTRATOR).items()
            if account in settings.accounts
        }
        write_profiles(self._home, settings, keys)

    async def _listen(self, server: HttpServer) -> int:
        wanted = self._settings.port
        try:
            port = await server.listen("127.0.0.1", wanted)
        except OSError as error:
            raise LabError(
                f"port {wanted} cannot be used: {os.strerror(error.errno) if error.errno else error}",
                where=str(self._home.folder),
                advice="stop the program that uses it, or choose another: rolecall lab up --port PORT (0: a free one)",
            ) from None
        if port != wanted:
            # The port is remembered, so that kubeconfigs and shells of the last run still work after a restart.
            self._home.save_settings(replace(self._settings, port=port))
        return port

    async def _handle(self, request: BaseRequest) -> Response:
        raw = await raw_request(request, MAX_BODY)
        if self._endpoint is None:
            return _error_page(503, "the lab is starting")
        return _response(self._endpoint.handle(raw, request.remote or ""))

    async def _flush_now_and_then(self, endpoint: AwsEndpoint) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            endpoint.usage.flush()


def _response(answer: HttpResponse) -> Response:
    return Response(body=answer.body, status=answer.status, headers=dict(answer.headers))


def _error_page(status: int, what: str) -> Response:
    codes = {413: "RequestEntityTooLarge", 500: "InternalFailure", 503: "ServiceUnavailable"}
    error = AwsError(codes.get(status, "MalformedHttpRequestException"), what, status)
    return _response(error_response(error, "query", _NAMESPACE, status, "unknown"))
