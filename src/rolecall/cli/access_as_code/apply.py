"""``rolecall apply`` and ``resume``: make a plan's changes, or finish a run that was interrupted."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rolecall.cli.access_as_code import outcome
from rolecall.cli.access_as_code import plan as planning
from rolecall.cli.output import Format, print_document
from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.plan.plan import Plan


def apply(
    plan_file: Annotated[
        Path | None, typer.Argument(metavar="[PLAN]", help="A plan that rolecall plan --out wrote (default: plan now).")
    ] = None,
    file: planning.File = planning.DEFAULT_FILE,
    account: planning.Accounts = None,
    cluster: planning.Clusters = None,
    allow: planning.Allow = None,
    include_folder: planning.Folders = None,
    profile: planning.Profile = "",
    region: planning.Region = "",
    yes: outcome.Yes = False,
    output: planning.Output = Format.table,
) -> None:
    """Make accounts and clusters as access.yaml says: plan, show, ask, change.

    Each change is written to a journal before it is made, so that an interrupted run can be resumed or undone.
    A saved plan is checked again against the current state, and --allow must be given again.

    \b
    rolecall apply
    rolecall apply -f access.yaml --yes
    rolecall apply plan.json

    Exit codes: 0 done, 11 refused by a guard, 1 error or something was not done, 2 usage, 130 interrupted.
    """
    _mention_unfinished()
    if plan_file is not None:
        if account or cluster or include_folder or file != planning.DEFAULT_FILE:
            raise typer.BadParameter("a plan says what it is of: --file, --account, --cluster and --include-folder are "
                                     "for rolecall plan", param_hint="PLAN")  # fmt: skip
        made, what = _planned_earlier(plan_file, allow, profile, region), f"apply {plan_file}"
        outcome.show_reach(made.reach, made.changes, output)
    else:
        made = planning.make(file, account, cluster, allow, include_folder, profile, region)
        what = f"apply {file}"
    carry_out(made, what, yes=yes, output=output, whole=not (plan_file or account or cluster))


def carry_out(made: Plan, what: str, *, yes: bool, output: Format, whole: bool = False) -> None:
    """Show a plan, ask, make its changes and say how that went.

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
            print_document("Run", outcome.NOTHING_DONE, output)
        return
    outcome.confirm("Make these changes?", yes)
    now = datetime.now(UTC)
    allowed = allowances_of(made.findings)
    run = Run(new_run_name(now), what, made.caller, now.isoformat(), made.changes, reach=made.reach, allowed=allowed)
    outcome.finish(outcome.work(run), run, output, made)


def _settle(what: str) -> None:
    """Record that the last run is complete, if the same file has nothing left to change."""
    from rolecall.runs.journal import Journal, JournalError, State, read_run, run_names

    folder = outcome.folder()
    try:
        names = run_names(folder)
        last = read_run(folder, names[-1]) if names else None
        if last is not None and not last.complete and last.run.what == what:
            with Journal.reopen(folder, last.run.name) as journal:
                journal.note([change.key for change in last.left()], State.ALREADY, "found done by a later apply")
    except JournalError as error:
        sys.stderr.write(f"warning: {error.where}: {error.what}\n")


def _planned_earlier(path: Path, allow: list[str] | None, profile: str, region: str) -> Plan:
    from rolecall.plan.plan_file import from_json
    from rolecall.plan.recheck import again
    from rolecall.runs.reach import labels, with_defaults

    allowances = planning.allowances(allow)
    made = from_json(_read(path), str(path))
    made = replace(made, reach=with_defaults(made.reach, profile, region))
    made = again(made, outcome.read_now(made.reach, made.changes), labels=labels(made.reach), allowances=allowances)
    planning.mention_unused(made, allowances)
    return made


def resume(
    name: outcome.RunName = None,
    allow: planning.Allow = None,
    profile: planning.Profile = "",
    region: planning.Region = "",
    output: planning.Output = Format.table,
) -> None:
    """Finish a run that was interrupted, from its journal.

    The steps that are left are shown and checked against the current state; refusals are allowed again with --allow.

    \b
    rolecall resume
    rolecall resume 20261125T021530Z-4f2a9c

    Exit codes: 0 done, 11 refused by a guard, 1 error or something was not done, 2 usage, 130 interrupted.
    """
    from rolecall.plan.actual import linking
    from rolecall.plan.order import reordered
    from rolecall.plan.recheck import allowances_of, recheck
    from rolecall.runs.journal import Journal
    from rolecall.runs.reach import labels, with_defaults

    recorded = outcome.recorded(name)
    run = recorded.run
    if recorded.complete:
        outcome.nothing_to_do(f"run {run.name} is complete", output)
        return
    left, reach = recorded.left(), with_defaults(run.reach, profile, region)
    allowances = planning.allowances(allow)
    reading = outcome.read_now(reach, left)
    plan = recheck(left, reading, labels=labels(reach), allowances=allowances)
    planning.mention_unused(plan, allowances)
    if run.allowed and plan.refusals:
        given = " ".join(f"--allow {one}" for one in run.allowed)
        sys.stderr.write(f"note: the run was begun with {given}; to allow it again, give it again\n")
    outcome.refused(plan, output)
    outcome.show_reach(reach, left, output)
    if output is Format.table:
        planning.show(plan, output)
    steps = reordered(left, linking(reading.world))
    with Journal.reopen(outcome.folder(), run.name) as journal:
        journal.go_on(steps, reach)
        report = outcome.make(journal)
    outcome.finish(report, replace(run, allowed=allowances_of(plan.findings)), output)


def _mention_unfinished() -> None:
    from rolecall.runs.journal import JournalError, read_run, run_names

    names = run_names(outcome.folder())
    if not names:
        return
    try:
        last = read_run(outcome.folder(), names[-1])
    except JournalError as error:
        sys.stderr.write(f"warning: {error.where}: {error.what}\n")
        return
    if not last.complete:
        sys.stderr.write(
            f"note: the last run {last.run.name} ({last.run.what}) is not complete; what it did counts below. "
            f"It can also be resumed or undone: rolecall resume, rolecall undo\n"
        )


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        advice = "write a plan with: rolecall plan --out FILE; or apply an access file: rolecall apply -f FILE"
        raise RolecallError("not found", where=str(path), advice=advice) from None
    except (OSError, ValueError) as error:
        why = (error.strerror or "").lower() if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RolecallError(f"the plan cannot be read: {why}", where=str(path)) from None
    if path.suffix.lower() in (".yaml", ".yml") and not text.lstrip().startswith("{"):
        advice = f"to apply it: rolecall apply -f {path}"
        raise RolecallError("this is an access file, not a plan", where=str(path), advice=advice)
    return text
