"""What is written into a person's files for the clusters and roles that they reach: contexts and profiles.

Sources: AWS CLI command reference, ``eks update-kubeconfig`` and ``eks get-token``; AWS CLI user guide, "Using an IAM
role in the AWS CLI".
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rolecall.access.reachable import AssumableRole, Caller, Reachable
from rolecall.arn import PrincipalArn
from rolecall.aws.read_clusters import EksCluster
from rolecall.cli.own_files.callers import Found, key_in_environment
from rolecall.cli.own_files.options import ExecKind
from rolecall.errors import RolecallError
from rolecall.local_files.aws_config import AwsConfig, Profile, file_paths
from rolecall.local_files.kubeconfig import Context, Exec
from rolecall.local_files.profile_text import RoleProfile
from rolecall.manifest.names import matched_arn

# AWS STS API reference, AssumeRole: less is refused, and more needs the role's MaxSessionDuration; a role that is
# assumed by a role's session lasts an hour at most.
MIN_DURATION, SURE_DURATION = 900, 3_600


@dataclass(frozen=True, slots=True)
class Tools:
    """What the files refer to.

    :param source: the profile that gives the callers' credentials if they name none; ``None``: no profile does.
    :param files: the variables that say where the AWS CLI's files are, with whole paths; none if they are at home.
    """

    kind: ExecKind
    config: AwsConfig
    source: str | None
    files: Mapping[str, str] = field(default_factory=dict)

    def source_of(self, caller: Caller) -> str | None:
        """The profile of a caller's credentials."""
        return caller.profile or self.source

    def profile_of(self, caller: Caller, role: AssumableRole) -> Profile | None:
        """The profile by which a caller becomes a role, with all that the role asks for."""
        source = self.source_of(caller)
        for profile in self.config.profiles.values():
            same = (profile.values.get("role_arn"), profile.values.get("source_profile")) == (role.arn, source)
            brings = all(profile.values.get(key) == value for key, value in needed_settings(role).items())
            if same and brings and (profile.values.get("mfa_serial") or not role.mfa):
                return profile
        return None


def choose_tools(found: Found, kind: ExecKind, profile: str) -> Tools:
    """The tools for what was found; ``profile``: the one named on the command line, if any."""
    source = None if key_in_environment(profile, os.environ) else "default"
    return Tools(kind, found.config, source, file_variables(os.environ))


def file_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a plugin that kubectl starts elsewhere finds the AWS CLI's files that are used here."""
    paths = zip(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), file_paths(environ), strict=True)
    return {name: os.path.abspath(path) for name, path in paths if environ.get(name)}


def needed_settings(role: AssumableRole) -> dict[str, str]:
    """What a profile must say for its role to be assumed, besides the MFA device."""
    keys = {
        "external_id": role.external_id,
        "role_session_name": role.session_name,
        # Not known to the AWS CLI, but to the credential plugin.
        "source_identity": role.source_identity,
    }
    return {key: value for key, value in keys.items() if value}


def make_context(one: Reachable, cluster: EksCluster, tools: Tools, names: tuple[str, ...]) -> Context:
    """The context of a cluster as a role, or as the caller; :class:`RolecallError` if no plugin can do that."""
    return Context(
        names,
        context_key(one, cluster),
        cluster.arn,
        cluster.endpoint,
        cluster.certificate_authority,
        _exec(one, tools),
    )


def context_key(one: Reachable, cluster: EksCluster) -> str:
    """Cluster and principal: two roles on one cluster are two contexts."""
    return f"{cluster.arn} {matched_arn(_principal(one))}"


def context_names(found: Sequence[Reachable]) -> list[tuple[str, ...]]:
    """Names to choose from for each: CLUSTER/ROLE, then with the account, the region, and the role's own account.

    A name that several would have is used by none: ``prod/Admin`` must not mean one cluster or another by the order in
    which they were found.
    """
    candidates = []
    for one in found:
        cluster, principal = one.cluster, PrincipalArn.parse(_principal(one))
        short = f"{cluster.name}/{principal.name}"
        placed = f"{cluster.account}/{cluster.region}/{cluster.name}"
        whole = f"{placed}/{principal.account}/{principal.kind.value}/{principal.name}"
        candidates.append((short, f"{cluster.account}/{short}", f"{placed}/{principal.name}", whole))
    return _unshared(candidates)


def _principal(one: Reachable) -> str:
    return one.role.arn if one.role is not None else one.caller.arn


def _exec(one: Reachable, tools: Tools) -> Exec:
    caller, role, cluster = one.caller, one.role, one.cluster
    profile = caller.profile
    own: Profile | None = None
    if role is not None and _asked(role, tools.kind):
        own = tools.profile_of(caller, role)
        if own is None:
            by = "aws eks get-token" if tools.kind is ExecKind.aws else "rolecall token"
            raise RolecallError(
                f"the role asks for {_asked(role, tools.kind)}, which {by} can only take from a profile",
                advice="write a profile for it first: rolecall profiles",
            )
        profile = own.name
    variables = ({"AWS_PROFILE": profile} if profile else {}) | dict(tools.files)
    if tools.kind is ExecKind.aws:
        # In the order of `aws eks update-kubeconfig` (awscli, ``customizations/eks/update_kubeconfig.py``), which
        # shortens --role-arn. A profile of the role has assumed it already: the AWS CLI would do so once more.
        arguments = ["--region", cluster.region, "eks", "get-token", "--cluster-name", cluster.name, "--output", "json"]
        arguments += ["--role-arn", role.arn] if role is not None and own is None else []
        return Exec("aws", tuple(arguments), variables, "install the AWS CLI, or write it again: rolecall kubeconfig")
    command, before = plugin_command()
    arguments = [*before, "token", "-i", cluster.name, "--region", cluster.region]
    if role is not None:
        arguments += ["-r", role.arn]
        arguments += ["-s", role.session_name] if role.session_name and own is None else []
        arguments += ["-e", role.external_id] if role.external_id and own is None else []
    # The variable tells other tools which profile it is; the flag also beats a key in the environment, which would
    # make the person somebody else without a message.
    arguments += ["--profile", profile] if profile else []
    return Exec(command, tuple(arguments), variables, "install rolecall, or write it again with --exec aws")


def _asked(role: AssumableRole, kind: ExecKind) -> str:
    """What the role asks for that the plugin's own flags cannot say."""
    asked = [("an MFA code", role.mfa), ("a source identity", bool(role.source_identity))]
    if kind is ExecKind.aws:
        asked += [("a session name", bool(role.session_name)), ("an external id", bool(role.external_id))]
    return " and ".join(text for text, is_asked in asked if is_asked)


def plugin_command() -> tuple[str, tuple[str, ...]]:
    """The command by which kubectl finds this program, and the arguments before its own.

    Its name alone only if it is on the PATH of every shell: a virtual environment's folder is on PATH as long as the
    environment is active.
    """
    if found := shutil.which("rolecall"):
        found = os.path.abspath(found)
        in_environment = os.path.exists(os.path.join(os.path.dirname(os.path.dirname(found)), "pyvenv.cfg"))
        return found if in_environment else "rolecall", ()
    called = os.path.abspath(sys.argv[0])
    if os.path.basename(called) == "rolecall" and os.access(called, os.X_OK):
        return called, ()
    return os.path.abspath(sys.executable), ("-m", "rolecall")


def make_profile(
    role: AssumableRole,
    caller: Caller,
    source: str,
    *,
    names: tuple[str, ...],
    regions: Sequence[str],
    mfa_serial: str = "",
    duration: int = 0,
) -> RoleProfile:
    """The profile by which ``source`` becomes a role.

    :param regions: of the clusters that the role is for; if they differ, the caller's own counts.
    :param mfa_serial: the caller's device; needed if the role asks for a code.
    :param duration: seconds; left out (0) if the role's session cannot last so long.
    """
    if role.mfa and not mfa_serial:
        raise RolecallError(
            "the role asks for an MFA code, and which device you have is not known",
            advice="give --mfa-serial ARN, or the right to iam:ListMFADevices on yourself",
        )
    region = regions[0] if len({*regions}) == 1 else caller.region or next(iter(regions), "")
    settings = {"region": region, "output": "json", "mfa_serial": mfa_serial if role.mfa else ""}
    settings |= needed_settings(role) | {"duration_seconds": str(duration) if duration else ""}
    return RoleProfile(names, role.arn, source, {key: value for key, value in settings.items() if value})


def allows_duration(role: AssumableRole, caller: Caller, duration: int) -> bool:
    """Whether a session of the role can last so many seconds, as far as is known."""
    longest = SURE_DURATION if caller.is_role else max(role.max_duration or 0, SURE_DURATION)
    return duration <= longest


def profile_names(roles: Sequence[AssumableRole]) -> list[tuple[str, ...]]:
    """Names to choose from for each: ROLE, then with the account; see :func:`context_names`."""
    candidates = []
    for role in roles:
        name, account = role.principal.name, role.principal.account
        candidates.append((name, f"{account}-{name}", f"rolecall-{account}-{name}"))
    return _unshared(candidates)


def _unshared(candidates: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    counts = Counter(name for names in candidates for name in names)
    return [tuple(name for name in names if counts[name] == 1) for names in candidates]
