"""``access.yaml`` written from what exists, so that a plan right after finds nothing to change.

Written out are the mappings of every cluster, the principals in them, and the trust policies of those roles. What the
file cannot say exactly (an entry that matches nobody, a user without a name) is left out and told; since such a
principal is then not named, nothing of it is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.access.world import ClusterState, World
from rolecall.arn import Arn, PrincipalArn, PrincipalKind
from rolecall.importing.mappings import BindingOf, Found, bindings_of, read_mappings
from rolecall.importing.principals import Directory
from rolecall.manifest.names import SSO_PREFIX
from rolecall.manifest.schema import MappingBackend
from rolecall.manifest.write_yaml import HEADER, block, comment
from rolecall.mapping.access_entries import EntryType
from rolecall.mapping.resolve import AuthenticationMode
from rolecall.plan.desired import NODE_GROUPS, NODE_USERNAME
from rolecall.plan.links import principal_key


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written.

    :param data: the manifest as plain values.
    :param notes: what was left out, and why; each a sentence.
    :param leftover: bindings of rolecall's that no grant needs, which a plan of the file removes; each a sentence.
    :param unread: whether a cluster could not be read, so that nothing is known of it.
    """

    data: Mapping[str, Any]
    notes: tuple[str, ...]
    leftover: tuple[str, ...] = ()
    unread: bool = False

    @property
    def text(self) -> str:
        """The file."""
        sections = [f"{name}:\n{block(value, 2)}" for name, value in self.data.items() if value]
        told = (
            ("Left alone, because this file cannot say it:", self.notes),
            ("Removed by the next plan, because no grant needs it:", self.leftover),
        )
        lists = [comment("\n".join((title, *(f"  {one}" for one in found)))) for title, found in told if found]
        return "\n".join((HEADER, *sections, *lists))


def import_world(
    world: World,
    accounts: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    also: Iterable[str] = (),
    contexts: Mapping[str, str] | None = None,
) -> Imported:
    """The manifest of ``world``.

    :param accounts: by the name that the file shall use: ``id``, and how it is reached (``profile``, ``roleArn``).
    :param also: ARNs of roles that are named although no cluster maps them.
    :param contexts: by ARN, the contexts of a kubeconfig by which clusters are reached, if not by what EKS says.
    """
    named = _accounts(world, accounts or {})
    mappings = read_mappings(world)
    directory = Directory(world, {str(one["id"]): name for name, one in named.items()}, mappings.unsayable)
    clusters = _cluster_names(world)
    leftover: list[str] = []
    on: dict[str, list[Found]] = {arn: [] for arn in world.clusters}
    for found in mappings.found:
        on[found.cluster].append(found)
    grants: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for arn, state in world.clusters.items():
        bound, left = bindings_of(state, on[arn])
        leftover += left
        for found in on[arn]:
            for grant in _grants(found, bound, directory, _backend(state)):
                grants.setdefault(block(grant), (grant, []))[1].append(clusters[arn])
    for arn in also:
        if principal_key(arn) not in mappings.unsayable:
            directory.role(arn)
    described = _described(mappings.found)
    nodes = {found.arn for found in mappings.found if _says_node(found)}
    roles = {
        name: directory.role_data(arn, described.get(arn, []), is_node=arn in nodes)
        for name, arn in directory.roles().items()
    }
    data = {
        "accounts": named,
        # People after roles, whose trust policies bring in more of them.
        "people": directory.people(),
        "roles": roles,
        "clusters": {
            clusters[arn]: _cluster(state, clusters[arn], directory, (contexts or {}).get(arn, ""))
            for arn, state in world.clusters.items()
        },
        "grants": [_with_clusters(grant, where) for grant, where in grants.values()],
    }
    unread = any(state.unread for state in world.clusters.values())
    return Imported(data, tuple(dict.fromkeys(mappings.notes)), tuple(dict.fromkeys(leftover)), unread)


def _accounts(world: World, given: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    named = {name: dict(one) for name, one in given.items()}
    known = {str(one["id"]) for one in named.values()}
    needed = dict.fromkeys((*world.accounts, *(state.account for state in world.clusters.values())))
    missing = [ident for ident in needed if ident not in known]
    alone = len(missing) == 1 and not named
    return named | {("main" if alone else f"account-{ident}"): {"id": ident} for ident in missing}


def _cluster_names(world: World) -> dict[str, str]:
    """A name for each cluster, by ARN: its own, with region and account where several have it."""
    names = [state.name for state in world.clusters.values()]
    return {
        arn: state.name if names.count(state.name) == 1 else f"{state.name}@{state.region}-{state.account}"
        for arn, state in world.clusters.items()
    }


def _cluster(state: ClusterState, name: str, directory: Directory, context: str) -> dict[str, Any]:
    own = {"name": state.name} if state.name != name else {}
    place = {"account": directory.accounts[state.account], "region": state.region}
    reached = {"context": context} if context else {}
    return {**own, **place, "mapping": _backend(state).value, **reached}


def _backend(state: ClusterState) -> MappingBackend:
    if state.mode is AuthenticationMode.CONFIG_MAP:
        return MappingBackend.aws_auth
    return MappingBackend.access_entries


def _described(found: list[Found]) -> dict[str, list[str]]:
    """Clusters of a role's own account that it is granted, by the role's ARN."""
    clusters: dict[str, dict[str, None]] = {}
    for one in found:
        if not _says_node(one) and Arn.parse(one.cluster).account == PrincipalArn.parse(one.arn).account:
            clusters.setdefault(one.arn, {})[one.cluster] = None
    return {arn: list(of) for arn, of in clusters.items()}


def _says_node(found: Found) -> bool:
    """Whether the grant is written with ``nodeRole``: not for an access entry that only looks like one of nodes."""
    plain_entry = found.backend is MappingBackend.access_entries and found.type is EntryType.STANDARD
    return found.is_node and not plain_entry and not found.policies and not _is_person(found.arn)


def _is_person(arn: str) -> bool:
    principal = PrincipalArn.parse(arn)
    return principal.kind is PrincipalKind.USER or principal.name.startswith(SSO_PREFIX)


def _grants(
    found: Found,
    bound: Mapping[tuple[str, str], list[BindingOf]],
    directory: Directory,
    usual: MappingBackend,
) -> Iterator[dict[str, Any]]:
    """The grants that say one mapping: one for all groups that are bound to the same, clusters left out."""
    who = {"person": directory.person(found.arn)} if _is_person(found.arn) else {"role": directory.role(found.arn)}
    where = {"mapping": found.backend.value} if found.backend is not usual else {}
    if _says_node(found):
        yield {**who, **_node(found), **where}
        return
    if found.type is not EntryType.STANDARD:
        yield {**who, "type": found.type.value, **_policies(found), **where}
        return
    by_bindings: dict[tuple[BindingOf, ...], list[str]] = {}
    for group in found.groups:
        by_bindings.setdefault(tuple(bound.get(("Group", group), ())), []).append(group)
    parts = [(groups, bindings) for bindings, groups in by_bindings.items()]
    own = tuple(bound.get(("User", found.username), ()))
    if own or not parts:
        # Bindings of a grant without groups are of its username.
        parts.append(([], own))
    policies = _policies(found)
    for groups, bindings in parts:
        said: dict[str, Any] = {**who, "username": found.username}
        said |= {"groups": groups} if groups else {}
        said |= policies
        said |= {"bindings": [_binding(one) for one in bindings]} if bindings else {}
        yield {**said, **where}
        policies = {}


def _node(found: Found) -> dict[str, Any]:
    if found.type is not EntryType.STANDARD:
        return {"nodeRole": True} | ({"type": found.type.value} if found.type is not EntryType.EC2_LINUX else {})
    usual = found.username == NODE_USERNAME and sorted(found.groups) == sorted(NODE_GROUPS)
    return {"nodeRole": True} | ({} if usual else {"username": found.username, "groups": list(found.groups)})


def _policies(found: Found) -> dict[str, Any]:
    said = [
        {"policy": name} | ({"namespaces": list(namespaces)} if namespaces else {})
        for name, namespaces in found.policies
    ]
    return {"accessPolicies": said} if said else {}


def _binding(found: BindingOf) -> dict[str, Any]:
    kind = "clusterRole" if found.kind == "ClusterRole" else "role"
    return {kind: found.role} | ({"namespace": found.namespace} if found.namespace else {})


def _with_clusters(grant: Mapping[str, Any], clusters: list[str]) -> dict[str, Any]:
    who = next(iter(grant))
    where = clusters[0] if len(clusters) == 1 else list(dict.fromkeys(clusters))
    return {who: grant[who], "clusters": where, **{key: value for key, value in grant.items() if key != who}}
