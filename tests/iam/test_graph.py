"""Who can assume which roles: tables with their sources, and the rules of AssumeRole as judge over random worlds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.iam.account import Account, IamGroup, IamRole, IamUser
from rolecall.iam.assume_role import AssumeRoleRequest, may_assume_role
from rolecall.iam.compiled import compile_policies
from rolecall.iam.graph import AssumeGraph, Edge, OutsiderKind, build_graph
from rolecall.iam.needs import NeedKind, session_of
from rolecall.iam.principals import Principal
from rolecall.iam.statements import Grant

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
A, B = "111122223333", "444455556666"
SOON, PAST = "2026-01-20T00:00:00Z", "2025-12-01T00:00:00Z"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(
    principal: Any, condition: dict[str, Any] | None = None, *, effect: str = "Allow", action: Any = "sts:AssumeRole"
) -> dict[str, Any]:
    statement = {"Effect": effect, "Principal": principal, "Action": action}
    return {**statement, "Condition": condition} if condition else statement


def identity(effect: str = "Allow", condition: dict[str, Any] | None = None, resource: str = "*") -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "sts:*", "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def user(name: str, account: str = A, **more: Any) -> IamUser:
    return IamUser(name, f"arn:aws:iam::{account}:user/{name}", f"AIDA{name.upper()}{account}", **more)


def role(name: str, *statements: dict[str, Any], account: str = A, **more: Any) -> IamRole:
    return IamRole(
        name, f"arn:aws:iam::{account}:role/{name}", policy(*statements), f"AROA{name.upper()}{account}", **more
    )


def account(identifier: str, *members: IamUser | IamRole, **more: Any) -> Account:
    users = {one.name: one for one in members if isinstance(one, IamUser)}
    roles = {one.name: one for one in members if isinstance(one, IamRole)}
    return Account(identifier, "aws", users, roles, **more)


def graph(*accounts: Account) -> AssumeGraph:
    return build_graph({one.id: one for one in accounts}, NOW)


ALICE, BOB = user("alice"), user("bob")
ASSUME = {"assume": policy(identity())}


def only_edge(found: AssumeGraph, target: str = f"arn:aws:iam::{A}:role/Target") -> Edge:
    (edge,) = found.edges_to(target)
    assert found.explain(edge).allowed
    return edge


def test_a_user_named_by_the_trust_policy_needs_no_policy_of_its_own() -> None:
    """AWS STS API reference, AssumeRole: or add the user as a principal directly in the role's trust policy."""
    found = graph(account(A, ALICE, BOB, role("Target", trust({"AWS": ALICE.arn}))))
    edge = only_edge(found)
    assert (edge.source, edge.grant, edge.needs, edge.certain) == (ALICE.arn, Grant.DIRECT, (), True)
    assert found.edges_from(ALICE.arn) == (edge,)
    assert found.edges_from(BOB.arn) == ()


def test_a_trusted_account_delegates_to_its_own_policies() -> None:
    """IAM user guide, "Policy evaluation logic"; a group's policies count (facts: iam.md 3)."""
    carol = user("carol", groups=("assumers",))
    groups = {"assumers": IamGroup("assumers", ASSUME)}
    found = graph(
        account(A, ALICE, replace(BOB, inline=ASSUME), carol, role("Target", trust({"AWS": A})), groups=groups)
    )
    edges = found.edges_to(f"arn:aws:iam::{A}:role/Target")
    assert [(edge.source, edge.grant) for edge in edges] == [(BOB.arn, Grant.ACCOUNT), (carol.arn, Grant.ACCOUNT)]


def test_another_accounts_user_needs_both_sides() -> None:
    dora = user("dora", B)
    target = role("Target", trust({"AWS": dora.arn}))
    assert graph(account(A, target), account(B, dora)).edges_to(target.arn) == ()
    assert only_edge(graph(account(A, target), account(B, replace(dora, inline=ASSUME)))).source == dora.arn


def test_an_explicit_deny_ends_it() -> None:
    denied = {"no": policy(identity("Deny"))}
    target = role("Target", trust({"AWS": ALICE.arn}))
    assert graph(account(A, replace(ALICE, inline=denied), target)).edges_to(target.arn) == ()


def test_a_boundary_limits_delegation() -> None:
    target = role("Target", trust({"AWS": A}))
    limited = replace(ALICE, inline=ASSUME, boundary="arn:b")
    other = policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    assert graph(account(A, limited, target, managed={"arn:b": other})).edges_to(target.arn) == ()
    # One that was not read may allow it.
    (edge,) = graph(account(A, limited, target)).edges_to(target.arn)
    assert not edge.certain
    assert [str(doubt) for doubt in edge.doubts] == [
        f"account {A}, permissions boundary of user alice may allow this: the policy's document was not read"
    ]
    assert graph(account(A, limited, target, managed={"arn:b": policy(identity())})).edges_to(target.arn)


@pytest.mark.parametrize(
    ("condition", "kind", "value"),
    [
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, NeedKind.MFA, "true"),
        ({"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}, NeedKind.MFA, "< 3600"),
        ({"StringEquals": {"sts:ExternalId": "id-1"}}, NeedKind.EXTERNAL_ID, "id-1"),
        ({"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}, NeedKind.SESSION_NAME, "alice"),
        ({"StringLike": {"sts:RoleSessionName": "ops-*"}}, NeedKind.SESSION_NAME, "ops-*"),
        ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}}, NeedKind.SOURCE_IP, "10.0.0.0/8"),
        ({"StringEquals": {"sts:SourceIdentity": "alice"}}, NeedKind.SOURCE_IDENTITY, "alice"),
        ({"StringEquals": {"aws:RequestTag/Project": "x"}}, NeedKind.TAGS, "x"),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["Project"]}}, NeedKind.TAGS, "Project"),
        ({"DateGreaterThan": {"aws:CurrentTime": SOON}}, NeedKind.TIME, f"> {SOON}"),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, NeedKind.OTHER, "o-1"),
        ({"Null": {"sts:ExternalId": "false"}}, NeedKind.EXTERNAL_ID, "present"),
    ],
)
def test_a_condition_that_the_caller_can_meet_is_a_need(condition: dict[str, Any], kind: NeedKind, value: str) -> None:
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    found = graph(account(A, ALICE, role("Target", trust({"AWS": ALICE.arn}, condition, action=actions))))
    (need,) = only_edge(found).needs
    assert (need.kind, need.value) == (kind, value)


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:username": "bob"}},
        {"StringEquals": {"aws:PrincipalTag/team": "x"}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}},
        {"DateLessThan": {"aws:CurrentTime": PAST}},
        # No session can have such a name (STS service model).
        {"StringEquals": {"sts:RoleSessionName": "a/b"}},
        {"StringEquals": {"sts:ExternalId": "id-1"}, "Null": {"sts:ExternalId": "true"}},
    ],
)
def test_a_condition_that_nobody_can_meet_is_no_edge(condition: dict[str, Any]) -> None:
    target = role("Target", trust({"AWS": ALICE.arn}, condition))
    assert graph(account(A, ALICE, target)).edges_to(target.arn) == ()


def test_a_condition_that_holds_now_is_no_need() -> None:
    condition = {"DateLessThan": {"aws:CurrentTime": SOON}, "StringEquals": {"aws:PrincipalTag/team": "x"}}
    target = role("Target", trust({"AWS": ALICE.arn}, condition))
    assert only_edge(graph(account(A, replace(ALICE, tags={"team": "x"}), target))).needs == ()


def test_tags_need_their_own_permission() -> None:
    """IAM user guide, "Pass session tags in AWS STS": sts:TagSession in the trust policy too."""
    condition = {"StringEquals": {"aws:RequestTag/p": "x"}}
    target = role("Target", trust({"AWS": ALICE.arn}, condition))
    assert graph(account(A, ALICE, target)).edges_to(target.arn) == ()


def test_a_denial_that_can_be_avoided_is_a_need() -> None:
    deny = trust("*", {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, effect="Deny")
    known = role("Target", trust({"AWS": ALICE.arn}), deny)
    # A long-term key has no such key at all, which IfExists takes for a match.
    (need,) = only_edge(graph(account(A, ALICE, known))).needs
    assert need.kind is NeedKind.MFA


def test_roles_reach_roles_and_bring_no_mfa() -> None:
    """IAM user guide, "Secure API access with MFA": credentials of AssumeRole carry no MFA information."""
    first = role("First", trust({"AWS": ALICE.arn}))
    second = role("Second", trust({"AWS": first.arn}))
    third = role("Third", trust({"AWS": second.arn}))
    asks = role("Asks", trust({"AWS": first.arn}, {"Bool": {"aws:MultiFactorAuthPresent": "true"}}))
    found = graph(account(A, ALICE, first, second, third, asks))
    paths = [tuple(edge.role.rpartition("/")[2] for edge in path) for path in found.paths(ALICE.arn)]
    assert paths == [("First",), ("First", "Second"), ("First", "Second", "Third")]
    assert [len(path) for path in found.paths(ALICE.arn, depth=2)] == [1, 2]
    assert list(found.paths(ALICE.arn, depth=0)) == []
    assert found.edges_to(asks.arn) == ()


def test_roles_in_a_circle_end() -> None:
    one = role("One", trust({"AWS": [ALICE.arn, f"arn:aws:iam::{A}:role/Two"]}))
    two = role("Two", trust({"AWS": one.arn}))
    found = graph(account(A, ALICE, one, two))
    assert [path[-1].role for path in found.paths(ALICE.arn, depth=50)] == [one.arn, two.arn]


def test_a_session_named_by_the_trust_policy() -> None:
    first = role("First", trust({"AWS": ALICE.arn}), path="/team/")
    first = replace(first, arn=f"arn:aws:iam::{A}:role/team/First")
    target = role("Target", trust({"AWS": f"arn:aws:sts::{A}:assumed-role/First/deploy"}))
    edge = only_edge(graph(account(A, ALICE, first, target)))
    assert edge.source == first.arn
    assert [(need.kind, need.value) for need in edge.needs] == [(NeedKind.CALLING_SESSION, "deploy")]
    by_id = {"StringEquals": {"aws:userid": f"{first.role_id}:deploy"}}
    target = role("Target", trust({"AWS": first.arn}, by_id))
    assert [need.value for need in only_edge(graph(account(A, ALICE, first, target))).needs] == ["deploy"]


def test_everyone_is_everyone_of_the_account_and_outsiders() -> None:
    target = role("Target", trust("*"))
    found = graph(account(A, ALICE, target), account(B, user("dora", B), user("eve", B, inline=ASSUME)))
    assert {edge.source for edge in found.edges_to(target.arn)} == {
        ALICE.arn,
        target.arn,
        f"arn:aws:iam::{B}:user/eve",
    }
    assert [outsider.kind for outsider in found.outsiders(target.arn)] == [OutsiderKind.EVERYONE]


def test_whom_a_trust_policy_names_outside_of_what_was_read() -> None:
    gone = f"arn:aws:iam::{A}:user/gone"
    away, there = f"arn:aws:iam::{B}:role/Away", "999999999999"
    oidc = f"arn:aws:iam::{A}:oidc-provider/o.example"
    target = role(
        "Target",
        trust({"AWS": [gone, away, there, "AIDAFORMER0000000001", ALICE.arn]}),
        trust({"Service": "ec2.amazonaws.com"}),
        trust({"Federated": oidc}, {"StringEquals": {"o.example:sub": "x"}}, action="sts:AssumeRoleWithWebIdentity"),
        trust({"AWS": gone}, effect="Deny"),
    )
    found = graph(account(A, ALICE, target))
    assert [(one.kind.value, one.name, one.conditions) for one in found.outsiders(target.arn)] == [
        ("gone", gone, False),
        ("principal", away, False),
        ("account", there, False),
        ("gone", "AIDAFORMER0000000001", False),
        ("service", "ec2.amazonaws.com", False),
        ("federated", oidc, True),
    ]


def test_a_principal_by_its_id() -> None:
    """A trust policy shows the id where the ARN's principal was deleted; here the id lives (facts: iam.md 11)."""
    target = role("Target", trust({"AWS": "AIDAALICE11112222333"}))
    alice = replace(ALICE, user_id="AIDAALICE11112222333")
    assert only_edge(graph(account(A, alice, target))).source == alice.arn


def test_more_conditions_than_can_be_tried_say_so_rather_than_no() -> None:
    """Nine tags, each with one of eight values, of which no two may be the same: not decided by trying a few."""
    names = [f"aws:RequestTag/t{index}" for index in range(9)]
    values = [f"v{index}" for index in range(8)]
    actions = ["sts:AssumeRole", "sts:TagSession"]
    statements = [trust({"AWS": ALICE.arn}, {"StringEquals": dict.fromkeys(names, values)}, action=actions)]
    for index, name in enumerate(names):
        for other in names[:index]:
            same = {"StringEquals": {name: f"${{{other}}}"}}
            statements.append(trust({"AWS": "*"}, same, effect="Deny", action=actions))
    target = role("Target", *statements)
    (edge,) = graph(account(A, ALICE, target)).edges_to(target.arn)
    assert (edge.certain, edge.grant) == (False, Grant.NONE)
    (doubt,) = edge.doubts
    assert (doubt.account, doubt.principal, doubt.policy) == (A, target.arn, "trust policy of role Target")
    assert doubt.why == "its conditions leave more to choose than was tried"


# --- over random worlds: an edge is there exactly where some call of AssumeRole succeeds -----------------------------

CONDITIONS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
    {"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}},
    {"StringEquals": {"sts:ExternalId": "id-1"}},
    {"StringNotEquals": {"sts:ExternalId": "id-1"}},
    {"Null": {"sts:ExternalId": "false"}},
    {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}},
    {"StringLike": {"sts:RoleSessionName": "ali*"}},
    {"StringNotLike": {"sts:RoleSessionName": "ali*"}},
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"StringEquals": {"aws:PrincipalTag/team": "x"}},
    {"StringEquals": {"aws:RequestTag/team": "x"}},
    {"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}},
    {"StringEquals": {"sts:SourceIdentity": "alice"}},
    {"DateLessThan": {"aws:CurrentTime": SOON}},
    {"DateGreaterThan": {"aws:CurrentTime": SOON}},
    {"DateLessThan": {"aws:CurrentTime": PAST}},
    {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
    {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/alice"}},
    {"StringEquals": {"aws:username": "alice"}},
    {"StringLike": {"aws:userid": "AROA*:alice"}},
]
NAMES = [
    A,
    f"arn:aws:iam::{A}:root",
    B,
    "*",
    *(f"arn:aws:iam::{number}:user/{name}" for number in (A, B) for name in ("alice", "bob")),
    *(f"arn:aws:iam::{number}:role/{name}" for number in (A, B) for name in ("one", "two")),
    f"arn:aws:sts::{A}:assumed-role/one/alice",
]
ACTIONS = ["sts:AssumeRole", ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]]
effects = st.sampled_from(["Allow", "Allow", "Allow", "Deny"])
conditions = st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2).map(
    lambda found: {operator: block for condition in found for operator, block in condition.items()}
)
trusts = st.lists(
    st.builds(
        lambda effect, names, condition, action: trust({"AWS": names}, condition, effect=effect, action=action),
        effects,
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True),
        conditions,
        st.sampled_from(ACTIONS),
    ),
    min_size=1,
    max_size=3,
)
inlines = st.lists(st.builds(identity, effects, conditions), max_size=2).map(
    lambda found: {"p": policy(*found)} if found else {}
)
boundaries = st.sampled_from(["", "", "", "arn:any", "arn:none"])
tags = st.sampled_from([{}, {"team": "x"}])


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Account]:
    found = {}
    managed = {"arn:any": policy(identity()), "arn:none": policy(identity("Deny"))}
    for number in (A, B):
        members: list[IamUser | IamRole] = [
            user(name, number, inline=draw(inlines), boundary=draw(boundaries), tags=draw(tags))
            for name in ("alice", "bob")
        ]
        members += [
            role(name, *draw(trusts), account=number, inline=draw(inlines), boundary=draw(boundaries))
            for name in ("one", "two")
        ]
        found[number] = account(number, *members, managed=managed)
    return found


def calls(role_arn: str) -> Iterator[AssumeRoleRequest]:
    """Calls of AssumeRole that bring along every combination of what the conditions above ask about."""
    sessions, ids, codes = ("session", "alice", "bob"), (None, "id-1", "other"), (None, timedelta())
    addresses, identities, tagged = ("", "10.0.0.1", "192.0.2.9"), (None, "alice"), ((), (("team", "x"),))
    moments, others = (NOW, LATER), ({}, {"aws:principalorgid": ("o-1",)})
    for name, external, code, ip, source, tag, now, other in product(
        sessions, ids, codes, addresses, identities, tagged, moments, others
    ):
        verified = None if code is None else now - code
        yield AssumeRoleRequest(
            role_arn,
            name,
            now,
            external_id=external,
            mfa_verified_at=verified,
            source_ip=ip,
            source_identity=source,
            tags=tag,
            other_keys=other,
        )


def callers(home: Account, who: IamUser | IamRole) -> Iterator[Principal]:
    if isinstance(who, IamUser):
        yield home.principal(who)
        return
    for name, tagged, source in (("session", {}, ""), ("alice", {}, ""), ("alice", {"team": "x"}, "alice")):
        yield home.principal(who, replace(session_of(name, NOW), tags=tagged, source_identity=source))


@settings(max_examples=25)
@given(worlds(), st.integers(0, 2**32))
def test_edges_are_what_the_rules_of_assume_role_allow(accounts: dict[str, Account], seed: int) -> None:
    chance = Random(seed)
    found = build_graph(accounts, NOW)
    edges = {(edge.source, edge.role): edge for edge in found.edges()}
    for edge in edges.values():
        assert edge.certain
        assert found.explain(edge).allowed, edge
    for home in accounts.values():
        for who in (*home.users.values(), *home.roles.values()):
            for other in accounts.values():
                for target in other.roles.values():
                    if (who.arn, target.arn) in edges:
                        continue
                    trusted = other.trusted(target)
                    compiled = compile_policies(replace(home.policies(who), resource=trusted.trust))
                    for caller in callers(home, who):
                        for call in chance.sample(tuple(calls(target.arn)), 100):
                            if isinstance(who, IamRole) and call.mfa_verified_at:
                                continue  # a role's session has no device that could give a code
                            assert not may_assume_role(call, caller, trusted, compiled), (caller, call)
