"""Texts of which aws-iam-authenticator 0.7.18 makes something else than a YAML 1.2 reader would.

The right values are those of ``configmap.ParseMap`` with go-yaml v2.4.4 and of viper 1.21 with go-yaml v3.0.4, taken
from a run of that code beside ours (some 20,000 generated texts without a difference)."""

from __future__ import annotations

import time

import pytest

from rolecall.mapping.backends.config_map import read_config_map
from rolecall.mapping.backends.dynamic_file import parse_dynamic_file
from rolecall.mapping.backends.entry_table import MatchOptions
from rolecall.mapping.backends.server_config import read_server_config
from rolecall.mapping.reading.aws_auth import is_nothing, parse_aws_auth
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, compose, load_plain
from rolecall.mapping.reading.json_text import read_json

ROLE = "arn:aws:iam::111122223333:role/Dev"
NOT_TEXT = [
    "y",
    "Y",
    "yes",
    "No",
    "ON",
    "off",
    "n",
    "true",
    "False",
    "0x1F",
    "0123",
    "0129",
    "1e3",
    "1_000",
    "1.5",
    ".5",
    "1.",
    "-1",
    "+1",
    "0b11",
    "0o17",
    "18446744073709551615",
    "!!bool%20y",
    "!!int%205",
    "!!float%205",
    "07_7",
    "-0x1f",
]
TEXT = {
    "10:30": "10:30",
    "190:20:30": "190:20:30",
    "2026-01-31": "2026-01-31",
    "2001-12-14t21:59:43.10-05:00": "2001-12-14t21:59:43.10-05:00",
    "'y'": "y",
    "!!str 123": "123",
    "!!binary ZGV2": "dev",
    "!!timestamp 2020-01-01": "2020-01-01",
    "!local 5": "5",
    "tRUE": "tRUE",
    "nULL": "nULL",
    "0x": "0x",
    "1e999": "1e999",
    "_1": "_1",
    "<<": "<<",
    "=": "=",
}


def users(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Username and groups of the entries that the authenticator keeps of a mapRoles."""
    found = parse_aws_auth({"mapRoles": text})
    return [(entry.username, entry.groups) for entry in found.entries if not entry.is_dropped]


@pytest.mark.parametrize("written", NOT_TEXT)
def test_values_that_are_not_text(written: str) -> None:
    value = written.replace("%20", " ")
    assert users(f"- rolearn: {ROLE}\n  username: {value}\n  groups: [{value}, b]\n") == [("", ("", "b"))]


@pytest.mark.parametrize(("written", "text"), TEXT.items())
def test_values_that_are_text(written: str, text: str) -> None:
    assert users(f"- rolearn: {ROLE}\n  username: {written}\n") == [(text, ())]


@pytest.mark.parametrize("null", ["", "~", "null", "Null", "NULL", "!!null ''"])
def test_null_is_nothing(null: str) -> None:
    assert users(f"- rolearn: {ROLE}\n  username: {null}\n  groups: {null}\n") == [("", ())]


BASE = f"- &a {{rolearn: '{ROLE}', username: one, groups: [g]}}\n- &b {{username: two}}\n"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        # Of a list of merged mappings the earlier one counts (YAML merge key specification).
        ("{<<: [*a, {username: z}]}", ("one", ("g",))),
        ("{<<: [*b, *a]}", ("two", ("g",))),
        # go-yaml v2 merges in place: what stands before << is overwritten.
        ("{username: x, <<: *a}", ("one", ("g",))),
        ("{<<: *a, username: x}", ("x", ("g",))),
        ("{<<: *b, <<: *a}", ("one", ("g",))),
        # A quoted << is a key as any other.
        (f"{{'<<': *a, rolearn: '{ROLE}', username: x}}", ("x", ())),
        # encoding/json: keys sorted, each spelling decoded in turn; null leaves a text and empties a list.
        (f"{{rolearn: '{ROLE}', Username: a, username: ~}}", ("a", ())),
        (f"{{rolearn: '{ROLE}', Groups: [a], groups: ~, username: x}}", ("x", ())),
        (f"{{rolearn: '{ROLE}', Groups: [a], groups: 5, username: x}}", ("x", ("a",))),
        (f"{{rolearn: '{ROLE}', u\u017fername: x}}", ("x", ())),
    ],
)
def test_merges_and_keys(entry: str, expected: object) -> None:
    assert users(f"{BASE}- {entry}\n")[-1] == expected


@pytest.mark.parametrize(
    "broken",
    [
        "- {username: !!int x}\n",
        "- {username: !!binary '?'}\n",
        "- {<<: 5}\n",
        "- {<<: [5]}\n",
        "- {? [a] : b}\n",
        "- {note: .inf}\n",
        "- {note: {~: x}}\n",
        "- &s {note: [*s]}\n",
        "- *nobody\n",
    ],
)
def test_a_section_that_go_loses_lets_nobody_in(broken: str) -> None:
    text = f"- rolearn: {ROLE}\n  username: dev\n{broken}"
    found = parse_aws_auth({"mapRoles": text})
    assert (found.roles, found.lost, [problem.code for problem in found.problems]) == ({}, {"mapRoles"}, ["not-yaml"])
    assert users(f"%YAML 1.2\n---\n- rolearn: {ROLE}\n  username: dev\n") == []


@pytest.mark.parametrize(
    "sso",
    [
        "{permissionSetName: Admin, accountID: '111122223333'}",
        "{}",
        "[]",
        "x",
    ],
)
def test_an_entry_that_validation_refuses_never_counts(sso: str) -> None:
    text = f"- rolearn: {ROLE}\n  sso: {sso}\n  username: both\n  groups: [system:masters]\n"
    for partial in (parse_aws_auth({"mapRoles": text}), read_config_map({"mapRoles": text}, MatchOptions())):
        backend = partial if not hasattr(partial, "backend") else partial.backend.aws_auth
        assert backend.find(ROLE, "111122223333") is None
    assert users(f"- rolearn: {ROLE}\n  sso: ~\n  username: one\n") == [("one", ())]


@pytest.mark.parametrize("nothing", ["", " \n", "''", '""', "``", " ''\n", "\u2028''", "[]", "~", "null", "# x", "---"])
@pytest.mark.parametrize("section", ["mapRoles", "mapUsers", "mapAccounts"])
def test_texts_that_stand_for_nothing(section: str, nothing: str) -> None:
    other = "mapUsers" if section == "mapRoles" else "mapRoles"
    data = {section: nothing, other: "[]", "mapAccounts" if section != "mapAccounts" else "x": "- '111122223333'"}
    reading = read_config_map(data, MatchOptions())
    assert (reading.broken, reading.doubts) == ((), ())
    assert reading.backend.aws_auth.accounts == ({"111122223333"} if section != "mapAccounts" else set())


def test_only_four_texts_are_nothing_without_being_yaml() -> None:
    assert [text for text in ("", "``", '""', "''", "' '", "`", "```", "\x1c''") if is_nothing(text)] == [
        "",
        "``",
        '""',
        "''",
    ]


def test_accounts_before_a_value_that_does_not_fit_its_tag_count() -> None:
    found = parse_aws_auth({"mapAccounts": "- 111122223333\n- !!int x\n- 444455556666\n"})
    assert found.accounts == {"111122223333"}
    assert found.lost == {"mapAccounts"}


def test_users_whose_arns_differ_in_case_are_undecided() -> None:
    def text(two: str) -> dict[str, str]:
        user = "arn:aws:iam::111122223333:user"
        return {"mapUsers": f"- {{userarn: '{user}/Ann', username: a}}\n- {{userarn: '{user}/ANN', username: {two}}}\n"}

    found = parse_aws_auth(text("b"))
    assert [problem.code for problem in found.problems] == ["undecided", "undecided"]
    assert len(found.undecided["arn:aws:iam::111122223333:user/ann"]) == 2
    assert [problem.code for problem in parse_aws_auth(text("a")).problems] == ["repeated", "repeated"]


def server(maps: str) -> tuple[bool, list[tuple[str, tuple[str, ...]]]]:
    """Whether a configuration file is fit for use, and its roles."""
    found = read_server_config(f"server:\n{maps}", MatchOptions())
    roles = found.backend.table.roles.values()
    return not found.problems, [(entry.username, entry.groups) for entry in roles]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("username: x, groups: ''", ("x", ())),
        ("username: x, groups: 'a, b'", ("x", ("a", " b"))),
        ("username: x, groups: ~", ("x", ())),
        ("username: x, groups: [~, a]", ("x", ("", "a"))),
        ("username: x, groups: 5", ("x", ("5",))),
        ("username: x, groups: {}", ("x", ())),
        ("username: y, groups: [no]", ("y", ("no",))),
        ("username: true, groups: [false]", ("1", ("0",))),
        ("username: 0x1F, groups: [1e3, 1.5]", ("31", ("1000", "1.5"))),
        ("username: 0123", ("83", ())),
    ],
)
def test_weak_types_of_the_configuration_file(fields: str, expected: object) -> None:
    entry = f"{{roleARN: '{ROLE}', {fields}}}"
    assert server(f"  mapRoles: [{entry}]\n") == (True, [expected])
    # One mapping stands for a list of one.
    assert server(f"  mapRoles: {entry}\n") == (True, [expected])


@pytest.mark.parametrize("value", ["2026-01-31", "[a]", "{a: b}"])
def test_what_the_original_does_not_start_with(value: str) -> None:
    assert server(f"  mapRoles: [{{roleARN: '{ROLE}', username: {value}}}]\n")[0] is False


@pytest.mark.parametrize(
    ("accounts", "expected"),
    [
        ("'111122223333,444455556666'", {"111122223333", "444455556666"}),
        ("111122223333", {"111122223333"}),
        ("[111122223333, ~, '1']", {"111122223333"}),
        ("''", set()),
        ("{}", set()),
    ],
)
def test_map_accounts_of_the_configuration_file(accounts: str, expected: set[str]) -> None:
    found = read_server_config(f"server:\n  mapAccounts: {accounts}\n", MatchOptions())
    assert (found.problems, found.backend.table.accounts) == ((), expected)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("server:\n  mapRoles: []\n  mapRoles: []\n", 3),
        ("server:\n  mapRoles: []\n  maproles: []\n", 3),
        ("clusterID: a\nclusterId: b\n", 2),
        ("server: {}\nSERVER: {}\n", 2),
        ("server:\n  mapRoles:\n  - {username: a, rolearn: b, Username: c}\n", 3),
        ("server:\n  mapRoles:\n  - sso: {accountID: a, accountid: b}\n", 3),
        ("other: [{a: {b: 1, b: 2}}]\n", 1),
    ],
)
def test_a_key_given_twice_is_refused_at_every_level(text: str, line: int) -> None:
    problems = read_server_config(text, MatchOptions()).problems
    assert [problem.line for problem in problems if "given twice" in problem.text] == [line]


def test_the_first_document_of_a_configuration_file_counts() -> None:
    found = read_server_config("clusterID: a\n---\nclusterID: b\n", MatchOptions())
    assert (found.values, found.problems, [doubt.line for doubt in found.doubts]) == ({"cluster_id": "a"}, (), [2])


def test_a_dynamic_file_is_json() -> None:
    good = f'{{"mapRoles": [\n\t{{"rolearn": "{ROLE}", "username": "\\ud83d\\ude00", "groups": [null, "a"]}}]}}'
    found = parse_dynamic_file(good, user_id_strict=False, options=MatchOptions())
    assert found.problems == ()
    for bad in (
        f"mapRoles:\n- rolearn: {ROLE}\n",
        "{'a': 1}",
        '{"a": 01}',
        '{"a": [1,]}',
        '{"a": 1} x',
        '{"a"}',
        "nul",
    ):
        assert parse_dynamic_file(bad, user_id_strict=False, options=MatchOptions()).problems, bad
    for deep in ("[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(UnreadableYamlError, match="levels deep"):
            read_json(deep)


def bomb(members: int, entries: int, references: int) -> str:
    pairs = ", ".join(f"k{number}: v" for number in range(members))
    return f"- &a {{{pairs}}}\n" + f"- {{<<: [{', '.join(['*a'] * references)}]}}\n" * entries


@pytest.mark.parametrize("size", [(4_000, 800, 10), (40, 800, 10), (4_000, 10, 10)])
def test_merges_are_counted_after_they_are_followed(size: tuple[int, int, int]) -> None:
    text = bomb(*size)
    before = time.process_time()
    assert parse_aws_auth({"mapRoles": text}).lost == {"mapRoles"}
    for read in (compose, load_plain):
        with pytest.raises(UnreadableYamlError, match="aliases repeat too many values"):
            read(text)
    assert read_server_config(f"x:\n{text}", MatchOptions()).problems
    # 21 s for the first of them when merges were copied; a bound against that, far above what it takes.
    assert time.process_time() - before < 5
    assert parse_aws_auth({"mapRoles": bomb(40, 80, 10)}).lost == frozenset()


def test_aliases_nested_in_aliases_end_at_the_depth_of_everything_else() -> None:
    doubling = "- &x0 [a, a]\n" + "".join(f"- &x{n} [*x{n - 1}, *x{n - 1}]\n" for n in range(1, 60))
    with pytest.raises(UnreadableYamlError):
        compose(doubling)
    chain = "- &x0 [a]\n" + "".join(f"- &x{n} [*x{n - 1}]\n" for n in range(1, 60))
    with pytest.raises(UnreadableYamlError, match="levels deep"):
        compose(chain)


def test_plain_values_are_those_of_kubernetes() -> None:
    assert load_plain("a: &x {k: 0123, d: 2026-01-31, t: 10:30}\nb: *x\nc: {<<: *x, k: yes}\n") == {
        "a": {"k": 83, "d": "2026-01-31", "t": "10:30"},
        "b": {"k": 83, "d": "2026-01-31", "t": "10:30"},
        "c": {"k": True, "d": "2026-01-31", "t": "10:30"},
    }
