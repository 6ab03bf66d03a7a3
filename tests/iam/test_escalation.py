"""Which statements let a principal become another one or raise itself; sources beside the table in the code."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.iam.account import Account, IamRole, IamUser
from rolecall.iam.escalation import Escalation, by_statement, escalations
from rolecall.iam.escalation_table import POWERS
from rolecall.iam.matching import matcher, overlap, resources_overlap
from rolecall.iam.needs import session_of

A, B = "111122223333", "444455556666"
C1, C2 = (f"arn:aws:eks:eu-west-2:{A}:cluster/{name}" for name in ("c1", "c2"))
FAR = f"arn:aws:eks:eu-west-2:{B}:cluster/far"
ROLE = IamRole("Viewer", f"arn:aws:iam::{A}:role/Viewer", "{}", "AROAVIEWER")
ANN = IamUser("ann", f"arn:aws:iam::{A}:user/ann", "AIDAANN")


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def text(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def found(*statements: Any, who: IamUser | IamRole = ROLE, boundary: Any = None) -> tuple[Escalation, ...]:
    account = Account(A, managed={"arn:b": text(*boundary)} if boundary else {})
    more: dict[str, Any] = {"inline": {"p": text(*statements)}, "boundary": "arn:b" if boundary else ""}
    if isinstance(who, IamRole):
        who = IamRole(who.name, who.arn, who.trust, who.role_id, **more)
        session = session_of("session", datetime(2026, 1, 1, tzinfo=UTC))
        principal = account.principal(who, session)
    else:
        who = IamUser(who.name, who.arn, who.user_id, **more)
        principal = account.principal(who)
    return escalations(account.policies(who), principal, [C1, C2, FAR, "no ARN"])


def actions(*statements: Any, who: IamUser | IamRole = ROLE, boundary: Any = None) -> list[str]:
    return [one.action for one in found(*statements, who=who, boundary=boundary)]


def test_administration_of_a_cluster_by_its_entries() -> None:
    first, second = found(allow(["eks:CreateAccessEntry", "eks:AssociateAccessPolicy"]))
    assert (first.policy, first.statement) == ("inline policy p of role Viewer", "statement 0")
    assert (first.action, first.resources, first.clusters) == ("eks:CreateAccessEntry", ("*",), (C1, C2))
    assert (first.conditional, first.certain) == (False, True)
    assert second.gives == "make any access entry administrator of the cluster"
    assert first.to_json()["clusters"] == [C1, C2]


@pytest.mark.parametrize(
    ("statement", "clusters"),
    [
        (allow("eks:CreateAccessEntry", C1), (C1,)),
        (allow("eks:CreateAccessEntry", f"arn:aws:eks:*:{A}:cluster/c?"), (C1, C2)),
        (allow("eks:AssociateAccessPolicy", f"arn:aws:eks:*:*:access-entry/c2/role/{A}/Viewer/*"), (C2,)),
        (allow("eks:AssociateAccessPolicy", C1), ()),
        (allow("eks:CreateAccessEntry", FAR), ()),
        (allow("eks:CreateAccessEntry", "arn:aws:eks:us-east-1:*:cluster/*"), ()),
        ({"Effect": "Allow", "Action": "eks:UpdateClusterConfig", "NotResource": C1}, (C2,)),
        ({"Effect": "Allow", "Action": "eks:UpdateClusterConfig", "NotResource": "arn:aws:eks:*"}, ()),
        (allow("eks:CreateAccessEntry", f"arn:aws:eks:eu-west-2:{A}:cluster/${{aws:PrincipalTag/cluster}}"), (C1, C2)),
    ],
)
def test_of_which_clusters(statement: dict[str, Any], clusters: tuple[str, ...]) -> None:
    assert tuple(arn for one in found(statement) for arn in one.clusters) == clusters


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([allow(["s3:*", "iam:Get*", "iam:List*", "eks:DescribeCluster", "sts:*"])], []),
        ([allow("iam:putrolepolicy")], ["iam:PutRolePolicy"]),
        ([allow("iam:Put*Policy", f"arn:aws:iam::{A}:role/*")], ["iam:PutRolePolicy"]),
        ([allow("iam:Put*Policy", f"arn:aws:iam::{B}:role/*")], []),
        ([allow("iam:PassRole", "arn:aws:iam::*:role/service-role/*")], ["iam:PassRole"]),
        ([allow("iam:UpdateAssumeRolePolicy", f"arn:aws:iam::{A}:user/*")], []),
        ([{"Effect": "Allow", "NotAction": ["iam:*", "eks:*", "sso:*", "identitystore:*", "lambda:*", "ssm:*", "ecs:*",
                                            "codebuild:*"], "Resource": "*"}], ["cloudformation:UpdateStack"]),
        # What a Deny takes away altogether is none; what it leaves something of, is.
        ([allow("iam:PutRolePolicy"), deny("iam:*")], []),
        ([allow("iam:PutRolePolicy"), deny("iam:Put*", "arn:aws:iam::*:role/*")], []),
        ([allow("iam:PutRolePolicy", "arn:aws:iam::*:role/x-*"), deny("iam:*", "arn:aws:iam::*:role/x*")], []),
        ([allow("iam:PutRolePolicy"), deny("iam:Put*", "arn:aws:iam::*:role/x-*")], ["iam:PutRolePolicy"]),
        ([allow("iam:PutRolePolicy"), deny("iam:*", Condition={"Bool": {"aws:ViaAWSService": "false"}})],
         ["iam:PutRolePolicy"]),
        ([allow("iam:PutRolePolicy"), {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::b"}], []),
        ([deny("iam:PutRolePolicy")], []),
    ],
)  # fmt: skip
def test_what_is_found(statements: list[Any], expected: list[str]) -> None:
    assert actions(*statements) == expected


def test_a_boundary_limits_it() -> None:
    everything = allow("*")
    assert actions(everything, boundary=[allow(["s3:*", "iam:PassRole"], "arn:aws:iam::*:role/app-*")]) == [
        "iam:PassRole"
    ]
    only = allow("iam:PassRole", "arn:aws:iam::*:role/other")
    assert actions(only, boundary=[allow("iam:PassRole", "arn:aws:iam::*:role/app-*")]) == []
    assert actions(allow("iam:PassRole"), boundary=[allow("*"), deny("iam:*")]) == []


def test_a_users_own_keys_raise_nobody() -> None:
    """IAM user guide, "AWS: Allows MFA-authenticated IAM users to manage their own credentials"."""
    own = "arn:aws:iam::*:user/${aws:username}"
    assert actions(allow("iam:*AccessKey*", own), who=ANN) == []
    assert actions(allow("iam:CreateAccessKey", ANN.arn), who=ANN) == []
    assert actions(allow("iam:PutUserPolicy", own), who=ANN) == ["iam:PutUserPolicy"]
    assert actions(allow("iam:CreateAccessKey", "arn:aws:iam::*:user/*"), who=ANN) == ["iam:CreateAccessKey"]
    # A role has no user name, so such a pattern means nobody.
    assert actions(allow("iam:PutUserPolicy", own)) == []


def test_conditions_and_what_was_not_understood_are_said() -> None:
    with_boundary = allow("iam:CreateRole", Condition={"StringEquals": {"iam:PermissionsBoundary": "arn:b"}})
    (one,) = found(with_boundary)
    assert one.conditional
    (one,) = found(allow("iam:CreateRole", Condition={"StringResembles": {"a:b": "c"}}))
    assert not one.certain
    assert "StringResembles" in one.why


def test_everything_on_everything_is_the_whole_table() -> None:
    everything = found(allow("*"))
    assert [one.action for one in everything] == [power.action for power in POWERS]
    assert [len(ones) for ones in by_statement(everything).values()] == [len(POWERS)]


PATTERN = st.text("ab*?", max_size=6)


@given(PATTERN, PATTERN)
def test_overlap_is_a_text_that_matches_both(one: str, other: str) -> None:
    letters = ("", "a", "b", "c")
    texts = {""}
    for _ in range(6):
        texts |= {text + letter for text in texts for letter in letters}
    if any(matcher(one)(text) and matcher(other)(text) for text in texts if one and other):
        assert overlap(one, other)
    if overlap(one, other):
        # Patterns of n letters that share a text share one of at most 2n.
        assert _shares(one, other)


def _shares(one: str, other: str) -> bool:
    """The same by derivatives, one letter of either at a time."""
    seen: set[tuple[str, str]] = set()
    waiting = [(one, other)]
    while waiting:
        left, right = waiting.pop()
        if (left, right) in seen:
            continue
        seen.add((left, right))
        if not left.strip("*") and not right.strip("*"):
            return True
        for first, second in ((left, right), (right, left)):
            swap = first is not left
            if first.startswith("*"):
                waiting.append((second, first[1:]) if swap else (first[1:], second))
                if second:
                    waiting.append((second[1:], first) if swap else (first, second[1:]))
        if left and right and "*" not in (left[0], right[0]) and ("?" in (left[0], right[0]) or left[0] == right[0]):
            waiting.append((left[1:], right[1:]))
    return False


def test_resources_overlap_part_by_part() -> None:
    assert resources_overlap("arn:aws:iam::1:role/*", "arn:*:iam::*:role/a")
    assert not resources_overlap("arn:aws:iam::1:role/*", "arn:aws:iam::2:role/*")
    assert resources_overlap("*", "arn:aws:iam::2:role/*")
    assert resources_overlap("arn:aws:eks:*", "arn:aws:eks:r:1:cluster/c")


def test_the_table_is_of_actions_each_once() -> None:
    assert len({power.action for power in POWERS}) == len(POWERS)
    assert all(re.fullmatch(r"[a-z]+:[A-Z][A-Za-z]+", power.action) for power in POWERS)
