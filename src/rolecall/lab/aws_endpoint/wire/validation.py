"""The constraints of the models: required members, lengths, patterns, enums, ranges; AWS's sentence for each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from botocore.model import Shape

from rolecall.lab.aws_endpoint.actions import AwsError

MAX_PROBLEMS = 10


def validate(shape: Shape | None, params: Mapping[str, Any]) -> None:
    """``ValidationError`` naming every constraint that fails, as AWS words it."""
    if shape is None:
        return
    problems = []
    for problem in _structure(shape, params, ""):
        problems.append(problem)
        if len(problems) == MAX_PROBLEMS:
            break
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
        raise AwsError("ValidationError", count + "; ".join(problems), 400)


def _structure(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield _failed("null", _join(path, name), "Member must not be null")
    for name, item in value.items():
        if item is not None and name in shape.members:
            yield from _value(shape.members[name], item, _join(path, name))


def _value(shape: Shape, value: Any, path: str) -> Iterator[str]:
    kind, limits = shape.type_name, shape.metadata
    if kind == "structure":
        yield from _structure(shape, value, path)
    elif kind == "list":
        yield from _sized(len(value), f"[{', '.join(map(str, value))[:200]}]", limits, path)
        for index, item in enumerate(value):
            yield from _value(shape.member, item, f"{path}.{index + 1}.member")
    elif kind == "map":
        yield from _sized(len(value), "map", limits, path)
        for key, item in value.items():
            yield from _value(shape.key, key, f"{path}.key")
            yield from _value(shape.value, item, f"{path}.{key}")
    elif kind == "string":
        yield from _string(shape, value, path)
    elif kind in ("integer", "long"):
        if "min" in limits and value < limits["min"]:
            yield _failed(value, path, f"Member must have value greater than or equal to {limits['min']}")
        if "max" in limits and value > limits["max"]:
            yield _failed(value, path, f"Member must have value less than or equal to {limits['max']}")


def _string(shape: Shape, value: str, path: str) -> Iterator[str]:
    limits = shape.metadata
    shown = "**********" if shape.metadata.get("sensitive") else value
    yield from _sized(len(value), shown, limits, path)
    pattern = limits.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield _failed(shown, path, f"Member must satisfy regular expression pattern: {pattern}")
    enum = limits.get("enum")
    if enum and value not in enum:
        yield _failed(shown, path, f"Member must satisfy enum value set: [{', '.join(enum)}]")


def _sized(length: int, shown: str, limits: Mapping[str, Any], path: str) -> Iterator[str]:
    if length < limits.get("min", 0):
        yield _failed(shown, path, f"Member must have length greater than or equal to {limits['min']}")
    if "max" in limits and length > limits["max"]:
        yield _failed(shown, path, f"Member must have length less than or equal to {limits['max']}")


def _failed(value: Any, path: str, constraint: str) -> str:
    shown = "null" if value == "null" else f"'{str(value)[:200]}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    lower = name[:1].lower() + name[1:]
    return f"{path}.{lower}" if path else lower


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    r"""The models' patterns are Java's: ``\p{L}``, and ``\u10000`` for a character beyond the first plane.

    ``\w`` of Python is ``\p{L}``, ``\p{N}`` and ``_``; every class of the models that names letters has all three.
    """
    text = re.sub(r"\\u(10[0-9A-F]{4}|[0-9A-F]{5})(?![0-9A-F])", lambda found: f"\\U{found[1]:0>8}", pattern)
    # Possible runs of quantifiers such as ((/[a-z]+)*)/ are made linear by possessive matching from outside: bounded
    # lengths (the models give a maximum wherever such a pattern stands) keep them cheap.
    unicode_classes = r"\p{" in text
    text = text.replace(r"\p{L}", r"\w").replace(r"\p{N}", "")
    text = text.replace(r"\p{Z}", " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000")
    return re.compile(text, 0 if unicode_classes else re.ASCII)
