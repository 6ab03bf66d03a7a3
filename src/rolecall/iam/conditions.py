"""The Condition element: operators AND, keys AND, values OR; what a missing key means.

Source: IAM user guide, "Conditions with multiple context keys or values", "Condition operators" (IfExists, Null).
"""

from __future__ import annotations

from collections.abc import Mapping

from rolecall.iam.operators import Quantifier
from rolecall.iam.policy_model import Condition
from rolecall.iam.variables import has_variables, protect, substitute

Context = Mapping[str, tuple[str, ...]]


def conditions_hold(conditions: tuple[Condition, ...], context: Context, variables: bool) -> bool:
    """Whether every condition of a statement holds. ``variables``: whether the policy's version knows variables."""
    return all(condition_holds(condition, context, variables) for condition in conditions)


def condition_holds(condition: Condition, context: Context, variables: bool) -> bool:
    """Whether one operator with one key holds for a request's context (lower-case keys)."""
    operator = condition.operator
    values = context.get(condition.key, ())
    if operator.base == "null":
        return any((wanted.lower() == "true") == (not values) for wanted in condition.values)
    if not values:
        # A missing key: false for a positive operator, true for a negated one; ForAllValues is true of nothing,
        # ForAnyValue false.
        if operator.quantifier is Quantifier.ALL:
            return True
        if operator.quantifier is Quantifier.ANY:
            return operator.if_exists
        return operator.if_exists or operator.negated
    if operator.quantifier is Quantifier.ANY:
        return any(_value_holds(condition, value, context, variables) for value in values)
    if operator.quantifier is Quantifier.ALL:
        # "... or if the key values resolve to a null data set, such as an empty string" (IAM user guide,
        # "Set operators for multivalued context keys").
        return not any(values) or all(_value_holds(condition, value, context, variables) for value in values)
    if len(values) > 1:
        # Several values need a set operator; without one the result is not documented, so it is a refusal: a
        # positive operator is false, a negated one holds only where every value passes.
        return operator.negated and all(_value_holds(condition, value, context, variables) for value in values)
    return _value_holds(condition, values[0], context, variables)


def _value_holds(condition: Condition, value: str, context: Context, variables: bool) -> bool:
    matched = any(_matches(condition, wanted, value, context, variables) for wanted in condition.values)
    return matched != condition.operator.negated


def _matches(condition: Condition, wanted: str, value: str, context: Context, variables: bool) -> bool:
    operator = condition.operator
    if not (variables and operator.takes_variables and has_variables(wanted)):
        return operator.test(wanted, value)
    substituted = substitute(wanted, context)
    if substituted is None:
        # A variable without a value matches nothing: false for a positive operator, true for a negated one.
        return False
    return operator.test(substituted if operator.has_wildcards else protect(substituted), protect(value))
