"""What speaks against changes as the world is now: of a plan that was made earlier, or that take a run back.

There is no file to compare with, so only those guards are asked that need none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from rolecall.access.read_world import Reading
from rolecall.manifest.load import parse
from rolecall.manifest.names import Names
from rolecall.plan.actual import linking
from rolecall.plan.desired import Desired
from rolecall.plan.findings import Allowance, Finding
from rolecall.plan.order import merged
from rolecall.plan.plan import Plan, Planned
from rolecall.plan.planning import plan_of
from rolecall.plan.resources import Change

# The others speak of what a file says, or are no danger that was not seen when the plan was made.
CODES = frozenset(
    {"lockout-caller", "lockout-last-admin", "lockout-nodes", "wide-trust", "system-masters", "role-in-use", "not-read"}
)
# An undo goes back to what was. That nobody who is known was administrator then is told: whoever made the cluster may
# have been, unseen.
TOLD_OF_UNDO = frozenset({"lockout-last-admin"})


def recheck(
    changes: Iterable[Change],
    reading: Reading,
    *,
    labels: Mapping[str, str] | None = None,
    allowances: Sequence[Allowance] = (),
    told: Collection[str] = (),
) -> Plan:
    """The plan of changes that are known: with their effect on access now, and what speaks against them now.

    :param labels: by ARN, what clusters are called in findings; by default their own names.
    :param told: codes of guards that do not refuse here.
    """
    world = reading.world
    names = Names(parse("version: 1"), world, world.read_at)
    names.clusters = {label: arn for arn, label in (labels or {}).items()}
    wanted = merged(changes)
    unread = dict(_unread(wanted, reading))
    known = tuple(change for change in wanted if change.resource.place not in unread)
    values = {**linking(world), **{change.resource: change.after for change in known}}
    want = Desired({resource: value for resource, value in values.items() if value is not None}, {})
    plan = plan_of(Planned(names, world, want, {}, known, unread), allowances=allowances)
    findings = (found for found in plan.findings if found.code in CODES)
    return replace(plan, findings=tuple(replace(f, refuses=f.refuses and f.code not in told) for f in findings))


def again(made: Plan, reading: Reading, *, labels: Mapping[str, str], allowances: Sequence[Allowance]) -> Plan:
    """A plan that was made earlier, with its effect on access now and with what speaks against it only now.

    What was allowed when it was made stays allowed.
    """
    earlier = {(found.code, found.about) for found in made.findings}
    granted = [Allowance(found.code, about) for found in made.findings if found.allowed for about in found.about]
    now = recheck(made.changes, reading, labels=labels, allowances=[*allowances, *granted])
    new = tuple(found for found in now.findings if (found.code, found.about) not in earlier)
    findings = sorted((*made.allowing(allowances).findings, *new), key=lambda one: not one.refuses)
    return replace(made, findings=tuple(findings), effects=now.effects, caller=reading.world.caller)


def allowances_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """What somebody allowed by name, as ``--allow`` takes it."""
    return tuple(dict.fromkeys(f"{found.code}:{about}" for found in findings if found.allowed for about in found.about))


def _unread(changes: Iterable[Change], reading: Reading) -> Iterable[tuple[str, str]]:
    failed = {failure.place: failure.error.what for failure in reading.failures}
    for place in dict.fromkeys(change.resource.place for change in changes):
        state = reading.world.clusters.get(place)
        if place.startswith("arn:"):
            if state is None or state.unread:
                yield place, state.unread[0] if state else "the cluster was not read"
        elif place not in reading.world.accounts:
            yield place, failed.get(place, f"the account {place} was not read")
