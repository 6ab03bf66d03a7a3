"""Which context keys a decision asked for and did not get: what a simulation has to be given besides.

Source: IAM API reference, SimulatePrincipalPolicy, ``MissingContextValues``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rolecall.iam.policy_model import PolicyDocument, Statement
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.statements import action_fits
from rolecall.iam.variables import needed_keys


def missing_keys(policies: Iterable[PolicyDocument], request: AuthorizationRequest) -> tuple[str, ...]:
    """The keys, as written, that statements about the request's action name and its context lacks; each once."""
    found: dict[str, str] = {}
    for policy in policies:
        for statement in policy.statements:
            if action_fits(statement, request.action.lower()):
                for key in _named(statement, policy.has_variables):
                    if key.lower() not in request.context:
                        found.setdefault(key.lower(), key)
    return tuple(found[key] for key in sorted(found))


def _named(statement: Statement, variables: bool) -> Iterator[str]:
    for condition in statement.conditions:
        yield condition.written or condition.key
        if variables and condition.operator.takes_variables:
            for value in condition.values:
                yield from needed_keys(value)
    if variables:
        for resource in (*statement.resources, *statement.not_resources):
            yield from needed_keys(resource)
