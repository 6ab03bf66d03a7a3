"""The edits of access.yaml that belong to runs: kept beside the journal, and taken back with the run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from difflib import ndiff
from pathlib import Path
from typing import TYPE_CHECKING

from rolecall.errors import RolecallError
from rolecall.visible import visible

if TYPE_CHECKING:
    from rolecall.manifest.draft import Rewritten


def keep(run: str, edits: Sequence[Rewritten]) -> Path | None:
    """Write down what each file held before and after; for its owner alone. ``None`` if there are no edits."""
    from rolecall.local_files.private import write_private

    if not edits:
        return None
    path = _path(run)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = [{"path": str(one.path), "name": one.shown, "before": one.before, "after": one.after} for one in edits]
    write_private(path, json.dumps(found, indent=1) + "\n")
    return path


def take_back(run: str, undo: str) -> None:
    """Put files back to what they held before a run, if they are as the run left them; else say which lines stay.

    :param undo: the name of the run that undoes it; its own undo then restores the edit.
    """
    edits = _read(run)
    back: list[Rewritten] = []
    for one in edits:
        current = _text(one.path)
        if current == one.before:
            continue
        if current == one.after:
            back.append(one)
        else:
            _say_what_stays(one, current)
    for one in back:
        _write_back(one, undo)


def _write_back(one: Rewritten, undo: str) -> None:
    from rolecall.local_files.edited import replace_text
    from rolecall.manifest.draft import Rewritten

    keep(undo, [Rewritten(one.path, one.shown, one.after, one.before)])
    try:
        replace_text(one.path, one.after, one.before)
    except RolecallError as error:
        sys.stderr.write(f"warning: {visible(one.shown)} still has the edit: {visible(str(error))}\n")
    else:
        sys.stderr.write(f"note: {visible(one.shown)} is again as it was before the run\n")


def _say_what_stays(one: Rewritten, current: str) -> None:
    """The lines of the edit that a file still has: the next apply would make the change again."""
    if not current:
        return
    added = [line[2:] for line in ndiff(one.before.split("\n"), one.after.split("\n")) if line.startswith("+ ")]
    there = [(number, line) for number, line in enumerate(current.split("\n"), 1) if line.strip() and line in added]
    sys.stderr.write(f"note: {visible(one.shown)} was edited since this run, so it is left as it is\n")
    for number, line in there:
        sys.stderr.write(f"      {visible(one.shown)}:{number} still says: {visible(line.strip())}\n")
    if there:
        sys.stderr.write("      the next apply makes this change again; remove these lines first\n")


def _read(run: str) -> list[Rewritten]:
    from rolecall.manifest.draft import Rewritten

    path = _path(run)
    try:
        found = json.loads(path.read_text("utf-8"))
        return [Rewritten(Path(one["path"]), str(one["name"]), str(one["before"]), str(one["after"])) for one in found]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        sys.stderr.write(f"warning: {path}: the edits of the run cannot be read: {visible(str(error))}\n")
        return []


def _text(path: Path) -> str:
    from rolecall.local_files.edited import read_text

    try:
        return read_text(path)
    except RolecallError:
        return ""


def _path(run: str) -> Path:
    from rolecall.runs.journal import runs_folder

    return runs_folder(os.environ) / f"{run}.files.json"
