"""How a run of changes is carried out and how it ended: for every command that changes accounts and clusters."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rolecall.cli.access_as_code import plan as planning
from rolecall.cli.output import FAILED, Format, print_document, print_table
from rolecall.cli.progress import Progress
from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.access.read_world import Reading
    from rolecall.plan.plan import Plan
    from rolecall.plan.resources import Change
    from rolecall.runs.apply import Report
    from rolecall.runs.journal import Journal, Recorded, Run
    from rolecall.runs.record import Record

Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask for confirmation.")]
RunName = Annotated[str | None, typer.Argument(metavar="[RUN]", help="Name of a run (default: the last one).")]
# What a command that changes things prints if there was nothing to change.
NOTHING_DONE: Mapping[str, Any] = {"complete": True, "steps": [], "records": []}
INTERRUPTED = 130


def confirm(question: str, yes: bool) -> None:
    """Ask a person; a program must say --yes. Without their consent nothing is changed."""
    if yes:
        return
    if not sys.stdin.isatty():
        advice = "review the plan, then run again with --yes; nothing was changed"
        raise RolecallError("cannot ask for confirmation (not a terminal)", advice=advice)
    try:
        agreed = typer.confirm(question, err=True)
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("\nNothing was changed.\n")
        raise SystemExit(INTERRUPTED) from None
    if not agreed:
        sys.stderr.write("Nothing was changed.\n")
        raise typer.Exit(FAILED)


def nothing_to_do(why: str, output: Format) -> None:
    """Say that a command has nothing to do."""
    if output is Format.table:
        sys.stdout.write(f"{why}\n")
        return
    sys.stderr.write(f"note: {why}\n")
    print_document("Run", NOTHING_DONE, output)


def refused(made: Plan, output: Format) -> None:
    """End the command if a guard refuses what was not shown yet."""
    if made.refusals:
        planning.show(made, output)
        raise typer.Exit(planning.REFUSED)


def read_now(reach: Mapping[str, Any], changes: Sequence[Change]) -> Reading:
    """The accounts and clusters of changes as they are.

    :raises RolecallError: nothing could be read.
    """
    from rolecall.cli.access_as_code.world import nothing_read
    from rolecall.runs.reach import read_reached

    progress = Progress("reading accounts and clusters")
    try:
        reading = read_reached(reach, {change.resource.place for change in changes}, datetime.now(UTC), progress)
    finally:
        progress.end()
    if changes and (error := nothing_read(reading)) is not None:
        raise error
    return reading


def show_reach(reach: Mapping[str, Any], changes: Iterable[Change], output: Format) -> None:
    """Say by which credentials and contexts changes are made, if a file or a journal names them."""
    from rolecall.runs.reach import reach_lines

    lines = [*reach_lines(reach, {change.resource.place for change in changes})]
    if output is Format.table:
        sys.stdout.write("".join(f"{line}\n" for line in [*lines, *([""] if lines else [])]))
    else:
        # Standard output is the document.
        sys.stderr.write("".join(f"{line}\n" for line in lines))


def work(run: Run) -> Report:
    """Make a run's changes, with a journal and progress."""
    from rolecall.runs.journal import Journal

    with Journal.create(folder(), run) as journal:
        return make(journal)


def make(journal: Journal) -> Report:
    """Make the changes of an open journal that are not in force yet."""
    from rolecall.runs.apply import Outcome, apply_changes
    from rolecall.runs.reach import reached

    total, done = len(journal.run.changes), 0
    progress = Progress("changing")

    def tell(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        progress(done, total, str(outcome.change))

    try:
        with reached(journal.run.reach) as live:
            return apply_changes(journal, live, progress=tell)
    except KeyboardInterrupt:
        name = journal.run.name
        made = sum(state.in_force for state in journal.states.values())
        sys.stderr.write(
            f"\nstopped after {made} of {total} steps; continue: rolecall resume {name}; "
            f"or undo it: rolecall undo {name}\n"
        )
        raise
    finally:
        progress.end()


def finish(
    report: Report, run: Run, output: Format, made: Plan | None = None, more: Mapping[str, Any] | None = None
) -> None:
    """Say how a run ended, and end the command with 1 if something was not done.

    :param more: members of the JSON document besides.
    """
    found = _records(report, made)
    if output is Format.table:
        for line in _report_lines(report, run):
            sys.stdout.write(line + "\n")
        _print_records(found)
    else:
        steps = [step(one.change, one.state.value, one.why) for one in report.outcomes]
        members = {**run_members(run), "complete": report.complete, "steps": steps}
        print_document("Run", {**members, "records": [one.to_json() for one in found], **(more or {})}, output)
    if not report.complete:
        raise typer.Exit(FAILED)


def run_members(run: Run) -> dict[str, Any]:
    """A run's own members of a document."""
    from rolecall.moments import parse_moment, write_moment

    return {
        "run": run.name,
        "what": run.what,
        "by": run.caller or None,
        "at": write_moment(parse_moment(run.at)),
        "undoes": run.undoes or None,
        "why": run.why or None,
        "allowed": list(run.allowed),
    }


def step(change: Change, state: str, why: str = "") -> dict[str, Any]:
    """One step of a run for a document."""
    resource = change.resource
    found = {"state": state, "kind": resource.kind.value, "place": resource.place, "name": change.name}
    return {**found, "why": why or None}


def _report_lines(report: Report, run: Run) -> Iterable[str]:
    from rolecall.plan.render import place_label
    from rolecall.runs.journal import State
    from rolecall.visible import visible as shown

    for outcome in report.of(State.FAILED, State.CONFLICT, State.SKIPPED):
        change, resource = outcome.change, outcome.change.resource
        yield f"  ! {outcome.state.value} {resource.kind.value} {shown(change.name)}, {place_label(resource.place)}"
        yield from (f"      {shown(line)}" for line in outcome.why.splitlines())
    already = len(report.of(State.ALREADY))
    done = len(report.of(State.DONE)) + already
    so = f", {already} of them were done already" if already else ""
    words = "Done" if report.complete else "Not all done"
    yield f"{words}: {done} of {len(report.outcomes)} steps{so}. Run {run.name}."
    if report.complete:
        return
    if report.of(State.FAILED):
        yield f"Fix the cause, then continue: rolecall resume {run.name}"
    if report.of(State.CONFLICT):
        yield "Somebody else changed something meanwhile; see the current state: rolecall plan"
    if report.of(State.DONE):
        yield f"Or undo what was done: rolecall undo {run.name}"


def _records(report: Report, made: Plan | None) -> list[Record]:
    from rolecall.runs.record import records

    return list(records(made.effects)) if made is not None and report.complete else []


def _print_records(found: Sequence[Record]) -> None:
    """One record as the procedure has it, several as a table."""
    from rolecall.visible import visible as shown

    if len(found) == 1:
        sys.stdout.write("\n")
        for name, value in found[0].rows():
            sys.stdout.write(f"  {name:<25}{shown(value)}\n")
    elif found:
        sys.stdout.write("\n")
        columns = ("person", "role", "cluster", "username", "groups")
        print_table(columns, [one.cells() for one in found])


def recorded(name: str | None) -> Recorded:
    """A run by its name, or the last one."""
    from rolecall.runs.journal import read_run, run_names

    if name is None:
        names = run_names(folder())
        if not names:
            raise RolecallError("no runs yet", where=str(folder()), advice="rolecall apply makes the first one")
        name = names[-1]
    return read_run(folder(), name)


def folder() -> Path:
    """Where journals are kept."""
    from rolecall.runs.journal import runs_folder

    return runs_folder(os.environ)
