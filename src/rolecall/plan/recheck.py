"""Changes that are known already, examined against the current state: a plan's file, a run to finish or to undo.

There is no access.yaml to compare with, so only those guards are asked that need none. What they find is worked out
from the changes and the current state alone, and allowed only by the person who runs the command.
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
from rolecall.plan.guards import CODES
from rolecall.plan.order import merged
from rolecall.plan.plan import Plan, Planned
from rolecall.plan.plan_file import claims
from rolecall.plan.planning import plan_of
from rolecall.plan.resources import Change

# Guards that compare with what access.yaml names; a plan's file says what they found when it was made.
OF_THE_FILE = frozenset(
    {
        "raw-trust-policy",
        "trust-through-role",
        "no-such-principal",
        "break-glass-without-mfa",
        "break-glass-session",
        "entry-of-gone-principal",
    }
)
RECHECKED = frozenset(CODES) - OF_THE_FILE
# Going on and going back are examined for danger alone: the plan was examined for the rest when it was applied.
DANGERS = frozenset(
    {"lockout-caller", "lockout-last-admin", "lockout-nodes", "wide-trust", "system-masters", "role-in-use", "not-read"}
)
# An undo goes back to an earlier state. If nobody who is known was administrator then, it only warns: the principal
# that created the cluster may have been, unseen.
TOLD_OF_UNDO = frozenset({"lockout-last-admin"})


def recheck(
    changes: Iterable[Change],
    reading: Reading,
    *,
    labels: Mapping[str, str] | None = None,
    allowances: Sequence[Allowance] = (),
    told: Collection[str] = (),
    codes: Collection[str] = DANGERS,
) -> Plan:
    """The plan of changes that are known: in a safe order, with their effect on access and what guards find now.

    :param labels: by ARN, what clusters are called in findings; by default their own names.
    :param told: codes of guards that only warn here.
    :param codes: of the guards that are asked.
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
    findings = (found for found in plan.findings if found.code in codes)
    return replace(plan, findings=tuple(replace(f, refuses=f.refuses and f.code not in told) for f in findings))


def again(made: Plan, reading: Reading, *, labels: Mapping[str, str], allowances: Sequence[Allowance]) -> Plan:
    """The plan of a file as it is applied now: its changes in a fresh order, with their effect and findings now.

    Of the file's own findings those count that cannot be worked out without access.yaml. Whatever refused when the plan
    was made refuses now, unless ``allowances`` name it: the person who applies it decides what is allowed.
    """
    now = recheck(made.changes, reading, labels=labels, allowances=allowances, codes=RECHECKED)
    of_the_file = tuple(found for found in claims(made.findings) if found.code not in RECHECKED)
    findings = (*now.findings, *replace(made, findings=of_the_file).allowing(allowances).findings)
    ranked = sorted(dict.fromkeys(findings), key=lambda one: not one.refuses)
    return replace(now, findings=tuple(ranked), files=made.files, reach=made.reach)


def allowances_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """What somebody allowed, as ``--allow`` takes it: for the record of a run."""
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
