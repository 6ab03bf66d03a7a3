"""``rolecall undo``: take back the changes of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rolecall.cli.access_as_code import outcome
from rolecall.cli.access_as_code import plan as planning
from rolecall.cli.access_as_code.file_edits import take_back
from rolecall.cli.output import Format
from rolecall.visible import visible

if TYPE_CHECKING:
    from rolecall.plan.resources import ResourceId


def undo(
    name: outcome.RunName = None,
    allow: planning.Allow = None,
    profile: planning.Profile = "",
    region: planning.Region = "",
    yes: outcome.Yes = False,
    output: planning.Output = Format.table,
) -> None:
    """Take back what a run changed.

    It is refused if somebody else changed it since, or if a guard objects now.
    An undo is itself a run: undoing it restores the change.

    \b
    rolecall undo
    rolecall undo 20261125T021530Z-4f2a9c --yes
    rolecall undo --allow lockout-caller:prod

    Exit codes: 0 done, 11 refused by a guard, 1 error or something was not done, 2 usage, 130 interrupted.
    """
    from rolecall.plan.actual import linking
    from rolecall.plan.recheck import TOLD_OF_UNDO, allowances_of, recheck
    from rolecall.runs.reach import labels, with_defaults
    from rolecall.runs.undo import undo_run
    from rolecall.runs.way_back import not_restored

    recorded = outcome.recorded(name)
    recorded = replace(recorded, run=replace(recorded.run, reach=with_defaults(recorded.run.reach, profile, region)))
    run, made = recorded.run, recorded.made()
    if not made:
        outcome.nothing_to_do(f"run {run.name} changed nothing", output)
        return
    values = _values(run.reach, dict.fromkeys(change.resource for change in made))
    reading = outcome.read_now(run.reach, made)
    back = undo_run(
        recorded, values.__getitem__, linking(reading.world), now=datetime.now(UTC), caller=reading.world.caller
    )
    if not back.changes:
        outcome.nothing_to_do(f"nothing of run {run.name} is left to take back", output)
        return
    allowances = planning.allowances(allow)
    plan = recheck(back.changes, reading, labels=labels(run.reach), allowances=allowances, told=TOLD_OF_UNDO)
    plan = replace(plan, changes=back.changes)
    planning.mention_unused(plan, allowances)
    outcome.refused(plan, output)
    outcome.show_reach(run.reach, made, output)
    if output is Format.table:
        planning.show(plan, output)
    for text in not_restored(back.changes):
        sys.stderr.write(f"note: {visible(text)}\n")
    outcome.confirm(f"Take back run {run.name} ({run.what})?", yes)
    back = replace(back, allowed=allowances_of(plan.findings))
    report = outcome.work(back)
    if report.complete:
        take_back(run.name, back.name)
    outcome.finish(report, back, output)


def _values(reach: Mapping[str, Any], resources: Iterable[ResourceId]) -> dict[ResourceId, Any]:
    from concurrent.futures import ThreadPoolExecutor

    from rolecall.runs.apply import WORKERS
    from rolecall.runs.reach import reached

    wanted = list(resources)
    with reached(reach) as live, ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip(wanted, pool.map(live.read, wanted), strict=True))
