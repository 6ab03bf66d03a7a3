"""What a new cluster begins with: namespaces, default roles and bindings, and the IAMIdentityMapping resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rolecall.lab.kubernetes import crds
from rolecall.lab.kubernetes.effects import CLUSTER_ROLES, DEFINITIONS, NAMESPACES, Effects
from rolecall.lab.kubernetes.kinds import RBAC
from rolecall.lab.kubernetes.store import ObjectStore
from rolecall.rbac.roles import (
    bootstrap_cluster_role_bindings,
    bootstrap_cluster_roles,
    bootstrap_role_bindings,
    bootstrap_roles,
)

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


def object_maker(
    clock: Callable[[], datetime], new_id: Callable[[], str]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Gives objects of the cluster itself their identity."""

    def make(found: Mapping[str, Any]) -> dict[str, Any]:
        created = clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {**found, "metadata": {**found["metadata"], "uid": new_id(), "creationTimestamp": created}}

    return make


def bootstrap(store: ObjectStore, effects: Effects, make: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
    """Furnish an empty cluster, in one transaction; do nothing to one that is not empty."""
    if store.version:
        return
    with store.transaction():
        for name in _NAMESPACES:
            store.put(NAMESPACES, make(_namespace(name)))
            effects.furnish_namespace(name)
        for role in bootstrap_cluster_roles():
            store.put(CLUSTER_ROLES, make(role))
        effects.aggregate_roles()
        for binding in bootstrap_cluster_role_bindings():
            store.put((RBAC, "clusterrolebindings"), make(binding))
        for role in bootstrap_roles():
            store.put((RBAC, "roles"), make(role))
        for binding in bootstrap_role_bindings():
            store.put((RBAC, "rolebindings"), make(binding))
        definition = make(crds.IDENTITY_MAPPING_CRD)
        store.put(DEFINITIONS, crds.established(definition, definition["metadata"]["creationTimestamp"]))


def _namespace(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }
