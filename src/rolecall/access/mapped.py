"""Whom a cluster maps, to which Kubernetes user, and what that user may do: one cluster at a time.

The rules are those of :func:`rolecall.mapping.resolve.resolve`; what is added is which principals it is asked about.
What a session brings along is not known here, so it stands as its placeholder: ``admin:{{SessionName}}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from rolecall.access.principals import GONE
from rolecall.access.world import ClusterState
from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.account import Account, IamRole, IamUser
from rolecall.iam.matching import matcher
from rolecall.mapping.access_entries import AccessEntry, ScopeType
from rolecall.mapping.reading.aws_auth import AwsAuth, parse_aws_auth
from rolecall.mapping.resolve import Mappings, resolve
from rolecall.model import Identity
from rolecall.rbac.access_policies import ACCESS_POLICIES
from rolecall.rbac.rules import MASTERS, Binding, PolicyRule

SESSION, KEY, DNS_NAME = "{{SessionName}}", "{{AccessKeyID}}", "{{EC2PrivateDNSName}}"
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")
# Stands for the id of an instance, which a node's session is named after (AWS: i- and 17 hexadecimal digits).
_INSTANCE = "i-00000000000000000"


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One source of what a user may do in a cluster.

    :param text: such as ``ClusterRole view in namespace dev`` or ``AmazonEKSViewPolicy in dev-*``.
    :param by: what gives it: a group, a binding, an access entry.
    :param admin: whether it allows everything everywhere in the cluster.
    """

    text: str
    by: str
    admin: bool = False


@dataclass(frozen=True, slots=True)
class MappedUser:
    """Who a principal is in a cluster.

    :param username: rendered, with placeholders for what only a session knows.
    :param source: the entry or line that says so.
    """

    username: str
    groups: tuple[str, ...]
    source: str = field(compare=False)
    permissions: tuple[Permission, ...] = ()

    @property
    def admin(self) -> bool:
        return any(permission.admin for permission in self.permissions)


class PrincipalDirectory:
    """Users and roles by what clusters know them by: ids, and ARNs in lower case, of roles without their paths."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self.accounts = accounts
        self.by_arn: dict[str, Identity] = {}
        self.by_id: dict[str, Identity] = {}
        self.arn_of: dict[str, str] = {}
        self.of_account: dict[str, list[Identity]] = {}
        for account in accounts.values():
            for who in account.principals():
                self._add(account, who)

    def _add(self, account: Account, who: IamUser | IamRole) -> None:
        principal = account.principal(who)
        session = SESSION if isinstance(who, IamRole) else ""
        # STS leaves a role's path out of a session's ARN, so a cluster never sees it.
        canonical = f"arn:{account.partition}:iam::{account.id}:role/{who.name}" if session else who.arn
        identity = Identity(principal.arn, canonical, account.id, principal.principal_id, session, KEY)
        self.by_arn[canonical.lower()] = self.by_id[identity.user_id] = identity
        self.arn_of[identity.user_id] = who.arn
        self.of_account.setdefault(account.id, []).append(identity)


@lru_cache(maxsize=4_096)
def _parsed(data: tuple[tuple[str, str], ...]) -> AwsAuth:
    return parse_aws_auth(dict(data))


def mappings_of(state: ClusterState) -> Mappings:
    """What the rules of mapping need of a cluster. Entries without a known id are of accounts that were not read."""
    entries = {_entry_id(entry): entry for entry in state.entries if entry.principal_id != GONE}
    aws_auth = _parsed(tuple(sorted(state.aws_auth.items()))) if state.aws_auth else None
    return Mappings(state.mode, entries, aws_auth, state.identity_mappings, state.creator)


def mapped_users(state: ClusterState, directory: PrincipalDirectory) -> dict[str, MappedUser]:
    """By ARN with its path, every principal that the cluster maps, of accounts that were read or not."""
    mappings = mappings_of(state)
    permissions = _Permissions(state)
    found: dict[str, MappedUser] = {}
    for arn, identity in _asked(mappings, directory):
        decision = resolve(identity, mappings)
        if decision.user is None and decision.reasons[0].code == "template":
            # A node: only a session that is named after an instance is let in, under the instance's name.
            node = Identity(identity.arn, identity.canonical_arn, identity.account, identity.user_id, _INSTANCE, KEY)
            decision = resolve(node, mappings, ec2_private_dns_name=DNS_NAME)
        if decision.user is None:
            continue
        user, source = decision.user, decision.reasons[0].source
        entry = (mappings.entries or {}).get(identity.user_id) if state.mode.reads_entries else None
        found[arn] = MappedUser(
            user.username, user.groups, source, tuple(permissions.of(user.username, user.groups, entry))
        )
    return found


def _asked(mappings: Mappings, directory: PrincipalDirectory) -> Iterator[tuple[str, Identity]]:
    """The principals that a mapping could be about, each with its ARN, once."""
    asked: dict[str, Identity] = {}
    for ident, entry in (mappings.entries or {}).items():
        known = directory.by_id.get(ident)
        asked.setdefault(*_known(known, directory) if known else _unread(entry.principal_arn, ident))
    arns = [mapping.canonical_arn for mapping in mappings.identity_mappings]
    if mappings.creator:
        arns.append(mappings.creator)
    if mappings.aws_auth:
        arns += (e.arn for e in (*mappings.aws_auth.roles.values(), *mappings.aws_auth.users.values()))
        for account in mappings.aws_auth.accounts:
            asked |= (_known(identity, directory) for identity in directory.of_account.get(account, ()))
    for arn in arns:
        identity = directory.by_arn.get(arn.lower())
        if identity is not None:
            asked.setdefault(*_known(identity, directory))
        elif (account := _account_of(arn)) and account not in directory.accounts:
            # Nobody can be something that is not an ARN.
            asked.setdefault(*_unread(arn, f"unread:{arn.lower()}"))
    yield from asked.items()


def _known(identity: Identity, directory: PrincipalDirectory) -> tuple[str, Identity]:
    return directory.arn_of[identity.user_id], identity


def _unread(arn: str, ident: str) -> tuple[str, Identity]:
    """A principal of an account that was not read; whether there is such a one is not known."""
    session = SESSION if ":role/" in arn.lower() else ""
    return arn, Identity(arn, arn, _account_of(arn), ident, session, KEY)


def _account_of(arn: str) -> str:
    try:
        return PrincipalArn.parse(arn).account
    except InvalidArnError:
        return ""


def _entry_id(entry: AccessEntry) -> str:
    return entry.principal_id or f"unread:{entry.principal_arn.lower()}"


class _Permissions:
    """What the users of one cluster may do, as a list of where they have it from."""

    def __init__(self, state: ClusterState) -> None:
        self._roles = state.roles
        self._groups: dict[str, list[Binding]] = {}
        self._users: dict[str, list[Binding]] = {}
        for binding in state.bindings:
            for kind, name in dict.fromkeys(subject.user_or_group for subject in binding.subjects):
                (self._groups if kind == "Group" else self._users).setdefault(name, []).append(binding)

    def of(self, username: str, groups: Iterable[str], entry: AccessEntry | None) -> list[Permission]:
        """Sorted; what everybody has who is authenticated is left out."""
        found: set[Permission] = set()
        for group in groups:
            if group == MASTERS:
                found.add(Permission("everything", f"group {MASTERS}", admin=True))
            found |= {self._bound(binding, f"group {group}") for binding in self._groups.get(group, ())}
        for name in self._names(username):
            by = f"user {name}" if name == username else f"user {name}, a session of that name"
            found |= {self._bound(binding, by) for binding in self._users[name]}
        for policy in entry.policies if entry is not None else ():
            everywhere = policy.scope is ScopeType.CLUSTER
            where = "" if everywhere else f" in {', '.join(policy.namespaces)}"
            admin = everywhere and _is_everything(ACCESS_POLICIES.get(policy.name, ()))
            found.add(Permission(f"{policy.name}{where}", "access policy", admin))
        return sorted(found)

    def _names(self, username: str) -> Iterator[str]:
        """Users of bindings that a username is, or that it becomes with some session."""
        if not _PLACEHOLDER.search(username):
            if username in self._users:
                yield username
            return
        pattern = _PLACEHOLDER.sub("*", username.replace("*", "?"))
        yield from (name for name in self._users if matcher(pattern)(name))

    def _bound(self, binding: Binding, by: str) -> Permission:
        where = f" in namespace {binding.namespace}" if binding.namespace else ""
        kind = "RoleBinding" if binding.namespace else "ClusterRoleBinding"
        key = ("" if binding.role_kind == "ClusterRole" else binding.namespace, binding.role_name)
        rules = self._roles.get(key, ())
        text = f"{binding.role_kind} {binding.role_name}{where}"
        admin = not binding.namespace and _is_everything(rules)
        return Permission(text, f"{kind} {binding.name} to {by}", admin)


@lru_cache(maxsize=4_096)
def _is_everything(rules: tuple[PolicyRule, ...]) -> bool:
    return any(
        "*" in rule.verbs and "*" in rule.api_groups and "*" in rule.resources and not rule.resource_names
        for rule in rules
    )


def is_user(arn: str) -> bool:
    """Whether an ARN names an IAM user."""
    try:
        return PrincipalArn.parse(arn).kind is PrincipalKind.USER
    except InvalidArnError:
        return False
