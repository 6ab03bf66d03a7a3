"""Where the clusters are that a person reaches, read with the credentials that their contexts will use."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rolecall.access.reachable import AssumableRole, Caller, Reachable
from rolecall.access.read_endpoints import Endpoints, read_endpoints
from rolecall.access.read_world import ClusterAddress
from rolecall.aws.read_clusters import EksCluster
from rolecall.aws.session import AccountAccess
from rolecall.cli.own_files.callers import Found
from rolecall.cli.own_files.contexts import Tools
from rolecall.cli.progress import Progress
from rolecall.errors import RolecallError
from rolecall.exec_plugin.credential_plan import default_name, plan_credentials


@dataclass(frozen=True, slots=True)
class Failed:
    """What could not be written, and why.

    :param what: for a person; empty if the error says it.
    :param cluster: its ARN; empty if it is about a role alone.
    """

    what: str
    cluster: str
    role: str
    error: RolecallError


@dataclass(frozen=True, slots=True)
class Described:
    """What is ready to be written, and what is not."""

    ready: tuple[tuple[Reachable, EksCluster], ...]
    failed: tuple[Failed, ...]
    notes: tuple[str, ...]


def describe(found: Found, tools: Tools, environ: Mapping[str, str]) -> Described:
    """Try each role once and describe each cluster once; one failure does not stop the others."""
    asking = _Asking(found, tools, environ)
    quiet: dict[ClusterAddress, list[AccountAccess]] = {}
    for one in found.reach.clusters:
        quiet.setdefault(one.cluster, []).extend(asking.accesses(one))
    endpoints = _read(quiet, found.known)
    if sys.stdin.isatty():
        endpoints = _with_codes(endpoints, asking, found)
    ready: list[tuple[Reachable, EksCluster]] = []
    failed: list[Failed] = []
    notes: list[str] = []
    for one in found.reach.clusters:
        cluster = endpoints.clusters[one.cluster]
        refused = endpoints.refused.get(asking.role_access(one.caller, one.role)) if one.role is not None else None
        is_named = one.role is not None and one.role.arn in found.named
        if refused is not None and one.role is not None and not one.role.certain and not is_named:
            notes.append(f"role {one.role.arn} cannot be assumed, so it is left out: {refused.what}")
        elif refused is not None or isinstance(cluster, RolecallError):
            failed.append(failure(one, refused or cluster))  # type: ignore[arg-type]  # the cluster is an error here
        else:
            ready.append((one, cluster))
    return Described(tuple(ready), tuple(failed), tuple(dict.fromkeys(notes)))


def try_roles(
    roles: Iterable[AssumableRole], caller: Caller, found: Found, tools: Tools, environ: Mapping[str, str]
) -> dict[AssumableRole, RolecallError]:
    """The roles among ``roles`` that STS refuses; those that ask for a code are not tried."""
    asking = _Asking(found, tools, environ)
    accesses = {role: asking.role_access(caller, role) for role in roles if not asking.asks(role, caller)}
    refused = read_endpoints({}, accesses.values()).refused
    return {role: refused[access] for role, access in accesses.items() if access in refused}


class _Asking:
    """Which credentials there are to ask with."""

    def __init__(self, found: Found, tools: Tools, environ: Mapping[str, str]) -> None:
        self._found, self._tools, self._environ = found, tools, environ
        self._session = default_name((), environ)

    def accesses(self, one: Reachable) -> list[AccountAccess]:
        """Those for which no code must be typed: the role's, then the caller's."""
        accesses = []
        if one.role is not None and not self.asks(one.role, one.caller):
            accesses.append(self.role_access(one.caller, one.role))
        if not self._profile_asks(one.caller.profile):
            accesses.append(self._found.accesses[one.caller])
        return accesses

    def with_code(self, one: Reachable) -> AccountAccess | None:
        """Those for which a person types a code, of the cluster's account."""
        if one.role is None:
            access = self._found.accesses[one.caller]
        elif (profile := self._tools.profile_of(one.caller, one.role)) is not None and self.asks(one.role, one.caller):
            account = one.role.principal.account
            access = AccountAccess(account, profile.name, region=one.caller.region or one.cluster.region)
        else:
            return None
        return access if access.account == one.cluster.account else None

    def asks(self, role: AssumableRole, caller: Caller) -> bool:
        """Whether a role cannot be tried without a code, or by anything that a call of the AWS CLI can say."""
        return role.mfa or bool(role.source_identity) or self._profile_asks(caller.profile)

    def role_access(self, caller: Caller, role: AssumableRole) -> AccountAccess:
        regions = (one.cluster.region for one in self._found.reach.clusters if one.role == role)
        return AccountAccess(
            role.principal.account,
            caller.profile,
            role.arn,
            role.external_id,
            caller.region or next(regions, ""),
            role.session_name or self._session,
        )

    def _profile_asks(self, profile: str) -> bool:
        if profile in self._found.signed_in:
            return False
        plan = plan_credentials(self._environ, self._found.config, profile or None)
        return plan.needs_mfa(len(plan.hops))


def _read(
    clusters: Mapping[ClusterAddress, list[AccountAccess]], known: Mapping[ClusterAddress, EksCluster]
) -> Endpoints:
    progress = Progress("reading clusters")
    try:
        return read_endpoints(clusters, (), known=known, progress=progress)
    finally:
        progress.end()


def _with_codes(endpoints: Endpoints, asking: _Asking, found: Found) -> Endpoints:
    """Clusters that are left, by roles that need a code: one at a time, so that no two ask at once."""
    left: dict[ClusterAddress, list[AccountAccess]] = {}
    for one in found.reach.clusters:
        if isinstance(endpoints.clusters[one.cluster], RolecallError) and (access := asking.with_code(one)):
            left.setdefault(one.cluster, [access])
    if not left:
        return endpoints
    more = read_endpoints(left, (), workers=1)
    return Endpoints({**endpoints.clusters, **more.clusters}, {**endpoints.refused, **more.refused})


def failure(one: Reachable, error: RolecallError) -> Failed:
    """A cluster for which no context is written."""
    who = one.role.arn if one.role is not None else one.caller.arn
    return Failed(f"cluster {one.cluster.name} as {who}", one.cluster.arn, who, error)
