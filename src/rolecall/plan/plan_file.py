"""A plan as a file that is applied later, perhaps by somebody else: values alone.

Nothing in the file is done that is not shown. It has each resource's value before and after; the order of the steps,
the effect on access and what the guards object to are worked out again when it is applied
(:func:`rolecall.plan.recheck.again`), and what somebody allowed when the plan was made allows nothing then. A member
that :func:`to_json` does not write makes the file invalid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from rolecall.errors import RolecallError
from rolecall.moments import parse_moment, write_moment
from rolecall.plan.findings import Finding
from rolecall.plan.order import merged
from rolecall.plan.plan import Plan
from rolecall.plan.resources import AWS_AUTH_SECTIONS, Change, Kind, ResourceId, Value
from rolecall.plan.shapes import check_shape

FORMAT = 2
MAX_PLAN = 256 * 1024 * 1024
_ADVICE = "write it with: rolecall plan --out FILE"
_PLAN = {"format", "madeAt", "caller", "files", "reach", "changes", "findings"}
_CHANGE = {"kind", "place", "name", "before", "after"}
_FINDING = {"code", "about", "text", "advice", "place", "refuses", "allowed"}


class PlanError(RolecallError):
    """A plan's file cannot be read, or is not one."""


def to_json(plan: Plan) -> dict[str, Any]:
    """A plan as plain values, which :func:`from_json` reads."""
    return {
        "format": FORMAT,
        "madeAt": write_moment(plan.made_at) if plan.made_at else None,
        "caller": plan.caller,
        "files": list(plan.files),
        "reach": dict(plan.reach),
        "changes": [_change_to_json(change) for change in merged(plan.changes)],
        "findings": [asdict(found) for found in plan.findings],
    }


def _change_to_json(change: Change) -> dict[str, Any]:
    resource = change.resource
    found = {"kind": resource.kind.value, "place": resource.place, "name": change.name}
    values = {"before": change.before, "after": change.after}
    return found | {key: value for key, value in values.items() if value is not None}


def from_json(text: str, where: str = "") -> Plan:
    """The plan that a file holds; its steps are in no order, and it has no effects.

    :raises PlanError: the file holds no plan of this format.
    """
    if len(text) > MAX_PLAN:
        raise PlanError(f"a plan has at most {MAX_PLAN // 1024 // 1024} MiB", where=where)
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or "format" not in found:
            raise ValueError("it is not a JSON document that rolecall plan wrote")
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {str(found['format'])[:20]!r}, and this rolecall reads format {FORMAT}")
        _members(found, _PLAN, "the plan")
        return Plan(
            _changes(found["changes"]),
            tuple(_finding(one) for one in _list(found["findings"])),
            {},
            parse_moment(found["madeAt"]) if found["madeAt"] is not None else None,
            _text(found["caller"]),
            tuple(_text(one) for one in _list(found["files"])),
            dict(found["reach"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"the member {error} is missing" if isinstance(error, KeyError) else str(error)
        if isinstance(error, json.JSONDecodeError):
            what = f"it is not JSON (line {error.lineno}, column {error.colno})"
        raise PlanError(f"this is not a plan: {what}", where=where, advice=_ADVICE) from None


def _members(found: Any, known: set[str], what: str) -> None:
    if not isinstance(found, dict):
        raise TypeError(f"{what} is not an object")
    if unknown := found.keys() - known:
        raise ValueError(f"{what} has a member that no plan has: {min(unknown)[:60]!r}")


def _changes(found: Any) -> tuple[Change, ...]:
    changes = tuple(_change(one) for one in _list(found))
    if len({change.resource for change in changes}) != len(changes):
        raise ValueError("it changes one resource twice")
    return changes


def _change(found: Mapping[str, Any]) -> Change:
    _members(found, _CHANGE, "a change")
    kind, name = Kind(found["kind"]), _text(found["name"])
    resource = ResourceId(kind, _text(found["place"]), name.lower() if kind in AWS_AUTH_SECTIONS else name)

    def value(key: str) -> Value | None:
        one: Value | None = found.get(key)
        check_shape(resource, one)
        return one

    change = Change("", resource, value("before"), value("after"))
    if change.before is None and change.after is None:
        raise ValueError(f"the change of {kind} {name[:100]!r} has no value")
    return change


def _finding(found: Any) -> Finding:
    _members(found, _FINDING, "a finding")
    texts = (_text(found[key]) for key in ("code", "text", "advice", "place"))
    code, text, advice, place = texts
    about = tuple(_text(one) for one in _list(found["about"]))
    if not about or not all(isinstance(found[key], bool) for key in ("refuses", "allowed")):
        raise ValueError(f"the finding {code[:60]!r} has not the members of a finding")
    return Finding(code, about, text, advice, place, found["refuses"], found["allowed"])


# Guards whose findings are never mere warnings, whatever a file says.
_NEVER_WARN = frozenset({"raw-trust-policy", "trust-through-role", "break-glass-without-mfa", "break-glass-session"})


def claims(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings of a file, each refusing if it ever did: what was allowed when a plan was made allows nothing later."""
    return tuple(
        replace(found, refuses=found.refuses or found.allowed or found.code in _NEVER_WARN, allowed=False)
        for found in findings
    )


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError(f"{str(found)[:60]!r} is not a text")
    return found


def _list(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise TypeError(f"{str(found)[:60]!r} is not a list")
    return found
