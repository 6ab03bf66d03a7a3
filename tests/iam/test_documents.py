"""Policy documents: what is refused, and where. Source: IAM user guide, "Grammar of the IAM JSON policy language"."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.iam.documents import PolicyError, PolicyKind, parse_policy, read_policy

GOOD = {"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*"}
TRUST = {"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "sts:AssumeRole"}


def text(statement: Any, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statement, **more})


@pytest.mark.parametrize(
    ("document", "kind", "path"),
    [
        ("", PolicyKind.IDENTITY, "$"),
        ("[]", PolicyKind.IDENTITY, "$"),
        ("{", PolicyKind.IDENTITY, "$"),
        ("NaN", PolicyKind.IDENTITY, "$"),
        ('{"Version": "2012-10-17"}', PolicyKind.IDENTITY, "$"),
        ('{"Statement": [], "Statement": []}', PolicyKind.IDENTITY, "$"),
        (text([]), PolicyKind.IDENTITY, "$.Statement"),
        (text([GOOD], Version="2020-01-01"), PolicyKind.IDENTITY, "$.Version"),
        (text([GOOD], Extra=1), PolicyKind.IDENTITY, "$.Extra"),
        (text(["x"]), PolicyKind.IDENTITY, "$.Statement[0]"),
        (text([{**GOOD, "Effect": "allow"}]), PolicyKind.IDENTITY, "$.Statement[0].Effect"),
        (text([{**GOOD, "Sid": 1}]), PolicyKind.IDENTITY, "$.Statement[0].Sid"),
        (text([{**GOOD, "Typo": 1}]), PolicyKind.IDENTITY, "$.Statement[0].Typo"),
        (text([{**GOOD, "NotAction": "x:y"}]), PolicyKind.IDENTITY, "$.Statement[0]"),
        (text([{**GOOD, "Action": []}]), PolicyKind.IDENTITY, "$.Statement[0].Action"),
        (text([GOOD, {**GOOD, "Action": ["iam:x", "GetUser"]}]), PolicyKind.IDENTITY, "$.Statement[1].Action[1]"),
        (text([{**GOOD, "Resource": "bucket"}]), PolicyKind.IDENTITY, "$.Statement[0].Resource[0]"),
        (text([{**GOOD, "Principal": "*"}]), PolicyKind.IDENTITY, "$.Statement[0].Principal"),
        (text([{**GOOD, "Sid": "a"}, {**GOOD, "Sid": "a"}]), PolicyKind.IDENTITY, "$.Statement"),
        (text([{**GOOD, "Condition": []}]), PolicyKind.IDENTITY, "$.Statement[0].Condition"),
        (text([{**GOOD, "Condition": {"StringIs": {"a:b": "c"}}}]), PolicyKind.IDENTITY, "$.Statement[0].Condition.StringIs"),
        (text([{**GOOD, "Condition": {"NumericEquals": {"a:b": "c"}}}]), PolicyKind.IDENTITY, "$.Statement[0].Condition.NumericEquals.a:b"),
        (text([{**GOOD, "Condition": {"IpAddress": {"a:b": "1.2.3"}}}]), PolicyKind.IDENTITY, "$.Statement[0].Condition.IpAddress.a:b"),
        (text([{**GOOD, "Condition": {"Bool": {"a:b": "maybe"}}}]), PolicyKind.IDENTITY, "$.Statement[0].Condition.Bool.a:b"),
        (text([{**GOOD, "Condition": {"Null": {"a:b": "maybe"}}}]), PolicyKind.IDENTITY, "$.Statement[0].Condition.Null.a:b"),
        (text([{**GOOD, "Condition": {"DateEquals": {"a:b": "today"}}}]), PolicyKind.IDENTITY, "$.Statement[0].Condition.DateEquals.a:b"),
        (text([{**TRUST, "Resource": "*"}]), PolicyKind.TRUST, "$.Statement[0].Resource"),
        (text([{k: v for k, v in TRUST.items() if k != "Principal"}]), PolicyKind.TRUST, "$.Statement[0]"),
        (text([{**TRUST, "Principal": {"AWS": "arn:aws:iam::1:user/x"}}]), PolicyKind.TRUST, "$.Statement[0].Principal.AWS[0]"),
        (text([{**TRUST, "Principal": {"Aws": "111111111111"}}]), PolicyKind.TRUST, "$.Statement[0].Principal.Aws"),
        (text([{**TRUST, "Principal": "x"}]), PolicyKind.TRUST, "$.Statement[0].Principal"),
        (text([{**TRUST, "Principal": {"Service": "ec2"}}]), PolicyKind.TRUST, "$.Statement[0].Principal.Service[0]"),
        (text([{**TRUST, "Principal": {"Service": "*.amazonaws.com"}}]), PolicyKind.TRUST, "$.Statement[0].Principal.Service[0]"),
        (text([{**TRUST, "Principal": {"Federated": "google"}}]), PolicyKind.TRUST, "$.Statement[0].Principal.Federated[0]"),
        (text([{**TRUST, "Principal": {"Federated": "arn:aws:iam::111111111111:oidc-provider/*"}}]), PolicyKind.TRUST, "$.Statement[0].Principal.Federated[0]"),
        # "IAM JSON policy elements: Sid": letters and digits.
        (text([{**GOOD, "Sid": "a-b"}]), PolicyKind.IDENTITY, "$.Statement[0].Sid"),
        (text([{**TRUST, "Sid": "a b"}]), PolicyKind.TRUST, "$.Statement[0].Sid"),
        # Service authorization reference, AWS STS: what is done with a role.
        (text([{**TRUST, "Action": ["sts:AssumeRole", "iam:GetUser"]}]), PolicyKind.TRUST, "$.Statement[0].Action[1]"),
        (text([{**TRUST, "Action": "sts:GetCallerIdentity"}]), PolicyKind.TRUST, "$.Statement[0].Action[0]"),
        (text([{**GOOD, "Action": "iam:Get:User"}]), PolicyKind.IDENTITY, "$.Statement[0].Action[0]"),
    ],
)  # fmt: skip
def test_errors_name_the_json_path(document: str, kind: PolicyKind, path: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(document, kind)
    assert refused.value.json_path == path


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        # Texts as AWS gives them (recorded by users: kubernetes/kops 4951, aws-cloudformation/cfn-lint 1376).
        ({**GOOD, "Sid": "a-b"}, PolicyKind.IDENTITY, "Statement IDs (SID) must be alpha-numeric"),
        ({**GOOD, "Principal": "*"}, PolicyKind.SESSION, "Policy document should not specify a principal."),
        ({"Effect": "Allow", "Action": "x:y"}, PolicyKind.IDENTITY, "Policy statement must contain resources"),
        ({"Effect": "Allow", "Resource": "*"}, PolicyKind.IDENTITY, "Policy statement must contain actions"),
        ({**GOOD, "Action": "GetUser"}, PolicyKind.IDENTITY, "must be prefaced by a vendor"),
        ({**TRUST, "Action": "ec2:*"}, PolicyKind.TRUST, "may only specify STS AssumeRole actions."),
    ],
)
def test_errors_say_what_aws_says(statement: Any, kind: PolicyKind, words: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(text([statement]), kind)
    assert words in refused.value.what


@pytest.mark.parametrize("action", ["*", "sts:*", "sts:Assume*", "sts:TagSession", "sts:SetSourceIdentity"])
def test_actions_of_a_trust_policy(action: str) -> None:
    assert parse_policy(text([{**TRUST, "Action": action}]), PolicyKind.TRUST).statements[0].actions


@pytest.mark.parametrize(
    "principal",
    [
        # IAM user guide, "AWS JSON policy elements: Principal", the examples of each kind.
        {"Service": ["ec2.amazonaws.com", "pods.eks.amazonaws.com", "ec2.amazonaws.com.cn"]},
        {"Federated": "cognito-identity.amazonaws.com"},
        {"Federated": "accounts.google.com"},
        {"Federated": "arn:aws:iam::111111111111:saml-provider/My.Provider"},
        {"Federated": "arn:aws:iam::111111111111:oidc-provider/oidc.eks.eu-west-2.amazonaws.com/id/ABC"},
    ],
)
def test_services_and_identity_providers(principal: Any) -> None:
    assert parse_policy(text([{**TRUST, "Principal": principal}]), PolicyKind.TRUST).statements[0].principals


def test_a_policy_of_a_resource_may_have_spaces_in_its_sid() -> None:
    """S3 and KMS documentation show such policies (thinkinglabs/aws-iam-policy issue 5)."""
    statement = {**GOOD, "Principal": "*", "Sid": "Allow use of the key"}
    assert parse_policy(text([statement]), PolicyKind.RESOURCE).statements[0].sid == "Allow use of the key"


# Documents that AWS takes, and the small things in which they differ from the usual: own documents of the kinds of
# moto's table, all of which AWS answered with 200 (LocalStack's recorded answers, 2026-02).
TAKEN = [
    {**GOOD, "Action": "iam: Get User "},
    {**GOOD, "Action": "ec2:* "},
    {**GOOD, "Action": ["iam:GetUser", "iam: ListUsers"]},
    {**GOOD, "Action": "iam:Get,User"},
    {**GOOD, "Action": "iam:"},
    {**GOOD, "Action": "a-service.nobody-has:DoIt"},
    {**GOOD, "Action": "s3-x:ListBucket"},
    {**GOOD, "Condition": {}},
    {**GOOD, "Condition": {"DateLessThan": {}}},
    {**GOOD, "Condition": {"SomethingElse": {}, "b": {}}},
    {**GOOD, "Condition": {"NumericEquals": {"x": []}}},
    {**GOOD, "Condition": {"StringEqualsIfExists": {"team": "blue"}}},
    {**GOOD, "Condition": {"ForAnyValue:StringNotLikeIfExists": {"team": ["blue"]}}},
    {**GOOD, "Condition": {"DateLessThan": {"aws:CurrentTime": "2031-01-31t2:00:00.123456+05"}}},
    {**GOOD, "Condition": {"DateLessThan": {"aws:CurrentTime": "-1234567890"}}},
    {**GOOD, "Condition": {"StringEquals": {"aws:PrincipalTag/a b": "x", "AWS:username": "y"}}},
    {**GOOD, "Resource": "arn:aws:nothing-such:::x"},
    {**GOOD, "Resource": ["*", "*"]},
    {"Effect": "Allow", "NotAction": "s3:*", "NotResource": "*"},
]


@pytest.mark.parametrize("statement", TAKEN)
def test_what_aws_takes_is_read_without_doubt(statement: Any) -> None:
    found = parse_policy(text([statement]), PolicyKind.IDENTITY)
    assert len(found.statements) == 1
    assert found.unclear == ()
    assert read_policy(text(statement), PolicyKind.IDENTITY).statements == found.statements


def test_a_date_that_is_not_understood_is_a_doubt() -> None:
    """AWS takes it; which moment it means is not documented."""
    found = read_policy(text([{**GOOD, "Condition": {"DateGreaterThan": {"a": "01T"}}}]), PolicyKind.IDENTITY)
    assert found.statements == ()
    assert [one.why for one in found.unclear] == [
        "$.Statement[0].Condition.DateGreaterThan.a: '01T' is not a value for DateGreaterThan"
    ]


def test_the_longest_of_awss_own_policies_is_read() -> None:
    """AWSSupportServiceRolePolicy has 152,297 characters, most of them in the actions of one statement."""
    actions = [f"service{index}:DescribeSomethingThatExists" for index in range(5_500)]
    document = text([{**GOOD, "Action": actions}, GOOD])
    assert len(document) > 200_000
    assert len(parse_policy(document, PolicyKind.IDENTITY).statements) == 2


@pytest.mark.parametrize("principal", ["AIDAEXAMPLE123456789", "AROAEXAMPLE123456789", "111111111111", "*"])
def test_a_principal_of_a_trust_policy(principal: str) -> None:
    assert parse_policy(text([{**TRUST, "Principal": {"AWS": [principal]}}]), PolicyKind.TRUST).unclear == ()


def test_a_path_may_have_any_printable_character() -> None:
    """IAM user guide, "IAM identifiers", "Friendly names and paths"."""
    principal = {"AWS": "arn:aws:iam::111111111111:role/a;b#c/R"}
    assert parse_policy(text([{**TRUST, "Principal": principal}]), PolicyKind.TRUST).unclear == ()


def test_a_single_statement_and_single_values_need_no_list() -> None:
    found = parse_policy(text(GOOD), PolicyKind.IDENTITY)
    assert found.statements[0].actions == ("iam:getuser",)
    assert found.statements[0].resources == ("*",)


def test_bounds() -> None:
    with pytest.raises(PolicyError, match="at most"):
        parse_policy(" " * 1_100_000, PolicyKind.IDENTITY)
    with pytest.raises(PolicyError):
        parse_policy('{"Statement":' + "[" * 100_000, PolicyKind.IDENTITY)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Condition", "Principal", "x"]),
                        inner, max_size=4), max_leaves=12))  # fmt: skip
def test_any_json_is_a_policy_or_a_policy_error(value: Any) -> None:
    for kind in PolicyKind:
        path = "$"
        try:
            parse_policy(json.dumps(value), kind)
        except PolicyError as error:
            path = error.json_path
        assert path.startswith("$")
        assert read_policy(json.dumps(value), kind).kind is kind
