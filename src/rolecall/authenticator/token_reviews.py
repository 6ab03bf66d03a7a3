"""``/authenticate``: TokenReviews, from the token over STS and the mappings to the answer, written down and counted."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.authenticator import metrics as names
from rolecall.authenticator.decision_log import Log
from rolecall.authenticator.http_server import TEXT, Request, Response
from rolecall.authenticator.mapping_store import MappingStore
from rolecall.authenticator.metrics import Metrics
from rolecall.authenticator.principal_proof import PrincipalProofs
from rolecall.authenticator.rate_limit import RateLimit
from rolecall.authenticator.recorder import Record, Recorder
from rolecall.authenticator.review import (
    MalformedReviewError,
    Outcome,
    Question,
    StsRefusedError,
    StsThrottledError,
    StsUnavailableError,
    decided,
    read_json,
    read_question,
    refused,
)
from rolecall.authenticator.verified_tokens import Verified, VerifiedTokens
from rolecall.errors import InvalidArnError
from rolecall.mapping.backends.chain import Match
from rolecall.mapping.resolve import MappingDecision
from rolecall.mapping.templates import is_instance_id
from rolecall.model import Identity
from rolecall.tokens.parse import TokenError

NO_REVIEW = "expected a request body to be a TokenReview"
_encode = json.JSONEncoder(separators=(",", ":")).encode

PrivateDnsName = Callable[[str], Awaitable[str]]


class PrivateDnsError(Exception):
    """EC2 does not know an instance, or could not be asked."""


@dataclass(slots=True)
class _Call:
    """One review on its way."""

    request: Request
    started: float
    sts_ended: float = 0.0
    verified: Verified | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An answer with what is written down about it.

    :param generation: of the mappings it was made with.
    """

    response: Response
    record: Record
    result: str
    generation: int
    question: Question | None

    def fits(self, question: Question, generation: int) -> bool:
        """Whether it answers a question that was asked with the same token."""
        asked = self.question
        return (
            asked is not None
            and self.generation == generation
            and asked.version == question.version
            and asked.audiences == question.audiences
        )


class TokenReviews:
    """Answers TokenReviews; parameters as of :class:`rolecall.authenticator.webhook.Webhook`."""

    def __init__(
        self,
        *,
        tokens: VerifiedTokens,
        store: MappingStore,
        private_dns_name: PrivateDnsName,
        log: Log,
        recorder: Recorder,
        metrics: Metrics,
        rate_limit: RateLimit,
        proofs: PrincipalProofs | None,
        api_audiences: Collection[str],
    ) -> None:
        self._tokens = tokens
        self._store = store
        self._private_dns_name = private_dns_name
        self._log = log
        self._recorder = recorder
        self._metrics = metrics
        self._rate_limit = rate_limit
        self._proofs = proofs
        self._api_audiences = frozenset(api_audiences)

    def answer(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        """The answer to a request, at once if no other service has to be asked."""
        call = _Call(request, time.perf_counter())
        if request.method != "POST":
            return self._malformed(call, 405, "expected POST", "unexpected request method")
        if not request.body:
            return self._malformed(call, 400, "expected a request body", "empty request body")
        try:
            question = read_question(read_json(request.body))
        except MalformedReviewError as error:
            return self._malformed(call, 400, NO_REVIEW, "could not parse request body", error.what)
        known = self._tokens.known(question.token, time.time())
        parsed = time.perf_counter()
        self._metrics.phase["parse"].observe(parsed - call.started)
        if known is None:
            return self._verify(call, question)
        self._metrics.token_cached.inc()
        prepared = known.answer
        if prepared is not None and prepared.fits(question, self._store.generation):
            return self._send(call, prepared)
        call.sts_ended, call.verified = parsed, known
        return self._map(call, question, known.identity)

    async def _verify(self, call: _Call, question: Question) -> Response:
        joins = self._tokens.is_asked(question.token)
        if joins:
            self._metrics.token_joined.inc()
        elif not self._rate_limit.allows(call.request.client, call.started):
            return self._unavailable(call, 429, names.RATE_LIMITED, "this client asks for too many reviews")
        asked = time.perf_counter()
        try:
            identity = await self._tokens.verify(question.token, time.time())
        except TokenError as error:
            if not joins:
                # STS was not asked: rubbish that is sent through an API server must not use up what it may ask.
                self._rate_limit.give_back(call.request.client)
            return self._answer(call, refused(question, error), names.INVALID)
        except (StsRefusedError, InvalidArnError) as error:
            return self._answer(call, refused(question, error), names.STS_ERROR)
        except StsThrottledError as error:
            return self._unavailable(call, 429, names.STS_THROTTLING, error.what)
        except StsUnavailableError as error:
            return self._unavailable(call, 503, names.STS_ERROR, error.what)
        call.sts_ended = time.perf_counter()
        self._metrics.phase["sts"].observe(call.sts_ended - asked)
        answer = self._map(call, question, identity)
        return answer if isinstance(answer, Response) else await answer

    def _map(self, call: _Call, question: Question, identity: Identity) -> Response | Coroutine[Any, Any, Response]:
        chain = self._store.chain
        found = chain.find(identity)
        if isinstance(found, MappingDecision):
            if self._store.pending:
                what = f"no mapping yet: {', '.join(self._store.pending)} has not been read"
                return self._unavailable(call, 503, names.NOT_READY, what)
            return self._decided(call, question, identity, found)
        backend, match = found
        if match.needs_private_dns_name and is_instance_id(identity.session_name):
            return self._map_node(call, question, identity, match)
        return self._decided(call, question, identity, chain.rendered(identity, backend, match))

    async def _map_node(self, call: _Call, question: Question, identity: Identity, match: Match) -> Response:
        try:
            name = await self._private_dns_name(identity.session_name)
        except PrivateDnsError as error:
            decision = self._store.chain.refusal(identity, "private-dns-name", str(error), match.source)
        else:
            # The mappings may have changed while EC2 was asked.
            decision = self._store.chain.resolve(identity, ec2_private_dns_name=name)
        return self._decided(call, question, identity, decision)

    def _decided(self, call: _Call, question: Question, identity: Identity, decision: MappingDecision) -> Response:
        result = names.SUCCESS if decision.user is not None else names.UNKNOWN
        self._metrics.phase["mapping"].observe(time.perf_counter() - call.sts_ended)
        outcome = decided(question, identity, decision, self._api_audiences, self._proven)
        return self._answer(call, outcome, result, question)

    def _proven(self, user: Mapping[str, Any]) -> Mapping[str, Any]:
        return user if self._proofs is None else self._proofs.prove(user, time.time())

    def _answer(self, call: _Call, outcome: Outcome, result: str, question: Question | None = None) -> Response:
        response = Response(200, _encode(outcome.answer).encode(), confirmed=outcome.identity is not None)
        record = self._recorder.prepare(result, outcome, self._store.chain.scrubbed)
        prepared = _Prepared(response, record, result, self._store.generation, question)
        # What EC2 could not be asked about now may be known in a moment; these two depend on the mappings alone.
        if call.verified is not None and outcome.code in ("mapped", "no-mapping"):
            call.verified.answer = prepared
        return self._send(call, prepared)

    def _send(self, call: _Call, prepared: _Prepared) -> Response:
        seconds = time.perf_counter() - call.started
        self._recorder.write(prepared.record, call.request, seconds)
        self._metrics.authenticate[prepared.result].observe(seconds)
        return prepared.response

    def _malformed(self, call: _Call, status: int, text: str, message: str, why: str = "") -> Response:
        asked = {"path": call.request.path, "client": call.request.peer, "method": call.request.method[:20]}
        self._log.error(message, **({"error": why} if why else {}), **asked)
        self._metrics.authenticate[names.MALFORMED].observe(time.perf_counter() - call.started)
        return Response(status, f"{text}\n".encode(), TEXT, "Allow: POST\r\n" if status == 405 else "")

    def _unavailable(self, call: _Call, status: int, result: str, what: str) -> Response:
        response = Response(status, f"{what}\n".encode(), TEXT)
        record = self._recorder.unavailable(result, what)
        return self._send(call, _Prepared(response, record, result, 0, None))
