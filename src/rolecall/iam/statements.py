"""Does one statement apply to a request? The reference, statement by statement, in the words of the documentation.

Source: IAM user guide, "IAM JSON policy elements" (Action, NotAction, Resource, NotResource, Principal, NotPrincipal).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache

from rolecall.arn import PrincipalKind
from rolecall.iam.conditions import conditions_hold
from rolecall.iam.matching import matcher, resource_matcher
from rolecall.iam.policy_model import PolicyDocument, Principals, Statement
from rolecall.iam.principals import Principal
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.variables import has_variables, protect, substitute


class Grant(IntEnum):
    """How directly a resource's policy names the caller; the order is from nothing to everything.

    ACCOUNT delegates to the caller's account, whose identity policies then decide. ROLE is still limited by the
    permissions boundary and the session policies, DIRECT by nothing but a Deny. Source: IAM user guide, "Policy
    evaluation logic", the table of principals named directly in a resource-based policy.
    """

    NONE = 0
    ACCOUNT = 1
    ROLE = 2
    DIRECT = 3


def statement_applies(statement: Statement, policy: PolicyDocument, request: AuthorizationRequest) -> bool:
    """Whether a statement's action, resource and conditions fit the request; its principal is not looked at."""
    return (
        action_fits(statement, request.action.lower())
        and resource_fits(statement, request, policy.has_variables)
        and conditions_hold(statement.conditions, request.context, policy.has_variables)
    )


def action_fits(statement: Statement, action: str) -> bool:
    """``action`` in lower case."""
    if statement.actions:
        return any(matcher(pattern)(action) for pattern in statement.actions)
    return not any(matcher(pattern)(action) for pattern in statement.not_actions)


def resource_fits(statement: Statement, request: AuthorizationRequest, variables: bool) -> bool:
    """Whether the Resource or NotResource element covers the request's resource."""
    if statement.resources:
        return any(_resource_matches(pattern, request, variables) for pattern in statement.resources)
    # A NotResource whose variable has no value excludes nothing, so the statement covers everything else.
    return not any(_resource_matches(pattern, request, variables) for pattern in statement.not_resources)


def _resource_matches(pattern: str, request: AuthorizationRequest, variables: bool) -> bool:
    if not (variables and has_variables(pattern)):
        return resource_matcher(pattern)(request.resource)
    parts = pattern.split(":", 5)
    # Variables are read only behind the fifth colon (user guide, "Where you can use policy variables").
    if len(parts) != 6 or any("${" in part for part in parts[:5]):
        return False
    substituted = substitute(parts[5], request.context)
    if substituted is None:
        return False
    return resource_matcher(":".join((*parts[:5], substituted)))(protect(request.resource))


def grant_of(statement: Statement, principal: Principal, ids: Mapping[str, str], has_boundary: bool) -> Grant:
    """How directly a statement of a resource's policy names the caller.

    :param ids: the unique id that each principal ARN stood for when the policy was saved (facts/iam.md 11).
    """
    if statement.principals is not None:
        return _named(statement.principals, principal, ids)
    if statement.not_principals is not None and not _excepted(statement, principal, ids, has_boundary):
        return Grant.DIRECT
    return Grant.NONE


def _named(principals: Principals, principal: Principal, ids: Mapping[str, str]) -> Grant:
    if principals.everyone:
        return Grant.DIRECT
    best = Grant.NONE
    for entry in _entries(principals.aws).intersection(_names_of(principal)):
        best = max(best, _entry_grant(entry, principal, ids))
    return best


@lru_cache(maxsize=4_096)
def _entries(entries: tuple[str, ...]) -> frozenset[str]:
    return frozenset(entries)


def _names_of(principal: Principal) -> tuple[str, ...]:
    """Everything that can name a caller in a policy: a trust policy may name hundreds of others."""
    root = f"{principal.arn.split(':', 2)[1]}:iam::{principal.account}:root"
    return principal.account, f"arn:{root}", principal.principal_id, principal.arn, principal.principal_arn


def _entry_grant(entry: str, principal: Principal, ids: Mapping[str, str]) -> Grant:
    if entry == principal.account or _is_root_of(entry, principal):
        return Grant.DIRECT if principal.kind is PrincipalKind.ROOT else Grant.ACCOUNT
    if entry.startswith(("AIDA", "AROA")):
        same = entry == principal.principal_id
        return _direct(principal) if same else Grant.NONE
    if entry == principal.arn and principal.kind in (PrincipalKind.ASSUMED_ROLE, PrincipalKind.FEDERATED_USER):
        return Grant.DIRECT
    if entry != principal.principal_arn or ids.get(entry, principal.principal_id) != principal.principal_id:
        return Grant.NONE
    return _direct(principal)


def _is_root_of(entry: str, principal: Principal) -> bool:
    """Whether an entry is ``arn:PARTITION:iam::ACCOUNT:root`` of the caller's account; partitions share numbers."""
    return entry.endswith(f"::{principal.account}:root") and entry.split(":", 2)[1] == principal.arn.split(":", 2)[1]


def _direct(principal: Principal) -> Grant:
    return Grant.ROLE if principal.kind is PrincipalKind.ASSUMED_ROLE else Grant.DIRECT


def _excepted(statement: Statement, principal: Principal, ids: Mapping[str, str], has_boundary: bool) -> bool:
    """Whether NotPrincipal leaves the caller out: for a Deny the account and every name of the caller must be listed.

    Source: IAM user guide, "IAM JSON policy elements: NotPrincipal".
    """
    listed = statement.not_principals
    if listed is None or listed.everyone:
        return listed is not None
    grants = {_entry_grant(entry, principal, ids) for entry in listed.aws}
    if statement.allows:
        return bool(grants - {Grant.NONE})
    if has_boundary:
        return False
    names = {principal.arn, principal.principal_arn}
    return (Grant.ACCOUNT in grants and names <= set(listed.aws)) or (
        principal.kind is PrincipalKind.ROOT and bool(grants - {Grant.NONE})
    )
