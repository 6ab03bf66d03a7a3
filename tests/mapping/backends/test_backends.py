"""The authenticator's backends as rules: which entry speaks, in which order, and what makes a file unfit for use.
Sources: aws-iam-authenticator v0.7 pkg/mapper, pkg/config/mapper.go, pkg/server/server.go; facts beside each case."""

from __future__ import annotations

import pytest

from rolecall.mapping.backends.access_entry_file import parse_access_entry_file
from rolecall.mapping.backends.chain import (
    CRD,
    AccessEntryBackend,
    Chain,
    IdentityMappingBackend,
    Match,
    TableBackend,
    path_free,
)
from rolecall.mapping.backends.config_map import read_config_map
from rolecall.mapping.backends.dynamic_file import parse_dynamic_file
from rolecall.mapping.backends.entry_table import MatchOptions, build_table
from rolecall.mapping.identity_mappings import IdentityMapping
from rolecall.mapping.reading.aws_auth import Problem
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, compose
from rolecall.mapping.reading.entries import EntryReader
from rolecall.mapping.reading.sso import SsoRole, permission_set_of
from rolecall.model import Identity

A = "111122223333"
ALL = MatchOptions(sso=True, role_paths=True, wildcards=True)


def identity(canonical: str, user_id: str = "AROADEV", session: str = "ann@example.com") -> Identity:
    account = canonical.split(":")[4]
    return Identity(f"arn:aws:sts::{account}:assumed-role/x/{session}", canonical, account, user_id, session, "ASIAKEY")


def role(name: str) -> str:
    return f"arn:aws:iam::{A}:role/{name}"


def found(text: str, name: str, options: MatchOptions = ALL) -> str | None:
    """The username for a role in a mapRoles text."""
    reader = EntryReader()
    entries = list(reader.entries(compose(text), "mapRoles"))
    table, wrong, _ = build_table(entries, (), options)
    assert not wrong
    assert not reader.problems
    entry = table.find(role(name), A)
    return entry.username if entry else None


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        ("AWSReservedSSO_Admin_0123456789abcdef", True),
        ("AWSRESERVEDSSO_ADMIN_0123456789ABCDEF", True),  # comparison is in lower case
        (
            "AWSReservedSSO_Admin_Extra_0123456789abcdef",
            False,
        ),  # another permission set, which AWSReservedSSO_Admin_* fits
        ("AWSReservedSSO_Admin_0123456789abcde", False),
        ("AWSReservedSSO_Admin_0123456789abcdeg", False),
        ("AWSReservedSSO_Admin", False),
        ("xAWSReservedSSO_Admin_0123456789abcdef", False),
    ],
)
def test_permission_sets(name: str, matches: bool) -> None:
    text = f'- sso: {{permissionSetName: Admin, accountID: "{A}"}}\n  username: admin\n'
    assert found(text, name) == ("admin" if matches else None)
    assert found(text, name, MatchOptions(sso=False)) is None


def test_a_permission_set_keeps_its_partition() -> None:
    # The original loses it: facts/pains.md 9, SSOArnLike.
    gov = "arn:aws-us-gov:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef"
    assert permission_set_of(gov) == SsoRole("Admin", A, "aws-us-gov").key
    assert permission_set_of(gov) != SsoRole("Admin", A).key


@pytest.mark.parametrize(
    ("arn", "name", "options", "matches"),
    [
        (role("Dev"), "Dev", MatchOptions(), True),
        (role("DEV"), "dev", MatchOptions(), True),
        (role("team/Dev"), "Dev", MatchOptions(), False),  # facts/iam.md 32: no path in aws-auth
        (role("team/Dev"), "Dev", ALL, True),
        (role("team/Dev"), "team/Dev", MatchOptions(), True),
        (role("Dev-*"), "Dev-1", MatchOptions(), False),
        (role("Dev-*"), "Dev-1", ALL, True),
        (role("Dev-?"), "Dev-12", ALL, False),
        (role("*"), "Dev", ALL, True),
        (f"arn:aws:iam::{A}:role/aws-service-role/*", "aws-service-role/x", ALL, True),
    ],
)
def test_paths_and_wildcards_are_asked_for(arn: str, name: str, options: MatchOptions, matches: bool) -> None:
    assert found(f"- rolearn: {arn}\n  username: u\n", name, options) == ("u" if matches else None)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::*:role/Dev",
        "arn:*:iam::111122223333:role/Dev*",
        "arn:aws:iam::11112222333?:role/Dev",
        "*",
        "arn:aws:iam::111122223333:*",
    ],
)
def test_a_wildcard_never_lets_another_account_in(arn: str) -> None:
    entries = list(EntryReader().entries(compose(f"- rolearn: '{arn}'\n  username: u\n"), "mapRoles"))
    table, wrong, _ = build_table(entries, (), ALL)
    assert len(wrong) == 1
    assert table.find("arn:aws:iam::999999999999:role/Dev", "999999999999") is None


def test_exact_before_permission_set_before_pattern_and_the_last_of_two() -> None:
    sso_role = "AWSReservedSSO_Admin_0123456789abcdef"
    text = (
        f"- {{rolearn: '{role('*')}', username: any}}\n"
        f"- {{sso: {{permissionSetName: Admin, accountID: '{A}'}}, username: set}}\n"
        f"- {{rolearn: '{role('AWS*')}', username: later}}\n"
    )
    assert found(text, sso_role) == "set"
    assert found(text, "AWSx") == "later"
    assert found(f"{text}- {{rolearn: '{role(sso_role)}', username: exact}}\n", sso_role) == "exact"
    twice = f"- {{rolearn: {role('Dev')}, username: one}}\n- {{rolearn: {role('dev')}, username: two}}\n"
    assert found(twice, "Dev") == "two"


@pytest.mark.parametrize(
    ("section", "text", "line"),
    [
        ("mapRoles", "- rolearn: a\n  username: [x]\n", 2),
        ("mapRoles", "- role_arn: arn:aws:iam::111122223333:role/Dev\n  username: x\n", 1),  # pains.md 1: tf #494
        ("mapRoles", "- rolearn: a\n  username: x\n  groups: system:masters\n", 3),  # pains.md 1: a string for a list
        ("mapRoles", "- rolearn: a\n  username: x\n- nonsense\n", 3),
        ("mapRoles", "rolearn: a\n", 1),
        ("mapRoles", "- rolearn: a\n\tusername: x\n", 2),  # a tab
        ("mapRoles", "- rolearn: a\n  sso: {permissionSetName: x, accountID: '1'}\n", 1),  # both: Validate refuses
        ("mapRoles", "- sso: {permissionSetName: 'a*', accountID: '111122223333'}\n", 1),
        ("mapUsers", "- userarn:\n  username: x\n", 1),
        ("mapUsers", "- userarn: 5\n  username: x\n", 1),
        ("mapAccounts", "a: b", 1),
        ("mapRoles", "[" * 100_000, 1),  # nested so deep that libyaml's composer would end the process
    ],
)
def test_a_broken_map_says_which_line(section: str, text: str, line: int) -> None:
    reading = read_config_map({section: text, "mapUsers" if section != "mapUsers" else "mapRoles": "[]"}, ALL)
    assert {(problem.section, problem.line) for problem in reading.broken} == {(section, line)}, reading.broken


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"mapRoles": "", "mapUsers": "``", "mapAccounts": '""'},
        {"mapRoles": "[]\n", "other": "{{{{"},
        {"mapRoles": f"- roleARN: {role('Dev')}\n  Username: x\n  groups: []\n  unknown: 1\n"},
        {"mapRoles": f"- rolearn: {role('team/Dev')}\n  username: x\n"},
        {"mapAccounts": "- 111122223333\n- '012345678901'\n"},
        {"mapRoles": f"- sso: {{permissionSetName: A, accountID: '{A}'}}\n  username: x\n"},
    ],
)
def test_maps_that_are_fit_to_be_used(data: dict[str, str]) -> None:
    assert read_config_map(data, MatchOptions()).broken == ()


def test_doubts_are_told_once_and_vanish_with_what_was_asked_for() -> None:
    data = {"mapRoles": f"- rolearn: {role('team/Dev')}\n  username: x\n"}
    assert len(read_config_map(data, MatchOptions()).doubts) == 1
    reading = read_config_map(data, ALL)
    assert reading.doubts == ()
    assert reading.backend.find(identity(role("Dev"))) == Match("x", (), "aws-auth mapRoles line 1")


def test_aws_auth_roles_before_users_and_accounts_last() -> None:
    data = {
        "mapRoles": f"- sso: {{permissionSetName: Admin, accountID: '{A}'}}\n  username: set\n",
        "mapUsers": f"- userarn: {role('AWSReservedSSO_Admin_0123456789abcdef')}\n  username: user\n",
        "mapAccounts": f"- '{A}'\n",
    }
    backend = read_config_map(data, ALL).backend
    assert backend.find(identity(role("AWSReservedSSO_Admin_0123456789abcdef"))).username == "set"  # type: ignore[union-attr]
    assert backend.find(identity(role("Dev"))) == Match(role("Dev"), (), "aws-auth mapAccounts line 0")


STRICT = (
    '{"LastUpdatedDateTime": "1700000000", "Version": "1", "mapRoles": [\n'
    ' {"rolearn": "arn:aws:iam::111122223333:role/team/Dev", "username": "dev", "groups": ["g"], "userid": "AROADEV"},\n'
    ' {"username": "free", "userid": "AROAFREE"}],\n'
    ' "mapUsers": [{"userarn": "arn:aws:iam::111122223333:user/x/dan", "username": "dan", "userid": "AIDADAN"}],\n'
    ' "mapAccounts": ["999999999999"]}'
)


def test_dynamic_file_by_id_and_its_arn_has_to_fit() -> None:
    read = parse_dynamic_file(STRICT, user_id_strict=True, options=ALL)
    assert (read.problems, read.version, read.updated) == ((), "1", "1700000000")
    chain = Chain((read.backend,))
    assert chain.resolve(identity(role("Dev"), "AROADEV")).user.username == "dev"  # type: ignore[union-attr]
    assert chain.resolve(identity(role("Other"), "AROAFREE")).user.username == "free"  # type: ignore[union-attr]
    other = chain.resolve(identity(role("Other"), "AROADEV"))
    assert (other.user, other.reasons[0].code) == (None, "mismatch")
    assert chain.resolve(identity(role("Dev"), "AROANEW")).user is None  # made anew: another id
    # STS sends the path of a user and never that of a role.
    dan = chain.resolve(identity("arn:aws:iam::111122223333:user/x/dan", "AIDADAN"))
    assert dan.user is not None
    assert dan.user.username == "dan"
    assert chain.resolve(identity("arn:aws:iam::111122223333:user/x/eve", "AIDADAN")).user is None
    assert chain.resolve(identity("arn:aws:iam::999999999999:role/x", "AROAX")).user.groups == ()  # type: ignore[union-attr]


def test_dynamic_file_by_arn_and_entries_without_their_key() -> None:
    text = '{"mapRoles": [{"rolearn": "arn:aws:iam::111122223333:role/Dev", "username": "dev"}]}'
    assert parse_dynamic_file(text, user_id_strict=False, options=ALL).problems == ()
    strict = parse_dynamic_file(text, user_id_strict=True, options=ALL)
    assert [problem.line for problem in strict.problems] == [1]
    assert strict.backend.find(identity(role("Dev"), "")) is None
    for bad in (
        "",
        "[]",
        "{",
        '{"mapRoles": {}}',
        '{"mapRoles": [{"username": "x"}]}',
        '{"mapRoles": [{"rolearn": "x"}]}',
    ):
        assert parse_dynamic_file(bad, user_id_strict=False, options=ALL).problems, bad


def test_the_first_backend_that_knows_wins_and_reserved_names_end_the_search() -> None:
    def table(name: str, username: str, *, accounts: tuple[str, ...] = ()) -> TableBackend:
        text = f"- {{rolearn: {role('Dev')}, username: '{username}'}}\n" if username else "[]"
        entries = list(EntryReader().entries(compose(text), "mapRoles"))
        return TableBackend(name, build_table(entries, accounts, ALL)[0])

    first, second = table("MountedFile", "one"), table("EKSConfigMap", "two")
    dev = identity(role("Dev"))
    assert Chain((first, second)).resolve(dev).user.username == "one"  # type: ignore[union-attr]
    assert Chain((second, first)).resolve(dev).user.username == "two"  # type: ignore[union-attr]
    # A backend's accounts are asked before the next backend (server.go, doMapping).
    account = table("MountedFile", "", accounts=(A,))
    assert Chain((account, second)).resolve(dev).user.username == role("Dev")  # type: ignore[union-attr]
    system = Chain((table("CRD", "system:x"), second), reserved={"CRD": ("", "system:")})
    assert system.resolve(dev).reasons[0].code == "reserved"
    assert Chain((table("CRD", ""), table("MountedFile", "{{EC2PrivateDNSName}}"))).resolve(dev).user is None
    mapping = IdentityMappingBackend({role("dev").lower(): IdentityMapping("m", role("dev").lower(), "by-crd", ("g",))})
    decision = Chain((mapping,)).resolve(dev)
    assert (mapping.name, decision.reasons[0].source) == (CRD, "IAMIdentityMapping m")
    near = Chain((table("MountedFile", "x"),)).resolve(identity("arn:aws:iam::999999999999:role/Dev"))
    assert "another ARN" in near.reasons[0].text


def test_access_entries_in_a_file() -> None:
    text = f"""
accessEntries:
- principalArn: arn:aws:iam::{A}:role/team/Dev
  principalId: AROADEV
  kubernetesGroups: [dev]
  accessPolicies:
  - policyArn: arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy
    accessScope: {{type: namespace, namespaces: ["dev-*"]}}
- principalArn: arn:aws:iam::999999999999:role/x/Other
- principalArn: arn:aws:iam::{A}:role/Node
  type: EC2_LINUX
- principalArn: arn:aws:iam::{A}:user/people/Ann
"""
    read = parse_access_entry_file(text)
    assert read.problems == ()
    dev = read.backend.find(identity(role("Dev")))
    assert dev is not None
    assert dev.username == f"arn:aws:sts::{A}:assumed-role/Dev/{{{{SessionName}}}}"
    assert read.backend.find(identity(role("Dev"), "AROANEW")) is None
    assert read.backend.find(identity("arn:aws:iam::999999999999:role/Other", "AROAX"))
    # A user's ARN comes from STS with its path.
    assert read.backend.find(identity(f"arn:aws:iam::{A}:user/people/Ann", "AIDAANN"))
    assert read.backend.find(identity(f"arn:aws:iam::{A}:user/people/Annie", "AIDAANN")) is None
    assert read.backend.by_arn[path_free(role("Node"))].groups == ("system:nodes",)
    for bad, line in (
        ("accessEntries:\n- principalArn: x\n", 2),
        (f"accessEntries:\n- principalArn: {role('a')}\n  kubernetesGroups: ['system:masters']\n", 2),
        (f"accessEntries:\n- principalArn: {role('a')}\n- principalArn: {role('a')}\n", 3),
        (f"accessEntries:\n- principalArn: {role('a')}\n  type: NEW\n", 2),
        ("[]", 1),
        ("", 1),
    ):
        assert [problem.line for problem in parse_access_entry_file(bad).problems] == [line], bad


def test_yaml_bounds() -> None:
    for text in ("{a: " * 60, "- " * 60, "a: b\n---\nc: d\n", "\x00", "x" * 5_000_000):
        with pytest.raises(UnreadableYamlError):
            compose(text)
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [" + "*a," * 10 + "]\nc: [" + "*b," * 10 + "]\n"
    assert compose(bomb) is not None
    assert Problem("a", 1, "b") == Problem("a", 1, "b")
    assert AccessEntryBackend({}).find(identity(role("Dev"))) is None


@pytest.mark.parametrize(
    ("arns", "options", "username"),
    [
        ((role("dev"),), MatchOptions(), "m0"),
        ((role("team/dev"),), MatchOptions(), None),
        ((role("team/dev"),), MatchOptions(role_paths=True), "m0"),
        ((role("d*"),), MatchOptions(), None),
        ((role("d*"),), MatchOptions(wildcards=True), "m0"),
        # The exact ARN first, then a role's path, then the pattern; of two alike the first object by name.
        ((role("d*"), role("x/dev"), role("dev")), ALL, "m2"),
        ((role("d*"), role("x/dev")), ALL, "m1"),
        ((role("a/dev"), role("b/dev")), ALL, "m0"),
        ((role("d*"), role("de*")), ALL, "m0"),
        ((f"arn:aws:iam::{A}:user/team/dev",), ALL, None),
    ],
)
def test_options_of_matching_are_for_identity_mappings_too(
    arns: tuple[str, ...], options: MatchOptions, username: str | None
) -> None:
    """docs/authenticator.md: --role-paths and --wildcard-arns, whatever the backend."""
    listed = [IdentityMapping(f"o{place}", arn.lower(), f"m{place}", ()) for place, arn in enumerate(arns)]
    match = IdentityMappingBackend.of(listed, options).find(identity(role("dev")))
    assert (match.username if match else None) == username
    assert match is None or match.source == f"IAMIdentityMapping o{username and username[1:]}"
