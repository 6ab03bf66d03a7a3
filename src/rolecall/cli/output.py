"""How commands print: tables for people, documents for programs, errors that say what to do next.

A document is a contract: it has a ``kind`` and ``apiVersion: rolecall/v1``, its keys are camelCase, and its JSON Schema
is ``rolecall schema KIND``. Whatever comes from a file, a cluster or AWS is printed as text: characters that a terminal
obeys or hides are written out.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NoReturn

from rolecall.errors import RolecallError
from rolecall.visible import visible, visible_lines

# Exit codes are few: 0 done, 1 a refusal or failure that the message explains, 2 wrong usage (click's own),
# 3 what was asked about is not there or not running (as `systemctl status` and LSB scripts answer).
FAILED = 1
NOT_RUNNING = 3

API_VERSION = "rolecall/v1"
_GAP = "   "
_SHORTEST = 5


class Format(StrEnum):
    """Values of ``-o`` for a command that shows a table."""

    table = "table"
    json = "json"
    yaml = "yaml"


class PasteFormat(StrEnum):
    """Values of ``-o`` for a command whose table people paste or file as well."""

    table = "table"
    json = "json"
    yaml = "yaml"
    markdown = "markdown"
    csv = "csv"


def print_document(kind: str, members: Mapping[str, Any], form: Format | PasteFormat) -> None:
    """Write a document to standard output as JSON or YAML.

    :param kind: the kind that ``rolecall schema`` knows, such as ``Plan``
    :param members: its members in camelCase; those that are ``None`` are left out, at every depth
    """
    print_data({"kind": kind, "apiVersion": API_VERSION, **without_absent(members)}, form)


def without_absent(value: Any) -> Any:
    """Plain data without the members of mappings that are ``None``: in a document, absent is absent."""
    if isinstance(value, Mapping):
        return {key: without_absent(one) for key, one in value.items() if one is not None}
    if isinstance(value, (list, tuple)):
        return [without_absent(one) for one in value]
    return value


def print_data(data: Mapping[str, Any] | Sequence[Any], form: Format | PasteFormat) -> None:
    """Write plain data as JSON or YAML; a document of ours goes through :func:`print_document`."""
    if form == Format.yaml:
        from rolecall.local_files.yaml_dump import dump_yaml

        sys.stdout.write(dump_yaml(data))
    else:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], form: Format | PasteFormat = Format.table
) -> None:
    """Write rows under headings, as kubectl does; on a terminal never wider than the terminal.

    :param form: ``table``, or ``markdown`` or ``csv``, where nothing is shortened
    """
    shown = [tuple(visible(cell) for cell in row) for row in rows]
    if form == PasteFormat.csv:
        _print_csv(columns, shown)
    elif form == PasteFormat.markdown:
        _print_markdown(columns, shown)
    else:
        table = [tuple(column.upper() for column in columns), *shown]
        widths = _fitted([max(len(row[index]) for row in table) for index in range(len(columns))], _terminal_width())
        for row in table:
            cells = (_shortened(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True))
            sys.stdout.write(_GAP.join(cells).rstrip() + "\n")


def _print_csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    # A spreadsheet runs a cell that begins like a formula (OWASP, "CSV Injection").
    writer.writerows([f"'{cell}" if cell[:1] in {"=", "+", "-", "@"} else cell for cell in row] for row in rows)


def _print_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    sys.stdout.write(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n")
    for row in rows:
        sys.stdout.write(f"| {' | '.join(markdown_text(cell) for cell in row)} |\n")


def markdown_text(text: str) -> str:
    """A text of one line that Markdown shows as it is: no markup of it and no HTML counts."""
    escaped = visible(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{one}" if one in "\\`*_[]|#~!" else one for one in escaped)


def _terminal_width() -> int | None:
    """Columns of the terminal that standard output is; ``None`` if it is not one, so that pipes get whole lines."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _fitted(widths: list[int], available: int | None) -> list[int]:
    """The widths of the columns, the widest made narrower until the row fits."""
    if available is None:
        return widths
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - available
    while over > 0:
        widest = max(range(len(widths)), key=lambda index: widths[index])
        if widths[widest] <= _SHORTEST:
            break
        widths[widest] -= 1
        over -= 1
    return widths


def _shortened(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 3]}..."


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal what is being done, for as long as it takes; nothing if standard error is piped."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def typed_command() -> str:
    """How the person calls this program: ``rolecall``, or the path that was typed if it is not on PATH."""
    if shutil.which("rolecall"):
        return "rolecall"
    called = sys.argv[0]
    return shlex.quote(called) if os.path.basename(called) == "rolecall" else "python -m rolecall"


def fail(error: RolecallError, code: int = FAILED) -> NoReturn:
    """Write an error to standard error and end the command."""
    where = f"{error.where}: " if error.where else ""
    sys.stderr.write(f"error: {visible_lines(where + error.what)}\n")
    if error.advice:
        sys.stderr.write(f"       {visible_lines(error.advice)}\n")
    raise SystemExit(code)
