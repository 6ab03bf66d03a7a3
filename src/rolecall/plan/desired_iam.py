"""What a manifest wants in IAM: users, roles, and the inline policies that rolecall owns on them.

What the file leaves open (a role's description, tags, path, longest session) stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rolecall.arn import Arn
from rolecall.iam.account import Account, IamUser
from rolecall.iam.assume_role import DEFAULT_DURATION
from rolecall.iam.matching import resource_matcher
from rolecall.iam.statements import action_fits
from rolecall.iam.trust_policy import VERSION, scalar_or_list, trust_policy
from rolecall.manifest.names import Named, Names
from rolecall.manifest.schema import RoleSpec
from rolecall.manifest.yaml_data import PathKey
from rolecall.plan.actual import ASSUME_POLICY, DESCRIBE_POLICY
from rolecall.plan.resources import Kind, ResourceId, Value

ASSUME = "sts:AssumeRole"
Wanted = tuple[ResourceId, Value, PathKey]


def principals(names: Names) -> Iterator[Wanted]:
    """The users and roles that the file owns, with their inline policies, each with the part of the file that wants it.

    Policies that let a role describe its clusters are wanted by grants: :func:`describe_policies`.
    """
    for name, who in names.people.items():
        if who.owned and not who.absent:
            yield _user(names, name, who)
    yield from _assume_policies(names)
    for key, who in names.roles.items():
        role = names.manifest.roles[key]
        if who.owned and not who.absent:
            yield _role(names, key, role, who)
            for policy, document in (role.policies or {}).items():
                resource = ResourceId(Kind.IAM_ROLE_POLICY, who.account, f"{who.principal.name}/{policy}")
                yield resource, {"document": document}, ("roles", key, "policies", policy)


def _user(names: Names, name: str, who: Named) -> Wanted:
    person, principal = names.manifest.people[name], who.principal
    account = names.world.accounts.get(who.account)
    there = account.users.get(principal.name) if account else None
    tags = person.tags if person.tags is not None else dict(there.tags) if there else {}
    resource = ResourceId(Kind.IAM_USER, who.account, principal.name)
    return resource, {"path": principal.path, "tags": dict(tags)}, ("people", name)


def _role(names: Names, key: str, role: RoleSpec, who: Named) -> Wanted:
    name = who.principal.name
    account = names.world.accounts.get(who.account)
    there = account.roles.get(name) if account else None
    if role.trust_policy is not None:
        trust = role.trust_policy
    else:
        trust = trust_policy(names.members(key), role.trust_conditions(), names.now)
    longest = role.max_session_duration or (
        DEFAULT_DURATION if role.break_glass or there is None else there.max_session_duration
    )
    value = {
        "path": who.principal.path,
        "description": role.description if role.description is not None else there.description if there else "",
        "maxSessionDuration": longest,
        "tags": dict(role.tags if role.tags is not None else there.tags if there else {}),
        "trust": trust,
    }
    return ResourceId(Kind.IAM_ROLE, who.account, name), value, ("roles", key)


def _assume_policies(names: Names) -> Iterator[Wanted]:
    """The right to assume roles of other accounts, for users that the file owns and that have it by nothing else.

    Across accounts both the trust policy and the caller's own policies must allow (IAM user guide, "Cross-account
    policy evaluation logic"); within one account the trust policy that names the user is enough.
    """
    roles_of: dict[str, dict[str, bool]] = {}
    for key, role in names.roles.items():
        if role.owned and not role.absent and names.manifest.roles[key].trust_policy is None:
            tagged = names.manifest.roles[key].trust_conditions().source_identity
            for member in names.members(key):
                if member.until is None or member.until > names.now:
                    roles_of.setdefault(member.arn, {})[role.arn] = tagged
    for name, who in names.people.items():
        if not who.owned or who.absent or not names.manifest.people[name].assume_roles:
            continue
        account = names.world.accounts.get(who.account)
        user = account.users.get(who.principal.name) if account else None
        wanted = {
            arn: tagged
            for arn, tagged in roles_of.get(who.arn, {}).items()
            if Arn.parse(arn).account != who.account and not (account and user and has_already(account, user, arn))
        }
        if wanted:
            resource = ResourceId(Kind.IAM_USER_POLICY, who.account, f"{who.principal.name}/{ASSUME_POLICY}")
            yield resource, {"document": assume_document(wanted)}, ("people", name)


def has_already(account: Account, user: IamUser, role: str) -> bool:
    """Whether another policy of the user allows it to assume a role, if only under conditions."""
    others = {name: text for name, text in user.inline.items() if name != ASSUME_POLICY}
    return any(
        statement.allows
        and action_fits(statement, ASSUME.lower())
        and any(resource_matcher(pattern)(role) for pattern in statement.resources)
        for document in account.policies(replace(user, inline=others)).identity
        for statement in document.statements
    )


def assume_document(roles: Mapping[str, bool]) -> dict[str, Any]:
    """The policy that lets a user assume roles of other accounts.

    :param roles: by ARN, whether the role's trust policy asks for a source identity, which is set by an action of its
        own.
    """
    statements = []
    for tagged in sorted(set(roles.values())):
        action = [ASSUME, "sts:SetSourceIdentity"] if tagged else ASSUME
        arns = sorted(arn for arn, one in roles.items() if one is tagged)
        statements.append({"Effect": "Allow", "Action": action, "Resource": scalar_or_list(arns)})
    return {"Version": VERSION, "Statement": statements}


def describe_policies(names: Names, described: Mapping[str, Mapping[str, None]]) -> Iterator[Wanted]:
    """The right to describe clusters, for roles that the file owns.

    EKS answers DescribeCluster to principals of the cluster's own account alone.

    :param described: by key of a role, the ARNs of its clusters.
    """
    for key, clusters in described.items():
        role, who = names.manifest.roles[key], names.roles[key]
        own = [arn for arn in clusters if Arn.parse(arn).account == who.account]
        if who.owned and role.describe_clusters and own:
            resource = ResourceId(Kind.IAM_ROLE_POLICY, who.account, f"{who.principal.name}/{DESCRIBE_POLICY}")
            yield resource, {"document": describe_document(own)}, ("roles", key)


def describe_document(clusters: list[str]) -> dict[str, Any]:
    """The policy that lets a role describe clusters, which ``aws eks update-kubeconfig`` asks for."""
    statement = {"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": scalar_or_list(sorted(clusters))}
    return {"Version": VERSION, "Statement": [statement]}
