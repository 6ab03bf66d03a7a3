"""RBAC. Source: Kubernetes documentation, "Using RBAC Authorization"; kubernetes ``evaluation_helpers.go``."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.model import KubernetesUser
from rolecall.rbac.access_policies import ACCESS_POLICIES, PolicyAssociation, authorize_access_policies
from rolecall.rbac.escalation import uncovered
from rolecall.rbac.roles import aggregate, bootstrap_cluster_roles
from rolecall.rbac.rules import Attributes, Authorizer, Binding, PolicyRule, Subject

ANN = KubernetesUser("ann", groups=("team", "system:authenticated"))


def rule(**fields: Any) -> PolicyRule:
    return PolicyRule.from_json({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], **fields})


def asks(**fields: Any) -> Attributes:
    return Attributes(ANN, **{"verb": "get", "resource": "pods", "namespace": "dev", **fields})


@pytest.mark.parametrize(
    ("given", "asked", "expected"),
    [
        ({}, {}, True),
        ({}, {"verb": "list"}, False),
        ({"verbs": ["*"]}, {"verb": "anything"}, True),
        ({"verbs": ["GET"]}, {}, False),
        ({"apiGroups": ["*"]}, {"api_group": "apps"}, True),
        ({}, {"api_group": "apps"}, False),
        ({"resources": ["*"]}, {"subresource": "exec"}, True),
        ({}, {"subresource": "exec"}, False),
        ({"resources": ["pods/exec"]}, {"subresource": "exec"}, True),
        ({"resources": ["pods/exec"]}, {}, False),
        ({"resources": ["*/scale"]}, {"subresource": "scale"}, True),
        ({"resources": ["*/scale"]}, {"subresource": "status"}, False),
        ({"resources": ["pods/*"]}, {"subresource": "exec"}, False),
        ({"resourceNames": ["a"]}, {"name": "a"}, True),
        ({"resourceNames": ["a"]}, {"name": "b"}, False),
        ({"resourceNames": ["a"], "verbs": ["create"]}, {"verb": "create"}, False),
        ({"resourceNames": ["a"], "verbs": ["list"]}, {"verb": "list"}, False),
        ({"resourceNames": ["a"], "verbs": ["list"]}, {"verb": "list", "name": "a"}, True),
        ({"nonResourceURLs": ["/healthz"], "resources": []}, {"resource": "", "path": "/healthz"}, True),
        ({"nonResourceURLs": ["/logs/*"], "resources": []}, {"resource": "", "path": "/logs/a/b"}, True),
        ({"nonResourceURLs": ["/logs/*"], "resources": []}, {"resource": "", "path": "/log"}, False),
        ({"nonResourceURLs": ["*"], "resources": []}, {}, False),
    ],
)
def test_a_rule(given: dict[str, Any], asked: dict[str, Any], expected: bool) -> None:
    assert rule(**given).allows(asks(**asked)) is expected


def authorizer(*bindings: Binding) -> Authorizer:
    return Authorizer({("", "reader"): (rule(),), ("dev", "local"): (rule(verbs=["list"]),)}, bindings)


@pytest.mark.parametrize(
    ("binding", "asked", "reason"),
    [
        (
            Binding("b", "", "ClusterRole", "reader", (Subject("User", "ann"),)),
            {},
            'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to User "ann"',
        ),
        (
            Binding("b", "dev", "ClusterRole", "reader", (Subject("Group", "team"),)),
            {},
            'RBAC: allowed by RoleBinding "b/dev" of ClusterRole "reader" to Group "team"',
        ),
        (Binding("b", "dev", "ClusterRole", "reader", (Subject("User", "ann"),)), {"namespace": "prod"}, None),
        (Binding("b", "dev", "ClusterRole", "reader", (Subject("User", "ann"),)), {"namespace": ""}, None),
        (
            Binding("b", "dev", "Role", "local", (Subject("User", "ann"),)),
            {"verb": "list"},
            'RBAC: allowed by RoleBinding "b/dev" of Role "local" to User "ann"',
        ),
        (Binding("b", "prod", "Role", "local", (Subject("User", "ann"),)), {"verb": "list", "namespace": "prod"}, None),
        (Binding("b", "", "ClusterRole", "reader", (Subject("User", "Ann"),)), {}, None),
        (Binding("b", "", "ClusterRole", "gone", (Subject("User", "ann"),)), {}, None),
    ],
)
def test_bindings(binding: Binding, asked: dict[str, Any], reason: str | None) -> None:
    decision = authorizer(binding).authorize(asks(**asked))
    assert decision.allowed is (reason is not None)
    assert decision.reason == (reason or "")


def test_a_service_account_without_a_namespace_is_of_the_bindings_own() -> None:
    found = Binding.from_json(
        {
            "metadata": {"name": "b", "namespace": "dev"},
            "roleRef": {"kind": "Role", "name": "local"},
            "subjects": [{"kind": "ServiceAccount", "name": "r"}],
        }
    )
    robot = KubernetesUser("system:serviceaccount:dev:r")
    assert authorizer(found).authorize(Attributes(robot, "list", resource="pods", namespace="dev")).allowed


def test_masters_bypass_rbac() -> None:
    master = KubernetesUser("x", groups=("system:masters",))
    assert authorizer().authorize(Attributes(master, "delete", resource="nodes")).allowed


@pytest.mark.parametrize(
    ("owned", "wanted", "missing"),
    [
        (
            [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
            0,
        ),
        (
            [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
            {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]},
            1,
        ),
        (
            [
                {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
                {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]},
            ],
            {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]},
            0,
        ),
        (
            [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}],
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
            1,
        ),
        (
            [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
            {"verbs": ["get"], "apiGroups": [""], "resources": ["*"]},
            1,
        ),
        ([{"verbs": ["get"], "nonResourceURLs": ["/a/*"]}], {"verbs": ["get"], "nonResourceURLs": ["/a/b", "/c"]}, 1),
    ],
)
def test_nobody_gives_what_they_do_not_have(owned: list[Any], wanted: Any, missing: int) -> None:
    assert len(uncovered([PolicyRule.from_json(one) for one in owned], [PolicyRule.from_json(wanted)])) == missing


def test_aggregation_reaches_a_fixpoint() -> None:
    """view is in edit, edit is in admin (Kubernetes documentation, default roles and role bindings)."""
    rules = aggregate(bootstrap_cluster_roles())
    view, edit, admin = (rules[name] for name in ("view", "edit", "admin"))
    assert all(one in edit for one in view)
    assert all(one in admin for one in edit)
    assert not any("secrets" in one.get("resources", ()) for one in view)
    assert any("rolebindings" in one.get("resources", ()) for one in admin)


@pytest.mark.parametrize(
    ("policy", "asked", "expected"),
    [
        # EKS user guide, "Review access policy permissions".
        ("AmazonEKSClusterAdminPolicy", {"verb": "delete", "resource": "nodes", "namespace": ""}, True),
        ("AmazonEKSClusterAdminPolicy", {"resource": "", "path": "/metrics"}, True),
        ("AmazonEKSAdminViewPolicy", {"resource": "secrets"}, True),
        ("AmazonEKSAdminViewPolicy", {"verb": "delete"}, False),
        (
            "AmazonEKSAdminPolicy",
            {"verb": "create", "resource": "roles", "api_group": "rbac.authorization.k8s.io"},
            True,
        ),
        (
            "AmazonEKSAdminPolicy",
            {"verb": "create", "resource": "customresourcedefinitions", "api_group": "apiextensions.k8s.io"},
            False,
        ),
        ("AmazonEKSEditPolicy", {"verb": "create", "resource": "deployments", "api_group": "apps"}, True),
        ("AmazonEKSEditPolicy", {"resource": "secrets"}, True),
        ("AmazonEKSEditPolicy", {"resource": "roles", "api_group": "rbac.authorization.k8s.io"}, False),
        ("AmazonEKSViewPolicy", {}, True),
        ("AmazonEKSViewPolicy", {"resource": "secrets"}, False),
        ("AmazonEKSViewPolicy", {"verb": "create"}, False),
        ("AmazonEKSSecretReaderPolicy", {"resource": "secrets"}, True),
        ("NoSuchPolicy", {}, False),
    ],
)
def test_access_policies(policy: str, asked: dict[str, Any], expected: bool) -> None:
    arn = f"arn:aws:eks::aws:cluster-access-policy/{policy}"
    decision = authorize_access_policies(asks(**asked), "AROA1", [PolicyAssociation("arn:aws:iam::1:role/r", arn)])
    assert decision.allowed is expected
    if expected:
        assert decision.reason.startswith("EKS Access Policy: allowed by ClusterRoleBinding")


@pytest.mark.parametrize(("pattern", "namespace", "expected"), [
    ("dev", "dev", True), ("dev-*", "dev-a", True), ("dev-*", "dev", False), ("*-x-*", "a-x-b", True), ("*", "any", True), ("dev-*", "", False),
])  # fmt: skip
def test_scopes(pattern: str, namespace: str, expected: bool) -> None:
    association = PolicyAssociation("r", "x/AmazonEKSViewPolicy", (pattern,))
    assert authorize_access_policies(asks(namespace=namespace), "AROA1", [association]).allowed is expected
    assert "AmazonEKSViewPolicy" in ACCESS_POLICIES
