"""A plan as a document for programs, as a page for a pull request, and as rows for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rolecall.moments import write_moment
from rolecall.plan.findings import Finding
from rolecall.plan.order import merged
from rolecall.plan.plan import Plan
from rolecall.plan.render import details, noun_of, sign_of, summary, title_of
from rolecall.plan.resources import Change

_WORDS = {"+": "add", "-": "remove", "~": "change"}
COLUMNS = ("what", "action", "place", "name", "person", "details")
Row = tuple[str, str, str, str, str, str]


def plan_document(plan: Plan) -> dict[str, Any]:
    """The members of the document ``Plan``; what is ``None`` is absent."""
    return {
        "madeAt": write_moment(plan.made_at) if plan.made_at else None,
        "caller": plan.caller or None,
        "files": list(plan.files),
        "summary": summary(plan),
        "refused": bool(plan.refusals),
        "changes": [_change(change) for change in merged(plan.changes)],
        "effects": dict(plan.effects),
        "findings": [_finding(found) for found in plan.findings],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "action": _WORDS[sign_of(change)],
        "kind": change.resource.kind.value,
        "place": change.resource.place,
        "name": change.name,
        "before": change.before,
        "after": change.after,
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "code": found.code,
        "about": list(found.about),
        "text": found.text,
        "advice": found.advice or None,
        "place": found.place or None,
        "refuses": found.refuses,
        "allowed": found.allowed,
    }


def rows(plan: Plan) -> Iterator[Row]:
    """The plan under :data:`COLUMNS`: its changes, the effect on each person's access, and the findings."""
    for change in merged(plan.changes):
        inside = "; ".join(f"{mark} {text}".strip() for mark, text in details(change))
        yield noun_of(change), _WORDS[sign_of(change)], change.resource.place, title_of(change), "", inside
    for key, action in (("gains", "gain"), ("losses", "lose"), ("changes", "change")):
        for change_of_access in plan.effects.get(key, ()):
            was, now = (_seat(change_of_access.get(end)) for end in ("before", "after"))
            inside = "; ".join(filter(None, (f"was {was}" if was else "", f"now {now}" if now else "")))
            for person in change_of_access["people"]:
                yield "access", action, change_of_access["cluster"], change_of_access["principal"], person, inside
    for found in plan.findings:
        action = "refuse" if found.refuses else "warn"
        yield "finding", action, ", ".join(found.about), found.code, "", str(found)


def _seat(seat: Any) -> str:
    if seat is None:
        return ""
    groups = ", ".join(seat["groups"]) or "no group"
    permissions = "; ".join(one["text"] for one in seat["permissions"]) or "no permissions"
    return f"{seat['username']} in {groups} ({permissions})"
