"""Label and field selectors. Source: Kubernetes documentation, "Labels and Selectors", "Field Selectors"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rolecall.lab.kubernetes.kinds import Resource
from rolecall.lab.kubernetes.status import bad_request

Selector = Callable[[Mapping[str, Any]], bool]
MAX_REQUIREMENTS = 200
_SET = re.compile(r"\s*(?P<key>[\w./-]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)\s*", re.ASCII)
_ORDER = re.compile(r"\s*(?P<key>[\w./-]+)\s*(?P<op>[<>])\s*(?P<value>-?[0-9]{1,18})\s*", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_EQUAL = re.compile(r"\s*(?P<key>[\w./-]+)\s*(?P<op>==|!=|=)\s*(?P<value>[\w./-]*)\s*", re.ASCII)
_EXISTS = re.compile(r"\s*(?P<not>!?)\s*(?P<key>[\w./-]+)\s*", re.ASCII)


def label_selector(text: str) -> Selector | None:
    """A test of an object's labels; ``None`` where everything is selected."""
    if not text.strip():
        return None
    tests = [_requirement(part) for part in _split(text)]
    if len(tests) > MAX_REQUIREMENTS:
        raise bad_request("the label selector is too long")

    def selects(found: Mapping[str, Any]) -> bool:
        labels = found["metadata"].get("labels") or {}
        return all(test(labels) for test in tests)

    return selects


def _split(text: str) -> list[str]:
    """The parts between commas that are not inside parentheses."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.fullmatch(part):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.fullmatch(part):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _ORDER.fullmatch(part):
        key, limit, sign = found["key"], int(found["value"]), 1 if found["op"] == ">" else -1
        return lambda labels: bool(_INTEGER.fullmatch(labels.get(key, ""))) and sign * (int(labels[key]) - limit) > 0
    if found := _EXISTS.fullmatch(part):
        key, wanted = found["key"], not found["not"]
        return lambda labels: (key in labels) is wanted
    raise bad_request(f"unable to parse requirement: {part[:100]!r} is not a label requirement")


def field_requirements(text: str) -> list[tuple[str, str, bool]]:
    """Path, value, and whether it must be equal, for each part of a field selector."""
    found = []
    for part in text.split(",") if text.strip() else ():
        path, operator, value = _field(part)
        found.append((path.strip(), value.strip(), operator))
    return found


def _field(part: str) -> tuple[str, bool, str]:
    for sign, wanted in (("!=", False), ("==", True), ("=", True)):
        path, found, value = part.partition(sign)
        if found:
            return path, wanted, value
    raise bad_request(f"invalid selector: {part[:100]!r}; can't understand it")


def field_selector(text: str, resource: Resource) -> Selector | None:
    """A test of an object's fields: name, namespace, and those that the resource names; ``BadRequest`` for others."""
    requirements = field_requirements(text)
    if not requirements:
        return None
    supported = {"metadata.name", *(["metadata.namespace"] if resource.namespaced else []), *resource.selectable}
    for path, _, _ in requirements:
        if path not in supported and resource.is_stored:
            raise bad_request(f'field label not supported: "{path[:100]}"')

    def selects(found: Mapping[str, Any]) -> bool:
        return all((_at(found, path) == value) is wanted for path, value, wanted in requirements)

    return selects


def _at(found: Any, path: str) -> str:
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""
