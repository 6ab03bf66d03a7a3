"""Read the accounts and clusters that a manifest names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from rolecall.access.read_world import ClusterAddress, Reading, read_world
from rolecall.access.world import World
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.cli.progress import Progress
from rolecall.errors import RolecallError
from rolecall.manifest.explain_errors import nearest
from rolecall.manifest.load import Loaded
from rolecall.manifest.references import matching_clusters
from rolecall.manifest.schema import Manifest


@dataclass(frozen=True, slots=True)
class ManifestWorld:
    """What was read for a manifest.

    :param places: account ids and cluster ARNs to which the command is limited; ``None``: no limit.
    :param contexts: by a cluster's ARN, the context of a kubeconfig by which it is reached, where the file names one.
    :param labels: by the ARN of each cluster that was read, its name in the file.
    """

    reading: Reading
    clients: AwsClients
    accesses: tuple[AccountAccess, ...]
    places: frozenset[str] | None
    contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.reading.world

    @property
    def reach(self) -> dict[str, Any]:
        """How its accounts and clusters are reached, for a plan that is applied later."""
        return {
            "accounts": [asdict(access) for access in self.accesses],
            "contexts": dict(self.contexts),
            "clusters": dict(self.labels),
        }


def read_manifest_world(
    loaded: Loaded,
    *,
    accounts: Sequence[str] = (),
    clusters: Sequence[str] = (),
    quiet: bool = False,
    profile: str = "",
    region: str = "",
) -> ManifestWorld:
    """The world that ``loaded`` is about.

    :param accounts: names or ids; where given, only these are planned for, with the clusters in them.
    :param clusters: names or patterns; where given, only these clusters are read and planned for.
    :param profile: of the accounts for which the file names none; ``region`` likewise.
    :raises RolecallError: nothing could be read.
    """
    manifest = loaded.manifest
    wanted_accounts = _accounts(manifest, accounts)
    wanted_clusters = _clusters(manifest, clusters, wanted_accounts if accounts else None)
    reached = tuple(accesses(manifest, profile, region))
    clients = AwsClients(reached)
    addresses = [address(manifest, name) for name in wanted_clusters]
    progress = Progress("reading accounts and clusters")
    try:
        reading = read_world(clients, addresses, datetime.now(UTC), progress=None if quiet else progress)
    finally:
        progress.end()
    if (error := nothing_read(reading)) is not None:
        raise error
    places = frozenset((*wanted_accounts, *(one.arn for one in addresses))) if accounts or clusters else None
    contexts = {one.arn: one.context for one in addresses if one.context}
    labels = {one.arn: name for name, one in zip(wanted_clusters, addresses, strict=True)}
    return ManifestWorld(reading, clients, reached, places, contexts, labels)


def nothing_read(reading: Reading) -> RolecallError | None:
    """One error if nothing at all could be read, each cause once; ``None`` if anything was read."""
    world = reading.world
    if world.accounts or any(not state.unread for state in world.clusters.values()):
        return None
    causes: dict[tuple[str, str], list[str]] = {}
    for failure in reading.failures:
        causes.setdefault((failure.error.what, failure.error.advice), []).append(f"account {failure.place}")
    if not causes:
        unread = {state.unread[0]: "" for state in world.clusters.values() if state.unread}
        causes = {(why, ""): [] for why in unread}
    if not causes:
        return None
    (what, advice), *_ = causes
    if len(causes) == 1:
        return RolecallError(f"nothing could be read: {what}", where=", ".join(*causes.values()), advice=advice)
    lines = "".join(f"\n  {', '.join(places)}: {what}" for (what, _), places in causes.items())
    return RolecallError(f"nothing could be read:{lines}")


def accesses(manifest: Manifest, profile: str = "", region: str = "") -> list[AccountAccess]:
    """How the accounts are reached that something of the manifest lies in; one that is only trusted is not read."""
    used = {person.account for person in manifest.people.values()}
    used |= {role.account for role in manifest.roles.values()}
    used |= {cluster.account for cluster in manifest.clusters.values()}
    regions = {cluster.account: cluster.region for cluster in reversed(manifest.clusters.values())}
    return [
        AccountAccess(
            account.id,
            account.profile or profile,
            account.role_arn or "",
            account.external_id or "",
            account.region or region or regions.get(name, ""),
        )
        for name, account in manifest.accounts.items()
        if name in used
    ]


def address(manifest: Manifest, name: str) -> ClusterAddress:
    """Where a cluster of the manifest is."""
    cluster = manifest.clusters[name]
    ident = manifest.accounts[cluster.account].id
    return ClusterAddress(ident, cluster.region, cluster.name or name, cluster.context or "")


def _accounts(manifest: Manifest, names: Sequence[str]) -> set[str]:
    ids = {name: account.id for name, account in manifest.accounts.items()}
    if not names:
        return set(ids.values())
    for name in names:
        if name not in ids and name not in ids.values():
            raise RolecallError(f"there is no account {name!r} in the file", advice=nearest(name, list(ids)))
    return {ids.get(name, name) for name in names}


def _clusters(manifest: Manifest, patterns: Sequence[str], accounts: set[str] | None) -> list[str]:
    found = dict.fromkeys(name for pattern in patterns for name in matching_clusters(manifest, pattern))
    for pattern in patterns:
        if not matching_clusters(manifest, pattern):
            known = list(manifest.clusters)
            raise RolecallError(f"no cluster in the file matches {pattern!r}", advice=nearest(pattern, known))
    names = list(found) if patterns else list(manifest.clusters)
    return [n for n in names if accounts is None or manifest.accounts[manifest.clusters[n].account].id in accounts]
