"""Which roles hang together: through one that is assumed, another may be reached."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rolecall.arn import PrincipalArn
from rolecall.errors import InvalidArnError
from rolecall.plan.resources import BINDING_KINDS, MAPPING_KINDS, POLICY_KINDS, Change, Kind, ResourceId, Value

_ACCOUNT = re.compile(r"(?:arn:[a-z-]+:iam::)?([0-9]{12})(?::root)?", re.ASCII)
# What a binding is of and a mapping gives: ``Group`` or ``User``, and a name.
Subject = tuple[str, str]
# The group that a cluster gives to every mapped principal by itself.
EVERYBODY: Subject = ("Group", "system:authenticated")
# In place of a name that only a session fills in: it may become any.
TEMPLATE = "{{}}"
# The key of ``*`` in a trust policy, which is no single principal.
EVERYONE = "*"


def principal_key(arn: str) -> str:
    """A user or role by account, kind and name, in lower case: a mapping names it without its path, a trust policy
    with it."""
    try:
        found = PrincipalArn.parse(arn)
    except InvalidArnError:
        return arn.lower()
    kind = "role" if found.kind.value == "assumed-role" else found.kind.value
    return f"{found.account}/{kind}/{found.name}".lower()


@dataclass(slots=True)
class Links:
    """Groups of linked principals, each known by one of its members."""

    _parent: dict[str, str] = field(default_factory=dict)
    _mapped: dict[tuple[str, str], dict[Subject, None]] = field(default_factory=dict)

    @classmethod
    def between(cls, changes: Iterable[Change], actual: Mapping[ResourceId, Value]) -> Links:
        """The links that trust policies make, in the values before, after and as they are."""
        links = cls()
        values: list[tuple[ResourceId, Value | None]] = list(actual.items())
        for change in changes:
            values += [(change.resource, change.before), (change.resource, change.after)]
        for resource, value in values:
            if resource.kind in MAPPING_KINDS and value is not None:
                known = links._mapped.setdefault((mapped_principal(resource, value), resource.place), {})
                known.update(dict.fromkeys(names_of(value)))
            if resource.kind is Kind.IAM_ROLE and value is not None:
                role = f"{resource.place}/role/{resource.name}".lower()
                for named in principals_of(value["trust"]):
                    if "/role/" in named or named.isdigit() or named == EVERYONE:
                        links._join(role, named)
        links._join_accounts()
        return links

    def group_of(self, change: Change) -> str:
        """The group of the principal that a change is about; bindings are about none, and linked by their cluster."""
        kind, resource = change.resource.kind, change.resource
        if kind in BINDING_KINDS:
            return f"{resource.place} bindings"
        if kind in MAPPING_KINDS:
            return self._root(mapped_principal(resource, change.after or change.before))
        return self._root(owner_key(resource))

    def subjects_of(self, principal: str, cluster: str) -> Collection[Subject]:
        """What a principal's mappings on a cluster give, before, after or both."""
        return self._mapped.get((principal, cluster), {}).keys()

    def groups_by_subject(self) -> dict[tuple[str, Subject], set[str]]:
        """By cluster and subject, the linked groups of which some principal is mapped so there, before or after.

        Every one that is mapped on a cluster at all is found by :data:`EVERYBODY`.
        """
        found: dict[tuple[str, Subject], set[str]] = {}
        for (principal, cluster), subjects in self._mapped.items():
            group = self._root(principal)
            for subject in (*subjects, EVERYBODY):
                found.setdefault((cluster, subject), set()).add(group)
        return found

    def _join_accounts(self) -> None:
        """An account that is trusted as a whole links all that is in it; everyone links all."""
        for key in list(self._parent):
            for whole in (key.partition("/")[0], EVERYONE):
                if whole in self._parent:
                    self._join(key, whole)

    def _root(self, key: str) -> str:
        for one in (key, key.partition("/")[0], EVERYONE):
            if one in self._parent:
                while self._parent[one] != one:
                    one = self._parent[one]
                return one
        return key

    def _join(self, one: str, two: str) -> None:
        for key in (one, two):
            self._parent.setdefault(key, key)
        self._parent[self._root(one)] = self._root(two)


def principal_of(change: Change) -> str:
    """The key of the user or role that a change is of; empty for other kinds."""
    resource = change.resource
    if resource.kind not in (Kind.IAM_USER, Kind.IAM_ROLE):
        return ""
    return f"{resource.place}/{'user' if resource.kind is Kind.IAM_USER else 'role'}/{resource.name}".lower()


def named_in(value: Value | None, resource: ResourceId) -> Iterator[str]:
    """Keys of the principals that a value of a resource is about: those it trusts, maps or belongs to."""
    if value is None:
        return
    if resource.kind is Kind.IAM_ROLE:
        yield from principals_of(value["trust"])
    elif resource.kind in POLICY_KINDS:
        yield owner_key(resource)
    elif resource.kind in MAPPING_KINDS:
        yield mapped_principal(resource, value)


def mapped_principal(resource: ResourceId, value: Value | None) -> str:
    """The key of the principal that a mapping is of: an access entry is named by it, other mappings say it."""
    return principal_key(str((value or {}).get("arn") or resource.name))


def names_of(value: Value | None) -> Iterator[Subject]:
    """The groups and the username that a mapping gives, a template as :data:`TEMPLATE`."""
    if value is None:
        return
    for kind, name in (*(("Group", group) for group in value["groups"]), ("User", str(value["username"]))):
        yield kind, TEMPLATE if "{{" in name else name


def principals_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Keys of the AWS principals that a trust policy names: :func:`principal_key`, an account id, or ``*``."""
    statements = document.get("Statement") or []
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        named = statement.get("Principal")
        found = named.get("AWS", ()) if isinstance(named, Mapping) else (named or ())
        for arn in [found] if isinstance(found, str) else found:
            account = _ACCOUNT.fullmatch(arn)
            yield account[1] if account else principal_key(arn)


def owner_key(resource: ResourceId) -> str:
    """The key of the user or role that a resource of IAM is, or is inside of."""
    kind = "user" if resource.kind in (Kind.IAM_USER, Kind.IAM_USER_POLICY) else "role"
    return f"{resource.place}/{kind}/{resource.name.partition('/')[0]}".lower()
