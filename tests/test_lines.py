"""One idea of a line for those who count and those who cut.

Sources: Python's documentation, ``str.splitlines`` and "universal newlines"; YAML 1.1, "Line Break Characters".
"""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import rolecall
from rolecall.lines import text_break, text_lines, yaml_lines
from rolecall.local_files.aws_config import parse_sections

# All that `str.splitlines` takes for the end of a line, and a little to stand between.
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
TEXTS = st.lists(st.sampled_from([*BREAKS, "a", "# b", " ", "\ufeff", "\U0001f600"]), max_size=12).map("".join)


@given(TEXTS)
def test_a_text_has_the_lines_that_python_reads_from_a_file(text: str) -> None:
    opened = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    assert text_lines(text) == [line.removesuffix("\n") for line in opened]
    assert "".join(text_lines(text, ends=True)) == text


@given(st.lists(st.sampled_from(BREAKS), max_size=9))
def test_the_reader_of_profiles_counts_the_same_lines(breaks: list[str]) -> None:
    text = "".join(f"# {one}" if one in ("\n", "\r", "\r\n") else f"#{one}" for one in breaks) + "\n[last]\n"
    assert parse_sections(text, "config")["last"].line == len(text_lines(text))


@given(st.lists(st.sampled_from(["\n", "\r", "\r\n", "\x85", "\u2028", "\u2029", "# a", "\U0001f600"]), max_size=9))
def test_yaml_has_the_lines_that_its_reader_counts(parts: list[str]) -> None:
    # Each part stands in a comment of its own, which no reader of YAML 1.1 takes any further than its line.
    text = "".join(part if part in BREAKS else f"#{part}" for part in parts) + "\n"
    document = f"{text}last: 1\n"
    [key] = [event for event in yaml.parse(document) if isinstance(event, yaml.ScalarEvent)][:1]
    assert key.start_mark.line == len(yaml_lines(text))
    assert "".join(yaml_lines(document, ends=True)) == document


@pytest.mark.parametrize(("text", "expected"), [("", "\n"), ("a", "\n"), ("a\r\nb\n", "\r\n"), ("a\rb\n", "\r"), ("\n", "\n")])  # fmt: skip
def test_the_line_break_in_use(text: str, expected: str) -> None:
    assert text_break(text) == expected


def test_nothing_that_belongs_to_people_is_cut_by_splitlines() -> None:
    """`str.splitlines` may lay out a message; what counts or cuts a file's lines uses `rolecall.lines`."""
    # The rooms in which texts of people's files are cut; elsewhere a message is laid out.
    rooms = re.compile(r"^(local_files|clusters|mapping|manifest|importing|changes|cli/(own_files|cluster_maps))/")
    source = Path(rolecall.__file__).parent
    # As botocore's `_parse_nested` does: the block below a key is cut with the characters that botocore cuts it with.
    known = {("local_files/aws_config.py", "_finish")}
    found = set()
    for path in source.rglob("*.py"):
        name = str(path.relative_to(source))
        text = path.read_text()
        if not rooms.match(name) or not re.search("splitlines|readlines", text):
            continue
        for function in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)):
            calls = (node for node in ast.walk(function) if isinstance(node, ast.Attribute))
            found |= {(name, function.name) for node in calls if node.attr in ("splitlines", "readlines")}
    assert found == known
