"""Policies at their kindest, as long as it is open which values some condition keys will have.

A caller that the policies refuse at their kindest is refused, whatever those values are. So a search for values that a
caller could bring along (:mod:`rolecall.iam.search`) stops early where nothing can come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from rolecall.arn import PrincipalKind
from rolecall.iam.compiled import CompiledPolicies, compile_policies
from rolecall.iam.context_keys import has_several_values
from rolecall.iam.policy_model import Condition, PolicyDocument, Statement
from rolecall.iam.understood import PolicySet
from rolecall.iam.variables import has_variables, variable_keys

IsOpen = Callable[[str], bool]


def open_variables(text: str, is_open: IsOpen) -> tuple[str, ...]:
    """The keys, as written, of the variables in a text that are open."""
    if "${" not in text:
        return ()
    return tuple(key for key in variable_keys(text) if is_open(key.lower()) and not has_several_values(key))


def condition_hangs(condition: Condition, is_open: IsOpen, variables: bool) -> bool:
    """Whether it is open if a condition holds: by its key, or by a variable in what the key is compared with."""
    if is_open(condition.key):
        return True
    return (
        variables
        and condition.operator.takes_variables
        and any(open_variables(value, is_open) for value in condition.values)
    )


def resources_hang(statement: Statement, is_open: IsOpen, variables: bool) -> bool:
    """Whether it is open which resources a statement is about."""
    texts = (*statement.resources, *statement.not_resources)
    return variables and any(has_variables(text) and open_variables(text, is_open) for text in texts)


class Sides:
    """The policies on both sides of a call of AssumeRole; the role's trust policy is the resource's."""

    def __init__(self, policies: PolicySet) -> None:
        self.policies = policies
        self._compiled: dict[frozenset[str], CompiledPolicies] = {}
        self._open: dict[PrincipalKind, frozenset[str]] = {}

    def documents(self) -> Iterator[PolicyDocument]:
        """Each of them, the trust policy first."""
        if self.policies.resource:
            yield self.policies.resource
        yield from self.policies.identity
        if self.policies.boundary:
            yield self.policies.boundary

    def open_keys(self, kind: PrincipalKind, is_open: IsOpen) -> frozenset[str]:
        """All keys that are compared anywhere and that a kind of caller can choose; for one kind always the same."""
        found = self._open.get(kind)
        if found is None:
            keys = (key for policy in self.documents() for key in _keys(policy))
            found = self._open[kind] = frozenset(key for key in keys if is_open(key))
        return found

    def kindest(self, keys: frozenset[str]) -> CompiledPolicies:
        """As if every Allow had the values of ``keys`` that it asks for, and no Deny those that it names."""
        found = self._compiled.get(keys)
        if found is None:
            policies = self.policies
            if keys:
                policies = replace(
                    policies,
                    identity=tuple(_kindest(policy, keys.__contains__) for policy in policies.identity),
                    boundary=_kindest(policies.boundary, keys.__contains__) if policies.boundary else None,
                    resource=_kindest(policies.resource, keys.__contains__) if policies.resource else None,
                )
            found = self._compiled[keys] = compile_policies(policies)
        return found


def _keys(policy: PolicyDocument) -> Iterator[str]:
    for statement in policy.statements:
        texts = [*statement.resources, *statement.not_resources]
        for condition in statement.conditions:
            yield condition.key
            texts += condition.values
        for text in texts if policy.has_variables else ():
            if "${" in text:
                yield from (key.lower() for key in variable_keys(text) if not has_several_values(key))


def _kindest(policy: PolicyDocument, is_open: IsOpen) -> PolicyDocument:
    return replace(policy, statements=tuple(_statements(policy, is_open)))


def _statements(policy: PolicyDocument, is_open: IsOpen) -> Iterator[Statement]:
    variables = policy.has_variables
    for statement in policy.statements:
        known = tuple(c for c in statement.conditions if not condition_hangs(c, is_open, variables))
        anywhere = resources_hang(statement, is_open, variables)
        if not statement.allows:
            if not anywhere and len(known) == len(statement.conditions):
                yield statement
        elif anywhere:
            yield replace(statement, conditions=known, resources=("*",), not_resources=())
        elif len(known) == len(statement.conditions):
            yield statement
        else:
            yield replace(statement, conditions=known)
