"""A manifest of aws-auth edited in place. Source of the shape: Kubernetes API reference, ConfigMap v1."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rolecall.errors import RolecallError
from rolecall.mapping.editing.config_map_text import read_manifest, replace_data

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth # ours\n  namespace: kube-system\n"
YAML = (
    "# managed by the platform team\n---\n"
    + HEAD
    + "data:\n  # roles first\n  mapRoles: |   # see the wiki\n    - rolearn: a\n      username: x\n\n    # next\n    - rolearn: b\n"
    + "  mapUsers: |\n    []\n---\nkind: Other\n"
)


def test_lines_are_those_of_the_file() -> None:
    found = read_manifest(YAML)
    assert found.data == {"mapRoles": "- rolearn: a\n  username: x\n\n# next\n- rolearn: b\n", "mapUsers": "[]\n"}
    assert YAML.splitlines()[found.line("mapRoles", 5) - 1] == "    - rolearn: b"
    assert found.line("mapAccounts", 3) == 3


def test_a_changed_line_is_the_only_one() -> None:
    data = {**read_manifest(YAML).data}
    data["mapRoles"] = data["mapRoles"].replace("username: x", "username: y") + "- rolearn: c\n"
    assert replace_data(read_manifest(YAML), data) == YAML.replace("username: x", "username: y").replace(
        "- rolearn: b\n", "- rolearn: b\n    - rolearn: c\n"
    )
    crlf = YAML.replace("\n", "\r\n")
    assert replace_data(read_manifest(crlf), data) == replace_data(read_manifest(YAML), data).replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("tail", "data", "expected"),
    [
        ("", {"mapRoles": "- a\n"}, "data:\n  mapRoles: |\n    - a\n"),
        ("data:\n", {"mapRoles": "- a\n"}, "data:\n  mapRoles: |\n    - a\n"),
        ("data: {}\n", {"mapRoles": "- a\n"}, "data: \n  mapRoles: |\n    - a\n"),
        ("data:\n  x: y", {"x": "y", "mapRoles": "- a"}, "data:\n  x: y\n  mapRoles: |-\n    - a\n"),
        ("data:\n    mapRoles: '[]'\n", {"mapRoles": "- a\n- b\n"}, "data:\n    mapRoles: |\n      - a\n      - b\n"),
        ("data:\n  mapRoles:\n", {"mapRoles": "- a\n- b\n"}, "data:\n  mapRoles: |\n    - a\n    - b\n"),
        ('data:\n  mapRoles: "- a\\n" # x\n', {"mapRoles": "- b\n"}, 'data:\n  mapRoles: "- b\\n" # x\n'),
        ("data:\n  mapRoles: |\n    - a\n", {"mapRoles": "- a"}, "data:\n  mapRoles: |\n    - a\n"),
        ("data:\n  mapRoles: |-\n    - a", {"mapRoles": "- a\n- b"}, "data:\n  mapRoles: |-\n    - a\n    - b"),
        ("data:\n  mapRoles: |\n    - a\n", {"mapRoles": ""}, 'data:\n  mapRoles: ""\n'),
        (
            "data:\n  mapRoles: |2\n      - a\n",
            {"mapRoles": "  - a\n  - b\n"},
            "data:\n  mapRoles: |2\n      - a\n      - b\n",
        ),
        (
            "data:\n  mapRoles: |\n    - a\n",
            {"mapRoles": "- a\n", "mapUsers": "- b\r\n"},
            'data:\n  mapRoles: |\n    - a\n  mapUsers: "- b\\r\\n"\n',
        ),
    ],
)
def test_styles(tail: str, data: dict[str, str], expected: str) -> None:
    assert replace_data(read_manifest(HEAD + tail), data) == HEAD + expected


def test_json() -> None:
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aws-auth"}}
    for text in (
        json.dumps(made),
        json.dumps({**made, "data": {}}),
        json.dumps({**made, "data": {"x": "1"}}, indent=2),
    ):
        data = {**read_manifest(text).data, "mapRoles": "- a\n"}
        assert json.loads(replace_data(read_manifest(text), data))["data"] == data


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no manifest"),
        ("kind: ConfigMap\nmetadata: {name: other}\n", "no manifest"),
        (HEAD + "---\n" + HEAD, "2 manifests"),
        (HEAD + "data: [a]\n", "not a mapping"),
        (HEAD + "data:\n  mapRoles: [a]\n", "not text"),
        (HEAD + "data: &d\n  mapRoles: x\n", "anchors"),
        ("a: [", "not YAML"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(RolecallError) as refused:
        read_manifest(text)
    assert words in refused.value.what


_lines = st.lists(st.sampled_from(["- a", "  b: c", "# x", "", "  ", "é", "- 'q'", "\ttab"]), max_size=6)
_texts = st.builds(lambda lines, end: "\n".join(lines) + end, _lines, st.sampled_from(["", "\n", "\n\n"]))


@given(st.dictionaries(st.sampled_from(["mapRoles", "mapUsers", "x"]), _texts), _texts, st.booleans())
def test_what_is_written_is_what_is_read(data: dict[str, str], text: str, as_json: bool) -> None:
    made = {"kind": "ConfigMap", "metadata": {"name": "aws-auth"}, "data": data}
    written = json.dumps(made) if as_json else yaml.safe_dump(made, default_style="|")
    manifest = read_manifest(written)
    assert manifest.data == data
    assert replace_data(manifest, data) == written
    new = {**data, "mapRoles": text}
    try:
        changed = replace_data(manifest, new)
    except RolecallError:
        return  # refused, and nothing was written
    # Line breaks at the end of a block say nothing, and stay as the file has them.
    read = read_manifest(changed).data
    assert {key: one.rstrip("\n") for key, one in read.items()} == {key: one.rstrip("\n") for key, one in new.items()}
    assert read_manifest(changed).root.pairs
