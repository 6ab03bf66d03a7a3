"""``rolecall permissions``: the IAM policy and the ClusterRole that a command needs, as something to paste."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from rolecall.cli.output import Format, print_document
from rolecall.errors import RolecallError

_READ_IAM = ("iam:GetAccountAuthorizationDetails", "iam:GetRole", "iam:ListRoles")
_READ_EKS = (
    "eks:DescribeAccessEntry",
    "eks:DescribeCluster",
    "eks:ListAccessEntries",
    "eks:ListAssociatedAccessPolicies",
)
_FIND = ("eks:ListClusters",)
_READ = (*_READ_IAM, *_READ_EKS)
_READ_AGAIN = ("iam:GetRolePolicy", "iam:GetUser")
_WRITE_IAM = (
    "iam:CreateRole",
    "iam:CreateUser",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DeleteUserPolicy",
    "iam:DetachRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListInstanceProfilesForRole",
    "iam:ListRolePolicies",
    "iam:PutRolePolicy",
    "iam:PutUserPolicy",
    "iam:TagRole",
    "iam:TagUser",
    "iam:UntagRole",
    "iam:UntagUser",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
    "iam:UpdateUser",
)
_WRITE_EKS = (
    "eks:AssociateAccessPolicy",
    "eks:CreateAccessEntry",
    "eks:DeleteAccessEntry",
    "eks:DisassociateAccessPolicy",
    "eks:TagResource",
    "eks:UpdateAccessEntry",
)
# What has to go before a user can be deleted (IAM API reference, DeleteUser).
_DELETE_USER = (
    "iam:DeactivateMFADevice",
    "iam:DeleteAccessKey",
    "iam:DeleteLoginProfile",
    "iam:DeleteSSHPublicKey",
    "iam:DeleteServiceSpecificCredential",
    "iam:DeleteSigningCertificate",
    "iam:DeleteUser",
    "iam:DeleteVirtualMFADevice",
    "iam:DetachUserPolicy",
    "iam:ListAccessKeys",
    "iam:ListAttachedUserPolicies",
    "iam:ListGroupsForUser",
    "iam:ListMFADevices",
    "iam:ListSSHPublicKeys",
    "iam:ListServiceSpecificCredentials",
    "iam:ListSigningCertificates",
    "iam:ListUserPolicies",
    "iam:RemoveUserFromGroup",
)
_APPLY = (*_READ, *_READ_AGAIN, *_WRITE_IAM, *_WRITE_EKS)

IAM_ACTIONS: dict[str, tuple[str, ...]] = {
    "plan": _READ,
    "apply": (*_APPLY, *_DELETE_USER),
    "resume": (*_APPLY, *_DELETE_USER),
    "undo": (*_APPLY, *_DELETE_USER),
    "drift": (*_READ, "cloudtrail:LookupEvents"),
    "import": (*_READ, *_FIND),
    "new": (*_READ, *_FIND),
    "grant": _APPLY,
    "revoke": (*_APPLY, *_DELETE_USER, *_FIND),
    "kubeconfig": (*_FIND, "eks:DescribeCluster", "iam:GetAccountAuthorizationDetails", "iam:ListRoles"),
    "profiles": ("iam:GetAccountAuthorizationDetails", "iam:ListMFADevices", "iam:ListRoles"),
    "aws-auth": ("eks:DescribeAccessEntry", "eks:DescribeCluster", "eks:ListAccessEntries",
                 "eks:ListAssociatedAccessPolicies"),
    "access-entry": (*_READ_EKS, *_WRITE_EKS),
}  # fmt: skip
"""By command, the actions that it may call. GetCallerIdentity needs no right (STS API reference)."""

_RBAC = "rbac.authorization.k8s.io"
_RBAC_KINDS = ["clusterrolebindings", "clusterroles", "rolebindings", "roles"]
_BINDINGS = ["clusterrolebindings", "rolebindings"]
_MAPPINGS = "iamauthenticator.k8s.aws"
_READ_RULES: tuple[dict[str, Any], ...] = (
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["aws-auth"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]},
    {"apiGroups": [_RBAC], "resources": _RBAC_KINDS, "verbs": ["list"]},
    {"apiGroups": [_MAPPINGS], "resources": ["iamidentitymappings"], "verbs": ["list"]},
)
_AWS_AUTH_RULES: tuple[dict[str, Any], ...] = (
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["aws-auth", "rolecall-aws-auth-history"],
     "verbs": ["get", "update"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
)  # fmt: skip
_WRITE_RULES: tuple[dict[str, Any], ...] = (
    *_READ_RULES,
    *_AWS_AUTH_RULES,
    {"apiGroups": [_RBAC], "resources": _BINDINGS, "verbs": ["create", "delete", "get", "update"]},
    # Kubernetes documentation, "Restrictions on role binding creation or update": to bind a role without its rights.
    {"apiGroups": [_RBAC], "resources": ["clusterroles", "roles"], "verbs": ["bind"]},
    {"apiGroups": [_MAPPINGS], "resources": ["iamidentitymappings"], "verbs": ["create", "delete", "get", "update"]},
)
CLUSTER_RULES: dict[str, tuple[dict[str, Any], ...]] = {
    **dict.fromkeys(("plan", "drift", "import", "new"), _READ_RULES),
    **dict.fromkeys(("apply", "resume", "undo", "grant", "revoke"), _WRITE_RULES),
    "aws-auth": _AWS_AUTH_RULES,
}
"""By command, the rules of its ClusterRole; a command that is not here asks no cluster."""


def iam_policy(command: str) -> dict[str, Any]:
    """The IAM policy document that lets somebody run a command."""
    statement = {"Effect": "Allow", "Action": sorted(dict.fromkeys(IAM_ACTIONS[command])), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def cluster_role(command: str) -> dict[str, Any] | None:
    """The ClusterRole that lets somebody run a command; ``None`` if it asks no cluster."""
    rules = CLUSTER_RULES.get(command)
    if rules is None:
        return None
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"rolecall-{command}"},
        "rules": [dict(rule) for rule in rules],
    }


def permissions(
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="The command (default: plan).")] = "plan",
    output: Annotated[Format, typer.Option("-o", "--output", help="Output format.")] = Format.table,
) -> None:
    """Print the IAM policy and the ClusterRole that a command needs.

    The policy is for each account that the command reads or changes, the ClusterRole for each cluster. Narrow
    "Resource" to your own roles, users and clusters as you like.

    \b
    rolecall permissions plan
    rolecall permissions apply -o json

    Exit codes: 0 done, 1 the command needs no rights that are known here, 2 usage.
    """
    if command not in IAM_ACTIONS:
        known = ", ".join(sorted(IAM_ACTIONS))
        raise RolecallError(f"no rights are known for {command!r}", advice=f"commands that need rights: {known}")
    policy, role = iam_policy(command), cluster_role(command)
    if output is not Format.table:
        print_document("Permissions", {"command": command, "iamPolicy": policy, "clusterRole": role}, output)
        return
    sys.stdout.write(f"# IAM policy for rolecall {command}, in each account\n{json.dumps(policy, indent=2)}\n")
    if role is not None:
        import yaml

        text = yaml.safe_dump(role, sort_keys=False)
        sys.stdout.write(f"\n# ClusterRole for rolecall {command}, in each cluster: kubectl apply -f -\n{text}")
