"""The evaluation logic, case by case. Source of each case: IAM user guide (page named), or facts/iam.md (number)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rolecall.iam.compiled import compile_policies
from rolecall.iam.documents import PolicyKind
from rolecall.iam.evaluate import Effect, IamDecision, PolicySet, evaluate
from rolecall.iam.request import AuthorizationRequest, request_context

ALLOW, IMPLICIT, EXPLICIT = Effect.ALLOW, Effect.IMPLICIT_DENY, Effect.EXPLICIT_DENY
RESOURCE = "arn:aws:sqs:eu-west-2:111111111111:queue"
STAR = {"Effect": "Allow", "Action": "*", "Resource": "*"}
NOTHING = {"Effect": "Allow", "Action": "x:y", "Resource": "*"}
DENY = {"Effect": "Deny", "Action": "sqs:*", "Resource": "*"}


def decide(make: SimpleNamespace, principal: Any, policies: PolicySet, **context: tuple[str, ...]) -> IamDecision:
    """The reference's decision, after the compiled evaluator has agreed."""
    keys = request_context(principal, now=make.now, source_ip="192.0.2.1", service_keys=context)
    request = AuthorizationRequest(principal, "sqs:SendMessage", RESOURCE, make.account, keys)
    decision = evaluate(request, policies)
    assert compile_policies(policies).decide(request) is decision.effect
    return decision


def names(principal: Any) -> Any:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sqs:*", "Resource": "*"}


# Who is named in a resource's policy, and what limits the grant: the table of "Policy evaluation logic" (facts/iam 5).
DIRECT_GRANTS = [
    ("user", "the user", "boundary", ALLOW),
    ("user", "the user", "nothing", ALLOW),
    ("user", "the account", "nothing", IMPLICIT),
    ("user", "the account", "identity", ALLOW),
    ("user", "everybody", "boundary", ALLOW),
    ("session", "the role", "nothing", ALLOW),
    ("session", "the role", "boundary", IMPLICIT),
    ("session", "the role", "session policy", IMPLICIT),
    ("session", "the session", "boundary", ALLOW),
    ("session", "the session", "session policy", ALLOW),
    ("session", "the account", "identity", ALLOW),
    ("session", "the account", "nothing", IMPLICIT),
    ("session", "another session", "nothing", IMPLICIT),
    ("federated", "the session", "session policy", ALLOW),
    ("root", "the account", "nothing", ALLOW),
    ("user", "the account in full", "identity", ALLOW),
]


@pytest.mark.parametrize(("who", "named", "limit", "expected"), DIRECT_GRANTS)
def test_direct_grants(make: SimpleNamespace, who: str, named: str, limit: str, expected: Effect) -> None:
    principal = {"user": make.user, "session": make.session, "federated": make.federated, "root": make.root}[who]()
    principals = {
        "the user": principal.arn,
        "the role": principal.principal_arn,
        "the session": principal.arn,
        "another session": "arn:aws:sts::111111111111:assumed-role/Dev/other",
        "the account": make.account,
        "the account in full": f"arn:aws:iam::{make.account}:root",
        "everybody": "*",
    }
    refusing = make.document(PolicyKind.BOUNDARY, NOTHING)
    policies = PolicySet(
        identity=(make.document(PolicyKind.IDENTITY, STAR),) if limit == "identity" else (),
        boundary=refusing if limit == "boundary" else None,
        session=(make.document(PolicyKind.SESSION, NOTHING),) if limit == "session policy" else None,
        resource=make.document(PolicyKind.RESOURCE, names(principals[named])),
    )
    assert decide(make, principal, policies).effect is expected


@pytest.mark.parametrize(
    ("identity", "boundary", "session", "scps", "rcps", "expected"),
    [
        # "Policy evaluation logic": every kind that applies has to allow, a Deny anywhere ends it.
        ([STAR], None, None, [], [], ALLOW),
        ([], None, None, [], [], IMPLICIT),
        ([STAR], [STAR], None, [], [], ALLOW),
        ([STAR], [NOTHING], None, [], [], IMPLICIT),
        ([NOTHING], [STAR], None, [], [], IMPLICIT),
        ([STAR], None, [STAR], [], [], ALLOW),
        ([STAR], None, [NOTHING], [], [], IMPLICIT),
        ([STAR], None, [], [], [], IMPLICIT),
        # "SCP evaluation": an Allow at every level, root, each OU, account.
        ([STAR], None, None, [[STAR], [STAR]], [], ALLOW),
        ([STAR], None, None, [[STAR], [NOTHING]], [], IMPLICIT),
        ([STAR], None, None, [[STAR], []], [], IMPLICIT),
        ([STAR], None, None, [[STAR, DENY]], [], EXPLICIT),
        ([STAR], None, None, [], [[DENY, STAR]], EXPLICIT),
        ([STAR], None, None, [], [[NOTHING]], IMPLICIT),
        ([STAR, DENY], None, None, [], [], EXPLICIT),
        ([STAR], [STAR, DENY], None, [], [], EXPLICIT),
        ([STAR], None, [STAR, DENY], [], [], EXPLICIT),
        ([DENY], None, None, [], [], EXPLICIT),
    ],
)
def test_combinations(
    make: SimpleNamespace, identity: Any, boundary: Any, session: Any, scps: Any, rcps: Any, expected: Effect
) -> None:
    def one(kind: PolicyKind, statements: list[Any]) -> Any:
        if kind is PolicyKind.RCP:
            statements = [{**statement, "Principal": "*"} for statement in statements]
        return make.document(kind, *statements)

    def several(kind: PolicyKind, statements: list[Any]) -> tuple[Any, ...]:
        return (one(kind, statements),) if statements else ()

    policies = PolicySet(
        identity=several(PolicyKind.IDENTITY, identity),
        boundary=one(PolicyKind.BOUNDARY, boundary) if boundary else None,
        session=several(PolicyKind.SESSION, session) if session is not None else None,
        scps=tuple(several(PolicyKind.SCP, level) for level in scps),
        rcps=tuple(several(PolicyKind.RCP, level) for level in rcps),
    )
    assert decide(make, make.user(), policies).effect is expected


def test_root_is_bound_by_its_organisation_alone(make: SimpleNamespace) -> None:
    """IAM user guide, "AWS account root user"; facts/iam 7."""
    assert decide(make, make.root(), PolicySet(identity=(make.document(PolicyKind.IDENTITY, DENY),))).allowed
    scps = ((make.document(PolicyKind.SCP, STAR, DENY),),)
    assert decide(make, make.root(), PolicySet(scps=scps)).effect is EXPLICIT


def test_a_federated_user_needs_a_session_policy(make: SimpleNamespace) -> None:
    """facts/iam 9."""
    identity = (make.document(PolicyKind.IDENTITY, STAR),)
    assert decide(make, make.federated(), PolicySet(identity=identity)).effect is IMPLICIT
    session = (make.document(PolicyKind.SESSION, STAR),)
    assert decide(make, make.federated(), PolicySet(identity=identity, session=session)).allowed


@pytest.mark.parametrize(("identity", "named", "expected"), [
    ([STAR], True, ALLOW), ([STAR], False, IMPLICIT), ([], True, IMPLICIT), ([DENY], True, EXPLICIT),
])  # fmt: skip
def test_another_account_needs_both_sides(make: SimpleNamespace, identity: Any, named: bool, expected: Effect) -> None:
    """IAM user guide, "Cross-account policy evaluation logic"."""
    principal = make.user(account=make.other)
    resource = make.document(PolicyKind.RESOURCE, names(principal.arn if named else make.account))
    own = (make.document(PolicyKind.IDENTITY, *identity),) if identity else ()
    assert decide(make, principal, PolicySet(identity=own, resource=resource)).effect is expected


@pytest.mark.parametrize(("partition", "expected"), [("aws", ALLOW), ("aws-cn", IMPLICIT)])
def test_the_account_of_another_partition_is_another(make: SimpleNamespace, partition: str, expected: Effect) -> None:
    """AWS General Reference, ARNs: a partition is another AWS, with accounts of its own."""
    root = {"AWS": f"arn:{partition}:iam::{make.account}:root"}
    trust = make.document(PolicyKind.TRUST, {"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole"})
    policies = PolicySet(identity=(make.document(PolicyKind.IDENTITY, STAR),), resource=trust)
    request = AuthorizationRequest(make.user(), "sts:AssumeRole", "arn:aws:iam::111111111111:role/r", make.account)
    assert evaluate(request, policies).effect is expected


def test_a_user_made_anew_is_another_principal(make: SimpleNamespace) -> None:
    """facts/iam 11."""
    principal = make.user()
    resource = make.document(PolicyKind.RESOURCE, names(principal.arn))
    bound = PolicySet(resource=resource, resource_principal_ids={principal.arn: "AIDASOMEBODYELSE00000"})
    assert decide(make, principal, bound).effect is IMPLICIT
    same = PolicySet(resource=resource, resource_principal_ids={principal.arn: principal.principal_id})
    assert decide(make, principal, same).allowed


NOT_ANN = {"Effect": "Deny", "Action": "*", "Resource": "*"}


@pytest.mark.parametrize(("excepted", "boundary", "expected"), [
    (["111111111111", "arn:aws:iam::111111111111:user/ann"], False, ALLOW),
    (["arn:aws:iam::111111111111:user/ann"], False, EXPLICIT),
    (["111111111111"], False, EXPLICIT),
    (["111111111111", "arn:aws:iam::111111111111:user/ann"], True, EXPLICIT),
])  # fmt: skip
def test_not_principal_in_a_deny(make: SimpleNamespace, excepted: list[str], boundary: bool, expected: Effect) -> None:
    """IAM user guide, "NotPrincipal": the account and the user have to be listed; a boundary is always denied."""
    resource = make.document(PolicyKind.RESOURCE, {**NOT_ANN, "NotPrincipal": {"AWS": excepted}})
    policies = PolicySet(
        identity=(make.document(PolicyKind.IDENTITY, STAR),),
        boundary=make.document(PolicyKind.BOUNDARY, STAR) if boundary else None,
        resource=resource,
    )
    assert decide(make, make.user(), policies).effect is expected


def test_reasons_name_the_statement_that_decided(make: SimpleNamespace) -> None:
    deny = {**DENY, "Sid": "NoQueues"}
    decision = decide(make, make.user(), PolicySet(identity=(make.document(PolicyKind.IDENTITY, STAR, deny),)))
    assert "'NoQueues'" in decision.reasons[0].text
    assert decision.because("sqs:SendMessage") == "with an explicit deny in an identity-based policy"
    trust = {"Effect": "Deny", "Principal": "*", "Action": "sts:*"}
    policies = PolicySet(resource=make.document(PolicyKind.TRUST, trust))
    request = AuthorizationRequest(make.user(), "sts:AssumeRole", "arn:aws:iam::111111111111:role/Dev", make.account)
    # IAM user guide, "Troubleshoot access denied error messages", role trust policies.
    assert evaluate(request, policies).because("sts:AssumeRole") == "with an explicit deny in the role trust policy"
    missing = decide(make, make.user(), PolicySet(identity=(make.document(PolicyKind.IDENTITY, NOTHING),)))
    assert missing.because("sqs:SendMessage") == "because no identity-based policy allows the sqs:SendMessage action"


CONDITIONS = [
    # IAM user guide, "Condition operators", "Conditions with multiple context keys or values", facts/iam 16 to 18.
    ({"StringEquals": {"k:a": ["x", "y"]}}, {"k:a": ("y",)}, True),
    ({"StringEquals": {"K:A": "y"}}, {"k:a": ("y",)}, True),
    ({"StringEquals": {"k:a": "Y"}}, {"k:a": ("y",)}, False),
    ({"StringNotEquals": {"k:a": ["x", "y"]}}, {"k:a": ("y",)}, False),
    ({"StringNotEquals": {"k:a": ["x", "y"]}}, {"k:a": ("z",)}, True),
    ({"StringNotEquals": {"k:a": "x"}}, {}, True),
    ({"StringEquals": {"k:a": "x"}}, {}, False),
    ({"StringEqualsIfExists": {"k:a": "x"}}, {}, True),
    ({"StringEqualsIfExists": {"k:a": "x"}}, {"k:a": ("y",)}, False),
    ({"StringLike": {"k:a": "a*?c"}}, {"k:a": ("abbc",)}, True),
    ({"StringLike": {"k:a": "a[b]c"}}, {"k:a": ("abc",)}, False),
    ({"StringEqualsIgnoreCase": {"k:a": "ABC"}}, {"k:a": ("abc",)}, True),
    ({"NumericLessThan": {"k:a": "10"}}, {"k:a": ("9",)}, True),
    ({"NumericLessThan": {"k:a": "10"}}, {"k:a": ("nine",)}, False),
    ({"NumericGreaterThanEquals": {"k:a": 10}}, {"k:a": ("10.0",)}, True),
    ({"NumericNotEquals": {"k:a": "10"}}, {"k:a": ("11",)}, True),
    ({"DateGreaterThan": {"k:a": "2026-01-01T00:00:00Z"}}, {"k:a": ("2026-01-02",)}, True),
    ({"DateLessThan": {"k:a": "2026-01-01T00:00:00+02:00"}}, {"k:a": ("2025-12-31T21:00:00Z",)}, True),
    ({"DateEquals": {"k:a": "1767225600"}}, {"k:a": ("2026-01-01T00:00:00Z",)}, True),
    ({"Bool": {"k:a": True}}, {"k:a": ("true",)}, True),
    ({"Bool": {"k:a": "false"}}, {}, False),
    ({"BoolIfExists": {"k:a": "false"}}, {}, True),
    ({"BinaryEquals": {"k:a": "AQI="}}, {"k:a": ("AQI=",)}, True),
    ({"IpAddress": {"k:a": "2001:db8::/32"}}, {"k:a": ("2001:db8::1",)}, True),
    ({"IpAddress": {"k:a": "192.0.2.0/24"}}, {"k:a": ("2001:db8::1",)}, False),
    ({"NotIpAddress": {"k:a": "192.0.2.0/24"}}, {"k:a": ("192.0.2.9",)}, False),
    ({"ArnLike": {"k:a": "arn:aws:iam::*:role/x*"}}, {"k:a": ("arn:aws:iam::1:role/xy",)}, True),
    ({"ArnNotEquals": {"k:a": "arn:aws:iam::1:role/x"}}, {"k:a": ("arn:aws:iam::1:role/x",)}, False),
    ({"Null": {"k:a": "true"}}, {}, True),
    ({"Null": {"k:a": "false"}}, {"k:a": ("",)}, True),
    ({"Null": {"k:a": "false"}}, {}, False),
    ({"ForAnyValue:StringEquals": {"k:a": ["x", "y"]}}, {"k:a": ("y", "z")}, True),
    ({"ForAnyValue:StringEquals": {"k:a": "x"}}, {"k:a": ("y", "z")}, False),
    ({"ForAllValues:StringEquals": {"k:a": ["x", "y"]}}, {"k:a": ("y", "x")}, True),
    ({"ForAllValues:StringEquals": {"k:a": ["x", "y"]}}, {"k:a": ("y", "z")}, False),
    ({"ForAllValues:StringEquals": {"k:a": "x"}}, {}, True),
    ({"ForAnyValue:StringEquals": {"k:a": "x"}}, {}, False),
    ({"ForAnyValue:StringNotEquals": {"k:a": "x"}}, {"k:a": ("x", "y")}, True),
    ({"StringEquals": {"k:a": "x"}}, {"k:a": ("x", "x")}, False),
    ({"StringEquals": {"k:a": "x"}, "Null": {"k:b": "true"}}, {"k:a": ("x",)}, True),
    ({"StringEquals": {"k:a": "x", "k:b": "y"}}, {"k:a": ("x",)}, False),
    ({"StringLike": {"k:a": "${aws:username}-*"}}, {"k:a": ("ann-1",)}, True),
    ({"StringLike": {"k:a": "${*}"}}, {"k:a": ("anything",)}, False),
    ({"StringEquals": {"k:a": "${k:none}"}}, {"k:a": ("",)}, False),
    ({"StringNotEquals": {"k:a": "${k:none}"}}, {"k:a": ("x",)}, True),
    ({"StringEquals": {"k:a": "${k:none, 'dflt'}"}}, {"k:a": ("dflt",)}, True),
    # "Variables and tags": ${*}, ${?} and ${$} stand for the characters themselves.
    ({"StringEquals": {"k:a": "${$}{aws:username}"}}, {"k:a": ("${aws:username}",)}, True),
    ({"StringLike": {"k:a": "a${?}${$}"}}, {"k:a": ("a?$",)}, True),
    ({"StringLike": {"k:a": "a${?}"}}, {"k:a": ("ab",)}, False),
    # "Condition operators": * is a wildcard of StringLike and a letter of StringEquals, beside a variable as well.
    ({"StringEquals": {"k:a": "${aws:username}*"}}, {"k:a": ("ann*",)}, True),
    ({"StringEquals": {"k:a": "${aws:username}*"}}, {"k:a": ("anna",)}, False),
    ({"StringNotEqualsIgnoreCase": {"k:a": "${aws:username}?"}}, {"k:a": ("ANN?",)}, False),
]


@pytest.mark.parametrize(("condition", "context", "expected"), CONDITIONS)
def test_conditions(make: SimpleNamespace, condition: Any, context: Any, expected: bool) -> None:
    policies = PolicySet(identity=(make.document(PolicyKind.IDENTITY, {**STAR, "Condition": condition}),))
    assert decide(make, make.user(), policies, **context).allowed is expected


def test_a_wildcard_that_comes_out_of_a_variable_is_a_letter(make: SimpleNamespace) -> None:
    """IAM user guide, "Variables and tags": a user named * may not match everything."""
    condition = {"StringLike": {"k:a": "${k:b}"}}
    policies = PolicySet(identity=(make.document(PolicyKind.IDENTITY, {**STAR, "Condition": condition}),))
    assert not decide(make, make.user(), policies, **{"k:a": ("anything",), "k:b": ("*",)}).allowed
    assert decide(make, make.user(), policies, **{"k:a": ("*",), "k:b": ("*",)}).allowed
