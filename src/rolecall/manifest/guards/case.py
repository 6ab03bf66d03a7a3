"""What guards look at: the plan in the making, the world before it and the world after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rolecall.access.principals import GONE, find_principal
from rolecall.access.world import ClusterState, World
from rolecall.arn import Arn, PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.manifest.actual import aws_auth_of
from rolecall.manifest.findings import Finding
from rolecall.manifest.names import matched_arn
from rolecall.manifest.plan import Planned
from rolecall.manifest.resources import MAPPING_KINDS, Change, Kind, ResourceId
from rolecall.mapping.resolve import Mappings, resolve
from rolecall.model import Identity, KubernetesUser
from rolecall.rbac.access_policies import PolicyAssociation, authorize_access_policies
from rolecall.rbac.rules import Attributes, Authorizer

# A session of a node is named after its instance; with it every template has a value.
_SESSION, _DNS_NAME = "i-0123456789abcdef0", "ip-10-0-0-1.ec2.internal"


@dataclass(frozen=True, slots=True)
class Case:
    """One plan under examination.

    :param after: the world once everything is done.
    """

    planned: Planned
    after: World
    _views: dict[tuple[str, bool], ClusterView] = field(default_factory=dict)

    @property
    def before(self) -> World:
        return self.planned.world

    @property
    def changes(self) -> tuple[Change, ...]:
        return self.planned.changes

    def mapping_changes(self) -> Iterator[Change]:
        """The changes that write a mapping, in the order of their identifiers."""
        return (change for change in self.changes if change.resource.kind in MAPPING_KINDS and change.after is not None)

    def place(self, resource: ResourceId) -> str:
        """Where the file wants a resource, as text; empty where it does not."""
        source = self.planned.want.sources.get(resource)
        return str(self.planned.names.loaded.place(*source)) if source else ""

    def finding(
        self,
        code: str,
        about: str | tuple[str, ...],
        text: str,
        advice: str = "",
        *,
        of: ResourceId | None = None,
        refuses: bool = True,
    ) -> Finding:
        """A finding, with the place in the file that wants the resource."""
        about = (about,) if isinstance(about, str) else about
        return Finding(code, about, text, advice, self.place(of) if of else "", refuses)

    def changed_clusters(self) -> list[str]:
        """ARNs of the clusters on which something changes."""
        found = {change.resource.place for change in self.changes}
        return [arn for arn in self.before.clusters if arn in found]

    def view(self, arn: str, *, after: bool) -> ClusterView:
        """A cluster and who is who on it, before or after."""
        if (arn, after) not in self._views:
            world = self.after if after else self.before
            self._views[arn, after] = ClusterView(world.clusters[arn], world)
        return self._views[arn, after]


class ClusterView:
    """Who the mapped principals of a cluster are there, and what they may do."""

    def __init__(self, state: ClusterState, world: World) -> None:
        self.state, self._world = state, world
        self._entries = {_entry_id(entry.principal_id, entry.principal_arn): entry for entry in state.entries}
        self._mappings = Mappings(state.mode, self._entries, aws_auth_of(state), state.identity_mappings, state.creator)
        self._authorizer = Authorizer(state.roles, state.bindings)

    def mapped(self) -> Iterator[str]:
        """ARNs of all principals that the cluster has a mapping for, each once."""
        read = aws_auth_of(self.state)
        found = [entry.principal_arn for entry in self.state.entries]
        found += [entry.arn for entries in (read.roles, read.users) for entry in entries.values()]
        found += [mapping.canonical_arn for mapping in self.state.identity_mappings]
        found += [self.state.creator] if self.state.creator else []
        yield from {arn.lower(): arn for arn in reversed(found)}.values()

    def user(self, arn: str) -> KubernetesUser | None:
        """Who the cluster takes a principal for; ``None`` for nobody, or where the ARN names no principal."""
        identity = self._identity(arn)
        return resolve(identity, self._mappings, ec2_private_dns_name=_DNS_NAME).user if identity else None

    def is_administrator(self, arn: str) -> bool:
        """Whether a principal may do everything to everything, by RBAC or by an access policy."""
        identity, user = self._identity(arn), self.user(arn)
        if identity is None or user is None:
            return False
        everything = Attributes(user, "*", "*", resource="*")
        entry = self._entries.get(identity.user_id) if self.state.mode.reads_entries else None
        policies = (
            [PolicyAssociation(entry.principal_arn, one.policy_arn, one.namespaces) for one in entry.policies]
            if entry
            else []
        )
        return (
            self._authorizer.authorize(everything).allowed
            or authorize_access_policies(everything, identity.user_id, policies).allowed
        )

    def _identity(self, arn: str) -> Identity | None:
        try:
            principal = PrincipalArn.parse(arn)
        except InvalidArnError:
            return None
        account = self._world.accounts.get(principal.account)
        found = find_principal(self._world.accounts, arn)
        if account and found is None and principal.kind is PrincipalKind.ROLE and principal.path == "/":
            # As STS and so the authenticator names it, a role has no path.
            found = account.roles.get(principal.name)
        ident = account.principal(found).principal_id if account and found else _entry_id("", arn)
        role = principal.kind is PrincipalKind.ROLE
        signed = (
            f"arn:{principal.partition}:sts::{principal.account}:assumed-role/{principal.name}/{_SESSION}"
            if role
            else arn
        )
        return Identity(signed, matched_arn(arn), principal.account, ident, _SESSION if role else "")


def _entry_id(principal_id: str, arn: str) -> str:
    """The id of a principal of an account that was not read stands as its ARN."""
    return principal_id if principal_id not in ("", GONE) else f"{principal_id}:{arn}"


def cluster_label(case: Case, arn: str) -> str:
    """A cluster's name in the file, or its own."""
    names: Mapping[str, str] = case.planned.names.clusters
    return next((name for name, one in names.items() if one == arn), Arn.parse(arn).resource.partition("/")[2])


def mapped_arn(change: Change) -> str:
    """The ARN of the principal that a change of a mapping is about."""
    value = change.after or change.before or {}
    return change.resource.name if change.resource.kind is Kind.ACCESS_ENTRY else str(value["arn"])
