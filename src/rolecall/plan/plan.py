"""A plan: what changes, in which order, what that does to access, and what the guards object to.

A plan is a value. It can be written to a file (:mod:`rolecall.plan.plan_file`) and applied later without the file that
it was made from, because every change carries the value that it expects and the value that it makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rolecall.access.world import ClusterState, World
from rolecall.manifest.load import Loaded
from rolecall.manifest.names import Names, Unresolved
from rolecall.mapping.identity_mappings import status_of
from rolecall.plan.actual import actual, aws_auth_of, linking, scope_of
from rolecall.plan.desired import Desired, desired
from rolecall.plan.findings import Allowance, Finding, allowed
from rolecall.plan.order import order
from rolecall.plan.resources import Change, Kind, ResourceId, Value
from rolecall.plan.values import same_value


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to change.

    :param changes: in the order in which they are made.
    :param effects: who gains and who loses which access, as plain values.
    :param findings: what the guards object to; a plan with refusals that nobody allowed is not applied.
    :param made_at: when the world was read.
    :param caller: the canonical ARN of the principal that read it.
    :param files: the files that it was made from.
    :param reach: how its accounts and clusters are reached; never a secret.
    """

    changes: tuple[Change, ...]
    findings: tuple[Finding, ...] = ()
    effects: Mapping[str, Any] = field(default_factory=dict)
    made_at: datetime | None = None
    caller: str = ""
    files: tuple[str, ...] = ()
    reach: Mapping[str, Any] = field(default_factory=dict)

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that keep it from being applied."""
        return tuple(found for found in self.findings if found.refuses)

    def allowing(self, allowances: Sequence[Allowance]) -> Plan:
        """The plan with the refusals that ``allowances`` name turned into warnings."""
        return replace(self, findings=tuple(allowed(found, allowances) for found in self.findings))

    def by_place(self) -> dict[str, list[Change]]:
        """Changes by account id or cluster ARN, in the order in which they are made."""
        found: dict[str, list[Change]] = {}
        for change in self.changes:
            found.setdefault(change.resource.place, []).append(change)
        return found


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan in the making: the file and the world it compares, and the unordered changes between them."""

    names: Names
    world: World
    want: Desired
    have: Mapping[ResourceId, Value]
    changes: tuple[Change, ...]
    unread: Mapping[str, str] = field(default_factory=dict)
    unresolved: tuple[Unresolved, ...] = ()


def compare(loaded: Loaded, world: World, now: datetime) -> Planned:
    """What would have to change for ``world`` to be as the file says, one change for each resource, in no order.

    An account or a cluster that could not be read whole is left out, and named in ``unread`` with the reason.

    A name that stands for nothing in AWS is in ``unresolved``, and what it says is left as it is.

    :raises ManifestError: if parts of the file contradict each other.
    """
    names = Names(loaded, world, now)
    want = desired(loaded, world, now, names)
    have = actual(world, scope_of(names))
    unread = dict(_unread(names, want))
    values = _as_written(want.values, have)
    ids = sorted(resource for resource in {*values, *have} if resource.place not in unread)
    idle = _shadowed(world)
    changes = []
    for resource in ids:
        before, after = have.get(resource), values.get(resource)
        if same_value(resource.kind, before, after):
            continue
        by = idle.get(resource)
        if after is None and by in values and same_value(by.kind, have.get(by), values[by]):
            # What shadows it stays as it is, so it gives nobody anything.
            continue
        changes.append(Change("", resource, before, after))
    return Planned(names, world, want, have, tuple(changes), unread, tuple(names.unresolved))


def ordered(planned: Planned) -> tuple[Change, ...]:
    """The changes in a safe order, each with what it needs; roles and mappings that the file does not name link too."""
    return order(planned.changes, {**linking(planned.world), **planned.have})


def _unread(names: Names, want: Desired) -> Iterable[tuple[str, str]]:
    for name, arn in names.clusters.items():
        state = names.world.clusters.get(arn)
        if state is None:
            yield arn, f"the cluster {name!r} was not read"
        elif state.unread:
            yield arn, state.unread[0]
    owned = {who.account for who in (*names.people.values(), *names.roles.values()) if who.owned}
    for account in owned - set(names.world.accounts):
        yield account, names.world.unread.get(account) or f"the account {account} was not read"


def _as_written(want: Mapping[ResourceId, Value], have: Mapping[ResourceId, Value]) -> dict[ResourceId, Value]:
    """Wanted values with an ARN as the cluster has it where both match the same: they are compared without case."""
    found = dict(want)
    for resource, value in want.items():
        there = have.get(resource)
        if there is not None and "arn" in value and value["arn"].lower() == _matched(resource, there["arn"]):
            found[resource] = {**value, "arn": there["arn"]}
    return found


def _matched(resource: ResourceId, arn: str) -> str:
    """What a mapping that says ``arn`` matches."""
    status = status_of(arn) if resource.kind is Kind.IDENTITY_MAPPING else None
    return status["canonicalARN"] if status else arn.lower()


def _shadowed(world: World) -> dict[ResourceId, ResourceId]:
    """Mappings that another one of the same kind on the same cluster hides, by what hides them.

    Roles are looked up before users, the last entry of one ARN wins (``pkg/mapper/configmap``); of several
    IAMIdentityMappings the first that is found.
    """
    found: dict[ResourceId, ResourceId] = {}
    for state in world.clusters.values():
        found |= _shadowed_on(state)
    return found


def _shadowed_on(state: ClusterState) -> Iterable[tuple[ResourceId, ResourceId]]:
    read = aws_auth_of(state)
    for arn in read.users.keys() & read.roles.keys():
        yield ResourceId(Kind.AWS_AUTH_USER, state.arn, arn), ResourceId(Kind.AWS_AUTH_ROLE, state.arn, arn)
    first: dict[str, str] = {}
    for mapping in state.identity_mappings:
        winner = first.setdefault(mapping.canonical_arn, mapping.name)
        if winner != mapping.name:
            hidden = ResourceId(Kind.IDENTITY_MAPPING, state.arn, mapping.name)
            yield hidden, ResourceId(Kind.IDENTITY_MAPPING, state.arn, winner)
