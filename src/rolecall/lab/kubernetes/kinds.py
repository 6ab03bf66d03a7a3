"""The kinds of objects that a cluster knows, and the ones that custom resource definitions add.

Kinds of workloads, nodes and networking are known by name, so that RBAC rules about them can be written and asked
about, and can be listed; they cannot be created, because an embedded cluster runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READ_VERBS = ("get", "list", "watch")
RBAC = "rbac.authorization.k8s.io"
AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"
APIEXTENSIONS = "apiextensions.k8s.io"


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column of a custom resource. ``priority`` above 0 is shown by ``-o wide`` alone."""

    name: str
    type: str
    path: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API.

    :param definition: name of the kind's schema in :mod:`rolecall.lab.kubernetes.schemas`; empty for custom resources.
    :param schema: ``openAPIV3Schema`` of a custom resource.
    :param subresources: such as ``status`` or ``token``.
    :param selectable: field paths that a field selector may name, beside name and namespace.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    definition: str = ""
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    singular: str = ""
    schema: Mapping[str, Any] | None = field(default=None, compare=False)
    columns: tuple[Column, ...] = ()
    selectable: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What objects are stored under: the same for every version of a kind."""
        return self.group, self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def is_custom(self) -> bool:
        return self.schema is not None

    @property
    def is_stored(self) -> bool:
        """Whether there can be objects of it: not of reviews, nor of what is known by name alone."""
        return "update" in self.verbs

    @property
    def is_updated_blindly(self) -> bool:
        """Whether an update may leave out the version it is based on (upstream's ``AllowUnconditionalUpdate``)."""
        return not self.is_custom and self.group != APIEXTENSIONS


def _read_only(group: str, version: str, listed: str) -> Iterator[Resource]:
    for entry in listed.split():
        plural, kind, scope, *short = entry.split(":")
        yield Resource(group, version, plural, kind, scope == "n", tuple(short), READ_VERBS)


def _review(group: str, plural: str, kind: str, definition: str, *, namespaced: bool = False) -> Resource:
    return Resource(group, "v1", plural, kind, namespaced, (), ("create",), definition)


BUILT_IN: tuple[Resource, ...] = (
    Resource("", "v1", "configmaps", "ConfigMap", True, ("cm",), definition="core.v1.ConfigMap"),
    Resource(
        "", "v1", "namespaces", "Namespace", False, ("ns",),
        verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
        definition="core.v1.Namespace", subresources=("status",), selectable=("status.phase",),
    ),
    Resource("", "v1", "secrets", "Secret", True, definition="core.v1.Secret", selectable=("type",)),
    Resource(
        "", "v1", "serviceaccounts", "ServiceAccount", True, ("sa",),
        definition="core.v1.ServiceAccount", subresources=("token",),
    ),
    Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", False, definition="rbac.v1.ClusterRoleBinding"),
    Resource(RBAC, "v1", "clusterroles", "ClusterRole", False, definition="rbac.v1.ClusterRole"),
    Resource(RBAC, "v1", "rolebindings", "RoleBinding", True, definition="rbac.v1.RoleBinding"),
    Resource(RBAC, "v1", "roles", "Role", True, definition="rbac.v1.Role"),
    Resource(
        APIEXTENSIONS, "v1", "customresourcedefinitions", "CustomResourceDefinition", False, ("crd", "crds"),
        definition="apiextensions.v1.CustomResourceDefinition", subresources=("status",),
        categories=("api-extensions",),
    ),
    _review(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview", "authentication.v1.SelfSubjectReview"),
    _review(AUTHENTICATION, "tokenreviews", "TokenReview", "authentication.v1.TokenReview"),
    _review(
        AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview",
        "authorization.v1.LocalSubjectAccessReview", namespaced=True,
    ),
    _review(
        AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview", "authorization.v1.SelfSubjectAccessReview"
    ),
    _review(
        AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview", "authorization.v1.SelfSubjectRulesReview"
    ),
    _review(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview", "authorization.v1.SubjectAccessReview"),
    *_read_only(
        "", "v1",
        "endpoints:Endpoints:n:ep events:Event:n:ev limitranges:LimitRange:n:limits nodes:Node:c:no "
        "persistentvolumeclaims:PersistentVolumeClaim:n:pvc persistentvolumes:PersistentVolume:c:pv pods:Pod:n:po "
        "podtemplates:PodTemplate:n replicationcontrollers:ReplicationController:n:rc "
        "resourcequotas:ResourceQuota:n:quota services:Service:n:svc",
    ),
    *_read_only(
        "apps", "v1",
        "controllerrevisions:ControllerRevision:n daemonsets:DaemonSet:n:ds deployments:Deployment:n:deploy "
        "replicasets:ReplicaSet:n:rs statefulsets:StatefulSet:n:sts",
    ),
    *_read_only("autoscaling", "v2", "horizontalpodautoscalers:HorizontalPodAutoscaler:n:hpa"),
    *_read_only("batch", "v1", "cronjobs:CronJob:n:cj jobs:Job:n"),
    *_read_only("coordination.k8s.io", "v1", "leases:Lease:n"),
    *_read_only("discovery.k8s.io", "v1", "endpointslices:EndpointSlice:n"),
    *_read_only("networking.k8s.io", "v1", "ingresses:Ingress:n:ing networkpolicies:NetworkPolicy:n:netpol"),
    *_read_only("policy", "v1", "poddisruptionbudgets:PodDisruptionBudget:n:pdb"),
    *_read_only("storage.k8s.io", "v1", "storageclasses:StorageClass:c:sc"),
)  # fmt: skip


class Kinds:
    """The resources of one cluster: the built-in ones and its custom ones.

    :ivar version: changes whenever the set of resources does.
    """

    def __init__(self) -> None:
        self._resources = {(r.group, r.version, r.plural): r for r in BUILT_IN}
        self._custom: dict[str, list[Resource]] = {}
        self.version = 0

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._resources.get((group, version, plural))

    def of_kind(self, group: str, version: str, kind: str) -> Resource | None:
        for resource in self._resources.values():
            if (resource.group, resource.version, resource.kind) == (group, version, kind):
                return resource
        return None

    def of_key(self, key: tuple[str, str]) -> Resource | None:
        """Any version of the resource that objects are stored under."""
        return next((r for r in self._resources.values() if r.key == key), None)

    def every(self) -> list[Resource]:
        return list(self._resources.values())

    def group_versions(self) -> list[tuple[str, str]]:
        """Groups and versions in the order they are discovered, the core group first."""
        return list(dict.fromkeys((r.group, r.version) for r in self._resources.values()))

    def set_custom(self, name: str, resources: list[Resource]) -> None:
        """Replace what one custom resource definition serves."""
        self.remove_custom(name)
        self._custom[name] = resources
        for resource in resources:
            self._resources[resource.group, resource.version, resource.plural] = resource
        self.version += 1

    def remove_custom(self, name: str) -> None:
        for resource in self._custom.pop(name, ()):
            self._resources.pop((resource.group, resource.version, resource.plural), None)
        self.version += 1
