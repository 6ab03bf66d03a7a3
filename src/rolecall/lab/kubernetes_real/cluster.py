"""A cluster of the lab with the real kube-apiserver, which asks the lab's authenticator and its access policies."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from rolecall.lab.cluster_access import ClusterAccess, ClusterSpec
from rolecall.lab.home import LabError
from rolecall.lab.kubernetes.crds import IDENTITY_MAPPING_CRD
from rolecall.lab.kubernetes_real import controllers
from rolecall.lab.kubernetes_real.binaries import Binaries
from rolecall.lab.kubernetes_real.client import PASSING, ApiError, Client, Mirror
from rolecall.lab.kubernetes_real.control_plane import ControlPlane, Webhooks
from rolecall.lab.kubernetes_real.files import ControlPlaneFiles, write_webhook_kubeconfig
from rolecall.lab.kubernetes_real.webhook import WebhookServer

log = logging.getLogger(__name__)

_AWS_AUTH_PATH = "/api/v1/namespaces/kube-system/configmaps?fieldSelector=metadata.name%3Daws-auth"
_DEFINITIONS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
FURNISH_SECONDS = 30.0
RESTART_SECONDS = (0.0, 0.0, 0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0


class RealCluster:
    """One cluster with its folder of state, keys and certificates."""

    def __init__(self, spec: ClusterSpec, folder: Path, binaries: Binaries) -> None:
        self._spec = spec
        self._files = ControlPlaneFiles.ensure(folder, spec.clock(), old_ca=spec.old_ca)
        self.issuer = spec.issuer
        self.ca_pem = self._files.ca.read_text()
        webhooks = Webhooks(folder / "authentication-webhook.json", folder / "authorization-webhook.json")
        self._webhooks = webhooks
        self._plane = ControlPlane(binaries, self._files, spec.issuer, webhooks)
        self._tasks: list[asyncio.Task[None]] = []
        self._webhook: WebhookServer | None = None
        self._client: Client | None = None

    @property
    def endpoint(self) -> str:
        return self._plane.endpoint

    def jwks(self) -> Mapping[str, Any]:
        """The keys that verify the cluster's service account tokens."""
        return self._files.service_account_key.jwks()

    async def start(self) -> None:
        """Start everything and furnish the cluster; nothing is left running if that fails."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the clients before what they ask: watchers, API server, webhook."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._client is not None:
            await self._client.close()
            self._client = None
        await self._plane.stop()
        if self._webhook is not None:
            await self._webhook.stop()
            self._webhook = None

    async def _start(self) -> None:
        aws_auth, mappings = _Later(), _Later()
        access = ClusterAccess(self._spec, lambda: aws_auth.get("kube-system", "aws-auth"), mappings.listed)
        await self._listen(access)
        await self._plane.start()
        self._tasks.append(asyncio.create_task(self._watch_over()))
        self._client = client = Client(self._plane.endpoint, self._files.client_context())
        await _eventually(lambda: _define(client))
        aws_auth.mirror, mappings.mirror = (
            await self._follow(_AWS_AUTH_PATH),
            await self._follow(controllers.IDENTITY_MAPPINGS_PATH),
        )
        namespaces = await self._follow(controllers.NAMESPACES_PATH)
        roles = await self._follow(controllers.CLUSTER_ROLES_PATH)
        await _eventually(lambda: _has_namespaces(namespaces))
        for mirror, controller in (
            (namespaces, controllers.Namespaces(client, namespaces, self.ca_pem)),
            (roles, controllers.ClusterRoles(client, roles)),
            (mappings.mirror, controllers.IdentityMappings(client, mappings.mirror)),
        ):
            # Once before anybody is let in: a new cluster's roles are filled when it is said to be active.
            await _eventually(controller.settle)
            self._tasks.append(asyncio.create_task(controllers.keep(mirror, controller.settle)))

    async def _listen(self, access: ClusterAccess) -> None:
        token = secrets.token_urlsafe(32)
        self._webhook = WebhookServer(access, token)
        url = await self._webhook.start(self._files.serving)
        for path, what in (
            (self._webhooks.authentication, "authenticate"),
            (self._webhooks.authorization, "authorize"),
        ):
            assert path is not None
            write_webhook_kubeconfig(path, f"{url}/{what}", self._files.ca, token)

    async def _follow(self, path: str) -> Mirror:
        assert self._client is not None
        mirror = Mirror(self._client, path)
        self._tasks.append(asyncio.create_task(mirror.run()))
        await asyncio.wait_for(mirror.synced.wait(), FURNISH_SECONDS)
        return mirror

    async def _watch_over(self) -> None:
        """Start the control plane again if it ends by itself; mirrors find it again at the same port."""
        restarts = 0
        while True:
            begun = time.monotonic()
            await self._plane.ended()
            restarts = restarts + 1 if time.monotonic() - begun < STEADY_SECONDS else 0
            # One that ends again and again is broken, and starting it at once would only burn the machine.
            await asyncio.sleep(RESTART_SECONDS[min(restarts, len(RESTART_SECONDS) - 1)])
            log.warning("cluster %s: its control plane has ended; starting it again", self._spec.name)
            try:
                await self._plane.start()
            except LabError as error:
                log.error("cluster %s: %s", self._spec.name, error)


class _Later:
    """What a mirror knows; nothing until there is one, since the API server asks before it can be watched."""

    mirror: Mirror | None = None

    def get(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self.mirror.get(namespace, name) if self.mirror else None

    def listed(self) -> list[Mapping[str, Any]]:
        return self.mirror.listed() if self.mirror else []


async def _define(client: Client) -> bool:
    """Whether the identity mappings' definition is not served yet."""
    name = IDENTITY_MAPPING_CRD["metadata"]["name"]
    try:
        found = await client.request("GET", f"{_DEFINITIONS_PATH}/{name}")
    except ApiError as error:
        if error.status != 404:
            raise
        await client.request("POST", _DEFINITIONS_PATH, IDENTITY_MAPPING_CRD)
        return True
    conditions = (found.get("status") or {}).get("conditions") or ()
    established = any((one["type"], one["status"]) == ("Established", "True") for one in conditions)
    if established:
        # Established is said a moment before it is served.
        await client.request("GET", controllers.IDENTITY_MAPPINGS_PATH)
    return not established


async def _has_namespaces(mirror: Mirror) -> bool:
    return any(mirror.get("", name) is None for name in _NAMESPACES)


async def _eventually(step: Callable[[], Awaitable[bool]]) -> None:
    """Repeat a step while it says that something is still to be done or fails in a way that passes."""
    deadline = time.monotonic() + FURNISH_SECONDS
    while True:
        try:
            if not await step():
                return
        except PASSING:
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise LabError(f"the cluster has no default objects after {FURNISH_SECONDS:.0f} s")
        await asyncio.sleep(0.05)
