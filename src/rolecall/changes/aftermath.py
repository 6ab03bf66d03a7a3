"""What somebody can still reach after access was taken away: said plainly, with what would end it sooner.

Nothing here says "closed" over something that was not looked at: what could not be read, what only earlier sessions
can do, and keys that still sign requests are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rolecall.access.effective import EffectiveAccess
from rolecall.access.lingering import WEBHOOK_CACHE, Lingering, Standing, lingering, standing
from rolecall.arn import PrincipalArn
from rolecall.changes.earlier import Earlier, longest_session, merged, still_inside
from rolecall.moments import write_moment
from rolecall.plan.render import counted, place_label
from rolecall.tokens.mint import LIFETIME
from rolecall.visible import visible as shown


@dataclass(frozen=True, slots=True)
class Keys:
    """The active access keys of the person's IAM user.

    :param unknown: why they could not be listed; empty if they were.
    """

    active: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Somebody's access after a change.

    :param unread: what could not be looked at, by account id or cluster ARN, and why.
    :param accounts: how many were looked at; ``clusters`` likewise.
    :param done: whether the change was made; else this is a forecast.
    :param unknown_until: when the last session ends of which nothing here knows: one that began before access was
        taken away by somebody else, or from another machine. ``None`` if the clusters map no role.
    :param keys: ``None`` if the person is not an IAM user.
    """

    person: str
    lingering: tuple[Lingering, ...]
    standing: tuple[Standing, ...]
    unread: Mapping[str, str]
    accounts: int
    clusters: int
    done: bool
    unknown_until: datetime | None = None
    keys: Keys | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "person": self.person,
            "lingering": [one.to_json() for one in self.lingering],
            "standing": [one.to_json() for one in self.standing],
            "notRead": [{"place": place, "why": why} for place, why in self.unread.items()],
            "accounts": self.accounts,
            "clusters": self.clusters,
            "unknownSessionsUntil": write_moment(self.unknown_until) if self.unknown_until else None,
            "activeAccessKeys": list(self.keys.active) if self.keys and not self.keys.unknown else None,
            "accessKeysUnknown": self.keys.unknown or None if self.keys else None,
        }


def aftermath(
    before: EffectiveAccess,
    after: EffectiveAccess,
    person: str,
    now: datetime,
    *,
    done: bool,
    failed: Mapping[str, str],
    earlier: Sequence[Earlier] = (),
    keys: Keys | None = None,
) -> Aftermath:
    """What is left of a user's or role's access.

    :param person: the ARN.
    :param failed: accounts that could not be read, and why.
    :param earlier: runs of before, whose sessions may still work.
    """
    world = after.world
    unread = dict(failed) | {arn: state.unread[0] for arn, state in world.clusters.items() if state.unread}
    longest = longest_session(after, person)
    return Aftermath(
        person,
        merged(lingering(before, after, person, now), still_inside(after, earlier, person, now)),
        standing(after, person),
        unread,
        len(world.accounts),
        len(world.clusters),
        done,
        now + longest + WEBHOOK_CACHE if longest > timedelta() else None,
        keys,
    )


def aftermath_lines(found: Aftermath) -> Iterator[str]:
    """The same for people, line by line."""
    name = shown(PrincipalArn.parse(found.person).name)
    yield f"What {name} {'still has' if found.done else 'would still have afterwards'}"
    # A way that hangs on a policy that was not understood must be called neither open nor closed.
    for title, ways in (
        ("Still open:", [way for way in found.standing if not way.doubts]),
        (
            "May still be open, because not every policy was understood or read:",
            [w for w in found.standing if w.doubts],
        ),
    ):
        if ways:
            yield f"  {title}"
        for way in ways:
            yield from _standing(way)
    if found.lingering:
        yield "  Closed for new logins. Existing sessions keep working:"
        for one in found.lingering:
            yield from _lingering(one)
        yield from _what_ends_it(found)
    if not (found.standing or found.lingering):
        yield "  No way into any cluster that was read."
    yield from _not_known(found)
    yield from _keys(name, found.keys)
    yield f"  Read: {counted(found.accounts, 'account')}, {counted(found.clusters, 'cluster')}."
    for place, why in found.unread.items():
        yield f"  ! not read: {place_label(place)}: {shown(why)}"


def _not_known(found: Aftermath) -> Iterator[str]:
    if found.unknown_until is None:
        return
    yield "  Sessions that began before somebody else took access away are not known here. They end by"
    yield f"  {found.unknown_until:%Y-%m-%d %H:%M:%S} UTC at the latest (the longest session of a mapped role)."


def _keys(name: str, keys: Keys | None) -> Iterator[str]:
    if keys is None:
        return
    if keys.unknown:
        yield f"  ! Whether the IAM user {name} has active access keys is not known: {shown(keys.unknown)}"
    elif keys.active:
        count = counted(len(keys.active), "active access key")
        yield f"  ! The IAM user {name} keeps {count}: {', '.join(keys.active)}"
        yield "    To remove the user with its keys: --delete-user. To switch one key off:"
        yield f"    aws iam update-access-key --user-name {name} --access-key-id {keys.active[0]} --status Inactive"


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
        yield "        the mapping is gone; the API server caches its last answer for some minutes"
    elif one.until is None:
        yield f"        sessions of role {name} can be renewed from a live one: roles trust each other in a circle"
    else:
        yield f"        sessions of role {name} that began before keep working until they expire"


def _what_ends_it(found: Aftermath) -> Iterator[str]:
    minutes = int(WEBHOOK_CACHE.total_seconds() // 60)
    token = int(LIFETIME.total_seconds() // 60)
    roles = sorted({shown(PrincipalArn.parse(one.role).name) for one in found.lingering if one.role})
    yield f"    API servers cache the answer: up to {minutes} minutes has been reported for EKS, 2 minutes is"
    yield "    kube-apiserver's default."
    if not roles:
        return
    yield f"    A token lasts {token} minutes, and never longer than its session."
    yield "    No deny policy and no `Revoke sessions` ends this sooner: a cluster asks for GetCallerIdentity only,"
    yield "    which no policy denies."
    yield f"    To end it now, for everyone who has it: remove the mapping of {', '.join(roles)} from these clusters,"
    yield "    or delete and recreate the role and its access entries, which are bound to the old role."
