"""OpenAPI v3 documents, one for each group and version: what kubectl validates, explains and merges by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rolecall.lab.kubernetes.kinds import Kinds, Resource
from rolecall.lab.kubernetes.schemas import PREFIX, definitions, full_name, references

# `kubectl apply` sends a strategic merge patch to whatever says that it takes one; custom resources take none.
_CUSTOM_PATCH_TYPES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_PATCH_TYPES = (*_CUSTOM_PATCH_TYPES, "application/strategic-merge-patch+json")


class OpenApi:
    """Documents of one cluster, made when they are asked for and kept while its kinds stay the same."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._version = -1
        self._documents: dict[str, bytes] = {}

    def index(self) -> dict[str, Any]:
        """``/openapi/v3``: where the documents are."""
        paths = {}
        for group, version in self._kinds.group_versions():
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(self._document(path, group, version)).hexdigest().upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
        return {"paths": paths}

    def document(self, path: str) -> bytes | None:
        """The document at ``api/v1`` or ``apis/GROUP/VERSION``; ``None`` if there is none."""
        for group, version in self._kinds.group_versions():
            if path == (f"apis/{group}/{version}" if group else f"api/{version}"):
                return self._document(path, group, version)
        return None

    def _document(self, path: str, group: str, version: str) -> bytes:
        if self._version != self._kinds.version:
            self._documents, self._version = {}, self._kinds.version
        if path not in self._documents:
            self._documents[path] = json.dumps(_document(self._kinds, path, group, version)).encode()
        return self._documents[path]


def _document(kinds: Kinds, path: str, group: str, version: str) -> dict[str, Any]:
    resources = [r for r in kinds.every() if (r.group, r.version) == (group, version)]
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    wanted = {"meta.v1.DeleteOptions"}
    for resource in resources:
        name, schema = _definition(resource)
        kind = {"group": group, "version": version, "kind": resource.kind}
        schemas[name] = {**schema, "x-kubernetes-group-version-kind": [kind]}
        wanted |= references(schema)
        paths |= _paths(resource, f"/{path}", name, kind)
    while missing := {name for name in wanted if full_name(name) not in schemas}:
        for name in missing:
            schemas[full_name(name)] = definitions()[name]
            wanted |= references(definitions()[name])
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _definition(resource: Resource) -> tuple[str, Mapping[str, Any]]:
    if resource.schema is not None:
        reversed_group = ".".join(reversed(resource.group.split(".")))
        metadata = {"$ref": PREFIX + full_name("meta.v1.ObjectMeta")}
        properties = {**resource.schema.get("properties", {}), "metadata": metadata}
        return f"{reversed_group}.{resource.version}.{resource.kind}", {**resource.schema, "properties": properties}
    if resource.definition:
        return full_name(resource.definition), definitions()[resource.definition]
    short = f"{(resource.group or 'core').split('.')[0]}.{resource.version}.{resource.kind}"
    return full_name(short), {
        "type": "object",
        "description": "Known by name for access rules; a lab cluster runs no workloads.",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"metadata": {"$ref": PREFIX + full_name("meta.v1.ObjectMeta")}},
    }


def _paths(resource: Resource, base: str, name: str, kind: Mapping[str, str]) -> dict[str, Any]:
    scope = f"{base}/namespaces/{{namespace}}" if resource.namespaced else base
    collection, one = f"{scope}/{resource.plural}", f"{scope}/{resource.plural}/{{name}}"
    found: dict[str, Any] = {collection: {"parameters": _parameters(resource, False)}}
    body = {"content": {"application/json": {"schema": {"$ref": PREFIX + name}}}}
    if "list" in resource.verbs:
        found[collection]["get"] = _operation("list", kind, body)
    if "create" in resource.verbs:
        found[collection]["post"] = _operation("post", kind, body, writes=True) | {"requestBody": body}
    if "get" in resource.verbs:
        found[one] = {"parameters": _parameters(resource, True), "get": _operation("get", kind, body)}
    if "patch" in resource.verbs:
        types = _CUSTOM_PATCH_TYPES if resource.is_custom else _PATCH_TYPES
        content = {kind_: {"schema": {"type": "object"}} for kind_ in types}
        found[one]["patch"] = _operation("patch", kind, body, writes=True) | {"requestBody": {"content": content}}
        found[one]["put"] = _operation("put", kind, body, writes=True) | {"requestBody": body}
        found[one]["delete"] = _operation("delete", kind, body)
    return found


def _parameters(resource: Resource, named: bool) -> list[dict[str, Any]]:
    names = [*(["namespace"] if resource.namespaced else []), *(["name"] if named else [])]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _operation(action: str, kind: Mapping[str, str], body: Any, *, writes: bool = False) -> dict[str, Any]:
    names = ("dryRun", "fieldManager", "fieldValidation", *(("force",) if action == "patch" else ())) if writes else ()
    found: dict[str, Any] = {
        "operationId": f"{action}{kind['group'].split('.')[0].title()}{kind['version'].title()}{kind['kind']}",
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": dict(kind),
        "responses": {"200": {"description": "OK", **body}},
    }
    if names:
        found["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "boolean" if name == "force" else "string"}}
            for name in names
        ]
    return found
