"""What the policies of a caller and a role compare with one another, where the caller can choose one side of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rolecall.arn import PrincipalKind
from rolecall.iam.assume_role import TrustedRole
from rolecall.iam.conditions import conditions_hold
from rolecall.iam.kindest import IsOpen, Sides, condition_hangs, open_variables, resources_hang
from rolecall.iam.operators import Operator
from rolecall.iam.policy_model import PolicyDocument, Statement
from rolecall.iam.principals import Principal
from rolecall.iam.statements import grant_of
from rolecall.iam.variables import has_variables

_Context = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One value of a policy, and what it is compared with.

    :param key: the condition key, lower-case; empty: the role's ARN behind its fifth colon, with a Resource element.
    :param written: the key as the policy writes it.
    :param operator: ``None`` for a Resource element.
    :param pattern: the policy's value.
    :param variables: whether variables in it count.
    :param free: the keys of those variables that the caller can choose, as written.
    """

    key: str
    written: str
    operator: Operator | None
    pattern: str
    variables: bool
    free: tuple[str, ...] = ()

    @property
    def has_wildcards(self) -> bool:
        """Whether ``*`` and ``?`` of the pattern are wildcards."""
        return self.operator is None or self.operator.has_wildcards


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller's choices are about: the comparisons that hang on them, and the session names that trusts name.

    :param principal: the caller, as a session of the default name if it is a role.
    :param context: of a call that brings nothing along.
    """

    role: TrustedRole
    principal: Principal
    context: _Context
    is_free: IsOpen
    comparisons: tuple[Comparison, ...]
    sessions: tuple[str, ...]


def question(role: TrustedRole, principal: Principal, sides: Sides, context: _Context, is_free: IsOpen) -> Question:
    """The comparisons of the statements that can be about this caller, whatever it chooses.

    :param sides: policies reduced to what they say about assuming roles.
    """
    found: dict[Comparison, None] = {}
    for policy in sides.documents():
        trust = policy is sides.policies.resource
        for statement in policy.statements:
            names = _session_names(statement, principal) if trust else ()
            if trust and not names:
                bounded = sides.policies.boundary is not None
                if not grant_of(statement, principal, role.principal_ids, bounded):
                    continue
            found |= dict.fromkeys(_of_statement(statement, policy, context, is_free))
    return Question(role, principal, context, is_free, tuple(found), session_names(role.trust, principal))


def session_names(trust: PolicyDocument, principal: Principal) -> tuple[str, ...]:
    """The sessions of the caller's role that a trust policy names, or may name."""
    statements = (*trust.statements, *(one.statement for one in trust.unclear))
    return tuple(dict.fromkeys(name for statement in statements for name in _session_names(statement, principal)))


def _session_names(statement: Statement, principal: Principal) -> tuple[str, ...]:
    """The sessions of the caller's role that a statement names."""
    if principal.kind is not PrincipalKind.ASSUMED_ROLE or statement.principals is None:
        return ()
    prefix = f"{principal.arn.rpartition('/')[0]}/"
    return tuple(name.removeprefix(prefix) for name in statement.principals.aws if name.startswith(prefix))


def _of_statement(
    statement: Statement, policy: PolicyDocument, context: _Context, is_free: IsOpen
) -> Iterator[Comparison]:
    variables = policy.has_variables
    hanging = tuple(c for c in statement.conditions if condition_hangs(c, is_free, variables))
    fixed = tuple(c for c in statement.conditions if c not in hanging)
    if not conditions_hold(fixed, context, variables):
        return
    for condition in hanging:
        counts = variables and condition.operator.takes_variables
        for value in condition.values or ("",):
            free = open_variables(value, is_free) if counts else ()
            yield Comparison(condition.key, condition.written or condition.key, condition.operator, value, counts, free)
    if resources_hang(statement, is_free, variables):
        for text in (*statement.resources, *statement.not_resources):
            if has_variables(text) and text.count(":") >= 5:
                yield Comparison("", "Resource", None, text.split(":", 5)[5], True, open_variables(text, is_free))
