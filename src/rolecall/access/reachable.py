"""What one caller reaches: the roles that they can assume, and clusters, as themselves or as one of those roles.

The rules are those of :class:`~rolecall.access.effective.EffectiveAccess`; what is added is the caller's side of it:
what a tool must know so that it brings along what a trust policy asks for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from rolecall.access.effective import EffectiveAccess
from rolecall.access.read_world import ClusterAddress
from rolecall.access.world import World
from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.account import Account, IamRole, IamUser
from rolecall.iam.edges import Edge
from rolecall.iam.needs import NeedKind
from rolecall.iam.policy_model import Doubt


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal that signs: a user or a role.

    :param arn: as a cluster sees it: of a role without its path, and never of a session.
    :param profile: the profile of the AWS CLI's files that gives the credentials; empty: the default ones.
    :param region: of that profile; empty where it names none.
    """

    arn: str
    profile: str = ""
    region: str = ""

    @property
    def principal(self) -> PrincipalArn:
        return PrincipalArn.parse(self.arn)

    @property
    def is_role(self) -> bool:
        return self.principal.kind is PrincipalKind.ROLE


@dataclass(frozen=True, slots=True)
class AssumableRole:
    """A role that a caller can assume, and what they must bring along: empty where the role does not ask for it.

    :param arn: with its path.
    :param max_duration: seconds that a session may last; ``None`` where that is not known.
    :param certain: false if something that is not known has the last word: the caller's own policies, a trust policy
        that was not read, or anything in ``doubts``.
    :param doubts: what was not understood or not read of the policies.
    """

    arn: str
    session_name: str = ""
    external_id: str = ""
    source_identity: str = ""
    mfa: bool = False
    max_duration: int | None = None
    certain: bool = True
    doubts: tuple[Doubt, ...] = ()

    @property
    def principal(self) -> PrincipalArn:
        return PrincipalArn.parse(self.arn)


@dataclass(frozen=True, slots=True)
class Reachable:
    """A cluster that a caller reaches. ``role``: as which role; ``None``: as themselves."""

    caller: Caller
    cluster: ClusterAddress
    role: AssumableRole | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """All that a caller reaches.

    :param roles: all roles that they can assume, also those that no cluster knows.
    :param notes: what could not be known, as sentences.
    """

    roles: tuple[AssumableRole, ...] = ()
    clusters: tuple[Reachable, ...] = ()
    notes: tuple[str, ...] = ()


def reach_of_world(world: World, caller: Caller, only_roles: Collection[str] = ()) -> Reach:
    """What ``caller`` reaches in ``world``, as far as it was read.

    Where a cluster's mappings could not be read, the caller counts as mapped, and no role does. Where its Kubernetes
    API answered the caller, the caller is mapped, if only as the hidden creator of the cluster.

    :param only_roles: names or ARNs of the roles that are looked at, and not the caller; empty: all, and the caller.
    """
    access = EffectiveAccess(world, depth=1)
    account = world.accounts.get(caller.principal.account)
    who = _find(account, caller) if account else None
    roles = tuple(
        assumable_role(edge, _longest(world, edge.role))
        for edge in (access.graph.edges_from(who.arn) if who else ())
        if is_wanted(edge.role, only_roles)
    )
    clusters: list[Reachable] = []
    notes = list(doubt_notes(roles))
    for arn, state in world.clusters.items():
        address = ClusterAddress(state.account, state.region, state.name)
        mapped = {_identity(principal) for principal in access.mapped(arn)}
        answered = state.mode.reads_config_map and not state.unread
        if not only_roles and (_identity(caller.arn) in mapped or answered or state.unread):
            clusters.append(Reachable(caller, address))
        clusters += (Reachable(caller, address, role) for role in roles if _identity(role.arn) in mapped)
        if state.unread and roles:
            first = state.unread[0].partition("\n")[0]
            notes.append(f"whom cluster {state.name} maps could not be read, so roles are left out there: {first}")
    return Reach(roles, tuple(clusters), tuple(notes))


def assumable_role(edge: Edge, max_duration: int | None, *, certain: bool | None = None) -> AssumableRole:
    """The role that an edge leads to, with what the first call that succeeds brought along."""
    brought = {choice.key: choice.values[0] for choice in edge.offer}
    return AssumableRole(
        edge.role,
        brought.get("sts:rolesessionname", ""),
        brought.get("sts:externalid", ""),
        brought.get("sts:sourceidentity", ""),
        any(choice.need.kind is NeedKind.MFA and choice.values[0] != "false" for choice in edge.offer),
        max_duration,
        edge.certain if certain is None else certain,
        edge.doubts,
    )


def doubt_notes(roles: Iterable[AssumableRole]) -> Iterator[str]:
    """What was not understood about whether roles can be assumed, as sentences."""
    for role in roles:
        for doubt in role.doubts:
            yield f"whether role {role.principal.name} can be assumed is not certain: {doubt}"


def is_wanted(role: str, wanted: Collection[str], *also: str) -> bool:
    """Whether a role is among those asked for: by ARN, by its name, or by what else it is called."""
    return not wanted or any(name in wanted for name in (role, PrincipalArn.parse(role).name, *also))


def merged(reaches: Iterable[Reach]) -> Reach:
    """Several callers' reach as one: of two ways to be the same principal on the same cluster the first counts."""
    reaches = tuple(reaches)
    roles = {_identity(role.arn): role for reach in reversed(reaches) for role in reversed(reach.roles)}
    clusters = {
        (one.cluster, _identity(one.role.arn if one.role else one.caller.arn)): one
        for reach in reversed(reaches)
        for one in reversed(reach.clusters)
    }
    return Reach(
        tuple(sorted(roles.values(), key=lambda role: role.arn)),
        tuple(sorted(clusters.values(), key=lambda one: (one.cluster, one.role.arn if one.role else one.caller.arn))),
        tuple(dict.fromkeys(note for reach in reaches for note in reach.notes)),
    )


def _find(account: Account, caller: Caller) -> IamUser | IamRole | None:
    found: IamUser | IamRole | None = (account.roles if caller.is_role else account.users).get(caller.principal.name)
    return found


def _longest(world: World, role: str) -> int | None:
    found = PrincipalArn.parse(role)
    account = world.accounts.get(found.account)
    known = account.roles.get(found.name) if account else None
    return known.max_session_duration if known else None


def _identity(arn: str) -> tuple[str, str, str] | None:
    """Account, kind and name: the same for a role with its path and without. ``None`` if it names none."""
    try:
        found = PrincipalArn.parse(arn)
    except InvalidArnError:
        return None
    return found.account, found.kind.value, found.name.lower()
