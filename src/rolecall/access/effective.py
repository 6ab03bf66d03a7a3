"""Who gets into which cluster as whom: the whole chain for everybody, from accounts and clusters as they were read.

A person is an IAM user of an account that was read, or anyone else that a trust policy lets in: a service, a federated
identity, an account or a principal elsewhere. Those stand as what the policy calls them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rolecall.access.mapped import MappedUser, PrincipalDirectory, is_user, mapped_users
from rolecall.access.world import World
from rolecall.arn import PrincipalArn
from rolecall.errors import InvalidArnError
from rolecall.iam.graph import MAX_DEPTH, AssumeGraph, Need, OutsiderKind, build_graph
from rolecall.iam.policy_model import Doubt


@dataclass(frozen=True, slots=True)
class Reach:
    """How somebody comes by a principal that clusters map.

    :param roles: ARNs of the roles assumed one after the other; empty where it is the person's own user.
    :param needs: what must be brought along on the way.
    :param certain: false if it rests on a condition that could not be looked into, or on anything in ``doubts``. A way
        that is not certain counts as open where somebody asks whether anything is left, and as closed where somebody
        asks whether enough is left.
    :param doubts: the policies on the way that were not understood or not read, and could make this no way: by account,
        principal, policy and statement, and why. Print them beside whatever is said about the way.
    """

    roles: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    certain: bool = True
    doubts: tuple[Doubt, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Way:
    """One way of one person into one cluster.

    :param principal: ARN of the user or role that the cluster maps.
    """

    person: str
    cluster: str
    principal: str
    reach: Reach
    user: MappedUser


class EffectiveAccess:
    """Everybody's access in one world; what does not differ from a world before is taken over from it.

    :ivar graph: who can assume which roles.
    """

    def __init__(self, world: World, previous: EffectiveAccess | None = None, *, depth: int = MAX_DEPTH) -> None:
        self.world = world
        self.graph: AssumeGraph = build_graph(
            world.accounts, world.read_at, previous.graph if previous is not None else None
        )
        self._directory = PrincipalDirectory(world.accounts)
        self._known = frozenset(self._directory.arn_of.values())
        self._mapped = self._all_mapped(previous)
        self._reached = self._all_reached(depth)

    def mapped(self, cluster: str) -> Mapping[str, MappedUser]:
        """By ARN, the principals that a cluster maps."""
        return self._mapped.get(cluster, {})

    def reached_by(self, principal: str) -> Mapping[str, Reach]:
        """By person, how a user or role is come by."""
        found = self._reached.get(principal)
        if found is not None:
            return found
        # Of an account that was not read, so who comes by it is not known; or nobody can assume it, or it is gone.
        return {} if self._is_read(principal) else {f"anyone who is {principal}": Reach()}

    def _is_read(self, principal: str) -> bool:
        try:
            return principal in self._known or PrincipalArn.parse(principal).account in self.world.accounts
        except InvalidArnError:
            return False

    def ways(self) -> Iterator[Way]:
        """Every way of everybody, cluster by cluster."""
        for cluster, users in self._mapped.items():
            for principal, user in users.items():
                for person, reach in self.reached_by(principal).items():
                    yield Way(person, cluster, principal, reach, user)

    def ways_of(self, person: str) -> Iterator[Way]:
        """The ways of one person: an IAM user's ARN, or what a trust policy calls somebody else."""
        principals = {principal: reach[person] for principal, reach in self._reached.items() if person in reach}
        for cluster, users in self._mapped.items():
            for principal in users.keys() & principals.keys():
                yield Way(person, cluster, principal, principals[principal], users[principal])

    def _all_mapped(self, previous: EffectiveAccess | None) -> dict[str, dict[str, MappedUser]]:
        same = previous is not None and previous._directory.arn_of == self._directory.arn_of
        found = {}
        for arn, state in self.world.clusters.items():
            if previous is not None and same and previous.world.clusters.get(arn) is state:
                found[arn] = previous._mapped[arn]
            else:
                found[arn] = mapped_users(state, self._directory)
        return found

    def _all_reached(self, depth: int) -> dict[str, dict[str, Reach]]:
        """Principal -> person -> the shortest way."""
        found: dict[str, dict[str, Reach]] = {}
        for arn in sorted(self._known):
            if is_user(arn):
                found.setdefault(arn, {})[arn] = Reach()
                self._follow(found, arn, arn, Reach(), depth)
        for role in self.graph.roles:
            for outsider in self.graph.outsiders(role):
                if outsider.kind is not OutsiderKind.GONE:
                    person = f"{outsider.kind.value} {outsider.name}"
                    first = Reach((role,), certain=outsider.certain, doubts=outsider.doubts)
                    _keep(found.setdefault(role, {}), person, first)
                    self._follow(found, person, role, first, depth - 1)
        return found

    def _follow(self, found: dict[str, dict[str, Reach]], person: str, start: str, before: Reach, depth: int) -> None:
        for path in self.graph.paths(start, depth):
            doubts = (*before.doubts, *(doubt for edge in path for doubt in edge.doubts))
            reach = Reach(
                (*before.roles, *(edge.role for edge in path)),
                tuple(need for edge in path for need in edge.needs),
                before.certain and all(edge.certain for edge in path),
                tuple(dict.fromkeys(doubts)),
            )
            _keep(found.setdefault(path[-1].role, {}), person, reach)


def _keep(reaches: dict[str, Reach], person: str, reach: Reach) -> None:
    """The first way stays, unless it was not certain and this one is."""
    known = reaches.get(person)
    if known is None or (reach.certain and not known.certain):
        reaches[person] = reach
