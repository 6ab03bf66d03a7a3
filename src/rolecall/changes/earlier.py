"""What earlier runs took from somebody, and which sessions of before still work.

A second revoke is a check. What the journal knows is put back into the world as it is read now, run by
run from the newest to the oldest, and compared: a way that was open before a run and is closed now still works for the
sessions that began before the run ended (IAM user guide, "Revoke IAM role temporary security credentials").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rolecall.access.effective import EffectiveAccess
from rolecall.access.lingering import CHAINED, WEBHOOK_CACHE, Lingering, lingering
from rolecall.errors import RolecallError
from rolecall.plan.order import inverted
from rolecall.plan.resources import Change
from rolecall.plan.simulate import with_changes

# IAM API reference, CreateRole, MaxSessionDuration: 12 hours at the most; then one chained session and the cache.
LONGEST = timedelta(hours=12) + CHAINED + WEBHOOK_CACHE


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run that ended.

    :param at: when its last step was written, in UTC.
    :param changes: the steps that were made.
    """

    name: str
    at: datetime
    changes: tuple[Change, ...]


def still_inside(access: EffectiveAccess, runs: Iterable[Earlier], person: str, now: datetime) -> list[Lingering]:
    """Ways that earlier runs closed and that may still work for sessions of before.

    :param access: the world as it is now.
    :param runs: in any order; those older than any session can live are left out.
    """
    found: dict[tuple[str, str], Lingering] = {}
    world = access.world
    for run in sorted((one for one in runs if one.at + LONGEST > now), key=lambda one: one.at, reverse=True):
        try:
            world = with_changes(world, inverted(run.changes))
        except RolecallError:
            # A text that cannot be put back hides what this run did to its cluster, and nothing else.
            world = with_changes(world, [one for one in inverted(run.changes) if one.resource.place in world.accounts])
        for one in lingering(EffectiveAccess(world, access), access, person, run.at):
            if one.until is None or one.until > now:
                found[one.cluster, one.role] = _later(found.get((one.cluster, one.role)), one)
    return [found[key] for key in sorted(found)]


def _later(one: Lingering | None, two: Lingering) -> Lingering:
    if one is None or (one.until is not None and (two.until is None or two.until > one.until)):
        return two
    return one


def merged(ways: Iterable[Lingering], more: Sequence[Lingering]) -> tuple[Lingering, ...]:
    """Both, each way into a cluster once, with the later end."""
    found: dict[tuple[str, str], Lingering] = {}
    for one in (*ways, *more):
        found[one.cluster, one.role] = _later(found.get((one.cluster, one.role)), one)
    return tuple(found[key] for key in sorted(found))


def longest_session(access: EffectiveAccess, person: str) -> timedelta:
    """The longest session of a role that these clusters map: how long one that is not known of can last."""
    mapped = {arn for cluster in access.world.clusters for arn in access.mapped(cluster)} - {person}
    accounts = access.world.accounts.values()
    found = [role.max_session_duration for account in accounts for role in account.roles.values() if role.arn in mapped]
    return timedelta(seconds=max(found, default=0))
