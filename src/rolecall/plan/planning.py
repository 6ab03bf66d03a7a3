"""A plan made: the file compared with what exists, simulated, examined by the guards, put into a safe order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from rolecall.access.effective import EffectiveAccess
from rolecall.access.effects import effects
from rolecall.access.world import World
from rolecall.errors import RolecallError
from rolecall.manifest.load import Loaded
from rolecall.plan.findings import Allowance
from rolecall.plan.guards import Case, examine
from rolecall.plan.guards.raising import raisings
from rolecall.plan.plan import Plan, Planned, compare, ordered
from rolecall.plan.resources import Change
from rolecall.plan.simulate import with_changes


def make_plan(
    loaded: Loaded,
    world: World,
    now: datetime,
    *,
    allowances: Sequence[Allowance] = (),
    places: frozenset[str] | None = None,
    reach: Mapping[str, Any] | None = None,
) -> Plan:
    """What is to change for ``world`` to be as the file says at ``now``.

    :param places: account ids and cluster ARNs to which the plan is limited; ``None``: all that the file names.
    :param reach: how accounts and clusters are reached, to be kept with the plan.
    :raises ManifestError: if parts of the file contradict each other.
    """
    planned = compare(loaded, world, now)
    if places is not None:
        kept = tuple(change for change in planned.changes if change.resource.place in places)
        unread = {place: why for place, why in planned.unread.items() if place in places}
        unresolved = tuple(one for one in planned.unresolved if one.account in places)
        planned = replace(planned, changes=kept, unread=unread, unresolved=unresolved)
    return plan_of(planned, allowances=allowances, reach=reach)


def plan_of(planned: Planned, *, allowances: Sequence[Allowance] = (), reach: Mapping[str, Any] | None = None) -> Plan:
    """The plan of changes that were compared already, or chosen from those: simulated, examined, in a safe order."""
    planned = _without_unchangeable(planned)
    world = planned.world
    now_access = EffectiveAccess(world)
    then_access = EffectiveAccess(with_changes(world, planned.changes), now_access)
    case = Case(planned, now_access, then_access)
    taken = {"canTakeMore": [one.to_json() for one in raisings(case)]}
    plan = Plan(
        ordered(planned),
        examine(case),
        {**effects(now_access, then_access).to_json(), **(taken if taken["canTakeMore"] else {})},
        world.read_at,
        world.caller,
        tuple(str(path) for path in planned.names.loaded.files),
        reach or {},
    )
    return plan.allowing(allowances)


def _without_unchangeable(planned: Planned) -> Planned:
    """The plan without the places whose texts cannot be changed safely, which then count as not read.

    An aws-auth that is no YAML, or shares parts by anchors, is changed by nobody but its owner.
    """
    by_place: dict[str, list[Change]] = {}
    for change in planned.changes:
        by_place.setdefault(change.resource.place, []).append(change)
    wrong: dict[str, str] = {}
    for place, changes in by_place.items():
        if place in planned.world.clusters:
            try:
                with_changes(planned.world, changes)
            except RolecallError as error:
                wrong[place] = str(error)
    if not wrong:
        return planned
    kept = tuple(change for change in planned.changes if change.resource.place not in wrong)
    return replace(planned, changes=kept, unread={**planned.unread, **wrong})
