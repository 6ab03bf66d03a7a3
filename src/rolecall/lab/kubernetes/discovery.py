"""Discovery: which resources there are, in the aggregated form and in the older one per group.

Source: Kubernetes documentation, "Kubernetes API Concepts", API discovery.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rolecall.lab.kubernetes.kinds import Kinds, Resource

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SUBRESOURCES = {
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "status": None,
}


def aggregated(kinds: Kinds, core: bool) -> dict[str, Any]:
    """``APIGroupDiscoveryList`` of ``/api`` or of ``/apis``."""
    items = []
    for group in dict.fromkeys(group for group, _ in kinds.group_versions()):
        if (group == "") is not core:
            continue
        versions = [version for name, version in kinds.group_versions() if name == group]
        items.append(
            {
                "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
                "versions": [
                    {
                        "version": version,
                        "resources": [_discovered(r) for r in _of(kinds, group, version)],
                        "freshness": "Current",
                    }
                    for version in versions
                ],
            }
        )
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _of(kinds: Kinds, group: str, version: str) -> list[Resource]:
    return sorted((r for r in kinds.every() if (r.group, r.version) == (group, version)), key=lambda r: r.plural)


def _discovered(resource: Resource) -> dict[str, Any]:
    found: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular or resource.kind.lower(),
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    if resource.subresources:
        found["subresources"] = [_subresource(resource, name) for name in resource.subresources]
    return found


def _subresource(resource: Resource, name: str) -> dict[str, Any]:
    own = _SUBRESOURCES.get(name)
    group, version, kind, verbs = own or (resource.group, resource.version, resource.kind, ("get", "patch", "update"))
    return {
        "subresource": name,
        "responseKind": {"group": group, "version": version, "kind": kind},
        "verbs": list(verbs),
    }


def resource_list(kinds: Kinds, group: str, version: str) -> dict[str, Any]:
    """``APIResourceList`` of one group and version."""
    resources = []
    for resource in _of(kinds, group, version):
        entry: dict[str, Any] = {
            "name": resource.plural,
            "singularName": resource.singular or resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(resource.verbs),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        resources.append(entry)
        for name in resource.subresources:
            own = _subresource(resource, name)
            kind = own["responseKind"]
            resources.append(
                {
                    "name": f"{resource.plural}/{name}",
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    "kind": kind["kind"],
                    "verbs": own["verbs"],
                    **({"group": kind["group"], "version": kind["version"]} if kind["group"] != resource.group else {}),
                }
            )
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def group_list(kinds: Kinds) -> dict[str, Any]:
    """``APIGroupList``: every named group."""
    names = dict.fromkeys(group for group, _ in kinds.group_versions() if group)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(kinds, name) for name in names]}


def group(kinds: Kinds, name: str) -> dict[str, Any]:
    """``APIGroup`` of one named group."""
    versions: Iterable[str] = [version for found, version in kinds.group_versions() if found == name]
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": entries, "preferredVersion": entries[0]}
