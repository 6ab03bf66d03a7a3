"""The webhook's addresses: what is read, who is asked, what is answered, written down and counted.

A refusal is ``200`` with ``authenticated: false``: an API server takes any other status for a broken webhook. ``429``
says that STS throttles or that one client asks too much; kube-apiserver asks again by itself. ``503`` says that no
answer can be given now. Neither has ``Retry-After``: with it, kube-apiserver's HTTP client repeats each question for
half a minute. Sources: Kubernetes documentation, "Webhook Token Authentication"; aws-iam-authenticator v0.7
``pkg/server/server.go``, which answers a refusal with 403; docs/adr/0010.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from typing import Any

from rolecall.authenticator.access_reviews import AccessReviews
from rolecall.authenticator.decision_log import AuditLog, Log
from rolecall.authenticator.http_server import TEXT, Request, Response
from rolecall.authenticator.mapping_store import MappingStore
from rolecall.authenticator.metrics import CONTENT_TYPE, Metrics
from rolecall.authenticator.principal_proof import PrincipalProofs
from rolecall.authenticator.rate_limit import RateLimit
from rolecall.authenticator.recorder import Recorder
from rolecall.authenticator.token_reviews import PrivateDnsName, TokenReviews
from rolecall.authenticator.verified_tokens import VerifiedTokens
from rolecall.mapping.backends.server_config import API_AUDIENCES


class Webhook:
    """Answers requests.

    :param cluster: written into every record.
    :param private_dns_name: of an instance; raises :class:`PrivateDnsError`.
    :param proofs: for the answers about users, if ``/authorize`` decides by access policies; else ``None``.
    :param api_audiences: what the API server calls itself, in tokens and reviews.
    """

    def __init__(
        self,
        *,
        cluster: str,
        tokens: VerifiedTokens,
        store: MappingStore,
        private_dns_name: PrivateDnsName,
        log: Log,
        audit: AuditLog,
        metrics: Metrics,
        rate_limit: RateLimit,
        proofs: PrincipalProofs | None = None,
        api_audiences: Collection[str] = API_AUDIENCES,
    ) -> None:
        recorder = Recorder(cluster, log, audit, metrics)
        self._store = store
        self._metrics = metrics
        self._tokens = TokenReviews(
            tokens=tokens,
            store=store,
            private_dns_name=private_dns_name,
            log=log,
            recorder=recorder,
            metrics=metrics,
            rate_limit=rate_limit,
            proofs=proofs,
            api_audiences=api_audiences,
        )
        self._access = AccessReviews(store, recorder, metrics, proofs)
        # Whether the server is about to stop; it is made after its webhook.
        self.is_draining: Callable[[], bool] = lambda: False

    def handle(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        """The answer to a request, at once if no other service has to be asked."""
        match request.path:
            case "/authenticate":
                return self._tokens.answer(request)
            case "/authorize":
                return self._access.answer(request)
            case "/healthz" | "/livez":
                return Response(200, b"ok", TEXT)
            case "/readyz":
                return self._ready()
            case "/metrics":
                return Response(200, self._metrics.exposition(), CONTENT_TYPE)
            case _:
                return Response(404, b"404 page not found\n", TEXT)

    def _ready(self) -> Response:
        if self.is_draining():
            return Response(503, b"shutting down\n", TEXT)
        if pending := self._store.pending:
            return Response(503, f"waiting for the mappings of {', '.join(pending)}\n".encode(), TEXT)
        return Response(200, b"ok", TEXT)
