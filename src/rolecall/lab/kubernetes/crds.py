"""Custom resource definitions: what they must say, and the resources that they add.

Source: Kubernetes documentation, "Extend the Kubernetes API with CustomResourceDefinitions".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.lab.kubernetes.kinds import ALL_VERBS, Column, Resource
from rolecall.lab.kubernetes.schemas import ANY_OBJECT, definitions

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


def problems(found: Mapping[str, Any]) -> Iterator[Cause]:
    """What the server refuses of a definition."""
    spec = found.get("spec") or {}
    names, versions = spec.get("names") or {}, spec.get("versions") or []
    for field in ("group", "scope"):
        if not isinstance(spec.get(field), str) or not spec[field]:
            yield "FieldValueRequired", f"spec.{field}", "Required value"
    for field in ("plural", "kind"):
        if not isinstance(names.get(field), str) or not names[field]:
            yield "FieldValueRequired", f"spec.names.{field}", "Required value"
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield "FieldValueNotSupported", "spec.scope", 'Unsupported value: supported values: "Cluster", "Namespaced"'
    expected = f"{names.get('plural')}.{spec.get('group')}"
    if found["metadata"].get("name") != expected:
        yield (
            "FieldValueInvalid",
            "metadata.name",
            f'Invalid value: must be spec.names.plural+"."+spec.group: {expected}',
        )
    if "." not in str(spec.get("group", "")) or str(spec.get("group", "")).endswith(".k8s.io"):
        yield "FieldValueInvalid", "spec.group", "Invalid value: should be a domain with at least one dot of your own"
    if not isinstance(versions, list) or not 1 <= len(versions) <= MAX_VERSIONS:
        yield "FieldValueRequired", "spec.versions", "Required value: must have at least one version"
        return
    if sum(1 for version in versions if version.get("storage")) != 1:
        yield (
            "FieldValueInvalid",
            "spec.versions",
            ("Invalid value: must have exactly one version marked as storage version"),
        )
    for index, version in enumerate(versions):
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if not isinstance(schema, Mapping):
            yield "FieldValueRequired", f"spec.versions[{index}].schema.openAPIV3Schema", "Required value"
        elif schema.get("type") != "object":
            yield (
                "FieldValueInvalid",
                f"spec.versions[{index}].schema.openAPIV3Schema.type",
                ("Invalid value: must be object at the root"),
            )


def established(found: Mapping[str, Any], time: str) -> dict[str, Any]:
    """The definition with the status of one that is served."""
    spec = found["spec"]
    names = {"singular": spec["names"]["kind"].lower(), "listKind": f"{spec['names']['kind']}List", **spec["names"]}
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": time, "reason": reason, "message": message}
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [version["name"] for version in spec["versions"] if version.get("storage")]
    status = {"acceptedNames": names, "conditions": conditions, "storedVersions": stored}
    return {**found, "spec": {**spec, "names": names, "conversion": {"strategy": "None"}}, "status": status}


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
            tuple(version.get("subresources") or ()),
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
