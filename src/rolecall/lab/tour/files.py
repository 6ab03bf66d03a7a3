"""The names and files of the procedure: policies, and the ConfigMap aws-auth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

ACCOUNT, REGION, CLUSTER = "231144931069", "eu-west-2", "kubedemy"
USER, ROLE = "kubedemy", "Kubedemy_EKS_KubernetesAdmin"
COLLEAGUE = "colleague"
PROFILE, POLICY = "KubernetesAdmin", "Describe_Kubedemy_Cluster"
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/{USER}"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
CLUSTER_ARN = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{CLUSTER}"
USERNAME = "admin:{{AccessKeyID}}:{{SessionName}}"

NODES = (
    f"- rolearn: arn:aws:iam::{ACCOUNT}:role/nodes\n"
    "  username: system:node:{{EC2PrivateDNSName}}\n"
    "  groups:\n    - system:bootstrappers\n    - system:nodes\n"
)


def aws_auth(entries: str) -> str:
    """aws-auth with these entries in mapRoles."""
    indented = "".join(f"    {line}\n" for line in entries.splitlines())
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\n"
    return f"{head}data:\n  mapRoles: |\n{indented}"


def trust(*users: str) -> str:
    """A trust policy that names these users."""
    arns = [f"arn:aws:iam::{ACCOUNT}:user/{user}" for user in users]
    principal = {"AWS": arns if len(arns) > 1 else arns[0]}
    return _policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def describe_policy() -> str:
    """A policy that allows eks:DescribeCluster on the cluster alone."""
    return _policy({"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": CLUSTER_ARN})


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2) + "\n"
