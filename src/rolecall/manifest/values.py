"""When two values of a resource are the same: where AWS and Kubernetes keep no order, none counts."""

from __future__ import annotations

import json
from typing import Any

from rolecall.manifest.common import same_grants
from rolecall.manifest.resources import Kind, Value

# Lists whose order means nothing: groups of a user, policies of an entry with their namespaces, subjects of a binding.
_UNORDERED = frozenset({"groups", "policies", "namespaces", "subjects"})
_DOCUMENT = {Kind.IAM_ROLE: "trust", Kind.IAM_ROLE_POLICY: "document"}


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


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner, name) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        found = [_plain(inner) for inner in value]
        return sorted(found, key=lambda one: json.dumps(one, sort_keys=True)) if key in _UNORDERED else found
    return value
