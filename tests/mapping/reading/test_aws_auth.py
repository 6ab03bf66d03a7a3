"""aws-auth as the authenticator reads it. Source: aws-iam-authenticator v0.7, ``pkg/mapper/configmap``; facts/eks.md."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.mapping.reading.aws_auth import parse_aws_auth

ROLE = "arn:aws:iam::111111111111:role/Dev"


def role(arn: str = ROLE, username: str = "dev", groups: str = "[a]") -> str:
    return f"- rolearn: {arn}\n  username: {username}\n  groups: {groups}\n"


def find(text: str, arn: str = ROLE, **sections: str) -> tuple[str, tuple[str, ...]] | None:
    found = parse_aws_auth({"mapRoles": text, **sections}).find(arn, "111111111111")
    return (found.username, found.groups) if found else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (role(), ("dev", ("a",))),
        (role(username="one") + role(username="two"), ("two", ("a",))),
        (role(arn=ROLE.upper().replace("ARN:AWS:IAM", "arn:aws:iam")), ("dev", ("a",))),
        (role(arn="arn:aws:iam::111111111111:role/team/Dev"), None),
        (role(arn="arn:aws:sts::111111111111:assumed-role/Dev/s"), None),
        (role(groups="a"), ("dev", ())),
        (role(groups="[1, b]"), ("dev", ("", "b"))),
        (role(username="123"), ("", ("a",))),
        (role(username='"123"'), ("123", ("a",))),
        (f"- RoleARN: {ROLE}\n  UserName: dev\n  GROUPS: [a]\n", ("dev", ("a",))),
        ("", None),
        ('""', None),
        ("- just text\n" + role(), ("dev", ("a",))),
        (role() + "  bad: [", None),
        ("rolearn: x", None),
        # encoding/json: keys in sorted order, any case; "RoleARN" comes before "rolearn".
        (f"- rolearn: {ROLE}\n  RoleARN: x\n  username: dev\n  Username: other\n  groups: [a]\n", ("dev", ("a",))),
        (f"- {{rolearn: {ROLE}, username: one, username: two, groups: [a]}}\n", ("two", ("a",))),
        # Unmarshal reads the first document alone.
        (role() + "---\n" + role(username="two"), ("dev", ("a",))),
        (role() + "---\n{", ("dev", ("a",))),
        # goyaml.v2 resolve.go: a date stays a text, there are no sexagesimal numbers, and 1e3 is a number.
        (role(username="2026-01-31"), ("2026-01-31", ("a",))),
        (role(username="10:30"), ("10:30", ("a",))),
        (role(username="1e3"), ("", ("a",))),
        (role(username="'1e3'"), ("1e3", ("a",))),
        (role(username="true"), ("", ("a",))),
        (role(username="~"), ("", ("a",))),
        (f"- &x {{rolearn: '{ROLE}', username: dev, groups: [a]}}\n- *x\n", ("dev", ("a",))),
    ],
)
def test_roles(text: str, expected: object) -> None:
    assert find(text) == expected


def test_roles_come_before_users_and_users_before_accounts() -> None:
    users = f"- userarn: {ROLE}\n  username: user\n  groups: [u]\n"
    assert find(role(), mapUsers=users) == ("dev", ("a",))
    assert find("", mapUsers=users, mapAccounts='- "111111111111"') == ("user", ("u",))
    assert find("", mapAccounts='- "111111111111"') == (ROLE, ())
    assert find("", mapAccounts="- 111111111111") == (ROLE, ())
    assert find("", mapAccounts='- "222222222222"') is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (role() + role(username="two"), 1, "never used: line 4"),
        (role(arn="arn:aws:iam::111111111111:role/team/Dev"), 1, "path never matches"),
        (role(groups="a"), 3, "not a list"),
        (role(username="123"), 2, "quote it"),
        (role(arn="arn:aws:sts::111111111111:assumed-role/Dev/s"), 1, "session"),
        (role(arn="nonsense"), 1, "names no principal"),
        (role(arn="arn:aws:iam::111111111111:user/ann"), 1, "ARN of a user"),
        ("- a: [\n", 2, "whole section is lost"),
    ],
)
def test_problems_have_a_line(text: str, line: int, words: str) -> None:
    problems = parse_aws_auth({"mapRoles": text}).problems
    assert [problem for problem in problems if problem.line == line and words in problem.text], problems


@given(st.dictionaries(st.sampled_from(["mapRoles", "mapUsers", "mapAccounts", "x"]), st.text(max_size=60)))
def test_any_text_is_read_without_an_error(data: dict[str, str]) -> None:
    found = parse_aws_auth(data)
    assert "" not in found.roles
