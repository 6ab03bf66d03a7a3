"""Who can assume which roles, over many accounts: edges from users and roles to roles.

Every edge is a decision of the rules of AssumeRole (:mod:`rolecall.iam.assume_role`); what this module adds is only
which pairs need be asked about. A trust policy says that itself: pairs that it cannot mean are never looked at.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import datetime

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.iam.account import Account, IamRole
from rolecall.iam.assume_role import AssumeRoleDecision, AssumeRoleRequest, TrustedRole, decide_assume_role
from rolecall.iam.edges import Edge, Outsider, OutsiderKind, RoleTarget
from rolecall.iam.needs import DEFAULT_SESSION, Need, NeedKind, brought, session_of
from rolecall.iam.principal_index import index_principals
from rolecall.iam.principals import Principal

__all__ = ["AssumeGraph", "Edge", "Need", "NeedKind", "Outsider", "OutsiderKind", "build_graph"]

MAX_DEPTH = 4


class AssumeGraph:
    """The edges between the principals of some accounts; see :func:`build_graph`.

    What was not understood or not read is on the edges that it touches (:attr:`Edge.doubts`), never left out.
    """

    def __init__(self, accounts: Mapping[str, Account], now: datetime) -> None:
        self.accounts, self.now = accounts, now
        self._to: dict[str, tuple[Edge, ...]] = {}
        self._outsiders: dict[str, tuple[Outsider, ...]] = {}
        self._from: dict[str, list[Edge]] | None = None
        self._all_certain: bool | None = None

    @property
    def roles(self) -> Iterable[str]:
        """The ARNs of all roles."""
        return self._to.keys()

    def edges(self) -> Iterator[Edge]:
        """Every edge, by the role it leads to."""
        for edges in self._to.values():
            yield from edges

    def edges_to(self, role: str) -> tuple[Edge, ...]:
        """The edges to a role, by source."""
        return self._to.get(role, ())

    def edges_from(self, source: str) -> tuple[Edge, ...]:
        """The edges from a user or role."""
        if self._from is None:
            self._from = {}
            for edge in self.edges():
                self._from.setdefault(edge.source, []).append(edge)
        return tuple(self._from.get(source, ()))

    def outsiders(self, role: str) -> tuple[Outsider, ...]:
        """Who else a role's trust policy names."""
        return self._outsiders.get(role, ())

    def paths(self, source: str, depth: int = MAX_DEPTH) -> Iterator[tuple[Edge, ...]]:
        """The shortest way from a user or role to each role that it reaches by assuming one after the other.

        A certain way comes before a shorter one that is not.
        """
        certain = {source}
        for path in self._shortest(source, depth, certain_only=True):
            certain.add(path[-1].role)
            yield path
        if self._all_certain is None:
            self._all_certain = all(edge.certain for edge in self.edges())
        if self._all_certain:
            return
        for path in self._shortest(source, depth, certain_only=False):
            if path[-1].role not in certain:
                yield path

    def _shortest(self, source: str, depth: int, *, certain_only: bool) -> Iterator[tuple[Edge, ...]]:
        reached = {source}
        front: list[tuple[tuple[Edge, ...], str]] = [((), source)]
        for _ in range(depth):
            following: list[tuple[tuple[Edge, ...], str]] = []
            for path, last in front:
                for edge in self.edges_from(last):
                    if edge.role not in reached and (edge.certain or not certain_only):
                        reached.add(edge.role)
                        following.append(((*path, edge), edge.role))
                        yield (*path, edge)
            front = following

    def request(self, edge: Edge) -> tuple[Principal, AssumeRoleRequest, TrustedRole]:
        """A call of AssumeRole that an edge stands for: by whom, what it brings along, and the role."""
        account, role = self._role(edge.role)
        source = PrincipalArn.parse(edge.source)
        home = self.accounts[source.account]
        if source.kind is PrincipalKind.ROLE:
            caller = home.principal(home.roles[source.name], session_of(DEFAULT_SESSION, self.now))
        else:
            caller = home.principal(home.users[source.name])
        return *brought(edge.offer, caller, edge.role, self.now), account.trusted(role)

    def explain(self, edge: Edge) -> AssumeRoleDecision:
        """The decision behind an edge, with its reasons."""
        principal, request, role = self.request(edge)
        source = PrincipalArn.parse(edge.source)
        home = self.accounts[source.account]
        who = home.roles[source.name] if source.kind is PrincipalKind.ROLE else home.users[source.name]
        return decide_assume_role(request, principal, role, home.policies(who))

    def _role(self, arn: str) -> tuple[Account, IamRole]:
        found = PrincipalArn.parse(arn)
        account = self.accounts[found.account]
        return account, account.roles[found.name]


def build_graph(accounts: Mapping[str, Account], now: datetime, previous: AssumeGraph | None = None) -> AssumeGraph:
    """The graph of all users and roles of ``accounts``, as things stand at ``now``.

    An edge is there if some call of AssumeRole succeeds now or, its other conditions met, at a later time. If it
    hangs on what was not understood, not read or not decided, there is an edge that is not certain and says so.

    :param previous: a graph of the same moment, from which is taken over what the accounts' differences do not touch.
    """
    graph = AssumeGraph(accounts, now)
    index = index_principals(accounts, now)
    if previous is not None and previous.now != now:
        previous = None
    changed = _changed_callers(previous.accounts, accounts) if previous is not None else frozenset()
    everybody_known = previous is not None and previous.accounts.keys() == accounts.keys()
    for account in accounts.values():
        for role in account.roles.values():
            target = RoleTarget(account.trusted(role), index, accounts, now)
            if previous is not None and everybody_known and _same_role(previous.accounts, account, role):
                kept = [edge for edge in previous.edges_to(role.arn) if edge.source not in changed]
                edges = sorted((*kept, *target.edges(changed)), key=lambda edge: edge.source) if changed else kept
                graph._to[role.arn] = tuple(edges)
                graph._outsiders[role.arn] = tuple(target.outsiders()) if changed else previous.outsiders(role.arn)
            else:
                graph._to[role.arn] = tuple(target.edges())
                graph._outsiders[role.arn] = tuple(target.outsiders())
    return graph


def _same_role(before: Mapping[str, Account], account: Account, role: IamRole) -> bool:
    old = before.get(account.id)
    return old is not None and (old is account or old.roles.get(role.name) == role)


def _changed_callers(before: Mapping[str, Account], after: Mapping[str, Account]) -> frozenset[str]:
    """The ARNs of users and roles whose own side of a decision may differ between two readings."""
    changed: set[str] = set()
    for ident in before.keys() | after.keys():
        old, new = before.get(ident), after.get(ident)
        if old is not new:
            sides = [_callers(account) if account is not None else {} for account in (old, new)]
            changed |= {arn for arn in sides[0].keys() | sides[1].keys() if sides[0].get(arn) != sides[1].get(arn)}
    return frozenset(changed)


def _callers(account: Account) -> dict[str, Hashable]:
    """What decides about each caller of an account: who it is, and its policies. A role's trust policy does not."""
    return {
        who.arn: (
            account.principal(who).principal_id,
            tuple(sorted(who.tags.items())),
            tuple(account.identity_texts(who)),
            who.boundary and (who.boundary, account.managed.get(who.boundary)),
        )
        for who in account.principals()
    }
