"""The world as it would be after changes: what plans show the effect of, and what tests compare real runs with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rolecall.access.principals import entry_principal_id
from rolecall.access.world import ClusterState, World
from rolecall.iam.account import Account, IamRole, IamUser, canonical_document
from rolecall.mapping.access_entries import AccessEntry, AssociatedPolicy, EntryType, ScopeType
from rolecall.mapping.editing.aws_auth_text import remove_entry, set_entry
from rolecall.mapping.identity_mappings import IdentityMapping, status_of
from rolecall.plan.resources import BINDING_KINDS, IAM_KINDS, Change, Kind, Value
from rolecall.rbac.rules import Binding, Subject

_SECTION = {Kind.AWS_AUTH_ROLE: "mapRoles", Kind.AWS_AUTH_USER: "mapUsers"}


def with_changes(world: World, changes: Iterable[Change]) -> World:
    """``world`` after ``changes``, made in their order, whatever was there before.

    What is made new has no unique id yet. A change in an account or a cluster that was not read is left out.

    :raises YamlTextError: where an aws-auth cannot be changed by one entry alone.
    """
    by_place: dict[str, list[Change]] = {}
    for change in changes:
        by_place.setdefault(change.resource.place, []).append(change)
    accounts, clusters = dict(world.accounts), dict(world.clusters)
    for place, found in by_place.items():
        if place in accounts:
            accounts[place] = _account(accounts[place], [c for c in found if c.resource.kind in IAM_KINDS])
    after = replace(world, accounts=accounts)
    for place, found in by_place.items():
        if place in clusters:
            clusters[place] = _cluster(clusters[place], found, after)
    return replace(after, clusters=clusters)


def _account(account: Account, changes: Sequence[Change]) -> Account:
    users, roles = dict(account.users), dict(account.roles)
    for change in changes:
        resource, value = change.resource, change.after
        if resource.kind is Kind.IAM_USER:
            _put(users, resource.name, None if value is None else _user(account, users, resource.name, value))
        elif resource.kind is Kind.IAM_ROLE:
            _put(roles, resource.name, None if value is None else _role(account, roles, resource.name, value))
        else:
            name, _, policy = resource.name.partition("/")
            document = None if value is None else canonical_document(value["document"])
            if resource.kind is Kind.IAM_USER_POLICY and name in users:
                users[name] = replace(users[name], inline=_with(users[name].inline, policy, document))
            elif resource.kind is Kind.IAM_ROLE_POLICY and name in roles:
                roles[name] = replace(roles[name], inline=_with(roles[name].inline, policy, document))
    return replace(account, users=users, roles=roles)


def _with(inline: Mapping[str, str], policy: str, document: str | None) -> dict[str, str]:
    found = dict(inline)
    _put(found, policy, document)
    return found


def _put(found: dict[Any, Any], key: Any, value: Any) -> None:
    if value is None:
        found.pop(key, None)
    else:
        found[key] = value


def _user(account: Account, users: Mapping[str, IamUser], name: str, value: Value) -> IamUser:
    arn = f"arn:{account.partition}:iam::{account.id}:user{value['path']}{name}"
    known = users.get(name) or IamUser(name, arn)
    return replace(known, arn=arn, path=value["path"], tags=dict(value["tags"]))


def _role(account: Account, roles: Mapping[str, IamRole], name: str, value: Value) -> IamRole:
    arn = f"arn:{account.partition}:iam::{account.id}:role{value['path']}{name}"
    known = roles.get(name) or IamRole(name, arn, "")
    return replace(
        known,
        arn=arn,
        trust=canonical_document(value["trust"]),
        path=value["path"],
        description=value["description"],
        max_session_duration=value["maxSessionDuration"],
        tags=dict(value["tags"]),
    )


def _cluster(state: ClusterState, changes: Sequence[Change], world: World) -> ClusterState:
    data = state.aws_auth
    entries = {entry.principal_arn: entry for entry in state.entries}
    objects = {mapping.name: mapping for mapping in state.identity_mappings}
    bindings = {(binding.namespace, binding.name): binding for binding in state.bindings}
    managed = set(state.managed_bindings)
    for change in changes:
        kind, name, value = change.resource.kind, change.resource.name, change.after
        if kind in _SECTION:
            data = _aws_auth(data or {}, _SECTION[kind], name, value)
        elif kind is Kind.ACCESS_ENTRY:
            _put(entries, name, None if value is None else _entry(name, value, entries.get(name), world))
        elif kind is Kind.IDENTITY_MAPPING:
            _put(objects, name, None if value is None else _object(name, value))
        elif kind in BINDING_KINDS:
            key = _binding_key(kind, name)
            _put(bindings, key, None if value is None else _binding(key, value))
            (managed.discard if value is None else managed.add)(key)
    return replace(
        state,
        aws_auth=data,
        entries=tuple(entries.values()),
        identity_mappings=tuple(objects.values()),
        bindings=tuple(bindings.values()),
        managed_bindings=frozenset(managed),
    )


def _aws_auth(data: Mapping[str, str], section: str, arn: str, value: Value | None) -> Mapping[str, str]:
    if value is None:
        return remove_entry(data, section, arn)[0]
    return set_entry(data, section, value["arn"], value["username"], value["groups"])


def _entry(arn: str, value: Value, known: AccessEntry | None, world: World) -> AccessEntry:
    policies = tuple(
        AssociatedPolicy(p["policyArn"], ScopeType(p["scope"]), tuple(p["namespaces"])) for p in value["policies"]
    )
    # A changed entry stays bound to the principal that it was made for.
    ident = known.principal_id if known else entry_principal_id(world.accounts, arn)
    return AccessEntry(arn, ident, EntryType(value["type"]), value["username"], tuple(value["groups"]), policies)


def _object(name: str, value: Value) -> IdentityMapping:
    status = status_of(value["arn"])
    canonical = status["canonicalARN"] if status else value["arn"].lower()
    return IdentityMapping(name, canonical, value["username"], tuple(value["groups"]), value["arn"])


def _binding_key(kind: Kind, name: str) -> tuple[str, str]:
    if kind is Kind.CLUSTER_ROLE_BINDING:
        return "", name
    namespace, _, rest = name.partition("/")
    return namespace, rest


def _binding(key: tuple[str, str], value: Value) -> Binding:
    namespace, name = key
    subjects = tuple(Subject(s["kind"], s["name"], s.get("namespace", "")) for s in value["subjects"])
    return Binding(name, namespace, value["roleRef"]["kind"], value["roleRef"]["name"], subjects)
