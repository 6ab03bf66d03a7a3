"""How long somebody still gets in after their access was taken away, and which ways are still open to them.

What ends with a change of IAM and what does not (IAM user guide, "Revoke IAM role temporary security credentials"; STS
API reference, AssumeRole and GetCallerIdentity):

1. A session of a role lives until its own end, whatever becomes of the trust policy: up to the role's
   MaxSessionDuration, or an hour where it was assumed from another role (role chaining).
2. While it lives it makes tokens: a cluster asks GetCallerIdentity who somebody is, which no policy denies.
3. From a live session a further role can still be assumed, where that role trusts the first one.
4. A token is valid for 15 minutes, and never longer than the credentials that it was made with.
5. A cluster's API server caches an answer of its webhook (``--authentication-token-webhook-cache-ttl``: 2 minutes by
   default in kube-apiserver; 7 minutes are reported of EKS).
6. The sessions of a role that was deleted are worth nothing; a mapping that is gone lets in nobody from the moment the
   API server asks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rolecall.access.effective import EffectiveAccess
from rolecall.access.mapped import MappedUser
from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.account import IamRole
from rolecall.iam.assume_role import CHAINED_LIMIT
from rolecall.iam.graph import MAX_DEPTH, AssumeGraph, Edge, Outsider, OutsiderKind
from rolecall.iam.policy_model import Doubt
from rolecall.iam.statements import Grant
from rolecall.moments import write_moment

CHAINED = timedelta(seconds=CHAINED_LIMIT)
WEBHOOK_CACHE = timedelta(minutes=7)


@dataclass(frozen=True, slots=True)
class Lingering:
    """A way into a cluster that is closed and still works for those who are inside.

    :param role: ARN of the role whose sessions live on; empty: the mapping is gone, only what the API server remembers
        counts.
    :param until: when it ends at the latest; ``None``: it does not end by itself, because a session can be renewed.
    """

    cluster: str
    role: str
    user: MappedUser
    until: datetime | None

    def to_json(self) -> dict[str, Any]:
        return {
            "cluster": self.cluster,
            "role": self.role or None,
            "username": self.user.username,
            "groups": list(self.user.groups),
            "until": write_moment(self.until) if self.until else None,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """A way into a cluster that is still open.

    :param roles: ARNs of the roles to assume one after the other; empty: mapped themselves.
    :param needs: what must be brought along, as sentences.
    :param certain: false if it depends on what cannot be seen from here, or on anything in ``doubts``. Then the way
        must be called neither open nor closed.
    :param why: what keeps it open, as a sentence.
    :param doubts: what was not understood or not read of the policies on the way.
    """

    cluster: str
    roles: tuple[str, ...]
    user: MappedUser
    needs: tuple[str, ...]
    certain: bool
    why: str
    doubts: tuple[Doubt, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "cluster": self.cluster,
            "roles": list(self.roles),
            "username": self.user.username,
            "groups": list(self.user.groups),
            "needs": list(self.needs),
            "certain": self.certain,
            "why": self.why,
            "doubts": [doubt.to_json() for doubt in self.doubts],
        }


@dataclass(frozen=True, slots=True)
class _Way:
    roles: tuple[str, ...]
    needs: tuple[str, ...] = ()
    certain: bool = True
    why: str = ""
    doubts: tuple[Doubt, ...] = ()


def standing(access: EffectiveAccess, person: str) -> tuple[Standing, ...]:
    """The ways that are open to a user or role, by cluster."""
    ways = _ways(access.graph, person)
    found = [
        Standing(cluster, way.roles, user, way.needs, way.certain, way.why, way.doubts)
        for cluster in access.world.clusters
        for arn, user in access.mapped(cluster).items()
        if (way := ways.get(arn)) is not None
    ]
    return tuple(sorted(found, key=lambda one: (one.cluster, one.roles)))


def lingering(before: EffectiveAccess, after: EffectiveAccess, person: str, now: datetime) -> tuple[Lingering, ...]:
    """The ways that were open to a user or role before and are not any more, and how long each still works.

    :param after: the world once the access was taken away.
    :param now: when that was done: sessions may have begun up to then.
    """
    ends = session_ends(before.graph, after.graph, person, now)
    open_now, open_then = _ways(after.graph, person), _ways(before.graph, person)
    found: list[Lingering] = []
    for cluster in after.world.clusters:
        mapped = after.mapped(cluster)
        for role, end in ends.items():
            if role in mapped and role not in open_now:
                found.append(Lingering(cluster, role, mapped[role], end + WEBHOOK_CACHE if end else None))
        for arn, user in before.mapped(cluster).items():
            if (arn == person or arn in open_then) and arn not in mapped:
                found.append(Lingering(cluster, "", user, now + WEBHOOK_CACHE))
    return tuple(sorted(found, key=lambda one: (one.cluster, one.role)))


def session_ends(before: AssumeGraph, after: AssumeGraph, person: str, now: datetime) -> dict[str, datetime | None]:
    """When the last session ends that somebody may have of each role, where all of them began before ``now``.

    By ARN of the role; ``None``: never by itself, because roles on the way trust each other in a circle, or a role
    itself, so that one live session makes the next. Roles that are gone are left out: so are their sessions.
    """
    there = set(after.roles)
    first = {role for role in _direct(before, person) if role in there}
    reach = _closure(first, after, before)
    ends: dict[str, datetime | None] = {}
    endless = _renewable(reach, after)
    for role in _in_order(reach - endless, after):
        latest = [now + _longest(before, after, role, person)] if role in first else []
        # A session of it that was made just before from one whose way on is closed now.
        latest += [now + CHAINED] * any(edge.source in reach for edge in before.edges_to(role))
        for edge in after.edges_to(role):
            if edge.source in reach and (end := ends.get(edge.source)) is not None:
                latest.append(end + CHAINED)
        ends[role] = max(latest)
    return ends | dict.fromkeys(endless)


def _ways(graph: AssumeGraph, person: str) -> dict[str, _Way]:
    """By ARN of a user or role that somebody is or can become: how."""
    ways = {person: _Way((), why="it is mapped itself")}
    for path in graph.paths(person):
        ways.setdefault(path[-1].role, _way(path, _why(path[0])))
    known = person in {edge.source for edge in graph.edges_from(person)} or _is_read(graph, person)
    if known:
        return ways
    # Those that are certain first.
    for outsider, certain, why in sorted(_named_outside(graph, person), key=lambda found: not found[1]):
        role = outsider.role
        ways.setdefault(role, _Way((role,), certain=certain, why=why, doubts=outsider.doubts))
        for path in graph.paths(role, MAX_DEPTH - 1):
            way = _way(path, why)
            doubts = tuple(dict.fromkeys((*outsider.doubts, *way.doubts)))
            ways.setdefault(path[-1].role, _Way((role, *way.roles), way.needs, certain and way.certain, why, doubts))
    return ways


def _way(path: tuple[Edge, ...], why: str) -> _Way:
    needs = tuple(dict.fromkeys(str(need) for edge in path for need in edge.needs))
    doubts = tuple(dict.fromkeys(doubt for edge in path for doubt in edge.doubts))
    return _Way(tuple(edge.role for edge in path), needs, all(edge.certain for edge in path), why, doubts)


def _why(first: Edge) -> str:
    name = PrincipalArn.parse(first.role).name
    if first.grant is Grant.NONE:
        return f"role {name} may trust them"
    if first.grant is Grant.ACCOUNT:
        return f"role {name} trusts the whole account, and their own policies allow them to assume it"
    return f"role {name} trusts them"


def _is_read(graph: AssumeGraph, person: str) -> bool:
    try:
        return PrincipalArn.parse(person).account in graph.accounts
    except InvalidArnError:
        return False


def _named_outside(graph: AssumeGraph, person: str) -> Iterator[tuple[Outsider, bool, str]]:
    """By which roles somebody of an account that was not read is trusted, whether that is certain, and how."""
    account = PrincipalArn.parse(person).account
    for role in graph.roles:
        name = PrincipalArn.parse(role).name
        for outsider in graph.outsiders(role):
            if outsider.kind is OutsiderKind.PRINCIPAL and outsider.name == person:
                yield outsider, outsider.certain, f"role {name} trusts them"
            elif outsider.kind is OutsiderKind.ACCOUNT and account in outsider.name:
                yield (
                    outsider,
                    False,
                    f"role {name} trusts the whole account {account}, whose policies are not known here",
                )
            elif outsider.kind is OutsiderKind.EVERYONE:
                yield outsider, outsider.certain, f"role {name} trusts everybody"


def _direct(graph: AssumeGraph, person: str) -> set[str]:
    """The roles that somebody can assume without another one before."""
    found = {edge.role for edge in graph.edges_from(person)}
    return found if found or _is_read(graph, person) else {one.role for one, _, _ in _named_outside(graph, person)}


def _closure(first: set[str], after: AssumeGraph, before: AssumeGraph) -> set[str]:
    """The roles of which a session may exist: assumed from one another by what holds now, or by what held."""
    found, pending = set(first), list(first)
    there = set(after.roles)
    while pending:
        role = pending.pop()
        for edge in (*after.edges_from(role), *before.edges_from(role)):
            if edge.role in there and edge.role not in found:
                found.add(edge.role)
                pending.append(edge.role)
    return found


def _inner(roles: set[str], graph: AssumeGraph) -> dict[str, set[str]]:
    """By role, those of ``roles`` that can assume it now."""
    return {role: {edge.source for edge in graph.edges_to(role)} & roles for role in roles}


def _renewable(roles: set[str], graph: AssumeGraph) -> set[str]:
    """The roles on a circle, and those that can be assumed from one."""
    sources = _inner(roles, graph)
    ordered = set(_in_order(roles, graph))
    return {role for role in sources if role not in ordered}


def _in_order(roles: set[str], graph: AssumeGraph) -> Iterator[str]:
    """Each role after those that can assume it; the roles on a circle and behind it are left out."""
    sources = _inner(roles, graph)
    ready = sorted(role for role, of in sources.items() if not of)
    while ready:
        role = ready.pop()
        yield role
        for other, of in sources.items():
            if role in of:
                of.discard(role)
                if not of:
                    ready.append(other)


def _longest(before: AssumeGraph, after: AssumeGraph, role: str, person: str) -> timedelta:
    """The longest session that somebody may have of a role that they assumed themselves."""
    try:
        chained = PrincipalArn.parse(person).kind is PrincipalKind.ROLE
    except InvalidArnError:
        chained = False
    found = [known.max_session_duration for graph in (before, after) if (known := _role(graph, role)) is not None]
    return CHAINED if chained else timedelta(seconds=max(found))


def _role(graph: AssumeGraph, arn: str) -> IamRole | None:
    principal = PrincipalArn.parse(arn)
    account = graph.accounts.get(principal.account)
    return account.roles.get(principal.name) if account else None
