"""access.yaml changed in place: the change and no other byte, in every style that people write."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.manifest.edit_yaml import add_item, remove_item, set_value
from rolecall.manifest.yaml_data import read_yaml
from rolecall.mapping.editing.yaml_text import YamlTextError

BLOCK = """\
# who may what
people:
  ann: {user: ann, account: main}   # since 2020
  bob:
    user: bob
    account: main
groups:
  team:
  - ann # lead
  # the rest
  - "bob"
roles:
  Admins:
    account: main
    assumableBy: [ team, 'bob' ]
  Viewers:
    account: main
    # everybody
    assumableBy:
      - {person: ann, until: 2030-01-31}
      - person: bob
        until: 2031-01-31
  Only:
    assumableBy:
      # for now
      - ann  # alone

grants:
  - role: Admins
    clusters: prod-1

  - role: Viewers
    clusters:
      - prod-1
# end
"""
MEMBER = {"person": "cho", "until": "2030-02-01"}


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("groups", "team"), "cho", '  - "bob"\n', '  - "bob"\n  - "cho"\n'),
        (("roles", "Admins", "assumableBy"), "cho", "'bob' ]", "'bob', 'cho' ]"),
        (("roles", "Admins", "assumableBy"), MEMBER, "'bob' ]", "'bob', {person: cho, until: \"2030-02-01\"} ]"),
        (("roles", "Viewers", "assumableBy"), "cho", "2031-01-31\n", "2031-01-31\n      - cho\n"),
        (
            ("roles", "Viewers", "assumableBy"), MEMBER, "2031-01-31\n",
            '2031-01-31\n      - person: cho\n        until: "2030-02-01"\n',
        ),
        (("roles", "Only", "assumableBy"), "on", "# alone\n", '# alone\n      - "on"\n'),
        (("grants", 0, "clusters"), "prod-2", "clusters: prod-1\n\n", "clusters: [prod-1, prod-2]\n\n"),
        (("grants", 1, "clusters"), "prod-2", "- prod-1\n# end", "- prod-1\n      - prod-2\n# end"),
        (
            ("grants",), {"role": "Only", "clusters": ["a", "b"]}, "- prod-1\n# end",
            "- prod-1\n\n  - role: Only\n    clusters: [a, b]\n# end",
        ),
        (("roles", "Only", "tags"), "x", "# alone\n", "# alone\n    tags: [x]\n"),
    ],
)  # fmt: skip
def test_an_item_is_added_where_and_as_the_others_are(path: Any, value: Any, old: str, new: str) -> None:
    assert BLOCK.count(old) == 1
    assert add_item(BLOCK, path, value) == BLOCK.replace(old, new)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (("groups", "team", 0), "  - ann # lead\n", ""),
        (("groups", "team", 1), '  - "bob"\n', ""),
        (("roles", "Admins", "assumableBy", 0), "[ team, 'bob' ]", "[ 'bob' ]"),
        (("roles", "Admins", "assumableBy", 1), "[ team, 'bob' ]", "[ team ]"),
        (("roles", "Viewers", "assumableBy", 1), "      - person: bob\n        until: 2031-01-31\n", ""),
        (
            ("roles", "Only", "assumableBy", 0),
            "    assumableBy:\n      # for now\n      - ann  # alone\n",
            "    assumableBy: []\n      # for now\n",
        ),
        (("grants", 0), "  - role: Admins\n    clusters: prod-1\n", ""),
    ],
)
def test_an_item_is_taken_out_with_its_own_lines_alone(path: Any, old: str, new: str) -> None:
    assert BLOCK.count(old) == 1
    assert remove_item(BLOCK, path) == BLOCK.replace(old, new)


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("roles", "Viewers", "assumableBy", 1, "until"), "2032-01-01", "2031-01-31", '"2032-01-01"'),
        (("roles", "Viewers", "assumableBy", 0), "ann", "{person: ann, until: 2030-01-31}", "ann"),
        (("groups", "team", 0), {"person": "ann"}, "- ann # lead", "- {person: ann} # lead"),
        (("people", "ann", "state"), "absent", "account: main}", "account: main, state: absent}"),
        (("people", "bob", "state"), "absent", "    account: main\ngroups", "    account: main\n    state: absent\ngroups"),
        (("people", "cho"), {"user": "cho"}, "    account: main\ngroups", "    account: main\n  cho: {user: cho}\ngroups"),
        (("clusters", "c"), {"region": "x-1"}, "- prod-1\n# end", "- prod-1\n\nclusters: {c: {region: x-1}}\n# end"),
    ],
)  # fmt: skip
def test_a_value_is_set_where_it_stands_or_behind_the_others(path: Any, value: Any, old: str, new: str) -> None:
    # The last two sections have a blank line between them, so a new one gets one.
    assert BLOCK.count(old) == 1
    assert set_value(BLOCK, path, value) == BLOCK.replace(old, new)


def test_json_stays_json() -> None:
    text = '{"groups": {"team": ["ann"]}, "people": {"ann": {"user": "ann"}}}'
    for new in (
        add_item(text, ("groups", "team"), "bob"),
        set_value(text, ("people", "bob"), {"user": "bob"}),
        set_value(text, ("people", "ann", "state"), "absent"),
        set_value(text, ("grants",), []),
    ):
        assert json.loads(new) == read_yaml(new, "").data
        assert new.startswith('{"groups": {"team": ["ann"')


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("a: &x [p]\nb: *x\n", ("b",), r"\*x"),
        # Through the anchor another list would change too.
        ("a: &x [p]\nb: *x\n", ("a",), "without changing something else"),
        ("a: [p, # one\n  q # two\n ]\n", ("a",), "comment"),
        ("base: &b {a: [p]}\nc: {<<: *b}\n", ("c", "a"), "merges another mapping"),
        ("a: {b: 1}\n", ("a",), "not a list"),
        ("a: [p\n", ("a",), "not YAML"),
        ("a: [p]\n---\nb: [q]\n", ("a",), "second YAML document"),
        ("\ufeffa: [p]\n", ("a",), "byte order mark|not allowed"),
        ("a: [yes]\n", ("a",), "true or false"),
        ("", ("a",), "empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_alone_is_refused_with_its_line(text: str, path: Any, words: str) -> None:
    with pytest.raises(YamlTextError, match=words) as caught:
        add_item(text, path, "q")
    assert "access.yaml" in caught.value.where


def test_a_list_with_a_comment_is_not_replaced() -> None:
    with pytest.raises(YamlTextError, match="a comment in it would be lost"):
        set_value("a:\n  - x # why\n  - z\n", ("a",), "y")


# Texts in many styles: the data is drawn first, then how each part of it is written.
_names = st.sampled_from(["ann", "bob", "o'neil", "x y", "yes", "7", "#no", "a: b", "ü", "long-name@example.com"])
_members = _names | st.fixed_dictionaries({"person": _names, "until": st.sampled_from(["2030-01-31", "2031-01-01T00:00:00Z"])})  # fmt: skip
_lists = st.lists(_members, max_size=4)
_data = st.fixed_dictionaries(
    {
        "groups": st.dictionaries(_names, _lists, min_size=1, max_size=3),
        "roles": st.dictionaries(
            _names, st.fixed_dictionaries({"account": _names, "assumableBy": _lists}), min_size=1, max_size=3
        ),
        "grants": st.lists(st.fixed_dictionaries({"role": _names, "clusters": _lists}), min_size=1, max_size=3),
    }
)


class Writer:
    """Writes data as YAML, each choice drawn."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.comments = draw, 0

    def comment(self) -> str:
        if self.draw(st.integers(0, 3)) != 0:
            return ""
        self.comments += 1
        return f" # c{self.comments}]}}"

    def scalar(self, value: str) -> str:
        plain = re.fullmatch(r"[a-z][a-z@.-]*", value) and value != "yes"
        style = self.draw(st.sampled_from(["'", '"', "plain"] if plain else ["'", '"']))
        if style == "plain":
            return value
        return json.dumps(value, ensure_ascii=False) if style == '"' else "'" + value.replace("'", "''") + "'"

    def flow(self, value: Any) -> str:
        pad = self.draw(st.sampled_from(["", " "]))
        end = self.draw(st.sampled_from(["", ","]))
        if isinstance(value, dict):
            inner = ", ".join(f"{self.scalar(k)}: {self.flow(v)}" for k, v in value.items())
            return f"{{{pad}{inner}{end if inner else ''}{pad}}}"
        if isinstance(value, list):
            inner = self.draw(st.sampled_from([", ", ",", ",\n         "])).join(self.flow(v) for v in value)
            return f"[{pad}{inner}{end if inner else ''}{pad}]"
        return self.scalar(value)

    def lines(self, value: Any, indent: int, top: bool = False) -> str:
        """What follows a key's colon or a dash, with its line break."""
        if not isinstance(value, (dict, list)) or not value or (not top and self.draw(st.booleans())):
            return f" {self.flow(value)}{self.comment()}\n"
        step = self.draw(st.sampled_from([2, 4]))
        if isinstance(value, list):
            column = indent + self.draw(st.sampled_from([0, step])) if not top else indent
            return f"{self.comment()}\n" + "".join(
                f"{self.gap(column)}{' ' * column}-{self.item(one, column)}" for one in value
            )
        return f"{self.comment()}\n" + self.block(value, indent + step)

    def item(self, value: Any, column: int) -> str:
        if isinstance(value, dict) and self.draw(st.booleans()):
            offset = self.draw(st.sampled_from([2, 4]))
            inner = self.block(value, column + offset, gaps=False)
            return " " * (offset - 1) + inner[column + offset :]
        return f" {self.flow(value)}{self.comment()}\n"

    def block(self, value: dict[str, Any], indent: int, gaps: bool = True) -> str:
        return "".join(
            f"{self.gap(indent) if gaps else ''}{' ' * indent}{self.scalar(key)}:{self.lines(one, indent, indent == 0)}"
            for key, one in value.items()
        )

    def gap(self, indent: int) -> str:
        comment = self.comment()
        return self.draw(st.sampled_from(["", "", "\n"])) + (f"{' ' * indent}{comment.strip()}\n" if comment else "")


@st.composite
def _texts(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    data = draw(_data)
    writer = Writer(draw)
    text = writer.flow(data) + "\n" if draw(st.integers(0, 9)) == 0 else writer.block(data, 0)
    text = text + draw(st.sampled_from(["", "# end\n", "\n\n"]))
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return (text.replace("\n", "\r\n") if draw(st.booleans()) else text), data


def _list_paths(data: dict[str, Any]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = [("groups", name) for name in data["groups"]]
    found += [("roles", name, "assumableBy") for name in data["roles"]]
    return found + [("grants", index, "clusters") for index in range(len(data["grants"]))]


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        data = data[step]
    return data


def _shared(old: str, new: str) -> int:
    """How many characters of ``old`` stand unchanged at its beginning and its end."""
    shorter = min(len(old), len(new))
    head = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    tail = next((at for at in range(shorter - head) if old[-1 - at] != new[-1 - at]), shorter - head)
    return head + tail


def _breaks(text: str) -> set[str]:
    return set(re.findall(r"\r?\n", text))


@given(_texts(), st.data())
def test_additions_change_no_byte_that_was_there(drawn: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    text, found = drawn
    assert read_yaml(text, "").data == found
    path = data.draw(st.sampled_from(_list_paths(found)))
    value = data.draw(_members)
    new = add_item(text, path, value)
    assert _at(read_yaml(new, "").data, path) == [*_at(found, path), value]
    empty = 0 if _at(found, path) else 2
    assert _shared(text, new) >= len(text) - empty
    assert _breaks(new) <= (_breaks(text) or {"\n"})
    assert new.endswith("\n") == text.endswith("\n")


@given(_texts(), st.data())
def test_an_item_added_and_taken_out_again_leaves_the_same_bytes(
    drawn: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    text, found = drawn
    path = data.draw(st.sampled_from(_list_paths(found)))
    items = _at(found, path)
    new = remove_item(add_item(text, path, "new"), (*path, len(items)))
    if items:
        # What the addition brings along besides the item: a comma, or a blank line where items have one between them.
        assert re.sub(r"[,\s]", "", new) == re.sub(r"[,\s]", "", text)
    assert read_yaml(new, "").data == found


@given(_texts(), st.data())
def test_a_removal_keeps_every_other_line_and_comment(drawn: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    text, found = drawn
    paths = [path for path in _list_paths(found) if _at(found, path)]
    if not paths:
        return
    path = data.draw(st.sampled_from(paths))
    items = _at(found, path)
    index = data.draw(st.integers(0, len(items) - 1))
    new = remove_item(text, (*path, index))
    assert _at(read_yaml(new, "").data, path) == [*items[:index], *items[index + 1 :]]
    lost = set(re.findall(r"c\d+", text)) - set(re.findall(r"c\d+", new))
    # A comment on the lines of the item is its own: one for each of its members at most.
    assert len(lost) <= (2 if isinstance(items[index], dict) else 1)
    assert new.endswith("\n") == text.endswith("\n")


@given(_texts(), st.data())
def test_members_are_added_and_set(drawn: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    text, found = drawn
    role = data.draw(st.sampled_from(sorted(found["roles"])))
    new = set_value(text, ("roles", role, "state"), "absent")
    assert _shared(text, new) >= len(text)
    assert list(read_yaml(new, "").data["roles"][role].items())[-1] == ("state", "absent")
    newer = set_value(new, ("roles", role, "state"), "present")
    assert read_yaml(newer, "").data["roles"][role]["state"] == "present"
    section = set_value(newer, ("clusters", "c"), {"account": "main"})
    assert read_yaml(section, "").data == {**read_yaml(newer, "").data, "clusters": {"c": {"account": "main"}}}
