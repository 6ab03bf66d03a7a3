"""What a manifest wants the world to hold: every resource that it owns, by identifier, as a plain value.

What the file leaves open (a role's description, tags, path, longest session) stays as it is in the world.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rolecall.access.world import ClusterState, World
from rolecall.arn import Arn, PrincipalArn, PrincipalKind
from rolecall.manifest.load import Loaded
from rolecall.manifest.names import Named, Names
from rolecall.manifest.schema import Grant, MappingBackend
from rolecall.manifest.yaml_data import PathKey
from rolecall.mapping.access_entries import EntryType, default_groups, default_username
from rolecall.plan.actual import aws_auth_of
from rolecall.plan.desired_iam import describe_policies, principals
from rolecall.plan.resources import Kind, ResourceId, Value

NODE_USERNAME = "system:node:{{EC2PrivateDNSName}}"
NODE_GROUPS = ("system:bootstrappers", "system:nodes")
BINDING_PREFIX = "rolecall:"


@dataclass(frozen=True, slots=True)
class Desired:
    """The wanted resources.

    :param sources: the part of the file that wants each.
    """

    values: Mapping[ResourceId, Value]
    sources: Mapping[ResourceId, PathKey]


@dataclass(slots=True)
class _Mapping:
    """What the grants of one principal on one cluster add up to."""

    source: PathKey
    who: Named
    type: EntryType
    username: str
    groups: dict[str, None] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)


def desired(loaded: Loaded, world: World, now: datetime, names: Names | None = None) -> Desired:
    """The resources that the file wants at ``now``.

    :param names: what :class:`Names` made of the same file and world, where the caller has it already.
    :raises ManifestError: where a name of the file stands for nothing, or grants contradict each other.
    """
    building = _Building(names or Names(loaded, world, now))
    for resource, value, source in principals(building.names):
        building.values[resource], building.sources[resource] = value, source
    building.grants()
    building.names.check()
    return Desired(building.values, building.sources)


def backend_of(names: Names, cluster: str, grant: Grant) -> MappingBackend:
    """Where a grant's mapping is written: as the grant says, the cluster, or the cluster's authentication mode."""
    said = grant.mapping or names.manifest.clusters[cluster].mapping
    if said is not None:
        return said
    state = names.world.clusters.get(names.clusters[cluster])
    return MappingBackend.access_entries if state and state.mode.reads_entries else MappingBackend.aws_auth


class _Building:
    def __init__(self, names: Names) -> None:
        self.names, self.manifest, self.world = names, names.manifest, names.world
        self.values: dict[ResourceId, Value] = {}
        self.sources: dict[ResourceId, PathKey] = {}
        self._by_content: dict[str, dict[tuple[str, str, str, tuple[str, str]], str]] = {}
        self._mappings: dict[tuple[str, MappingBackend, str], _Mapping] = {}

    def _want(self, resource: ResourceId, value: Value, source: PathKey) -> None:
        self.values[resource] = value
        self.sources.setdefault(resource, source)

    def grants(self) -> None:
        described: dict[str, dict[str, None]] = {}
        for index, grant in enumerate(self.manifest.grants):
            who = self.names.granted(grant)
            over = grant.until is not None and grant.until <= self.names.now
            if over or (who is not None and who.absent):
                continue
            if who is None:
                self._bindings_of_doubtful(("grants", index), grant)
                continue
            for cluster in self.names.granted_clusters(grant):
                self._grant(("grants", index), grant, who, cluster)
                if grant.role is not None and not grant.node_role:
                    described.setdefault(grant.role, {})[self.names.clusters[cluster]] = None
        for (cluster_arn, backend, _), mapping in self._mappings.items():
            resource, value = self._mapping(cluster_arn, backend, mapping)
            self._want(resource, value, mapping.source)
        for resource, value, source in describe_policies(self.names, described):
            self._want(resource, value, source)

    def _grant(self, source: PathKey, grant: Grant, who: Named, cluster: str) -> None:
        arn, backend = self.names.clusters[cluster], backend_of(self.names, cluster, grant)
        kind = _entry_type(grant, backend)
        username, groups = _identity(grant, who.principal, kind)
        key = (arn, backend, who.matched_arn.lower())
        found = self._mappings.setdefault(key, _Mapping(source, who, kind, username))
        if (found.type, found.username) != (kind, username):
            place = self.names.loaded.place(*found.source)
            what = (
                f"{grant.role or grant.person} is {username!r} on {cluster!r} here, and {found.username!r} at {place}"
            )
            self.names.problem((*source, "username"), what, "one principal has one username on a cluster")
        found.groups |= dict.fromkeys(groups)
        for reference in grant.access_policies:
            self._policy(source, found, reference.policy, tuple(reference.namespaces or ()), arn)
        subjects = [("Group", group) for group in grant.groups] or [("User", username)]
        self._bindings(source, grant, arn, subjects)

    def _bindings_of_doubtful(self, source: PathKey, grant: Grant) -> None:
        """Bindings of somebody of whom it is not known who they are: they are not removed for that."""
        if not any(one.prefix and one.name == grant.person for one in self.names.unresolved):
            return
        for cluster in self.names.granted_clusters(grant):
            subjects = [("Group", group) for group in grant.groups] or [("User", grant.username or "")]
            self._bindings(source, grant, self.names.clusters[cluster], [one for one in subjects if one[1]])

    def _bindings(self, source: PathKey, grant: Grant, cluster: str, subjects: list[tuple[str, str]]) -> None:
        for subject in subjects:
            for binding in grant.bindings:
                kind_of_role = "ClusterRole" if binding.cluster_role else "Role"
                role = binding.cluster_role or binding.role or ""
                self._binding(source, cluster, binding.namespace or "", kind_of_role, role, subject)

    def _policy(self, source: PathKey, found: _Mapping, policy: str, namespaces: tuple[str, ...], cluster: str) -> None:
        name = policy.rpartition("/")[2]
        arn = f"arn:{Arn.parse(cluster).partition}:eks::aws:cluster-access-policy/{name}"
        scope = "namespace" if namespaces else "cluster"
        value = {"policyArn": arn, "scope": scope, "namespaces": sorted(set(namespaces))}
        known = found.policies.setdefault(arn, value)
        if known is not value and known != value:
            if "cluster" in (scope, known["scope"]):
                known.update(scope="cluster", namespaces=[])
            else:
                # EKS associates a policy once with an entry; two grants of it add up.
                known["namespaces"] = sorted({*known["namespaces"], *namespaces})

    def _binding(
        self, source: PathKey, cluster: str, namespace: str, kind: str, role: str, subject: tuple[str, str]
    ) -> None:
        value = {"roleRef": {"kind": kind, "name": role}, "subjects": [{"kind": subject[0], "name": subject[1]}]}
        name = self._managed(cluster).get((namespace, kind, role, subject)) or binding_name(kind, role, *subject)
        resource = (
            ResourceId(Kind.ROLE_BINDING, cluster, f"{namespace}/{name}")
            if namespace
            else ResourceId(Kind.CLUSTER_ROLE_BINDING, cluster, name)
        )
        self._want(resource, value, source)

    def _managed(self, cluster: str) -> Mapping[tuple[str, str, str, tuple[str, str]], str]:
        """Names of the cluster's managed bindings by what they say: one that says what is wanted is kept."""
        if cluster not in self._by_content:
            state = self.world.clusters.get(cluster)
            self._by_content[cluster] = {
                (b.namespace, b.role_kind, b.role_name, b.subjects[0].user_or_group): b.name
                # Of two that say the same the first is kept.
                for b in reversed(state.bindings if state else ())
                if len(b.subjects) == 1 and state and (b.namespace, b.name) in state.managed_bindings
            }
        return self._by_content[cluster]

    def _mapping(self, cluster: str, backend: MappingBackend, found: _Mapping) -> tuple[ResourceId, Value]:
        state = self.world.clusters.get(cluster)
        named: dict[str, Any] = {"username": found.username, "groups": list(found.groups)}
        if backend is MappingBackend.access_entries:
            policies = [found.policies[arn] for arn in sorted(found.policies)]
            value = {"type": found.type.value, **named, "policies": policies}
            return ResourceId(Kind.ACCESS_ENTRY, cluster, found.who.arn), value
        arn = found.who.matched_arn
        if backend is MappingBackend.crd:
            return ResourceId(Kind.IDENTITY_MAPPING, cluster, _object_name(state, arn)), {"arn": arn, **named}
        kind = _section_kind(state, arn)
        return ResourceId(kind, cluster, arn.lower()), {"arn": arn, **named}


def _entry_type(grant: Grant, backend: MappingBackend) -> EntryType:
    if backend is not MappingBackend.access_entries:
        return EntryType.STANDARD
    plain_nodes = grant.node_role and not grant.username and not grant.groups
    return grant.type or (EntryType.EC2_LINUX if plain_nodes else EntryType.STANDARD)


def _identity(grant: Grant, principal: PrincipalArn, kind: EntryType) -> tuple[str, list[str]]:
    if kind is not EntryType.STANDARD:
        return default_username(principal, kind), list(default_groups(kind))
    if grant.node_role:
        return grant.username or NODE_USERNAME, list(grant.groups or NODE_GROUPS)
    return grant.username or default_username(principal, kind), list(grant.groups)


def _section_kind(state: ClusterState | None, arn: str) -> Kind:
    """``mapRoles`` for roles and ``mapUsers`` for users, unless the cluster has the principal in the other one.

    The authenticator looks through both whatever the ARN is of, roles first (``pkg/mapper/configmap``).
    """
    if state is not None:
        read = aws_auth_of(state)
        if arn.lower() in read.roles:
            return Kind.AWS_AUTH_ROLE
        if arn.lower() in read.users:
            return Kind.AWS_AUTH_USER
    return Kind.AWS_AUTH_ROLE if PrincipalArn.parse(arn).kind is PrincipalKind.ROLE else Kind.AWS_AUTH_USER


def _object_name(state: ClusterState | None, arn: str) -> str:
    for mapping in state.identity_mappings if state else ():
        if mapping.canonical_arn == arn.lower():
            return mapping.name
    found = PrincipalArn.parse(arn)
    readable = re.sub(r"[^a-z0-9-]+", "-", found.name.lower()).strip("-") or "principal"
    return f"{found.account}-{found.kind.value}-{readable}-{_digest(arn.lower())}"


def binding_name(kind: str, role: str, subject_kind: str, subject: str) -> str:
    """The name of the binding of one role to one subject: readable, and different for every other pair."""
    plain = re.fullmatch(r"[A-Za-z0-9._-]{1,100}", role) and re.fullmatch(r"[A-Za-z0-9._-]{1,100}", subject)
    readable = f"{re.sub('[^A-Za-z0-9._-]+', '-', role)[:80]}:{re.sub('[^A-Za-z0-9._-]+', '-', subject)[:80]}"
    if plain and kind == "ClusterRole" and subject_kind == "Group":
        return f"{BINDING_PREFIX}{readable}"
    return f"{BINDING_PREFIX}{readable}:{_digest(chr(0).join((kind, role, subject_kind, subject)))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
