"""``rolecall apply``, ``resume``, ``undo`` and ``runs``: make a plan's changes, go on with them, take them back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rolecall.cli import plan as planning
from rolecall.cli.output import FAILED, Format, print_data, print_table
from rolecall.cli.progress import Progress
from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.manifest.apply import Report
    from rolecall.manifest.journal import Recorded, Run
    from rolecall.manifest.plan import Plan

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
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
    rolecall plan --out plan.json && rolecall apply plan.json
    """
    _mention_unfinished()
    if plan_file is not None:
        from rolecall.manifest.plan import from_json

        made = from_json(_read(plan_file), str(plan_file))
        what = f"apply {plan_file}"
    else:
        made = planning.make(file, account, cluster, allow, include_folder)
        what = f"apply {file}"
    carry_out(made, what, yes=yes, output=output)


def carry_out(made: Plan, what: str, *, yes: bool, output: Format) -> None:
    """Show a plan, ask, make its changes and say how that went; for every command that changes the world."""
    from rolecall.manifest.journal import Run, new_run_name

    if output is Format.table:
        planning.show(made, output)
    if made.refusals:
        if output is not Format.table:
            planning.show(made, output)
        raise typer.Exit(planning.REFUSED)
    if not made.changes:
        if output is not Format.table:
            print_data({"run": None, "complete": True, "steps": []}, output)
        return
    confirm("Make these changes?", yes)
    now = datetime.now(UTC)
    run = Run(new_run_name(now), what, made.caller, now.isoformat(), made.changes, reach=made.reach)
    finish(work(run), run, output, made)


def resume(name: RunName = None, output: planning.Output = Format.table) -> None:
    """Go on with a run that was stopped, from its journal.

    \b
    rolecall resume
    rolecall resume 20261125T021530Z-4f2a9c
    """
    from rolecall.manifest.journal import Journal

    recorded = _recorded(name)
    if recorded.complete:
        sys.stdout.write(f"run {recorded.run.name} is complete\n")
        return
    with Journal.reopen(_folder(), recorded.run.name) as journal:
        report = _make(journal)
    finish(report, recorded.run, output)


def undo(name: RunName = None, yes: Yes = False, output: planning.Output = Format.table) -> None:
    """Take back what a run changed. Refused where somebody else changed it since.

    \b
    rolecall undo
    rolecall undo 20261125T021530Z-4f2a9c --yes
    """
    from concurrent.futures import ThreadPoolExecutor

    from rolecall.manifest.apply import WORKERS
    from rolecall.manifest.plan import Plan
    from rolecall.manifest.reach import reached
    from rolecall.manifest.undo import undo_run

    recorded = _recorded(name)
    resources = list(dict.fromkeys(change.resource for change in recorded.made()))
    with reached(recorded.run.reach) as live:
        with ThreadPoolExecutor(WORKERS) as pool:
            values = dict(zip(resources, pool.map(live.read, resources), strict=True))
        back = undo_run(recorded, values.__getitem__, now=datetime.now(UTC), caller=recorded.run.caller)
    if not back.changes:
        sys.stdout.write(f"nothing of run {recorded.run.name} is left to take back\n")
        return
    if output is Format.table:
        planning.show(Plan(back.changes), output)
    confirm(f"Take back run {recorded.run.name}?", yes)
    finish(work(back), back, output)


def runs(name: RunName = None, output: planning.Output = Format.table) -> None:
    """List runs, or what one run did, step by step.

    \b
    rolecall runs
    rolecall runs 20261125T021530Z-4f2a9c -o json
    """
    from rolecall.manifest.journal import read_run, run_names

    if name is not None:
        recorded = read_run(_folder(), name)
        rows = [_step(change, recorded.states.get(change.key)) for change in recorded.run.changes]
        if output is Format.table:
            print_table(
                ("state", "kind", "place", "name"), [[r[c] for c in ("state", "kind", "place", "name")] for r in rows]
            )
        else:
            print_data({**_run(recorded), "steps": rows}, output)
        return
    found = [_run(read_run(_folder(), one)) for one in run_names(_folder())]
    if output is Format.table:
        print_table(
            ("run", "what", "by", "steps", "state"),
            [[one["run"], one["what"], one["by"], str(one["steps"]), one["state"]] for one in found],
        )
    else:
        print_data(found, output)


def work(run: Run) -> Report:
    """Make a run's changes, with a journal and progress."""
    from rolecall.manifest.journal import Journal

    with Journal.create(_folder(), run) as journal:
        return _make(journal)


def _make(journal: Any) -> Report:
    from rolecall.manifest.apply import Outcome, apply_changes
    from rolecall.manifest.reach import reached

    total, done = len(journal.run.changes), 0
    progress = Progress("changing")

    def tell(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        progress(done, total, str(outcome.change.resource))

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
    from rolecall.manifest.journal import State
    from rolecall.manifest.render import place_label, shown

    wrong = report.of(State.FAILED, State.CONFLICT, State.SKIPPED)
    for outcome in wrong:
        resource = outcome.change.resource
        yield f"  ! {outcome.state.value} {resource.kind.value} {shown(resource.name)}, {place_label(resource.place)}"
        yield from (f"      {shown(line)}" for line in outcome.why.splitlines())
    done = sum(outcome.state.in_force for outcome in report.outcomes)
    yield f"{'Done' if report.complete else 'Not all done'}: {done} of {len(report.outcomes)} steps. Run {run.name}."
    if not report.complete:
        yield f"Once the cause is mended: rolecall resume {run.name}; or take it back: rolecall undo {run.name}"


def _records(report: Report, made: Plan | None) -> list[tuple[tuple[str, str], ...]]:
    from rolecall.manifest.record import records

    return list(records(made.effects)) if made is not None and report.complete else []


def _record_lines(report: Report, made: Plan | None) -> Iterable[str]:
    from rolecall.manifest.render import shown

    for record in _records(report, made):
        yield ""
        yield from (f"  {name:<25}{shown(value)}" for name, value in record)


def confirm(question: str, yes: bool) -> None:
    """Ask a person; a program must say --yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise RolecallError("nobody can be asked", advice="look at the plan, then say --yes")
    typer.confirm(question, abort=True, err=True)


def _mention_unfinished() -> None:
    from rolecall.manifest.journal import run_names

    names = run_names(_folder())
    if not names:
        return
    last = _recorded(names[-1])
    if not last.complete:
        sys.stderr.write(
            f"note: the last run {last.run.name} ({last.run.what}) is not complete; what it did counts below. "
            f"It can also be resumed or undone: rolecall resume, rolecall undo\n"
        )


def _recorded(name: str | None) -> Recorded:
    from rolecall.manifest.journal import read_run, run_names

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
        "name": resource.name,
    }


def _folder() -> Path:
    from rolecall.manifest.journal import runs_folder

    return runs_folder(os.environ)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RolecallError(f"the plan cannot be read: {error}", where=str(path)) from None
