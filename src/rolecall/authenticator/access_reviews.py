"""``/authorize``: SubjectAccessReviews, decided by the access policies of access entries, written down and counted."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from rolecall.authenticator.authorize import AccessOutcome, authorize
from rolecall.authenticator.http_server import TEXT, Request, Response
from rolecall.authenticator.mapping_store import MappingStore
from rolecall.authenticator.metrics import Metrics
from rolecall.authenticator.principal_proof import PrincipalProofs
from rolecall.authenticator.recorder import Recorder
from rolecall.authenticator.review import MalformedReviewError, read_json

_encode = json.JSONEncoder(separators=(",", ":")).encode


class AccessReviews:
    """Answers SubjectAccessReviews.

    :param proofs: what proves that a principal id comes from this authenticator; without, no id counts.
    """

    def __init__(
        self, store: MappingStore, recorder: Recorder, metrics: Metrics, proofs: PrincipalProofs | None
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._metrics = metrics
        self._proofs = proofs

    def answer(self, request: Request) -> Response:
        """The answer to a request; nobody has to be asked."""
        started = time.perf_counter()
        if request.method != "POST":
            return Response(405, b"expected POST\n", TEXT, "Allow: POST\r\n")
        try:
            review = read_json(request.body)
        except MalformedReviewError:
            return Response(400, b"expected a request body to be a SubjectAccessReview\n", TEXT)
        if self._store.awaits_access_entries:
            return Response(503, b"the access entries have not been read\n", TEXT)
        outcome = authorize(review, self._store.access_entries, self._is_proven)
        if outcome.request is None:
            return Response(400, f"{outcome.reason}\n".encode(), TEXT)
        self._record_access(request, outcome)
        result = "allowed" if outcome.allowed else "no_opinion"
        self._metrics.authorize.labels(result).observe(time.perf_counter() - started)
        return Response(200, _encode(outcome.answer).encode())

    def _record_access(self, request: Request, outcome: AccessOutcome) -> None:
        # No opinion is what most questions get, of every controller and many times a second: only grants are records.
        if not outcome.allowed or outcome.request is None:
            return
        asked = outcome.request
        shown = {
            "username": asked.user.username,
            "principalId": outcome.principal_id,
            "verb": asked.verb,
            "resource": f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource,
            "group": asked.api_group,
            "namespace": asked.namespace,
            "name": asked.name,
            "path": asked.path,
            "source": outcome.reason,
        }
        self._recorder.grant(request.client, shown)

    def _is_proven(self, spec: Mapping[str, Any]) -> bool:
        return self._proofs is not None and self._proofs.holds(spec, time.time())
