"""Whether a value that was read from a plan's file or a journal has the members that its kind of resource has."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rolecall.plan.resources import BINDING_KINDS, IAM_KINDS, MAPPING_KINDS, Kind, ResourceId

_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_CLUSTER = re.compile(r"arn:[a-z-]+:eks:[a-z0-9-]+:[0-9]{12}:cluster/[A-Za-z0-9_-]{1,100}", re.ASCII)
Shape = Callable[[Any], bool]


def check_shape(resource: ResourceId, value: Any) -> None:
    """:class:`ValueError` where ``value`` is none of a resource of this kind, or the resource is in no such place."""
    kind = resource.kind
    if not (_ACCOUNT if kind in IAM_KINDS else _CLUSTER).fullmatch(resource.place):
        raise ValueError(f"{resource.place[:100]!r} is no place of a resource of kind {kind}")
    if kind in (Kind.IAM_ROLE_POLICY, Kind.ROLE_BINDING) and not all(resource.name.partition("/")):
        raise ValueError(f"{resource.name[:100]!r} is no name of a resource of kind {kind}")
    if value is not None and not _SHAPES[kind](value):
        raise ValueError(f"the value of {kind} {resource.name[:100]} has not the members of its kind")


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _all(shape: Shape) -> Shape:
    return lambda value: isinstance(value, list) and all(shape(one) for one in value)


def _by_text(shape: Shape) -> Shape:
    return lambda value: isinstance(value, dict) and all(isinstance(k, str) and shape(v) for k, v in value.items())


def _members(must: Mapping[str, Shape], may: Mapping[str, Shape] | None = None) -> Shape:
    known = {**must, **(may or {})}

    def shape(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and must.keys() <= value.keys() <= known.keys()
            and all(known[key](one) for key, one in value.items())
        )

    return shape


def _any(*shapes: Shape) -> Shape:
    return lambda value: any(shape(value) for shape in shapes)


_TEXTS = _any(_text, _all(_text))


def _statement(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("Effect") in ("Allow", "Deny")
        and all(_TEXTS(value[key]) for key in ("Action", "NotAction", "Resource", "NotResource") if key in value)
        and all(_any(_text, _by_text(_TEXTS))(value[key]) for key in ("Principal", "NotPrincipal") if key in value)
        and _by_text(_by_text(lambda one: True))(value.get("Condition", {}))
    )


def _document(value: Any) -> bool:
    return isinstance(value, dict) and _any(_statement, _all(_statement))(value.get("Statement"))


_TAGS = _by_text(_text)
_MAPPING = {"username": _text, "groups": _all(_text)}
_POLICY = _members({"policyArn": _text, "scope": _text}, {"namespaces": _all(_text)})
_SUBJECT = _members({"kind": _text, "name": _text}, {"namespace": _text})
_SHAPES: Mapping[Kind, Shape] = {
    Kind.IAM_USER: _members({"path": _text, "tags": _TAGS}),
    Kind.IAM_ROLE: _members(
        {"path": _text, "description": _text, "maxSessionDuration": _number, "tags": _TAGS, "trust": _document}
    ),
    Kind.IAM_ROLE_POLICY: _members({"document": _document}),
    **dict.fromkeys(MAPPING_KINDS - {Kind.ACCESS_ENTRY}, _members({"arn": _text, **_MAPPING})),
    Kind.ACCESS_ENTRY: _members({"type": _text, **_MAPPING, "policies": _all(_POLICY)}),
    **dict.fromkeys(
        BINDING_KINDS, _members({"roleRef": _members({"kind": _text, "name": _text}), "subjects": _all(_SUBJECT)})
    ),
}
