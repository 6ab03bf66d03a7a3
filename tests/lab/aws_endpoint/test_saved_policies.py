"""What the endpoint saves and refuses, in AWS's words. Source: the recorded answers in ``recorded_policies.py``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from recorded_policies import REFUSED, SAVED, statement, when
from recorded_policies import document as document_of

ACCOUNT = "231144931069"
TRUST = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}


def message(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    error = raised.value.response["Error"]
    assert error["Code"] == "MalformedPolicyDocument"
    return str(error["Message"])


def test_each_recorded_document_is_saved_or_refused_as_aws_does(lab: Any) -> None:
    iam = lab.client("iam")
    for document, expected in REFUSED:
        assert message(iam.create_policy, PolicyName="p", PolicyDocument=json.dumps(document)) == expected
    for index, document in enumerate(SAVED):
        made = iam.create_policy(PolicyName=f"p{index}", PolicyDocument=json.dumps(document))["Policy"]
        version = iam.get_policy_version(PolicyArn=made["Arn"], VersionId="v1")["PolicyVersion"]
        assert version["Document"] == document


def test_what_means_nothing_is_saved_and_matches_nothing(lab: Any) -> None:
    """The account still works, what means something is in force, and nobody is allowed anything by the rest."""
    iam = lab.client("iam")
    iam.create_user(UserName="ann")
    odd = [when("StringEqualsIfExists", {"team": "blue"}), SAVED[1], when("DateGreaterThan", {"a": "01T"})]
    for index, document in enumerate(odd):
        iam.put_user_policy(UserName="ann", PolicyName=f"p{index}", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    ann = lab.client("iam", key)
    with pytest.raises(ClientError, match="AccessDenied"):
        ann.get_user(UserName="ann")
    mixed = statement(Action=["s3:GetObject ", "iam: Get User ", "iam:GetUser"], Resource="*")
    iam.put_user_policy(UserName="ann", PolicyName="mixed", PolicyDocument=json.dumps(document_of(mixed)))
    assert ann.get_user(UserName="ann")["User"]["UserName"] == "ann"
    assert iam.get_account_authorization_details()["UserDetailList"]


def test_an_inline_policy_may_have_no_version(lab: Any) -> None:
    iam = lab.client("iam")
    iam.create_group(GroupName="g")
    old = {"Statement": {"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*"}}
    iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=json.dumps(old))
    assert message(iam.create_policy, PolicyName="p", PolicyDocument=json.dumps(old)).startswith(
        "Policy document must be"
    )


@pytest.mark.parametrize(
    ("trust", "expected"),
    [
        ("{ not json", "This policy contains invalid Json"),
        ({**TRUST, "Resource": "*"}, "Has prohibited field Resource"),
        ({**TRUST, "Action": "s3:ListBucket"}, "AssumeRole policy may only specify STS AssumeRole actions."),
        ({**TRUST, "Principal": {"AWS": "nobody"}}, 'Invalid principal in policy: "AWS":"nobody"'),
    ],
)
def test_trust_policies(lab: Any, trust: Any, expected: str) -> None:
    iam = lab.client("iam")
    text = trust if isinstance(trust, str) else json.dumps({"Version": "2012-10-17", "Statement": trust})
    assert message(iam.create_role, RoleName="r", AssumeRolePolicyDocument=text) == expected


def test_tags_of_policies_and_providers_mind_case(lab: Any) -> None:
    """LocalStack, test_iam_policies.snapshot.json, TestPolicyTags (2026-02); IAM user guide, "Tags for IAM resources"."""
    iam = lab.client("iam")
    two = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
    made = iam.create_policy(PolicyName="p", PolicyDocument=json.dumps(SAVED[0]), Tags=two)["Policy"]
    assert made["Tags"] == two
    assert iam.list_policy_tags(PolicyArn=made["Arn"])["Tags"] == [two[1], two[0]]
    iam.untag_policy(PolicyArn=made["Arn"], TagKeys=["a"])
    assert iam.get_policy(PolicyArn=made["Arn"])["Policy"]["Tags"] == [two[1]]
    iam.tag_policy(PolicyArn=made["Arn"], Tags=[{"Key": "a", "Value": "3"}])
    assert len(iam.list_policy_tags(PolicyArn=made["Arn"])["Tags"]) == 2
    with pytest.raises(ClientError, match=r"InvalidInput.*: Duplicate tag keys found\.$"):
        iam.tag_policy(PolicyArn=made["Arn"], Tags=[two[0], two[0]])
    with pytest.raises(ClientError, match=r"InvalidInput.*Tag keys are case insensitive\."):
        iam.create_user(UserName="ann", Tags=two)
    provider = iam.create_open_id_connect_provider(Url="https://idp.example.com", Tags=two)
    assert len(provider["Tags"]) == 2
