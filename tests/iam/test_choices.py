"""Role to role by what the session brings: what a caller can choose is found on either side of every comparison.

The judge is :func:`decide_assume_role`, tried with every call over a few values (fault page: rules, 3).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.iam.account import Account, IamRole, IamUser
from rolecall.iam.assume_role import AssumeRoleRequest, may_assume_role
from rolecall.iam.compiled import compile_policies
from rolecall.iam.graph import Edge, build_graph
from rolecall.iam.matching import matcher
from rolecall.iam.needs import NeedKind, session_of
from rolecall.iam.principals import Principal
from rolecall.iam.witnesses import parts_between, witnesses

NOW = datetime(2026, 1, 2, tzinfo=UTC)
A, B = "111122223333", "444455556666"
FIRST, ADMINS, ANN = f"arn:aws:iam::{A}:role/First", f"arn:aws:iam::{A}:role/Admins", f"arn:aws:iam::{A}:user/ann"
EVERY = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def allow(
    condition: Any = None, *, resource: str = "*", effect: str = "Allow", action: Any = "sts:*"
) -> dict[str, Any]:
    found = {"Effect": effect, "Action": action, "Resource": resource}
    return {**found, "Condition": condition} if condition else found


def trust(principal: Any, condition: Any = None, *, effect: str = "Allow", action: Any = EVERY) -> dict[str, Any]:
    found = {"Effect": effect, "Action": action, "Principal": {"AWS": principal}}
    return {**found, "Condition": condition} if condition else found


def text(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def account(identity: list[Any], trusting: list[Any], tags: dict[str, str] | None = None) -> Account:
    """First, whom ann can assume, with ``identity`` as its policy; Admins with its trust policy and tags."""
    inline = {"p": text(*identity)} if identity else {}
    first = IamRole("First", FIRST, text(trust(ANN)), "AROAFIRST", inline=inline)
    admins = IamRole("Admins", ADMINS, text(*trusting), "AROAADMINS", tags=tags or {})
    ann = IamUser("ann", ANN, "AIDAANN", inline=inline)
    return Account(A, "aws", {"ann": ann}, {"First": first, "Admins": admins})


def edge(identity: list[Any], trusting: list[Any], tags: dict[str, str] | None = None) -> Edge | None:
    """The edge from First to Admins; that its call succeeds is checked."""
    graph = build_graph({A: account(identity, trusting, tags)}, NOW)
    found = next((one for one in graph.edges_to(ADMINS) if one.source == FIRST), None)
    assert found is None or (found.certain and graph.explain(found).allowed)
    return found


ROOT = [trust(f"arn:aws:iam::{A}:root")]
BLUE = {"team": "blue"}


@pytest.mark.parametrize(
    ("condition", "tag"),
    [
        # IAM tutorial, "Define permissions to access AWS resources based on tags".
        ({"StringEquals": {"iam:ResourceTag/team": "${aws:PrincipalTag/team}"}}, "blue"),
        ({"StringEquals": {"aws:PrincipalTag/team": "${iam:ResourceTag/team}"}}, "blue"),
        ({"StringEquals": {"aws:PrincipalTag/team": "blue"}}, "blue"),
        ({"StringEqualsIgnoreCase": {"iam:ResourceTag/team": "${aws:PrincipalTag/team}"}}, "blue"),
        ({"StringLike": {"iam:ResourceTag/team": "${aws:PrincipalTag/team}ue"}}, "bl"),
        ({"StringEquals": {"aws:ResourceTag/team": "bl${aws:PrincipalTag/team}"}}, "ue"),
        ({"StringLike": {"aws:PrincipalTag/team": "*-${iam:ResourceTag/team}"}}, "-blue"),
        ({"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/${aws:PrincipalTag/me}"}}, "First"),
    ],
)
def test_a_variable_on_either_side_of_a_comparison(condition: dict[str, Any], tag: str) -> None:
    found = edge([allow(condition)], ROOT, BLUE)
    assert found is not None
    assert [(need.kind, need.value) for need in found.needs] == [(NeedKind.CALLING_SESSION, tag)]
    # The same asked by the trust policy, and by the boundary of nobody: by a Deny of everything else.
    assert edge([], [trust(FIRST, condition)], BLUE)
    ((operator, block),) = condition.items()
    negated = {operator.replace("String", "StringNot"): block}
    assert edge([allow(), allow(negated, effect="Deny")], ROOT, BLUE)


@pytest.mark.parametrize(
    ("identity", "trusting", "tags"),
    [
        # A Resource element with a variable that the session brings along.
        ([allow(resource=f"arn:aws:iam::{A}:role/${{aws:PrincipalTag/role}}")], ROOT, {}),
        ([allow(resource="arn:aws:iam::*:role/Ad${aws:PrincipalTag/role}s")], ROOT, {}),
        # A Deny for one session name, by its id, by its ARN, by a pattern.
        ([], [trust(FIRST), trust("*", {"StringLike": {"aws:userid": "*:session"}}, effect="Deny")], {}),
        ([], [trust(FIRST), trust("*", {"StringLike": {"aws:userid": "AROAFIRST:s*"}}, effect="Deny")], {}),
        ([], [trust(FIRST), trust(f"arn:aws:sts::{A}:assumed-role/First/session", effect="Deny")], {}),
        ([], [trust(f"arn:aws:sts::{A}:assumed-role/First/deploy")], {}),
        ([], [trust(FIRST, {"StringLike": {"aws:userid": ["*:a*", "*:*b"]}}),
              trust("*", {"StringLike": {"aws:userid": "*:??"}}, effect="Deny")], {}),
        # The session name of the caller and of the call, of two comparisons at once.
        ([], [trust(FIRST, {"StringLike": {"sts:RoleSessionName": "ops-*"}}),
              trust("*", {"StringNotLike": {"sts:RoleSessionName": "*-prod"}}, effect="Deny")], {}),
        ([], [trust(FIRST, {"StringEquals": {"sts:RoleSessionName": "${aws:PrincipalTag/name}"}}),
              trust("*", {"StringNotLike": {"aws:PrincipalTag/name": "a*z"}}, effect="Deny")], {}),
        ([], [trust(FIRST, {"StringLike": {"aws:userid": "*:${sts:RoleSessionName}"}})], {}),
        ([], [trust(FIRST, {"StringLike": {"aws:userid": "*:${aws:SourceIdentity}",
                                           "aws:SourceIdentity": "d*"}})], {}),
        # A source identity that was set before is the one of the call.
        ([], [trust(FIRST, {"StringEquals": {"sts:SourceIdentity": "${aws:SourceIdentity}"}})], {}),
        ([], [trust(FIRST, {"StringEquals": {"sts:ExternalId": "${aws:SourceIdentity}"}})], {}),
        # Tags of the call, by their keys, in the case in which the policy has them, and passed on.
        ([], [trust(FIRST, {"ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "Env"]},
                            "ForAnyValue:StringEquals": {"aws:TagKeys": "Env"},
                            "StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}})], {}),
        ([], [trust(FIRST, {"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": "Team"}})], {}),
        ([], [trust(FIRST, {"ForAnyValue:StringLike": {"aws:TagKeys": "a*"},
                            "ForAllValues:StringLike": {"aws:TagKeys": "*z"}})], {}),
        ([], [trust(FIRST, {"Null": {"aws:TagKeys": "false"}}),
              trust("*", {"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}}, effect="Deny")], {}),
        # A transitive tag of the session replaces the role's own tag.
        ([], [trust(FIRST, {"StringEquals": {"iam:ResourceTag/team": "red"}})], BLUE),
        ([], [trust(FIRST, {"StringEquals": {"aws:ResourceTag/Team": "${sts:ExternalId}", "sts:ExternalId": "red"}})], BLUE),
        # Two values that must differ, and a network within a network.
        ([], [trust(FIRST, {"Null": {"aws:RequestTag/x": "false", "aws:PrincipalTag/x": "false"},
                            "StringNotEquals": {"aws:RequestTag/x": "${aws:PrincipalTag/x}"}})], {}),
        ([], [trust(FIRST, {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "NotIpAddress": {"aws:SourceIp": "10.0.0.0/9"}})], {}),
        # Sessions that began later, and at another time than now.
        ([], [trust(FIRST, {"DateGreaterThan": {"aws:TokenIssueTime": "2026-02-01T00:00:00Z"}})], {}),
        # A default stands in for what a session does not bring along.
        ([], [trust(FIRST, {"StringEquals": {"iam:ResourceTag/team": "${aws:PrincipalTag/t, 'blue'}"}})], BLUE),
    ],
)  # fmt: skip
def test_what_the_caller_chooses(identity: list[Any], trusting: list[Any], tags: dict[str, str]) -> None:
    assert edge(identity, trusting, tags)


@pytest.mark.parametrize(
    ("identity", "trusting", "tags"),
    [
        ([allow({"StringEquals": {"iam:ResourceTag/team": "${aws:PrincipalTag/team}"}})], ROOT, {}),
        ([allow({"StringEquals": {"iam:ResourceTag/team": "${aws:PrincipalTag/team}",
                                  "aws:PrincipalTag/team": "red"}})], ROOT, {"other": "blue"}),
        ([allow(resource=f"arn:aws:iam::{B}:role/${{aws:PrincipalTag/role}}")], ROOT, {}),
        ([], [trust(FIRST, {"StringEquals": {"aws:ResourceTag/team": "${aws:TagKeys}"}})], BLUE),
        ([], [trust(FIRST, {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}})], {}),
        ([], [trust(FIRST, {"StringEquals": {"aws:ResourceAccount": B}})], {}),
        ([], [trust(FIRST), trust("*", {"StringLike": {"aws:userid": "*:*"}}, effect="Deny")], {}),
        ([], [trust(FIRST, action="sts:AssumeRole", condition={"StringEquals": {"iam:ResourceTag/team": "red"}})], BLUE),
        ([], [trust(FIRST, {"StringEquals": {"sts:RoleSessionName": "${sts:ExternalId}", "sts:ExternalId": "a/b"}})], {}),
        ([], [trust(FIRST, {"IpAddress": {"aws:SourceIp": "10.0.0.0/9"}, "NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], {}),
        ([], [trust(FIRST, {"StringLike": {"sts:RoleSessionName": "a*"}}),
              trust("*", {"StringLike": {"sts:RoleSessionName": "?*"}}, effect="Deny")], {}),
    ],
)  # fmt: skip
def test_what_no_choice_makes_good(identity: list[Any], trusting: list[Any], tags: dict[str, str]) -> None:
    assert edge(identity, trusting, tags) is None


def test_a_need_is_said_as_the_policy_asks_for_it() -> None:
    found = edge([], [trust(FIRST, {"StringLike": {"sts:RoleSessionName": "ops-*"}, "StringNotEquals": {"sts:ExternalId": "x"},
                                    "Null": {"sts:ExternalId": "false"}})])  # fmt: skip
    assert found is not None
    assert {str(need) for need in found.needs} == {"sts:RoleSessionName ops-*", "sts:ExternalId other than x"}


# --- over random worlds ----------------------------------------------------------------------------------------------

KEYS = (
    "aws:PrincipalTag/team", "aws:RequestTag/team", "iam:ResourceTag/team", "sts:RoleSessionName", "sts:ExternalId",
    "sts:SourceIdentity", "aws:SourceIdentity", "aws:userid",
)  # fmt: skip
VALUES = ("xx", "yy", "x*", "*y", *(f"${{{key}}}" for key in KEYS), "*:${sts:RoleSessionName}", "${aws:PrincipalTag/team}*",
          "x${aws:RequestTag/team}", "${aws:PrincipalTag/none, 'xx'}", "AROAFIRST:xx", "*:yy")  # fmt: skip
OPERATORS = ("StringEquals", "StringLike", "StringNotEquals", "StringNotLike", "StringEqualsIfExists")
LISTS = ({"ForAnyValue:StringEquals": {"aws:TagKeys": "team"}}, {"ForAllValues:StringEquals": {"aws:TagKeys": ["env"]}},
         {"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": "team"}}, {"Null": {"aws:TagKeys": "false"}},
         {"Null": {"aws:PrincipalTag/team": "false"}}, {"Null": {"sts:TransitiveTagKeys": "true"}})  # fmt: skip
singles = st.one_of(
    st.builds(lambda o, k, v: {o: {k: v}}, *map(st.sampled_from, (OPERATORS, KEYS, VALUES))), st.sampled_from(LISTS)
)
conditions = st.lists(singles, min_size=1, max_size=2).map(
    lambda found: {o: b for one in found for o, b in one.items()}
)
RESOURCES = ("*", "*", "*", f"arn:aws:iam::{A}:role/${{aws:PrincipalTag/team}}", "arn:aws:iam::*:role/Ad*")
identities = st.lists(
    st.builds(lambda c, r, e: allow(c, resource=r, effect=e), conditions, st.sampled_from(RESOURCES),
              st.sampled_from(["Allow", "Allow", "Deny"])), max_size=2)  # fmt: skip
WHO = (FIRST, ANN, f"arn:aws:iam::{A}:root", f"arn:aws:sts::{A}:assumed-role/First/xx")
trusts = st.lists(
    st.builds(lambda w, c, e, a: trust(w, c, effect=e, action=a), st.sampled_from(WHO), st.none() | conditions,
              st.sampled_from(["Allow", "Allow", "Deny"]), st.sampled_from([EVERY, EVERY, "sts:AssumeRole"])),
    min_size=1, max_size=3)  # fmt: skip


def calls(who: IamUser | IamRole, home: Account) -> Iterator[tuple[Principal, AssumeRoleRequest]]:
    """Every call with a few values of everything that can be chosen."""
    texts = ("xx", "yy", "xzy", "xxx")
    sessions: list[Principal] = [home.principal(who)]
    if isinstance(who, IamRole):
        tags: list[tuple[dict[str, str], frozenset[str]]] = [({}, frozenset())]
        tags += [({"team": one}, passed) for one in (*texts, "Admins") for passed in (frozenset(), frozenset({"team"}))]
        sessions = [
            home.principal(who, replace(session_of(name, NOW), tags=tag, transitive_tag_keys=passed, source_identity=source))
            for name, (tag, passed), source in product(("session", "xx", "yy"), tags, ("", "xx", "yy"))
        ]  # fmt: skip
    sent: list[tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = [((), ()), ((("env", "xx"),), ())]
    sent += [((("team", one),), passed) for one in texts[:2] for passed in ((), ("team",))]
    for caller, name, external, source, (tag, transitive) in product(
        sessions, ("session", "xx", "xzy"), (None, "xx", "yy"), (None, "xx"), sent
    ):
        yield (
            caller,
            AssumeRoleRequest(
                ADMINS,
                name,
                NOW,
                external_id=external,
                source_identity=source,
                tags=tag,
                transitive_tag_keys=transitive,
            ),
        )


@settings(max_examples=60, deadline=None)
@given(identities, trusts, st.sampled_from([{}, {"team": "xx"}, {"Team": "yy"}]), st.randoms(use_true_random=False))
def test_edges_are_what_some_call_can_do(
    identity: list[Any], trusting: list[Any], tags: dict[str, str], chance: Any
) -> None:
    home = account(identity, trusting, tags)
    graph = build_graph({A: home}, NOW)
    edges = {one.source: one for one in graph.edges_to(ADMINS)}
    for found in edges.values():
        assert found.certain, found
        assert graph.explain(found).allowed, found
    target = home.trusted(home.roles["Admins"])
    for who in (home.users["ann"], home.roles["First"]):
        if who.arn not in edges:
            compiled = compile_policies(replace(home.policies(who), resource=target.trust))
            tried = list(calls(who, home))
            for caller, call in chance.sample(tried, min(len(tried), 400)):
                assert not may_assume_role(call, caller, target, compiled), (caller, call)


@given(st.lists(st.text("ab*?", min_size=1, max_size=5), min_size=1, max_size=4), st.text("abc", max_size=5))
def test_each_way_to_match_has_its_text(patterns: list[str], other: str) -> None:
    texts, complete = witnesses(patterns, letters="abcd")
    assert complete
    ways = {tuple(matcher(pattern)(text) for pattern in patterns) for text in texts}
    assert tuple(matcher(pattern)(other) for pattern in patterns) in ways


def test_witnesses_are_bounded() -> None:
    texts, complete = witnesses(["*a????????????????b*", "*b????????????????a*"], letters="abc")
    assert texts
    assert not complete
    assert witnesses(["a"], letters="a") == (("", "a"), False)


def test_what_stands_between_two_patterns() -> None:
    assert parts_between("xblue", "x", "", 9) == (["blue"], True)
    assert parts_between("a-b-c", "a*-", "", 9) == (["b-c", "c"], True)
    assert parts_between("a", "b", "", 9) == ([], True)
    assert parts_between("aaaa", "*", "*", 2)[1] is False
