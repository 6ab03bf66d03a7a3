"""The EKS access policies as rules, and how they authorise.

EKS keys them on the principal id, not on the username, so impersonation does not reach them. Source: EKS user guide,
"Review access policy permissions" and "Associate access policies with access entries"; names that the guide leaves out
from ``aws eks list-access-policies`` of a real account (2026); the reason's text from a real cluster's audit event.
A policy whose rules are not published grants nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from rolecall.rbac.rule_rows import READ, READ_WRITE, WRITE, rule
from rolecall.rbac.rules import EVERYTHING, Attributes, PolicyRule, RbacDecision

# The guide's tables, which are not the Kubernetes roles of the same purpose: newer rules of those are not in them.
_VIEW = (
    rule(
        READ,
        "core",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers "
        "replicationcontrollers/scale serviceaccounts services services/status",
    ),
    rule(
        READ,
        "core",
        "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status "
        "resourcequotas resourcequotas/status",
    ),
    rule(READ, "core", "namespaces"),
    rule(READ, "discovery.k8s.io", "endpointslices"),
    rule(
        READ,
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status "
        "replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
    ),
    rule(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    rule(READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    rule(
        READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status "
        "networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
    ),
    rule(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    rule(READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
)
_EDIT = (
    *_VIEW,
    rule(READ, "core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    rule("impersonate", "core", "serviceaccounts"),
    rule(WRITE, "core", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    rule(
        WRITE,
        "core",
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets "
        "serviceaccounts services services/proxy",
    ),
    rule(
        WRITE,
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
        "statefulsets/scale",
    ),
    rule(WRITE, "autoscaling", "horizontalpodautoscalers"),
    rule(WRITE, "batch", "cronjobs jobs"),
    rule(
        WRITE,
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets "
        "replicasets/scale replicationcontrollers/scale",
    ),
    rule(WRITE, "policy", "poddisruptionbudgets"),
    rule(WRITE, "networking.k8s.io", "ingresses networkpolicies"),
)
_ADMIN = (
    *_EDIT,
    rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    rule(READ_WRITE, "rbac.authorization.k8s.io", "rolebindings roles"),
)

# Policies whose rules AWS does not publish, or in prose alone: for controllers of AWS and for service-linked roles.
_UNPUBLISHED = (
    "AIDevOpsAgentAccessPolicy",
    "AmazonAIOpsAssistantPolicy",
    "AmazonARCRegionSwitchScalingPolicy",
    "AmazonEKSACKPolicy",
    "AmazonEKSArgoCDClusterPolicy",
    "AmazonEKSArgoCDPolicy",
    "AmazonEKSAutoNodePolicy",
    "AmazonEKSBlockStorageClusterPolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterInsightsPolicy",
    "AmazonEKSComputeClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSEventPolicy",
    "AmazonEKSKROPolicy",
    "AmazonEKSLoadBalancingClusterPolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingClusterPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEKSPodIdentityPolicy",
    "AmazonEMRJobPolicy",
    "AmazonSagemakerHyperpodClusterPolicy",
    "AmazonSagemakerHyperpodControllerPolicy",
    "AmazonSagemakerHyperpodSpacePolicy",
    "AmazonSagemakerHyperpodSpaceTemplatePolicy",
    "AmazonSagemakerHyperpodSystemNamespacePolicy",
    "AmazonSagemakerHyperpodUserClusterPolicy",
)

ACCESS_POLICIES: Mapping[str, tuple[PolicyRule, ...]] = {
    "AmazonEKSClusterAdminPolicy": EVERYTHING,
    "AmazonEKSAdminViewPolicy": (rule(READ, "*", "*"),),
    "AmazonEKSAdminPolicy": _ADMIN,
    "AmazonEKSEditPolicy": _EDIT,
    "AmazonEKSViewPolicy": _VIEW,
    # Public write-ups of 2026 give it this rule. An audit that left it out would call closed what is open.
    "AmazonEKSSecretAdminPolicy": (rule("*", "core", "secrets"),),
    "AmazonEKSSecretReaderPolicy": (rule(READ, "core", "secrets"),),
    "AmazonEKSHybridPolicy": (rule("list", "*", "nodes"),),
    **dict.fromkeys(_UNPUBLISHED, ()),
}


@dataclass(frozen=True, slots=True)
class PolicyAssociation:
    """An access policy of a principal.

    :param namespaces: patterns such as ``dev-*``; empty for the whole cluster.
    """

    principal_arn: str
    policy_arn: str
    namespaces: tuple[str, ...] = ()


def authorize_access_policies(
    request: Attributes, principal_id: str, associations: Iterable[PolicyAssociation]
) -> RbacDecision:
    """Allow if any associated policy allows within its scope."""
    for association in associations:
        rules = ACCESS_POLICIES.get(association.policy_arn.rpartition("/")[2], ())
        if _in_scope(association, request) and any(one.allows(request) for one in rules):
            name = f"{association.principal_arn}+{association.policy_arn}"
            kind = "RoleBinding" if association.namespaces else "ClusterRoleBinding"
            return RbacDecision(
                True,
                f'EKS Access Policy: allowed by {kind} "{name}" of ClusterRole "{association.policy_arn}" '
                f'to User "{principal_id}"',
            )
    return RbacDecision(False)


def _in_scope(association: PolicyAssociation, request: Attributes) -> bool:
    if not association.namespaces:
        return True
    namespace = request.namespace
    return bool(namespace) and any(_namespace_matches(pattern, namespace) for pattern in association.namespaces)


@lru_cache(maxsize=4096)
def _namespace_matches(pattern: str, namespace: str) -> bool:
    head, *rest = pattern.split("*")
    if not rest:
        return pattern == namespace
    *middle, tail = rest
    end = len(namespace) - len(tail)
    if end < len(head) or not namespace.startswith(head) or not namespace.endswith(tail):
        return False
    position = len(head)
    for chunk in middle:
        found = namespace.find(chunk, position, end)
        if found < 0:
            return False
        position = found + len(chunk)
    return True
