"""What the lab does in a real cluster in place of a controller-manager, each from the rule that the embedded one uses.

New namespaces get their service account and CA, deleted ones are emptied, aggregated cluster roles are filled, and
identity mappings get their status. Source: kubernetes ``pkg/controller/namespace/deletion``,
``pkg/controller/clusterroleaggregation``; aws-iam-authenticator v0.7 ``pkg/mapper/crd/controller``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from rolecall.lab.kubernetes.effects import default_objects
from rolecall.lab.kubernetes_real.client import PASSING, ApiError, Client, Mirror
from rolecall.mapping.identity_mappings import status_of
from rolecall.rbac.roles import aggregate

log = logging.getLogger(__name__)

IDENTITY_MAPPINGS_PATH = "/apis/iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings"
CLUSTER_ROLES_PATH = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
NAMESPACES_PATH = "/api/v1/namespaces"
RETRY_SECONDS = 0.5
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


async def keep(mirror: Mirror, settle: Callable[[], Awaitable[bool]]) -> None:
    """Call ``settle`` after every change of a mirror, and again while it says that something is still to be done."""
    await mirror.synced.wait()
    while True:
        mirror.changed.clear()
        try:
            again = await settle()
        except PASSING as error:
            # Somebody else wrote, or the server is away: a change or the next try will show.
            log.info("%s: %s; trying again", getattr(settle, "__qualname__", settle), error)
            again = True
        if again:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            await mirror.changed.wait()


class Namespaces:
    """Furnishes new namespaces and empties deleted ones."""

    def __init__(self, client: Client, mirror: Mirror, ca_pem: str) -> None:
        self._client = client
        self._mirror = mirror
        self._ca_pem = ca_pem
        self._furnished: set[str] = set()

    async def settle(self) -> bool:
        """Whether a namespace is still waiting for its objects to go."""
        waiting = False
        for found in self._mirror.listed():
            name, uid = found["metadata"]["name"], found["metadata"]["uid"]
            if found["metadata"].get("deletionTimestamp"):
                waiting = not await self._finalize(found) or waiting
            elif uid not in self._furnished:
                await self._furnish(name)
                self._furnished.add(uid)
        self._furnished &= {found["metadata"]["uid"] for found in self._mirror.listed()}
        return waiting

    async def _furnish(self, name: str) -> None:
        for plural, found in default_objects(name, self._ca_pem):
            try:
                await self._client.request("POST", f"{NAMESPACES_PATH}/{name}/{plural}", found)
            except ApiError as error:
                # There already, or the namespace is going already.
                if error.status not in (403, 404, 409):
                    raise

    async def _finalize(self, namespace: Mapping[str, Any]) -> bool:
        name = namespace["metadata"]["name"]
        for path in await self._collections(name):
            await self._client.request("DELETE", path)
            left = await self._client.request("GET", f"{path}?limit=1", accept=_METADATA)
            if left.get("items"):
                return False
        spec = {"finalizers": [one for one in namespace["spec"].get("finalizers") or () if one != "kubernetes"]}
        try:
            await self._client.request("PUT", f"{NAMESPACES_PATH}/{name}/finalize", {**namespace, "spec": spec})
        except ApiError as error:
            if error.status != 404:
                raise
        return True

    async def _collections(self, namespace: str) -> list[str]:
        """The path of every collection in a namespace that can be emptied."""
        found = []
        for root in ("/api", "/apis"):
            groups = await self._client.request("GET", root, accept=_DISCOVERY)
            for group in groups.get("items") or ():
                prefix = root + (f"/{group['metadata']['name']}" if root == "/apis" else "")
                # The preferred version comes first, and each object appears in every version.
                for version in group["versions"][:1]:
                    found += [
                        f"{prefix}/{version['version']}/namespaces/{quote(namespace)}/{one['resource']}"
                        for one in version.get("resources") or ()
                        if one["scope"] == "Namespaced" and {"deletecollection", "list"} <= set(one["verbs"])
                    ]
        return found


class ClusterRoles:
    """Fills aggregated cluster roles."""

    def __init__(self, client: Client, mirror: Mirror) -> None:
        self._client = client
        self._mirror = mirror

    async def settle(self) -> bool:
        roles = {role["metadata"]["name"]: role for role in self._mirror.listed()}
        for name, rules in aggregate(roles.values()).items():
            if (roles[name].get("rules") or []) != rules:
                await self._client.request(
                    "PUT", f"{CLUSTER_ROLES_PATH}/{quote(name)}", {**roles[name], "rules": rules}
                )
        return False


class IdentityMappings:
    """Writes the status of identity mappings, which alone is matched."""

    def __init__(self, client: Client, mirror: Mirror) -> None:
        self._client = client
        self._mirror = mirror

    async def settle(self) -> bool:
        for found in self._mirror.listed():
            status = status_of(str((found.get("spec") or {}).get("arn", ""))) or {}
            if (found.get("status") or {}).get("canonicalARN") != status.get("canonicalARN"):
                path = f"{IDENTITY_MAPPINGS_PATH}/{quote(found['metadata']['name'])}/status"
                await self._client.request("PUT", path, {**found, "status": status})
        return False
