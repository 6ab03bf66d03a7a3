"""Do the parts of a manifest fit together: names that exist, groups without cycles, nothing twice, valid policies.

Everything here follows from the file alone. What depends on the world is :mod:`rolecall.plan.guards`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.documents import PolicyError, PolicyKind, parse_policy
from rolecall.iam.matching import matcher
from rolecall.manifest.explain_errors import nearest
from rolecall.manifest.schema import (
    CLUSTER_NAME,
    PRINCIPAL_NAME,
    Grant,
    Manifest,
    MappingBackend,
    Member,
    RoleSpec,
    State,
)
from rolecall.manifest.yaml_data import PathKey, Place, Problem
from rolecall.mapping.access_entries import AssociatedPolicy, EntryError, EntryType, ScopeType, check_policy
from rolecall.rbac.access_policies import ACCESS_POLICIES

WhereIs = Callable[[PathKey], Place]
# Small files can multiply: a pattern over all clusters in every grant, a group of everybody in every role.
MAX_MAPPINGS = 500_000
MAX_MEMBERSHIPS = 1_000_000


def check_references(manifest: Manifest, data: Mapping[str, Any], place: WhereIs) -> Iterator[Problem]:
    """Every mistake in how the parts of ``manifest`` refer to each other.

    :param data: the data as written, whose names count as known also where what they name is itself wrong.
    """
    return _all(_File(manifest, data, place))


def matching_clusters(manifest: Manifest, pattern: str) -> list[str]:
    """Names of the clusters that a name or a pattern with ``*`` and ``?`` means, in the order of the file."""
    if pattern in manifest.clusters:
        return [pattern]
    if not set("*?") & set(pattern):
        return []
    fits = matcher(pattern)
    return [name for name in manifest.clusters if fits(name)]


class _File:
    """A manifest and what its checks look up again and again.

    :ivar known: by section, the names that it has as written, in their order; ``sets`` is the same for look-ups.
    """

    def __init__(self, manifest: Manifest, data: Mapping[str, Any], place: WhereIs) -> None:
        self.manifest, self.place = manifest, place
        self.known = {
            section: list(found) if isinstance(found := data.get(section), Mapping) else []
            for section in ("accounts", "people", "groups", "roles", "clusters")
        }
        self.sets = {section: frozenset(names) for section, names in self.known.items()}
        self._matched: dict[str, list[str]] = {}

    def matching(self, pattern: str) -> list[str]:
        """Names of the clusters that a name or a pattern means."""
        if pattern not in self._matched:
            self._matched[pattern] = matching_clusters(self.manifest, pattern)
        return self._matched[pattern]


def _all(file: _File) -> Iterator[Problem]:
    yield from _accounts(file)
    yield from _people(file)
    yield from _groups(file)
    if (wide := _too_many_members(file)) is not None:
        yield wide
        return
    for name, role in file.manifest.roles.items():
        yield from _role(file, name, role)
    yield from _clusters(file)
    yield from _twice(file)
    mappings = 0
    for index, grant in enumerate(file.manifest.grants):
        clusters = [file.matching(pattern) for pattern in grant.clusters]
        mappings += sum(map(len, clusters)) + (len(file.manifest.clusters) if grant.cluster_selector else 0)
        if mappings > MAX_MAPPINGS:
            what = f"up to here the grants are more than {MAX_MAPPINGS:,} mappings"
            yield Problem(file.place(("grants", index)), what, "split the file")
            return
        yield from _grant(file, ("grants", index), grant, clusters)


def _unknown(file: _File, section: str, name: str, path: PathKey) -> Iterator[Problem]:
    if name not in file.sets[section]:
        what = f"there is no {name!r} in {section}"
        yield Problem(file.place(path), what, nearest(name, file.known[section]))


def _principal(file: _File, arn: str, path: PathKey, *kinds: PrincipalKind) -> Iterator[Problem]:
    try:
        found = PrincipalArn.parse(arn)
    except InvalidArnError as error:
        yield Problem(file.place(path), error.what, error.advice)
        return
    if found.kind is PrincipalKind.ASSUMED_ROLE:
        yield Problem(
            file.place(path),
            f"{arn} is a session, which ends; access is given to its role",
            f"write arn:{found.partition}:iam::{found.account}:role/{found.name}, with its path if it has one",
        )
    elif found.kind not in kinds:
        names = " or ".join(f"an IAM {kind.value}" for kind in kinds)
        yield Problem(file.place(path), f"{arn} is not {names}")


def _accounts(file: _File) -> Iterator[Problem]:
    for name, account in file.manifest.accounts.items():
        if account.role_arn is not None:
            path = ("accounts", name, "roleArn")
            wrong = [*_principal(file, account.role_arn, path, PrincipalKind.ROLE)]
            yield from wrong
            if not wrong and PrincipalArn.parse(account.role_arn).account != account.id:
                yield Problem(file.place(path), f"the role is not in account {account.id}")


def _people(file: _File) -> Iterator[Problem]:
    for name, person in file.manifest.people.items():
        if person.account is not None:
            yield from _unknown(file, "accounts", person.account, ("people", name, "account"))
        if person.arn is not None:
            path = ("people", name, "arn")
            yield from _principal(file, person.arn, path, PrincipalKind.USER, PrincipalKind.ROLE)
        if name in file.sets["groups"]:
            yield Problem(file.place(("people", name)), f"{name!r} is in people and in groups", "rename one of them")


def _groups(file: _File) -> Iterator[Problem]:
    groups = file.manifest.groups
    for name, members in groups.items():
        for index, member in enumerate(members):
            yield from _person_or_group(file, member, ("groups", name, index))
    done: set[str] = set()
    for name in groups:
        cycle = _cycle(groups, name, done)
        if cycle:
            what = f"the group {name!r} contains itself: {' > '.join(cycle)}"
            yield Problem(file.place(("groups", name)), what, "take one of them out of the other")
            return


def _person_or_group(file: _File, name: str, path: PathKey) -> Iterator[Problem]:
    if name not in file.sets["people"] and name not in file.sets["groups"]:
        known = [*file.known["people"], *file.known["groups"]]
        yield Problem(file.place(path), f"there is no {name!r} in people or groups", nearest(name, known))


def _too_many_members(file: _File) -> Problem | None:
    """Where roles come to more members than a file may have, each role's members counted before they are resolved.

    A member of two groups counts twice, so the count is never too low.
    """
    sizes: dict[str, int] = {}
    for group in _inner_first(file.manifest.groups):
        sizes[group] = sum(sizes.get(member, 1) for member in file.manifest.groups[group])
    total = 0
    for name, role in file.manifest.roles.items():
        for member in role.assumable_by or ():
            total += sizes.get(member if isinstance(member, str) else member.group or "", 1)
        if total > MAX_MEMBERSHIPS:
            what = f"up to here the roles have more than {MAX_MEMBERSHIPS:,} members"
            return Problem(file.place(("roles", name)), what, "split the file")
    return None


def _role(file: _File, name: str, role: RoleSpec) -> Iterator[Problem]:
    path = ("roles", name)
    if role.account is not None:
        yield from _unknown(file, "accounts", role.account, (*path, "account"))
        if role.name is None:
            yield from _name(file, name, PRINCIPAL_NAME, "IAM takes no such name of a role", path)
    if role.arn is not None:
        yield from _principal(file, role.arn, (*path, "arn"), PrincipalKind.ROLE)
    for index, member in enumerate(role.assumable_by or ()):
        here = (*path, "assumableBy", index)
        if isinstance(member, str):
            yield from _person_or_group(file, member, here)
        else:
            yield from _member(file, member, here)
    if role.conditions is not None:
        yield from _named_by_username(file, role, (*path, "conditions"))
    if role.trust_policy is not None:
        yield from _document(file, role.trust_policy, PolicyKind.TRUST, (*path, "trustPolicy"))
    for policy, document in (role.policies or {}).items():
        yield from _document(file, document, PolicyKind.IDENTITY, (*path, "policies", policy))


def _name(file: _File, name: str, pattern: str, what: str, path: PathKey) -> Iterator[Problem]:
    """A key that is also the name in AWS, which takes fewer (IAM user guide, "IAM and AWS STS quotas")."""
    if not re.fullmatch(pattern, name, re.ASCII):
        yield Problem(file.place(path), f"{what}: {name!r}", f"write name: beside it; it must match {pattern}")


def _member(file: _File, member: Member, path: PathKey) -> Iterator[Problem]:
    for section, found in (("people", member.person), ("groups", member.group), ("accounts", member.account)):
        if found is not None:
            yield from _unknown(file, section, found, (*path, section.rstrip("s") if section != "people" else "person"))


def _named_by_username(file: _File, role: RoleSpec, path: PathKey) -> Iterator[Problem]:
    conditions = role.conditions
    if conditions is None or (conditions.session_name is None and conditions.source_identity is None):
        return
    # IAM user guide, global condition keys: aws:username is there for IAM users alone.
    for person in sorted(_everybody(file, role)):
        found = file.manifest.people.get(person)
        if found is not None and found.state is State.present and not _is_user(found.user, found.arn):
            key = "sessionName" if conditions.session_name else "sourceIdentity"
            yield Problem(
                file.place((*path, key)),
                f"{person!r} is a role and has no aws:username, so this would keep it out",
                f"leave {key} out, or give it a role of its own",
            )
            return


def _everybody(file: _File, role: RoleSpec) -> set[str]:
    pending = [
        name
        for member in role.assumable_by or ()
        for name in ([member] if isinstance(member, str) else [member.person, member.group])
        if name is not None
    ]
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += file.manifest.groups.get(name, ())
    return seen & set(file.manifest.people)


def _document(file: _File, document: dict[str, Any], kind: PolicyKind, path: PathKey) -> Iterator[Problem]:
    try:
        parse_policy(json.dumps(document), kind)
    except PolicyError as error:
        place = file.place((*path, *_steps(error.json_path)))
        yield Problem(place, f"{error.what} ({error.json_path})")
    except (TypeError, ValueError, RecursionError):
        yield Problem(file.place(path), "this is not a JSON document")


def _clusters(file: _File) -> Iterator[Problem]:
    for name, cluster in file.manifest.clusters.items():
        yield from _unknown(file, "accounts", cluster.account, ("clusters", name, "account"))
        if cluster.name is None:
            yield from _name(file, name, CLUSTER_NAME, "EKS takes no such name of a cluster", ("clusters", name))
    first: dict[str, str] = {}
    for name, cluster in file.manifest.clusters.items():
        if cluster.context is not None and (other := first.setdefault(cluster.context, name)) != name:
            what = f"{name!r} and {other!r} are two clusters, and one context leads to one"
            yield Problem(file.place(("clusters", name, "context")), what, "see: kubectl config get-contexts")


def _twice(file: _File) -> Iterator[Problem]:
    """One thing of AWS under two names of the file: the second would undo the first."""
    m = file.manifest
    ids = {name: account.id for name, account in m.accounts.items()}
    named: dict[str, list[tuple[str, tuple[str, ...]]]] = {
        "accounts": [(name, (ident,)) for name, ident in ids.items()],
        "people": [
            (
                name,
                (ids.get(p.account or "", ""), p.user or p.permission_set or p.arn or "", *("s",) * (not p.user)),
            )
            for name, p in m.people.items()
        ],
        "roles": [(n, (ids.get(r.account or "", ""), r.arn or (r.name or n).lower())) for n, r in m.roles.items()],
        "clusters": [(n, (ids.get(c.account, ""), c.region, c.name or n)) for n, c in m.clusters.items()],
    }
    for section, keys in named.items():
        first: dict[tuple[str, ...], str] = {}
        for name, key in keys:
            other = first.setdefault(tuple(part.lower() for part in key), name)
            if other != name:
                what = f"{name!r} is the same as {other!r} at {file.place((section, other))}"
                yield Problem(file.place((section, name)), what, "keep one of them")


def _grant(file: _File, path: PathKey, grant: Grant, clusters: list[list[str]]) -> Iterator[Problem]:
    if grant.role is not None:
        yield from _unknown(file, "roles", grant.role, (*path, "role"))
    if grant.person is not None:
        yield from _unknown(file, "people", grant.person, (*path, "person"))
    found: list[str] = []
    for index, (pattern, matched) in enumerate(zip(grant.clusters, clusters, strict=True)):
        found += matched
        if not matched and pattern not in file.sets["clusters"]:
            what = (
                f"no cluster matches {pattern!r}" if set("*?") & set(pattern)
                else f"there is no {pattern!r} in clusters"
            )  # fmt: skip
            yield Problem(file.place((*path, "clusters", index)), what, nearest(pattern, file.known["clusters"]))
    yield from _policies(file, path, grant, found)
    if grant.bindings and not grant.groups and (grant.username is None or "{{" in grant.username):
        yield Problem(
            file.place((*path, "bindings")),
            "nobody to bind: the grant has no groups, and its username is not the same for everybody",
            "give groups",
        )
    if any("{{" in group for group in grant.groups) and grant.bindings:
        yield Problem(file.place((*path, "groups")), "a group that is a template cannot be bound", "bind a fixed group")
    if grant.type not in (None, EntryType.STANDARD) and (grant.username or grant.groups):
        what = f"EKS sets username and groups of entries of type {grant.type} itself"
        yield Problem(file.place((*path, "type")), what, "leave username and groups out")


def _policies(file: _File, path: PathKey, grant: Grant, clusters: Sequence[str]) -> Iterator[Problem]:
    for index, reference in enumerate(grant.access_policies):
        name = reference.policy.rpartition("/")[2]
        here = (*path, "accessPolicies", index)
        if name not in ACCESS_POLICIES:
            what = f"there is no access policy {name!r}"
            yield Problem(file.place((*here, "policy")), what, nearest(name, list(ACCESS_POLICIES), many=6))
            continue
        namespaces = tuple(reference.namespaces or ())
        scope = ScopeType.NAMESPACE if namespaces else ScopeType.CLUSTER
        arn = f"arn:aws:eks::aws:cluster-access-policy/{name}"
        try:
            check_policy(
                AssociatedPolicy(arn, scope, namespaces),
                grant.type or EntryType.STANDARD,
                frozenset(ACCESS_POLICIES),
            )
        except EntryError as error:
            yield Problem(file.place(here), error.what)
    backends = {grant.mapping or file.manifest.clusters[name].mapping for name in clusters}
    if grant.access_policies and backends & {MappingBackend.aws_auth, MappingBackend.crd}:
        what = "access policies belong to access entries, and the mapping here is written elsewhere"
        yield Problem(file.place((*path, "accessPolicies")), what, "write mapping: access-entries, or use groups")


def _is_user(user: str | None, arn: str | None) -> bool:
    return user is not None or (arn is not None and ":user/" in arn)


def _inner_first(groups: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Names of groups, each after those that it contains; those on a cycle in some order."""
    seen: set[str] = set()
    for start in groups:
        trail = [(start, iter(groups[start]))] if start not in seen else []
        seen.add(start)
        while trail:
            name, members = trail[-1]
            inner = next((one for one in members if one in groups and one not in seen), None)
            if inner is None:
                trail.pop()
                yield name
            else:
                seen.add(inner)
                trail.append((inner, iter(groups[inner])))


def _cycle(groups: Mapping[str, Sequence[str]], start: str, done: set[str]) -> list[str]:
    """The names on a cycle that is reached from ``start``, or none; without recursion, whatever the depth."""
    trail: list[tuple[str, Iterator[str]]] = [(start, iter(groups.get(start, ())))] if start not in done else []
    on_trail = {start}
    while trail:
        name, members = trail[-1]
        for member in members:
            if member in on_trail:
                names = [one for one, _ in trail]
                return [*names[names.index(member) :], member]
            if member in groups and member not in done:
                trail.append((member, iter(groups[member])))
                on_trail.add(member)
                break
        else:
            trail.pop()
            on_trail.discard(name)
            done.add(name)
    return []


_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]")


def _steps(json_path: str) -> PathKey:
    """``$.Statement[0].Action`` as a path."""
    return tuple(name or int(index) for name, index in _STEP.findall(json_path))
