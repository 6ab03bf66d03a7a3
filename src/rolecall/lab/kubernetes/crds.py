"""Custom resource definitions: what they must say, and the resources that they add.

Source: Kubernetes documentation, "Extend the Kubernetes API with CustomResourceDefinitions".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.lab.kubernetes import custom_schemas
from rolecall.lab.kubernetes.kinds import ALL_VERBS, Column, Resource
from rolecall.lab.kubernetes.schemas import ANY_OBJECT, definitions
from rolecall.lab.kubernetes.validation import is_label

Cause = tuple[str, str, str]
IDENTITY_MAPPINGS = ("iamauthenticator.k8s.aws", "iamidentitymappings")
MAX_VERSIONS = 20

IDENTITY_MAPPING_CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "iamidentitymappings.iamauthenticator.k8s.aws"},
    "spec": {
        "group": "iamauthenticator.k8s.aws",
        "scope": "Cluster",
        "names": {
            "plural": "iamidentitymappings",
            "singular": "iamidentitymapping",
            "kind": "IAMIdentityMapping",
            "listKind": "IAMIdentityMappingList",
            "categories": ["all"],
        },
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["arn", "username"],
                                "properties": {
                                    "arn": {"type": "string"},
                                    "username": {"type": "string"},
                                    "groups": {"type": "array", "items": {"type": "string"}},
                                },
                            },
                            "status": {
                                "type": "object",
                                "properties": {"canonicalARN": {"type": "string"}, "userID": {"type": "string"}},
                            },
                        },
                    }
                },
            }
        ],
    },
}


def problems(found: Mapping[str, Any], old: Mapping[str, Any] | None) -> Iterator[Cause]:
    """What the server refuses of a definition, whose types are right already; ``old``: what it is to replace."""
    spec = found.get("spec") or {}
    names, versions = spec.get("names") or {}, spec.get("versions") or []
    for path, value in (
        ("spec.group", spec.get("group")),
        ("spec.names.plural", names.get("plural")),
        ("spec.names.kind", names.get("kind")),
    ):
        if not value:
            yield "FieldValueRequired", path, "Required value"
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield "FieldValueNotSupported", "spec.scope", 'Unsupported value: supported values: "Cluster", "Namespaced"'
    expected = f"{names.get('plural')}.{spec.get('group')}"
    if found["metadata"].get("name") != expected:
        yield _invalid("metadata.name", f'must be spec.names.plural+"."+spec.group: {expected}')
    if "." not in str(spec.get("group", "")) or str(spec.get("group", "")).endswith(".k8s.io"):
        yield _invalid("spec.group", "should be a domain with at least one dot of your own")
    if old is not None:
        yield from _changes(spec, old)
    if not 1 <= len(versions) <= MAX_VERSIONS:
        yield "FieldValueRequired", "spec.versions", f"Required value: must have 1 to {MAX_VERSIONS} versions"
    elif sum(1 for version in versions if version.get("storage")) != 1:
        yield _invalid("spec.versions", "must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        yield from _version(version, f"spec.versions[{index}]")
    if len({version.get("name") for version in versions}) != len(versions):
        yield _invalid("spec.versions", "must contain unique version names")


def _changes(spec: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Cause]:
    before = old["spec"]
    for path, now, then in (
        ("spec.group", spec.get("group"), before["group"]),
        ("spec.scope", spec.get("scope"), before["scope"]),
        ("spec.names.plural", (spec.get("names") or {}).get("plural"), before["names"]["plural"]),
        ("spec.names.kind", (spec.get("names") or {}).get("kind"), before["names"]["kind"]),
    ):
        if now != then:
            yield _invalid(path, f'"{now}": field is immutable')
    kept = {version.get("name") for version in spec.get("versions") or ()}
    for name in (old.get("status") or {}).get("storedVersions") or ():
        if name not in kept:
            yield _invalid("status.storedVersions", f'"{name}": must appear in spec.versions')


def _version(version: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if not is_label(version.get("name") or ""):
        yield _invalid(f"{path}.name", f'"{version.get("name", "")}": must be a DNS label')
    for field in ("served", "storage"):
        if field not in version:
            yield "FieldValueRequired", f"{path}.{field}", "Required value"
    for field, wanted in (
        ("additionalPrinterColumns", ("name", "type", "jsonPath")),
        ("selectableFields", ("jsonPath",)),
    ):
        for index, one in enumerate(version.get(field) or ()):
            for key in wanted:
                if not one.get(key):
                    yield "FieldValueRequired", f"{path}.{field}[{index}].{key}", "Required value"
    schema, where = (version.get("schema") or {}).get("openAPIV3Schema"), f"{path}.schema.openAPIV3Schema"
    if schema is None:
        yield "FieldValueRequired", where, "Required value"
        return
    if schema.get("type") != "object":
        yield _invalid(f"{where}.type", "must be object at the root")
    yield from custom_schemas.problems(schema, where)


def _invalid(path: str, why: str) -> Cause:
    return "FieldValueInvalid", path, f"Invalid value: {why}"


def established(found: Mapping[str, Any], time: str, old: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The definition with the status of one that is served; what ``old`` was stored as stays remembered."""
    spec = found["spec"]
    names = {"singular": spec["names"]["kind"].lower(), "listKind": f"{spec['names']['kind']}List", **spec["names"]}
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": time, "reason": reason, "message": message}
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    before = ((old or {}).get("status") or {}).get("storedVersions") or ()
    stored = dict.fromkeys([*before, *(version["name"] for version in spec["versions"] if version.get("storage"))])
    if old is not None and old.get("status"):
        conditions = old["status"].get("conditions") or conditions
    status = {"acceptedNames": names, "conditions": conditions, "storedVersions": list(stored)}
    return {**found, "spec": {"conversion": {"strategy": "None"}, **spec, "names": names}, "status": status}


def resources_of(found: Mapping[str, Any]) -> list[Resource]:
    """The resources that an established definition serves, one for each served version."""
    spec = found["spec"]
    names = spec["names"]
    return [
        Resource(
            spec["group"],
            version["name"],
            names["plural"],
            names["kind"],
            spec["scope"] == "Namespaced",
            tuple(names.get("shortNames") or ()),
            ALL_VERBS,
            "",
            ("status",) if "status" in (version.get("subresources") or ()) else (),
            tuple(names.get("categories") or ()),
            names.get("singular", ""),
            _object_schema(version["schema"]["openAPIV3Schema"]),
            tuple(
                Column(column["name"], column["type"], column["jsonPath"], column.get("priority", 0))
                for column in version.get("additionalPrinterColumns") or ()
            ),
            selectable=tuple(one["jsonPath"].lstrip(".") for one in version.get("selectableFields") or ()),
        )
        for version in spec["versions"]
        if version.get("served")
    ]


def _object_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A version's schema with what every object has."""
    common = definitions()["meta.v1.ObjectMeta"]
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": common,
        **{key: value for key, value in (schema.get("properties") or {}).items() if key not in ("metadata",)},
    }
    if "properties" not in schema and schema.get("x-kubernetes-preserve-unknown-fields"):
        return {**ANY_OBJECT, "properties": properties}
    return {**schema, "properties": properties}
