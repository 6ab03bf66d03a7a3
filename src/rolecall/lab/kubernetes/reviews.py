"""The reviews: who am I, may I, whose token is this. They are answered and never stored.

Source: Kubernetes API reference, authentication.k8s.io/v1 and authorization.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rolecall.authenticator.review import looks_like_aws_token, user_info
from rolecall.lab.kubernetes.authentication import Caller, Review, authenticated, token_review, user_of
from rolecall.lab.kubernetes.authorization import Authorization
from rolecall.lab.kubernetes.kinds import AUTHORIZATION, Resource
from rolecall.lab.kubernetes.service_account_tokens import DEFAULT_AUDIENCE, ServiceAccountTokens
from rolecall.lab.kubernetes.status import StatusError, bad_request, invalid
from rolecall.model import KubernetesUser
from rolecall.rbac.rules import Attributes


class Reviews:
    """Answers the review resources of one cluster."""

    def __init__(self, authorization: Authorization, review: Review, tokens: ServiceAccountTokens) -> None:
        self._authorization = authorization
        self._review = review
        self._tokens = tokens

    async def answer(
        self, resource: Resource, namespace: str, found: Mapping[str, Any], caller: Caller
    ) -> dict[str, Any]:
        """The review with its status."""
        spec = found.get("spec") or {}
        match resource.kind:
            case "SelfSubjectReview":
                status: dict[str, Any] = {"userInfo": user_info(caller.user)}
            case "SelfSubjectAccessReview":
                status = self._access(reviewed_attributes(spec, caller.user), caller)
            case "SelfSubjectRulesReview":
                if not spec.get("namespace"):
                    raise bad_request("no namespace on request")
                status = self._rules(spec["namespace"], caller)
            case "TokenReview":
                status = await self._token(spec)
            case _:
                status = self._others_access(resource, namespace, spec)
        return {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": dict(found.get("metadata") or {}),
            **({"spec": spec} if resource.kind != "SelfSubjectReview" else {}),
            "status": status,
        }

    def _others_access(self, resource: Resource, namespace: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        user = KubernetesUser(
            spec.get("user", ""),
            spec.get("uid", ""),
            tuple(spec.get("groups") or ()),
            {key: tuple(values) for key, values in (spec.get("extra") or {}).items()},
        )
        if not user.username and not user.groups:
            raise _invalid(resource.kind, "spec.user", "at least one of user or group must be specified")
        if resource.kind == "LocalSubjectAccessReview":
            if spec.get("nonResourceAttributes"):
                raise _invalid(resource.kind, "spec.nonResourceAttributes", "disallowed on this kind of request")
            if (spec.get("resourceAttributes") or {}).get("namespace", "") != namespace:
                raise _invalid(
                    resource.kind, "spec.resourceAttributes.namespace", "must match the namespace of the request"
                )
        return self._access(reviewed_attributes(spec, user), Caller(user))

    def _access(self, request: Attributes, caller: Caller) -> dict[str, Any]:
        decision = self._authorization.decide(request, caller)
        return {"allowed": decision.allowed, **({"reason": decision.reason} if decision.reason else {})}

    def _rules(self, namespace: str, caller: Caller) -> dict[str, Any]:
        """RBAC's rules alone: access policies do not show here, as on EKS (EKS user guide, "Access policies")."""
        resources, paths = [], []
        for rule in self._authorization.rbac.rules_for(caller.user, namespace):
            if rule.non_resource_urls:
                paths.append(rule.to_json())
            else:
                resources.append(rule.to_json())
        return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}

    async def _token(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        token, audiences = spec.get("token", ""), tuple(spec.get("audiences") or ())
        if not token:
            raise bad_request("token is required for TokenReview in authentication")
        if looks_like_aws_token(token):
            status = dict((await self._review(token_review(token, audiences))).get("status") or {})
            if not status.get("authenticated"):
                return {"authenticated": False, "user": {}, "error": status.get("error", "the token is not valid")}
            # A webhook that confirms no audience speaks for the API server's own (apiserver, AuthenticateToken).
            confirmed = status.get("audiences") or [DEFAULT_AUDIENCE]
            shared = [audience for audience in audiences or (DEFAULT_AUDIENCE,) if audience in confirmed]
            if not shared:
                return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
            return {**status, "user": user_info(authenticated(user_of(status["user"]))), "audiences": shared}
        asked = audiences or (DEFAULT_AUDIENCE,)
        user = self._tokens.user(token, asked)
        if user is None:
            return {"authenticated": False, "user": {}, "error": "the token is not valid"}
        # Those that were asked for and the token is for: a reviewer looks for its own name among them.
        shared = [audience for audience in asked if self._tokens.user(token, (audience,)) is not None]
        return {"authenticated": True, "user": user_info(authenticated(user)), "audiences": shared}


def reviewed_attributes(spec: Mapping[str, Any], user: KubernetesUser) -> Attributes:
    """What an access review asks about; ``Invalid`` if it asks about nothing, or about two things."""
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if bool(resource) == bool(path):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid("SubjectAccessReview", "spec.resourceAttributes", why)
    if path:
        return Attributes(user, path.get("verb", ""), path=path.get("path", ""))
    assert resource is not None
    return Attributes(
        user,
        resource.get("verb", ""),
        resource.get("group", ""),
        resource.get("version", ""),
        # A review about no resource in particular asks about a resource without a name, which nothing but * allows.
        resource.get("resource", "") or "*",
        resource.get("subresource", ""),
        resource.get("namespace", ""),
        resource.get("name", ""),
    )


def _invalid(kind: str, field: str, why: str) -> StatusError:
    return invalid(AUTHORIZATION, kind, "", [("FieldValueInvalid", field, f"Invalid value: {why}")])
