"""What guards look at: the plan in the making, and who gets in where before it and after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rolecall.access.effective import EffectiveAccess
from rolecall.access.mapped import MappedUser
from rolecall.access.world import World
from rolecall.arn import Arn
from rolecall.plan.findings import Finding
from rolecall.plan.links import principal_key
from rolecall.plan.plan import Planned
from rolecall.plan.resources import MAPPING_KINDS, Change, Kind, ResourceId


@dataclass(frozen=True, slots=True)
class Case:
    """One plan under examination.

    :param access: who gets in where now.
    :param access_after: who would once everything is done.
    """

    planned: Planned
    access: EffectiveAccess
    access_after: EffectiveAccess

    @property
    def before(self) -> World:
        return self.access.world

    @property
    def after(self) -> World:
        return self.access_after.world

    @property
    def changes(self) -> tuple[Change, ...]:
        return self.planned.changes

    def is_about(self, resource: ResourceId) -> bool:
        """Whether the file wants a resource, or a change is of it; not only that it exists."""
        return resource in self.planned.want.sources or any(change.resource == resource for change in self.changes)

    def is_unread(self, place: str) -> bool:
        """Whether an account or a cluster was not read whole, so that what it lacks is not known."""
        return place in self.planned.unread

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


def user_on(access: EffectiveAccess, cluster: str, arn: str) -> MappedUser | None:
    """Who a principal is on a cluster, its ARN with or without the path; ``None`` for nobody."""
    key = principal_key(arn)
    return next((user for one, user in access.mapped(cluster).items() if principal_key(one) == key), None)


def cluster_label(case: Case, arn: str) -> str:
    """A cluster's name in the file, or its own."""
    names: Mapping[str, str] = case.planned.names.clusters
    return next((name for name, one in names.items() if one == arn), Arn.parse(arn).resource.partition("/")[2])


def mapped_arn(change: Change) -> str:
    """The ARN of the principal that a change of a mapping is about."""
    value = change.after or change.before or {}
    return change.resource.name if change.resource.kind is Kind.ACCESS_ENTRY else str(value["arn"])
