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

from rolecall.rbac.roles import ADMIN_RULES, EDIT_RULES, READ, VIEW_RULES, WRITE, rule
from rolecall.rbac.rules import EVERYTHING, Attributes, PolicyRule, RbacDecision

# The guide's tables for Edit and Admin are those of the Kubernetes roles of the same purpose without these rules, which
# came to the roles later.
_KUBERNETES_ALONE = (
    rule(["create"], [""], ["pods/eviction"]),
    rule(["create"], [""], ["serviceaccounts/token"]),
    rule((*READ, *WRITE), ["coordination.k8s.io"], ["leases"]),
)
_EDIT = (*VIEW_RULES, *(one for one in EDIT_RULES if one not in _KUBERNETES_ALONE))

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
    "AmazonEKSAdminViewPolicy": (rule(READ, ["*"], ["*"]),),
    "AmazonEKSAdminPolicy": (*_EDIT, *ADMIN_RULES),
    "AmazonEKSEditPolicy": _EDIT,
    "AmazonEKSViewPolicy": VIEW_RULES,
    "AmazonEKSSecretReaderPolicy": (rule(READ, [""], ["secrets"]),),
    "AmazonEKSSecretAdminPolicy": (rule(["*"], [""], ["secrets"]),),
    "AmazonEKSHybridPolicy": (rule(["list"], ["*"], ["nodes"]),),
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
    """Allow where any associated policy allows within its scope."""
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
