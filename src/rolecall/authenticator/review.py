"""TokenReview in, TokenReview out: the contract between an API server and whoever knows its users.

A refusal is an answer, with ``authenticated: false``; only trouble that another attempt may cure is an exception.
Sources: Kubernetes documentation, "Webhook Token Authentication"; aws-iam-authenticator v0.7 ``pkg/server/server.go``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rolecall.arn import canonicalize
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.mapping.resolve import MappingDecision
from rolecall.model import CallerIdentity, Identity, KubernetesUser
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.mint import PREFIX
from rolecall.tokens.parse import PresignedCall, TokenError, parse_token

VERSIONS = ("authentication.k8s.io/v1", "authentication.k8s.io/v1beta1")
MAX_AUDIENCES = 100


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
class Review:
    """What is fixed for a cluster: its id, whom to ask, and how identities are mapped.

    :param map_identity: from an identity to a Kubernetes user.
    """

    cluster: str
    hosts: StsHosts
    sts: StsClient
    map_identity: Callable[[Identity], MappingDecision]

    async def __call__(self, review: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
        """Answer a TokenReview in its own version; :class:`StsThrottledError` and :class:`StsUnavailableError` pass."""
        version = review.get("apiVersion")
        spec = review.get("spec")
        if version not in VERSIONS or review.get("kind") != "TokenReview" or not isinstance(spec, Mapping):
            return _answer(VERSIONS[0], {"authenticated": False, "error": "this is not a TokenReview"})
        token, audiences = spec.get("token"), spec.get("audiences") or []
        if not isinstance(token, str) or not isinstance(audiences, list) or len(audiences) > MAX_AUDIENCES:
            return _answer(version, {"authenticated": False, "error": "the TokenReview has no token"})
        try:
            identity = await self.identify(token, now=now)
        except (TokenError, StsRefusedError, InvalidArnError) as error:
            return _answer(version, {"authenticated": False, "error": error.what})
        decision = self.map_identity(identity)
        if decision.user is None:
            return _answer(version, {"authenticated": False, "error": decision.reasons[0].text})
        status: dict[str, Any] = {"authenticated": True, "user": user_info(decision.user)}
        if audiences:
            status["audiences"] = audiences
        return _answer(version, status)

    async def identify(self, token: str, *, now: datetime) -> Identity:
        """The identity behind a token, confirmed by STS."""
        call = parse_token(token, self.cluster, now=now, hosts=self.hosts)
        caller = await self.sts.get_caller_identity(call)
        user_id, _, session_name = caller.user_id.partition(":")
        canonical = canonicalize(caller.arn)
        return Identity(caller.arn, canonical, caller.account, user_id, session_name, call.access_key_id)


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


def _answer(version: str, status: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": "TokenReview", "status": status}
