"""Schemas of the built-in kinds, as OpenAPI v3, made from the table of their messages.

One table serves protobuf, OpenAPI, strict field validation, strategic merge and server-side apply. What the table does
not say (how lists merge, what is required, what things are for) is here. Source: Kubernetes API reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

Schema = Mapping[str, Any]

# How lists are merged: the keys of a map-like list, or () for a set. Lists that are not here are replaced as a whole.
_LIST_KEYS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("meta.v1.ObjectMeta", "finalizers"): (),
    ("meta.v1.ObjectMeta", "ownerReferences"): ("uid",),
    ("core.v1.NamespaceStatus", "conditions"): ("type",),
    ("core.v1.ServiceAccount", "secrets"): ("name",),
    ("core.v1.ServiceAccount", "imagePullSecrets"): ("name",),
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "rbac.v1.ClusterRoleBinding": ("roleRef",),
    "rbac.v1.RoleBinding": ("roleRef",),
    "rbac.v1.RoleRef": ("apiGroup", "kind", "name"),
    "rbac.v1.Subject": ("kind", "name"),
    "rbac.v1.PolicyRule": ("verbs",),
    "authorization.v1.SelfSubjectAccessReview": ("spec",),
    "authorization.v1.SubjectAccessReview": ("spec",),
    "authentication.v1.TokenReview": ("spec",),
}
_ATOMIC_MAPS = {("meta.v1.LabelSelector", "matchLabels")}
_ATOMIC_OBJECTS = {"rbac.v1.RoleRef", "meta.v1.LabelSelector", "core.v1.ObjectReference"}
_DESCRIPTIONS: Mapping[str, str] = {
    "core.v1.ConfigMap": "ConfigMap holds configuration data for pods to consume.",
    "core.v1.ConfigMap.data": "Data contains the configuration data. Keys are alphanumeric with '-', '_' or '.'.",
    "core.v1.ConfigMap.binaryData": "BinaryData contains binary data, base64-encoded.",
    "core.v1.ConfigMap.immutable": "If true, data cannot be changed; only metadata can.",
    "core.v1.Namespace": "Namespace provides a scope for names.",
    "core.v1.Secret": "Secret holds secret data of a certain type.",
    "core.v1.ServiceAccount": "ServiceAccount names an identity that workloads and tokens can act as.",
    "rbac.v1.Role": "Role is a namespaced set of rules that a RoleBinding can refer to.",
    "rbac.v1.ClusterRole": "ClusterRole is a cluster-wide set of rules that bindings can refer to.",
    "rbac.v1.RoleBinding": "RoleBinding grants a role to subjects within one namespace.",
    "rbac.v1.ClusterRoleBinding": "ClusterRoleBinding grants a cluster role to subjects in every namespace.",
    "rbac.v1.PolicyRule": "PolicyRule says which verbs are allowed on which resources or paths.",
    "rbac.v1.PolicyRule.verbs": "Verbs that are allowed; '*' stands for all.",
    "rbac.v1.PolicyRule.resourceNames": "Names that the rule is limited to; empty means every name.",
    "meta.v1.ObjectMeta": "ObjectMeta is metadata that every object has.",
}
_PLAIN = {
    "string": {"type": "string"},
    "bytes": {"type": "string", "format": "byte"},
    "bool": {"type": "boolean"},
    "int64": {"type": "integer", "format": "int64"},
    "int32": {"type": "integer", "format": "int32"},
}
PREFIX = "#/components/schemas/"
ANY_OBJECT: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TYPE_META: Schema = {
    "apiVersion": {"type": "string", "description": "Version of the schema of this object."},
    "kind": {"type": "string", "description": "What this object is."},
}


def _object(required: tuple[str, ...], **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items, "x-kubernetes-list-type": "atomic"}


_TEXT, _FLAG = _PLAIN["string"], _PLAIN["bool"]
_COLUMN = _object(
    ("name", "type", "jsonPath"),
    **dict.fromkeys(("name", "type", "jsonPath", "format", "description"), _TEXT),
    priority=_PLAIN["int32"],
)
_VERSION = _object(
    ("name", "served", "storage"),
    name=_TEXT,
    served=_FLAG,
    storage=_FLAG,
    deprecated=_FLAG,
    deprecationWarning=_TEXT,
    schema=_object((), openAPIV3Schema=ANY_OBJECT),
    subresources=_object((), status=ANY_OBJECT, scale=ANY_OBJECT),
    additionalPrinterColumns=_array(_COLUMN),
    selectableFields=_array(_object(("jsonPath",), jsonPath=_TEXT)),
)
_NAMES = _object(
    ("plural", "kind"),
    **dict.fromkeys(("plural", "singular", "kind", "listKind"), _TEXT),
    shortNames=_array(_TEXT),
    categories=_array(_TEXT),
)
_DEFINITION_SPEC: Schema = {
    **_object(
        ("group", "names", "scope", "versions"),
        group=_TEXT,
        scope=_TEXT,
        names=_NAMES,
        versions=_array(_VERSION),
        conversion=_object((), strategy=_TEXT, webhook=ANY_OBJECT),
        preserveUnknownFields=_FLAG,
    ),
    "description": "Names, scope and versions of the custom resource.",
}


@cache
def messages() -> Mapping[str, Mapping[str, tuple[str, str, str]]]:
    """Message -> field number -> name, label (optional, repeated, map) and type."""
    text = resources.files("rolecall.lab.kubernetes").joinpath("data/protobuf_fields.json").read_text()
    return {
        name: {number: (row[0], row[1], row[2]) for number, row in rows.items()}
        for name, rows in json.loads(text).items()
    }


@cache
def definitions() -> Mapping[str, Schema]:
    """Every definition by its short name such as ``core.v1.ConfigMap``."""
    found: dict[str, Schema] = {name: _definition(name) for name in messages()}
    found["meta.v1.Time"] = {"type": "string", "format": "date-time"}
    found["meta.v1.FieldsV1"] = ANY_OBJECT
    for name in ("authentication.v1.ExtraValue", "authorization.v1.ExtraValue"):
        found[name] = {"type": "array", "items": {"type": "string"}}
    found["apiextensions.v1.CustomResourceDefinition"] = {
        "type": "object",
        "description": "CustomResourceDefinition represents a resource that should be exposed on the API server.",
        "required": ["spec"],
        "properties": {
            **_TYPE_META,
            "metadata": _ref("meta.v1.ObjectMeta"),
            "spec": _DEFINITION_SPEC,
            "status": ANY_OBJECT,
        },
    }
    return found


def resolve(schema: Schema) -> Schema:
    """The schema itself, behind a ``$ref`` or an ``allOf`` with one."""
    while True:
        if "allOf" in schema and len(schema["allOf"]) == 1:
            schema = {**schema["allOf"][0], **{k: v for k, v in schema.items() if k != "allOf"}}
        if "$ref" not in schema:
            return schema
        name = schema["$ref"].removeprefix(PREFIX)
        schema = {**definitions()[short_name(name)], **{k: v for k, v in schema.items() if k != "$ref"}}


def full_name(short: str) -> str:
    """The name that OpenAPI documents of Kubernetes give a definition."""
    group, _, rest = short.partition(".")
    if group == "meta":
        return f"io.k8s.apimachinery.pkg.apis.meta.{rest}"
    if group == "apiextensions":
        return f"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{rest}"
    return f"io.k8s.api.{short}"


def short_name(full: str) -> str:
    return full.removeprefix("io.k8s.api.").removeprefix("io.k8s.apimachinery.pkg.apis.").removeprefix(
        "io.k8s.apiextensions-apiserver.pkg.apis."
    )  # fmt: skip


def references(schema: Any) -> set[str]:
    """Short names of every definition that a schema refers to."""
    if isinstance(schema, Mapping):
        found = {short_name(schema["$ref"].removeprefix(PREFIX))} if "$ref" in schema else set()
        return found.union(*(references(value) for value in schema.values()))
    if isinstance(schema, list | tuple):
        return set().union(*(references(value) for value in schema))
    return set()


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": PREFIX + full_name(name)}


def _definition(name: str) -> Schema:
    properties: dict[str, Any] = {}
    fields = sorted(messages()[name].values())
    # A kind is what has metadata; everything else has no apiVersion and kind of its own.
    if any(field == "metadata" for field, _, _ in fields):
        properties |= _TYPE_META
    for field, label, kind in fields:
        properties[field] = _field(name, field, label, kind)
    found: dict[str, Any] = {"type": "object", "properties": properties}
    if description := _DESCRIPTIONS.get(name):
        found["description"] = description
    if required := _REQUIRED.get(name):
        found["required"] = list(required)
    if name in _ATOMIC_OBJECTS:
        found["x-kubernetes-map-type"] = "atomic"
    return found


def _field(message: str, field: str, label: str, kind: str) -> dict[str, Any]:
    value: dict[str, Any] = dict(_PLAIN.get(kind) or _ref(kind))
    if label == "m":
        value = {"type": "object", "additionalProperties": value}
        if (message, field) in _ATOMIC_MAPS:
            value["x-kubernetes-map-type"] = "atomic"
    elif label == "r":
        value = {"type": "array", "items": value} | _list_type(message, field)
    description = _DESCRIPTIONS.get(f"{message}.{field}")
    if "$ref" in value and description:
        value = {"allOf": [value]}
    return value | ({"description": description} if description else {})


def _list_type(message: str, field: str) -> dict[str, Any]:
    keys = _LIST_KEYS.get((message, field))
    if keys is None:
        return {"x-kubernetes-list-type": "atomic"}
    if not keys:
        return {"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}
    return {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "x-kubernetes-patch-strategy": "merge",
        "x-kubernetes-patch-merge-key": keys[0],
    }
