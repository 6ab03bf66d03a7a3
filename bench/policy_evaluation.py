"""Decisions a second, compiled, on small and on realistic policies. The floor is the reference evaluator."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

from measure import Report, paired
from rolecall.arn import PrincipalKind
from rolecall.iam.compiled import compile_policies
from rolecall.iam.documents import PolicyDocument, PolicyKind, parse_policy
from rolecall.iam.evaluate import PolicySet, evaluate
from rolecall.iam.principals import Principal
from rolecall.iam.request import AuthorizationRequest, request_context

ACCOUNT = "111111111111"
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def identity(*statements: dict[str, Any]) -> PolicyDocument:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return parse_policy(text, PolicyKind.IDENTITY)


def requests(principal: Principal) -> list[AuthorizationRequest]:
    keys = {
        "aws:multifactorauthpresent": ("true",),
        "aws:resourcetag/team": ("red",),
        "aws:principaltag/team": ("red",),
    }
    context = request_context(principal, now=NOW, source_ip="192.0.2.1", region="eu-west-2", service_keys=keys)
    asked = [
        ("eks:DescribeCluster", f"arn:aws:eks:eu-west-2:{ACCOUNT}:cluster/prod"),
        ("eks:ListClusters", "*"),
        ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/Dev"),
        ("iam:GetRole", f"arn:aws:iam::{ACCOUNT}:role/Dev"),
        ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/x"),
        ("s3:GetObject", "arn:aws:s3:::bucket/key"),
    ]
    return [AuthorizationRequest(principal, action, resource, ACCOUNT, context) for action, resource in asked]


SMALL = PolicySet(
    (
        identity(
            {"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": f"arn:aws:eks:*:{ACCOUNT}:cluster/*"},
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{ACCOUNT}:role/Dev"},
        ),
    )
)
REALISTIC = PolicySet(
    (
        identity(
            {"Effect": "Deny", "NotAction": ["iam:ChangePassword", "iam:GetUser", "sts:GetSessionToken"], "Resource": "*",
             "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}},
        ),
        identity(
            {"Effect": "Allow", "Action": ["eks:Describe*", "eks:List*"], "Resource": "*"},
            {"Effect": "Allow", "Action": "eks:*", "Resource": f"arn:aws:eks:*:{ACCOUNT}:cluster/dev-*"},
        ),
        identity(
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [f"arn:aws:iam::*:role/team-{i}-*" for i in range(8)]},
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{ACCOUNT}:role/Dev",
             "Condition": {"StringEquals": {"aws:PrincipalTag/team": ["red", "blue"]}, "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}}},
        ),
        identity(
            {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"],
             "Condition": {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}},
            {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"},
        ),
        identity(
            {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
            {"Effect": "Allow", "Action": ["iam:Get*", "iam:List*"], "Resource": f"arn:aws:iam::{ACCOUNT}:*"},
        ),
    ),
    boundary=identity({"Effect": "Allow", "NotAction": "organizations:*", "Resource": "*"}),
    scps=(
        (identity({"Effect": "Allow", "Action": "*", "Resource": "*"}),),
        (identity(
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "*", "Resource": "*",
             "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-2", "us-east-1"]}}},
        ),),
    ),
)  # fmt: skip


def main() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
    principal = Principal(PrincipalKind.USER, ACCOUNT, arn, arn, "AIDAANN", "AIDAANN", name="ann")
    report = Report()
    for name, policies, bar in (("small policies", SMALL, 7.5), ("realistic policies", REALISTIC, 6.0)):
        compiled, asked = compile_policies(policies), requests(principal)
        for request in asked:
            assert compiled.decide(request) is evaluate(request, policies).effect
        turn, slow_turn = cycle(asked).__next__, cycle(asked).__next__
        decided, over_reference = paired(
            lambda turn=turn, compiled=compiled: compiled.decide(turn()),
            lambda turn=slow_turn, policies=policies: evaluate(turn(), policies),
            batch=600,
        )
        report.figure(f"compiled evaluation, {name}", decided)
        report.ratio_at_least("  over the reference evaluator", over_reference, bar)
    report.end()


if __name__ == "__main__":
    main()
