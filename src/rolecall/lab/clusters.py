"""The lab's clusters: brought up and down as EKS's records say, each in its own folder."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from rolecall.authenticator.review import StsClient
from rolecall.lab.aws_endpoint.eks import records
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.store import Store
from rolecall.lab.cluster_access import AccessConfig, ClusterSpec
from rolecall.lab.home import Backend
from rolecall.lab.kubernetes.cluster import EmbeddedCluster
from rolecall.local_files.private import write_private
from rolecall.mapping.resolve import AuthenticationMode
from rolecall.tokens.hosts import StsHosts

log = logging.getLogger(__name__)

# A control plane of the real backend takes some seconds of all processors to start.
STARTS_AT_ONCE = 2
# A new cluster with this tag and the value "old" gets a certificate authority without key identifiers.
OLD_CA_TAG = "rolecall-lab/certificate-authority"
PATIENCE_SECONDS = 2.0


class Cluster(Protocol):
    """A Kubernetes API with its own state, whatever serves it."""

    @property
    def issuer(self) -> str:
        """The issuer of its service account tokens."""

    @property
    def ca_pem(self) -> str: ...

    @property
    def endpoint(self) -> str:
        """Its URL, once it has started."""

    def jwks(self) -> Mapping[str, Any]:
        """The keys that verify its service account tokens."""

    async def start(self) -> None:
        """Answer, with everything that was there the last time."""

    async def stop(self) -> None:
        """Leave nothing running."""


class ClusterManager:
    """Keeps the clusters that the records of EKS ask for. One event loop, one thread.

    :param backend: what new clusters are made of; one that exists stays what it is.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        sts: StsClient,
        hosts: StsHosts,
        backend: Backend = Backend.EMBEDDED,
    ) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._sts = sts
        self._hosts = hosts
        self._backend = backend
        self._running: dict[str, Cluster] = {}
        # A cluster that is deleted while it is being started is to be gone afterwards.
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots = asyncio.Semaphore(STARTS_AT_ONCE)
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
            if cluster.issuer == issuer:
                return cluster.jwks()
        return None

    async def start(self) -> None:
        """Bring every cluster to the state that its record has, after a start of the lab."""
        await asyncio.gather(
            *(
                self._remove(row["id"]) if row["status"] == "DELETING" else self._start(row["id"])
                for row in records.every(self._store)
            )
        )
        for folder in self._folder.iterdir():
            # A cluster whose creation was never committed, or whose deletion was: nothing refers to its folder.
            if folder.is_dir() and records.by_id(self._store, folder.name) is None:
                shutil.rmtree(folder)

    async def stop(self) -> None:
        """Wait for what is under way and stop every cluster."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=PATIENCE_SECONDS)
            # What is broken off here is done when the lab starts again: the records say what was asked for.
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(*(cluster.stop() for cluster in self._running.values()))
        self._running.clear()

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, cluster_id: str) -> None:
        async with self._locks[cluster_id], self._slots:
            row = records.by_id(self._store, cluster_id)
            if row is None or row["status"] == "DELETING" or cluster_id in self._running:
                return
            try:
                cluster = self._make(self._spec(cluster_id, row["name"], row["issuer"]), self._folder / cluster_id)
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
        async with self._locks[cluster_id]:
            row = records.by_id(self._store, cluster_id)
            if row is None or row["status"] != "DELETING":
                return
            cluster = self._running.pop(cluster_id, None)
            if cluster is not None:
                await cluster.stop()
            shutil.rmtree(self._folder / cluster_id, ignore_errors=True)
            records.forget(self._store, cluster_id)
            log.info("cluster %s of account %s is deleted", row["name"], row["account"])
        self._locks.pop(cluster_id, None)

    def _make(self, spec: ClusterSpec, folder: Path) -> Cluster:
        marker = folder / "backend"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not marker.exists():
            # Clusters from before there was a choice have the embedded server's state and no marker.
            is_embedded = (folder / "objects.db").exists()
            write_private(marker, (Backend.EMBEDDED if is_embedded else self._backend).value)
        if Backend(marker.read_text()) is Backend.EMBEDDED:
            return EmbeddedCluster(spec, folder)
        # Only labs that have such clusters need to read this code.
        from rolecall.lab.kubernetes_real.binaries import find_binaries
        from rolecall.lab.kubernetes_real.cluster import RealCluster

        return RealCluster(spec, folder, find_binaries(os.environ))

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
            directory.tags_of(self._store, cluster_id).get(OLD_CA_TAG) == "old",
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
