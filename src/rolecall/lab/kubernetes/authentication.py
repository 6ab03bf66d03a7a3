"""Who is calling? Bearer tokens: AWS ones by TokenReview, service accounts' by signature; no caller is anonymous.

Impersonation comes after it: ``Impersonate-*`` headers, each of which has to be allowed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from rolecall.authenticator.review import looks_like_aws_token
from rolecall.lab.kubernetes.kinds import AUTHENTICATION
from rolecall.lab.kubernetes.service_account_tokens import ServiceAccountTokens
from rolecall.lab.kubernetes.status import StatusError, bad_request, forbidden, unauthorized
from rolecall.mapping.resolve import EXTRA_PRINCIPAL_ID
from rolecall.model import KubernetesUser
from rolecall.rbac.rules import Attributes

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ANONYMOUS = KubernetesUser("system:anonymous", groups=(UNAUTHENTICATED,))
MAX_CACHED = 2_000
# kube-apiserver's --authentication-token-webhook-cache-ttl keeps a review for a while; so does this, but only as long
# as nothing that it depends on has changed.
CACHE_SECONDS = 10
MAX_IMPERSONATED_VALUES = 100

Review = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is made by and, after impersonation, as whom.

    :param principal_id: the AWS principal's unique id, which access policies are keyed on; empty for others and
        while impersonating. It is kept apart from the user's extras, which an impersonator may choose.
    """

    user: KubernetesUser
    principal_id: str = ""


class Authenticator:
    """Finds the caller behind a request's headers.

    :param review: answers TokenReviews.
    :param state: changes whenever an answer could become another one.
    """

    def __init__(
        self,
        review: Review,
        tokens: ServiceAccountTokens,
        state: Callable[[], tuple[int, ...]],
        clock: Callable[[], datetime],
    ) -> None:
        self._review = review
        self._tokens = tokens
        self._state = state
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[tuple[int, ...], float, Caller]] = OrderedDict()

    async def caller(self, authorization: Sequence[str]) -> Caller:
        """The caller; ``Unauthorized`` if a token is shown that is not valid."""
        if not authorization:
            return Caller(ANONYMOUS)
        scheme, _, token = authorization[0].partition(" ")
        token = token.strip()
        if len(authorization) > 1:
            raise unauthorized()
        if scheme.lower() != "bearer" or not token:
            # Nothing that the real server looks at either (``pkg/authentication/request/bearertoken``).
            return Caller(ANONYMOUS)
        if looks_like_aws_token(token):
            return await self._reviewed(token)
        user = self._tokens.user(token)
        if user is None:
            raise unauthorized()
        return Caller(authenticated(user))

    async def _reviewed(self, token: str) -> Caller:
        digest, state, now = hashlib.sha256(token.encode()).digest(), self._state(), self._clock().timestamp()
        cached = self._cache.get(digest)
        if cached is not None and cached[0] == state and now < cached[1]:
            return cached[2]
        status = (await self._review(token_review(token))).get("status") or {}
        if not status.get("authenticated"):
            raise unauthorized()
        user = user_of(status["user"])
        caller = Caller(authenticated(user), next(iter(user.extra.get(EXTRA_PRINCIPAL_ID, ())), ""))
        self._cache[digest] = (state, now + CACHE_SECONDS, caller)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return caller


def token_review(token: str, audiences: Sequence[str] = ()) -> dict[str, Any]:
    """The question that an API server asks its webhook."""
    spec = {"token": token, **({"audiences": list(audiences)} if audiences else {})}
    return {"apiVersion": f"{AUTHENTICATION}/v1", "kind": "TokenReview", "spec": spec}


def user_of(found: Mapping[str, Any]) -> KubernetesUser:
    """The user in a ``UserInfo``."""
    return KubernetesUser(
        found.get("username", ""),
        found.get("uid", ""),
        tuple(found.get("groups") or ()),
        {key: tuple(values) for key, values in (found.get("extra") or {}).items()},
    )


def authenticated(user: KubernetesUser) -> KubernetesUser:
    """The user as one of all that are known: the real server adds this group to everybody with a good token."""
    if AUTHENTICATED in user.groups:
        return user
    return KubernetesUser(user.username, user.uid, (*user.groups, AUTHENTICATED), user.extra)


def impersonated(
    caller: Caller, headers: Sequence[tuple[str, str]], allowed: Callable[[Attributes, Caller], bool]
) -> Caller:
    """The caller that the ``Impersonate-*`` headers ask for; ``Forbidden`` if one of them is not allowed.

    Source: kubernetes ``staging/src/k8s.io/apiserver/pkg/endpoints/filters/impersonation.go``.
    """
    wanted = [(name.lower(), value) for name, value in headers if name.lower().startswith("impersonate-")]
    if not wanted:
        return caller
    if len(wanted) > MAX_IMPERSONATED_VALUES:
        raise bad_request("too many impersonation headers")
    names = [value for name, value in wanted if name == "impersonate-user"]
    groups = [value for name, value in wanted if name == "impersonate-group"]
    uids = [value for name, value in wanted if name == "impersonate-uid"]
    prefix = "impersonate-extra-"
    extra: dict[str, tuple[str, ...]] = {}
    for name, value in wanted:
        if name.startswith(prefix):
            key = unquote(name.removeprefix(prefix))
            extra[key] = (*extra.get(key, ()), value)
    if len(names) != 1 or not names[0] or len(uids) > 1:
        raise bad_request(f"requested {wanted!r} without impersonating a user name"[:300])
    questions = _questions(caller, names[0], groups, uids, extra)
    for question in questions:
        if not allowed(question, caller):
            raise _refused(caller, question)
    return Caller(_target(names[0], groups, uids, extra))


def _questions(
    caller: Caller, name: str, groups: list[str], uids: list[str], extra: Mapping[str, tuple[str, ...]]
) -> list[Attributes]:
    def ask(resource: str, what: str, group: str = "", namespace: str = "", subresource: str = "") -> Attributes:
        return Attributes(caller.user, "impersonate", group, "v1", resource, subresource, namespace, what)

    account = _service_account(name)
    questions = [ask("serviceaccounts", account[1], "", account[0]) if account else ask("users", name)]
    questions += [ask("groups", group) for group in groups]
    questions += [ask("uids", uid, AUTHENTICATION) for uid in uids]
    questions += [
        ask("userextras", value, AUTHENTICATION, "", key) for key, values in extra.items() for value in values
    ]
    return questions


def _target(name: str, groups: list[str], uids: list[str], extra: Mapping[str, tuple[str, ...]]) -> KubernetesUser:
    account = _service_account(name)
    if account and not groups:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account[0]}"]
    if name == ANONYMOUS.username:
        groups = [group for group in groups if group != AUTHENTICATED] or [UNAUTHENTICATED]
    elif UNAUTHENTICATED not in groups and AUTHENTICATED not in groups:
        groups = [*groups, AUTHENTICATED]
    return KubernetesUser(name, uids[0] if uids else "", tuple(groups), extra)


def _service_account(name: str) -> tuple[str, str] | None:
    """Namespace and name of a service account's username."""
    parts = name.split(":")
    if len(parts) == 4 and parts[:2] == ["system", "serviceaccount"] and all(parts):
        return parts[2], parts[3]
    return None


def _refused(caller: Caller, question: Attributes) -> StatusError:
    group = f' in API group "{question.api_group}"'
    where = f' in the namespace "{question.namespace}"' if question.namespace else " at the cluster scope"
    resource = f"{question.resource}/{question.subresource}" if question.subresource else question.resource
    why = f'User "{caller.user.username}" cannot impersonate resource "{resource}"{group}{where}'
    return forbidden(question.api_group, question.resource, question.name, why)
