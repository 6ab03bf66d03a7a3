"""Is a custom resource's schema one that the server can work with? What it cannot is refused with the definition.

Source: kubernetes ``apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`` and Kubernetes
documentation, "Extend the Kubernetes API with CustomResourceDefinitions", specifying a structural schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Cause = tuple[str, str, str]
MAX_DEPTH = 40
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_LISTS_OF_SCHEMAS = ("allOf", "anyOf", "oneOf")
_NUMBERS = ("minimum", "maximum", "multipleOf")
_SIZES = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_FORBIDDEN = ("$ref", "definitions", "dependencies", "patternProperties", "additionalItems", "id", "deprecated")


def problems(schema: Any, path: str, depth: int = 0) -> Iterator[Cause]:
    """What is wrong with the schema at ``path`` and with those inside it."""
    if not isinstance(schema, Mapping):
        yield _invalid(path, "must be a schema")
        return
    if depth > MAX_DEPTH:
        yield _invalid(path, f"is nested more than {MAX_DEPTH} deep")
        return
    for name in _FORBIDDEN:
        if name in schema:
            yield "FieldValueForbidden", f"{path}.{name}", f"Forbidden: {name} is not supported"
    if "type" in schema and schema["type"] not in _TYPES:
        supported = ", ".join(f'"{name}"' for name in _TYPES)
        yield "FieldValueNotSupported", f"{path}.type", f"Unsupported value: supported values: {supported}"
    yield from _members(schema, path)
    yield from _list_type(schema, path)
    for name, inner in _inside(schema, path):
        yield from problems(inner, name, depth + 1)


def _members(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        yield _invalid(f"{path}.required", "must be a list of names")
    if not isinstance(schema.get("enum", []), list):
        yield _invalid(f"{path}.enum", "must be a list")
    for name in _NUMBERS:
        if name in schema and not _is_number(schema[name]):
            yield _invalid(f"{path}.{name}", "must be a number")
    for name in _SIZES:
        if name in schema and not (isinstance(schema[name], int) and _is_number(schema[name]) and schema[name] >= 0):
            yield _invalid(f"{path}.{name}", "must be an integer of at least 0")
    for name, kind in (("properties", Mapping), *((name, list) for name in _LISTS_OF_SCHEMAS)):
        if name in schema and not isinstance(schema[name], kind):
            yield _invalid(f"{path}.{name}", "must be made of schemas")


def _list_type(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    if kind is not None and (kind not in ("atomic", "set", "map") or schema.get("type") != "array"):
        yield _invalid(f"{path}.x-kubernetes-list-type", "must be atomic, set or map, of an array")
    has_keys = isinstance(keys, list) and bool(keys) and all(isinstance(key, str) for key in keys)
    if (kind == "map") is not has_keys:
        yield _invalid(f"{path}.x-kubernetes-list-map-keys", "must be given for lists of type map, and for no others")


def _inside(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        for name, inner in properties.items():
            yield f"{path}.properties[{name}]", inner
    for name in ("items", "not"):
        if name in schema:
            yield f"{path}.{name}", schema[name]
    if not isinstance(schema.get("additionalProperties", True), bool):
        yield f"{path}.additionalProperties", schema["additionalProperties"]
    for name in _LISTS_OF_SCHEMAS:
        found = schema.get(name)
        for index, inner in enumerate(found if isinstance(found, list) else ()):
            yield f"{path}.{name}[{index}]", inner


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _invalid(path: str, why: str) -> Cause:
    return "FieldValueInvalid", path, f"Invalid value: {why}"
