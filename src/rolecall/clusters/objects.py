"""Single objects of a cluster that access as code owns: bindings and IAMIdentityMappings, as plain values.

A write carries the ``resourceVersion`` that was read, so that somebody else's change in between is a conflict and is
never overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lightkube import Client
from lightkube.resources.rbac_authorization_v1 import ClusterRoleBinding, RoleBinding

from rolecall.clusters.errors import ClusterError, explained
from rolecall.clusters.read_cluster import MANAGED_BY, NOT_FOUND, ROLECALL, IdentityMappingObject

Value = Mapping[str, Any]
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """How one kind of object and its value stand for each other.

    :param resource: lightkube's class of it.
    :param value_of: the value in an object's JSON.
    :param body_of: the members of the object's JSON that a value stands for.
    """

    resource: Any
    api_version: str
    kind: str
    value_of: Callable[[Value], dict[str, Any]]
    body_of: Callable[[Value], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it is: its value, and its JSON; both ``None`` where there is none."""

    value: dict[str, Any] | None = None
    body: Value | None = None


def find(client: Client, where: str, kind: ObjectKind, name: str, namespace: str = "") -> Stored:
    """An object by name. ``where``: the cluster's ARN, for errors."""
    try:
        with explained(f"{kind.kind} {name} of {where}"):
            body = client.get(kind.resource, name, **_in(namespace)).to_dict()
    except ClusterError as error:
        if error.code == NOT_FOUND:
            return Stored()
        raise
    return Stored(kind.value_of(body), body)


def store(
    client: Client, where: str, kind: ObjectKind, name: str, stored: Stored, after: Value | None, namespace: str = ""
) -> None:
    """Make, replace or delete an object that was found as ``stored``; :class:`ClusterError` 409 if it changed since."""
    with explained(f"{kind.kind} {name} of {where}"):
        if after is None:
            # DeleteOptions have preconditions, but a name and its uid are enough here: the value was compared.
            client.delete(kind.resource, name, **_in(namespace))
            return
        metadata = dict((stored.body or {}).get("metadata") or {"name": name, **_in(namespace)})
        metadata["labels"] = {**(metadata.get("labels") or {}), MANAGED_BY: ROLECALL}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **kind.body_of(after), "metadata": metadata}
        if stored.body is None:
            client.create(kind.resource.from_dict(body))
        else:
            client.replace(kind.resource.from_dict({**stored.body, **body}))


def _in(namespace: str) -> dict[str, Any]:
    return {"namespace": namespace} if namespace else {}


def _binding_value(body: Value) -> dict[str, Any]:
    role = body.get("roleRef") or {}
    return {
        "roleRef": {"kind": role.get("kind", ""), "name": role.get("name", "")},
        "subjects": [_subject(subject) for subject in body.get("subjects") or ()],
    }


def _subject(subject: Value) -> dict[str, str]:
    return {key: subject[key] for key in ("kind", "name", "namespace") if subject.get(key)}


def _binding_body(value: Value) -> dict[str, Any]:
    subjects = [
        dict(one) if one["kind"] == "ServiceAccount" else {"apiGroup": _RBAC, **one} for one in value["subjects"]
    ]
    return {"roleRef": {"apiGroup": _RBAC, **value["roleRef"]}, "subjects": subjects}


def _mapping_value(body: Value) -> dict[str, Any]:
    spec = body.get("spec") or {}
    return {
        "arn": spec.get("arn", ""),
        "username": spec.get("username", ""),
        "groups": list(spec.get("groups") or ()),
    }


def _mapping_body(value: Value) -> dict[str, Any]:
    return {"spec": {"arn": value["arn"], "username": value["username"], "groups": list(value["groups"])}}


CLUSTER_ROLE_BINDING = ObjectKind(
    ClusterRoleBinding, f"{_RBAC}/v1", "ClusterRoleBinding", _binding_value, _binding_body
)
ROLE_BINDING = ObjectKind(RoleBinding, f"{_RBAC}/v1", "RoleBinding", _binding_value, _binding_body)
IDENTITY_MAPPING = ObjectKind(
    IdentityMappingObject, "iamauthenticator.k8s.aws/v1alpha1", "IAMIdentityMapping", _mapping_value, _mapping_body
)
