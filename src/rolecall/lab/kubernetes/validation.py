"""What the real server refuses of the built-in kinds: names, labels, keys, sizes, and fields that never change.

Source: kubernetes ``pkg/apis/core/validation``, ``pkg/apis/rbac/validation``, and ``apimachinery``'s name rules.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rolecall.lab.kubernetes.kinds import RBAC, Resource
from rolecall.lab.kubernetes.status import StatusError, bad_request, invalid

Cause = tuple[str, str, str]
MAX_DATA = 1_048_576
MAX_ANNOTATIONS = 262_144
# Kubernetes documentation, "Secrets", types of Secret: what each must hold.
_SECRET_KEYS: Mapping[str, tuple[str, ...]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+", re.ASCII)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def validate(resource: Resource, new: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
    """:class:`StatusError` ``Invalid`` with every cause."""
    before = old["metadata"] if old is not None else {}
    causes = [*_metadata(resource, new["metadata"], before), *_kind(resource, new, old)]
    if causes:
        raise refusal(resource, new, causes)


def refusal(resource: Resource, found: Mapping[str, Any], causes: list[Cause]) -> StatusError:
    return invalid(resource.group, resource.kind, found["metadata"].get("name", ""), causes[:20])


def is_subdomain(text: str) -> bool:
    return len(text) <= 253 and all(_LABEL.fullmatch(part) for part in text.split("."))


def is_label(text: str) -> bool:
    return len(text) <= 63 and _LABEL.fullmatch(text) is not None


def _metadata(resource: Resource, metadata: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[Cause]:
    name = metadata.get("name", "")
    if not name:
        yield "FieldValueRequired", "metadata.name", "Required value: name or generateName is required"
    elif resource.group == RBAC:
        if name in (".", "..") or "/" in name or "%" in name or len(name) > 253:
            yield (
                "FieldValueInvalid",
                "metadata.name",
                f"Invalid value: \"{name[:253]}\": may not be '.' or '..' or contain '/' or '%'",
            )
    elif resource.plural == "namespaces" and resource.group == "":
        if not is_label(name):
            yield "FieldValueInvalid", "metadata.name", f'Invalid value: "{name[:253]}": {_LABEL_TEXT}'
    elif not is_subdomain(name):
        yield "FieldValueInvalid", "metadata.name", f'Invalid value: "{name[:253]}": {_SUBDOMAIN_TEXT}'
    yield from _labels(metadata.get("labels") or {})
    yield from _finalizers(metadata, before)
    yield from _owners(metadata.get("ownerReferences") or ())
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        if not _is_qualified(key.lower()):
            yield "FieldValueInvalid", "metadata.annotations", f'Invalid value: "{key[:253]}": {_QUALIFIED_TEXT}'
    if sum(len(key) + len(value) for key, value in annotations.items()) > MAX_ANNOTATIONS:
        yield "FieldValueTooLong", "metadata.annotations", f"Too long: may not be more than {MAX_ANNOTATIONS} bytes"


def _finalizers(metadata: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[Cause]:
    finalizers = metadata.get("finalizers") or ()
    for index, one in enumerate(finalizers):
        field = f"metadata.finalizers[{index}]"
        if not _is_qualified(one):
            yield "FieldValueInvalid", field, f'Invalid value: "{one[:253]}": {_QUALIFIED_TEXT}'
        elif "/" not in one and one not in _STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield "FieldValueInvalid", field, f'Invalid value: "{one}": {why}'
    if before.get("deletionTimestamp") and set(finalizers) - set(before.get("finalizers") or ()):
        why = "Forbidden: no new finalizers can be added if the object is being deleted"
        yield "FieldValueForbidden", "metadata.finalizers", why


def _owners(owners: Sequence[Mapping[str, Any]]) -> Iterator[Cause]:
    for index, owner in enumerate(owners):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield (
                    "FieldValueInvalid",
                    f"metadata.ownerReferences[{index}].{field}",
                    f'Invalid value: "": {field} must not be empty',
                )
    if sum(1 for owner in owners if owner.get("controller")) > 1:
        why = "Invalid value: only one reference can have Controller set to true"
        yield "FieldValueInvalid", "metadata.ownerReferences", why


def _labels(labels: Mapping[str, str], path: str = "metadata.labels") -> Iterator[Cause]:
    for key, value in labels.items():
        if not _is_qualified(key):
            yield "FieldValueInvalid", path, f'Invalid value: "{key[:253]}": {_QUALIFIED_TEXT}'
        if value and (len(value) > 63 or not _QUALIFIED.fullmatch(value)):
            yield (
                "FieldValueInvalid",
                path,
                (
                    f'Invalid value: "{value[:253]}": a valid label must be an empty string or consist of alphanumeric '
                    "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
                    "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
                    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                ),
            )


def _is_qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return (not slash or is_subdomain(prefix)) and len(name) <= 63 and _QUALIFIED.fullmatch(name) is not None


def _kind(resource: Resource, new: Mapping[str, Any], old: Mapping[str, Any] | None) -> Iterator[Cause]:
    if resource.is_custom:
        return
    match resource.kind:
        case "ConfigMap":
            yield from _data(new, old, ("data", "binaryData"))
            _check_base64("ConfigMap", new.get("binaryData") or {})
            for key in set(new.get("data") or ()) & set(new.get("binaryData") or ()):
                yield (
                    "FieldValueInvalid",
                    f"data[{key}]",
                    f'Invalid value: "{key}": duplicate of key present in binaryData',
                )
        case "Secret":
            yield from _data(new, old, ("data",))
            if old is not None and new.get("type") != old.get("type"):
                yield "FieldValueInvalid", "type", f'Invalid value: "{new.get("type")}": field is immutable'
            _check_base64("Secret", new.get("data") or {})
            for key in _SECRET_KEYS.get(new.get("type", ""), ()):
                if key not in (new.get("data") or {}):
                    yield "FieldValueRequired", f"data[{key}]", "Required value"
        case "Role" | "ClusterRole":
            for index, rule in enumerate(new.get("rules") or ()):
                yield from _rule(rule, f"rules[{index}]", resource.kind)
            yield from _aggregation(new.get("aggregationRule"))
        case "RoleBinding" | "ClusterRoleBinding":
            yield from _binding(resource.kind, new, old)


def _aggregation(rule: Mapping[str, Any] | None) -> Iterator[Cause]:
    if rule is None:
        return
    path = "aggregationRule.clusterRoleSelectors"
    if not rule.get("clusterRoleSelectors"):
        why = "Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"
        yield "FieldValueRequired", path, why
    for index, selector in enumerate(rule.get("clusterRoleSelectors") or ()):
        yield from _labels(selector.get("matchLabels") or {}, f"{path}[{index}].matchLabels")
        for number, expression in enumerate(selector.get("matchExpressions") or ()):
            yield from _expression(expression, f"{path}[{index}].matchExpressions[{number}]")


def _expression(expression: Mapping[str, Any], path: str) -> Iterator[Cause]:
    key, operator, values = expression.get("key", ""), expression.get("operator", ""), expression.get("values") or ()
    if not _is_qualified(key):
        yield "FieldValueInvalid", f"{path}.key", f'Invalid value: "{key[:253]}": not a qualified name'
    if operator in ("In", "NotIn"):
        if not values:
            why = "Required value: must be specified when `operator` is 'In' or 'NotIn'"
            yield "FieldValueRequired", f"{path}.values", why
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield "FieldValueForbidden", f"{path}.values", why
    else:
        yield (
            "FieldValueInvalid",
            f"{path}.operator",
            f'Invalid value: "{operator[:40]}": not a valid selector operator',
        )


def _data(new: Mapping[str, Any], old: Mapping[str, Any] | None, fields: tuple[str, ...]) -> Iterator[Cause]:
    size = 0
    for field in fields:
        for key, value in (new.get(field) or {}).items():
            size += len(key) + len(str(value).encode())
            if not _DATA_KEY.fullmatch(key) or len(key) > 253 or key in (".", ".."):
                yield (
                    "FieldValueInvalid",
                    f"{field}[{key[:253]}]",
                    (
                        f'Invalid value: "{key[:253]}": a valid config key must consist of alphanumeric characters, '
                        "'-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation "
                        "is '[-._a-zA-Z0-9]+')"
                    ),
                )
    if size > MAX_DATA:
        yield "FieldValueTooLong", "", f"Too long: may not be more than {MAX_DATA} bytes"
    if old is not None and old.get("immutable"):
        if not new.get("immutable"):
            yield "FieldValueForbidden", "immutable", "Forbidden: field is immutable when `immutable` is set"
        for field in fields:
            if (new.get(field) or {}) != (old.get(field) or {}):
                yield "FieldValueForbidden", field, "Forbidden: field is immutable when `immutable` is set"


def _check_base64(kind: str, values: Mapping[str, str]) -> None:
    for value in values.values():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            why = "illegal base64 data"
            raise bad_request(f'{kind} in version "v1" cannot be handled as a {kind}: {why}') from None


def _rule(rule: Mapping[str, Any], path: str, kind: str) -> Iterator[Cause]:
    if not rule.get("verbs"):
        yield "FieldValueRequired", f"{path}.verbs", "Required value: verbs must contain at least one value"
    if rule.get("nonResourceURLs"):
        if kind == "Role":
            yield (
                "FieldValueInvalid",
                f"{path}.nonResourceURLs",
                f"Invalid value: {_listed(rule)}: namespaced rules cannot apply to non-resource URLs",
            )
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            yield (
                "FieldValueInvalid",
                f"{path}.nonResourceURLs",
                f"Invalid value: {_listed(rule)}: rules cannot apply to both regular resources and non-resource URLs",
            )
        return
    for field, what in (("apiGroups", "resource rules must supply at least one api group"),
                        ("resources", "resource rules must supply at least one resource")):  # fmt: skip
        if not rule.get(field):
            yield "FieldValueRequired", f"{path}.{field}", f"Required value: {what}"


def _listed(rule: Mapping[str, Any]) -> str:
    return json.dumps(rule["nonResourceURLs"], separators=(",", ":"))


def _binding(kind: str, new: Mapping[str, Any], old: Mapping[str, Any] | None) -> Iterator[Cause]:
    role = new.get("roleRef") or {}
    if old is not None and role != old.get("roleRef"):
        yield "FieldValueInvalid", "roleRef", f"Invalid value: {_go(role)}: cannot change roleRef"
    if role.get("apiGroup") != RBAC:
        yield (
            "FieldValueNotSupported",
            "roleRef.apiGroup",
            (f'Unsupported value: "{role.get("apiGroup", "")}": supported values: "{RBAC}"'),
        )
    kinds = ("ClusterRole",) if kind == "ClusterRoleBinding" else ("Role", "ClusterRole")
    if role.get("kind") not in kinds:
        supported = ", ".join(f'"{one}"' for one in kinds)
        yield (
            "FieldValueNotSupported",
            "roleRef.kind",
            (f'Unsupported value: "{role.get("kind", "")}": supported values: {supported}'),
        )
    if not role.get("name"):
        yield "FieldValueRequired", "roleRef.name", "Required value"
    for index, subject in enumerate(new.get("subjects") or ()):
        yield from _subject(subject, f"subjects[{index}]", kind)


def _subject(subject: Mapping[str, Any], path: str, kind: str) -> Iterator[Cause]:
    if not subject.get("name"):
        yield "FieldValueRequired", f"{path}.name", "Required value"
    what, group = subject.get("kind"), subject.get("apiGroup", "")
    if what == "ServiceAccount":
        if group:
            yield "FieldValueNotSupported", f"{path}.apiGroup", f'Unsupported value: "{group}": supported values: ""'
        if kind == "ClusterRoleBinding" and not subject.get("namespace"):
            yield "FieldValueRequired", f"{path}.namespace", "Required value"
    elif what in ("User", "Group"):
        if group != RBAC:
            yield (
                "FieldValueNotSupported",
                f"{path}.apiGroup",
                f'Unsupported value: "{group}": supported values: "{RBAC}"',
            )
    else:
        yield (
            "FieldValueNotSupported",
            f"{path}.kind",
            (f'Unsupported value: "{what}": supported values: "ServiceAccount", "User", "Group"'),
        )


def _go(role: Mapping[str, Any]) -> str:
    """A roleRef as the real server's messages print it."""
    parts = {"APIGroup": role.get("apiGroup", ""), "Kind": role.get("kind", ""), "Name": role.get("name", "")}
    return "{" + ",".join(f'"{key}":"{value}"' for key, value in parts.items()) + "}"


def with_defaults(resource: Resource, found: dict[str, Any]) -> dict[str, Any]:
    """What the real server fills in before it validates."""
    if resource.is_custom:
        return found
    if resource.kind == "Secret":
        texts = found.pop("stringData", None) or {}
        if texts:
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()}
            found["data"] = {**(found.get("data") or {}), **encoded}
        found.setdefault("type", "Opaque")
    elif resource.kind == "Namespace":
        found.setdefault("spec", {"finalizers": ["kubernetes"]})
        found["status"] = {"phase": "Active", **(found.get("status") or {})}
        labels = dict(found["metadata"].get("labels") or {})
        labels["kubernetes.io/metadata.name"] = found["metadata"].get("name", "")
        found["metadata"] = {**found["metadata"], "labels": labels}
    elif resource.kind in ("RoleBinding", "ClusterRoleBinding"):
        role = dict(found.get("roleRef") or {})
        if role and not role.get("apiGroup"):
            role["apiGroup"] = RBAC
        found["roleRef"] = role
        found["subjects"] = [
            {**subject, "apiGroup": RBAC}
            if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup")
            else subject
            for subject in found.get("subjects") or ()
        ]
        if not found["subjects"]:
            del found["subjects"]
    elif resource.kind in ("Role", "ClusterRole"):
        found.setdefault("rules", None if found.get("aggregationRule") else [])
        found["rules"] = found["rules"] or []
    return found
