"""Which access policies there are and whom they are associated with.

Source: EKS API reference, AssociateAccessPolicy and its neighbours.
"""

from __future__ import annotations

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Result, action
from rolecall.lab.aws_endpoint.eks import access_entries, entry_policies
from rolecall.mapping.access_entries import AssociatedPolicy, ScopeType
from rolecall.rbac.access_policies import ACCESS_POLICIES


def _context(call: Call, params: Params) -> Context:
    scope = params.get("accessScope") or {}
    keys = {**access_entries.entry_context(call, params), "eks:policyarn": (params["policyArn"],)}
    if scope.get("type"):
        keys["eks:accessscope"] = (scope["type"],)
    if scope.get("namespaces"):
        keys["eks:namespaces"] = tuple(scope["namespaces"])
    return keys


@action("eks", "ListAccessPolicies")
def list_access_policies(call: Call, params: Params) -> Result:
    prefix = f"arn:{call.partition}:eks::aws:cluster-access-policy/"
    return {"accessPolicies": [{"name": name, "arn": prefix + name} for name in sorted(ACCESS_POLICIES)]}


@action("eks", "AssociateAccessPolicy", resource=access_entries.entry_resource, context=_context)
def associate_access_policy(call: Call, params: Params) -> Result:
    cluster = access_entries.with_entries(call, params["clusterName"])
    entry = access_entries.get(call, cluster, params["principalArn"])
    scope = params["accessScope"]
    policy = AssociatedPolicy(
        params["policyArn"],
        ScopeType(scope.get("type") or ScopeType.CLUSTER),
        tuple(scope.get("namespaces") or ()),
    )
    row = entry_policies.associate(call, cluster, entry, policy)
    return {
        "clusterName": cluster["name"],
        "principalArn": entry["principal_arn"],
        "associatedAccessPolicy": entry_policies.render(row),
    }


@action("eks", "DisassociateAccessPolicy", resource=access_entries.entry_resource, context=_context)
def disassociate_access_policy(call: Call, params: Params) -> Result:
    cluster = access_entries.with_entries(call, params["clusterName"])
    entry = access_entries.get(call, cluster, params["principalArn"])
    gone = call.store.execute(
        "DELETE FROM entry_policies WHERE cluster = ? AND principal_arn = ? AND policy_arn = ?",
        (cluster["id"], entry["principal_arn"], params["policyArn"]),
    )
    if not gone.rowcount:
        raise AwsError("ResourceNotFoundException", "The specified policyArn is not associated with the entry.", 404)
    return {}


@action(
    "eks",
    "ListAssociatedAccessPolicies",
    resource=access_entries.entry_resource,
    context=access_entries.entry_context,
)
def list_associated_access_policies(call: Call, params: Params) -> Result:
    cluster = access_entries.with_entries(call, params["clusterName"])
    entry = access_entries.get(call, cluster, params["principalArn"])
    rows = call.store.all(
        "SELECT * FROM entry_policies WHERE cluster = ? AND principal_arn = ? ORDER BY policy_arn",
        (cluster["id"], entry["principal_arn"]),
    )
    return {
        "clusterName": cluster["name"],
        "principalArn": entry["principal_arn"],
        "associatedAccessPolicies": [entry_policies.render(row) for row in rows],
    }
