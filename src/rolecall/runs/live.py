"""The world as it is now, one resource at a time: read, compared, and changed only from what a plan expects.

Between the look and the write somebody else may be faster: a cluster's API refuses such a write, and the look is taken
again. IAM and EKS have no such check (their APIs take no version); there the time between is one call's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rolecall.arn import Arn
from rolecall.aws import iam_resources
from rolecall.aws.eks_access_entries import write_entry
from rolecall.aws.errors import ABSENT, OVERTAKEN, AwsError, explained
from rolecall.aws.eventual import settles
from rolecall.aws.read_clusters import read_entry
from rolecall.aws.session import AwsClients
from rolecall.clusters.config_maps import edit_config_map, read_config_map, retry_conflicts
from rolecall.clusters.connect import Connection
from rolecall.clusters.objects import CLUSTER_ROLE_BINDING, IDENTITY_MAPPING, ROLE_BINDING, ObjectKind, find, store
from rolecall.errors import RolecallError
from rolecall.mapping.editing.aws_auth_text import Removed, remove_entry, restore_entries, set_entry
from rolecall.mapping.editing.sections import checked, fields
from rolecall.mapping.reading.aws_auth import AwsAuthEntry, parse_aws_auth
from rolecall.plan.actual import aws_auth_value, entry_value
from rolecall.plan.resources import AWS_AUTH_SECTIONS, IAM_KINDS, Change, Kind, ResourceId, Value
from rolecall.runs.apply import Outcome, compared
from rolecall.runs.journal import State

_OBJECTS: Mapping[Kind, ObjectKind] = {
    Kind.CLUSTER_ROLE_BINDING: CLUSTER_ROLE_BINDING,
    Kind.ROLE_BINDING: ROLE_BINDING,
    Kind.IDENTITY_MAPPING: IDENTITY_MAPPING,
}
CHANGED_SINCE = "it is neither what the plan found nor what it wants: somebody changed it since; plan again"


class Connections:
    """Connections to clusters by ARN, each made once and when it is first needed. Safe to share by threads."""

    def __init__(self, connect: Callable[[str], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._found: dict[str, Connection] = {}

    def __call__(self, cluster: str) -> Connection:
        with self._lock:
            lock = self._locks.setdefault(cluster, threading.Lock())
        with lock:
            if cluster not in self._found:
                self._found[cluster] = self._connect(cluster)
            return self._found[cluster]

    def close(self) -> None:
        """Close all of them."""
        for connection in self._found.values():
            connection.close()


@dataclass(frozen=True, slots=True)
class Live:
    """Accounts and clusters that can be read and changed; see :class:`rolecall.runs.apply.Resources`."""

    clients: AwsClients
    connections: Connections

    def read(self, resource: ResourceId) -> Value | None:
        """A resource's value now, ``None`` where there is none."""
        kind = resource.kind
        if kind in AWS_AUTH_SECTIONS:
            return entry_in_force(read_config_map(self.connections(resource.place)).data, resource)
        if kind in _OBJECTS:
            namespace, name = _object_name(resource)
            client = self.connections(resource.place).client
            return find(client, resource.place, _OBJECTS[kind], name, namespace).value
        if kind in IAM_KINDS:
            with explained(str(resource)):
                return _read_iam(self.clients.client(resource.place, "iam"), resource)
        with explained(str(resource)):
            found = read_entry(self._eks(resource), _cluster_name(resource), resource.name)
        return None if found is None else entry_value(found.entry)

    def _eks(self, resource: ResourceId) -> Any:
        cluster = Arn.parse(resource.place)
        return self.clients.client(cluster.account, "eks", cluster.region)

    def change(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Make changes: several of one cluster's aws-auth as one write, of any other kind one."""
        if changes[0].resource.kind in AWS_AUTH_SECTIONS:
            return self._change_aws_auth(changes)
        (change,) = changes
        return (self._change_object(change) if change.resource.kind in _OBJECTS else self._change_aws(change),)

    def _change_aws(self, change: Change) -> Outcome:
        try:
            return self._attempt(change)
        except AwsError as error:
            # Of two who make, or remove, the same at the same moment one is refused, and there is nothing left to do.
            def ended() -> bool:
                return compared(change, self.read(change.resource)) is not None

            if (error.code in OVERTAKEN and settles(ended)) or (error.code in ABSENT and ended()):
                return self._attempt(change)
            raise

    def _attempt(self, change: Change) -> Outcome:
        resource = change.resource
        current = self.read(resource)
        if (state := compared(change, current)) is not None:
            return _ended(change, state)
        with explained(str(resource)):
            if resource.kind is Kind.ACCESS_ENTRY:
                write_entry(self._eks(resource), _cluster_name(resource), resource.name, current, change.after)
            else:
                _write_iam(self.clients.client(resource.place, "iam"), change, current)
        return Outcome(change, State.DONE)

    def _change_object(self, change: Change) -> Outcome:
        resource, kind = change.resource, _OBJECTS[change.resource.kind]
        namespace, name = _object_name(resource)
        client = self.connections(resource.place).client

        def attempt() -> Outcome:
            stored = find(client, resource.place, kind, name, namespace)
            if (state := compared(change, stored.value)) is not None:
                return _ended(change, state)
            store(client, resource.place, kind, name, stored, change.after, namespace)
            return Outcome(change, State.DONE)

        return retry_conflicts(attempt, str(resource))

    def _change_aws_auth(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []

        def edit(data: Mapping[str, str]) -> Mapping[str, str]:
            outcomes.clear()
            for change in changes:
                data, outcome = edited(data, change)
                outcomes.append(outcome)
            return data

        edit_config_map(self.connections(changes[0].resource.place), edit)
        return outcomes


def edited(data: Mapping[str, str], change: Change) -> tuple[Mapping[str, str], Outcome]:
    """The ``data`` of aws-auth with one change made, and how that went; pure."""
    section, after = AWS_AUTH_SECTIONS[change.resource.kind], change.after
    if (state := compared(change, entry_in_force(data, change.resource))) is not None:
        return data, _ended(change, state)
    if after is None:
        new, removed = remove_entry(data, section, change.resource.name)
        return new, Outcome(change, State.DONE, restore=json.dumps(removed.as_json(), separators=(",", ":")))
    if change.text and (restored := _put_back(data, change)) is not None:
        return restored, Outcome(change, State.DONE)
    return set_entry(data, section, after["arn"], after["username"], after["groups"]), Outcome(change, State.DONE)


def _put_back(data: Mapping[str, str], change: Change) -> Mapping[str, str] | None:
    """The ``data`` with an entry put back as it was written; ``None`` if that would do anything that was not shown.

    What a journal kept is text. So all entries are compared before and after: the principal's own must say what the
    change says, and every other one, of every section, what it said.
    """
    section, after = AWS_AUTH_SECTIONS[change.resource.kind], change.after
    try:
        restored = restore_entries(data, Removed.from_json(json.loads(change.text)))
        old, new = parse_aws_auth(data), parse_aws_auth(restored)
        own = [entry for entry in new.entries if _is_of(entry, section, change)]
        rest = [entry for entry in new.entries if not _is_of(entry, section, change)]
        same = [(entry.section, *fields(entry)) for entry in rest] == [(e.section, *fields(e)) for e in old.entries]
        others = _without(restored, section)
        if not (own and same and new.accounts == old.accounts and others == _without(data, section)):
            return None
        if any(aws_auth_value(entry) != after for entry in own):
            return None
        # The same once more as plain YAML, unknown fields included.
        section_of_new = [fields(entry) for entry in new.entries if entry.section == section]
        return checked(data, section, restored[section], section_of_new)
    except (RolecallError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _without(data: Mapping[str, str], section: str) -> dict[str, str]:
    return {key: text for key, text in data.items() if key != section}


def _is_of(entry: AwsAuthEntry, section: str, change: Change) -> bool:
    return entry.section == section and entry.arn.lower() == change.resource.name


def entry_in_force(data: Mapping[str, str], resource: ResourceId) -> Value | None:
    """The value of an aws-auth resource: the entry in force, the last of its ARN."""
    found = parse_aws_auth(data)
    entry = (found.roles if resource.kind is Kind.AWS_AUTH_ROLE else found.users).get(resource.name)
    return None if entry is None else aws_auth_value(entry)


def _ended(change: Change, state: State) -> Outcome:
    return Outcome(change, state, CHANGED_SINCE if state is State.CONFLICT else "")


def _cluster_name(resource: ResourceId) -> str:
    return Arn.parse(resource.place).resource.removeprefix("cluster/")


def _object_name(resource: ResourceId) -> tuple[str, str]:
    """Namespace and name; no namespace for what belongs to the whole cluster."""
    if resource.kind is not Kind.ROLE_BINDING:
        return "", resource.name
    namespace, _, name = resource.name.partition("/")
    return namespace, name


def _read_iam(iam: Any, resource: ResourceId) -> Value | None:
    match resource.kind:
        case Kind.IAM_USER:
            return iam_resources.read_user(iam, resource.name)
        case Kind.IAM_ROLE:
            return iam_resources.read_role(iam, resource.name)
        case _:
            owner, _, policy = resource.name.partition("/")
            of_user = resource.kind is Kind.IAM_USER_POLICY
            read = iam_resources.read_user_policy if of_user else iam_resources.read_role_policy
            return read(iam, owner, policy)


def _write_iam(iam: Any, change: Change, current: Value | None) -> None:
    name, after = change.resource.name, change.after
    match change.resource.kind:
        case Kind.IAM_USER:
            iam_resources.write_user(iam, name, current, after)
        case Kind.IAM_ROLE:
            iam_resources.write_role(iam, name, current, after)
        case _:
            owner, _, policy = name.partition("/")
            of_user = change.resource.kind is Kind.IAM_USER_POLICY
            write = iam_resources.write_user_policy if of_user else iam_resources.write_role_policy
            write(iam, owner, policy, after)
