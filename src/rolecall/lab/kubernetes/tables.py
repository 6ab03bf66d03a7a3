"""Tables: what ``kubectl get`` prints. Source: kubernetes ``pkg/printers/internalversion/printers.go``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rolecall.lab.kubernetes.kinds import Column, Resource

Cell = Callable[[Mapping[str, Any], datetime], Any]


def duration(seconds: float) -> str:
    """An age as kubectl prints it (apimachinery ``duration.HumanDuration``)."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    return f"{days // 365}y{days % 365}d"


def _age(found: Mapping[str, Any], now: datetime) -> str:
    created = found["metadata"].get("creationTimestamp")
    return duration((now - _moment(created)).total_seconds()) if created else "<unknown>"


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _created(found: Mapping[str, Any], now: datetime) -> str:
    return str(found["metadata"].get("creationTimestamp", ""))


def _subjects(kind: str) -> Cell:
    def names(found: Mapping[str, Any], now: datetime) -> str:
        subjects = [subject for subject in found.get("subjects") or () if subject.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{subject.get('namespace', '')}/{subject['name']}" for subject in subjects)
        return ", ".join(subject["name"] for subject in subjects)

    return names


def _role(found: Mapping[str, Any], now: datetime) -> str:
    role = found.get("roleRef") or {}
    return f"{role.get('kind', '')}/{role.get('name', '')}"


def _count(*fields: str) -> Cell:
    return lambda found, now: sum(len(found.get(field) or ()) for field in fields)


_AGE: tuple[str, str, Cell, int] = ("Age", "string", _age, 0)
_BINDING: tuple[tuple[str, str, Cell, int], ...] = (
    ("Role", "string", _role, 0),
    _AGE,
    ("Users", "string", _subjects("User"), 1),
    ("Groups", "string", _subjects("Group"), 1),
    ("ServiceAccounts", "string", _subjects("ServiceAccount"), 1),
)
_COLUMNS: Mapping[str, tuple[tuple[str, str, Cell, int], ...]] = {
    "ConfigMap": (("Data", "string", _count("data", "binaryData"), 0), _AGE),
    "Secret": (
        ("Type", "string", lambda found, now: found.get("type", ""), 0),
        ("Data", "string", _count("data"), 0),
        _AGE,
    ),
    "ServiceAccount": (("Secrets", "integer", _count("secrets"), 0), _AGE),
    "Namespace": (("Status", "string", lambda found, now: (found.get("status") or {}).get("phase", ""), 0), _AGE),
    "Role": (("Created At", "date", _created, 0),),
    "ClusterRole": (("Created At", "date", _created, 0),),
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "CustomResourceDefinition": (("Created At", "date", _created, 0),),
}


def table(
    resource: Resource, objects: Iterable[Mapping[str, Any]], metadata: Mapping[str, Any], include: str, now: datetime
) -> dict[str, Any]:
    """A ``Table`` of objects. ``include``: ``None``, ``Metadata`` or ``Object``, as clients ask for it."""
    columns = _columns(resource)
    definitions = [
        {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
        *(
            {"name": name, "type": kind, "format": "", "description": "", "priority": priority}
            for name, kind, _, priority in columns
        ),
    ]
    rows = [
        {
            "cells": [found["metadata"]["name"], *(cell(found, now) for _, _, cell, _ in columns)],
            **_object(found, include),
        }
        for found in objects
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(metadata),
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _object(found: Mapping[str, Any], include: str) -> dict[str, Any]:
    if include == "None":
        return {}
    if include == "Object":
        return {"object": found}
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": found["metadata"]}
    return {"object": partial}


def _columns(resource: Resource) -> tuple[tuple[str, str, Cell, int], ...]:
    if resource.is_custom:
        return tuple((c.name, c.type, _path(c), c.priority) for c in resource.columns) or (_AGE,)
    return _COLUMNS.get(resource.kind, (_AGE,))


def _path(column: Column) -> Cell:
    """The value at a printer column's JSON path: names and indexes, which is what definitions use."""
    steps = [step for step in column.path.replace("[", ".").replace("]", "").replace("\\.", "\0").split(".") if step]

    def value(found: Any, now: datetime) -> Any:
        for step in steps:
            name = step.replace("\0", ".")
            if isinstance(found, Mapping):
                found = found.get(name)
            elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
                found = found[int(name)]
            else:
                return ""
        if column.type == "date" and isinstance(found, str):
            return duration((now - _moment(found)).total_seconds())
        return "" if found is None else found if isinstance(found, str | int | float | bool) else str(found)

    return value
