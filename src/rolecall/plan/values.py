"""When two values of a resource are the same: where AWS and Kubernetes keep no order, none counts."""

from __future__ import annotations

import json
from typing import Any

from rolecall.iam.common_documents import same_grants
from rolecall.plan.resources import POLICY_KINDS, Kind, Value

# Lists whose order means nothing: groups of a user, policies of an entry with their namespaces, subjects of a binding.
_UNORDERED = frozenset({"groups", "policies", "namespaces", "subjects"})
_DOCUMENT = {Kind.IAM_ROLE: "trust", **dict.fromkeys(POLICY_KINDS, "document")}


def same_value(kind: Kind, one: Value | None, two: Value | None) -> bool:
    """Whether two values of a resource of this kind mean the same."""
    if one is None or two is None:
        return one is two
    member = _DOCUMENT.get(kind)
    if member is None:
        return bool(_plain(one) == _plain(two))
    rest = ({key: value for key, value in found.items() if key != member} for found in (one, two))
    # IAM gives documents back with single members in place of lists and with principals in another order.
    return same_grants(one[member], two[member]) and bool(_plain(next(rest)) == _plain(next(rest)))


# Changed by more than one call: what stands between two calls has members of the old value and of the new one.
_SEVERAL_CALLS = frozenset({Kind.IAM_USER, Kind.IAM_ROLE, Kind.ACCESS_ENTRY})


def between(kind: Kind, current: Value | None, before: Value | None, after: Value | None) -> bool:
    """Whether a value is what a change from ``before`` to ``after`` leaves when it is killed between two calls."""
    if kind not in _SEVERAL_CALLS or current is None or after is None:
        return False
    ends = [end for end in (before, after) if end is not None]
    return all(
        key in after and _from_either(key, value, [end.get(key) for end in ends]) for key, value in current.items()
    )


def _from_either(key: str, value: Any, ends: list[Any]) -> bool:
    if key == "trust":
        return any(end is not None and same_grants(value, end) for end in ends)
    if key == "tags":
        return all(any((end or {}).get(tag) == text for end in ends) for tag, text in value.items())
    if key == "policies":
        known = [_plain(one) for end in ends for one in end or ()]
        return all(_plain(one) in known for one in value)
    return any(_plain(value, key) == _plain(end, key) for end in ends)


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner, name) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        found = [_plain(inner) for inner in value]
        return sorted(found, key=lambda one: json.dumps(one, sort_keys=True)) if key in _UNORDERED else found
    return value
