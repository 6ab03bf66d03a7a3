"""The users and roles of several accounts as callers, found by what a trust policy may name them by.

Callers with the same policies form a class, so that what depends on the policies alone is worked out once for a class
and not for each of thousands of users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rolecall.iam.account import Account, IamRole, IamUser, document
from rolecall.iam.documents import PolicyDocument, PolicyError, PolicyKind, Statement
from rolecall.iam.evaluate import PolicySet
from rolecall.iam.needs import DEFAULT_SESSION, session_of
from rolecall.iam.principals import Principal
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.statements import action_fits, resource_fits
from rolecall.iam.variables import has_variables

ASSUME_ROLE = "sts:assumerole"


@dataclass(frozen=True, slots=True, eq=False)
class PolicyClass:
    """All callers who have the same policies.

    :param policies: with the documents' names left out, for they are one caller's.
    :param assuming: the Allow statements about AssumeRole, with whether their policy knows variables.
    """

    policies: PolicySet
    assuming: tuple[tuple[Statement, bool], ...]

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
    """Callers by ARN, by unique id, and by account and class.

    :param problems: policies that could not be understood, and so count as allowing nothing.
    """

    by_arn: dict[str, Caller] = field(default_factory=dict)
    by_id: dict[str, Caller] = field(default_factory=dict)
    by_account: dict[str, dict[PolicyClass, list[Caller]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _classes: dict[tuple[tuple[str, ...], str | None], PolicyClass] = field(default_factory=dict)

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
        texts = tuple(account.identity_texts(who))
        boundary = account.managed.get(who.boundary, "") if who.boundary else None
        key = tuple(text for _, text in texts), boundary
        found = self._classes.get(key)
        if found is None:
            found = self._classes[key] = self._new_class(texts, self._boundary(account, who))
        return found

    def _boundary(self, account: Account, who: IamUser | IamRole) -> PolicyDocument | None:
        try:
            return account.boundary(who)
        except PolicyError as error:
            self.problems.append(f"boundary of {who.arn} is not understood, so it counts as allowing nothing: {error}")
            return PolicyDocument(PolicyKind.BOUNDARY, ())

    def _new_class(self, texts: Iterable[tuple[str, str]], boundary: PolicyDocument | None) -> PolicyClass:
        identity = []
        for name, text in texts:
            try:
                identity.append(document(text, PolicyKind.IDENTITY, ""))
            except PolicyError as error:
                self.problems.append(f"{name} is not understood, so it counts as allowing nothing: {error}")
        assuming = (
            (statement, policy.has_variables)
            for policy in identity
            for statement in policy.statements
            if statement.allows and action_fits(statement, ASSUME_ROLE)
        )
        return PolicyClass(PolicySet(tuple(identity), boundary), tuple(assuming))


def index_principals(accounts: Mapping[str, Account], now: datetime) -> PrincipalIndex:
    """An index of all users and roles of ``accounts``."""
    index = PrincipalIndex()
    for account in accounts.values():
        index.add(account, now)
    return index
