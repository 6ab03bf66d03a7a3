"""Who the caller is, and what they reach: by access.yaml where there is one, else by what they may read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from rolecall.access.reachable import Caller, Reach, merged, reach_of_world
from rolecall.access.read_world import ClusterAddress, Reading, find_clusters, read_world
from rolecall.aws.read_clusters import EksCluster
from rolecall.aws.session import AccountAccess, AwsClients, identify
from rolecall.cli.progress import Progress
from rolecall.errors import RolecallError
from rolecall.exec_plugin.credential_plan import Plan, plan_credentials, profile_name
from rolecall.iam.matching import matcher
from rolecall.local_files.aws_config import AwsConfig, file_paths, read_aws_config
from rolecall.manifest.load import Loaded, load
from rolecall.manifest.names import matched_arn
from rolecall.manifest.reachable import reach_of_manifest


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked on the command line.

    :param file: access.yaml, or ``None``.
    :param every: every profile of the AWS CLI's files, not only the one in use.
    :param clusters: names (patterns where there is a file); empty: all.
    :param roles: keys, names or ARNs; empty: all.
    :param with_clusters: whether clusters are looked for where no file names them.
    """

    file: Path | None
    profile: str = ""
    every: bool = False
    regions: Sequence[str] = ()
    clusters: Sequence[str] = ()
    roles: Sequence[str] = ()
    with_clusters: bool = True


@dataclass(slots=True)
class Found:
    """What the callers reach.

    :ivar accesses: how each caller's own account is reached.
    :ivar known: clusters that were described on the way.
    :ivar missing: clusters that were named and are not there, with the reason.
    :ivar notes: what could not be read or is not known, each once.
    :ivar complete: whether everything was read that was asked for.
    :ivar signed_in: profiles whose credentials were used already, so that no code is asked for again.
    """

    config: AwsConfig
    reach: Reach = field(default_factory=Reach)
    accesses: dict[Caller, AccountAccess] = field(default_factory=dict)
    known: dict[ClusterAddress, EksCluster] = field(default_factory=dict)
    missing: dict[str, RolecallError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: bool = True
    signed_in: set[str] = field(default_factory=set)

    def note(self, text: str) -> None:
        self.complete = False
        self.notes.append(text)


def key_in_environment(given_profile: str, environ: Mapping[str, str]) -> bool:
    """Whether the credentials are a key in the environment: it beats every profile but one that is given by a flag."""
    return not given_profile and bool(environ.get("AWS_ACCESS_KEY_ID"))


def find_reach(question: Question, environ: Mapping[str, str]) -> Found:
    """What everybody reaches whose credentials are asked for.

    :raises RolecallError: where nothing at all can be said.
    """
    found = Found(read_aws_config(*file_paths(environ)))
    loaded = load(question.file) if question.file is not None else None
    now = datetime.now(UTC)
    reaches: list[Reach] = []
    for caller, access in _callers(question, found, environ, offline=loaded is not None):
        found.accesses[caller] = access
        reach = (
            reach_of_manifest(loaded, caller, now, question.roles)
            if loaded is not None
            else _look(question, found, caller, access, now)
        )
        if reach is not None:
            reaches.append(reach)
    if loaded is not None:
        _require_somebody(loaded, question, found, reaches)
    reach = merged(reaches)
    if loaded is not None and question.clusters:
        reach = _only_clusters(reach, question.clusters, loaded)
    found.notes += reach.notes
    found.reach = reach
    if question.roles and not reach.roles:
        raise RolecallError(
            f"you can assume no role called {' or '.join(question.roles)}",
            where=str(question.file or ""),
            advice=found.notes[0] if found.notes else "without --role, all that you can assume are found",
        )
    return found


def _callers(
    question: Question, found: Found, environ: Mapping[str, str], *, offline: bool
) -> Iterator[tuple[Caller, AccountAccess]]:
    """The profile in use, then all others where they are asked for; each identity once."""
    given = question.profile
    in_use = "" if key_in_environment(given, environ) else profile_name(environ, given or None)
    names = [in_use, *(sorted(found.config.profiles) if question.every else ())]
    seen: set[str] = set()
    for profile in dict.fromkeys(names):
        try:
            caller, access = _caller(profile, found.config, environ, offline=offline and profile != in_use)
        except RolecallError as error:
            if not question.every:
                raise
            found.note(f"profile {profile or 'default'} is left out: {error.what}")
            continue
        if not (offline and profile != in_use):
            found.signed_in.add(profile)
        if caller.arn not in seen:
            seen.add(caller.arn)
            yield caller, access


def _caller(
    profile: str, config: AwsConfig, environ: Mapping[str, str], *, offline: bool
) -> tuple[Caller, AccountAccess]:
    """Who a profile is; STS is asked, unless ``offline`` and the profile is of a role, which says it itself."""
    plan: Plan = plan_credentials(environ, config, profile or None)
    if offline and plan.hops:
        arn = matched_arn(plan.hops[-1].role_arn)
        caller = Caller(arn, profile, (config.profiles[profile].text("region") or ""))
        return caller, AccountAccess(caller.principal.account, profile, region=caller.region)
    if plan.needs_mfa(len(plan.hops)) and not sys.stdin.isatty():
        raise RolecallError(
            f"profile {profile or 'default'} asks for an MFA code, and there is no terminal to ask at",
            advice="run it in a terminal, or name another profile with --profile",
        )
    access = identify(profile)
    return Caller(AwsClients([access]).caller_arn(), profile, access.region), access


def _look(question: Question, found: Found, caller: Caller, access: AccountAccess, now: datetime) -> Reach:
    """What a caller reaches in their own account, as far as they may read it."""
    clients = AwsClients([access])
    regions = [region for region in (question.regions or [access.region]) if region]
    places = [(access.account, region) for region in regions]
    addresses: tuple[ClusterAddress, ...] = ()
    if question.with_clusters and not places:
        found.note(f"profile {caller.profile or 'default'} names no region: give --region")
    elif question.with_clusters and question.clusters:
        addresses = tuple(ClusterAddress(*place, name) for place in places for name in question.clusters)
    elif question.with_clusters:
        addresses, failures = find_clusters(clients, places)
        for failure in failures:
            found.note(f"clusters of account {failure.place} could not be listed: {failure.error.what}")
    progress = Progress(f"reading account {access.account}")
    try:
        reading = read_world(clients, addresses, now, with_rbac=False, progress=progress)
    finally:
        progress.end()
    for unread in reading.failures:
        found.note(
            f"IAM of account {unread.place} may not be read, so which roles {caller.arn} can assume is not known: "
            f"{unread.error.what}"
        )
    _keep_described(question, found, addresses, reading)
    described = {arn: state for arn, state in reading.world.clusters.items() if arn in reading.clusters}
    reach = reach_of_world(replace(reading.world, clusters=described), caller, question.roles)
    found.complete = found.complete and not reach.notes
    return reach


def _keep_described(question: Question, found: Found, addresses: Sequence[ClusterAddress], reading: Reading) -> None:
    """Clusters that EKS knows; one that was named has to be in one of the regions."""
    described = {address: cluster for address in addresses if (cluster := reading.clusters.get(address.arn))}
    found.known |= described
    names = {address.name for address in found.known}
    for address in addresses:
        if address.name in names:
            found.missing.pop(address.name, None)
        else:
            unread = reading.world.clusters[address.arn].unread
            found.missing.setdefault(
                address.name, RolecallError(unread[0].partition("\n")[0] if unread else "no answer")
            )


def _require_somebody(loaded: Loaded, question: Question, found: Found, reaches: Sequence[Reach]) -> None:
    if reaches:
        return
    who = ", ".join(caller.arn for caller in found.accesses) or "nobody whose credentials are here"
    raise RolecallError(
        f"it names neither a person nor a role who is {who}",
        where=str(question.file),
        advice="name another profile with --profile, another file with -f, or add yourself to people",
    )


def _only_clusters(reach: Reach, patterns: Sequence[str], loaded: Loaded) -> Reach:
    """The clusters that names of the file, names in EKS or patterns of them mean."""
    called: dict[ClusterAddress, set[str]] = {}
    for key, spec in loaded.manifest.clusters.items():
        account = loaded.manifest.accounts[spec.account].id
        called.setdefault(ClusterAddress(account, spec.region, spec.name or key), set()).update((key, spec.name or key))
    fits = [matcher(pattern) for pattern in patterns]
    for pattern, fit in zip(patterns, fits, strict=True):
        if not any(fit(name) for names in called.values() for name in names):
            raise RolecallError(f"no cluster in the file matches {pattern!r}")
    kept = (one for one in reach.clusters if any(fit(name) for fit in fits for name in called.get(one.cluster, ())))
    return replace(reach, clusters=tuple(kept))
