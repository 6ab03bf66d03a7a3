"""TokenReview in, TokenReview out: the contract between an API server and the server that knows its users.

A refusal is an answer, with ``authenticated: false`` and its reason in ``error``: kube-apiserver remembers a refusal
without a reason as long as an admission (docs/adr/0010). What is not a TokenReview, and trouble that another attempt
may cure, are exceptions.
Sources: Kubernetes documentation, "Webhook Token Authentication"; aws-iam-authenticator v0.7 ``pkg/server/server.go``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rolecall.errors import InvalidArnError, RolecallError
from rolecall.mapping.backends.server_config import API_AUDIENCES
from rolecall.mapping.resolve import MappingDecision
from rolecall.model import CallerIdentity, Identity, KubernetesUser, Reason
from rolecall.tokens import MAX_TOKEN_LENGTH
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.identity import InvalidCallerError, identity_of
from rolecall.tokens.mint import PREFIX
from rolecall.tokens.parse import PresignedCall, TokenError, parse_token

VERSIONS = ("authentication.k8s.io/v1", "authentication.k8s.io/v1beta1")
MAX_AUDIENCES = 100
# k8s.io/api/authentication/v1 ``TokenReview`` and ``ObjectMeta``: types, (type of items,) and {member: type}.
_SHAPE: dict[str, Any] = {
    "apiVersion": str,
    "kind": str,
    "metadata": {
        **dict.fromkeys(("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"), str),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), str),
        **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), int),
        "labels": {"*": str},
        "annotations": {"*": str},
        **dict.fromkeys(("ownerReferences", "managedFields"), ({},)),
        "finalizers": (str,),
    },
    "spec": {"token": str, "audiences": (str,)},
    "status": {
        "authenticated": bool,
        "user": {"username": str, "uid": str, "groups": (str,), "extra": {"*": (str,)}},
        "audiences": (str,),
        "error": str,
    },
}
# A refused token's parts may end up in the words about it: nothing that could be a signature leaves this place.
_LONG_RUN = re.compile(r"[A-Za-z0-9%+/_=-]{24,}", re.ASCII)


class MalformedReviewError(RolecallError):
    """A request's body is not a TokenReview."""


class StsRefusedError(RolecallError):
    """STS does not accept the token's signature or credentials."""


class StsThrottledError(RolecallError):
    """STS is asked too often; the API server may try again."""


class StsUnavailableError(RolecallError):
    """STS could not be asked."""


class StsClient(Protocol):
    """Asks STS who signed a call."""

    async def get_caller_identity(self, call: PresignedCall) -> CallerIdentity: ...


@dataclass(frozen=True, slots=True)
class Question:
    """A TokenReview that can be answered."""

    version: str
    token: str
    audiences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answered TokenReview and what led to it.

    :param code: of the refusal: a :class:`TokenError`'s, a mapping reason's, ``sts-refused``, ``arn``; ``mapped`` if
        the answer is a user.
    :param identity: who STS says it is; ``None`` if STS was not asked or did not answer.
    """

    answer: Mapping[str, Any]
    code: str
    identity: Identity | None = None
    user: KubernetesUser | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """What is fixed for a cluster: its id, whom to ask, and how identities are mapped.

    :param map_identity: from an identity to a Kubernetes user, at once, or later if it has to ask somebody.
    """

    cluster: str
    hosts: StsHosts
    sts: StsClient
    map_identity: Callable[[Identity], MappingDecision | Awaitable[MappingDecision]]
    max_token_length: int = MAX_TOKEN_LENGTH

    async def __call__(self, review: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
        """Answer a TokenReview in its own version.

        :raises MalformedReviewError: if it is not a TokenReview.
        :raises StsThrottledError, StsUnavailableError: if STS gives no answer.
        """
        question = read_question(review)
        try:
            identity, _ = await self.identify(question.token, now=now)
        except (TokenError, StsRefusedError, InvalidArnError) as error:
            return dict(refused(question, error).answer)
        found = self.map_identity(identity)
        decision = found if isinstance(found, MappingDecision) else await found
        return dict(decided(question, identity, decision).answer)

    async def identify(self, token: str, *, now: datetime) -> tuple[Identity, datetime]:
        """The identity behind a token, confirmed by STS, and the end of the token's life."""
        return await self.confirm(self.read(token, now=now))

    def read(self, token: str, *, now: datetime) -> PresignedCall:
        """The call that a token stands for; :class:`TokenError` if it fails a check that needs no answer of STS."""
        return parse_token(token, self.cluster, now=now, hosts=self.hosts, max_length=self.max_token_length)

    async def confirm(self, call: PresignedCall) -> tuple[Identity, datetime]:
        """Who STS says made a call, and the end of its token's life."""
        caller = await self.sts.get_caller_identity(call)
        try:
            return identity_of(caller, call.access_key_id, call.host), call.expires_at
        except InvalidCallerError as error:
            raise StsRefusedError(error.what) from None


def read_json(body: bytes) -> Any:
    """The JSON value of a body, which is UTF-8 without a mark and has no NaN; :class:`MalformedReviewError` if not."""
    try:
        return json.loads(body.decode(), parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise MalformedReviewError("the body is not JSON") from None


def read_question(review: Any) -> Question:
    """The question in a body that was JSON; :class:`MalformedReviewError` if it is not a TokenReview.

    As Go decodes it (``encoding/json``), a member that is missing or null is empty, and one of another kind is an
    error. A body without ``apiVersion`` and ``kind`` is answered, as the original does.
    """
    if wrong := _misfit(review, _SHAPE):
        raise MalformedReviewError(f"this is not a TokenReview: {wrong} is of the wrong type")
    review = review or {}
    version = review.get("apiVersion") or VERSIONS[0]
    if version not in VERSIONS or review.get("kind") not in ("TokenReview", "", None):
        raise MalformedReviewError("this is not a TokenReview of authentication.k8s.io/v1 or v1beta1")
    spec = review.get("spec") or {}
    audiences = tuple(audience or "" for audience in spec.get("audiences") or ())
    if len(audiences) > MAX_AUDIENCES:
        raise MalformedReviewError(f"spec.audiences has more than {MAX_AUDIENCES} members")
    return Question(version, spec.get("token") or "", audiences)


def _not_json(constant: str) -> Any:
    raise ValueError(constant)


def _misfit(value: Any, shape: Any, where: str = "the body") -> str:
    """The place in a value that does not have its shape; empty if there is none."""
    if value is None:
        return ""
    if isinstance(shape, tuple):
        if not isinstance(value, (list, tuple)):
            return where
        return next((wrong for item in value if (wrong := _misfit(item, shape[0], where))), "")
    if isinstance(shape, dict):
        if not isinstance(value, Mapping):
            return where
        members = dict.fromkeys(value, shape["*"]) if "*" in shape else shape
        return next((wrong for name in members if (wrong := _misfit(value.get(name), members[name], name))), "")
    return "" if isinstance(value, shape) and isinstance(value, bool) is (shape is bool) else where


def refused(question: Question, error: TokenError | StsRefusedError | InvalidArnError) -> Outcome:
    """The answer to text that is not a token, or to a token that STS does not know."""
    match error:
        case TokenError():
            return _refusal(question.version, error.code, without_secrets(error.what))
        case StsRefusedError():
            return _refusal(question.version, "sts-refused", error.what)
        case _:
            return _refusal(question.version, "arn", error.what)


def decided(
    question: Question,
    identity: Identity,
    decision: MappingDecision,
    api_audiences: Collection[str] = API_AUDIENCES,
    completed: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> Outcome:
    """The answer for an identity that is mapped, or is not.

    A token is for the API server only: audiences of others are not confirmed, so that a service that
    asks for its own name does not take a person's cluster token for one of its own. Without any the API server puts
    its own in (Kubernetes API reference, ``TokenReviewStatus.audiences``; apiserver ``plugin/pkg/authenticator/token/
    webhook``).

    :param api_audiences: what the API server calls itself.
    :param completed: adds to the ``UserInfo`` of the answer what does not come from the mapping.
    """
    reason = decision.reasons[0] if decision.reasons else Reason("mapped", "")
    if decision.user is None:
        refusal = _refusal(question.version, reason.code, reason.text)
        return Outcome(refusal.answer, reason.code, identity, None, reason)
    status: dict[str, Any] = {"authenticated": True, "user": completed(user_info(decision.user))}
    if audiences := [audience for audience in question.audiences if audience in api_audiences]:
        status["audiences"] = audiences
    return Outcome(_answer(question.version, status), "mapped", identity, decision.user, reason)


def without_secrets(text: str) -> str:
    """Words about a token without anything long enough to be a part of it that matters."""
    return _LONG_RUN.sub("...", text)


def looks_like_aws_token(token: str) -> bool:
    """Whether a bearer token is one for this authenticator at all."""
    return token.startswith(PREFIX)


def user_info(user: KubernetesUser) -> dict[str, Any]:
    """``UserInfo`` of the TokenReview API."""
    found: dict[str, Any] = {"username": user.username}
    if user.uid:
        found["uid"] = user.uid
    if user.groups:
        found["groups"] = list(user.groups)
    if user.extra:
        found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return found


def _refusal(version: str, code: str, text: str) -> Outcome:
    answer = _answer(version, {"authenticated": False, "error": text})
    return Outcome(answer, code, reason=Reason(code, text))


def _answer(version: str, status: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": "TokenReview", "status": status}
