"""The page about access as code says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rolecall.manifest.load import parse
from rolecall.manifest.schema import SECTIONS, json_schema
from rolecall.plan import left_behind
from rolecall.plan.guards import CODES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "access-as-code.md").read_text()


def test_the_example_is_a_valid_file() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert {*SECTIONS} == {key for key in SECTIONS if f"\n{key}:" in example}
    assert parse(example).manifest.grants[0].cluster_selector is not None


def test_every_guard_is_named_and_no_other() -> None:
    told = {code for line in PAGE.split("### Guards")[1].split("## Apply")[0].splitlines() for code in re.findall(r"`([a-z-]+)`", line.split(" | ")[0] if line.startswith("|") else line)}  # fmt: skip
    assert told - {"code"} == {*CODES, left_behind.CODE}


@pytest.mark.parametrize(("section", "model"), [("accounts", "AccountSpec"), ("people", "Person"), ("roles", "RoleSpec"), ("clusters", "ClusterSpec"), ("grants", "Grant")])  # fmt: skip
def test_every_key_of_the_schema_is_named(section: str, model: str) -> None:
    keys = set(json_schema()["$defs"][model]["properties"])
    assert keys - set(re.findall(r"[A-Za-z]+", PAGE)) == set(), section
