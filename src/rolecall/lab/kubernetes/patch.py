"""The three ways to patch an object: JSON patch, merge patch, and strategic merge patch.

Sources: RFC 6902, RFC 6901, RFC 7386; Kubernetes documentation, "Update API Objects in Place Using kubectl patch", and
the community's "Strategic Merge Patch" notes for the ``$`` directives.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from rolecall.lab.kubernetes.schemas import Schema, resolve
from rolecall.lab.kubernetes.status import StatusError, bad_request

MAX_OPERATIONS = 10_000
_DIRECTIVES = ("$patch", "$retainKeys", "$setElementOrder/", "$deleteFromPrimitiveList/")


def json_patch(document: Any, operations: Any) -> Any:
    """``document`` after a JSON patch; the patch is all or nothing."""
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise bad_request("a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise StatusError(413, "RequestEntityTooLarge", f"a JSON patch has at most {MAX_OPERATIONS} operations")
    # The whole document is kept below one key, so that the empty path needs no case of its own.
    root = {"": copy.deepcopy(document)}
    for operation in operations:
        _apply(root, operation)
    return root[""]


def _apply(root: dict[str, Any], operation: Mapping[str, Any]) -> None:
    kind, path = operation.get("op"), _pointer(operation.get("path"))
    if kind in ("add", "replace", "test") and "value" not in operation:
        raise bad_request(f"a JSON patch operation {kind} needs a value")
    if kind == "add":
        _add(root, path, copy.deepcopy(operation["value"]))
    elif kind == "remove":
        _remove(root, path)
    elif kind == "replace":
        _remove(root, path)
        _add(root, path, copy.deepcopy(operation["value"]))
    elif kind == "test":
        if not _same(_at(root, path), operation["value"]):
            raise _failed()
    elif kind in ("move", "copy"):
        source = _pointer(operation.get("from"))
        value = copy.deepcopy(_at(root, source))
        if kind == "move":
            if path[: len(source)] == source and path != source:
                raise _failed()
            _remove(root, source)
        _add(root, path, value)
    else:
        raise _failed()


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise bad_request("a JSON patch path begins with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")] if text else [""]


def _at(found: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and _is_index(part) and int(part) < len(found):
            found = found[int(part)]
        else:
            raise _failed()
    return found


def _add(root: Any, path: list[str], value: Any) -> None:
    parent, last = _at(root, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and (last == "-" or (_is_index(last) and int(last) <= len(parent))):
        parent.insert(len(parent) if last == "-" else int(last), value)
    else:
        raise _failed()


def _remove(root: Any, path: list[str]) -> None:
    parent, last = _at(root, path[:-1]), path[-1]
    if isinstance(parent, dict) and last in parent:
        del parent[last]
    elif isinstance(parent, list) and _is_index(last) and int(last) < len(parent):
        del parent[int(last)]
    else:
        raise _failed()


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or not text.startswith("0")) and len(text) < 9


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _failed() -> StatusError:
    """The real server does not say which operation failed, or why."""
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def merge_patch(document: Any, patch: Any) -> Any:
    """``document`` after a merge patch: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_patch(document: Any, patch: Any, schema: Schema) -> Any:
    """``document`` after a strategic merge patch: lists with a merge key are merged element by element."""
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch is an object")
    return _strategic(document if isinstance(document, Mapping) else {}, patch, resolve(schema))


def _strategic(document: Mapping[str, Any], patch: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    merged = dict(document)
    if (kept := patch.get("$retainKeys")) is not None:
        merged = {key: value for key, value in merged.items() if key in kept}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [item for item in merged.get(name) or [] if item not in value]
        elif key.startswith(_DIRECTIVES):
            continue
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_value(merged.get(key), value, _child(schema, key))
    for key, order in patch.items():
        if key.startswith("$setElementOrder/"):
            name = key.partition("/")[2]
            if isinstance(merged.get(name), list):
                merged[name] = _in_order(merged[name], order, _child(schema, name))
    return merged


def _merge_value(old: Any, new: Any, schema: Schema) -> Any:
    if isinstance(new, dict):
        if isinstance(old, Mapping):
            return _strategic(old, new, schema)
        return _without_directives(new)
    if isinstance(new, list) and schema.get("x-kubernetes-patch-strategy") == "merge" and isinstance(old, list):
        key = schema.get("x-kubernetes-patch-merge-key")
        if key is None:
            return [*old, *(item for item in new if item not in old)]
        return _merge_list(old, new, key, resolve(schema.get("items", {})))
    return _without_directives(new)


def _merge_list(old: list[Any], new: list[Any], key: str, schema: Schema) -> list[Any]:
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in new):
        return [item for item in new if not (isinstance(item, dict) and "$patch" in item)]
    merged = list(old)
    for item in new:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"an element of a merged list needs the key {key}")
        place = next(
            (i for i, one in enumerate(merged) if isinstance(one, Mapping) and one.get(key) == item[key]), None
        )
        if item.get("$patch") == "delete":
            if place is not None:
                del merged[place]
        elif place is None:
            merged.append(_without_directives(item))
        else:
            merged[place] = _strategic(merged[place], item, schema)
    return merged


def _in_order(items: list[Any], order: list[Any], schema: Schema) -> list[Any]:
    key = schema.get("x-kubernetes-patch-merge-key")

    def place(item: Any) -> int:
        wanted = {key: item.get(key)} if key and isinstance(item, Mapping) else item
        return order.index(wanted) if wanted in order else len(order)

    return sorted(items, key=place)


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_directives(item)
            for key, item in value.items()
            if item is not None and not key.startswith(_DIRECTIVES)
        }
    if isinstance(value, list):
        return [_without_directives(item) for item in value]
    return value


def _child(schema: Schema, key: str) -> Schema:
    found = schema.get("properties", {}).get(key)
    if found is None:
        found = schema.get("additionalProperties")
    return resolve(found) if isinstance(found, Mapping) else {}
