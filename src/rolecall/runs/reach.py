"""How the accounts and clusters of a plan or a run are reached, kept as plain values beside it; never a secret."""

from __future__ import annotations

import re
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
from rolecall.visible import visible

MAX_ACCOUNTS = 10_000
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)


@contextmanager
def reached(reach: Mapping[str, Any]) -> Iterator[Live]:
    """The world behind ``{accounts: [AccountAccess as JSON], contexts: {cluster ARN: context}, ...}``.

    A cluster is reached by its context where it has one, else by what EKS says of it.
    """
    clients = AwsClients(_accesses(reach.get("accounts")))
    contexts = _texts(reach, "contexts")

    def connect(arn: str) -> Connection:
        if (context := contexts.get(arn)) is not None:
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
    contexts = _texts(reach, "contexts")
    addresses = []
    for place in sorted(one for one in set(places) if one.startswith("arn:")):
        cluster = Arn.parse(place)
        name = cluster.resource.removeprefix("cluster/")
        addresses.append(ClusterAddress(cluster.account, cluster.region, name, contexts.get(place, "")))
    return read_world(AwsClients(_accesses(reach.get("accounts"))), addresses, now, progress=progress)


def reach_lines(reach: Mapping[str, Any], places: Iterable[str]) -> Iterator[str]:
    """In words, how those of ``places`` are reached that are not reached in the usual way, and what they are called.

    The usual way: by the environment's credentials, and by what EKS says of a cluster. Nothing is said of that.
    """
    lines = [*_reach_lines(reach, sorted(set(places)))]
    if lines:
        yield "Reached"
        yield from (f"  {visible(line)}" for line in lines)


def _reach_lines(reach: Mapping[str, Any], places: Iterable[str]) -> Iterator[str]:
    contexts, names = _texts(reach, "contexts"), labels(reach)
    clusters = [place for place in places if place.startswith("arn:")]
    accounts = {*(place for place in places if not place.startswith("arn:")), *(Arn.parse(c).account for c in clusters)}
    for access in _accesses(reach.get("accounts")):
        how = {"profile": access.profile, "role": access.role_arn, "external id": access.external_id}
        if access.session_name != AccountAccess(access.account).session_name:
            how["session name"] = access.session_name
        words = ", ".join(f"{what} {value}" for what, value in how.items() if value)
        if words and access.account in accounts:
            yield f"account {access.account} by {words}"
    for arn in clusters:
        name = Arn.parse(arn).resource.removeprefix("cluster/")
        called = f', called "{names[arn]}" here' if names.get(arn, name) != name else ""
        context = f' by context "{contexts[arn]}"' if arn in contexts else ""
        if called or context:
            yield f"cluster {arn}{context}{called}"


def with_defaults(reach: Mapping[str, Any], profile: str, region: str) -> Mapping[str, Any]:
    """``reach`` with a profile and a region for the accounts that name none."""
    if not (profile or region) or not isinstance(found := reach.get("accounts"), list):
        return reach
    accounts = [
        {**one, "profile": one.get("profile") or profile, "region": one.get("region") or region}
        for one in found
        if isinstance(one, dict)
    ]
    return {**reach, "accounts": accounts}


def labels(reach: Mapping[str, Any]) -> dict[str, str]:
    """By ARN, what the file that a plan was made from calls its clusters."""
    return _texts(reach, "clusters")


def _texts(reach: Mapping[str, Any], member: str) -> dict[str, str]:
    found = reach.get(member)
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _accesses(found: Any) -> Iterator[AccountAccess]:
    known = {field.name for field in fields(AccountAccess)}
    if not isinstance(found, list) or len(found) > MAX_ACCOUNTS:
        raise RolecallError("nothing says how its accounts are reached", advice="make the plan again: rolecall plan")
    for one in found:
        known_only = isinstance(one, dict) and all(k in known and isinstance(v, str) for k, v in one.items())
        if not known_only or not _ACCOUNT.fullmatch(one.get("account", "")):
            raise RolecallError("it names an account in a way that is not known", advice="make the plan again")
        yield AccountAccess(**one)
