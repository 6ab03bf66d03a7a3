"""Access entries of an EKS cluster, asked of the EKS API again and again.

EKS binds an entry to the principal's unique id, which its API does not show. IAM shows it: the id is read when the
entry is first seen, and a principal that IAM made after the entry is another one under the old name, whom the entry
does not let in. If IAM may not be read (another account), the principal's name counts, and the log says so.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.authenticator.decision_log import Log
from rolecall.authenticator.mapping_store import MappingStore, Version
from rolecall.aws.read_clusters import DatedEntry, describe_cluster, read_entries
from rolecall.aws.session import AwsClients, identify
from rolecall.errors import RolecallError
from rolecall.mapping.access_entries import AccessEntry
from rolecall.mapping.backends.chain import ACCESS_ENTRIES, AccessEntryBackend, path_free

CALLS = 4
ABSENT = ("NoSuchEntity",)


class EksEntries:
    """Polls one cluster's entries."""

    def __init__(self, cluster: str, region: str, seconds: float, store: MappingStore, log: Log) -> None:
        self._cluster = cluster
        self._region = region
        self._seconds = max(1.0, seconds)
        self._store = store
        self._log = log
        self._last: AccessEntryBackend | None = None
        self._clients: AwsClients | None = None
        self._account = ""
        # By entry and when it was made; `None` for an entry whose principal is not the one it was made for.
        self._ids: dict[tuple[str, datetime], str | None] = {}

    async def run(self) -> None:
        """Poll until cancelled."""
        loop = asyncio.get_running_loop()
        where = f"EKS cluster {self._cluster}"
        with ThreadPoolExecutor(1, "rolecall-eks") as thread:
            while True:
                try:
                    found = await loop.run_in_executor(thread, self._read)
                except RolecallError as error:
                    self._store.unreadable(ACCESS_ENTRIES, where, error.what)
                except Exception as error:
                    # botocore raises its own errors for missing regions, credentials and endpoints.
                    self._store.unreadable(ACCESS_ENTRIES, where, type(error).__name__)
                else:
                    if found != self._last:
                        self._last = found
                        self._store.take(Version(found, where))
                await asyncio.sleep(self._seconds)

    def _read(self) -> AccessEntryBackend:
        if self._clients is None:
            access = identify(region=self._region)
            self._account, self._region = access.account, access.region
            self._clients = AwsClients([access], concurrency=CALLS)
        cluster = describe_cluster(self._clients, self._account, self._region, self._cluster)
        with ThreadPoolExecutor(CALLS, "rolecall-eks-call") as calls:
            dated = read_entries(self._clients, cluster, calls)
        by_id: dict[str, AccessEntry] = {}
        by_arn: dict[str, AccessEntry] = {}
        for one in dated:
            found = self._principal_id(one)
            if found is None:
                continue
            if found:
                by_id[found] = replace(one.entry, principal_id=found)
            else:
                by_arn[path_free(one.entry.principal_arn)] = one.entry
        self._ids = {key: value for key, value in self._ids.items() if key in {_key(one) for one in dated}}
        return AccessEntryBackend(by_id, by_arn)

    def _principal_id(self, one: DatedEntry) -> str | None:
        """The principal's id, empty if it cannot be read, ``None`` if the entry is for nobody any more."""
        key = _key(one)
        if key not in self._ids:
            self._ids[key] = self._ask_iam(one)
        return self._ids[key]

    def _ask_iam(self, one: DatedEntry) -> str | None:
        arn = one.entry.principal_arn
        principal = PrincipalArn.parse(arn)
        if principal.account != self._account:
            self._log.warning("an access entry counts by name: its principal's account is another one", arn=arn)
            return ""
        assert self._clients is not None
        iam = self._clients.client(self._account, "iam")
        try:
            found: Any
            if principal.kind is PrincipalKind.ROLE:
                found = iam.get_role(RoleName=principal.name)["Role"]
                found_id = found["RoleId"]
            else:
                found = iam.get_user(UserName=principal.name)["User"]
                found_id = found["UserId"]
        except iam.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ABSENT:
                self._log.warning("an access entry has no effect: its principal is gone", arn=arn)
                return None
            self._log.warning("an access entry counts by name: IAM does not show its principal", arn=arn, error=code)
            return ""
        if found["CreateDate"] > one.created:
            self._log.warning("an access entry has no effect: its principal was deleted and created again", arn=arn)
            return None
        return str(found_id)


def _key(one: DatedEntry) -> tuple[str, datetime]:
    return one.entry.principal_arn, one.created
