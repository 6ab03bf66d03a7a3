"""How the accounts and clusters of a plan or a run are reached, kept as plain values beside it; never a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any

from rolecall.access.read_world import ClusterAddress, Progress, Reading, connect_cluster, read_world
from rolecall.arn import Arn
from rolecall.aws.read_clusters import describe_cluster
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.clusters.connect import Connection, connect_context
from rolecall.errors import RolecallError
from rolecall.runs.live import Connections, Live

MAX_ACCOUNTS = 10_000


@contextmanager
def reached(reach: Mapping[str, Any]) -> Iterator[Live]:
    """The world behind ``{accounts: [AccountAccess as JSON], contexts: {cluster ARN: context}, ...}``.

    A cluster is reached by its context where it has one, else by what EKS says of it.
    """
    clients = AwsClients(_accesses(reach.get("accounts")))
    contexts = reach.get("contexts") or {}

    def connect(arn: str) -> Connection:
        if isinstance(context := contexts.get(arn), str):
            return connect_context(context)
        cluster = Arn.parse(arn)
        name = cluster.resource.removeprefix("cluster/")
        return connect_cluster(clients, describe_cluster(clients, cluster.account, cluster.region, name))

    connections = Connections(connect)
    try:
        yield Live(clients, connections)
    finally:
        connections.close()


def read_reached(
    reach: Mapping[str, Any], places: Iterable[str], now: datetime, progress: Progress | None = None
) -> Reading:
    """All accounts behind ``reach``, and those clusters whose ARNs are in ``places``."""
    contexts = reach.get("contexts") or {}
    addresses = []
    for place in sorted(one for one in set(places) if one.startswith("arn:")):
        cluster, context = Arn.parse(place), contexts.get(place)
        name = cluster.resource.removeprefix("cluster/")
        addresses.append(
            ClusterAddress(cluster.account, cluster.region, name, context if isinstance(context, str) else "")
        )
    return read_world(AwsClients(_accesses(reach.get("accounts"))), addresses, now, progress=progress)


def labels(reach: Mapping[str, Any]) -> dict[str, str]:
    """By ARN, what the file that a plan was made from calls its clusters."""
    found = reach.get("clusters")
    if not isinstance(found, dict):
        return {}
    return {arn: name for arn, name in found.items() if isinstance(name, str)}


def _accesses(found: Any) -> Iterator[AccountAccess]:
    known = {field.name for field in fields(AccountAccess)}
    if not isinstance(found, list) or len(found) > MAX_ACCOUNTS:
        raise RolecallError("nothing says how its accounts are reached", advice="make the plan again: rolecall plan")
    for one in found:
        values = all(key in known and isinstance(value, str) for key, value in one.items())
        if not isinstance(one, dict) or not values or "account" not in one:
            raise RolecallError("it names an account in a way that is not known", advice="make the plan again")
        yield AccountAccess(**one)
