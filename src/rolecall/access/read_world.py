"""Read accounts and clusters side by side; what fails is reported and does not stop the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from rolecall.access.principals import entry_principal_id
from rolecall.access.world import ClusterState, World
from rolecall.arn import PARTITIONS, PrincipalArn
from rolecall.aws.read_account import read_account
from rolecall.aws.read_clusters import DatedEntry, EksCluster, describe_cluster, list_clusters, read_entries
from rolecall.aws.session import AwsClients, principal_behind
from rolecall.clusters.connect import Connection, connect_context, connect_eks
from rolecall.clusters.read_cluster import KubernetesState, RuleShare, read_cluster
from rolecall.errors import RolecallError
from rolecall.iam.account import Account

# Calls wait for the network most of their time; more at once only meets the throttling of the accounts' APIs.
WORKERS = 12
Progress = Callable[[int, int, str], None]
_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, order=True)
class ClusterAddress:
    """Where a cluster is.

    :param context: of a kubeconfig, by which its Kubernetes API is reached; empty: by what EKS says of it.
    """

    account: str
    region: str
    name: str
    context: str = field(default="", compare=False)

    @property
    def arn(self) -> str:
        """Its ARN, in the partition of its region; ``aws`` for a region that no partition claims."""
        found = (p.name for p in PARTITIONS.values() if p.region_pattern.fullmatch(self.region))
        return f"arn:{next(found, 'aws')}:eks:{self.region}:{self.account}:cluster/{self.name}"


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be read at all: an account, or the list of its clusters in a region.

    :param place: the account's id, or ``ACCOUNT REGION``.
    """

    place: str
    error: RolecallError


@dataclass(frozen=True, slots=True)
class Reading:
    """The world as far as it could be read.

    :param clusters: what EKS said about each cluster that it knows, by ARN, for connecting to them afterwards.
    :param failures: accounts that could not be read. A cluster's own failures are in its ``unread``.
    """

    world: World
    clusters: Mapping[str, EksCluster] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def find_clusters(
    clients: AwsClients, places: Iterable[tuple[str, str]], *, workers: int = WORKERS
) -> tuple[tuple[ClusterAddress, ...], tuple[Failure, ...]]:
    """The clusters of pairs of an account and a region, and which of the pairs could not be listed."""
    places = tuple(places)
    found: list[ClusterAddress] = []
    failures: list[Failure] = []
    with threads(workers) as pool:
        listed = pool.map(_attempt(lambda place: list_clusters(clients, *place)), places)
        for (account, region), names in zip(places, listed, strict=True):
            if isinstance(names, RolecallError):
                failures.append(Failure(f"{account} {region}", names))
            else:
                found += (ClusterAddress(account, region, name) for name in names)
    return tuple(sorted(found)), tuple(failures)


def read_world(
    clients: AwsClients,
    clusters: Iterable[ClusterAddress],
    now: datetime,
    *,
    with_rbac: bool = True,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> Reading:
    """Everything that access through ``clusters`` depends on: all accounts that ``clients`` reaches, and the clusters.

    :param with_rbac: whether to read the clusters' roles and bindings too.
    :param workers: how many accounts and clusters are read at once; as many calls for access entries beside them.
    :param progress: called with how many are done, how many there are, and what was just done; by one thread at a time.
    """
    addresses, accounts = tuple(sorted(set(clusters))), clients.accounts
    tick = _Ticker(progress, len(accounts) + len(addresses))
    with threads(workers) as pool, threads(workers) as calls:
        # First whose the credentials are: an account that cannot be reached is asked once, not for each cluster.
        callers = dict(zip(accounts, pool.map(_attempt(clients.caller_arn), accounts), strict=True))
        known = [account for account, arn in callers.items() if isinstance(arn, str)]
        behind = pool.map(lambda account: principal_behind(clients, account), known)
        reader = _ClusterReader(clients, callers, calls, with_rbac)
        reading_accounts = pool.map(tick(_attempt(lambda a: _account(clients, callers, a)), "account {}"), accounts)
        reading_clusters = pool.map(tick(reader.read, "cluster {0.name}"), addresses)
        read_accounts = dict(zip(accounts, reading_accounts, strict=True))
        states = tuple(reading_clusters)
        sources = dict(zip(known, behind, strict=True))
    found = {account: read for account, read in read_accounts.items() if isinstance(read, Account)}
    failures = tuple(
        Failure(account, read) for account, read in read_accounts.items() if isinstance(read, RolecallError)
    )
    world = World(
        now,
        found,
        {read.state.arn: read.bound(found) for read in states},
        next((arn for arn in callers.values() if isinstance(arn, str)), ""),
        {account: arn for account, arn in callers.items() if isinstance(arn, str)},
        {account: arn for account, arn in sources.items() if arn},
        {account: name for account in known if (name := PrincipalArn.parse(clients.caller(account).arn).session)},
        {failure.place: failure.error.in_one_line for failure in failures},
    )
    described = (read.cluster for read in states if read.cluster is not None)
    return Reading(world, {cluster.arn: cluster for cluster in described}, failures)


def _account(clients: AwsClients, callers: Mapping[str, str | RolecallError], account: str) -> Account:
    if isinstance(error := callers[account], RolecallError):
        raise error
    return read_account(clients, account)


@dataclass(frozen=True, slots=True)
class _ReadCluster:
    """A cluster as read, its entries not yet bound to principals: for that all accounts must have been read."""

    state: ClusterState
    cluster: EksCluster | None = None
    entries: tuple[DatedEntry, ...] = ()

    def bound(self, accounts: Mapping[str, Account]) -> ClusterState:
        bound = (
            replace(dated.entry, principal_id=entry_principal_id(accounts, dated.entry.principal_arn, dated.created))
            for dated in self.entries
        )
        return replace(self.state, entries=tuple(bound))


class _ClusterReader:
    """Reads clusters, each with its errors."""

    def __init__(
        self, clients: AwsClients, callers: Mapping[str, str | RolecallError], calls: Executor, with_rbac: bool
    ) -> None:
        self._clients, self._callers, self._calls, self._with_rbac = clients, callers, calls, with_rbac
        self._share = RuleShare()

    def read(self, address: ClusterAddress) -> _ReadCluster:
        """A cluster as far as it can be read."""
        empty = ClusterState(address.arn, address.name, address.account, address.region)
        if isinstance(refused := self._callers.get(address.account), RolecallError):
            return _ReadCluster(replace(empty, unread=(refused.in_one_line,)))
        try:
            cluster = describe_cluster(self._clients, address.account, address.region, address.name)
        except RolecallError as error:
            return _ReadCluster(replace(empty, unread=(error.in_one_line,)))
        unread: list[str] = []
        entries: tuple[DatedEntry, ...] = ()
        kubernetes = KubernetesState()
        try:
            entries = read_entries(self._clients, cluster, self._calls)
        except RolecallError as error:
            unread.append(error.in_one_line)
        try:
            kubernetes = self._kubernetes(cluster, address.context)
        except RolecallError as error:
            unread.append(error.in_one_line)
        state = ClusterState(
            cluster.arn,
            cluster.name,
            cluster.account,
            cluster.region,
            cluster.mode,
            kubernetes.aws_auth,
            kubernetes.aws_auth_version,
            (),
            kubernetes.identity_mappings,
            kubernetes.roles,
            kubernetes.bindings,
            kubernetes.managed_bindings,
            unread=(*unread, *kubernetes.unread),
            namespaces=kubernetes.namespaces,
        )
        return _ReadCluster(state, cluster, entries)

    def _kubernetes(self, cluster: EksCluster, context: str) -> KubernetesState:
        reads_config_map = cluster.mode.reads_config_map
        if not (reads_config_map or self._with_rbac):
            return KubernetesState()
        connected = connect_context(context) if context else connect_cluster(self._clients, cluster)
        with closing(connected) as connection:
            return read_cluster(
                connection.client,
                cluster.arn,
                with_aws_auth=reads_config_map,
                with_rbac=self._with_rbac,
                share=self._share,
            )


def connect_cluster(clients: AwsClients, cluster: EksCluster) -> Connection:
    """A connection to a cluster with tokens made from its account's credentials."""
    return connect_eks(
        cluster.name,
        cluster.endpoint,
        cluster.certificate_authority,
        lambda: clients.credentials(cluster.account),
        region=cluster.region,
        sts_endpoint=clients.endpoint(cluster.account, "sts", cluster.region),
    )


def _attempt(work: Callable[[_Item], _Found]) -> Callable[[_Item], _Found | RolecallError]:
    """``work`` that gives its error back instead of raising it."""

    def attempted(item: _Item) -> _Found | RolecallError:
        try:
            return work(item)
        except RolecallError as error:
            return error

    return attempted


@contextmanager
def threads(workers: int) -> Iterator[Executor]:
    """A pool that does not start what still waits once somebody has interrupted."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


class _Ticker:
    """Counts what is done and says so, by one thread at a time."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        self._lock = threading.Lock()

    def __call__(self, work: Callable[[_Item], _Found], text: str) -> Callable[[_Item], _Found]:
        """``work`` that is counted when it is done; ``text`` names it from its argument."""
        if (progress := self._progress) is None:
            return work

        def counted(item: _Item) -> _Found:
            found = work(item)
            with self._lock:
                self._done += 1
                progress(self._done, self._total, text.format(item))
            return found

        return counted
