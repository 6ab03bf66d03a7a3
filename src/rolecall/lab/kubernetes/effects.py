"""What follows from a write: the little that the lab does of what controllers do in a real cluster.

New namespaces get their service account, aggregated cluster roles are kept up to date, custom resource definitions
are served, identity mappings get their status, and a deleted namespace takes its objects with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rolecall.lab.kubernetes import crds
from rolecall.lab.kubernetes.kinds import APIEXTENSIONS, RBAC, Kinds, Resource
from rolecall.lab.kubernetes.store import Key, ObjectStore
from rolecall.mapping.identity_mappings import status_of
from rolecall.rbac.roles import aggregate

Object = Mapping[str, Any]
NAMESPACES: Key = ("", "namespaces")
CONFIG_MAPS: Key = ("", "configmaps")
SERVICE_ACCOUNTS: Key = ("", "serviceaccounts")
CLUSTER_ROLES: Key = (RBAC, "clusterroles")
DEFINITIONS: Key = (APIEXTENSIONS, "customresourcedefinitions")


class Effects:
    """Called inside the transaction of each write.

    :param new_object: makes a stored object of the cluster itself from a key and a body without identity.
    """

    def __init__(
        self, store: ObjectStore, kinds: Kinds, new_object: Callable[[Mapping[str, Any]], dict[str, Any]]
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._new_object = new_object
        self.root_ca = ""

    def written(self, resource: Resource, found: Object) -> Object:
        """After an object was created or changed; the object as it is then."""
        if resource.key == NAMESPACES:
            self.furnish_namespace(found["metadata"]["name"])
        elif resource.key == CLUSTER_ROLES:
            self.aggregate_roles()
            return self._store.get(CLUSTER_ROLES, "", found["metadata"]["name"]) or found
        elif resource.key == DEFINITIONS:
            self._kinds.set_custom(found["metadata"]["name"], crds.resources_of(found))
        elif resource.key == crds.IDENTITY_MAPPINGS:
            status = status_of(str((found.get("spec") or {}).get("arn", "")))
            if (found.get("status") or {}).get("canonicalARN") != (status or {}).get("canonicalARN"):
                return self._store.put(resource.key, {**found, "status": status or {}})
        return found

    def remove(self, resource: Resource, found: Object) -> Object:
        """Remove an object and what goes with it; its last state."""
        name = found["metadata"]["name"]
        if resource.key == NAMESPACES:
            self._empty_namespace(name)
        elif resource.key == DEFINITIONS:
            spec = found["spec"]
            for one in self._store.listed((spec["group"], spec["names"]["plural"])):
                self._store.remove(
                    (spec["group"], spec["names"]["plural"]),
                    one["metadata"].get("namespace", ""),
                    one["metadata"]["name"],
                )
            self._kinds.remove_custom(name)
        gone = self._store.remove(resource.key, found["metadata"].get("namespace", ""), name)
        if resource.key == CLUSTER_ROLES:
            self.aggregate_roles()
        elif resource.key in (CONFIG_MAPS, SERVICE_ACCOUNTS):
            # What every namespace has comes back, as long as the namespace is there.
            namespace = found["metadata"]["namespace"]
            if self._store.get(NAMESPACES, "", namespace) is not None:
                self.furnish_namespace(namespace)
        return gone

    def furnish_namespace(self, name: str) -> None:
        """The service account and the CA that every namespace has."""
        for plural, found in default_objects(name, self.root_ca):
            if self._store.get(("", plural), name, found["metadata"]["name"]) is None:
                self._store.put(("", plural), self._new_object(found))

    def aggregate_roles(self) -> None:
        """Bring the rules of aggregated cluster roles up to date."""
        roles = {role["metadata"]["name"]: role for role in self._store.listed(CLUSTER_ROLES)}
        for name, rules in aggregate(roles.values()).items():
            if (roles[name].get("rules") or []) != rules:
                self._store.put(CLUSTER_ROLES, {**roles[name], "rules": rules})

    def serve_definitions(self) -> None:
        """Serve the custom resources of every stored definition, after a start."""
        for found in self._store.listed(DEFINITIONS):
            self._kinds.set_custom(found["metadata"]["name"], crds.resources_of(found))

    def _empty_namespace(self, name: str) -> None:
        for key in {resource.key for resource in self._kinds.every() if resource.namespaced}:
            for found in self._store.listed(key, name):
                self._store.remove(key, name, found["metadata"]["name"])


def default_objects(namespace: str, ca_pem: str) -> list[tuple[str, dict[str, Any]]]:
    """The service account and the CA that every namespace has, each with its resource; no CA if there is none yet.

    Source: kubernetes ``pkg/controller/serviceaccount`` and ``pkg/controller/certificates/rootcacertpublisher``.
    """
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace},
    }
    ca = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-root-ca.crt", "namespace": namespace},
        "data": {"ca.crt": ca_pem},
    }
    return [("serviceaccounts", account), *([("configmaps", ca)] if ca_pem else [])]
