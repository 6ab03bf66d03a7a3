"""The part of a plan that one edit of the file is about; whatever else is pending waits for ``rolecall apply``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from rolecall.arn import PrincipalArn
from rolecall.plan.links import owner_key, principal_key
from rolecall.plan.plan import Planned
from rolecall.plan.resources import BINDING_KINDS, IAM_KINDS, MAPPING_KINDS, Change
from rolecall.plan.values import same_value


@dataclass(frozen=True, slots=True)
class About:
    """What an edit is about.

    :param principals: ARNs of users and roles that shall be in IAM as the file says, whether the edit changed what it
        says of them or not.
    :param mapped: ARNs of those whose mappings shall be too.
    :param roles: names of roles in the file whose bindings shall be too.
    :param takes: whether the edit only takes away: what is still to be made of those waits for ``rolecall apply``.
    :param names: names of people and roles in the file that must stand for something in AWS for the edit to make sense.
    :param clusters: ARNs of the clusters on which those shall be so; empty: all.
    """

    principals: Collection[str]
    mapped: Collection[str] = ()
    roles: Collection[str] = ()
    names: Collection[str] = ()
    takes: bool = False
    clusters: Collection[str] = ()


def limited(old: Planned, new: Planned, about: About, extra: Sequence[Change] = ()) -> Planned:
    """``new`` with those of its changes that ``old`` has not, and those that ``about`` names.

    :param old: the same world compared with the file before the edit.
    :param extra: changes besides, of what the file does not name.
    """
    before = {change.resource: change for change in old.changes}
    kept = [
        change
        for change in new.changes
        if not _same(before.get(change.resource), change) or _concerns(new, about, change)
    ]
    if about.takes:
        kept = [change for change in kept if change.before is not None]
    named = {change.resource for change in new.changes}
    kept += [change for change in extra if change.resource not in named]
    places = {change.resource.place for change in kept} | _places(new, about)
    unread = {place: why for place, why in new.unread.items() if place in places}
    unresolved = tuple(one for one in new.unresolved if one.name in about.names)
    return replace(new, changes=tuple(kept), unread=unread, unresolved=unresolved)


def _same(old: Change | None, new: Change) -> bool:
    return old is not None and same_value(new.resource.kind, old.after, new.after)


def _concerns(planned: Planned, about: About, change: Change) -> bool:
    resource = change.resource
    if resource.kind in IAM_KINDS:
        return owner_key(resource) in map(principal_key, about.principals)
    if about.clusters and resource.place not in about.clusters:
        return False
    if resource.kind in MAPPING_KINDS:
        value = change.after or change.before or {}
        return principal_key(str(value.get("arn") or resource.name)) in map(principal_key, about.mapped)
    return resource.kind in BINDING_KINDS and _is_of_role(planned, about, change)


def _is_of_role(planned: Planned, about: About, change: Change) -> bool:
    source = planned.want.sources.get(change.resource, ())
    if len(source) != 2 or source[0] != "grants" or not isinstance(source[1], int):
        return False
    return planned.names.manifest.grants[source[1]].role in about.roles


def _places(planned: Planned, about: About) -> set[str]:
    """Accounts and clusters that must have been read for the edit to mean what it says."""
    accounts = {PrincipalArn.parse(arn).account for arn in about.principals}
    names = planned.names
    clusters = {
        names.clusters[cluster]
        for grant in names.manifest.grants
        if grant.role in about.roles
        for cluster in names.granted_clusters(grant)
    }
    return accounts | (clusters & set(about.clusters) if about.clusters else clusters)
