"""The lab's clusters: brought up and down as EKS's records say, each in its own folder."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rolecall.authenticator.review import StsClient
from rolecall.lab.aws_endpoint.eks import records
from rolecall.lab.aws_endpoint.store import Store
from rolecall.lab.cluster_access import AccessConfig, ClusterSpec
from rolecall.lab.kubernetes.cluster import EmbeddedCluster
from rolecall.mapping.resolve import AuthenticationMode
from rolecall.tokens.hosts import StsHosts

log = logging.getLogger(__name__)


class ClusterManager:
    """Keeps the embedded clusters that the records of EKS ask for. One event loop, one thread."""

    def __init__(
        self, store: Store, folder: Path, *, clock: Callable[[], datetime], sts: StsClient, hosts: StsHosts
    ) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._sts = sts
        self._hosts = hosts
        self._running: dict[str, EmbeddedCluster] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def bring_up(self, cluster_id: str) -> None:
        """Start a cluster once the transaction that asks for it is committed."""
        self._later(self._start(cluster_id))

    def tear_down(self, cluster_id: str) -> None:
        """Stop a cluster and delete its folder, once the transaction that asks for it is committed."""
        self._later(self._remove(cluster_id))

    def signing_keys(self, issuer: str) -> Mapping[str, Any] | None:
        """The keys of the cluster with this service account issuer."""
        for cluster in self._running.values():
            if cluster.tokens.issuer == issuer:
                return cluster.tokens.jwks()
        return None

    async def start(self) -> None:
        """Bring every cluster to the state that its record has, after a start of the lab."""
        known = records.every(self._store)
        for row in known:
            if row["status"] == "DELETING":
                await self._remove(row["id"])
            else:
                await self._start(row["id"])
        for folder in self._folder.iterdir():
            # A cluster whose creation was never committed, or whose deletion was: nothing refers to its folder.
            if folder.is_dir() and records.by_id(self._store, folder.name) is None:
                shutil.rmtree(folder)

    async def stop(self) -> None:
        """Wait for what is under way and stop every cluster."""
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(cluster.stop() for cluster in self._running.values()))
        self._running.clear()

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, cluster_id: str) -> None:
        row = records.by_id(self._store, cluster_id)
        if row is None or cluster_id in self._running:
            return
        try:
            cluster = EmbeddedCluster(self._spec(cluster_id, row["name"], row["issuer"]), self._folder / cluster_id)
            await cluster.start()
        except Exception:
            # The lab and its other clusters go on; the record says FAILED, the log says why.
            log.exception("cluster %s could not be started", row["name"])
            records.mark_failed(self._store, cluster_id)
            return
        self._running[cluster_id] = cluster
        records.mark_active(self._store, cluster_id, cluster.endpoint, cluster.ca_pem)
        log.info("cluster %s of account %s answers at %s", row["name"], row["account"], cluster.endpoint)

    async def _remove(self, cluster_id: str) -> None:
        row = records.by_id(self._store, cluster_id)
        if row is None or row["status"] != "DELETING":
            return
        cluster = self._running.pop(cluster_id, None)
        if cluster is not None:
            await cluster.stop()
        shutil.rmtree(self._folder / cluster_id, ignore_errors=True)
        records.forget(self._store, cluster_id)
        log.info("cluster %s of account %s is deleted", row["name"], row["account"])

    def _spec(self, cluster_id: str, name: str, issuer: str) -> ClusterSpec:
        remembered = _Remembered(self._store, cluster_id)
        return ClusterSpec(
            name,
            issuer,
            remembered.version,
            self._sts,
            self._hosts,
            remembered.access,
            lambda: self._store.version,
            self._clock,
        )


class _Remembered:
    """A cluster's record and access configuration, read again when the store has changed."""

    def __init__(self, store: Store, cluster_id: str) -> None:
        self._store = store
        self._id = cluster_id
        self._seen = -1
        self._version = ""
        self._access = AccessConfig(AuthenticationMode.CONFIG_MAP, {})

    def version(self) -> str:
        self._refresh()
        return self._version

    def access(self) -> AccessConfig:
        self._refresh()
        return self._access

    def _refresh(self) -> None:
        if self._seen == self._store.version:
            return
        row = records.by_id(self._store, self._id)
        if row is not None:
            self._version = row["version"]
            self._access = AccessConfig(
                AuthenticationMode(row["mode"]), records.entries_by_principal(self._store, self._id), row["creator"]
            )
        self._seen = self._store.version
