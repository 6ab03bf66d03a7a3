"""aws-auth edited as a text that people own.

What entries mean: aws-iam-authenticator v0.7 ``pkg/mapper/configmap``. Texts as AWS, eksctl and people write them:
EKS user guide, "Grant IAM users access to Kubernetes with a ConfigMap"; eksctl ``pkg/authconfigmap``.
"""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_auth_texts import sections, words
from rolecall.errors import RolecallError
from rolecall.mapping.editing.aws_auth_text import (
    Removed,
    remove_account,
    remove_entry,
    restore_entries,
    set_account,
    set_entry,
)
from rolecall.mapping.reading.aws_auth import parse_aws_auth

NODE = "arn:aws:iam::111111111111:role/node"
DEV = "arn:aws:iam::111111111111:role/Dev"
NEW = "arn:aws:iam::111111111111:role/New"

# As AWS itself writes it for a node group (EKS user guide).
AWS_STYLE = f"""\
- groups:
  - system:bootstrappers
  - system:nodes
  rolearn: {NODE}
  username: system:node:{{{{EC2PrivateDNSName}}}}
"""
PEOPLE_STYLE = f"""\
# who may do what: ask the platform team
- rolearn: "{NODE}"   # the nodes
  username: "system:node:{{{{EC2PrivateDNSName}}}}"
  groups:
    - "system:bootstrappers"
    - "system:nodes"      # never remove

- rolearn: "{DEV}"
  username: "dev:{{{{SessionName}}}}"
  team: {{name: x}}
  groups:
    # the team's own
    - "developers"
    - "viewers"
# end
"""
JSON_STYLE = f'[{{"rolearn": "{DEV}", "username": "dev", "groups": ["a", "b"]}}]'


def changed_lines(old: str, new: str) -> tuple[list[str], list[str]]:
    """Lines taken out and lines put in."""
    a, b = old.splitlines(keepends=True), new.splitlines(keepends=True)
    gone: list[str] = []
    come: list[str] = []
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            gone += a[i:j]
            come += b[k:m]
    return gone, come


def put(text: str, arn: str = DEV, username: str = "dev", groups: tuple[str, ...] = ("a",)) -> str:
    return set_entry({"mapRoles": text}, "mapRoles", arn, username, groups)["mapRoles"]


@pytest.mark.parametrize(
    ("text", "gone", "come"),
    [
        # a new entry looks like its neighbours
        (AWS_STYLE, [], ["- groups:\n", "  - a\n", f"  rolearn: {DEV}\n", "  username: dev\n"]),
        (
            AWS_STYLE.replace("\n", "\r\n"),
            [],
            ["- groups:\r\n", "  - a\r\n", f"  rolearn: {DEV}\r\n", "  username: dev\r\n"],
        ),
        (
            f"  - rolearn: '{NODE}'\n    username: x\n    groups: [y]\n",
            [],
            [f"  - rolearn: '{DEV}'\n", "    username: 'dev'\n", "    groups: ['a']\n"],
        ),
        (
            f"- {{rolearn: {NODE}, username: x, groups: []}}\n",
            [],
            [f'- {{rolearn: "{DEV}", username: dev, groups: [a]}}\n'],
        ),
        # the entry in force is changed where it stands
        (
            PEOPLE_STYLE,
            ['  username: "dev:{{SessionName}}"\n', '    - "developers"\n', '    - "viewers"\n'],
            ['  username: "dev"\n', '    - "a"\n'],
        ),
        (f"- rolearn: {DEV}\n  username: dev\n", [], ["  groups: [a]\n"]),
        (f"- rolearn: {DEV}\n  groups: [a]\n", [], ["  username: dev\n"]),
        (
            f"- rolearn: {DEV}\n  username:  # who\n  groups: [a]\n",
            ["  username:  # who\n"],
            ["  username: dev  # who\n"],
        ),
        (
            f"- rolearn: {DEV}\n  username: dev\n  groups: a # typo\n",
            ["  groups: a # typo\n"],
            ["  groups: [a] # typo\n"],
        ),
        (f"- rolearn: {DEV}\n  username: 7\n  groups:\n  - a\n", ["  username: 7\n"], ["  username: dev\n"]),
        (f"- rolearn: {DEV}\n  username: dev\n  groups:\n  - a\n  - b # old\n", ["  - b # old\n"], []),
        (
            f"- rolearn: {DEV}\n  username: |-\n    x\n  groups: [a]\n",
            ["  username: |-\n", "    x\n"],
            ["  username: dev\n"],
        ),
        # the last of two entries is the one in force
        (
            f"- rolearn: {DEV}\n  username: old\n  groups: [a]\n- rolearn: {DEV.replace('Dev', 'dev')}\n  username: older\n  groups: [a]\n",
            ["  username: older\n"],
            ["  username: dev\n"],
        ),
    ],
)
def test_set_touches_only_its_lines(text: str, gone: list[str], come: list[str]) -> None:
    assert changed_lines(text, put(text)) == (gone, come)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", f"- rolearn: {DEV}\n  username: dev\n  groups:\n  - a\n"),
        ('""', f"- rolearn: {DEV}\n  username: dev\n  groups:\n  - a\n"),
        ("[]\n", f"- rolearn: {DEV}\n  username: dev\n  groups:\n  - a\n"),
        ("# none yet\n", f"# none yet\n- rolearn: {DEV}\n  username: dev\n  groups:\n  - a\n"),
        (
            f"- rolearn: {NODE}\n  username: x\n  groups: []",
            f"- rolearn: {NODE}\n  username: x\n  groups: []\n- rolearn: {DEV}\n  username: dev\n  groups:\n  - a",
        ),
        (
            JSON_STYLE.replace("Dev", "X"),
            JSON_STYLE.replace("Dev", "X")[:-1] + f', {{"rolearn": "{DEV}", "username": "dev", "groups": ["a"]}}]',
        ),
        (JSON_STYLE, JSON_STYLE.replace('["a", "b"]', '["a"]')),
    ],
)
def test_set_from_little(text: str, expected: str) -> None:
    assert put(text) == expected


def test_groups_can_become_none() -> None:
    text = f"- rolearn: {DEV}\n  username: dev # me\n  groups:\n  - a\n  - b\n"
    assert put(text, groups=()) == f"- rolearn: {DEV}\n  username: dev # me\n  groups: []\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a: [\n", "not YAML"),
        ("rolearn: x\n", "not a list"),
        (f"- &x\n  rolearn: {DEV}\n  username: dev\n- *x\n", "anchor or alias"),
        (f"- rolearn: {DEV}\n  username: x\n  groups: *g\n", "not YAML"),
        (f"- rolearn: {NODE}\n  groups: &g [a, b]\n- rolearn: {DEV}\n  username: x\n  groups: *g\n", "anchor or alias"),
        (f"- &b {{username: x}}\n- <<: *b\n  rolearn: {DEV}\n", "alias"),
        (f"- rolearn: {DEV}\n  username: x\n  UserName: y\n", "username twice"),
        (f"-\trolearn: {DEV}\n", ""),
        (f"- rolearn: {DEV}\n  username: x\n  groups: [ # one\n    a,\n    b ]\n", "comment inside the brackets"),
        ("\ufeff- rolearn: x\n", "byte order mark"),
        (f"- rolearn: {NODE}\r  username: x\n", "line break"),
        ("- a: 1\n---\n- b: 1\n", "several"),
        (f"- rolearn: {NODE}\n  note: |\n    more", "changing something else"),
        ("[" * 60 + "]" * 60, "nested"),
    ],
)
def test_what_cannot_be_edited_safely_is_refused(text: str, words: str) -> None:
    with pytest.raises(RolecallError) as refused:
        put(text)
    assert words in refused.value.what


@pytest.mark.parametrize("text", ["a\nb", "\x07", "x\u2028"])
def test_no_text_can_break_out_of_its_line(text: str) -> None:
    with pytest.raises(RolecallError):
        put("", username=text)


@pytest.mark.parametrize(
    "text",
    [
        "123",
        "yes",
        "null",
        "~",
        "*a",
        "&a",
        "a: b",
        "a #b",
        "- x",
        "it's",
        'say "x"',
        "\\n",
        "{{SessionName}}",
        "",
        "é",
        "😀 x",
        "012",
        "1e3",
        "12:30",
        "2020-01-01",
        "=",
        "<<",
        "!x",
        "%x",
        "@x",
        "`x",
    ],
)
@pytest.mark.parametrize(
    "base", ["", JSON_STYLE, PEOPLE_STYLE, AWS_STYLE, f"- {{rolearn: {DEV}, username: x, groups: []}}\n"]
)
def test_any_printable_username_and_group_survives(text: str, base: str) -> None:
    for arn in (DEV, NEW):
        found = parse_aws_auth({"mapRoles": put(base, arn, text, (text or "g", "z"))}).roles[arn.lower()]
        assert (found.username, found.groups) == (text, (text or "g", "z"))


def test_remove_takes_every_duplicate_and_can_be_undone() -> None:
    text = PEOPLE_STYLE + PEOPLE_STYLE
    data = {"mapRoles": text, "mapUsers": "# mine\n", "other": "kept"}
    new, removed = remove_entry(data, "mapRoles", DEV.upper())
    assert "Dev" not in new["mapRoles"]
    assert new["mapRoles"].count("# the nodes") == new["mapRoles"].count("# end") == 2
    assert [entry.username for entry in removed.entries] == ["dev:{{SessionName}}"] * 2
    assert restore_entries(new, Removed.from_json(removed.as_json())) == data
    # Somebody added an entry at the end meanwhile: the removed ones go back to their places all the same.
    later = restore_entries(set_entry(new, "mapRoles", NEW, "n", []), removed)
    assert later["mapRoles"].startswith(text)
    assert changed_lines(text, later["mapRoles"])[0] == []
    with pytest.raises(RolecallError, match="mapped again"):
        restore_entries(set_entry(new, "mapRoles", DEV, "n", []), removed)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"- rolearn: {DEV}\n", ""),
        (f"# top\n- rolearn: {DEV}\n# end\n", "# top\n# end\n"),
        (f"- rolearn: {NODE}\n- rolearn: {DEV}", f"- rolearn: {NODE}"),
        (f"[{{rolearn: {DEV}}}, {{rolearn: {NODE}}}]", f"[{{rolearn: {NODE}}}]"),
        (f"[{{rolearn: {NODE}}}, {{rolearn: {DEV}}}]", f"[{{rolearn: {NODE}}}]"),
        (f"[ {{rolearn: {DEV}}} ]", "[]"),
        (f"-\n  # inside\n  rolearn: {DEV}\n-  # b\n   rolearn: {NODE}\n", f"-  # b\n   rolearn: {NODE}\n"),
    ],
)
def test_remove(text: str, left: str) -> None:
    data = {"mapRoles": text}
    new, removed = remove_entry(data, "mapRoles", DEV)
    assert new["mapRoles"] == left
    assert restore_entries(new, removed) == data


def test_remove_refuses_an_anchor_that_others_use() -> None:
    text = f"- rolearn: {DEV}\n  groups: &g [a]\n- rolearn: {NODE}\n  groups: *g\n"
    with pytest.raises(RolecallError, match="&g"):
        remove_entry({"mapRoles": text}, "mapRoles", DEV)
    new, _ = remove_entry({"mapRoles": text}, "mapRoles", NODE)
    assert new["mapRoles"] == f"- rolearn: {DEV}\n  groups: &g [a]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '- "000000000012"\n'),
        ("- '111111111111'\n", "- '111111111111'\n- '000000000012'\n"),
        ("- 111111111111 # ours\n", '- 111111111111 # ours\n- "000000000012"\n'),
        ('["111111111111"]', '["111111111111", "000000000012"]'),
        ('- "000000000012"\n', '- "000000000012"\n'),
    ],
)
def test_accounts(text: str, expected: str) -> None:
    data = set_account({"mapAccounts": text}, "000000000012")
    assert data["mapAccounts"] == expected
    left = parse_aws_auth(remove_account(data, "000000000012")).accounts
    assert left == parse_aws_auth({"mapAccounts": text}).accounts - {"000000000012"}


def meaning(data: dict[str, str]) -> list[Any]:
    return [(entry.section, entry.arn, entry.username, entry.groups) for entry in parse_aws_auth(data).entries]


@given(sections(), st.data())
def test_one_change_touches_only_its_lines(section: tuple[list[str], str], draw: st.DataObject) -> None:
    arns, text = section
    data = {"mapUsers": "# users\n", "mapRoles": text, "mapAccounts": "- '111111111111' # us\n", "extra": "\tx\r\n"}
    arn = draw.draw(st.sampled_from([*arns, NEW]))
    username, groups = draw.draw(words), draw.draw(st.lists(words, max_size=3))
    new = set_entry(data, "mapRoles", arn, username, groups)
    assert {key: value for key, value in new.items() if key != "mapRoles"} == {
        k: v for k, v in data.items() if k != "mapRoles"
    }
    assert list(new) == list(data)
    found = parse_aws_auth(new).roles[arn.lower()]
    assert (found.username, found.groups) == (username, tuple(groups))
    before, after = meaning(data), meaning(new)
    differing = [pair for pair in zip(before, after, strict=False) if pair[0] != pair[1]]
    assert len(differing) <= 1
    assert len(after) == len(before) + (arn not in arns)
    # Every line that is not about the entry's own fields is still there, comments above all.
    comments = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
    assert [line.strip() for line in new["mapRoles"].splitlines() if line.strip().startswith("#")] == comments
    # Counted without regard to order, since a diff of repeated lines is not unique. Out: the username, the key groups,
    # three groups, a last line that gains a line break. In: a whole entry of nine lines at most, and that last line.
    old_lines, new_lines = Counter(text.splitlines(keepends=True)), Counter(new["mapRoles"].splitlines(keepends=True))
    assert (old_lines - new_lines).total() <= 1 + 1 + 3 + 1
    assert (new_lines - old_lines).total() <= 9 + 1
    assert new["mapRoles"].endswith("\n") == (text.endswith("\n") or not text.strip())
    if text.strip():
        assert ("\r\n" in new["mapRoles"]) == ("\r\n" in text) or "\n" not in text
    # The same again changes nothing at all.
    assert set_entry(new, "mapRoles", arn, username, groups) == new


@given(sections("userarn"), st.data())
def test_remove_is_undone_to_the_byte(section: tuple[list[str], str], draw: st.DataObject) -> None:
    arns, text = section
    data = {"mapUsers": text}
    arn = draw.draw(st.sampled_from([*arns, NEW]))
    new, removed = remove_entry(data, "mapUsers", arn)
    assert meaning(new) == [entry for entry in meaning(data) if entry[1].lower() != arn.lower()]
    # The line that becomes the last one may lose its line break.
    assert (Counter(new["mapUsers"].splitlines(keepends=True)) - Counter(text.splitlines(keepends=True))).total() <= 1
    assert restore_entries(new, removed) == data
    # And with a change of somebody else in between, in meaning and order.
    moved = restore_entries(set_entry(new, "mapUsers", NEW.replace("role", "user"), "n", ()), removed)
    assert [entry for entry in meaning(moved) if entry[2] != "n"] == [
        entry for entry in meaning(data) if entry[2] != "n"
    ]
