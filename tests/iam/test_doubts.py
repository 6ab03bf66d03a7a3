"""What is not understood of a policy spoils only itself, and is named beside every answer that it touches."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from rolecall.iam.assume_role import (
    AssumeRoleRequest,
    TrustedRole,
    WebIdentity,
    decide_assume_role,
    decide_web_identity,
)
from rolecall.iam.compiled import compile_policies
from rolecall.iam.documents import PolicyDocument, PolicyKind, read_policy
from rolecall.iam.evaluate import Effect, IamDecision, PolicySet, evaluate
from rolecall.iam.request import AuthorizationRequest, request_context

ALLOW = {"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": "*"}
DENY = {**ALLOW, "Effect": "Deny"}
UNKNOWN = {"StringResembles": {"aws:username": "ann"}}
CLUSTER = "arn:aws:eks:eu-west-2:111111111111:cluster/c"


def read(*statements: Any, kind: PolicyKind = PolicyKind.IDENTITY, **more: Any) -> PolicyDocument:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})
    return read_policy(text, kind, name=kind.value)


def decided(make: SimpleNamespace, policies: PolicySet, action: str = "eks:DescribeCluster") -> IamDecision:
    """The reference's decision, after the compiled evaluator gave the same, doubts included."""
    principal = make.user()
    context = request_context(principal, now=make.now)
    request = AuthorizationRequest(principal, action, CLUSTER, make.account, context)
    decision, compiled = evaluate(request, policies), compile_policies(policies)
    assert (compiled.decide(request), compiled.doubts(request)) == (decision.effect, decision.doubts)
    return decision


def outcome(decision: IamDecision) -> str:
    """``yes`` or ``no``, ``may`` for a refusal that is in doubt, ``yes?`` for an Allow that is."""
    if decision.allowed:
        return "yes" if decision.certain else "yes?"
    return "no" if decision.certain else "may"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        # A string that names no action means nothing and matches nothing; its neighbours hold.
        ([{**ALLOW, "Action": ["eks:DescribeCluster", "s3:GetObject "]}], "yes"),
        ([{**ALLOW, "Action": ["eks:DescribeCluster", "iam: Get User ", "ec2:", "a,b:c", "s3.s:x"]}], "yes"),
        ([{**ALLOW, "Action": "eks:DescribeCluster "}], "no"),
        # An element that is not understood makes an Allow a "may"; what is understood of a list holds.
        ([{**ALLOW, "Action": 5}], "may"),
        ([{**ALLOW, "Action": ["eks:DescribeCluster", 5]}], "yes"),
        ([{**ALLOW, "Action": ["eks:ListClusters", 5]}], "may"),
        ([{**ALLOW, "Resource": [CLUSTER, None]}], "yes"),
        ([{**ALLOW, "Resource": [None]}], "may"),
        ([{"Effect": "Allow", "NotAction": ["iam:*", 5], "Resource": "*"}], "may"),
        ([{"Effect": "Allow", "NotAction": ["eks:*", 5], "Resource": "*"}], "no"),
        ([{**ALLOW, "Condition": UNKNOWN}], "may"),
        ([{**ALLOW, "Effect": "Maybe"}], "may"),
        ([{**ALLOW, "Surprise": 1}], "may"),
        (["nonsense"], "may"),
        ([{**ALLOW, "Action": "iam:GetUser", "Condition": UNKNOWN}], "no"),
        ([{**ALLOW, "Condition": {**UNKNOWN, "StringEquals": {"aws:username": "bob"}}}], "no"),
        ([{**ALLOW, "Condition": {**UNKNOWN, "StringEquals": {"aws:username": "ann"}}}], "may"),
        # A value that its operator cannot read: the others of its list decide, if they can.
        ([{**ALLOW, "Condition": {"DateGreaterThan": {"aws:CurrentTime": "soon"}}}], "may"),
        ([{**ALLOW, "Condition": {"DateGreaterThan": {"aws:CurrentTime": ["soon", "2020-01-01"]}}}], "yes"),
        ([{**ALLOW, "Condition": {"DateNotEquals": {"aws:CurrentTime": ["soon", "2020-01-01"]}}}], "may"),
        ([{**ALLOW, "Condition": {"IpAddress": {"aws:SourceIp": {"cidr": "::/0"}}}}], "may"),
        # Valid, and without a key there is nothing that could fail (recorded: moto's table of valid documents).
        ([{**ALLOW, "Condition": {"DateGreaterThan": {}}}], "yes"),
        ([{**ALLOW, "Condition": {"a": {}}}], "yes"),
        ([{**ALLOW, "Condition": {"DateGreaterThan": {"a": []}}}], "no"),
        ([{**ALLOW, "Condition": {"StringEquals": {"team": "blue"}}}], "no"),
        ([{**ALLOW, "Condition": {"StringEqualsIfExists": {"team": "blue"}}}], "yes"),
        # One statement does not spoil another.
        ([ALLOW, {**ALLOW, "Action": "s3:*", "Condition": UNKNOWN}], "yes"),
        ([ALLOW, {**ALLOW, "Effect": "Maybe", "Action": "s3:*"}], "yes"),
        ([ALLOW, {**ALLOW, "Condition": UNKNOWN}], "yes"),
        # A Deny that is not understood denies nothing, and is named.
        ([ALLOW, {**DENY, "Condition": UNKNOWN}], "yes?"),
        ([ALLOW, {**DENY, "Action": ["s3:*", 5]}], "yes?"),
        ([ALLOW, {**DENY, "Action": "s3:*", "Condition": UNKNOWN}], "yes"),
        ([ALLOW, {**DENY, "Action": ["eks:*", 5]}], "no"),
        ([DENY, {**ALLOW, "Condition": UNKNOWN}], "no"),
        ([{**DENY, "Condition": UNKNOWN}], "no"),
        ([{**ALLOW, "Condition": UNKNOWN}, {**DENY, "Condition": UNKNOWN}], "may"),
    ],
)  # fmt: skip
def test_what_is_not_understood_spoils_itself(make: SimpleNamespace, statements: list[Any], expected: str) -> None:
    assert outcome(decided(make, PolicySet(identity=(read(*statements),)))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"Statement": 5}',
        '{"Version": "2030-01-01", "Statement": []}',
        '{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": []}',
        '{"Statement":' + "[" * 100_000,
        " " * 1_100_000,
    ],
)
def test_a_document_that_is_not_understood_may_say_anything(make: SimpleNamespace, text: str) -> None:
    strange = read_policy(text, PolicyKind.IDENTITY, name="p")
    assert outcome(decided(make, PolicySet(identity=(strange,)))) == "may"
    assert outcome(decided(make, PolicySet(identity=(read(ALLOW), strange)))) == "yes?"


@pytest.mark.parametrize(
    "kind", [PolicyKind.BOUNDARY, PolicyKind.SESSION, PolicyKind.SCP, PolicyKind.RCP, PolicyKind.RESOURCE]
)
@pytest.mark.parametrize(("effect", "expected"), [("Allow", "may"), ("Deny", "yes?")])
def test_every_kind_of_policy_is_read_so(make: SimpleNamespace, kind: PolicyKind, effect: str, expected: str) -> None:
    principal = {"Principal": "*"} if kind in (PolicyKind.RCP, PolicyKind.RESOURCE) else {}
    strange = {**ALLOW, **principal, "Effect": effect, "Condition": UNKNOWN}
    statements = [strange] if effect == "Allow" else [{**ALLOW, **principal}, strange]
    document = read(*statements, kind=kind)
    member: dict[str, Any] = {
        PolicyKind.BOUNDARY: {"boundary": document},
        PolicyKind.SESSION: {"session": (document,)},
        PolicyKind.SCP: {"scps": ((document,),)},
        PolicyKind.RCP: {"rcps": ((document,),)},
        PolicyKind.RESOURCE: {"resource": document},
    }[kind]
    own = () if kind is PolicyKind.RESOURCE else (read(ALLOW),)
    decision = decided(make, PolicySet(identity=own, **member))
    assert outcome(decision) == expected
    assert [(doubt.kind, doubt.effect) for doubt in decision.doubts] == [(kind.value, effect)]
    # Where something else is missing for certain, it makes no difference.
    if kind is not PolicyKind.RESOURCE and effect == "Allow":
        assert outcome(decided(make, PolicySet(**member))) == "no"


def test_a_doubt_says_where_and_why(make: SimpleNamespace) -> None:
    policy = read(ALLOW | {"Action": "s3:*"}, {**ALLOW, "Sid": "Odd", "Condition": UNKNOWN})
    (doubt,) = decided(make, PolicySet(identity=(policy,))).doubts
    assert (doubt.policy, doubt.statement, doubt.effect) == ("identity-based policy", "statement 'Odd'", "Allow")
    assert doubt.why == "$.Statement[1].Condition.StringResembles: Invalid Condition type : StringResembles."
    assert doubt.to_json() == {
        "policy": "identity-based policy",
        "policyKind": "identity-based policy",
        "statement": "statement 'Odd'",
        "effect": "allow",
        "why": doubt.why,
    }


def test_only_the_sides_on_which_an_answer_hangs_are_named(make: SimpleNamespace) -> None:
    identity = read(ALLOW, {**ALLOW, "Condition": UNKNOWN})
    boundary = read({**ALLOW, "Condition": UNKNOWN}, kind=PolicyKind.BOUNDARY)
    decision = decided(make, PolicySet(identity=(identity,), boundary=boundary))
    assert [doubt.kind for doubt in decision.doubts] == [PolicyKind.BOUNDARY.value]
    two = read({**ALLOW, "Condition": UNKNOWN}, {**ALLOW, "Action": ["x:y", None]})
    assert len(decided(make, PolicySet(identity=(two,))).doubts) == 2


def test_get_caller_identity_is_never_in_doubt(make: SimpleNamespace) -> None:
    strange = read_policy("", PolicyKind.IDENTITY)
    assert outcome(decided(make, PolicySet(identity=(strange,)), "sts:GetCallerIdentity")) == "yes"


TRUST = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:user/ann"}, "Action": "sts:AssumeRole"}


@pytest.mark.parametrize(
    ("statements", "allowed", "doubts"),
    [
        ([TRUST, {**TRUST, "Condition": UNKNOWN}], True, 0),
        ([{**TRUST, "Condition": UNKNOWN}], False, 1),
        ([{**TRUST, "Principal": {"AWS": "somebody"}}], False, 1),
        ([{**TRUST, "Principal": {"AWS": ["somebody", TRUST["Principal"]["AWS"]]}}], True, 0),  # type: ignore[index]
        ([{**TRUST, "Principal": {"Realm": "r"}}], False, 1),
        ([{**TRUST, "Principal": {"Service": "not a host name"}}], False, 0),
        ([{**TRUST, "NotPrincipal": {"AWS": "*"}}], False, 1),
        ([{**TRUST, "Principal": {"AWS": "222222222222"}, "Condition": UNKNOWN}], False, 0),
        # One condition key without a colon does not make the other statements trust nobody.
        ([TRUST, {**TRUST, "Condition": {"StringEquals": {"team": "blue"}}}], True, 0),
        ([TRUST, {**TRUST, "Effect": "Deny", "Condition": UNKNOWN}], True, 1),
    ],
)
def test_a_trust_policy_is_read_statement_by_statement(
    make: SimpleNamespace, statements: list[Any], allowed: bool, doubts: int
) -> None:
    role = TrustedRole(
        f"arn:aws:iam::{make.account}:role/R", "AROAR", make.account, read(*statements, kind=PolicyKind.TRUST)
    )
    decision = decide_assume_role(AssumeRoleRequest(role.arn, "session", make.now), make.user(), role, PolicySet())
    assert (decision.allowed, len(decision.doubts)) == (allowed, doubts)


def test_no_doubt_where_another_permission_is_refused_for_certain(make: SimpleNamespace) -> None:
    role = TrustedRole(
        f"arn:aws:iam::{make.account}:role/R", "AROAR", make.account,
        read({**TRUST, "Condition": UNKNOWN}, kind=PolicyKind.TRUST),
    )  # fmt: skip
    call = AssumeRoleRequest(role.arn, "session", make.now, tags=(("team", "x"),))
    assert decide_assume_role(call, make.user(), role, PolicySet()).doubts == ()


PROVIDER = "arn:aws:iam::111111111111:oidc-provider/issuer.example"
WEB = {"Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": "sts:AssumeRoleWithWebIdentity"}


@pytest.mark.parametrize(
    ("statements", "allowed", "doubts"),
    [
        ([WEB], True, 0),
        ([{**WEB, "Condition": UNKNOWN}], False, 1),
        ([WEB, {**WEB, "Condition": UNKNOWN}], True, 0),
        ([WEB, {**WEB, "Effect": "Deny", "Condition": UNKNOWN}], True, 1),
        ([{**WEB, "Effect": "Deny"}, {**WEB, "Condition": UNKNOWN}], False, 0),
        ([{**WEB, "Effect": "Deny", "Condition": UNKNOWN}], False, 0),
        ([{**WEB, "Principal": {"Realm": "r"}}], False, 1),
        ([{**WEB, "Principal": {"Federated": f"{PROVIDER}2"}, "Condition": UNKNOWN}], False, 0),
        ([{**WEB, "Principal": "*"}], False, 0),
    ],
)
def test_tokens_of_a_provider_are_decided_so_too(
    make: SimpleNamespace, statements: list[Any], allowed: bool, doubts: int
) -> None:
    arn = f"arn:aws:iam::{make.account}:role/R"
    role = TrustedRole(arn, "AROAR", make.account, read(*statements, kind=PolicyKind.TRUST))
    token = WebIdentity(PROVIDER, "issuer.example", "somebody", "aud")
    decision = decide_web_identity(AssumeRoleRequest(arn, "session", make.now), token, role)
    assert (decision.allowed, len(decision.doubts)) == (allowed, doubts)


def test_effects_are_of_what_was_understood(make: SimpleNamespace) -> None:
    assert decided(make, PolicySet(identity=(read({**ALLOW, "Condition": UNKNOWN}),))).effect is Effect.IMPLICIT_DENY
