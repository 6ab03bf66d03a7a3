"""The mappings of all clusters as grants can say them, and those that none can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rolecall.access.world import ClusterState, World
from rolecall.arn import Arn, PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.account import IamRole, IamUser
from rolecall.manifest.names import SSO_PREFIX
from rolecall.manifest.schema import MappingBackend
from rolecall.manifest.write_yaml import readable
from rolecall.mapping.access_entries import (
    AccessEntry,
    AssociatedPolicy,
    EntryError,
    EntryType,
    check_policy,
    default_groups,
    default_username,
)
from rolecall.plan.actual import aws_auth_of
from rolecall.plan.links import principal_key
from rolecall.rbac.access_policies import ACCESS_POLICIES

_MAX_USERNAME, _MAX_GROUP, _MAX_GROUPS = 1_024, 256, 100


@dataclass(frozen=True, slots=True)
class Found:
    """One mapping in force.

    :param arn: of the user or role, with its path as far as it is known.
    :param policies: names of access policies, each with its namespaces.
    """

    cluster: str
    backend: MappingBackend
    arn: str
    username: str
    groups: tuple[str, ...]
    type: EntryType = EntryType.STANDARD
    policies: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def key(self) -> str:
        return principal_key(self.arn)

    @property
    def is_node(self) -> bool:
        """Whether it makes nodes of those who carry the role."""
        nodes = "system:nodes" in self.groups and self.username.startswith("system:node:")
        return self.type is not EntryType.STANDARD or nodes


@dataclass(slots=True)
class Mappings:
    """What was found.

    :param unsayable: keys of principals of which some mapping cannot be said: they are not named at all, because of a
        named principal every mapping is what the file says.
    """

    found: list[Found] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unsayable: set[str] = field(default_factory=set)


def read_mappings(world: World) -> Mappings:
    """Every mapping in force that a grant can say."""
    reading = _Reading(world)
    for state in world.clusters.values():
        if state.unread:
            reading.result.notes.append(f"cluster {state.name} could not be read: {state.unread[0]}")
        else:
            reading.cluster(state)
    result = reading.result
    result.found = [one for one in result.found if one.key not in result.unsayable]
    # An access entry has the path, which aws-auth leaves out; one principal is named once.
    full = {one.key: one.arn for one in result.found}
    full |= {one.key: one.arn for one in result.found if one.backend is MappingBackend.access_entries}
    result.found = [_renamed(one, full[one.key]) for one in result.found]
    return result


def _renamed(found: Found, arn: str) -> Found:
    return Found(found.cluster, found.backend, arn, found.username, found.groups, found.type, found.policies)


class _Reading:
    def __init__(self, world: World) -> None:
        self.world = world
        self.result = Mappings()
        self._by_key: dict[str, IamUser | IamRole] = {}
        for account in world.accounts.values():
            self._by_key |= {principal_key(user.arn): user for user in account.users.values()}
            self._by_key |= {principal_key(role.arn): role for role in account.roles.values()}
        self._spelt: dict[str, str] = {}

    def cluster(self, state: ClusterState) -> None:
        read = aws_auth_of(state)
        if read.accounts:
            ids = ", ".join(sorted(read.accounts))
            self.result.notes.append(f"aws-auth of cluster {state.name} maps whole accounts: {ids}")
        for arn, entry in {**read.users, **read.roles}.items():
            self._plain(state, MappingBackend.aws_auth, entry.arn, arn, entry.username, entry.groups)
        first = {mapping.canonical_arn: mapping for mapping in reversed(state.identity_mappings)}
        for arn, mapping in first.items():
            self._plain(state, MappingBackend.crd, arn, arn, mapping.username, mapping.groups)
        for one in state.entries:
            self._entry(state, one)

    def _plain(
        self, state: ClusterState, backend: MappingBackend, arn: str, lower: str, username: str, groups: tuple[str, ...]
    ) -> None:
        """A mapping of aws-auth or of an IAMIdentityMapping, which are compared in lower case and without a path."""
        where = f"{backend} of cluster {state.name}"
        principal = self._principal(arn, where)
        if principal is None:
            return
        there = self._by_key.get(principal_key(arn))
        if principal.kind is PrincipalKind.ROLE and principal.path != "/":
            self.result.notes.append(f"{where} has {arn}, which matches nobody: a role is matched without its path")
            return
        if principal.kind is PrincipalKind.USER and there is not None and there.arn.lower() != lower:
            self.result.notes.append(f"{where} has {arn}, which matches nobody: the user is {there.arn}")
            return
        found = Found(state.arn, backend, there.arn if there else arn, username, groups)
        spelt = self._spelt.setdefault(found.key, lower)
        if spelt != lower:
            self._unsayable(found, where, f"it is also mapped as {spelt}")
        self._add(found, where)

    def _entry(self, state: ClusterState, entry: AccessEntry) -> None:
        where = f"an access entry of cluster {state.name}"
        principal = self._principal(entry.principal_arn, where)
        if principal is None:
            return
        policies = tuple((policy.name, tuple(sorted(policy.namespaces))) for policy in entry.policies)
        found = Found(
            state.arn,
            MappingBackend.access_entries,
            entry.principal_arn,
            entry.username,
            entry.groups,
            entry.type,
            policies,
        )
        there = self._by_key.get(found.key)
        if there is not None and there.arn != entry.principal_arn:
            self._unsayable(found, where, f"its principal is gone, and another has its name: {there.arn}")
        if entry.type is not EntryType.STANDARD and (
            principal.kind is not PrincipalKind.ROLE
            or principal.name.startswith(SSO_PREFIX)
            or entry.username != default_username(principal, entry.type)
            or sorted(entry.groups) != sorted(default_groups(entry.type))
        ):
            self._unsayable(found, where, f"it is not as EKS makes entries of type {entry.type}")
        partition = Arn.parse(state.arn).partition
        for policy in entry.policies:
            if not _sayable_policy(policy, entry.type, partition):
                self._unsayable(found, where, f"its policy {policy.policy_arn} is not known")
        self._add(found, where)

    def _principal(self, arn: str, where: str) -> PrincipalArn | None:
        try:
            principal = PrincipalArn.parse(arn)
        except InvalidArnError:
            self.result.notes.append(f"{where} has {arn!r}, which names nobody")
            return None
        if principal.kind in (PrincipalKind.USER, PrincipalKind.ROLE):
            return principal
        self.result.notes.append(f"{where} has {arn}, which is not a user or role")
        return None

    def _add(self, found: Found, where: str) -> None:
        groups = found.groups
        if not found.username or len(found.username) > _MAX_USERNAME:
            self._unsayable(found, where, "it has no username")
        elif len(set(groups)) != len(groups) or len(groups) > _MAX_GROUPS:
            self._unsayable(found, where, "it has a group twice")
        elif any(not group or len(group) > _MAX_GROUP for group in groups):
            self._unsayable(found, where, "it has a group without a name")
        elif not readable([found.arn, found.username, list(groups)]):
            self._unsayable(found, where, "its username or groups hold characters that do not show")
        self.result.found.append(found)

    def _unsayable(self, found: Found, where: str, why: str) -> None:
        self.result.unsayable.add(found.key)
        self.result.notes.append(f"{where} has {found.arn}: {why}")


def _sayable_policy(policy: AssociatedPolicy, kind: EntryType, partition: str) -> bool:
    try:
        check_policy(policy, kind, frozenset(ACCESS_POLICIES))
    except EntryError:
        return False
    unique = len(set(policy.namespaces)) == len(policy.namespaces)
    return unique and policy.policy_arn == f"arn:{partition}:eks::aws:cluster-access-policy/{policy.name}"


@dataclass(frozen=True, slots=True)
class BindingOf:
    """A managed binding of one group or user: ``kind`` and ``role`` of what it is bound to."""

    kind: str
    role: str
    namespace: str


def bindings_of(state: ClusterState, found: list[Found]) -> tuple[dict[tuple[str, str], list[BindingOf]], list[str]]:
    """The cluster's managed bindings by their one subject, and a sentence about each that no grant can say."""
    said: dict[tuple[str, str], list[BindingOf]] = {}
    notes: list[str] = []
    subjects = set(_subjects(state, found))
    for binding in state.bindings:
        if (binding.namespace, binding.name) not in state.managed_bindings:
            continue
        one = BindingOf(binding.role_kind, binding.role_name, binding.namespace)
        subject = (binding.subjects[0].kind, binding.subjects[0].name) if len(binding.subjects) == 1 else ("", "")
        sayable = readable([binding.role_name]) and not set("/% ") & set(binding.role_name)
        if subject in subjects and one not in said.get(subject, ()) and sayable:
            said.setdefault(subject, []).append(one)
        else:
            name = f"{binding.namespace}/{binding.name}" if binding.namespace else binding.name
            notes.append(f"the binding {name} of cluster {state.name}, which is rolecall's")
    return said, notes


def _subjects(state: ClusterState, found: list[Found]) -> Iterator[tuple[str, str]]:
    for one in found:
        if one.cluster == state.arn and not one.is_node:
            yield from (("Group", group) for group in one.groups if "{{" not in group)
            if "{{" not in one.username:
                yield "User", one.username
