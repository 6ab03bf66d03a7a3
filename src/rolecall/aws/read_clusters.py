"""What EKS knows about clusters: where they are, how they map identities, and their access entries.

EKS has no call that gives all entries of a cluster: it lists their principals, and each entry and its policies are a
call of their own (EKS API reference). Those run beside each other, in the pool that the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from rolecall.aws.errors import ABSENT, AwsError, explained
from rolecall.aws.session import AwsClients
from rolecall.iam.account import NONE
from rolecall.mapping.access_entries import MAX_ENTRIES, AccessEntry, AssociatedPolicy, EntryType, ScopeType
from rolecall.mapping.resolve import AuthenticationMode

PAGE = 100
MAX_CLUSTERS = 10_000
_Known = TypeVar("_Known", bound=StrEnum)
# EKS user guide, "Access policies": only these types of entries can have any.
_WITH_POLICIES = (EntryType.STANDARD, EntryType.EC2)


@dataclass(frozen=True, slots=True)
class EksCluster:
    """A cluster as EKS describes it.

    :param endpoint: URL of its Kubernetes API; empty while it is being made.
    :param certificate_authority: the CA's certificate as base64 of PEM, as EKS gives it.
    :param status: ``ACTIVE``, ``CREATING``, ``FAILED`` ...
    """

    arn: str
    name: str
    account: str
    region: str
    endpoint: str
    certificate_authority: str
    mode: AuthenticationMode
    status: str = "ACTIVE"
    version: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: NONE)


@dataclass(frozen=True, slots=True)
class DatedEntry:
    """An access entry, without the id of its principal, and when it was made: EKS shows the one but not the other."""

    entry: AccessEntry
    created: datetime


def list_clusters(clients: AwsClients, account: str, region: str) -> tuple[str, ...]:
    """The names of an account's clusters in a region."""
    where = f"account {account}, region {region}"
    eks = clients.client(account, "eks", region)
    with explained(where):
        return tuple(_listed(eks.list_clusters, "clusters", MAX_CLUSTERS, where))


def describe_cluster(clients: AwsClients, account: str, region: str, name: str) -> EksCluster:
    """A cluster; :class:`AwsError` with code ``ResourceNotFoundException`` where there is none."""
    eks = clients.client(account, "eks", region)
    with explained(f"cluster {name} in account {account}, region {region}"):
        found = eks.describe_cluster(name=name)["cluster"]
    return EksCluster(
        found["arn"],
        found["name"],
        account,
        region,
        found.get("endpoint", ""),
        (found.get("certificateAuthority") or {}).get("data", ""),
        # EKS API reference, AccessConfigResponse: clusters from before access entries have a ConfigMap alone.
        _known(
            AuthenticationMode,
            (found.get("accessConfig") or {}).get("authenticationMode") or "CONFIG_MAP",
            found["arn"],
        ),
        found.get("status", ""),
        found.get("version", ""),
        found.get("tags") or NONE,
    )


def read_entries(clients: AwsClients, cluster: EksCluster, calls: Executor) -> tuple[DatedEntry, ...]:
    """The access entries of a cluster, by principal; none, and no call, where its mode does not read them.

    :param calls: makes the calls; not the pool that this runs in, which would wait for itself.
    """
    if not cluster.mode.reads_entries:
        return ()
    eks = clients.client(cluster.account, "eks", cluster.region)
    with explained(f"access entries of {cluster.arn}"):
        arns = list(_listed(eks.list_access_entries, "accessEntries", MAX_ENTRIES, cluster.arn, cluster.name))
        found = calls.map(lambda arn: read_entry(eks, cluster.name, arn), sorted(arns))
        return tuple(entry for entry in found if entry is not None)


def read_entry(eks: Any, cluster: str, principal_arn: str) -> DatedEntry | None:
    """One access entry with its policies; ``None`` where there is none (any more)."""
    try:
        found = eks.describe_access_entry(clusterName=cluster, principalArn=principal_arn)["accessEntry"]
        kind = _known(EntryType, found.get("type") or "STANDARD", principal_arn)
        policies = tuple(_policies(eks, cluster, principal_arn)) if kind in _WITH_POLICIES else ()
    except eks.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ABSENT:
            return None
        raise
    groups = tuple(found.get("kubernetesGroups") or ())
    entry = AccessEntry(found["principalArn"], "", kind, found.get("username", ""), groups, policies)
    return DatedEntry(entry, found["createdAt"])


def _policies(eks: Any, cluster: str, principal_arn: str) -> Iterator[AssociatedPolicy]:
    def page(**options: Any) -> Mapping[str, Any]:
        found: Mapping[str, Any] = eks.list_associated_access_policies(principalArn=principal_arn, **options)
        return found

    for found in _listed(page, "associatedAccessPolicies", PAGE, principal_arn, cluster):
        scope = found["accessScope"]
        kind = _known(ScopeType, scope["type"], principal_arn)
        yield AssociatedPolicy(found["policyArn"], kind, tuple(scope.get("namespaces") or ()))


def _known(kind: type[_Known], value: str, where: str) -> _Known:
    """A value of EKS as the rules know it: one that they do not know could mean anything."""
    try:
        return kind(value)
    except ValueError:
        raise AwsError(
            f"EKS says {value!r}, which this rolecall does not know as {kind.__name__}",
            where=where,
            advice="a newer rolecall may know it",
        ) from None


def _listed(
    operation: Callable[..., Mapping[str, Any]], member: str, limit: int, where: str, cluster: str = ""
) -> Iterator[Any]:
    """All pages of a list; more than ``limit`` items are refused, for EKS itself allows no more."""
    options: dict[str, Any] = {"maxResults": PAGE} | ({"clusterName": cluster} if cluster else {})
    count = 0
    while True:
        page = operation(**options)
        for item in page[member]:
            if (count := count + 1) > limit:
                raise AwsError(f"EKS gave more than {limit} {member}", where=where)
            yield item
        if not page.get("nextToken"):
            return
        options["nextToken"] = page["nextToken"]
