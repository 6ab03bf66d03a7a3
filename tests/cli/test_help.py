"""The help of every command in one voice. Sources: the house's style; the help of kubectl, gh and the AWS CLI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from tests.support.voice import found_in
from typer.testing import CliRunner

from rolecall.cli.commands import COMMANDS, OPTIONS
from rolecall.cli.main import app
from rolecall.exec_plugin.help_texts import eks_help, get_token_help, token_help

_PLUGIN = {"token": token_help, "eks": eks_help, "eks get-token": get_token_help}
_WIDTH = 80
_SUMMARY = 50
# Types and brackets of Python, where a person expects a noun.
_PYTHON = re.compile(
    r"<(?:str|int|float|path|bool|list\b.*?|int range)>|\bTEXT\]|INTEGER|\[default: \(|\[\[|\{[A-Z|]+\}"
)
# A line to type: the program, after variables or in a pipe at most.
_EXAMPLE = re.compile(r"^ +(?:[A-Z_]+=\S+ |eval \"\$\(|.*\| )?rolecall [a-z]")
_IF = re.compile(r"\bwhere (?:there|it|that|one|the file|they)\b (?:is|are|was|has|have)\b")


def _below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name in getattr(command, "commands", {}):
        yield from _below(command.commands[name], (*path, name))


def _all() -> list[str]:
    root = typer.main.get_command(app)
    found: list[str] = []
    for name in COMMANDS:
        command = root.get_command(None, name)  # type: ignore[attr-defined]
        found += (" ".join(path) for path in _below(command, (name,)))
    return sorted({*found, *_PLUGIN})


ALL = _all()


@pytest.fixture(params=ALL)
def text(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The help of one command, as it is printed into a pipe."""
    if request.param in _PLUGIN:
        return str(_PLUGIN[request.param]())
    monkeypatch.setenv("COLUMNS", str(_WIDTH))
    result = CliRunner().invoke(app, [*request.param.split(), "--help"], prog_name="rolecall")
    assert result.exit_code == 0, result.output
    return result.output


def test_every_command_is_here() -> None:
    assert set(COMMANDS) <= set(ALL)
    assert {"aws-auth get", "access-entry create", "add user", "lab up"} <= set(ALL)


def test_help_has_examples_exit_codes_and_plain_words(text: str) -> None:
    lines = text.splitlines()
    assert sum(bool(_EXAMPLE.search(line)) for line in lines if not line.startswith("Usage:")) >= 2, "two examples"
    assert any(line.strip().startswith("Exit codes: ") for line in lines)
    assert [line for line in lines if len(line) > _WIDTH] == []
    assert _PYTHON.findall(text) == []
    assert "repeatable" not in text
    # What a wrapped line says is read as one.
    assert found_in(" ".join(text.split())) == []
    assert _IF.findall(" ".join(text.split())) == []


def test_lists_of_commands_are_not_cut(text: str) -> None:
    if "\nCommands:\n" in text:
        rows = text.partition("\nCommands:\n")[2].partition("\n\n")[0].splitlines()
        assert [row for row in rows if row.endswith("...")] == []
        assert [row for row in rows if len(row.strip().partition("  ")[2].strip()) > _SUMMARY] == []


def test_summaries_are_short() -> None:
    assert [one.name for one in COMMANDS.values() if len(one.summary) > _SUMMARY] == []
    assert [name for name, what in OPTIONS.items() if len(what) > _SUMMARY] == []


def test_the_list_of_all_commands() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "Access as code:" in result.output
    assert [line for line in result.output.splitlines() if len(line) > _WIDTH] == []
    assert "Exit codes: " in result.output


@pytest.mark.parametrize("words", [["help", "plan"], ["help", "aws-auth", "get"], ["eks", "--help"]])
def test_help_is_found_where_people_look_for_it(words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    assert "Usage: " in result.output


@pytest.mark.parametrize("name", ["json", "yaml", "table", "markdown", "csv"])
@pytest.mark.parametrize("command", ["new", "import"])
def test_a_format_is_not_taken_for_a_file(command: str, name: str) -> None:
    """``-o`` was a file of these two commands, and is a format of every other one."""
    result = CliRunner().invoke(app, [command, "-o", name])
    assert result.exit_code == 2
    assert f"'{name}' is a format; name the file with -O/--out FILE" in " ".join(result.output.split())


def test_a_wrong_value_is_named_in_plain_words() -> None:
    result = CliRunner().invoke(app, ["plan", "-o", "xml"])
    assert result.exit_code == 2
    assert "'xml' is not one of 'table', 'json'" in " ".join(result.output.split())
    assert "Value error" not in result.output
