"""The edges that lead to one role: which callers its trust policy can mean, and what the rules say of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.account import Account
from rolecall.iam.assume_role import AssumeRoleRequest, TrustedRole, assume_role_context, decide_assume_role
from rolecall.iam.doubts import at_widest, doubt_of
from rolecall.iam.kindest import Sides
from rolecall.iam.needs import Choice, Need, brought
from rolecall.iam.policy_model import Doubt, PolicyKind, Principals, Statement
from rolecall.iam.principal_index import ASSUME_ROLE, Caller, PolicyClass, PrincipalIndex, about_assuming
from rolecall.iam.principals import Principal
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.search import Found, find_offer
from rolecall.iam.statements import Grant, grant_of, statement_applies


@dataclass(frozen=True, slots=True)
class Edge:
    """A user or role that can assume a role.

    :param source: ARN of the user or role, with its path.
    :param role: ARN of the role that can be assumed.
    :param grant: how directly the trust policy names the source; ACCOUNT: its account, and its own policies allow it;
        NONE where that is not certain.
    :param needs: what the caller must bring along; empty: any call will do.
    :param certain: false if it rests on something in ``doubts``: the caller may be able to assume the role, or not.
    :param doubts: what was not understood, not read or not decided and could make this no edge, by name.
    """

    source: str
    role: str
    grant: Grant
    needs: tuple[Need, ...] = ()
    certain: bool = True
    doubts: tuple[Doubt, ...] = field(default=(), compare=False)
    offer: tuple[Choice, ...] = field(default=(), repr=False, compare=False)


class OutsiderKind(StrEnum):
    """Who a trust policy names besides users and roles of the accounts that were read."""

    ACCOUNT = "account"
    PRINCIPAL = "principal"
    GONE = "gone"
    EVERYONE = "everyone"
    SERVICE = "service"
    FEDERATED = "federated"


@dataclass(frozen=True, slots=True)
class Outsider:
    """Somebody outside whom a role's trust policy names; whether they are let in cannot be known from here.

    ACCOUNT and PRINCIPAL are of an account that was not read; GONE of one that was, which has no such principal.

    :param conditions: whether the statement that names them has conditions.
    :param doubts: what of that statement was not understood; with any, it only may name them.
    """

    role: str
    kind: OutsiderKind
    name: str
    conditions: bool = False
    doubts: tuple[Doubt, ...] = field(default=(), compare=False)

    @property
    def certain(self) -> bool:
        """Whether the trust policy lets them in whatever they bring along."""
        return not (self.conditions or self.doubts)


class RoleTarget:
    """A role, and those whom its trust policy names."""

    def __init__(
        self, role: TrustedRole, index: PrincipalIndex, accounts: Mapping[str, Account], now: datetime
    ) -> None:
        self._role, self._index, self._accounts, self._now = role, index, accounts, now
        self._trust = about_assuming(role.trust)
        self._sides: dict[tuple[PolicyClass, bool], Sides] = {}
        # All that the trust policy says or may say.
        self._statements = (*role.trust.statements, *(one.statement for one in role.trust.unclear))

    def edges(self, among: frozenset[str] | None = None) -> Iterator[Edge]:
        """The edges to the role, by source; ``among``: those from these ARNs alone."""
        callers = {c.who.arn: c for c in self._candidates() if among is None or c.who.arn in among}
        for arn in sorted(callers):
            if (edge := self._edge(callers[arn])) is not None:
                yield edge

    def outsiders(self) -> Iterator[Outsider]:
        """Who else the trust policy names, each once."""
        found: dict[tuple[OutsiderKind, str], Outsider] = {}
        for statement, doubts in self._trusting():
            for kind, name in self._outside(statement.principals or Principals()):
                one = Outsider(self._role.arn, kind, name, bool(statement.conditions), doubts)
                known = found.get((kind, name))
                if known is None or (not known.certain and (not known.doubts, one.certain) < (not doubts, True)):
                    found[kind, name] = one
        yield from found.values()

    def _trusting(self) -> Iterator[tuple[Statement, tuple[Doubt, ...]]]:
        """The statements that let somebody in, and those that may, each with what of it was not understood."""
        trust = self._role.trust
        yield from ((statement, ()) for statement in trust.statements if statement.allows)
        for unclear in trust.unclear:
            if unclear.statement.allows:
                yield unclear.statement, (_of_role(doubt_of(trust, unclear), self._role),)

    def _outside(self, named: Principals) -> Iterator[tuple[OutsiderKind, str]]:
        if named.everyone:
            yield OutsiderKind.EVERYONE, "*"
        yield from ((OutsiderKind.SERVICE, name) for name in named.service)
        yield from ((OutsiderKind.FEDERATED, name) for name in named.federated)
        for entry in named.aws:
            if entry.startswith(("AIDA", "AROA")):
                if entry not in self._index.by_id:
                    # IAM writes the id where the principal is gone; it may also be of an account that was not read.
                    yield OutsiderKind.GONE, entry
                continue
            account, principal = _entry(entry)
            if principal is not None and principal.kind is PrincipalKind.FEDERATED_USER:
                yield OutsiderKind.FEDERATED, entry
            elif account not in self._accounts:
                yield (OutsiderKind.PRINCIPAL if principal else OutsiderKind.ACCOUNT), entry
            elif principal is None:
                continue
            elif principal.kind is PrincipalKind.ASSUMED_ROLE:
                if self._role_named(principal) is None:
                    yield OutsiderKind.GONE, entry
            elif entry not in self._index.by_arn:
                yield OutsiderKind.GONE, entry

    def _candidates(self) -> Iterator[Caller]:
        for statement in self._statements:
            if not (statement.allows and statement.principals):
                continue
            if statement.principals.everyone:
                for account in self._accounts:
                    yield from self._of_account(account, direct=account == self._role.account)
            for entry in statement.principals.aws:
                yield from self._named(entry)

    def _named(self, entry: str) -> Iterator[Caller]:
        if entry.startswith(("AIDA", "AROA")):
            if (caller := self._index.by_id.get(entry)) is not None:
                yield caller
            return
        account, principal = _entry(entry)
        if principal is None:
            yield from self._of_account(account, direct=False)
        elif principal.kind is PrincipalKind.ASSUMED_ROLE:
            if (caller := self._role_named(principal)) is not None:
                yield caller
        elif (caller := self._index.by_arn.get(entry)) is not None:
            yield caller

    def _role_named(self, session: PrincipalArn) -> Caller | None:
        """The role of a session's ARN, which has no path."""
        account = self._accounts.get(session.account)
        role = account.roles.get(session.name) if account else None
        return self._index.by_arn.get(role.arn) if role else None

    def _of_account(self, account: str, *, direct: bool) -> Iterator[Caller]:
        """Those of an account; unless named directly, those alone whose own policies could allow it."""
        for policy_class, callers in self._index.by_account.get(account, {}).items():
            asked = AuthorizationRequest(callers[0].principal, ASSUME_ROLE, self._role.arn, self._role.account)
            if direct or policy_class.may_allow(asked):
                yield from callers

    def _edge(self, caller: Caller) -> Edge | None:
        unclear = caller.policy_class.unclear or bool(self._role.trust.unclear)
        wide, found = False, self._find(caller, wide=False)
        # What was not understood matters if there is no edge without it, or none that is sure.
        if unclear and (found is None or not found.certain):
            wider = self._find(caller, wide=True)
            if found is None or (wider is not None and wider.certain):
                wide, found = True, wider
        if found is None:
            return None
        principal, request = brought(found.offer, caller.principal, self._role.arn, self._now)
        doubts: list[Doubt] = []
        if not found.certain:
            why = "its conditions leave more to choose than was tried"
            doubts.append(_of_role(Doubt(self._role.trust.name, "", "Allow", why, PolicyKind.TRUST.value), self._role))
        if unclear:
            doubts += _doubts(caller, principal, request, self._role)
        grant = self._grant(caller, principal, request) if found.certain and not wide else Grant.NONE
        needs = tuple(dict.fromkeys(choice.need for choice in found.offer))
        return Edge(caller.who.arn, self._role.arn, grant, needs, not doubts, tuple(doubts), found.offer)

    def _find(self, caller: Caller, *, wide: bool) -> Found | None:
        """What a caller must bring along; ``wide``: if what was not understood allows all that it may."""
        key = caller.policy_class, wide
        sides = self._sides.get(key)
        if sides is None:
            policies = replace(caller.policy_class.policies, resource=self._trust)
            sides = self._sides[key] = Sides(at_widest(policies) if wide else policies)
        return find_offer(self._role, caller.principal, sides, self._now)

    def _grant(self, caller: Caller, principal: Principal, request: AssumeRoleRequest) -> Grant:
        trust, bounded = self._role.trust, caller.policy_class.policies.boundary is not None
        context = assume_role_context(request, principal, self._role)
        asked = AuthorizationRequest(principal, ASSUME_ROLE, self._role.arn, self._role.account, context)
        return max(
            (
                grant_of(statement, principal, self._role.principal_ids, bounded)
                for statement in trust.statements
                if statement.allows and statement_applies(statement, trust, asked)
            ),
            default=Grant.NONE,
        )


def _doubts(caller: Caller, principal: Principal, request: AssumeRoleRequest, role: TrustedRole) -> Iterator[Doubt]:
    """What was not understood and could make another decision about a call, each with whose policy it is."""
    for doubt in decide_assume_role(request, principal, role, caller.account.policies(caller.who)).doubts:
        if doubt.kind == PolicyKind.TRUST.value:
            yield _of_role(doubt, role)
        else:
            yield replace(doubt, account=caller.account.id, principal=caller.who.arn)


def _of_role(doubt: Doubt, role: TrustedRole) -> Doubt:
    return replace(doubt, account=role.account, principal=role.arn)


def _entry(entry: str) -> tuple[str, PrincipalArn | None]:
    """The account that an ``AWS`` principal names, and the principal in it unless the whole account is meant."""
    if entry.isdigit():
        return entry, None
    try:
        found = PrincipalArn.parse(entry)
    except InvalidArnError:
        return "", None
    return found.account, None if found.kind is PrincipalKind.ROOT else found
