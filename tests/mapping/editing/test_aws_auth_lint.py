"""The traps of aws-auth. Sources: issues of aws-iam-authenticator (aia), containers-roadmap and terraform-aws-eks (tf)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.mapping.editing.lint import Severity, lint

A = "arn:aws:iam::111111111111"
GOOD = f"""\
# nodes
- rolearn: {A}:role/node
  username: system:node:{{{{EC2PrivateDNSName}}}}
  groups:
  - system:bootstrappers
  - system:nodes
- rolearn: {A}:role/Dev
  username: dev:{{{{AccountID}}}}
  groups: [developers]
"""


def role(arn: str = f"{A}:role/Dev", username: str = "dev", groups: str = "[a]", extra: str = "") -> str:
    return f"- rolearn: {arn}\n  username: {username}\n  groups: {groups}\n{extra}"


def user(arn: str = f"{A}:user/ann", username: str = "ann", groups: str = "[a]") -> str:
    return f"- userarn: {arn}\n  username: {username}\n  groups: {groups}\n"


def test_a_good_map_has_no_finding() -> None:
    assert lint({"mapRoles": GOOD, "mapUsers": user(), "mapAccounts": '- "000000000012"\n'}) == ()
    assert lint({}) == lint({"mapRoles": "", "mapUsers": "[]\n"}) == ()


CASES = [
    # aia #312, PR #464; EKS since 2022: capital letters in keys stop matching
    (
        "capital-key",
        "error",
        {"mapRoles": f"- roleARN: {A}:role/Dev\n  username: dev\n  groups: [a]\n"},
        "mapRoles",
        1,
        "write rolearn",
    ),
    (
        "capital-key",
        "error",
        {"mapUsers": f"- userarn: {A}:user/a\n  userName: dev\n"},
        "mapUsers",
        2,
        "write username",
    ),
    # tf #494, #206: role_arn and group
    (
        "misspelt-key",
        "error",
        {"mapRoles": f"- role_arn: {A}:role/Dev\n  username: dev\n  groups: [a]\n"},
        "mapRoles",
        1,
        "did you mean rolearn?",
    ),
    (
        "misspelt-key",
        "error",
        {"mapRoles": f"- rolearn: {A}:role/Dev\n  username: dev\n  group: [a]\n"},
        "mapRoles",
        3,
        "did you mean groups?",
    ),
    (
        "misspelt-key",
        "error",
        {"mapUsers": f"- userarn: {A}:user/a\n  usernmae: dev\n"},
        "mapUsers",
        2,
        "did you mean username?",
    ),
    (
        "misspelt-key",
        "error",
        {"mapUsers": f"- rolearn: {A}:user/a\n  username: dev\n"},
        "mapUsers",
        1,
        "did you mean userarn?",
    ),
    ("unknown-key", "info", {"mapRoles": role(extra="  note: x\n")}, "mapRoles", 4, ""),
    ("duplicate-key", "error", {"mapRoles": role(extra="  username: two\n")}, "mapRoles", 4, "keep one"),
    # roadmap #185: a tab loses the section
    ("tab", "error", {"mapRoles": f"- rolearn: {A}:role/Dev\n\tusername: dev\n"}, "mapRoles", 2, "spaces"),
    ("not-yaml", "error", {"mapRoles": f"- rolearn: {A}:role/Dev\n\tusername: dev\n"}, "mapRoles", 2, "tab"),
    ("not-a-list", "error", {"mapRoles": f"rolearn: {A}:role/Dev\n"}, "mapRoles", 1, "dash"),
    ("not-a-mapping", "error", {"mapRoles": "- text\n"}, "mapRoles", 1, "dash"),
    # aia #271: the last of two wins
    ("shadowed", "error", {"mapRoles": role() + role(username="x")}, "mapRoles", 1, "the last"),
    ("shadowed", "error", {"mapRoles": role(f"{A}:user/ann"), "mapUsers": user()}, "mapUsers", 1, "keep one"),
    # aia #268: paths never match
    ("path", "error", {"mapRoles": role(f"{A}:role/team/x/Dev")}, "mapRoles", 1, f"write {A}:role/Dev"),
    (
        "path",
        "error",
        {"mapRoles": role(f"{A}:role/aws-reserved/sso.amazonaws.com/eu-west-2/AWSReservedSSO_Admin_0123456789abcdef")},
        "mapRoles",
        1,
        "role/AWSReservedSSO_Admin_0123456789abcdef",
    ),
    (
        "session-arn",
        "error",
        {"mapRoles": role("arn:aws:sts::111111111111:assumed-role/Dev/me")},
        "mapRoles",
        1,
        f"write {A}:role/Dev",
    ),
    # aia #333, PR #416: sso is an alpha feature, off on EKS
    (
        "sso",
        "error",
        {"mapRoles": "- sso: {permissionSetName: Admin, accountID: '111111111111'}\n  username: a\n"},
        "mapRoles",
        1,
        "AWSReservedSSO",
    ),
    (
        "sso-role",
        "info",
        {"mapRoles": role(f"{A}:role/AWSReservedSSO_Admin_0123456789abcdef")},
        "mapRoles",
        1,
        "matches nobody",
    ),
    ("groups-not-a-list", "error", {"mapRoles": role(groups="system:masters")}, "mapRoles", 3, "dash"),
    ("not-a-string", "error", {"mapRoles": role(username="123")}, "mapRoles", 2, "quotes"),
    ("not-a-string", "error", {"mapRoles": role(groups="[1]")}, "mapRoles", 3, "quotes"),
    ("no-username", "error", {"mapRoles": f"- rolearn: {A}:role/Dev\n  groups: [a]\n"}, "mapRoles", 1, "username"),
    ("no-arn", "error", {"mapRoles": "- username: x\n  groups: [a]\n"}, "mapRoles", 1, "rolearn"),
    (
        "no-principal",
        "error",
        {"mapRoles": role("arn:aws-us-govt:iam::111111111111:role/Dev")},
        "mapRoles",
        1,
        "aws-us-gov",
    ),
    ("no-principal", "error", {"mapRoles": role("arn:aws:iam::11111111111:role/Dev")}, "mapRoles", 1, "leading zero"),
    ("no-principal", "error", {"mapRoles": role(f'"{A}:role/Dev "')}, "mapRoles", 1, "spaces"),
    ("no-principal", "error", {"mapRoles": role(f'"{A}:*"')}, "mapRoles", 1, "patterns"),
    ("no-principal", "error", {"mapRoles": role(f"{A}:instance-profile/x")}, "mapRoles", 1, "role in it"),
    ("wrong-kind", "warning", {"mapRoles": role(f"{A}:user/ann")}, "mapRoles", 1, "section of its kind"),
    ("root", "warning", {"mapUsers": user(f"{A}:root")}, "mapUsers", 1, "mapAccounts"),
    ("unquoted-account", "warning", {"mapAccounts": "- 111111111111\n"}, "mapAccounts", 1, '"111111111111"'),
    ("unquoted-account", "error", {"mapAccounts": "# x\n- 012345678901\n"}, "mapAccounts", 2, '"012345678901"'),
    ("bad-account", "error", {"mapAccounts": "- 12345678901\n"}, "mapAccounts", 1, "leading zero"),
    ("not-an-account", "error", {"mapAccounts": "- [x]\n"}, "mapAccounts", 1, "12 digits"),
    ("unknown-template", "error", {"mapRoles": role(username="dev:{{sessionname}}")}, "mapRoles", 1, "{{SessionName}}"),
    (
        "unknown-template",
        "error",
        {"mapRoles": role(username='"dev:{{ SessionName }}"')},
        "mapRoles",
        1,
        "{{SessionName}}",
    ),
    ("unknown-template", "error", {"mapRoles": role(username='"dev:{SessionName}"')}, "mapRoles", 1, "{{SessionName}}"),
    ("unknown-template", "error", {"mapRoles": role(username='"${aws:username}"')}, "mapRoles", 1, "there are"),
    # aia #472, CVE-2022-2385
    (
        "access-key-in-group",
        "warning",
        {"mapRoles": role(groups='["g-{{AccessKeyID}}"]')},
        "mapRoles",
        1,
        "write the group out",
    ),
    (
        "session-name-in-group",
        "error",
        {"mapRoles": role(groups='["{{SessionName}}"]')},
        "mapRoles",
        1,
        "write the group out",
    ),
    # roadmap #1807: the session name is the caller's choice
    (
        "session-name-in-username",
        "info",
        {"mapRoles": role(username="dev:{{SessionName}}")},
        "mapRoles",
        1,
        "sts:RoleSessionName",
    ),
    ("system-masters", "warning", {"mapRoles": role(groups='["system:masters"]')}, "mapRoles", 1, "cluster-admin"),
    ("system-username", "warning", {"mapRoles": role(username="system:admin")}, "mapRoles", 1, ""),
    ("half-a-node", "error", {"mapRoles": role(groups='["system:nodes"]')}, "mapRoles", 1, "EC2PrivateDNSName"),
    ("duplicate-group", "info", {"mapRoles": role(groups="[a, a]")}, "mapRoles", 1, ""),
    ("unknown-section", "error", {"maproles": "x"}, "maproles", 0, "did you mean mapRoles?"),
    ("too-long", "error", {"mapRoles": "#" * 1_100_000}, "mapRoles", 0, ""),
]


@pytest.mark.parametrize(("code", "severity", "data", "section", "line", "advice"), CASES)
def test_trap(code: str, severity: str, data: dict[str, str], section: str, line: int, advice: str) -> None:
    found = [finding for finding in lint(data) if finding.code == code]
    assert [(f.severity, f.section, f.line) for f in found] == [(Severity(severity), section, line)], lint(data)
    assert advice in found[0].advice


def test_a_misspelt_key_is_one_finding() -> None:
    assert [f.code for f in lint({"mapRoles": f"- role_arn: {A}:role/Dev\n  username: dev\n"})] == ["misspelt-key"]


def test_findings_come_in_order_of_section_and_line() -> None:
    found = lint({"mapAccounts": "- 1\n", "mapUsers": "- x\n", "mapRoles": role() + role(username="z") + "- x\n"})
    assert [(f.section, f.line) for f in found] == [
        ("mapRoles", 1),
        ("mapRoles", 7),
        ("mapUsers", 1),
        ("mapAccounts", 1),
    ]


@given(st.dictionaries(st.sampled_from(["mapRoles", "mapUsers", "mapAccounts", "x"]), st.text(max_size=80)))
def test_any_text_is_looked_at_without_an_error(data: dict[str, str]) -> None:
    assert all(finding.line >= 0 for finding in lint(data))


def test_a_text_made_to_be_slow_is_not() -> None:
    started = time.process_time()
    lint({"mapRoles": role(username="'" + "{" * 200_000 + "'")})
    assert time.process_time() - started < 5


def test_many_findings_take_linear_time() -> None:
    """1 MiB of entries that say nothing; each finding once looked through the whole text."""

    def seconds(entries: int) -> float:
        before = time.process_time()
        assert len(lint({"mapRoles": "- {}\n" * entries})) == entries
        return time.process_time() - before

    seconds(100)
    small, large = min(seconds(2_000) for _ in range(3)), seconds(32_000)
    assert large < 16 * small * 6
