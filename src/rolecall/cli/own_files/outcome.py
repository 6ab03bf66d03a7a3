"""What was done to a person's files, as a table, JSON or YAML; and a change that is only shown."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from rolecall.cli.output import FAILED, Format, print_document, print_table
from rolecall.cli.own_files.endpoints import Failed
from rolecall.lines import text_lines
from rolecall.visible import visible

# Keys whose values are secret, of a kubeconfig (kubeconfig v1, AuthInfo and AuthProviderConfig) and of the AWS CLI's
# files. Their lines are not ours, but a file that is written again may have them in another layout.
_SECRET = re.compile(
    r"((?:token|password|client-key-data|secret|secret_access_key|session_token|security_token)[\"']?\s*[:=]\s*).*",
    re.IGNORECASE,
)
_KINDS = {"context": "KubeconfigChange", "profile": "ProfileChange"}
_WITH_KEY = re.compile(r"@|.\s*(- )*[\w\"'.-]+\s*:(\s|$)|.\s*\[")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done.

    :param subject: ``context`` or ``profile``.
    :param files: those that were written or would be; if nothing changes, the one that would have been.
    :param changes: names by what was done to them.
    :param more: further members of the document.
    :param shown: each file's text before and after, if nothing was written.
    :param next_step: how what was written is used.
    """

    subject: str
    files: Sequence[Path]
    changes: Mapping[str, Sequence[str]]
    failed: Sequence[Failed]
    notes: Sequence[str]
    more: Mapping[str, str]
    shown: Sequence[tuple[Path, str, str]] | None = None
    next_step: str = ""

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"files": [str(path) for path in self.files], "dryRun": self.shown is not None}
        found |= {name: list(names) for name, names in self.changes.items()} | dict(self.more)
        found["failed"] = [
            {
                "cluster": one.cluster or None,
                "role": one.role or None,
                "reason": one.error.what,
                "advice": one.error.advice or None,
            }
            for one in self.failed
        ]
        found["notes"] = list(self.notes)
        if self.shown is not None:
            found["diff"] = self.diff()
        return found

    def diff(self) -> list[str]:
        return [line for shown in self.shown or () for line in diff(*shown)]


def finish(outcome: Outcome, form: Format) -> None:
    """Print what was done, and exit with 1 if something could not be done."""
    if form is not Format.table:
        print_document(_KINDS[outcome.subject], outcome.to_json(), form)
    elif outcome.shown is not None:
        sys.stdout.writelines(f"{visible(line)}\n" for line in outcome.diff())
    elif any(outcome.changes.values()):
        rows = [(name, how) for how, names in outcome.changes.items() for name in names]
        print_table((outcome.subject, "change"), rows)
    if form is Format.table:
        _say(outcome)
    if outcome.failed:
        raise typer.Exit(FAILED)


def _say(outcome: Outcome) -> None:
    lines = [f"note: {note}" for note in outcome.notes]
    for error, those in _by_cause(outcome.failed).items():
        what, advice = error
        if len(those) > 1:
            lines.append(f"error: {len(those)} {outcome.subject}s were not written: {what}")
            lines += [f"         {one}" for one in those]
        else:
            lines.append(f"error: {those[0]}{': ' if those[0] else ''}{what}")
        lines += [f"       {advice}"] if advice else []
    count = sum(len(outcome.changes.get(how, ())) for how in ("added", "changed", "removed"))
    if not any(outcome.changes.values()):
        lines.append(f"there is no {outcome.subject} to write")
    elif outcome.shown is None:
        done = f"{count} written to" if count else "nothing changed in"
        lines.append(f"{done} {', '.join(str(path) for path in outcome.files)}")
        lines += [outcome.next_step] if outcome.next_step else []
    sys.stderr.writelines(f"{visible(line)}\n" for line in lines)


def _by_cause(failed: Sequence[Failed]) -> dict[tuple[str, str], list[str]]:
    """What failed for one reason is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in failed:
        found.setdefault((one.error.what, one.error.advice), []).append(one.what)
    return found


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
        # What is on both sides only has another layout.
        if number < 2 or line[0] == "@" or not all(line[1:].strip() in side for side in sides):
            yield hidden if hidden != line or not inside else f"{line[0]} (not shown)"
