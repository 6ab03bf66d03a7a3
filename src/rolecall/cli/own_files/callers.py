"""Who the caller is, and what they reach: from access.yaml if there is one, else from what they may read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from rolecall.access.reachable import AssumableRole, Caller, Reach, Reachable, merged, reach_of_world
from rolecall.access.read_world import ClusterAddress, Reading, find_clusters, read_world
from rolecall.arn import PrincipalArn, PrincipalKind
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
    :param clusters: names (with a file also patterns); empty: all.
    :param roles: keys, names or ARNs; empty: all.
    :param with_clusters: whether clusters are looked for if no file names them.
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
    :ivar named: ARNs of roles that were named and are not known to be assumable: they are tried.
    :ivar unread: why it is not known which roles can be assumed; empty if it is known.
    """

    config: AwsConfig
    reach: Reach = field(default_factory=Reach)
    accesses: dict[Caller, AccountAccess] = field(default_factory=dict)
    known: dict[ClusterAddress, EksCluster] = field(default_factory=dict)
    missing: dict[str, RolecallError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: bool = True
    signed_in: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    unread: str = ""

    def note(self, text: str) -> None:
        self.complete = False
        self.notes.append(text)


def key_in_environment(given_profile: str, environ: Mapping[str, str]) -> bool:
    """Whether the credentials are a key in the environment: it beats every profile but one that is given by a flag."""
    return not given_profile and bool(environ.get("AWS_ACCESS_KEY_ID"))


def find_reach(question: Question, environ: Mapping[str, str]) -> Found:
    """What the callers reach whose credentials are asked for.

    :raises RolecallError: nothing at all is known.
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
        reaches += _named_beside_file(loaded, question, found, reaches)
        _require_somebody(loaded, question, found, reaches)
    reach = merged(reaches)
    if loaded is not None and question.clusters:
        reach = _only_clusters(reach, question.clusters, loaded)
    found.notes += reach.notes
    found.reach = reach
    if question.roles and not reach.roles:
        _refuse_unknown_roles(question, found)
    return found


def _refuse_unknown_roles(question: Question, found: Found) -> NoReturn:
    names, where = " or ".join(question.roles), str(question.file or "")
    if found.unread:
        raise RolecallError(
            f"it is not known whether you can assume {names}: {found.unread}",
            where=where,
            advice="give the ARN of the role, which is then tried: --role arn:aws:iam::ACCOUNT:role/NAME",
        )
    advice = found.notes[0] if found.notes else "leave --role out to see all roles that you can assume"
    raise RolecallError(f"you can assume no role called {names}", where=where, advice=advice)


def _callers(
    question: Question, found: Found, environ: Mapping[str, str], *, offline: bool
) -> Iterator[tuple[Caller, AccountAccess]]:
    """The profile in use, then all others if they are asked for; each identity once."""
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
            found.note(
                f"clusters of account {failure.place} could not be listed, so name them with --cluster: "
                f"{failure.error.what}"
            )
    if question.with_clusters and _named_roles(question.roles) and not addresses:
        what = found.notes[-1] if found.notes else f"there is no cluster in {', '.join(regions)}"
        raise RolecallError(what, where=f"account {access.account}", advice="name the cluster: --cluster NAME")
    progress = Progress(f"reading account {access.account}")
    try:
        reading = read_world(clients, addresses, now, with_rbac=False, progress=progress)
    finally:
        progress.end()
    for unread in reading.failures:
        found.unread = f"IAM of account {unread.place} may not be read: {unread.error.what}"
        if not _named_roles(question.roles):
            found.note(f"which roles {caller.arn} can assume is not known, because {found.unread}")
    _keep_described(question, found, addresses, reading)
    described = {arn: state for arn, state in reading.world.clusters.items() if arn in reading.clusters}
    reach = reach_of_world(replace(reading.world, clusters=described), caller, question.roles)
    found.complete = found.complete and not reach.notes
    named = _tried(question, found, caller, reach, {address: address in found.known for address in addresses})
    # A cluster that the caller may not describe is described by the role.
    for one in named.clusters:
        found.missing.pop(one.cluster.name, None)
    return merged([reach, named])


def _named_roles(names: Iterable[str]) -> list[str]:
    """The roles that were named by ARN."""
    return [name for name in names if name.startswith("arn:")]


def _tried(
    question: Question, found: Found, caller: Caller, reach: Reach, addresses: Mapping[ClusterAddress, bool]
) -> Reach:
    """The roles that were named by ARN and of which nothing says that the caller can assume them: STS is asked.

    :param addresses: the clusters that were named, or found, and whether their account is known; if it is not, they are
        looked for in the role's own account.
    """
    known = {matched_arn(role.arn) for role in reach.roles}
    roles = [AssumableRole(checked_role(arn), certain=False) for arn in _named_roles(question.roles)]
    roles = [role for role in roles if matched_arn(role.arn) not in known]
    found.named |= {role.arn for role in roles}
    clusters = []
    for role in roles:
        for address, is_known in addresses.items():
            account = address.account if is_known else role.principal.account
            clusters.append(Reachable(caller, replace(address, account=account), role))
    return Reach(tuple(roles), tuple(dict.fromkeys(clusters)))


def checked_role(arn: str) -> str:
    """The ARN of a role, as it was given.

    :raises RolecallError: it is the ARN of something else, or none.
    """
    found = PrincipalArn.parse(arn)
    if found.kind is not PrincipalKind.ROLE:
        raise RolecallError(
            f"{arn} is not the ARN of a role", where="--role", advice="give arn:aws:iam::ACCOUNT:role/NAME"
        )
    return arn


def _named_beside_file(loaded: Loaded, question: Question, found: Found, reaches: Sequence[Reach]) -> list[Reach]:
    """Roles that were named by ARN and that the file does not give to the caller, on clusters that were named too."""
    known = {matched_arn(role.arn) for reach in reaches for role in reach.roles}
    if not [arn for arn in _named_roles(question.roles) if matched_arn(arn) not in known]:
        return []
    if question.with_clusters and not question.clusters:
        raise RolecallError(
            f"it does not give you the role {' or '.join(_named_roles(question.roles))}",
            where=str(question.file),
            advice="to try the role on a cluster of the file, name the cluster too: --cluster NAME",
        )
    fits = [matcher(pattern) for pattern in question.clusters]
    named = [one for one, names in _called(loaded).items() if any(fit(name) for fit in fits for name in names)]
    # Clusters of two accounts may have one name: that of the role's own account is meant.
    accounts = {PrincipalArn.parse(arn).account for arn in _named_roles(question.roles)}
    own = [one for one in named if one.account in accounts]
    addresses = dict.fromkeys(own or named, True) if question.with_clusters else {}
    return [_tried(question, found, caller, merged(reaches), addresses) for caller in list(found.accesses)[:1]]


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
    who = ", ".join(caller.arn for caller in found.accesses)
    raise RolecallError(
        f"no person or role in this file is {who} (you)" if who else "no profile's credentials can be used",
        where=str(question.file),
        advice="name another profile with --profile or another file with -f, or add yourself to people",
    )


def _only_clusters(reach: Reach, patterns: Sequence[str], loaded: Loaded) -> Reach:
    """The clusters that names of the file, names in EKS or patterns of them mean."""
    called = _called(loaded)
    fits = [matcher(pattern) for pattern in patterns]
    for pattern, fit in zip(patterns, fits, strict=True):
        if not any(fit(name) for names in called.values() for name in names):
            raise RolecallError(f"no cluster in the file matches {pattern!r}")
    kept = (one for one in reach.clusters if any(fit(name) for fit in fits for name in called.get(one.cluster, ())))
    return replace(reach, clusters=tuple(kept))


def _called(loaded: Loaded) -> dict[ClusterAddress, set[str]]:
    """The file's clusters, each with its key and its name in EKS."""
    called: dict[ClusterAddress, set[str]] = {}
    for key, spec in loaded.manifest.clusters.items():
        account = loaded.manifest.accounts[spec.account].id
        called.setdefault(ClusterAddress(account, spec.region, spec.name or key), set()).update((key, spec.name or key))
    return called
