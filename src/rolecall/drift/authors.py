"""Who changed what, where something can say: CloudTrail for IAM and EKS, the cluster itself for aws-auth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from rolecall.arn import Arn
from rolecall.aws.trail import IAM_REGIONS, Parameters, Trail
from rolecall.clusters.aws_auth_changes import read_history
from rolecall.clusters.config_maps import ConfigMapState, read_config_map
from rolecall.clusters.connect import Connection
from rolecall.errors import RolecallError
from rolecall.mapping.editing.history import digest, last_made, outcomes
from rolecall.moments import write_moment
from rolecall.plan.resources import AWS_AUTH_SECTIONS, IAM_KINDS, Change, Kind, ResourceId
from rolecall.runs.live import Live

# The calls that make a resource what it is (API references of IAM and EKS), those that take it away last.
_EVENTS: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Kind.IAM_USER: (("CreateUser", "UpdateUser", "TagUser", "UntagUser"), ("DeleteUser", "UpdateUser")),
    Kind.IAM_ROLE: (
        ("UpdateAssumeRolePolicy", "CreateRole", "UpdateRole", "UpdateRoleDescription", "TagRole", "UntagRole"),
        ("DeleteRole",),
    ),
    Kind.IAM_ROLE_POLICY: (("PutRolePolicy",), ("DeleteRolePolicy",)),
    Kind.IAM_USER_POLICY: (("PutUserPolicy",), ("DeleteUserPolicy",)),
    Kind.ACCESS_ENTRY: (
        ("CreateAccessEntry", "UpdateAccessEntry", "AssociateAccessPolicy", "DisassociateAccessPolicy"),
        ("DeleteAccessEntry",),
    ),
}
NOBODY_SAYS = "rolecall does not read the cluster's audit log, which may know"


@dataclass(frozen=True, slots=True)
class Author:
    """Who changed something last.

    :param who: an ARN, or the name of the program that wrote.
    :param when: ISO 8601.
    :param how: what says so, and what was done.
    """

    who: str
    when: str
    how: str

    def to_json(self) -> dict[str, str]:
        return {"who": self.who, "when": self.when, "how": self.how}


class Authors:
    """Finds who changed what; each source is asked once, and one that refuses says why for all that it was asked."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._trails: dict[tuple[str, str], Trail | str] = {}
        self._clusters: dict[str, Author | str] = {}

    def of(self, change: Change) -> Author | str:
        """Who made a resource what it is in ``change.before``; or a text: why nobody can say."""
        resource = change.resource
        if resource.kind in AWS_AUTH_SECTIONS:
            key = f"{resource.place} {resource.kind}"
            if key not in self._clusters:
                self._clusters[key] = self._of_aws_auth(resource)
            return self._clusters[key]
        if resource.kind not in _EVENTS:
            return NOBODY_SAYS
        made, taken = _EVENTS[resource.kind]
        return self._of_trail(resource, taken if change.before is None else made)

    def _of_trail(self, resource: ResourceId, names: Iterable[str]) -> Author | str:
        try:
            account, region = self._where(resource)
        except RolecallError as error:
            return f"CloudTrail: {error.what}"
        trail = self._trails.get((account, region))
        try:
            if trail is None:
                client = self._live.clients.client(account, "cloudtrail", region)
                trail = self._trails[account, region] = Trail(client, f"CloudTrail of account {account}, {region}")
            if isinstance(trail, str):
                return trail
            event = trail.last(names, _about(resource))
        except RolecallError as error:
            why = f"CloudTrail: {error.what}"
            self._trails[account, region] = why
            return why
        if event is None:
            return "CloudTrail has no event about it in the last 90 days"
        return Author(event.who, write_moment(event.time), f"CloudTrail, {event.name}")

    def _where(self, resource: ResourceId) -> tuple[str, str]:
        if resource.kind in IAM_KINDS:
            partition = Arn.parse(self._live.clients.caller_arn(resource.place)).partition
            return resource.place, IAM_REGIONS.get(partition, "")
        cluster = Arn.parse(resource.place)
        return cluster.account, cluster.region

    def _of_aws_auth(self, resource: ResourceId) -> Author | str:
        try:
            connection = self._live.connections(resource.place)
            state = read_config_map(connection)
        except RolecallError as error:
            return f"the cluster: {error.what}"
        by_rolecall = _recorded(connection, state)
        if by_rolecall is not None:
            return by_rolecall
        return manager_of(state, AWS_AUTH_SECTIONS[resource.kind]) or "the ConfigMap does not say who wrote it"


def _recorded(connection: Connection, state: ConfigMapState) -> Author | None:
    """Who made the ConfigMap what it is, where that was ``rolecall aws-auth`` and nobody wrote since."""
    try:
        history = read_history(connection)
    except RolecallError:
        return None
    last = last_made(history, outcomes(history, state.data, state.version))
    if last is None or last.after != digest(state.data):
        return None
    why = f", because: {last.why}" if last.why else ""
    return Author(last.who, last.time, f"rolecall's history of aws-auth, change {last.number}: {last.what}{why}")


def manager_of(state: ConfigMapState, section: str) -> Author | None:
    """The program that last wrote a section of a ConfigMap (Kubernetes documentation, "Field Management")."""
    metadata = state.found.metadata if state.found else None
    entries = (metadata.managedFields if metadata else None) or []
    written = [(entry, _owns(entry.fieldsV1, section)) for entry in entries if entry.time and entry.manager]
    # Where nobody owns the section it was taken out, by the last writer.
    owners = [entry for entry, owns in written if owns] or [entry for entry, _ in written]
    if not owners:
        return None
    last = max(owners, key=lambda entry: str(_iso(entry.time)))
    return Author(str(last.manager), _iso(last.time), f"managedFields of the ConfigMap, {last.operation or 'Update'}")


def _owns(fields: Any, section: str) -> bool:
    data = fields.get("f:data") if isinstance(fields, Mapping) else None
    return isinstance(data, Mapping) and f"f:{section}" in data


def _iso(time: Any) -> str:
    return write_moment(time) if isinstance(time, datetime) else str(time)


def _about(resource: ResourceId) -> Callable[[Parameters], bool]:
    """Whether the parameters of a call are about a resource. IAM minds no case in names."""
    name, _, policy = resource.name.partition("/")
    match resource.kind:
        case Kind.IAM_USER:
            return lambda found: resource.name.lower() in (_lower(found, "userName"), _lower(found, "newUserName"))
        case Kind.IAM_ROLE:
            return lambda found: _lower(found, "roleName") == resource.name.lower()
        case Kind.IAM_ROLE_POLICY | Kind.IAM_USER_POLICY:
            owner = "userName" if resource.kind is Kind.IAM_USER_POLICY else "roleName"
            return lambda found: _lower(found, owner) == name.lower() and _lower(found, "policyName") == policy.lower()
        case _:
            cluster = Arn.parse(resource.place).resource.removeprefix("cluster/").lower()
            # The ARN is a part of the call's path, where its slashes and colons may be written as %2F and %3A.
            return lambda found: (
                cluster in (_lower(found, "name"), _lower(found, "clusterName"))
                and unquote(str(found.get("principalArn", ""))) == resource.name
            )


def _lower(found: Parameters, key: str) -> str:
    return str(found.get(key, "")).lower()
