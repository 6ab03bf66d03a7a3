"""Whether a value that was read from a plan's file or a journal has the members that its kind of resource has.

A name that an API would read as something else than a plan shows (a path in a Kubernetes URL, the ARN of another entry)
is no name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rolecall.plan.resources import (
    AWS_AUTH_SECTIONS,
    BINDING_KINDS,
    IAM_KINDS,
    MAPPING_KINDS,
    POLICY_KINDS,
    Kind,
    ResourceId,
)

_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_CLUSTER = re.compile(r"arn:[a-z-]+:eks:[a-z0-9-]+:[0-9]{12}:cluster/[A-Za-z0-9_-]{1,100}", re.ASCII)
Shape = Callable[[Any], bool]


# IAM API reference, CreateUser, CreateRole, PutRolePolicy; Kubernetes, "Object Names and IDs" (path segment names).
_NAME = r"[A-Za-z0-9_+=,.@-]"
_OBJECT = r"(?!\.{1,2}(?:/|$))[^/%\x00-\x20]{1,253}"
_NAMES: Mapping[Kind, re.Pattern[str]] = {
    Kind.IAM_USER: re.compile(rf"{_NAME}{{1,64}}", re.ASCII),
    Kind.IAM_ROLE: re.compile(rf"{_NAME}{{1,64}}", re.ASCII),
    **dict.fromkeys(POLICY_KINDS, re.compile(rf"{_NAME}{{1,64}}/{_NAME}{{1,128}}", re.ASCII)),
    **dict.fromkeys(AWS_AUTH_SECTIONS, re.compile(r"[^A-Z]{1,2048}", re.ASCII | re.DOTALL)),
    Kind.ACCESS_ENTRY: re.compile(r"arn:[!-~]{1,2048}", re.ASCII),
    Kind.IDENTITY_MAPPING: re.compile(_OBJECT),
    Kind.CLUSTER_ROLE_BINDING: re.compile(_OBJECT),
    Kind.ROLE_BINDING: re.compile(rf"[a-z0-9-]{{1,63}}/{_OBJECT}"),
}


def check_shape(resource: ResourceId, value: Any) -> None:
    """:class:`ValueError` if ``value`` is not one of a resource of this kind, or the resource is in no such place."""
    kind, name = resource.kind, resource.name
    if not (_ACCOUNT if kind in IAM_KINDS else _CLUSTER).fullmatch(resource.place):
        raise ValueError(f"{resource.place[:100]!r} is not a place of a resource of kind {kind}")
    if not _NAMES[kind].fullmatch(name):
        raise ValueError(f"{name[:100]!r} is not a name of a resource of kind {kind}")
    if value is None:
        return
    if not _SHAPES[kind](value):
        raise ValueError(f"the value of {kind} {name[:100]} has not the members of its kind")
    if kind in AWS_AUTH_SECTIONS and value["arn"].lower() != name:
        raise ValueError(f"the value of {kind} {name[:100]} is of another principal")


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
_POLICY_ARN = re.compile(r"arn:[a-z-]+:eks::aws:cluster-access-policy/[A-Za-z0-9]+", re.ASCII)


def _policy(value: Any) -> bool:
    """An association whose scope and namespaces do not contradict each other."""
    shape = _members({"policyArn": _text, "scope": _text, "namespaces": _all(_text)})
    return (
        shape(value)
        and _POLICY_ARN.fullmatch(value["policyArn"]) is not None
        and value["scope"] == ("namespace" if value["namespaces"] else "cluster")
    )


_SUBJECT = _members({"kind": _text, "name": _text}, {"namespace": _text})
_SHAPES: Mapping[Kind, Shape] = {
    Kind.IAM_USER: _members({"path": _text, "tags": _TAGS}),
    Kind.IAM_ROLE: _members(
        {"path": _text, "description": _text, "maxSessionDuration": _number, "tags": _TAGS, "trust": _document}
    ),
    **dict.fromkeys(POLICY_KINDS, _members({"document": _document})),
    **dict.fromkeys(MAPPING_KINDS - {Kind.ACCESS_ENTRY}, _members({"arn": _text, **_MAPPING})),
    Kind.ACCESS_ENTRY: _members({"type": _text, **_MAPPING, "policies": _all(_policy)}),
    **dict.fromkeys(
        BINDING_KINDS, _members({"roleRef": _members({"kind": _text, "name": _text}), "subjects": _all(_SUBJECT)})
    ),
}
