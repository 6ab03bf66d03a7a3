"""Server-side apply, and keeping track of who set what on every other write.

Source: Kubernetes documentation, "Server-Side Apply" (conflicts, transfer of ownership, removal of fields).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.lab.kubernetes.managed_fields import (
    Fields,
    Path,
    changed_fields,
    child_schema,
    children_of,
    created_containers,
    decode,
    encode,
    fields_of,
    step_of,
)
from rolecall.lab.kubernetes.schemas import Schema, resolve
from rolecall.lab.kubernetes.status import StatusError

APPLY, UPDATE = "Apply", "Update"


@dataclass(frozen=True, slots=True)
class Manager:
    """Somebody who sets fields. Two operations of one name are two managers."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


Owners = dict[Manager, tuple[Fields, str]]  # with the time of the last change


def owners_of(found: Mapping[str, Any]) -> Owners:
    """The owners in an object's ``managedFields``."""
    owners: Owners = {}
    for entry in found["metadata"].get("managedFields") or ():
        manager = Manager(
            entry.get("manager", ""),
            entry.get("operation", ""),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
        )
        owners[manager] = decode(entry.get("fieldsV1") or {}), entry.get("time", "")
    return owners


def with_owners(found: Mapping[str, Any], owners: Owners) -> dict[str, Any]:
    """The object with new ``managedFields``; managers of nothing are left out."""
    entries = [
        {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            **({"time": time} if time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(fields),
            **({"subresource": manager.subresource} if manager.subresource else {}),
        }
        for manager, (fields, time) in owners.items()
        if fields
    ]
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    return {**found, "metadata": {**metadata, **({"managedFields": entries} if entries else {})}}


def track_update(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    schema: Schema,
    manager: Manager,
    time: str,
    *,
    is_custom: bool = False,
) -> dict[str, Any]:
    """``new`` with its changed fields owned by ``manager`` alone; removed fields have no owner."""
    owners = owners_of(new) if old is not None else {}
    changed = changed_fields(old, new, schema) if old is not None else fields_of(new, schema)
    changed |= created_containers(old or {}, new, schema, is_custom=is_custom)
    present = fields_of(new, schema)
    kept: Owners = {}
    for other, (fields, at) in owners.items():
        remaining = (fields if other == manager else fields - changed) & _with_parents(present)
        kept[other] = remaining, at
    if changed:
        kept[manager] = (kept.get(manager, (frozenset(), ""))[0] | changed) & _with_parents(present), time
    return with_owners(new, kept)


def apply(
    live: Mapping[str, Any] | None,
    config: Mapping[str, Any],
    schema: Schema,
    manager: Manager,
    *,
    force: bool,
    time: str,
) -> dict[str, Any]:
    """The object after applying ``config``; ``Conflict`` where others own what it would change, unless forced."""
    config = _without_managed_fields(config)
    wanted = fields_of(config, schema)
    if live is None:
        return with_owners(config, {manager: (wanted, time)})
    owners = owners_of(live)
    merged = _merge(live, config, resolve(schema))
    changed = changed_fields(live, merged, schema)
    conflicts = {
        other: fields & changed & wanted
        for other, (fields, _) in owners.items()
        if other != manager and fields & changed
    }
    conflicts = {other: fields for other, fields in conflicts.items() if fields}
    if conflicts and not force:
        raise _conflict(conflicts)
    previous = owners.get(manager, (frozenset(), ""))[0]
    elsewhere = frozenset().union(*(fields for other, (fields, _) in owners.items() if other != manager))
    # What holds something that is still wanted stays: an empty map may have been filled since.
    dropped = previous - _with_parents(wanted) - _with_parents(elsewhere)
    merged = _remove(merged, dropped, resolve(schema))
    owners = {other: (fields - conflicts.get(other, frozenset()), at) for other, (fields, at) in owners.items()}
    if previous != wanted or changed:
        owners[manager] = wanted, time
    else:
        owners[manager] = wanted, owners[manager][1]
    return with_owners(merged, owners)


def _with_parents(fields: Fields) -> Fields:
    """``fields`` and everything above them: an owner of a whole keeps it while any of its parts is there."""
    return frozenset(path[:length] for path in fields for length in range(1, len(path) + 1))


def _merge(live: Any, config: Any, schema: Schema) -> Any:
    if isinstance(live, Mapping) and isinstance(config, Mapping):
        if schema.get("x-kubernetes-map-type") == "atomic":
            return copy.deepcopy(dict(config))
        merged = dict(live)
        for key, value in config.items():
            if value is None:
                continue
            merged[key] = (
                _merge(live.get(key), value, child_schema(schema, key)) if key in live else copy.deepcopy(value)
            )
        return merged
    if isinstance(live, list) and isinstance(config, list):
        kind = schema.get("x-kubernetes-list-type")
        if kind == "set":
            return [*live, *(item for item in config if item not in live)]
        if kind == "map":
            return _merge_list(live, config, schema)
    return copy.deepcopy(config)


def _merge_list(live: list[Any], config: list[Any], schema: Schema) -> list[Any]:
    keys, items = schema["x-kubernetes-list-map-keys"], resolve(schema.get("items", {}))
    applied = {step_of(item, keys): item for item in config}
    merged = []
    for item in live:
        step = step_of(item, keys)
        merged.append(_merge(item, applied.pop(step), items) if step in applied else item)
    return [*merged, *copy.deepcopy(list(applied.values()))]


def _remove(value: Any, paths: Fields, schema: Schema) -> Any:
    """``value`` without the fields at ``paths``; maps that become empty by it go too."""
    by_step: dict[str, set[Path]] = {}
    for path in paths:
        by_step.setdefault(path[0], set()).add(path[1:])
    if not by_step:
        return value
    if isinstance(value, Mapping):
        kept = {}
        for step, child, inner in list(children_of(value, schema)):
            rest = by_step.get(step)
            if rest is None:
                kept[step[2:]] = child
            elif () not in rest:
                left = _remove(child, frozenset(rest), inner)
                if left not in ({}, []):
                    kept[step[2:]] = left
        return kept
    if isinstance(value, list):
        found = []
        for step, child, inner in children_of(value, schema):
            rest = by_step.get(step)
            if rest is None:
                found.append(child)
            elif () not in rest:
                found.append(_remove(child, frozenset(rest), inner))
        return found
    return value


def _without_managed_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in config.get("metadata", {}).items() if key != "managedFields"}
    return {**config, "metadata": metadata}


def _conflict(conflicts: Mapping[Manager, Fields]) -> StatusError:
    causes, lines = [], []
    for manager, fields in conflicts.items():
        whom = f'conflict with "{manager.name}"'
        if manager.operation == UPDATE:
            whom += f" using {manager.api_version}"
        for path in sorted(fields):
            field = _readable(path)
            causes.append({"reason": "FieldManagerConflict", "message": whom, "field": field})
            lines.append(f"{whom}: {field}")
    count = f"{len(lines)} conflict{'s' if len(lines) > 1 else ''}"
    body = lines[0] if len(lines) == 1 else "\n" + "\n".join(f"- {line}" for line in lines)
    message = f"Apply failed with {count}: {body}" if len(lines) == 1 else f"Apply failed with {count}:{body}"
    return StatusError(409, "Conflict", message, {"causes": causes})


def _readable(path: Path) -> str:
    parts = []
    for step in path:
        if step.startswith("f:"):
            parts.append(f".{step[2:]}")
        elif step.startswith("k:"):
            keys = json.loads(step[2:])
            parts.append("[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys.items()) + "]")
        else:
            parts.append(f"[={step[2:]}]")
    return "".join(parts)
