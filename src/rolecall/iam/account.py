"""An account's IAM as it was read: users, groups, roles and policies, and what the rules need of them.

The shapes follow ``iam:GetAccountAuthorizationDetails`` (IAM API reference). Policy documents are kept as JSON texts in
canonical form (:func:`canonical_document`), so that equal documents are equal texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from rolecall.arn import PrincipalKind
from rolecall.iam.assume_role import DEFAULT_DURATION, TrustedRole
from rolecall.iam.documents import PolicyDocument, PolicyKind, read_policy, unread_document
from rolecall.iam.evaluate import PolicySet
from rolecall.iam.principals import Principal, Session

NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class IamGroup:
    """A group of users. ``inline``: policy documents by name; ``attached``: ARNs of managed policies."""

    name: str
    inline: Mapping[str, str] = field(default_factory=lambda: NONE)
    attached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IamUser:
    """A user.

    :param arn: with its path.
    :param user_id: ``AIDA...``; empty for a user that does not exist yet.
    :param groups: names of its groups.
    :param boundary: ARN of the permissions boundary, or empty.
    :param created: when, to the second, which tells a recreated user from the one before; ``None`` if not known.
    """

    name: str
    arn: str
    user_id: str = ""
    path: str = "/"
    tags: Mapping[str, str] = field(default_factory=lambda: NONE)
    inline: Mapping[str, str] = field(default_factory=lambda: NONE)
    attached: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    boundary: str = ""
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class IamRole:
    """A role.

    :param role_id: ``AROA...``; empty for a role that does not exist yet.
    :param trust: the trust policy's document.
    :param max_session_duration: seconds.
    :param created: as of a user.
    """

    name: str
    arn: str
    trust: str
    role_id: str = ""
    path: str = "/"
    description: str = ""
    max_session_duration: int = DEFAULT_DURATION
    tags: Mapping[str, str] = field(default_factory=lambda: NONE)
    inline: Mapping[str, str] = field(default_factory=lambda: NONE)
    attached: tuple[str, ...] = ()
    boundary: str = ""
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """What one account holds, each by name; ``managed``: default versions of managed policies by ARN."""

    id: str
    partition: str = "aws"
    users: Mapping[str, IamUser] = field(default_factory=dict)
    roles: Mapping[str, IamRole] = field(default_factory=dict)
    groups: Mapping[str, IamGroup] = field(default_factory=dict)
    managed: Mapping[str, str] = field(default_factory=lambda: NONE)

    def principals(self) -> Iterator[IamUser | IamRole]:
        """Its users, then its roles."""
        yield from self.users.values()
        yield from self.roles.values()

    def principal(self, who: IamUser | IamRole, session: Session | None = None) -> Principal:
        """A user, or a session of a role, as a caller; ids of what does not exist yet stand as its name."""
        if isinstance(who, IamUser):
            ident = who.user_id or f"new-user/{who.name}"
            return Principal(PrincipalKind.USER, self.id, who.arn, who.arn, ident, ident, "", who.name, None, who.tags)
        ident = who.role_id or f"new-role/{who.name}"
        name = session.name if session else "session"
        arn = f"arn:{self.partition}:sts::{self.id}:assumed-role/{who.name}/{name}"
        return Principal(
            PrincipalKind.ASSUMED_ROLE, self.id, arn, who.arn, ident, f"{ident}:{name}", "", who.name, session, who.tags
        )

    def policies(self, who: IamUser | IamRole, *, named: bool = True) -> PolicySet:
        """Every policy on the side of a user or role that the account knows; what was not read is unclear.

        :param named: whether the documents say whose they are.
        """
        identity = tuple(
            document(text, PolicyKind.IDENTITY, name if named else "") for name, text in self.identity_texts(who)
        )
        return PolicySet(identity, self.boundary(who, named=named))

    def identity_texts(self, who: IamUser | IamRole) -> Iterator[tuple[str, str | None]]:
        """Name and text of each policy that gives a user or role its permissions, its groups' policies included.

        The text is ``None`` if it was not read.
        """
        whose = _whose(who)
        yield from self._texts(who.inline, who.attached, whose)
        if isinstance(who, IamUser):
            for name in who.groups:
                if group := self.groups.get(name):
                    yield from self._texts(group.inline, group.attached, f"group {name}")
                else:
                    yield f"policies of group {name}", None

    def boundary(self, who: IamUser | IamRole, *, named: bool = True) -> PolicyDocument | None:
        """The permissions boundary of a user or role; one that was not read allows nothing for certain."""
        if not who.boundary:
            return None
        name = f"permissions boundary of {_whose(who)}" if named else ""
        return document(self.managed.get(who.boundary), PolicyKind.BOUNDARY, name)

    def trusted(self, role: IamRole) -> TrustedRole:
        """A role as the rules of AssumeRole need it."""
        return TrustedRole(
            role.arn,
            role.role_id,
            self.id,
            document(role.trust, PolicyKind.TRUST, f"trust policy of role {role.name}"),
            role.max_session_duration,
            role.tags,
        )

    def _texts(
        self, inline: Mapping[str, str], attached: tuple[str, ...], whose: str
    ) -> Iterator[tuple[str, str | None]]:
        for name, text in inline.items():
            yield f"inline policy {name} of {whose}", text
        for arn in attached:
            yield f"policy {arn} of {whose}", self.managed.get(arn)


def _whose(who: IamUser | IamRole) -> str:
    return f"{'user' if isinstance(who, IamUser) else 'role'} {who.name}"


@lru_cache(maxsize=65_536)
def document(text: str | None, kind: PolicyKind, name: str) -> PolicyDocument:
    """A policy document, read once; ``None`` stands for one that was not read."""
    if text is None:
        return unread_document(kind, "the policy's document was not read", name=name)
    return read_policy(text, kind, name=name)


def canonical_document(found: str | Mapping[str, Any]) -> str:
    """A policy document as JSON text without superfluous space; the order of members is kept, as AWS keeps it."""
    value = json.loads(found) if isinstance(found, str) else found
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
