"""The access policies of EKS, table by table.

Source: EKS user guide, "Review access policy permissions" (``access-policy-reference.adoc`` of the guide's repository,
November 2025). The tables differ from the Kubernetes roles of the same purpose: no pods/eviction, no token requests, no
leases.
"""

from __future__ import annotations

import pytest

from rolecall.model import KubernetesUser
from rolecall.rbac.access_policies import ACCESS_POLICIES, PolicyAssociation, authorize_access_policies
from rolecall.rbac.default_roles import CLUSTER_ROLES
from rolecall.rbac.rules import Attributes

Grants = set[tuple[str, str, str]]  # API group, resource, verb

READ, WRITE = "get list watch", "create delete deletecollection patch update"
_CORE = (
    "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers "
    "replicationcontrollers/scale serviceaccounts services services/status"
)
_CORE_STATUS = (
    "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas "
    "resourcequotas/status"
)
_APPS = (
    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets "
    "replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"
)
_EXTENSIONS = (
    "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status "
    "networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale"
)
VIEW = [
    ("apps", _APPS, READ),
    ("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", READ),
    ("batch", "cronjobs cronjobs/status jobs jobs/status", READ),
    ("discovery.k8s.io", "endpointslices", READ),
    ("extensions", _EXTENSIONS, READ),
    ("networking.k8s.io", "ingresses ingresses/status networkpolicies", READ),
    ("policy", "poddisruptionbudgets poddisruptionbudgets/status", READ),
    ("", _CORE, READ),
    ("", _CORE_STATUS, READ),
    ("", "namespaces", READ),
]
EDIT = [
    *VIEW,
    (
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
        "statefulsets/scale",
        WRITE,
    ),
    ("autoscaling", "horizontalpodautoscalers", WRITE),
    ("batch", "cronjobs jobs", WRITE),
    (
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets "
        "replicasets/scale replicationcontrollers/scale",
        WRITE,
    ),
    ("networking.k8s.io", "ingresses networkpolicies", WRITE),
    ("policy", "poddisruptionbudgets", WRITE),
    ("", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", READ),
    ("", "serviceaccounts", "impersonate"),
    ("", "pods pods/attach pods/exec pods/portforward pods/proxy", WRITE),
    (
        "",
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets "
        "serviceaccounts services services/proxy",
        WRITE,
    ),
]
ADMIN = [
    *EDIT,
    ("authorization.k8s.io", "localsubjectaccessreviews", "create"),
    ("rbac.authorization.k8s.io", "rolebindings roles", f"{READ} {WRITE}"),
]
GUIDE = {
    "AmazonEKSViewPolicy": VIEW,
    "AmazonEKSEditPolicy": EDIT,
    "AmazonEKSAdminPolicy": ADMIN,
    "AmazonEKSAdminViewPolicy": [("*", "*", READ)],
    "AmazonEKSSecretReaderPolicy": [("", "secrets", READ)],
    "AmazonEKSSecretAdminPolicy": [("", "secrets", "*")],
    "AmazonEKSHybridPolicy": [("*", "nodes", "list")],
}


def grants(policy: str) -> Grants:
    assert not any(rule.resource_names for rule in ACCESS_POLICIES[policy])
    return {
        (group, resource, verb)
        for rule in ACCESS_POLICIES[policy]
        for group in rule.api_groups
        for resource in rule.resources
        for verb in rule.verbs
    }


@pytest.mark.parametrize("policy", GUIDE)
def test_a_policy_grants_what_the_guide_says_and_nothing_else(policy: str) -> None:
    expected = {
        (group, resource, verb)
        for group, resources, verbs in GUIDE[policy]
        for resource in resources.split()
        for verb in verbs.split()
    }
    assert grants(policy) == expected
    assert not any(rule.non_resource_urls for rule in ACCESS_POLICIES[policy])


def test_the_cluster_administrators_policy_grants_everything() -> None:
    resources, paths = ACCESS_POLICIES["AmazonEKSClusterAdminPolicy"]
    assert (resources.verbs, resources.api_groups, resources.resources) == (("*",), ("*",), ("*",))
    assert (paths.verbs, paths.non_resource_urls) == (("*",), ("*",))


@pytest.mark.parametrize(
    ("verb", "group", "resource", "subresource"),
    [
        ("create", "", "pods", "eviction"),
        ("create", "", "serviceaccounts", "token"),
        ("get", "coordination.k8s.io", "leases", ""),
        ("update", "coordination.k8s.io", "leases", ""),
    ],
)
@pytest.mark.parametrize("policy", ["AmazonEKSEditPolicy", "AmazonEKSAdminPolicy"])
def test_what_the_kubernetes_role_edit_has_and_the_policies_have_not(
    policy: str, verb: str, group: str, resource: str, subresource: str
) -> None:
    asked = Attributes(KubernetesUser("ann"), verb, group, "v1", resource, subresource, "dev", "x")
    association = PolicyAssociation("arn:aws:iam::1:role/r", f"arn:aws:eks::aws:cluster-access-policy/{policy}")
    assert any(rule.allows(asked) for rule in CLUSTER_ROLES["system:aggregate-to-edit"])
    assert not authorize_access_policies(asked, "AROA1", [association]).allowed


def test_names() -> None:
    """The guide's names, and those of ``aws eks list-access-policies`` in a real account (2026)."""
    assert len(ACCESS_POLICIES) == 34
    assert {"AmazonEKSAutoNodePolicy", "AmazonEKSClusterInsightsPolicy", "AmazonEKSPodIdentityPolicy"} <= set(
        ACCESS_POLICIES
    )
    assert ACCESS_POLICIES["AmazonEKSArgoCDPolicy"] == (), "rules that are not published grant nothing"
