"""What was done to a person's file, said as a table, JSON or YAML; and a change that is only shown."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from rolecall.cli.output import FAILED, Format, print_data, print_table
from rolecall.cli.own_files.endpoints import Failed
from rolecall.lines import text_lines

# Keys whose values are secret, of a kubeconfig (kubeconfig v1, AuthInfo and AuthProviderConfig) and of the AWS CLI's
# files. Their lines are not ours, but a file that is written again may have them laid out anew.
_SECRET = re.compile(
    r"((?:token|password|client-key-data|secret|secret_access_key|session_token|security_token)[\"']?\s*[:=]\s*).*",
    re.IGNORECASE,
)
_WITH_KEY = re.compile(r"@|.\s*(- )*[\w\"'.-]+\s*:(\s|$)|.\s*\[")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done.

    :param kind: ``context`` or ``profile``.
    :param changes: names by what was done to them.
    :param shown: the text before and after, where nothing was written.
    """

    kind: str
    path: Path
    changes: Mapping[str, Sequence[str]]
    failed: Sequence[Failed]
    notes: Sequence[str]
    more: Mapping[str, str]
    shown: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"file": str(self.path), "dryRun": self.shown is not None}
        found |= {name: list(names) for name, names in self.changes.items()} | dict(self.more)
        found["failed"] = [
            {"cluster": one.cluster, "role": one.role, "reason": one.error.what, "advice": one.error.advice}
            for one in self.failed
        ]
        found["notes"] = list(self.notes)
        if self.shown is not None:
            found["diff"] = list(diff(self.path, *self.shown))
        return found


def finish(outcome: Outcome, form: Format) -> None:
    """Say what was done, and end with 1 where something could not be."""
    if form is not Format.table:
        print_data(outcome.to_json(), form)
    elif outcome.shown is not None:
        sys.stdout.writelines(f"{line}\n" for line in diff(outcome.path, *outcome.shown))
    elif any(outcome.changes.values()):
        rows = [(name, how) for how, names in outcome.changes.items() for name in names]
        print_table((outcome.kind, "change"), rows)
    if form is Format.table:
        _say(outcome)
    if outcome.failed:
        raise typer.Exit(FAILED)


def _say(outcome: Outcome) -> None:
    for note in outcome.notes:
        sys.stderr.write(f"note: {note}\n")
    for one in outcome.failed:
        sys.stderr.write(f"error: {one.what}{': ' if one.what else ''}{one.error.what}\n")
        if one.error.advice:
            sys.stderr.write(f"       {one.error.advice}\n")
    count = sum(len(outcome.changes.get(how, ())) for how in ("added", "changed", "removed"))
    if not any(outcome.changes.values()):
        sys.stderr.write(f"there is no {outcome.kind} to write\n")
    elif outcome.shown is None:
        done = f"{count} written to" if count else "nothing changed in"
        sys.stderr.write(f"{done} {outcome.path}\n")


def diff(path: Path, before: str, after: str) -> Iterator[str]:
    """The lines that differ, without those around them, which may be secrets of the person's own."""
    names = (str(path), f"{path} (new)")
    lines = list(difflib.unified_diff(text_lines(before), text_lines(after), *names, lineterm="", n=0))
    sides = [{line[1:].strip() for line in lines[2:] if line[0] == sign} for sign in "-+"]
    inside = False
    for number, line in enumerate(lines):
        hidden = _SECRET.sub(r"\1(not shown)", line)
        # What follows a secret's key without a key of its own is a part of its value.
        inside = hidden != line or (inside and not _WITH_KEY.match(line))
        # What is on both sides was only laid out anew.
        if number < 2 or line[0] == "@" or not all(line[1:].strip() in side for side in sides):
            yield hidden if hidden != line or not inside else f"{line[0]} (not shown)"
