"""May the caller do this? The policies of the store, decided by the rules of :mod:`rolecall.iam`."""

from __future__ import annotations

from rolecall.iam.compiled import CompiledPolicies, compile_policies
from rolecall.iam.evaluate import Effect, PolicySet, evaluate
from rolecall.iam.principals import Principal
from rolecall.iam.request import AuthorizationRequest, request_context
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Permission
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.store import Store

MAX_CACHED_CALLERS = 10_000


class PolicyCache:
    """The compiled policies of callers, remembered while the store is unchanged."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._compiled: dict[str, CompiledPolicies] = {}
        self._version = -1

    def policies(self, principal: Principal) -> CompiledPolicies:
        if self._version != self._store.version or len(self._compiled) > MAX_CACHED_CALLERS:
            self._compiled.clear()
            self._version = self._store.version
        # The key id stands for the session and so for its session policies.
        key = principal.access_key_id or principal.arn
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = compile_policies(directory.policies_of(self._store, principal))
        return found

    def authorize(self, call: Call, permission: Permission) -> None:
        """``AccessDenied`` with AWS's sentence if the caller's policies do not allow ``permission``."""
        request = authorization_request(call, permission)
        compiled = self.policies(call.caller)
        if compiled.decide(request) is not Effect.ALLOW:
            raise denied(call.caller, permission, request, compiled.policies)


def authorization_request(call: Call, permission: Permission) -> AuthorizationRequest:
    """The request as the rules see it; every resource of this endpoint is of the caller's own account."""
    context = request_context(
        call.caller,
        now=call.now,
        source_ip=call.source_ip,
        user_agent=call.user_agent,
        # The lab speaks plain HTTP over the loopback interface, where the cloud only has TLS; a policy that demands
        # TLS is meant for the cloud's public endpoints.
        secure_transport=True,
        region=call.region,
        service_keys={"aws:resourceaccount": (call.account,), **permission.context},
    )
    return AuthorizationRequest(call.caller, permission.action, permission.resource, call.account, context)


def denied(
    principal: Principal, permission: Permission, request: AuthorizationRequest, policies: PolicySet
) -> AwsError:
    """AWS's AccessDenied: who, what, on which resource, and which kind of policy decided."""
    because = evaluate(request, policies).because(permission.action)
    return AwsError(
        "AccessDenied",
        f"User: {principal.arn} is not authorized to perform: {permission.action} "
        f"on resource: {permission.resource} {because}",
        403,
    )
