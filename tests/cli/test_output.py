"""Tables, documents and errors as a terminal and a program get them."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.cli.commands import COMMANDS, help_text
from rolecall.cli.lazy import load_command
from rolecall.cli.output import Format, PasteFormat, fail, print_document, print_table
from rolecall.errors import RolecallError
from rolecall.visible import hidden_character, visible, visible_lines
from terminal import Terminal


@pytest.mark.parametrize("form", [Format.table, PasteFormat.markdown, PasteFormat.csv])
def test_no_escape_sequence_reaches_the_terminal(form: PasteFormat, capsys: pytest.CaptureFixture[str]) -> None:
    # The samples of CVE-2021-25743 (kubernetes/kubernetes#112553): erase the line, go up, set the title, hide the rest.
    print_table(("user", "group"), [("dev\x1b[2K\x1b[1A\x1b]0;title\a", "viewers\x1b[8m\u202e\u2060")], form)
    written = capsys.readouterr().out
    assert not {one for one in written if one != "\n" and not one.isprintable()}
    assert "x1b" in written or "u001b" in written


def test_an_error_shows_what_it_quotes_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail(RolecallError("there is no 'a\x1b[2K'", where="f\x9b8m", advice="look\u200bhere\nand there"))
    assert (
        capsys.readouterr().err == "error: f\\u009b8m: there is no 'a\\u001b[2K'\n       look\\u200bhere\nand there\n"
    )


@given(st.text())
def test_what_is_visible_has_only_characters_that_show(text: str) -> None:
    shown = visible(text)
    assert not hidden_character(shown)
    assert all(
        one == " " or unicodedata.category(one) not in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"} or one in _SHOWN
        for one in shown
    )
    assert visible_lines(text).count("\n") == text.count("\n")


# Format characters that are drawn: Arabic, Syriac and Kaithi number marks, Egyptian joiners.
_SHOWN = {
    chr(code)
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)) == "Cf" and not hidden_character(chr(code))
}


def test_the_format_characters_that_stay_are_drawn() -> None:
    # Unicode 16.0, "Prepended_Concatenation_Mark", and the format controls of Egyptian hieroglyphs, musical and shorthand
    # signs are the only characters of category Cf that are not default-ignorable.
    assert {
        chr(c)
        for c in [*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)]
    } >= _SHOWN


@pytest.mark.parametrize(
    "text",
    ["\u2060", "\u3164", "\u115f", "\uffa0", "\ufe0f", "\U000e0041", "\u00ad", "\u034f", "\u2800", "\u00a0", "\u200b"],
)
def test_fillers_joiners_and_tags_are_written_out(text: str) -> None:
    assert hidden_character(f"admins{text}") == f"U+{ord(text):04X}"
    assert visible(text).isascii()


def test_a_table_is_never_wider_than_the_terminal() -> None:
    program = (
        "from rolecall.cli.output import print_table; print_table(('a', 'arn'), [('x' * 50, 'y' * 90), ('z', 'w')])"
    )
    terminal = Terminal([sys.executable, "-c", program], {**os.environ, "COLUMNS": "60"})
    assert terminal.end() == 0
    lines = terminal.shown.replace("\r", "").splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 60
    assert "..." in lines[1]


def test_a_piped_table_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a",), [("x" * 500,)])
    assert "x" * 500 in capsys.readouterr().out


def test_a_cell_of_csv_is_no_formula_and_one_of_markdown_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [("=1+1", "x,y")], PasteFormat.csv)
    print_table(("a", "b"), [("|x|", "<b>*y*")], PasteFormat.markdown)
    assert capsys.readouterr().out == 'a,b\n\'=1+1,"x,y"\n| a | b |\n| --- | --- |\n| \\|x\\| | &lt;b>\\*y\\* |\n'


def test_absent_is_absent_in_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_document("Plan", {"a": None, "b": [{"c": None, "d": []}]}, Format.yaml)
    assert capsys.readouterr().out == "kind: Plan\napiVersion: rolecall/v1\nb:\n- d: []\n"


def test_summaries_are_never_cut_in_the_list_of_commands() -> None:
    assert {one.name: len(one.summary) for one in COMMANDS.values() if len(one.summary) > 50} == {}


def test_the_help_of_all_commands_loads_none_of_them() -> None:
    program = "import sys; sys.argv = ['rolecall', '--help']; from rolecall.__main__ import main; main(); print([one for one in sys.modules if 'typer' in one])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.rstrip().endswith("[]")
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert done.stdout.partition("Exit codes")[0] == help_text("rolecall").partition("Exit codes")[0]


def test_every_command_can_be_loaded() -> None:
    assert [load_command(one, None).name for one in COMMANDS.values()] == list(COMMANDS)
