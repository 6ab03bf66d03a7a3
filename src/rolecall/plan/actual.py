"""What a world holds of the resources that a manifest speaks about: by identifier, as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rolecall.access.mapped import mappings_of
from rolecall.access.world import ClusterState, World
from rolecall.iam.account import IamRole, IamUser
from rolecall.manifest.names import Names, Unresolved
from rolecall.mapping.access_entries import AccessEntry
from rolecall.mapping.reading.aws_auth import AwsAuth, AwsAuthEntry, parse_aws_auth
from rolecall.plan.links import principal_key
from rolecall.plan.resources import Kind, ResourceId, Value
from rolecall.rbac.rules import Binding

_NO_AWS_AUTH = parse_aws_auth({})
# The inline policy that lets a role describe its clusters.
DESCRIBE_POLICY = "rolecall-describe-clusters"
# The inline policy that lets a user assume roles of other accounts.
ASSUME_POLICY = "rolecall-assume-roles"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a manifest speaks about.

    :param users: ``(account, name)`` of the users that it owns.
    :param assuming: those of them whose right to assume roles it owns too.
    :param roles: the same of roles.
    :param whole_policies: roles of which it names every inline policy.
    :param policies: ``(account, role, policy)``: single inline policies that it may have made.
    :param principals: lower-case ARNs, without the path of a role, whose mappings are exactly the grants.
    :param keys: the same principals as :func:`~rolecall.plan.links.principal_key` names them.
    :param clusters: ARNs of its clusters.
    :param whole_clusters: those of them on which nobody else is mapped.
    :param doubtful: names of which it is not known whom they stand for: mappings that may be theirs are left alone.
    """

    users: frozenset[tuple[str, str]] = frozenset()
    assuming: frozenset[tuple[str, str]] = frozenset()
    roles: frozenset[tuple[str, str]] = frozenset()
    whole_policies: frozenset[tuple[str, str]] = frozenset()
    policies: frozenset[tuple[str, str, str]] = frozenset()
    principals: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    clusters: tuple[str, ...] = ()
    whole_clusters: frozenset[str] = frozenset()
    doubtful: tuple[Unresolved, ...] = ()


def scope_of(names: Names) -> Scope:
    """What the manifest behind ``names`` speaks about."""
    manifest = names.manifest
    people, roles = [*names.people.values()], names.roles
    owned = {(who.account, who.principal.name): manifest.roles[key] for key, who in roles.items() if who.owned}
    named = [*people, *roles.values()]
    return Scope(
        users=frozenset((who.account, who.principal.name) for who in people if who.owned),
        assuming=frozenset(
            (who.account, who.principal.name)
            for name, who in names.people.items()
            if who.owned and manifest.people[name].assume_roles
        ),
        roles=frozenset(owned),
        # A role that goes takes its inline policies with it.
        whole_policies=frozenset(k for k, r in owned.items() if r.policies is not None or r.state.value == "absent"),
        policies=frozenset((*key, DESCRIBE_POLICY) for key in owned),
        principals=frozenset(who.matched_arn.lower() for who in named),
        keys=frozenset(principal_key(who.arn) for who in named),
        clusters=tuple(names.clusters.values()),
        whole_clusters=frozenset(
            arn for name, arn in names.clusters.items() if manifest.clusters[name].unlisted == "remove"
        ),
        doubtful=tuple(one for one in names.unresolved if one.prefix),
    )


def actual(world: World, scope: Scope) -> dict[ResourceId, Value]:
    """The resources of ``world`` that ``scope`` is about."""
    found: dict[ResourceId, Value] = {}
    for account, name in scope.users:
        if (known := world.accounts.get(account)) and (user := known.users.get(name)):
            found[ResourceId(Kind.IAM_USER, account, name)] = user_value(user)
            if (account, name) in scope.assuming and (text := user.inline.get(ASSUME_POLICY)) is not None:
                resource = ResourceId(Kind.IAM_USER_POLICY, account, f"{name}/{ASSUME_POLICY}")
                found[resource] = {"document": json.loads(text)}
    for account, name in scope.roles:
        if not ((known := world.accounts.get(account)) and (role := known.roles.get(name))):
            continue
        found[ResourceId(Kind.IAM_ROLE, account, name)] = role_value(role)
        for policy, text in role.inline.items():
            if (account, name) in scope.whole_policies or (account, name, policy) in scope.policies:
                resource = ResourceId(Kind.IAM_ROLE_POLICY, account, f"{name}/{policy}")
                found[resource] = {"document": json.loads(text)}
    for arn in scope.clusters:
        if (state := world.clusters.get(arn)) is not None:
            there = mappings(state, scope, everybody=arn in scope.whole_clusters)
            found |= {resource: value for resource, value in there.items() if not _is_doubtful(scope, resource, value)}
            found |= managed_bindings(state)
    return found


def _is_doubtful(scope: Scope, resource: ResourceId, value: Value) -> bool:
    return any(one.may_be(str(value.get("arn") or resource.name)) for one in scope.doubtful)


def linking(world: World) -> dict[ResourceId, Value]:
    """Every role and every mapping of ``world``: through them a change may reach what it does not name."""
    found: dict[ResourceId, Value] = {
        ResourceId(Kind.IAM_ROLE, account.id, role.name): role_value(role)
        for account in world.accounts.values()
        for role in account.roles.values()
    }
    for state in world.clusters.values():
        found |= mappings(state, Scope(), everybody=True)
    return found


def user_value(user: IamUser) -> Value:
    return {"path": user.path, "tags": dict(user.tags)}


def role_value(role: IamRole) -> Value:
    return {
        "path": role.path,
        "description": role.description,
        "maxSessionDuration": role.max_session_duration,
        "tags": dict(role.tags),
        "trust": json.loads(role.trust),
    }


def mappings(state: ClusterState, scope: Scope, *, everybody: bool) -> dict[ResourceId, Value]:
    """The mappings of the scope's principals on a cluster, of every kind; of everybody where that is asked for.

    Of several entries for one ARN in aws-auth the last is the one in force. An entry that can match nobody (a role's
    ARN with a path, no ARN at all) is nobody's mapping, and so counts only where everybody's do.
    """
    found: dict[ResourceId, Value] = {}
    read = aws_auth_of(state)
    for kind, entries in ((Kind.AWS_AUTH_ROLE, read.roles), (Kind.AWS_AUTH_USER, read.users)):
        for arn, entry in entries.items():
            if everybody or arn in scope.principals:
                found[ResourceId(kind, state.arn, arn)] = aws_auth_value(entry)
    for one in state.entries:
        if everybody or principal_key(one.principal_arn) in scope.keys:
            found[ResourceId(Kind.ACCESS_ENTRY, state.arn, one.principal_arn)] = entry_value(one)
    for mapping in state.identity_mappings:
        if everybody or mapping.canonical_arn in scope.principals:
            arn = mapping.arn or mapping.canonical_arn
            value = {"arn": arn, "username": mapping.username, "groups": list(mapping.groups)}
            found[ResourceId(Kind.IDENTITY_MAPPING, state.arn, mapping.name)] = value
    return found


def aws_auth_value(entry: AwsAuthEntry) -> Value:
    return {"arn": entry.arn, "username": entry.username, "groups": list(entry.groups)}


def entry_value(entry: AccessEntry) -> Value:
    policies = [
        {"policyArn": p.policy_arn, "scope": p.scope.value, "namespaces": sorted(p.namespaces)} for p in entry.policies
    ]
    return {
        "type": entry.type.value,
        "username": entry.username,
        "groups": list(entry.groups),
        "policies": sorted(policies, key=lambda policy: str(policy["policyArn"])),
    }


def managed_bindings(state: ClusterState) -> dict[ResourceId, Value]:
    """The bindings that carry rolecall's label."""
    return dict(_bindings(state, only_managed=True))


def all_bindings(state: ClusterState) -> dict[ResourceId, Value]:
    """Every binding of a cluster."""
    return dict(_bindings(state, only_managed=False))


def _bindings(state: ClusterState, *, only_managed: bool) -> Iterator[tuple[ResourceId, Value]]:
    for binding in state.bindings:
        if not only_managed or (binding.namespace, binding.name) in state.managed_bindings:
            yield binding_resource(state.arn, binding), binding_value(binding)


def binding_resource(cluster: str, binding: Binding) -> ResourceId:
    if binding.namespace:
        return ResourceId(Kind.ROLE_BINDING, cluster, f"{binding.namespace}/{binding.name}")
    return ResourceId(Kind.CLUSTER_ROLE_BINDING, cluster, binding.name)


def binding_value(binding: Binding) -> Value:
    subjects: list[dict[str, Any]] = [
        {"kind": s.kind, "name": s.name, **({"namespace": s.namespace} if s.namespace else {})}
        for s in binding.subjects
    ]
    return {"roleRef": {"kind": binding.role_kind, "name": binding.role_name}, "subjects": subjects}


def aws_auth_of(state: ClusterState) -> AwsAuth:
    """A cluster's aws-auth as the authenticator reads it."""
    return mappings_of(state).aws_auth or _NO_AWS_AUTH
