"""Who owns which field: the sets behind ``metadata.managedFields``.

A set is a set of paths; a path is a tuple of steps written as in ``FieldsV1``: ``f:data``, ``k:{"name":"x"}``,
``v:"x"``. Source: Kubernetes documentation, "Server-Side Apply"; kubernetes-sigs/structured-merge-diff's ``FieldsV1``
serialisation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.lab.kubernetes.schemas import Schema, resolve

Path = tuple[str, ...]
Fields = frozenset[Path]

# They never have an owner (the API server has structured-merge-diff leave them out).
_UNOWNED = frozenset({("f:apiVersion",), ("f:kind",), ("f:metadata",)}) | {
    ("f:metadata", f"f:{name}")
    for name in (
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
        "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds",
    )
}  # fmt: skip
MAX_DEPTH = 60


def fields_of(found: Mapping[str, Any], schema: Schema) -> Fields:
    """Every field that an object sets."""
    return frozenset(path for path in _fields(found, resolve(schema), (), 0) if not _unowned(path))


def _unowned(path: Path) -> bool:
    return path in _UNOWNED or path[:2] in _UNOWNED


def _fields(value: Any, schema: Schema, path: Path, depth: int) -> Iterator[Path]:
    children = list(children_of(value, schema)) if depth < MAX_DEPTH else []
    if path and (not children or path[-1].startswith("k:")):
        yield path
    for step, child, child_schema in children:
        yield from _fields(child, child_schema, (*path, step), depth + 1)


def children_of(value: Any, schema: Schema) -> Iterator[tuple[str, Any, Schema]]:
    """The parts of a value that are owned one by one; nothing if it is owned as a whole."""
    if isinstance(value, Mapping) and schema.get("x-kubernetes-map-type") != "atomic":
        for key, item in value.items():
            yield f"f:{key}", item, child_schema(schema, key)
    elif isinstance(value, list):
        kind, items = schema.get("x-kubernetes-list-type"), resolve(schema.get("items", {}))
        if kind == "map":
            keys = schema["x-kubernetes-list-map-keys"]
            for item in value:
                if isinstance(item, Mapping):
                    yield step_of(item, keys), item, items
        elif kind == "set":
            for item in value:
                yield f"v:{json.dumps(item, separators=(',', ':'))}", item, items


def step_of(item: Mapping[str, Any], keys: list[str]) -> str:
    """The step to an element of a map-like list."""
    found = {key: item[key] for key in sorted(keys) if key in item}
    return f"k:{json.dumps(found, separators=(',', ':'))}"


def child_schema(schema: Schema, key: str) -> Schema:
    found = schema.get("properties", {}).get(key)
    if found is None:
        found = schema.get("additionalProperties")
    return resolve(found) if isinstance(found, Mapping) else {}


def created_containers(old: Mapping[str, Any], new: Mapping[str, Any], schema: Schema, *, is_custom: bool) -> Fields:
    """The maps and lists that ``new`` has and ``old`` has not, owned by the manager that adds them.

    A struct of a built-in kind is there from the beginning, so no manager adds it.
    """
    before = frozenset(_containers(old, resolve(schema), (), is_custom))
    return frozenset(_containers(new, resolve(schema), (), is_custom)) - before


def _containers(value: Any, schema: Schema, path: Path, is_custom: bool) -> Iterator[Path]:
    children = list(children_of(value, schema)) if len(path) < MAX_DEPTH else []
    is_struct = "properties" in schema and (not is_custom or path[:1] == ("f:metadata",))
    if path and children and not is_struct and not _unowned(path):
        yield path
    for step, child, inner in children:
        yield from _containers(child, inner, (*path, step), is_custom)


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any], schema: Schema) -> Fields:
    """The fields that ``new`` sets to something else than ``old``."""
    before = dict(_values(old, resolve(schema), ()))
    return frozenset(
        path
        for path, value in _values(new, resolve(schema), ())
        if not _unowned(path) and (path not in before or before[path] != value)
    )


def _values(value: Any, schema: Schema, path: Path) -> Iterator[tuple[Path, Any]]:
    children = list(children_of(value, schema)) if len(path) < MAX_DEPTH else []
    if path and not children:
        yield path, value
    elif path and path[-1].startswith("k:"):
        yield path, None
    for step, child, inner in children:
        yield from _values(child, inner, (*path, step))


def encode(fields: Fields) -> dict[str, Any]:
    """``FieldsV1`` of a set."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    for path in fields:
        node = tree
        for step in path:
            node = node[step]
        if node:
            node["."] = {}
    return tree


def decode(tree: Any) -> Fields:
    """The set in ``FieldsV1``; what cannot be read owns nothing."""
    found: set[Path] = set()
    pending: list[tuple[Path, Any]] = [((), tree)]
    while pending:
        path, node = pending.pop()
        if not isinstance(node, Mapping) or len(path) > MAX_DEPTH:
            continue
        if path and (not node or "." in node):
            found.add(path)
        pending += [((*path, step), child) for step, child in node.items() if step != "."]
    return frozenset(found)
