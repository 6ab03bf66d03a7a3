"""Take back what a run changed, and nothing that somebody else changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from rolecall.plan.order import inverted, order
from rolecall.plan.resources import Change, ResourceId, Value
from rolecall.plan.values import between, same_value
from rolecall.runs.journal import JournalError, Recorded, Run, new_run_name


def undo_run(
    recorded: Recorded,
    read: Callable[[ResourceId], Value | None],
    actual: Mapping[ResourceId, Value],
    *,
    now: datetime,
    caller: str,
) -> Run:
    """The run that takes ``recorded`` back, in an order as safe as the way there.

    :param read: a resource's value as it is; asked for every resource that the run may have changed.
    :param actual: every role and every mapping as it is; see :func:`rolecall.plan.order.order`.
    :param caller: the canonical ARN of the principal that takes it back.
    :raises JournalError: where a resource is not what the run left: somebody else changed it since.
    """
    changes, foreign = [], []
    steps: dict[ResourceId, list[Change]] = {}
    for step in recorded.made():
        steps.setdefault(step.resource, []).append(step)
    for change in inverted(recorded.made()):
        kind, current = change.resource.kind, read(change.resource)
        if same_value(kind, current, change.after):
            continue
        reached = _left_at(steps[change.resource], change, current)
        if reached is None:
            foreign.append(change.resource)
        else:
            changes.append(reached)
    if foreign:
        raise JournalError(
            f"run {recorded.run.name} cannot be undone: changed since by somebody else: "
            + ", ".join(str(resource) for resource in foreign[:20])
            + (f" and {len(foreign) - 20} more" if len(foreign) > 20 else ""),
            advice="see what is there now with `rolecall plan`, and change it by access.yaml",
        )
    run = recorded.run
    steps_back = order(changes, actual)
    return Run(new_run_name(now), f"undo {run.name}", caller, now.isoformat(), steps_back, run.name, run.reach)


def _left_at(steps: Iterable[Change], change: Change, current: Value | None) -> Change | None:
    """``change`` from where the steps of its resource left it: at a value of one, or between."""
    kind = change.resource.kind
    for step in steps:
        ends = (step.after, step.before)
        if any(same_value(kind, current, end) for end in ends) or between(kind, current, step.before, step.after):
            return Change("", change.resource, current, change.after, text=change.text)
    return None
