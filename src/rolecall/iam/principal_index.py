"""The users and roles of several accounts as callers, found by what a trust policy may name them by.

Callers with the same policies form a class, so that what depends on the policies alone is worked out once for a class
and not for each of thousands of users.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from rolecall.iam.account import Account, IamRole, IamUser
from rolecall.iam.doubts import has_unclear
from rolecall.iam.evaluate import PolicySet
from rolecall.iam.needs import DEFAULT_SESSION, session_of
from rolecall.iam.policy_model import PolicyDocument, Statement
from rolecall.iam.principals import Principal
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.statements import action_fits, resource_fits
from rolecall.iam.variables import has_variables

ASSUME_ROLE = "sts:assumerole"
# What one call of AssumeRole may need.
ASSUMING = (ASSUME_ROLE, "sts:tagsession", "sts:setsourceidentity")


@dataclass(frozen=True, slots=True, eq=False)
class PolicyClass:
    """All callers whose policies say the same about assuming roles.

    :param policies: what they say about it, with the documents' names left out, for they are one caller's.
    :param assuming: the Allow statements that may be about AssumeRole, with whether their policy knows variables.
    :param unclear: whether something in the policies was not understood or not read.
    """

    policies: PolicySet
    assuming: tuple[tuple[Statement, bool], ...]
    unclear: bool

    def may_allow(self, request: AuthorizationRequest) -> bool:
        """Whether any policy could allow a call of AssumeRole, conditions and limits left aside."""
        return any(
            (variables and any(has_variables(resource) for resource in statement.resources))
            or resource_fits(statement, request, variables)
            for statement, variables in self.assuming
        )


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """A user or role that could assume roles; a role as a session named :data:`~rolecall.iam.needs.DEFAULT_SESSION`."""

    account: Account
    who: IamUser | IamRole
    principal: Principal
    policy_class: PolicyClass


@dataclass(slots=True)
class PrincipalIndex:
    """Callers by ARN, by unique id, and by account and class."""

    by_arn: dict[str, Caller] = field(default_factory=dict)
    by_id: dict[str, Caller] = field(default_factory=dict)
    by_account: dict[str, dict[PolicyClass, list[Caller]]] = field(default_factory=dict)
    _by_texts: dict[tuple[tuple[str | None, ...], tuple[str | None, ...]], PolicyClass] = field(default_factory=dict)
    _by_policies: dict[tuple[tuple[PolicyDocument, ...], PolicyDocument | None], PolicyClass] = field(
        default_factory=dict
    )

    def add(self, account: Account, now: datetime) -> None:
        """Take in the users and roles of an account."""
        classes = self.by_account.setdefault(account.id, {})
        for who in account.principals():
            session = session_of(DEFAULT_SESSION, now) if isinstance(who, IamRole) else None
            caller = Caller(account, who, account.principal(who, session), self._class_of(account, who))
            self.by_arn[who.arn] = caller
            self.by_id[caller.principal.principal_id] = caller
            classes.setdefault(caller.policy_class, []).append(caller)

    def _class_of(self, account: Account, who: IamUser | IamRole) -> PolicyClass:
        boundary = (account.managed.get(who.boundary),) if who.boundary else ()
        key = tuple(text for _, text in account.identity_texts(who)), boundary
        found = self._by_texts.get(key)
        if found is None:
            whole = account.policies(who, named=False)
            identity = tuple(
                policy for policy in map(about_assuming, whole.identity) if policy.statements or policy.unclear
            )
            policies = PolicySet(identity, about_assuming(whole.boundary) if whole.boundary else None)
            found = self._by_policies.get((policies.identity, policies.boundary))
            if found is None:
                found = PolicyClass(policies, tuple(_assuming(policies)), has_unclear(policies))
                self._by_policies[policies.identity, policies.boundary] = found
            self._by_texts[key] = found
        return found


def about_assuming(policy: PolicyDocument) -> PolicyDocument:
    """What a policy says about assuming roles."""
    statements = tuple(one for one in policy.statements if _fits(one))
    unclear = tuple(one for one in policy.unclear if _fits(one.statement))
    return replace(policy, statements=statements, unclear=unclear)


def _fits(statement: Statement) -> bool:
    return any(action_fits(statement, action) for action in ASSUMING)


def _assuming(policies: PolicySet) -> Iterator[tuple[Statement, bool]]:
    for policy in policies.identity:
        for statement in (*policy.statements, *(one.statement for one in policy.unclear)):
            if statement.allows and action_fits(statement, ASSUME_ROLE):
                yield statement, policy.has_variables


def index_principals(accounts: Mapping[str, Account], now: datetime) -> PrincipalIndex:
    """An index of all users and roles of ``accounts``."""
    index = PrincipalIndex()
    for account in accounts.values():
        index.add(account, now)
    return index
