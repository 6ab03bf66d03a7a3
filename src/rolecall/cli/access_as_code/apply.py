"""``rolecall apply``, ``resume``, ``undo`` and ``runs``: make a plan's changes, go on with them, take them back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rolecall.cli.access_as_code import plan as planning
from rolecall.cli.access_as_code.file_edits import take_back
from rolecall.cli.output import FAILED, Format, print_data, print_table
from rolecall.cli.progress import Progress
from rolecall.errors import RolecallError
from rolecall.visible import visible

if TYPE_CHECKING:
    from rolecall.access.read_world import Reading
    from rolecall.plan.plan import Plan
    from rolecall.plan.resources import Change, ResourceId
    from rolecall.runs.apply import Report
    from rolecall.runs.journal import Recorded, Run

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
# What a command that changes things prints where there was nothing to change.
NOTHING_DONE: Mapping[str, Any] = {"run": None, "complete": True, "steps": [], "records": []}

INTERRUPTED = 130

RunName = Annotated[str | None, typer.Argument(metavar="[RUN]", help="Name of a run; by default the last one.")]


def apply(
    plan_file: Annotated[
        Path | None, typer.Argument(metavar="[PLAN]", help="A plan that `rolecall plan --out` wrote; else one is made.")
    ] = None,
    file: planning.File = planning.DEFAULT_FILE,
    account: planning.Accounts = None,
    cluster: planning.Clusters = None,
    allow: planning.Allow = None,
    include_folder: planning.Folders = None,
    yes: Yes = False,
    output: planning.Output = Format.table,
) -> None:
    """Make accounts and clusters as access.yaml says: plan, show, ask, change.

    Each change is written to a journal before it is made, so that a run that is stopped can be resumed or undone.
    Ends with 0 where all is done, 11 where a guard refuses, 1 where something was not done.

    \b
    rolecall apply
    rolecall apply -f access.yaml --yes
    rolecall plan --out plan.json
    rolecall apply plan.json

    A plan that was written earlier is examined again: what speaks against it now refuses it too.
    """
    _mention_unfinished()
    if plan_file is not None:
        if account or cluster or include_folder or file != planning.DEFAULT_FILE:
            raise typer.BadParameter("a plan says what it is of: --file, --account, --cluster and --include-folder are "
                                     "for rolecall plan", param_hint="PLAN")  # fmt: skip
        made, what = _planned_earlier(plan_file, allow), f"apply {plan_file}"
        _show_reach(made.reach, made.changes, output)
    else:
        made = planning.make(file, account, cluster, allow, include_folder)
        what = f"apply {file}"
    carry_out(made, what, yes=yes, output=output, whole=not (plan_file or account or cluster))


def _settle(what: str) -> None:
    """Record that the last run is complete, if the same file has nothing left to change."""
    from rolecall.runs.journal import Journal, JournalError, State, read_run, run_names

    try:
        names = run_names(_folder())
        last = read_run(_folder(), names[-1]) if names else None
        if last is not None and not last.complete and last.run.what == what:
            with Journal.reopen(_folder(), last.run.name) as journal:
                journal.note([change.key for change in last.left()], State.ALREADY, "found done by a later apply")
    except JournalError as error:
        sys.stderr.write(f"warning: {error.where}: {error.what}\n")


def carry_out(made: Plan, what: str, *, yes: bool, output: Format, whole: bool = False) -> None:
    """Show a plan, ask, make its changes and say how that went; for every command that changes the world.

    :param whole: whether the plan is of everything that the file says.
    """
    from rolecall.plan.recheck import allowances_of
    from rolecall.runs.journal import Run, new_run_name

    if output is Format.table:
        planning.show(made, output)
    if made.refusals:
        if output is not Format.table:
            planning.show(made, output)
        raise typer.Exit(planning.REFUSED)
    if not made.changes:
        if whole:
            _settle(what)
        if output is not Format.table:
            print_data(NOTHING_DONE, output)
        return
    confirm("Make these changes?", yes)
    now = datetime.now(UTC)
    allowed = allowances_of(made.findings)
    run = Run(new_run_name(now), what, made.caller, now.isoformat(), made.changes, reach=made.reach, allowed=allowed)
    finish(work(run), run, output, made)


def _planned_earlier(path: Path, allow: list[str] | None) -> Plan:
    from rolecall.plan.plan_file import from_json
    from rolecall.plan.recheck import again
    from rolecall.runs.reach import labels

    allowances = planning.allowances(allow)
    made = from_json(_read(path), str(path))
    made = again(made, _read_now(made.reach, made.changes), labels=labels(made.reach), allowances=allowances)
    planning.mention_unused(made, allowances)
    return made


def _read_now(reach: Mapping[str, Any], changes: Sequence[Change]) -> Reading:
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


def _show_reach(reach: Mapping[str, Any], changes: Iterable[Change], output: Format) -> None:
    """Say by which credentials and contexts changes are made, if a file or a journal names them."""
    from rolecall.runs.reach import reach_lines

    lines = [*reach_lines(reach, {change.resource.place for change in changes})]
    # Standard output is the document of a program; it is said to people all the same.
    stream = sys.stdout if output is Format.table else sys.stderr
    stream.write("".join(f"{line}\n" for line in [*lines, *([""] if lines and output is Format.table else [])]))


def _refused(made: Plan, output: Format) -> None:
    """End the command where a guard refuses what was shown to nobody yet."""
    if made.refusals:
        planning.show(made, output)
        raise typer.Exit(planning.REFUSED)


def resume(name: RunName = None, allow: planning.Allow = None, output: planning.Output = Format.table) -> None:
    """Go on with a run that was stopped, from its journal. What speaks against it by now refuses it.

    \b
    rolecall resume
    rolecall resume 20261125T021530Z-4f2a9c
    """
    from dataclasses import replace

    from rolecall.plan.actual import linking
    from rolecall.plan.order import reordered
    from rolecall.plan.recheck import allowances_of, recheck
    from rolecall.runs.journal import Journal
    from rolecall.runs.reach import labels

    recorded = _recorded(name)
    run = recorded.run
    if recorded.complete:
        _nothing_to_do(f"run {run.name} is complete", output)
        return
    left = recorded.left()
    allowances = planning.allowances(allow)
    reading = _read_now(run.reach, left)
    plan = recheck(left, reading, labels=labels(run.reach), allowances=allowances)
    planning.mention_unused(plan, allowances)
    if run.allowed and plan.refusals:
        told = " ".join(f"--allow {one}" for one in run.allowed)
        sys.stderr.write(f"note: the run was begun with {told}; to allow it again, give it again\n")
    _refused(plan, output)
    _show_reach(run.reach, left, output)
    if output is Format.table:
        planning.show(plan, output)
    steps = reordered(left, linking(reading.world))
    with Journal.reopen(_folder(), run.name) as journal:
        journal.go_on(steps)
        report = _make(journal)
    finish(report, replace(run, allowed=allowances_of(plan.findings)), output)


def undo(
    name: RunName = None, allow: planning.Allow = None, yes: Yes = False, output: planning.Output = Format.table
) -> None:
    """Take back what a run changed. Refused where somebody else changed it since, or where a guard speaks against it.

    Without RUN it is the last one. An undo is a run as any other: undone itself, it is as before.

    \b
    rolecall undo
    rolecall undo 20261125T021530Z-4f2a9c --yes
    rolecall undo --allow lockout-caller:prod
    """
    from dataclasses import replace

    from rolecall.plan.actual import linking
    from rolecall.plan.recheck import TOLD_OF_UNDO, allowances_of, recheck
    from rolecall.runs.reach import labels
    from rolecall.runs.undo import undo_run
    from rolecall.runs.way_back import not_restored

    recorded = _recorded(name)
    run, made = recorded.run, recorded.made()
    if not made:
        _nothing_to_do(f"run {run.name} changed nothing", output)
        return
    values = _values(run.reach, dict.fromkeys(change.resource for change in made))
    reading = _read_now(run.reach, made)
    back = undo_run(
        recorded, values.__getitem__, linking(reading.world), now=datetime.now(UTC), caller=reading.world.caller
    )
    if not back.changes:
        _nothing_to_do(f"nothing of run {run.name} is left to take back", output)
        return
    allowances = planning.allowances(allow)
    plan = recheck(back.changes, reading, labels=labels(run.reach), allowances=allowances, told=TOLD_OF_UNDO)
    plan = replace(plan, changes=back.changes)
    planning.mention_unused(plan, allowances)
    _refused(plan, output)
    _show_reach(run.reach, made, output)
    if output is Format.table:
        planning.show(plan, output)
    for text in not_restored(back.changes):
        sys.stderr.write(f"note: {visible(text)}\n")
    confirm(f"Take back run {run.name} ({run.what})?", yes)
    back = replace(back, allowed=allowances_of(plan.findings))
    report = work(back)
    if report.complete:
        take_back(run.name, back.name)
    finish(report, back, output)


def _values(reach: Mapping[str, Any], resources: Iterable[ResourceId]) -> dict[ResourceId, Any]:
    from concurrent.futures import ThreadPoolExecutor

    from rolecall.runs.apply import WORKERS
    from rolecall.runs.reach import reached

    wanted = list(resources)
    with reached(reach) as live, ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip(wanted, pool.map(live.read, wanted), strict=True))


def _nothing_to_do(why: str, output: Format) -> None:
    if output is Format.table:
        sys.stdout.write(f"{why}\n")
        return
    sys.stderr.write(f"note: {why}\n")
    print_data(NOTHING_DONE, output)


def runs(name: RunName = None, output: planning.Output = Format.table) -> None:
    """List runs, or what one run did, step by step.

    \b
    rolecall runs
    rolecall runs 20261125T021530Z-4f2a9c -o json
    """
    from rolecall.runs.journal import read_run, run_names
    from rolecall.visible import visible as shown

    if name is not None:
        recorded = read_run(_folder(), name)
        rows = [
            {**_step(change, recorded.states.get(change.key)), "why": recorded.why.get(change.key, "")}
            for change in recorded.run.changes
        ]
        if output is Format.table:
            columns = ("state", "kind", "place", "name", *(("why",) if any(row["why"] for row in rows) else ()))
            print_table(columns, [[shown(row[column]) for column in columns] for row in rows])
        else:
            print_data({**_run(recorded), "steps": rows}, output)
        return
    found = [_run_or_not(name) for name in run_names(_folder())]
    if output is Format.table:
        print_table(
            ("run", "what", "by", "steps", "state"),
            [[one["run"], one["what"], one["by"], str(one["steps"]), one["state"]] for one in found],
        )
    else:
        print_data(found, output)


def _run_or_not(name: str) -> dict[str, Any]:
    """One journal that cannot be read, of another version for example, hides no other."""
    from rolecall.runs.journal import JournalError, read_run

    try:
        return _run(read_run(_folder(), name))
    except JournalError as error:
        sys.stderr.write(f"warning: {error.where}: {error.what}\n")
        return {"run": name, "what": "", "by": "", "at": "", "steps": 0, "state": "not readable", "undoes": ""}


def work(run: Run) -> Report:
    """Make a run's changes, with a journal and progress."""
    from rolecall.runs.journal import Journal

    with Journal.create(_folder(), run) as journal:
        return _make(journal)


def _make(journal: Any) -> Report:
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
        sys.stderr.write(f"\nstopped; go on: rolecall resume {name}; or take it back: rolecall undo {name}\n")
        raise
    finally:
        progress.end()


def finish(
    report: Report, run: Run, output: Format, made: Plan | None = None, more: Mapping[str, Any] | None = None
) -> None:
    """Say how a run ended, and end the command with 1 where something was not done.

    :param more: members of the JSON document besides.
    """
    if output is Format.table:
        for line in (*_report_lines(report, run), *_record_lines(report, made)):
            sys.stdout.write(line + "\n")
    else:
        steps = [{**_step(one.change, one.state), "why": one.why} for one in report.outcomes]
        found = [dict(record) for record in _records(report, made)]
        told = {"run": run.name, "complete": report.complete, "steps": steps, "records": found}
        print_data({**told, **(more or {})}, output)
    if not report.complete:
        raise typer.Exit(FAILED)


def _report_lines(report: Report, run: Run) -> Iterable[str]:
    from rolecall.plan.render import place_label
    from rolecall.runs.journal import State
    from rolecall.visible import visible as shown

    wrong = report.of(State.FAILED, State.CONFLICT, State.SKIPPED)
    for outcome in wrong:
        change, resource = outcome.change, outcome.change.resource
        yield f"  ! {outcome.state.value} {resource.kind.value} {shown(change.name)}, {place_label(resource.place)}"
        yield from (f"      {shown(line)}" for line in outcome.why.splitlines())
    already = len(report.of(State.ALREADY))
    done = len(report.of(State.DONE)) + already
    so = f", {already} of them so already" if already else ""
    words = "Done" if report.complete else "Not all done"
    yield f"{words}: {done} of {len(report.outcomes)} steps{so}. Run {run.name}."
    if report.complete:
        return
    if report.of(State.FAILED):
        yield f"Once the cause is mended, go on: rolecall resume {run.name}"
    if report.of(State.CONFLICT):
        yield "Where somebody else changed it, see what is there now: rolecall plan"
    if report.of(State.DONE):
        yield f"Or take back what was done: rolecall undo {run.name}"


def _records(report: Report, made: Plan | None) -> list[tuple[tuple[str, str], ...]]:
    from rolecall.runs.record import records

    return list(records(made.effects)) if made is not None and report.complete else []


def _record_lines(report: Report, made: Plan | None) -> Iterable[str]:
    from rolecall.visible import visible as shown

    for record in _records(report, made):
        yield ""
        yield from (f"  {name:<25}{shown(value)}" for name, value in record)


def confirm(question: str, yes: bool) -> None:
    """Ask a person; a program must say --yes."""
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


def _mention_unfinished() -> None:
    from rolecall.runs.journal import JournalError, run_names

    names = run_names(_folder())
    if not names:
        return
    try:
        last = _recorded(names[-1])
    except JournalError as error:
        sys.stderr.write(f"warning: {error.where}: {error.what}\n")
        return
    if not last.complete:
        sys.stderr.write(
            f"note: the last run {last.run.name} ({last.run.what}) is not complete; what it did counts below. "
            f"It can also be resumed or undone: rolecall resume, rolecall undo\n"
        )


def _recorded(name: str | None) -> Recorded:
    from rolecall.runs.journal import read_run, run_names

    if name is None:
        names = run_names(_folder())
        if not names:
            raise RolecallError("there is no run yet", where=str(_folder()), advice="make one: rolecall apply")
        name = names[-1]
    return read_run(_folder(), name)


def _run(recorded: Recorded) -> dict[str, Any]:
    run = recorded.run
    return {
        "run": run.name,
        "what": run.what,
        "by": run.caller,
        "at": run.at,
        "steps": len(run.changes),
        "state": "complete" if recorded.complete else "not complete",
        "undoes": run.undoes,
    }


def _step(change: Any, state: Any) -> dict[str, str]:
    resource = change.resource
    return {
        "state": state.value if state is not None else "not begun",
        "kind": resource.kind.value,
        "place": resource.place,
        "name": change.name,
    }


def _folder() -> Path:
    from rolecall.runs.journal import runs_folder

    return runs_folder(os.environ)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        advice = "write one with: rolecall plan --out FILE; without PLAN, rolecall apply plans from access.yaml"
        raise RolecallError("there is no such plan", where=str(path), advice=advice) from None
    except (OSError, ValueError) as error:
        why = (error.strerror or "").lower() if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RolecallError(f"the plan cannot be read: {why}", where=str(path)) from None
    if path.suffix.lower() in (".yaml", ".yml") and not text.lstrip().startswith("{"):
        advice = f"to apply it: rolecall apply -f {path}"
        raise RolecallError("this is an access file, not a plan", where=str(path), advice=advice)
    return text
