"""Mappings in the cluster itself: the ConfigMap aws-auth and IAMIdentityMapping objects, listed once and then watched.

A thread each reads the watch, because the connection to a cluster is shared with the rest of the product and waits
where it reads; what it sees is handed to the event loop. The API server ends each watch after half a minute; a
connection that says nothing for longer is dead, and everything is listed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from lightkube.config.kubeconfig import SERVICE_ACCOUNT
from lightkube.models.core_v1 import EventSource, ObjectReference
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Event
from lightkube.types import PatchType

from rolecall.authenticator.decision_log import Log
from rolecall.authenticator.mapping_store import MappingStore, Version
from rolecall.authenticator.metrics import Metrics
from rolecall.clusters.connect import Connection, connect
from rolecall.clusters.errors import ClusterError, explained
from rolecall.clusters.exec_credentials import TokenFile
from rolecall.clusters.kubeconfig import read_context
from rolecall.clusters.read_cluster import IdentityMappingObject
from rolecall.clusters.transport import Endpoint
from rolecall.mapping.backends.chain import CRD, EKS_CONFIG_MAP, IdentityMappingBackend
from rolecall.mapping.backends.config_map import read_config_map
from rolecall.mapping.backends.entry_table import MatchOptions
from rolecall.mapping.identity_mappings import IdentityMapping, status_of

NAMESPACE, AWS_AUTH = "kube-system", "aws-auth"
WATCH_SECONDS = 30
# A watch says nothing while nothing changes; the server ends it after WATCH_SECONDS, or it is dead.
READ_TIMEOUT = httpx2.Timeout(WATCH_SECONDS + 15, connect=10)
FIRST_PAUSE, MAX_PAUSE = 0.25, 5.0
MAX_OBJECTS = 20_000

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """How the authenticator reaches its own cluster: a kubeconfig, or the pod's service account.

    :param master: the API server's URL, if it is not the kubeconfig's (``--master``).
    """

    kubeconfig: str = ""
    master: str = ""

    def connect(self) -> Connection:
        """A connection; :class:`ClusterError` if there is neither a kubeconfig nor a service account."""
        if self.kubeconfig:
            found = read_context(paths=(Path(self.kubeconfig),))
            name, endpoint, tokens = found.name, found.endpoint, found.tokens
        else:
            folder, host = Path(SERVICE_ACCOUNT), os.environ.get("KUBERNETES_SERVICE_HOST", "")
            if not self.master and not host:
                raise ClusterError(
                    "not in a pod, and no kubeconfig is given",
                    advice="give --kubeconfig FILE, or --master URL",
                )
            authority = folder / "ca.crt"
            port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
            name = "in-cluster"
            server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
            endpoint = Endpoint(server, ca_pem=authority.read_text() if authority.exists() else "")
            tokens = TokenFile(folder / "token") if (folder / "token").exists() else None
        if self.master:
            endpoint = replace(endpoint, server=self.master)
        connection = connect(name, endpoint, tokens)
        # lightkube reads a watch without any timeout, so a connection that died would be waited on for ever.
        connection.client._client._watch_timeout = READ_TIMEOUT
        return connection


class WatchedObjects:
    """Objects of one kind as they are now.

    :param changed: called in the event loop after the list and after every change, with what ``prepare`` made of all
        objects by name.
    :param failed: called in the event loop with the reason whenever the list or the watch breaks.
    :param seen: called in the thread with every object that is new or has changed.
    :param prepare: called in the thread, so that reading a large map does not hold up answers.
    """

    def __init__(
        self,
        address: ClusterAddress,
        resource: Any,
        selection: Mapping[str, Any],
        changed: Callable[[Any], None],
        failed: Callable[[str], None],
        seen: Callable[[Connection, Object], None] | None = None,
        prepare: Callable[[Mapping[str, Object]], Any] = dict,
    ) -> None:
        self._address = address
        self._resource = resource
        self._selection = dict(selection)
        self._changed = changed
        self._failed = failed
        self._seen = seen
        self._prepare = prepare
        self._stopped = threading.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, args=(loop,), name="rolecall-watch", daemon=True).start()
        try:
            await asyncio.Event().wait()
        finally:
            self._stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                with contextlib.closing(self._address.connect()) as connection, explained(connection.name):
                    version = self._list(connection, loop)
                    pause = FIRST_PAUSE
                    self._follow(connection, version, loop)
            except Exception as error:
                # Whatever a cluster or a library comes up with: a watch that has ended for good would leave mappings
                # in force that are removed.
                self._tell(loop, self._failed, getattr(error, "what", "") or type(error).__name__)
                self._stopped.wait(random.uniform(pause / 2, pause))  # noqa: S311 -- no secret
                pause = min(MAX_PAUSE, pause * 2)

    def _list(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> str:
        self._objects: dict[str, Object] = {}
        listed = connection.client.list(self._resource, chunk_size=500, **self._selection)
        for found in listed:
            self._put(connection, found.to_dict())
        self._tell(loop, self._changed, self._prepare(self._objects))
        return listed.resourceVersion

    def _follow(self, connection: Connection, version: str, loop: asyncio.AbstractEventLoop) -> None:
        watched = connection.client.watch(
            self._resource, server_timeout=WATCH_SECONDS, resource_version=version, **self._selection
        )
        for kind, found in watched:
            if self._stopped.is_set():
                return
            if kind == "DELETED":
                self._objects.pop(_name(found.to_dict()), None)
            elif kind in ("ADDED", "MODIFIED"):
                self._put(connection, found.to_dict())
            self._tell(loop, self._changed, self._prepare(self._objects))

    def _put(self, connection: Connection, found: Object) -> None:
        if len(self._objects) >= MAX_OBJECTS:
            raise ClusterError(f"there are more than {MAX_OBJECTS} of them")
        self._objects[_name(found)] = found
        if self._seen is not None:
            self._seen(connection, found)

    def _tell(self, loop: asyncio.AbstractEventLoop, what: Callable[[Any], None], value: Any) -> None:
        if not self._stopped.is_set() and not loop.is_closed():
            # The loop may be closed between the look and the call.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(what, value)


def config_map(address: ClusterAddress, store: MappingStore, options: MatchOptions, metrics: Metrics) -> WatchedObjects:
    """The backend EKSConfigMap."""
    where = f"ConfigMap {NAMESPACE}/{AWS_AUTH}"
    nothing = read_config_map({}, options).backend
    last: dict[str, str] | None = None
    version: Version | None = None
    taken: Version | None = None

    def prepare(objects: Mapping[str, Object]) -> Version | None:
        """The new version; ``None`` if the ConfigMap is gone. The same version again if only its labels changed."""
        nonlocal last, version
        found = objects.get(AWS_AUTH)
        if found is None:
            last, version = None, None
            return None
        data = {key: value for key, value in (found.get("data") or {}).items() if isinstance(value, str)}
        if data != last:
            reading = read_config_map(data, options)
            last, version = data, Version(reading.backend, where, reading.broken, reading.doubts)
        return version

    def changed(found: Version | None) -> None:
        nonlocal taken
        if found is None:
            store.missing(nothing, where)
        elif found is not taken:
            store.take(found)
        taken = found

    def failed(why: str) -> None:
        metrics.config_map_watch_failures.inc()
        store.unreadable(EKS_CONFIG_MAP, where, why)

    selection = {"namespace": NAMESPACE, "fields": {"metadata.name": AWS_AUTH}}
    return WatchedObjects(address, ConfigMap, selection, changed, failed, prepare=prepare)


def identity_mappings(
    address: ClusterAddress, store: MappingStore, options: MatchOptions, log: Log, *, write_status: bool
) -> WatchedObjects:
    """The backend CRD.

    :param write_status: whether this process is the one that writes ``status.canonicalARN``.
    """
    where = "IAMIdentityMapping"
    last: list[IdentityMapping] | None = None

    def changed(objects: Mapping[str, Object]) -> None:
        nonlocal last
        found: list[IdentityMapping] = []
        # Of two objects for one ARN, the first by name counts, today and tomorrow.
        for name in sorted(objects):
            mapping = IdentityMapping.from_object(objects[name])
            # A status that does not fit the spec is one from before a change: whom it names is not meant any more.
            if (
                mapping is not None
                and (status_of(_arn(objects[name])) or {}).get("canonicalARN") == mapping.canonical_arn
            ):
                found.append(mapping)
        if found != last:
            last = found
            store.take(Version(IdentityMappingBackend.of(found, options), where))

    return WatchedObjects(
        address,
        IdentityMappingObject,
        {},
        changed,
        lambda why: store.unreadable(CRD, where, why),
        (lambda connection, found: write_back(connection, found, log)) if write_status else None,
    )


def write_back(connection: Connection, found: Object, log: Log) -> None:
    """Write the status of an IAMIdentityMapping if it is not right, and an event about it.

    Source: aws-iam-authenticator v0.7 ``pkg/mapper/crd/controller/controller.go`` (``syncHandler``): ``userID`` is part
    of the status and stays empty; the event is ``Synced``.
    """
    name, status = _name(found), found.get("status") or {}
    wanted = status_of(_arn(found))
    if wanted is None:
        log.warning("mapping has a line that does nothing", backend=CRD, where=name, error="no IAM ARN")
        return
    if status.get("canonicalARN") == wanted["canonicalARN"]:
        return
    patch = {"status": {**wanted, "userID": status.get("userID") or ""}}
    try:
        with explained(f"IAMIdentityMapping {name}"):
            connection.client.patch(IdentityMappingObject.Status, name, patch, patch_type=PatchType.MERGE)
    except ClusterError as error:
        log.error("status of a mapping could not be written", backend=CRD, where=name, error=error.what)
        return
    try:
        with explained(f"event about IAMIdentityMapping {name}"):
            connection.client.create(_synced(found, datetime.now(UTC)))
    except ClusterError as error:
        # A right that is missing for events keeps nobody out.
        log.write(10, "an event could not be written", {"backend": CRD, "where": name, "error": error.what})


def _synced(found: Object, now: datetime) -> Event:
    """Events about objects without a namespace are in ``default`` (client-go ``tools/record``)."""
    metadata = found.get("metadata") or {}
    name = _name(found)
    return Event(
        metadata=ObjectMeta(name=f"{name}.{int(now.timestamp() * 1e9):x}", namespace="default"),
        involvedObject=ObjectReference(
            apiVersion="iamauthenticator.k8s.aws/v1alpha1",
            kind="IAMIdentityMapping",
            name=name,
            uid=metadata.get("uid"),
            resourceVersion=metadata.get("resourceVersion"),
        ),
        type="Normal",
        reason="Synced",
        message="Identity synced successfully",
        source=EventSource(component="aws-iam-authenticator"),
        reportingComponent="aws-iam-authenticator",
        firstTimestamp=now,
        lastTimestamp=now,
        count=1,
    )


def _name(found: Object) -> str:
    return str((found.get("metadata") or {}).get("name", ""))


def _arn(found: Object) -> str:
    arn = (found.get("spec") or {}).get("arn")
    return arn if isinstance(arn, str) else ""
