"""Where clusters are and by whose certificate they are known, asked with the credentials of those who use them.

EKS describes a cluster to principals of the cluster's own account alone (EKS user guide, "Cross-account access").
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rolecall.access.read_world import WORKERS, ClusterAddress, Progress, threads
from rolecall.aws.errors import AwsError
from rolecall.aws.read_clusters import EksCluster, describe_cluster
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.errors import RolecallError

# EKS API reference, Cluster: a cluster that is being updated answers all the same.
_ANSWERING = frozenset({"ACTIVE", "UPDATING"})
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What was found.

    :param refused: credentials that could not be had, with the reason.
    """

    clusters: Mapping[ClusterAddress, EksCluster | RolecallError] = field(default_factory=dict)
    refused: Mapping[AccountAccess, RolecallError] = field(default_factory=dict)


def read_endpoints(
    clusters: Mapping[ClusterAddress, Sequence[AccountAccess]],
    logins: Iterable[AccountAccess],
    *,
    known: Mapping[ClusterAddress, EksCluster] | None = None,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> Endpoints:
    """Describe clusters, each by the first of its credentials that may; one that fails does not stop the rest.

    :param clusters: with the credentials to try, in this order; those of other accounts are not tried.
    :param logins: credentials that are tried out whether or not a cluster needs them to be described.
    :param known: clusters that were described already.
    """
    wanted = dict.fromkeys((*logins, *(access for tried in clusters.values() for access in tried)))
    done, lock, total = 0, threading.Lock(), len(wanted) + len(clusters)

    def counted(work: Callable[[_Item], None], name: str) -> Callable[[_Item], None]:
        def run(item: _Item) -> None:
            nonlocal done
            work(item)
            with lock:
                done += 1
                if progress is not None:
                    progress(done, total, name)

        return run

    able: dict[AccountAccess, AwsClients] = {}
    refused: dict[AccountAccess, RolecallError] = {}
    found: dict[ClusterAddress, EksCluster | RolecallError] = {}

    def log_in(access: AccountAccess) -> None:
        clients = AwsClients([access])
        try:
            clients.caller(access.account)
        except RolecallError as error:
            refused[access] = error
        else:
            able[access] = clients

    def describe(address: ClusterAddress) -> None:
        tried = [(access, able[access]) for access in clusters[address] if access in able]
        cluster = (known or {}).get(address) or _described(address, tried)
        if isinstance(cluster, EksCluster) and not (cluster.endpoint and cluster.status in _ANSWERING):
            cluster = AwsError(f"it is {cluster.status or 'without an endpoint'}", where=f"cluster {address.name}")
        found[address] = cluster

    with threads(workers) as pool:
        # All of the credentials first: a cluster is described by whichever of them could be had.
        list(pool.map(counted(log_in, "credentials"), wanted))
        list(pool.map(counted(describe, "clusters"), clusters))
    return Endpoints(found, refused)


def _described(
    address: ClusterAddress, tried: Iterable[tuple[AccountAccess, AwsClients]]
) -> EksCluster | RolecallError:
    error: RolecallError = AwsError(
        f"none of your credentials is of account {address.account}, and EKS describes a cluster to no other",
        where=f"cluster {address.name}",
        advice="name a profile of that account with --profile",
    )
    for access, clients in tried:
        if access.account != address.account:
            continue
        try:
            return describe_cluster(clients, address.account, address.region, address.name)
        except RolecallError as denied:
            error = denied
    return error
