"""How commands speak: tables for people, JSON and YAML for programs, errors that say what to do next."""

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

# sysexits-free and few: 0 done, 1 a refusal or failure that the message explains, 2 wrong usage (click's own),
# 3 what was asked about is not there or not running (as `systemctl status` and LSB scripts answer).
FAILED = 1
NOT_RUNNING = 3


class Format(StrEnum):
    """Values of ``-o``."""

    table = "table"
    json = "json"
    yaml = "yaml"


def print_data(data: Mapping[str, Any] | Sequence[Any], form: Format) -> None:
    """Write ``data`` to standard output as JSON or YAML."""
    if form is Format.yaml:
        import yaml

        sys.stdout.write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows under upper-case headings, as kubectl does."""
    table = [tuple(column.upper() for column in columns), *(tuple(row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(columns))]
    for row in table:
        line = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say on a terminal what is being done, for as long as it takes; nothing where standard error is piped."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def typed_command() -> str:
    """How the person calls this program: ``rolecall``, or the path that was typed where it is not on PATH."""
    if shutil.which("rolecall"):
        return "rolecall"
    called = sys.argv[0]
    return shlex.quote(called) if os.path.basename(called) == "rolecall" else "python -m rolecall"


def fail(error: RolecallError, code: int = FAILED) -> NoReturn:
    """Write an error to standard error and end the command."""
    where = f"{error.where}: " if error.where else ""
    sys.stderr.write(f"error: {where}{error.what}\n")
    if error.advice:
        sys.stderr.write(f"       {error.advice}\n")
    raise SystemExit(code)
