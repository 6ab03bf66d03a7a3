"""The roles and bindings that every cluster begins with, and the aggregation of cluster roles.

Source: kubernetes ``plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`` and Kubernetes documentation, "Using
RBAC Authorization", default roles. Roles of controllers are left out: an embedded cluster runs none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rolecall.rbac.rules import EVERYTHING, PolicyRule

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
_BOOTSTRAP = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
MAX_ROUNDS = 64


def rule(
    verbs: Sequence[str], groups: Sequence[str], resources: Sequence[str], names: Sequence[str] = ()
) -> PolicyRule:
    """A rule about resources."""
    return PolicyRule(tuple(verbs), tuple(groups), tuple(resources), tuple(names))


VIEW_RULES = (
    rule(
        READ,
        [""],
        [
            "configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods",
            "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services", "services/status",
        ],
    ),
    rule(
        READ,
        [""],
        [
            "bindings", "events", "limitranges", "namespaces/status", "pods/log", "pods/status",
            "replicationcontrollers/status", "resourcequotas", "resourcequotas/status",
        ],
    ),
    rule(READ, [""], ["namespaces"]),
    rule(READ, ["discovery.k8s.io"], ["endpointslices"]),
    rule(
        READ,
        ["apps"],
        [
            "controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale",
            "deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets",
            "statefulsets/scale", "statefulsets/status",
        ],
    ),
    rule(READ, ["autoscaling"], ["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
    rule(READ, ["batch"], ["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
    rule(
        READ,
        ["extensions"],
        [
            "daemonsets", "daemonsets/status", "deployments", "deployments/scale", "deployments/status", "ingresses",
            "ingresses/status", "networkpolicies", "replicasets", "replicasets/scale", "replicasets/status",
            "replicationcontrollers/scale",
        ],
    ),
    rule(READ, ["policy"], ["poddisruptionbudgets", "poddisruptionbudgets/status"]),
    rule(READ, ["networking.k8s.io"], ["ingresses", "ingresses/status", "networkpolicies"]),
)  # fmt: skip

EDIT_RULES = (
    rule(
        READ,
        [""],
        ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"],
    ),
    rule(["impersonate"], [""], ["serviceaccounts"]),
    rule(WRITE, [""], ["pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"]),
    rule(["create"], [""], ["pods/eviction"]),
    rule(
        WRITE,
        [""],
        [
            "configmaps", "events", "persistentvolumeclaims", "replicationcontrollers", "replicationcontrollers/scale",
            "secrets", "serviceaccounts", "services", "services/proxy",
        ],
    ),
    rule(["create"], [""], ["serviceaccounts/token"]),
    rule(
        WRITE,
        ["apps"],
        [
            "daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets",
            "replicasets/scale", "statefulsets", "statefulsets/scale",
        ],
    ),
    rule(WRITE, ["autoscaling"], ["horizontalpodautoscalers"]),
    rule(WRITE, ["batch"], ["cronjobs", "jobs"]),
    rule(
        WRITE,
        ["extensions"],
        [
            "daemonsets", "deployments", "deployments/rollback", "deployments/scale", "ingresses", "networkpolicies",
            "replicasets", "replicasets/scale", "replicationcontrollers/scale",
        ],
    ),
    rule(WRITE, ["policy"], ["poddisruptionbudgets"]),
    rule(WRITE, ["networking.k8s.io"], ["ingresses", "networkpolicies"]),
    rule((*READ, *WRITE), ["coordination.k8s.io"], ["leases"]),
)  # fmt: skip

ADMIN_RULES = (
    rule(["create"], ["authorization.k8s.io"], ["localsubjectaccessreviews"]),
    rule((*WRITE, *READ), ["rbac.authorization.k8s.io"], ["rolebindings", "roles"]),
)

_INFO = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_INFO)
_HEALTH = ("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis", "/readyz", "/readyz/*")
_OPENID = "/.well-known/openid-configuration"
_ISSUER = (_OPENID, f"{_OPENID}/", "/openid/v1/jwks", "/openid/v1/jwks/")

_CLUSTER_ROLES: Mapping[str, tuple[PolicyRule, ...]] = {
    "cluster-admin": EVERYTHING,
    "system:discovery": (PolicyRule(("get",), non_resource_urls=_DISCOVERY),),
    "system:basic-user": (
        rule(["create"], ["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
    ),
    "system:public-info-viewer": (PolicyRule(("get",), non_resource_urls=_INFO),),
    "system:monitoring": (PolicyRule(("get",), non_resource_urls=_HEALTH),),
    "system:auth-delegator": (
        rule(["create"], ["authentication.k8s.io"], ["tokenreviews"]),
        rule(["create"], ["authorization.k8s.io"], ["subjectaccessreviews"]),
    ),
    "system:service-account-issuer-discovery": (PolicyRule(("get",), non_resource_urls=_ISSUER),),
    "system:kube-dns": (rule(["list", "watch"], [""], ["endpoints", "services"]),),
    "system:node-proxier": (
        rule(["list", "watch"], [""], ["endpoints", "services"]),
        rule(READ, [""], ["nodes"]),
        rule(["create", "patch", "update"], ["", "events.k8s.io"], ["events"]),
        rule(["list", "watch"], ["discovery.k8s.io"], ["endpointslices"]),
    ),
}  # fmt: skip

_CLUSTER_BINDINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "cluster-admin": (("Group", "system:masters"),),
    "system:basic-user": (("Group", "system:authenticated"),),
    "system:discovery": (("Group", "system:authenticated"),),
    "system:monitoring": (("Group", "system:monitoring"),),
    "system:node-proxier": (("User", "system:kube-proxy"),),
    "system:public-info-viewer": (("Group", "system:authenticated"), ("Group", "system:unauthenticated")),
    "system:service-account-issuer-discovery": (("Group", "system:serviceaccounts"),),
}


def bootstrap_cluster_roles() -> list[dict[str, Any]]:
    """The default ClusterRoles as objects of the API, aggregated ones still empty."""
    roles = [_cluster_role(name, rules) for name, rules in _CLUSTER_ROLES.items()]
    for target, rules in (("view", VIEW_RULES), ("edit", EDIT_RULES), ("admin", ADMIN_RULES)):
        labels = {f"{_AGGREGATE}{target}": "true"}
        roles.append(_cluster_role(f"system:aggregate-to-{target}", rules, labels))
    # view is part of edit, and edit of admin, by the labels of the aggregated roles themselves.
    for name, into in (("view", "edit"), ("edit", "admin"), ("admin", "")):
        aggregated = _cluster_role(name, (), {f"{_AGGREGATE}{into}": "true"} if into else {})
        aggregated["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{_AGGREGATE}{name}": "true"}}]}
        roles.append(aggregated)
    return roles


def bootstrap_cluster_role_bindings() -> list[dict[str, Any]]:
    """The default ClusterRoleBindings as objects of the API."""
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _metadata(name, {}),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject} for kind, subject in subjects
            ],
        }
        for name, subjects in _CLUSTER_BINDINGS.items()
    ]


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


def _cluster_role(name: str, rules: Iterable[PolicyRule], labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": _metadata(name, labels or {}),
        "rules": [one.to_json() for one in rules],
    }


def _metadata(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "labels": {**_BOOTSTRAP, **labels},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }
