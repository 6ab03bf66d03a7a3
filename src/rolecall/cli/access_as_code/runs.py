"""``rolecall runs``: what was done, by whom, and how it ended."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from rolecall.cli.access_as_code import outcome
from rolecall.cli.output import PasteFormat, print_document, print_table

Output = Annotated[PasteFormat, typer.Option("-o", "--output", help="Output format.")]
_DOCUMENTS = (PasteFormat.json, PasteFormat.yaml)


def runs(name: outcome.RunName = None, output: Output = PasteFormat.table) -> None:
    """List runs, or what one run did, step by step.

    \b
    rolecall runs
    rolecall runs 20261125T021530Z-4f2a9c -o json

    Exit codes: 0 done, 1 error, 2 usage.
    """
    if name is not None:
        _one(name, output)
        return
    found = _all()
    if output in _DOCUMENTS:
        print_document("RunList", {"runs": found}, output)
    elif not found and output is PasteFormat.table:
        sys.stdout.write("No runs yet.\n")
    else:
        rows = [[str(one.get(column, "")) for column in ("run", "what", "by", "steps", "state")] for one in found]
        print_table(("run", "what", "by", "steps", "state"), rows, output)


def _one(name: str, output: PasteFormat) -> None:
    from rolecall.runs.journal import read_run

    recorded = read_run(outcome.folder(), name)
    rows = [
        outcome.step(change, state.value if (state := recorded.states.get(change.key)) else "not begun",
                     recorded.why.get(change.key, ""))
        for change in recorded.run.changes
    ]  # fmt: skip
    if output in _DOCUMENTS:
        members = {**outcome.run_members(recorded.run), "complete": recorded.complete, "steps": rows, "records": []}
        print_document("Run", members, output)
        return
    columns = ("state", "kind", "place", "name", *(("why",) if any(row["why"] for row in rows) else ()))
    print_table(columns, [[row[column] or "" for column in columns] for row in rows], output)


def _all() -> list[dict[str, Any]]:
    """Every run, the oldest first. One journal that cannot be read, of another version for example, hides no other."""
    from rolecall.runs.journal import JournalError, Recorded, completed_by, read_run, run_names

    found: dict[str, Recorded | None] = {}
    for name in run_names(outcome.folder()):
        try:
            found[name] = read_run(outcome.folder(), name)
        except JournalError as error:
            sys.stderr.write(f"warning: {error.where}: {error.what}\n")
            found[name] = None
    rows: list[dict[str, Any]] = []
    for name, recorded in found.items():
        if recorded is None:
            rows.append({"run": name, "state": "not readable"})
            continue
        later = "" if recorded.complete else completed_by(
            recorded, (one for other, one in found.items() if other > name and one is not None)
        )  # fmt: skip
        state = "complete" if recorded.complete else f"completed by {later}" if later else "not complete"
        members = outcome.run_members(recorded.run)
        rows.append({**members, "steps": len(recorded.run.changes), "state": state})
    return rows
