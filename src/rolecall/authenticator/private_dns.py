"""The private DNS names of instances, for ``{{EC2PrivateDNSName}}``: asked of EC2 in batches, remembered, bounded.

A name never changes while the instance exists, so what is known stays known until newer instances push it out. Source
of the batches and the rate: aws-iam-authenticator v0.7 ``pkg/ec2provider``; instances are asked for by filter, because
an id that does not exist would fail the whole batch otherwise (EC2 API reference, DescribeInstances).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rolecall.arn import Arn
from rolecall.authenticator.decision_log import Log
from rolecall.authenticator.token_reviews import PrivateDnsError
from rolecall.mapping.backends.server_config import ServerSettings
from rolecall.tls import authorities_for_botocore

MAX_NAMES = 20_000
MAX_WAITING = 8_000
BATCH = 100
BATCH_SECONDS = 0.05
UNKNOWN_SECONDS = 5.0
ASK_SECONDS = 10.0

Describe = Callable[[Sequence[str]], Mapping[str, str]]


class PrivateDnsNames:
    """Finds names, and remembers them.

    :param describe: the names of instances by id, those that there are; called in a thread.
    :param rate: calls a second; ``burst`` calls may be made at once.
    """

    def __init__(self, describe: Describe, *, rate: float, burst: int, log: Log, counted: Callable[[], None]) -> None:
        self._describe = describe
        self._rate = max(0.1, rate)
        self._burst = max(1, burst)
        self._log = log
        self._counted = counted
        self._names: OrderedDict[str, str] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._batch: list[str] = []
        self._calls = (float(self._burst), time.monotonic())
        self._threads = ThreadPoolExecutor(max_workers=self._burst, thread_name_prefix="rolecall-ec2")
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, instance: str) -> str:
        """The name of an instance; :class:`PrivateDnsError` if EC2 knows none, or does not answer in time."""
        if (known := self._names.get(instance)) is not None:
            self._names.move_to_end(instance)
            return known
        if self._unknown.get(instance, 0.0) > time.monotonic():
            raise PrivateDnsError(f"EC2 knows no instance {instance}")
        waiting = self._waiting.get(instance)
        if waiting is None:
            if len(self._waiting) >= MAX_WAITING:
                raise PrivateDnsError("too many instances are being looked up")
            waiting = self._waiting[instance] = asyncio.get_running_loop().create_future()
            # Those who waited may have gone away by the time there is an error.
            waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._batch.append(instance)
            if len(self._batch) == 1:
                self._start(self._ask_soon())
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), ASK_SECONDS)
        except TimeoutError:
            raise PrivateDnsError(f"EC2 did not answer about {instance} in time") from None

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_soon(self) -> None:
        await asyncio.sleep(BATCH_SECONDS)
        batch, self._batch = self._batch, []
        for start in range(0, len(batch), BATCH):
            self._start(self._ask(batch[start : start + BATCH]))

    async def _ask(self, instances: list[str]) -> None:
        await self._my_turn()
        self._counted()
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, self._describe, instances)
        except Exception as error:
            # botocore raises what its HTTP library raises, too.
            self._log.error("EC2 could not be asked", error=type(error).__name__)
            for instance in instances:
                self._settle(instance, PrivateDnsError(f"EC2 could not be asked about {instance}"))
            return
        for instance in instances:
            name = found.get(instance)
            if name:
                self._names[instance] = name
                if len(self._names) > MAX_NAMES:
                    self._names.popitem(last=False)
            else:
                self._unknown[instance] = time.monotonic() + UNKNOWN_SECONDS
                if len(self._unknown) > MAX_NAMES:
                    self._unknown.popitem(last=False)
            self._settle(instance, name or PrivateDnsError(f"EC2 knows no instance {instance}"))

    async def _my_turn(self) -> None:
        while True:
            left, since = self._calls
            now = time.monotonic()
            left = min(float(self._burst), left + (now - since) * self._rate)
            if left >= 1.0:
                self._calls = (left - 1.0, now)
                return
            self._calls = (left, now)
            await asyncio.sleep((1.0 - left) / self._rate)

    def _settle(self, instance: str, result: str | PrivateDnsError) -> None:
        waiting = self._waiting.pop(instance, None)
        if waiting is None or waiting.done():
            return
        if isinstance(result, str):
            waiting.set_result(result)
        else:
            waiting.set_exception(result)


def ec2_describe(settings: ServerSettings) -> Describe:
    """Asks EC2 through botocore, which is imported and asked for credentials with the first call only."""
    client: list[Any] = []

    def describe(instances: Sequence[str]) -> Mapping[str, str]:
        if not client:
            client.append(_client(settings))
        found: dict[str, str] = {}
        pages = (
            client[0]
            .get_paginator("describe_instances")
            .paginate(Filters=[{"Name": "instance-id", "Values": list(instances)}])
        )
        for page in pages:
            for reservation in page["Reservations"]:
                for instance in reservation["Instances"]:
                    found[instance["InstanceId"]] = instance.get("PrivateDnsName", "")
        return found

    return describe


def _client(settings: ServerSettings) -> Any:
    from botocore.config import Config
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.session import Session
    from botocore.utils import InstanceMetadataRegionFetcher

    session = Session()
    if bundle := authorities_for_botocore(session.get_config_variable("ca_bundle") or ""):
        session.set_config_variable("ca_bundle", bundle)
    region = (
        settings.region or session.get_config_variable("region") or InstanceMetadataRegionFetcher().retrieve_region()
    )
    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
    if settings.ec2_role_arn:

        def with_source(service: str, **options: Any) -> Any:
            made = session.create_client(service, region_name=region, config=config, **options)
            made.meta.events.register("before-sign.sts", lambda request, **_: _name_source(request, settings))
            return made

        fetcher = AssumeRoleCredentialFetcher(
            with_source, session.get_credentials(), settings.ec2_role_arn, {"RoleSessionName": "rolecall-authenticator"}
        )
        session._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    return session.create_client("ec2", region_name=region, config=config)


def _name_source(request: Any, settings: ServerSettings) -> None:
    """Headers against the confused deputy; source: the original's ``source_headers.go``."""
    request.headers["x-amz-source-account"] = Arn.parse(settings.ec2_role_arn).account
    if settings.source_arn:
        request.headers["x-amz-source-arn"] = settings.source_arn
