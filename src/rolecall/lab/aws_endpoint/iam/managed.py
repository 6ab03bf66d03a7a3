"""The AWS managed policies that the lab knows.

Names and documents of what the procedure, EKS's own roles and the tools of the field use; the two that grant by a
list of EC2 actions are given by their services' wildcards. Source: AWS managed policy reference guide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping


def _allow(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions) if len(actions) > 1 else actions[0], "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# By path and name below arn:PARTITION:iam::aws:policy.
MANAGED_POLICIES: Mapping[str, str] = {
    "/AdministratorAccess": _allow("*"),
    "/PowerUserAccess": json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
                {
                    "Effect": "Allow",
                    "Action": [
                        "account:GetAccountInformation",
                        "account:GetPrimaryEmail",
                        "account:ListRegions",
                        "iam:CreateServiceLinkedRole",
                        "iam:DeleteServiceLinkedRole",
                        "iam:ListRoles",
                        "organizations:DescribeOrganization",
                    ],
                    "Resource": "*",
                },
            ],
        }
    ),
    "/IAMFullAccess": _allow(
        "iam:*",
        "organizations:DescribeAccount",
        "organizations:DescribeOrganization",
        "organizations:DescribeOrganizationalUnit",
        "organizations:DescribePolicy",
        "organizations:ListChildren",
        "organizations:ListParents",
        "organizations:ListPoliciesForTarget",
        "organizations:ListRoots",
        "organizations:ListPolicies",
        "organizations:ListTargetsForPolicy",
    ),
    "/IAMReadOnlyAccess": _allow(
        "iam:GenerateCredentialReport",
        "iam:GenerateServiceLastAccessedDetails",
        "iam:Get*",
        "iam:List*",
        "iam:SimulateCustomPolicy",
        "iam:SimulatePrincipalPolicy",
    ),
    "/ReadOnlyAccess": _allow("eks:Describe*", "eks:List*", "iam:Get*", "iam:List*", "sts:GetCallerIdentity"),
    "/SecurityAudit": _allow(
        "eks:DescribeCluster", "eks:List*", "iam:GenerateCredentialReport", "iam:Get*", "iam:List*", "iam:Simulate*"
    ),
    "/AmazonEKSClusterPolicy": _allow("ec2:Describe*", "elasticloadbalancing:*", "kms:DescribeKey"),
    "/AmazonEKSWorkerNodePolicy": _allow("ec2:Describe*", "eks:DescribeCluster", "eks-auth:AssumeRoleForPodIdentity"),
    "/AmazonEKS_CNI_Policy": _allow("ec2:Describe*", "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface"),
    "/AmazonEC2ContainerRegistryReadOnly": _allow(
        "ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:List*", "ecr:Describe*"
    ),
}
