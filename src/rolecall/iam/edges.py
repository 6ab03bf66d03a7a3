"""The edges that lead to one role: which callers its trust policy can mean, and what the rules say of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.account import Account, IamRole
from rolecall.iam.assume_role import (
    AssumeRoleRequest,
    TrustedRole,
    assume_role_context,
    decide_assume_role,
    may_assume_role,
)
from rolecall.iam.compiled import CompiledPolicies, compile_policies
from rolecall.iam.conditions import conditions_hold
from rolecall.iam.doubts import at_widest, doubt_of
from rolecall.iam.matching import matcher
from rolecall.iam.needs import (
    DEFAULT_SESSION,
    Choice,
    Need,
    NeedKind,
    bargain,
    brought,
    is_free,
    session_of,
    without_choices,
)
from rolecall.iam.policy_model import Condition, Doubt, PolicyDocument, PolicyKind, Principals, Statement
from rolecall.iam.principal_index import ASSUME_ROLE, Caller, PolicyClass, PrincipalIndex
from rolecall.iam.principals import Principal
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.statements import Grant, action_fits, grant_of, statement_applies
from rolecall.iam.variables import example_of, needed_keys

_ASSUMING = ("sts:assumerole", "sts:tagsession", "sts:setsourceidentity")


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
    session: str = field(default=DEFAULT_SESSION, repr=False, compare=False)


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
        self._plain = AssumeRoleRequest(role.arn, DEFAULT_SESSION, now)
        self._compiled: dict[tuple[PolicyClass, PrincipalKind | None, bool], CompiledPolicies] = {}
        # All that the trust policy says or may say.
        self._statements = (*role.trust.statements, *(one.statement for one in role.trust.unclear))
        # By ARN of a role: names of sessions of it that the trust policy or an id in a condition asks for.
        self._sessions: dict[str, set[str]] = {}

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
                yield unclear.statement, (self._of_role(doubt_of(trust, unclear)),)

    def _of_role(self, doubt: Doubt) -> Doubt:
        return replace(doubt, account=self._role.account, principal=self._role.arn)

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
                self._sessions.setdefault(caller.who.arn, set()).add(principal.session)
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
        found = self._search(caller, wide=False)
        if found is None and unclear:
            found = self._search(caller, wide=True)
        if found is None or not (unclear or not found.certain):
            return found
        doubts = [*self._undecided(caller)] if not found.certain else []
        principal, request = self._call(found, caller)
        policies = caller.account.policies(caller.who)
        for doubt in decide_assume_role(request, principal, self._role, policies).doubts:
            if doubt.kind == PolicyKind.TRUST.value:
                doubts.append(self._of_role(doubt))
            else:
                doubts.append(replace(doubt, account=caller.account.id, principal=caller.who.arn))
        return replace(found, certain=not doubts, doubts=tuple(doubts))

    def _call(self, edge: Edge, caller: Caller) -> tuple[Principal, AssumeRoleRequest]:
        principal = caller.principal
        if edge.session != DEFAULT_SESSION:
            principal = caller.account.principal(caller.who, session_of(edge.session, self._now))
        return brought(edge.offer, principal, self._role.arn, self._now)

    def _undecided(self, caller: Caller) -> Iterator[Doubt]:
        why = "its conditions have more combinations than were tried"
        yield self._of_role(Doubt(self._role.trust.name, "", "Allow", why, PolicyKind.TRUST.value))

    def _search(self, caller: Caller, *, wide: bool) -> Edge | None:
        """The edge from a caller; ``wide``: if what was not understood allows all that it may."""
        arn, names = caller.who.arn, self._sessions.get(caller.who.arn, set())
        names = names | self._names_in_ids(caller)
        for name in (DEFAULT_SESSION, *sorted(names)):
            principal = caller.principal
            needs: tuple[Need, ...] = ()
            if name != DEFAULT_SESSION:
                principal = caller.account.principal(caller.who, session_of(name, self._now))
                needs = (Need(NeedKind.CALLING_SESSION, "session", name),)
            found = self._offer(principal, caller.policy_class, wide)
            if found is not None:
                needs += tuple(dict.fromkeys(choice.need for choice in found.offer))
                return Edge(arn, self._role.arn, found.grant, needs, found.certain, (), found.offer, name)
        return None

    def _offer(self, principal: Principal, policy_class: PolicyClass, wide: bool) -> _Success | None:
        """What ``principal`` must bring along; ``None`` where nothing helps."""
        compiled, kindest = (self._policies(policy_class, kind, wide) for kind in (None, principal.kind))
        context = assume_role_context(self._plain, principal, self._role)
        bounded = policy_class.policies.boundary is not None
        if may_assume_role(self._plain, principal, self._role, compiled, context):
            return _Success((), self._grant(principal, bounded, context))
        if not may_assume_role(self._plain, principal, self._role, kindest, context):
            return None
        choices = bargain(self._conditions(principal, policy_class, context), principal.kind, context, self._now)
        for offer in choices.offers():
            caller, request = brought(offer, principal, self._role.arn, self._now)
            context = assume_role_context(request, caller, self._role)
            if may_assume_role(request, caller, self._role, compiled, context):
                return _Success(offer, self._grant(caller, bounded, context))
        if choices.exhaustive:
            return None
        # Too many conditions to try them all: rather an edge too many, with all that it may need, than one too few.
        return _Success(tuple(options[0] for options in choices.choices.values()), Grant.NONE, certain=False)

    def _policies(self, policy_class: PolicyClass, kindest: PrincipalKind | None, wide: bool) -> CompiledPolicies:
        """The policies on both sides, as they are or at their kindest for a kind of caller."""
        found = self._compiled.get((policy_class, kindest, wide))
        if found is None:
            policies = replace(policy_class.policies, resource=self._role.trust)
            if wide:
                policies = at_widest(policies)
            if kindest is not None:
                policies = replace(
                    policies,
                    identity=tuple(without_choices(policy, kindest) for policy in policies.identity),
                    boundary=without_choices(policies.boundary, kindest) if policies.boundary else None,
                    resource=without_choices(policies.resource, kindest) if policies.resource else None,
                )
            found = self._compiled[policy_class, kindest, wide] = compile_policies(policies)
        return found

    def _conditions(
        self, principal: Principal, policy_class: PolicyClass, context: Mapping[str, tuple[str, ...]]
    ) -> Iterator[tuple[Condition, bool]]:
        """The conditions that leave the caller a choice, each with whether its policy knows variables.

        Those of statements that cannot be about this caller, whatever it chooses, are left out.
        """
        boundary = policy_class.policies.boundary is not None
        for policy in self._documents(policy_class):
            for statement in policy.statements:
                named = policy is not self._role.trust or grant_of(
                    statement, principal, self._role.principal_ids, boundary
                )
                fixed = tuple(c for c in statement.conditions if not is_free(c.key, principal.kind))
                if (
                    named
                    and any(action_fits(statement, action) for action in _ASSUMING)
                    and (conditions_hold(fixed, context, policy.has_variables) or _asks_free(fixed, principal.kind))
                ):
                    for condition in statement.conditions:
                        if is_free(condition.key, principal.kind):
                            yield condition, policy.has_variables

    def _documents(self, policy_class: PolicyClass) -> Iterator[PolicyDocument]:
        yield self._role.trust
        yield from policy_class.policies.identity
        if policy_class.policies.boundary:
            yield policy_class.policies.boundary

    def _names_in_ids(self, caller: Caller) -> set[str]:
        """Session names that conditions on ``aws:userid`` ask of a role: ``AROA...:NAME``, or a pattern of it."""
        if not isinstance(caller.who, IamRole):
            return set()
        asked = {
            value.partition(":")
            for policy in self._documents(caller.policy_class)
            for statement in policy.statements
            for condition in statement.conditions
            if condition.key == "aws:userid"
            for value in condition.values
        }
        return {example_of(name) for ident, _, name in asked if name and matcher(ident)(caller.principal.principal_id)}

    def _grant(self, principal: Principal, bounded: bool, context: Mapping[str, tuple[str, ...]]) -> Grant:
        trust = self._role.trust
        asked = AuthorizationRequest(principal, ASSUME_ROLE, self._role.arn, self._role.account, context)
        return max(
            (
                grant_of(statement, principal, self._role.principal_ids, bounded)
                for statement in trust.statements
                if statement.allows and statement_applies(statement, trust, asked)
            ),
            default=Grant.NONE,
        )


@dataclass(frozen=True, slots=True)
class _Success:
    offer: tuple[Choice, ...]
    grant: Grant
    certain: bool = True


def _asks_free(conditions: Iterable[Condition], kind: PrincipalKind) -> bool:
    """Whether a condition compares with a variable that the caller may choose."""
    return any(is_free(key.lower(), kind) for c in conditions for value in c.values for key in needed_keys(value))


def _entry(entry: str) -> tuple[str, PrincipalArn | None]:
    """The account that an ``AWS`` principal names, and the principal in it unless the whole account is meant."""
    if entry.isdigit():
        return entry, None
    try:
        found = PrincipalArn.parse(entry)
    except InvalidArnError:
        return "", None
    return found.account, None if found.kind is PrincipalKind.ROOT else found
