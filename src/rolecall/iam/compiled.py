"""The fast evaluator: the answers of :mod:`rolecall.iam.evaluate` without the reasons.

Per set of policies and per action it keeps only the statements whose Action fits, with their Resource and Condition
turned into closures; a decision then is a handful of calls. Statements that name variables go through the reference's
own functions. Tests hold the two evaluators together on every table and on random cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rolecall.arn import PrincipalKind
from rolecall.iam.conditions import condition_holds
from rolecall.iam.doubts import has_unclear
from rolecall.iam.evaluate import ALWAYS_ALLOWED, Effect, PolicySet, evaluate
from rolecall.iam.matching import resource_matcher
from rolecall.iam.operators import Quantifier
from rolecall.iam.policy_model import Condition, Doubt, PolicyDocument, PolicyKind, Statement
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.statements import Grant, action_fits, grant_of, resource_fits
from rolecall.iam.variables import has_variables

Check = Callable[[AuthorizationRequest], bool]
Checks = tuple[Check, ...]
MAX_ACTIONS = 4_096


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is left of a set of policies once the action is known; ``None`` where a side does not apply."""

    denies: Checks
    organisation_denies: Checks
    levels: tuple[Checks, ...]
    identity: Checks
    boundary: Checks | None
    session: Checks | None
    resource_denies: tuple[tuple[Check, Statement], ...]
    resource_allows: tuple[tuple[Check, Statement], ...]


class CompiledPolicies:
    """A :class:`PolicySet` ready for many decisions."""

    __slots__ = ("_plans", "_unclear", "policies")

    def __init__(self, policies: PolicySet) -> None:
        self.policies = policies
        self._unclear = has_unclear(policies)
        self._plans: dict[str, _Plan] = {}

    def decide(self, request: AuthorizationRequest) -> Effect:
        """The effect that :func:`rolecall.iam.evaluate.evaluate` computes for the same request."""
        plan = self._plans.get(request.action)
        if plan is None:
            plan = self._plan(request.action)
        root = request.principal.kind is PrincipalKind.ROOT
        for check in plan.organisation_denies if root else plan.denies:
            if check(request):
                return Effect.EXPLICIT_DENY if request.action.lower() != ALWAYS_ALLOWED else Effect.ALLOW
        if plan.resource_denies and self._resource_denies(plan, request):
            return Effect.EXPLICIT_DENY if request.action.lower() != ALWAYS_ALLOWED else Effect.ALLOW
        if self._allowed(plan, request, root):
            return Effect.ALLOW
        return Effect.ALLOW if request.action.lower() == ALWAYS_ALLOWED else Effect.IMPLICIT_DENY

    def doubts(self, request: AuthorizationRequest) -> tuple[Doubt, ...]:
        """The doubts that :func:`rolecall.iam.evaluate.evaluate` has about the same request."""
        return evaluate(request, self.policies).doubts if self._unclear else ()

    def _allowed(self, plan: _Plan, request: AuthorizationRequest, root: bool) -> bool:
        for level in plan.levels:
            if not _any(level, request):
                return False
        same_account = request.principal.account == request.resource_account
        resource = self.policies.resource
        if resource is not None:
            grant = self._grant(plan, request)
            if same_account and grant is Grant.DIRECT:
                return True
            if same_account and grant is Grant.ROLE:
                return _limits_allow(plan, request, root)
            if grant is Grant.NONE and (not same_account or resource.kind is PolicyKind.TRUST):
                return False
        elif not same_account:
            return False
        return (root or _any(plan.identity, request)) and _limits_allow(plan, request, root)

    def _resource_denies(self, plan: _Plan, request: AuthorizationRequest) -> bool:
        ids, has_boundary = self.policies.resource_principal_ids, self.policies.boundary is not None
        return any(
            grant_of(statement, request.principal, ids, has_boundary) and check(request)
            for check, statement in plan.resource_denies
        )

    def _grant(self, plan: _Plan, request: AuthorizationRequest) -> Grant:
        ids, has_boundary = self.policies.resource_principal_ids, self.policies.boundary is not None
        best = Grant.NONE
        for check, statement in plan.resource_allows:
            grant = grant_of(statement, request.principal, ids, has_boundary)
            if grant > best and check(request):
                best = grant
        return best

    def _plan(self, action: str) -> _Plan:
        found = _plan_of(self.policies, action.lower())
        if len(self._plans) >= MAX_ACTIONS:
            self._plans.clear()
        self._plans[action] = found
        return found


def compile_policies(policies: PolicySet) -> CompiledPolicies:
    """Make a set of policies ready for many decisions."""
    return CompiledPolicies(policies)


def _any(checks: Checks, request: AuthorizationRequest) -> bool:
    for check in checks:  # noqa: SIM110 -- a generator costs half of a decision
        if check(request):
            return True
    return False


def _limits_allow(plan: _Plan, request: AuthorizationRequest, root: bool) -> bool:
    if root:
        return True
    if plan.boundary is not None and not _any(plan.boundary, request):
        return False
    if plan.session is None:
        return request.principal.kind is not PrincipalKind.FEDERATED_USER
    return _any(plan.session, request)


def _plan_of(policies: PolicySet, action: str) -> _Plan:
    boundary = (policies.boundary,) if policies.boundary else ()
    levels = (*policies.scps, *policies.rcps)
    organisation = tuple(policy for level in levels for policy in level)
    own = (*policies.identity, *boundary, *(policies.session or ()))
    organisation_denies = _checks(organisation, action, allows=False)
    resource = (policies.resource,) if policies.resource else ()
    return _Plan(
        (*_checks(own, action, allows=False), *organisation_denies),
        organisation_denies,
        tuple(_checks(level, action, allows=True) for level in levels),
        _checks(policies.identity, action, allows=True),
        _checks(boundary, action, allows=True) if boundary else None,
        _checks(policies.session, action, allows=True) if policies.session is not None else None,
        tuple(_with_statement(resource, action, allows=False)),
        tuple(_with_statement(resource, action, allows=True)),
    )


def _checks(policies: Iterable[PolicyDocument], action: str, *, allows: bool) -> Checks:
    return tuple(check for check, _ in _with_statement(policies, action, allows=allows))


def _with_statement(
    policies: Iterable[PolicyDocument], action: str, *, allows: bool
) -> Iterable[tuple[Check, Statement]]:
    for policy in policies:
        for statement in policy.statements:
            if statement.allows is allows and action_fits(statement, action):
                yield _check(statement, policy.has_variables), statement


def _check(statement: Statement, variables: bool) -> Check:
    resource = _resource_check(statement, variables)
    conditions = tuple(_condition_check(condition, variables) for condition in statement.conditions)
    parts: Checks = (*((resource,) if resource else ()), *conditions)
    if not parts:
        return _always
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda request: first(request) and second(request)
    return lambda request: all(part(request) for part in parts)


def _always(request: AuthorizationRequest) -> bool:
    return True


def _resource_check(statement: Statement, variables: bool) -> Check | None:
    patterns = statement.resources or statement.not_resources
    if variables and any(has_variables(pattern) for pattern in patterns):
        return lambda request: resource_fits(statement, request, True)
    wanted = bool(statement.resources)
    if any(pattern.strip("*") == "" for pattern in patterns):
        return None if wanted else lambda request: False
    exact = frozenset(pattern for pattern in patterns if pattern.count(":") >= 5 and not {"*", "?"} & set(pattern))
    matchers = tuple(resource_matcher(pattern) for pattern in patterns if pattern not in exact)
    if not matchers:
        return lambda request: (request.resource in exact) is wanted
    if len(matchers) == 1 and not exact and wanted:
        only = matchers[0]
        return lambda request: only(request.resource)
    return lambda request: (request.resource in exact or any(match(request.resource) for match in matchers)) is wanted


def _condition_check(condition: Condition, variables: bool) -> Check:
    operator, key = condition.operator, condition.key
    constant = not (variables and operator.takes_variables and any(has_variables(v) for v in condition.values))
    simple = constant and operator.quantifier is Quantifier.NONE and operator.base != "null"
    if not simple:
        return lambda request: condition_holds(condition, request.context, variables)
    missing, negated = operator.if_exists or operator.negated, operator.negated
    if operator.base in ("stringequals", "stringnotequals"):
        wanted = frozenset(condition.values)

        def among(request: AuthorizationRequest) -> bool:
            values = request.context.get(key)
            if not values:
                return missing
            if len(values) == 1:
                return (values[0] in wanted) is not negated
            return negated and wanted.isdisjoint(values)

        return among

    def holds(request: AuthorizationRequest) -> bool:
        values = request.context.get(key)
        if not values:
            return missing
        if len(values) == 1:
            value = values[0]
            return any(operator.test(text, value) for text in condition.values) is not negated
        return condition_holds(condition, request.context, variables)

    return holds
