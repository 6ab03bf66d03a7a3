"""An embedded cluster: the Kubernetes API for authentication, access rules and configuration, in this process.

No pods, no controllers, no nodes; kubectl 1.29 and later. What it says about who may get in comes from the same rules
as everywhere: the authenticator's review, the mapping, RBAC, and the access policies.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rolecall.lab.cluster_access import ClusterAccess, ClusterSpec
from rolecall.lab.http_server import HttpServer
from rolecall.lab.kubernetes import crds
from rolecall.lab.kubernetes.authentication import Authenticator
from rolecall.lab.kubernetes.authorization import Authorization
from rolecall.lab.kubernetes.bootstrap import bootstrap, object_maker
from rolecall.lab.kubernetes.certificates import ensure_certificates
from rolecall.lab.kubernetes.effects import CONFIG_MAPS, Effects
from rolecall.lab.kubernetes.kinds import Kinds
from rolecall.lab.kubernetes.operations import Operations
from rolecall.lab.kubernetes.paths import Paths
from rolecall.lab.kubernetes.resources import Resources
from rolecall.lab.kubernetes.reviews import Reviews
from rolecall.lab.kubernetes.server import KubernetesApi, error_page
from rolecall.lab.kubernetes.service_account_tokens import ServiceAccountTokens
from rolecall.lab.kubernetes.store import ObjectStore


class EmbeddedCluster:
    """One cluster with its folder of state, keys and certificates."""

    def __init__(self, spec: ClusterSpec, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._spec = spec
        self._folder = folder
        self._store = ObjectStore(folder / "objects.db")
        kinds = Kinds()
        make = object_maker(spec.clock, new_id)
        self._effects = Effects(self._store, kinds, make)
        self.ca_pem, self._tls = ensure_certificates(folder, spec.clock(), old_ca=spec.old_ca)
        self._effects.root_ca = self.ca_pem
        bootstrap(self._store, self._effects, make)
        self._effects.serve_definitions()
        self.tokens = ServiceAccountTokens(folder, spec.issuer, self._store, spec.clock)
        access = ClusterAccess(
            spec,
            lambda: self._store.get(CONFIG_MAPS, "kube-system", "aws-auth"),
            lambda: self._store.listed(crds.IDENTITY_MAPPINGS),
        )
        authorization = Authorization(self._store, access.policies_allow)
        writes = Operations(self._store, kinds, self._effects, clock=spec.clock, new_id=new_id)
        resources = Resources(
            self._store, writes, Reviews(authorization, access.review, self.tokens), self.tokens, authorization
        )
        self._api = KubernetesApi(
            spec.name,
            self._store,
            kinds,
            Authenticator(access.review, self.tokens, self._state, spec.clock),
            authorization,
            resources,
            Paths(kinds, spec.version, self.tokens),
            spec.clock,
        )
        self._server: HttpServer | None = None
        self.port = 0

    @property
    def issuer(self) -> str:
        return self.tokens.issuer

    def jwks(self) -> Mapping[str, Any]:
        """The keys that verify the cluster's service account tokens."""
        return self.tokens.jwks()

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def start(self, host: str = "127.0.0.1") -> None:
        """Listen on the port of the last time, if it is free, else on another; remember it."""
        remembered = self._folder / "port"
        port = int(remembered.read_text()) if remembered.exists() else 0
        self._server = HttpServer(self._api.handle, error_page)
        try:
            self.port = await self._server.listen(host, port, self._tls)
        except OSError:
            if port == 0:
                raise
            self.port = await self._server.listen(host, 0, self._tls)
        remembered.write_text(str(self.port))

    async def stop(self) -> None:
        """Stop listening and close the state."""
        if self._server is not None:
            await self._server.close()
            self._server = None
        self._store.close()

    def _state(self) -> tuple[int, ...]:
        return (
            self._spec.state(),
            self._store.changed(CONFIG_MAPS),
            self._store.changed(crds.IDENTITY_MAPPINGS),
        )


def new_id() -> str:
    """A random uid."""
    return str(uuid.uuid4())
