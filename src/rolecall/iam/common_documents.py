"""The most that two policy documents, or two bindings, both grant: the safe place between an old and a new one.

What :func:`common_document` returns is allowed by both documents and denied by whatever either denies, so anyone it
lets in is let in by both. Statements are compared as written; a list of principals, actions or resources in statements
that are otherwise equal is intersected.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

# A trust policy must have a statement; this one lets in nobody.
NOBODY = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}

Document = Mapping[str, Any]
Statement = dict[str, Any]


def common_document(old: Document, new: Document) -> dict[str, Any]:
    """The statements common to both: every Deny of either, and what both allow; may hold no statement at all."""
    if old.get("Version") != new.get("Version"):
        # The version decides whether variables are read, so equal texts need not mean the same.
        allowed: list[Statement] = []
    else:
        allowed = [both for one in _allows(old) for two in _allows(new) if (both := _common(one, two)) is not None]
    denied: list[Statement] = []
    for statement in (*_statements(old), *_statements(new)):
        if statement.get("Effect") != "Allow" and _bare(statement) not in [_bare(known) for known in denied]:
            denied.append(statement)
    found = dict(new)
    found["Statement"] = [*denied, *allowed]
    return found


def common_trust(old: Document, new: Document) -> dict[str, Any]:
    """:func:`common_document` of two trust policies, with a statement that lets in nobody where nothing is left."""
    found = common_document(old, new)
    if not found["Statement"]:
        found["Statement"] = [dict(NOBODY)]
    return found


def grants_no_more(smaller: Document, larger: Document) -> bool:
    """Whether ``smaller`` allows, as far as its text shows, nothing that ``larger`` does not allow."""
    return same_grants(smaller, common_document(smaller, larger))


def same_grants(one: Document, two: Document) -> bool:
    """Whether two documents say the same, whatever the order of statements and members, and whatever their names."""
    return _comparable(one) == _comparable(two)


def _comparable(document: Document) -> tuple[Any, list[str]]:
    # A Deny that lets in nobody stands for no statement.
    texts = {_text(_bare(s)) for s in _statements(document)} - {_text(_bare(NOBODY))}
    return document.get("Version"), sorted(texts)


def _statements(document: Document) -> list[Statement]:
    found = document.get("Statement") or []
    return [dict(one) for one in ([found] if isinstance(found, Mapping) else found)]


def _allows(document: Document) -> Iterator[Statement]:
    return (statement for statement in _statements(document) if statement.get("Effect") == "Allow")


def _bare(statement: Mapping[str, Any]) -> dict[str, Any]:
    """A statement without its name, its lists as sorted lists."""
    found = {key: value for key, value in statement.items() if key != "Sid"}
    for key in _LISTS:
        if key in found:
            found[key] = sorted(_listed(found[key]))
    if isinstance(found.get("Principal"), Mapping):
        found["Principal"] = {kind: sorted(_listed(value)) for kind, value in found["Principal"].items()}
    elif found.get("Principal") == "*":
        found["Principal"] = {"AWS": ["*"]}
    return found


# Elements whose members are alternatives; of Not-elements fewer members mean more, so they must be equal.
_LISTS = ("Action", "Resource")


def _common(one: Statement, two: Statement) -> Statement | None:
    first, second = _bare(one), _bare(two)
    shared: Statement = {}
    for key in _LISTS:
        a, b = first.pop(key, None), second.pop(key, None)
        if a is None and b is None:
            continue
        if a is None or b is None or not (both := sorted({*a} & {*b})):
            return None
        shared[key] = both
    a, b = first.pop("Principal", None), second.pop("Principal", None)
    if (a is None) is not (b is None) or _text(first) != _text(second):
        return None
    if a is not None and b is not None:
        principals = {kind: both for kind in a if (both := sorted({*a[kind]} & {*b.get(kind, ())}))}
        if not principals:
            return None
        shared["Principal"] = principals
    named = {"Sid": two["Sid"]} if two.get("Sid") else {}
    return {**named, **first, **shared}


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
