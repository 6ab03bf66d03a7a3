"""The endpoint in process: botocore's own clients talk to it without a socket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from rolecall.lab.aws_endpoint.eks import records
from rolecall.lab.aws_endpoint.iam.account import seed_account, seed_managed_policies
from rolecall.lab.aws_endpoint.ids import Ids, Seeded
from rolecall.lab.aws_endpoint.schemas import SCHEMAS
from rolecall.lab.aws_endpoint.server import AwsEndpoint
from rolecall.lab.aws_endpoint.store import Store
from rolecall.sigv4 import HttpRequest

ACCOUNT, OTHER_ACCOUNT = "231144931069", "444455556666"
REGION = "eu-west-2"
HOST = "127.0.0.1:4566"
# One session: the service models are read once for all tests.
SESSION = botocore.session.Session()


class Backend:
    """Clusters that come up when a test says so."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self.created: list[str] = []
        self.deleted: list[str] = []
        self.keys: dict[str, Any] = {}

    def bring_up(self, cluster_id: str) -> None:
        self.created.append(cluster_id)

    def tear_down(self, cluster_id: str) -> None:
        self.deleted.append(cluster_id)

    def signing_keys(self, issuer: str) -> Any:
        return self.keys.get(issuer)

    def work(self) -> None:
        assert self.store is not None
        for cluster_id in self.created:
            records.mark_active(self.store, cluster_id, "https://127.0.0.1:6443", "-----BEGIN CERTIFICATE-----")
        for cluster_id in self.deleted:
            records.forget(self.store, cluster_id)
        self.created, self.deleted = [], []


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body

    def read(self, *_: Any) -> bytes:
        return self._body


@dataclass
class Lab:
    """An endpoint with two accounts, and clients for it.

    :param now: the endpoint's clock.
    """

    endpoint: AwsEndpoint
    store: Store
    backend: Backend
    keys: dict[str, tuple[str, str]]
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def client(
        self,
        service: str,
        key: tuple[str, str] | tuple[str, str, str] | dict[str, Any] | None = None,
        *,
        region: str = REGION,
        account: str = ACCOUNT,
    ) -> Any:
        """A botocore client; ``key`` is a pair, a triple, or the Credentials or AccessKey shape."""
        if isinstance(key, dict):
            key = (
                key["AccessKeyId"],
                key["SecretAccessKey"],
                *([key["SessionToken"]] if "SessionToken" in key else []),
            )
        access_key, secret, *token = key or self.keys[account]
        client = SESSION.create_client(
            service,
            region_name=region,
            endpoint_url=f"http://{HOST}",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            aws_session_token=token[0] if token else None,
            config=Config(retries={"max_attempts": 0, "mode": "standard"}, parameter_validation=False),
        )
        client.meta.events.register("before-send", self._send)
        return client

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        answer = self.send(to_http_request(request))
        return AWSResponse(request.url, answer.status, dict(answer.headers), _Raw(answer.body))

    def send(self, request: HttpRequest) -> Any:
        return self.endpoint.handle(request)


def to_http_request(request: Any) -> HttpRequest:
    """botocore's prepared request as it would travel."""
    url = urlsplit(request.url)
    body = request.body or b""
    headers = [(b"Host", url.netloc.encode())]
    for name, value in request.headers.items():
        headers.append((name.encode(), value if isinstance(value, bytes) else str(value).encode()))
    return HttpRequest(
        request.method,
        url.path.encode() or b"/",
        url.query.encode(),
        tuple(headers),
        body.encode() if isinstance(body, str) else bytes(body),
    )


@contextmanager
def open_lab(folder: Path, accounts: Iterable[str]) -> Iterator[Lab]:
    """An endpoint with these accounts; its state is in ``folder``."""
    store = Store(folder / "aws.db", SCHEMAS)
    ids, now = Ids(Seeded(1)), datetime.now(UTC)
    with store.transaction():
        seed_managed_policies(store, "aws", ids, now)
        keys = {account: seed_account(store, "aws", account, "lab-admin", ids, now) for account in accounts}
    backend = Backend()
    backend.store = store
    found: list[Lab] = []
    endpoint = AwsEndpoint(store, partition="aws", clusters=backend, clock=lambda: found[0].now, ids=ids)
    found.append(Lab(endpoint, store, backend, keys))
    yield found[0]
    store.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path, (ACCOUNT, OTHER_ACCOUNT)) as found:
        yield found


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One for all tests of a module, each of which takes accounts of its own from it."""
    accounts = [f"7777777777{number:02}" for number in range(40)]
    with open_lab(tmp_path_factory.mktemp("lab"), accounts) as found:
        yield found
