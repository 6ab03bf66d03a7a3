"""The roles and bindings that every cluster begins with, as objects, and the aggregation of cluster roles.

The rules themselves are in ``default_roles``. Source of the aggregation: Kubernetes documentation, "Using RBAC
Authorization", aggregated ClusterRoles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rolecall.rbac.default_roles import AGGREGATED, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from rolecall.rbac.rules import PolicyRule

_BOOTSTRAP = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_GROUP = "rbac.authorization.k8s.io"
_AGGREGATE = f"{_GROUP}/aggregate-to-"
MAX_ROUNDS = 64


def bootstrap_cluster_roles() -> list[dict[str, Any]]:
    """The default ClusterRoles as objects of the API, aggregated ones still empty."""
    roles = []
    for name, rules in CLUSTER_ROLES.items():
        target = name.removeprefix("system:aggregate-to-")
        roles.append(_role(name, rules, {f"{_AGGREGATE}{target}": "true"} if target in AGGREGATED else {}))
    # view is part of edit, and edit of admin, by the labels of the aggregated roles themselves.
    for name, into in AGGREGATED.items():
        aggregated = _role(name, (), {f"{_AGGREGATE}{into}": "true"} if into else {})
        aggregated["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{_AGGREGATE}{name}": "true"}}]}
        roles.append(aggregated)
    return roles


def bootstrap_cluster_role_bindings() -> list[dict[str, Any]]:
    """The default ClusterRoleBindings as objects of the API."""
    return [_binding(name, name, subjects) for name, subjects in CLUSTER_BINDINGS.items()]


def bootstrap_roles() -> list[dict[str, Any]]:
    """The default Roles of the namespaces kube-system and kube-public, as objects of the API."""
    return [_role(name, rules, {}, namespace) for (namespace, name), rules in ROLES.items()]


def bootstrap_role_bindings() -> list[dict[str, Any]]:
    """The default RoleBindings of the namespaces kube-system and kube-public, as objects of the API."""
    return [_binding(name, role, subjects, space) for (space, name), (role, subjects) in ROLE_BINDINGS.items()]


def aggregate(roles: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rules of every aggregated ClusterRole, by name, to a fixpoint; rules keep the order of the roles' names."""
    by_name = {role["metadata"]["name"]: role for role in roles}
    rules = {name: list(role.get("rules") or ()) for name, role in by_name.items()}
    aggregated = [name for name in sorted(by_name) if by_name[name].get("aggregationRule")]
    for _ in range(MAX_ROUNDS):
        changed = False
        for name in aggregated:
            found = _selected(by_name, rules, name)
            if found != rules[name]:
                rules[name], changed = found, True
        if not changed:
            break
    return {name: rules[name] for name in aggregated}


def _selected(
    by_name: Mapping[str, Mapping[str, Any]], rules: Mapping[str, list[dict[str, Any]]], name: str
) -> list[dict[str, Any]]:
    selectors = by_name[name]["aggregationRule"].get("clusterRoleSelectors") or ()
    found: list[dict[str, Any]] = []
    for other in sorted(by_name):
        labels = by_name[other]["metadata"].get("labels") or {}
        if other != name and any(_selects(selector, labels) for selector in selectors):
            found += [one for one in rules[other] if one not in found]
    return found


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or ():
        value, values = labels.get(expression.get("key", "")), expression.get("values") or ()
        fits = {
            "In": value is not None and value in values,
            "NotIn": value is None or value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fits.get(expression.get("operator", ""), False):
            return False
    return True


def _role(name: str, rules: Iterable[PolicyRule], labels: Mapping[str, str], namespace: str = "") -> dict[str, Any]:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": _metadata(name, labels, namespace),
        "rules": [one.to_json() for one in rules],
    }


def _binding(name: str, role: str, subjects: Iterable[str], namespace: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": _metadata(name, {}, namespace),
        "roleRef": {"apiGroup": _GROUP, "kind": "Role" if namespace else "ClusterRole", "name": role},
    }
    if named := [_subject(*subject.split(" ")) for subject in subjects]:
        found["subjects"] = named
    return found


def _subject(kind: str, name: str) -> dict[str, str]:
    if kind == "ServiceAccount":
        namespace, _, own = name.partition("/")
        return {"kind": kind, "name": own, "namespace": namespace}
    return {"apiGroup": _GROUP, "kind": kind, "name": name}


def _metadata(name: str, labels: Mapping[str, str], namespace: str) -> dict[str, Any]:
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "labels": {**_BOOTSTRAP, **labels},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }
