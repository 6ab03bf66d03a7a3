"""What IAM saves. Sources: the recorded answers in ``recorded_policies.py``; each other table names its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorded_policies import (
    IAM_PATH,
    LEGACY,
    REFUSED,
    REGEX,
    SAVED,
    SYNTAX,
    VENDOR,
    one,
    partition,
    statement,
)
from rolecall.iam.documents import PolicyKind
from rolecall.iam.grammar import policies
from rolecall.iam.grammar.dates import is_date

IDENTITY, TRUST, SESSION = PolicyKind.IDENTITY, PolicyKind.TRUST, PolicyKind.SESSION


def refusal(document: Any, kind: PolicyKind = IDENTITY, *, managed: bool = True) -> str | None:
    return policies.refusal(json.dumps(document), kind, managed=managed and kind is IDENTITY)


def test_the_tables_are_whole() -> None:
    assert (len(REFUSED), len(SAVED)) == (78, 51)


@pytest.mark.parametrize(("document", "message"), REFUSED)
def test_refused_in_the_words_of_aws(document: Any, message: str) -> None:
    assert refusal(document) == message


@pytest.mark.parametrize("document", SAVED)
def test_saved(document: Any) -> None:
    assert refusal(document) is None


@pytest.mark.parametrize(
    "resource",
    [
        # AWS's managed policies have these (2026): an account's root, templates of roles, S3's regional resources.
        "arn:aws:iam::*:root",
        "arn:aws:iam::aws:role-template/cloudwatch.amazonaws.com/T:1",
        "arn:aws:iam::*:*",
        "arn:*:ec2:*:*:volume/*",
        "arn:aws:s3:*:*:access-grants/default",
        "arn:aws:s3:*:*:accesspoint/*",
        # User guide, "Policy variables": anywhere behind the fifth colon.
        "arn:aws:s3:::bucket/${aws:username}/*",
        # Service authorization reference, Amazon S3.
        "arn:aws:s3:us-west-2:123456789012:async-request/mrap/createmultiregionaccesspoint/t",
        "arn:aws:s3:eu-west-1:123456789012:storage-lens/default",
        "arn:aws-us-gov:s3:::b",
        "arn:aws-eusc:iam::123456789012:role/r",
    ],
)
def test_resources_that_are_in_use_are_saved(resource: str) -> None:
    assert refusal(one(Resource=resource)) is None
    assert refusal(one(Resource=None, NotResource=[resource])) is None


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ("arn:nowhere:s3:::b", partition("nowhere", "arn:nowhere:s3:::b")),
        ("arn::s3:::b", partition("", "arn::s3:::b")),
        ("arn:aws-moon:iam::1:role/r", partition("aws-moon", "arn:aws-moon:iam::1:role/r")),
        ("arn:aws:*:::b", REGEX),
        ("arn:aws:s?:::b", REGEX),
        ("arn:aws:iam::123456789012:r/x", IAM_PATH),
        ("arn:aws:iam::123456789012:role", IAM_PATH),
        ("arn:aws:sqs::b", LEGACY),
        ("arn:aws:::us-east-1:b", LEGACY),
        ("**", 'Resource ** must be in ARN format or "*".'),
        (
            "arn:aws:iam:eu-west-1:1:role/r",
            "IAM resource arn:aws:iam:eu-west-1:1:role/r cannot contain region information.",
        ),
        ("arn:aws:s3:eu-west-1:1:b", "Resource arn:aws:s3:eu-west-1:1:b can not contain region information."),
    ],
)
def test_other_resources_of_the_recorded_kinds(resource: str, message: str) -> None:
    for found in (one(Resource=resource), one(Resource=["*", resource]), one(Resource=None, NotResource=resource)):
        assert refusal(found) == message


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("ec2:* ", None),  # The IAM user guide prints it.
        ("iam:", None),
        ("s3:Get,Put", None),
        ("*:*", None),
        (":GetUser", VENDOR),
        ("**", VENDOR),
        ("s3", VENDOR),
        (" iam:GetUser", "Vendor  iam is not valid"),
        ("s3*:Get", "Vendor s3* is not valid"),
        ("s3_x:Get", "Vendor s3_x is not valid"),
        ("a b:c:d", "Actions/Condition can contain only one colon."),
    ],
)
def test_actions(action: str, message: str | None) -> None:
    assert refusal(one(Action=action)) == message
    assert refusal(one(Action=None, NotAction=["iam:GetUser", action])) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("2016", "-5", "2016-02-29", "2016-366", "2016-W53-7", "2016-12-13T", "0")),
        *((text, True) for text in ("2016-12-13T05", "2016-12-13T05Z", "2016-12-13T05:30+0130", "9223372036854775807")),
        *((text, False) for text in ("", "2015-02-29", "2016-13", "2016-00", "2016-12-32", "2016-367", "292278994-01")),
        *((text, False) for text in ("2016-12-13T24", "2016-12-13T05:60", "2016-12-13T05:00:60", "2016-12-13 05:00")),
        *((text, False) for text in ("2016-12-13T05+24", "-292275055-01", "${aws:CurrentTime}", "now", "\u0661\u0662")),
    ],
)
def test_dates(text: str, expected: bool) -> None:
    """Joda-Time, ``ISODateTimeFormat.dateOptionalTimeParser``: its grammar, its years and its calendar."""
    assert is_date(text) is expected
    assert refusal(one(Condition={"ForAnyValue:DateEqualsIfExists": {"k": [text]}})) == (None if expected else LEGACY)


@pytest.mark.parametrize(
    "block",
    [
        {"NumericLessThan": {"k": "many"}},
        {"IpAddress": {"aws:SourceIp": "here"}},
        {"Bool": {"aws:SecureTransport": False}},
        {"NumericEquals": {"k": [1, 2.5]}},
        {"Null": {"k": "perhaps"}},
        {"StringEquals": {"": ""}},
        {"StringEquals": {"K": "a", "k": "b"}},
    ],
)
def test_values_that_mean_nothing_are_saved(block: Any) -> None:
    """None of AWS's messages is about them; they match nothing."""
    assert refusal(one(Condition=block)) is None


@pytest.mark.parametrize(
    "block", [{"StringEquals": {"k": None}}, {"StringEquals": {"k": [["a"]]}}, {"Nul": {"k": "a"}}]
)
def test_conditions_of_another_form_are_syntax_errors(block: Any) -> None:
    assert refusal(one(Condition=block)) == SYNTAX


@pytest.mark.parametrize(
    "text",
    [
        '{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": []}',
        '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Effect": "Deny", "Action": "*", "Resource": "*"}}',
        "[" * 100_000,
        '{"Version": NaN}',
        '{"Version": ' + "9" * 5_000 + "}",
        "",
        "[]",
        "null",
    ],
)
def test_texts_that_are_no_policy(text: str) -> None:
    """IAM user guide, "IAM JSON policy elements reference": no key twice in one element."""
    assert policies.refusal(text, IDENTITY, managed=True) == SYNTAX


def test_the_version_is_asked_of_managed_policies_alone() -> None:
    old = {"Statement": statement()}
    assert refusal(old, managed=False) is None
    assert refusal(old, SESSION) is None
    assert refusal({"Statement": statement(Resource=None, Principal="*", Action="sts:AssumeRole")}, TRUST) is None


PRINCIPAL = "Policy document should not specify a principal."


@pytest.mark.parametrize("kind", [IDENTITY, SESSION])
@pytest.mark.parametrize("element", ["Principal", "NotPrincipal"])
def test_no_principal_in_what_is_attached_to_one(kind: PolicyKind, element: str) -> None:
    assert refusal(one(**{element: {"AWS": "123456789012"}}), kind) == PRINCIPAL


def trust(**changes: Any) -> dict[str, Any]:
    return one(**{"Action": "sts:AssumeRole", "Resource": None, "Principal": {"AWS": "123456789012"}, **changes})


NOBODY = (
    "Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: "
    "The passed in policy has a statement with no principals!"
)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (trust(), None),
        (trust(Action=["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]), None),
        (trust(Action="sts:*"), None),
        (trust(Principal="*"), None),
        (trust(Principal={"Service": ["ec2.amazonaws.com", "eks.amazonaws.com"]}), None),
        (trust(Principal={"Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/A"}), None),
        (trust(Principal={"AWS": ["arn:aws:sts::123456789012:assumed-role/r/s", "AIDACKCEVSQ6C2EXAMPLE"]}), None),
        # LocalStack, test_iam_roles.snapshot.json, test_update_assume_role_policy_errors (2026-02).
        (trust(Action="s3:ListBucket"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (trust(Resource="*"), "Has prohibited field Resource"),
        # As users report them: terraform-aws-iam issue 47, opstrace issue 88.
        (trust(Principal={"AWS": []}), NOBODY),
        (trust(Principal={}), NOBODY),
        (trust(Principal={"AWS": "ann"}), 'Invalid principal in policy: "AWS":"ann"'),
        (trust(Principal={"AWS": "arn:aws:iam::123456789012:user/*"}), 'Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:user/*"'),
        (trust(Principal={"Service": "ec2"}), 'Invalid principal in policy: "SERVICE":"ec2"'),
        (trust(Principal=None), "Missing required field Principal"),
        (trust(Principal={"Somebody": "x"}), SYNTAX),
        (trust(Principal="ann"), SYNTAX),
        (trust(Effect="allow"), LEGACY),
        (trust(Action=None), "Policy statement must contain actions."),
    ],
)  # fmt: skip
def test_trust_policies(document: Any, message: str | None) -> None:
    assert refusal(document, TRUST) == message


def test_a_trust_policy_that_is_not_json() -> None:
    """LocalStack, test_iam.snapshot.json, test_create_role_with_malformed_assume_role_policy_document (2025-03)."""
    assert policies.refusal("{ not json", TRUST) == "This policy contains invalid Json"


def test_the_principals_of_a_trust_policy() -> None:
    named = trust(Principal={"AWS": ["123456789012", "AIDACKCEVSQ6C2EXAMPLE"], "Service": "ec2.amazonaws.com"})
    assert list(policies.aws_principals(json.dumps(named))) == ["123456789012", "AIDACKCEVSQ6C2EXAMPLE"]
    assert list(policies.aws_principals(json.dumps(trust(Principal="*")))) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("Effect", "Action", "Resource", "Condition", "Principal"), _JSON)
    ),
    _JSON,
)
def test_every_document_gets_an_answer(item: dict[str, Any], statements: Any) -> None:
    for kind in (IDENTITY, TRUST, SESSION):
        for found in ({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **item}}, {"Statement": statements}):
            answer = refusal(found, kind)
            assert answer is None or answer
