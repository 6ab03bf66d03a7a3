"""What is left of somebody's access once it was taken away: said plainly, with what would end it sooner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rolecall.access.effective import EffectiveAccess
from rolecall.access.lingering import WEBHOOK_CACHE, Lingering, Standing, lingering, standing
from rolecall.arn import PrincipalArn
from rolecall.plan.render import counted, place_label
from rolecall.tokens.mint import LIFETIME
from rolecall.visible import visible as shown


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Somebody's access after a change.

    :param unread: what could not be looked at, by account id or cluster ARN, and why.
    :param accounts: how many were looked at; ``clusters`` likewise.
    :param done: whether the change was made; else this says how it would be.
    """

    person: str
    lingering: tuple[Lingering, ...]
    standing: tuple[Standing, ...]
    unread: Mapping[str, str]
    accounts: int
    clusters: int
    done: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "person": self.person,
            "lingering": [one.to_json() for one in self.lingering],
            "standing": [one.to_json() for one in self.standing],
            "unread": dict(self.unread),
            "accounts": self.accounts,
            "clusters": self.clusters,
        }


def aftermath(
    before: EffectiveAccess,
    after: EffectiveAccess,
    person: str,
    now: datetime,
    *,
    done: bool,
    failed: Mapping[str, str],
) -> Aftermath:
    """What is left of a user's or role's access.

    :param person: the ARN.
    :param failed: accounts that could not be read, and why.
    """
    world = after.world
    unread = dict(failed) | {arn: state.unread[0] for arn, state in world.clusters.items() if state.unread}
    return Aftermath(
        person,
        lingering(before, after, person, now),
        standing(after, person),
        unread,
        len(world.accounts),
        len(world.clusters),
        done,
    )


def aftermath_lines(found: Aftermath) -> Iterator[str]:
    """The same for people, line by line."""
    name = shown(PrincipalArn.parse(found.person).name)
    yield f"{'Afterwards' if found.done else 'Afterwards it would be so'}, for {name}"
    if found.standing:
        yield "  Still open:"
        for way in found.standing:
            yield from _standing(way)
    if found.lingering:
        yield "  Closed, and still working for whoever is inside already:"
        for one in found.lingering:
            yield from _lingering(one)
        yield from _what_ends_it(found)
    if not (found.standing or found.lingering):
        yield "  No way into any cluster that was looked at."
    yield f"  Looked at: {counted(found.accounts, 'account')}, {counted(found.clusters, 'cluster')}."
    for place, why in found.unread.items():
        yield f"  ! not looked at: {place_label(place)}: {shown(why)}"


def _standing(way: Standing) -> Iterator[str]:
    through = " > ".join(PrincipalArn.parse(role).name for role in way.roles)
    how = f" through {shown(through)}" if through else ""
    sure = "" if way.certain else " (perhaps)"
    yield f"    ! {place_label(way.cluster)} as {shown(way.user.username)}{how}{sure}"
    needs = f"; with {shown(', '.join(way.needs))}" if way.needs else ""
    yield f"        {shown(way.why)}{needs}"
    yield from (f"        not certain: {shown(str(doubt))}" for doubt in way.doubts)


def _lingering(one: Lingering) -> Iterator[str]:
    until = f"until {one.until:%Y-%m-%d %H:%M:%S} UTC at the latest" if one.until else "with no end of its own"
    yield f"    {place_label(one.cluster)} as {shown(one.user.username)}, {until}"
    name = shown(PrincipalArn.parse(one.role).name) if one.role else ""
    if not one.role:
        yield "        the mapping is gone; the API server remembers its answer for some minutes"
    elif one.until is None:
        yield f"        sessions of role {name} are renewed from one that lives: roles trust each other in a circle"
    else:
        yield f"        sessions of role {name} that began before live until their own end"


def _what_ends_it(found: Aftermath) -> Iterator[str]:
    minutes = int(WEBHOOK_CACHE.total_seconds() // 60)
    token = int(LIFETIME.total_seconds() // 60)
    roles = sorted({shown(PrincipalArn.parse(one.role).name) for one in found.lingering if one.role})
    yield f"    An API server remembers an answer for up to {minutes} minutes (EKS as reported; kube-apiserver: 2)."
    if not roles:
        return
    yield f"    A token that was made already is good for {token} minutes, and never longer than its session."
    yield "    No deny policy and no `Revoke sessions` ends this sooner: a cluster asks for GetCallerIdentity alone,"
    yield "    which no policy denies."
    yield f"    To end it now, for everybody who has it: take the mapping of {', '.join(roles)} off these clusters, or"
    yield "    delete the role and make it anew; access entries are then made anew too, they are bound to the old role."
