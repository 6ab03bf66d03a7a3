"""``rolecall kubeconfig`` and ``rolecall profiles``: a person's own files, for all that they reach."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rolecall.cli.output import Format
from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.access.reachable import Caller, Reachable
    from rolecall.aws.read_clusters import EksCluster
    from rolecall.cli.client_callers import Found
    from rolecall.cli.client_contexts import Tools
    from rolecall.cli.client_endpoints import Failed
    from rolecall.local_files.aws_profiles import RoleProfile
    from rolecall.local_files.kubeconfig import Context

DEFAULT_FILE = Path("access.yaml")


class ExecKind(StrEnum):
    """Values of ``--exec``."""

    rolecall = "rolecall"
    aws = "aws"


File = Annotated[
    Path | None, typer.Option("-f", "--file", metavar="FILE", help="Default: access.yaml, if it is there.")
]
Profile = Annotated[str, typer.Option("--profile", metavar="P", help="Profile of the AWS CLI's files: who you are.")]
Roles = Annotated[list[str] | None, typer.Option("--role", metavar="NAME|ARN", help="Only this role; repeatable.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change as a diff, and write nothing.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to say what was done.")]


def kubeconfig(
    every: Annotated[bool, typer.Option("--all", help="For every profile of the AWS CLI's files.")] = False,
    file: File = None,
    profile: Profile = "",
    region: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="R", help="Where to look for clusters without a file; repeatable."),
    ] = None,
    cluster: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="NAME", help="Only this cluster, in a file also a pattern; repeatable."),
    ] = None,
    role: Roles = None,
    plugin: Annotated[
        ExecKind, typer.Option("--exec", help="What gets tokens: rolecall token, or aws eks get-token.")
    ] = ExecKind.rolecall,
    path: Annotated[
        Path | None, typer.Option("--kubeconfig", metavar="FILE", help="Default: the first of $KUBECONFIG.")
    ] = None,
    use: Annotated[str, typer.Option("--use", metavar="CONTEXT", help="Make this context the current one.")] = "",
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove contexts that rolecall wrote before and that are not found now.")
    ] = False,
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Write a context for every cluster and role that you reach; your own contexts stay as they are.

    What you reach is what access.yaml says of you. Without a file it is what you may read: the clusters of your
    account, and the roles that you can assume where you may read IAM.
    Ends with 1 where a context could not be written; the others are.

    \b
    rolecall kubeconfig
    rolecall kubeconfig --all --exec aws
    rolecall kubeconfig --cluster 'prod-*' --role Admins --use prod-1/Admins
    rolecall kubeconfig --prune --dry-run
    """
    from rolecall.cli.client_callers import Question, find_reach
    from rolecall.cli.client_endpoints import describe
    from rolecall.cli.client_output import Outcome, finish
    from rolecall.local_files.kubeconfig import kubeconfig_path, preview_contexts, write_contexts

    if prune and (cluster or role):
        raise typer.BadParameter("--prune looks at everything: leave --cluster and --role out")
    found = find_reach(Question(_file(file), profile, every, region or (), cluster or (), role or ()), os.environ)
    target = path or kubeconfig_path(os.environ)
    tools = _tools(found, plugin, profile)
    described = describe(found, tools, os.environ)
    contexts, refused = _contexts(described.ready, tools, target)
    failed, notes = [*_missing(found), *described.failed, *refused], [*found.notes, *described.notes]
    if prune and (failed or not found.complete):
        notes.append("no context was removed, because not everything could be read")
        prune = False
    key = _key_of(use, contexts) if use else ""
    text, new, written = preview_contexts(target, contexts, prune=prune, use=key)
    if new != text and not dry_run:
        written = write_contexts(target, contexts, prune=prune, use=key)
    changes = {name: getattr(written, name) for name in ("added", "changed", "removed", "unchanged")}
    more = {"current": written.current}
    finish(Outcome("context", target, changes, failed, notes, more, (text, new) if dry_run else None), output)


def profiles(
    file: File = None,
    profile: Profile = "",
    role: Roles = None,
    mfa_serial: Annotated[
        str, typer.Option("--mfa-serial", metavar="ARN", help="Your MFA device; default: asked of IAM where needed.")
    ] = "",
    duration: Annotated[
        int | None,
        typer.Option("--duration", metavar="SECONDS", min=900, max=43_200, help="Of sessions, where the role allows."),
    ] = None,
    path: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Default: $AWS_CONFIG_FILE, else ~/.aws/config.")
    ] = None,
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Write a profile of the AWS CLI for every role that you can assume; your own profiles stay as they are.

    Each has what its role asks for: your MFA device, an external id, a session name.
    Ends with 1 where a profile could not be written; the others are.

    \b
    rolecall profiles
    rolecall profiles --profile work --duration 14400
    rolecall profiles --dry-run
    """
    from rolecall.cli.client_callers import Question, find_reach
    from rolecall.cli.client_output import Outcome, finish
    from rolecall.local_files.aws_profiles import config_path, preview_profiles, write_profiles

    asked = _file(file)
    question = Question(asked, profile, clusters=(), roles=role or (), with_clusters=False)
    found = find_reach(question, os.environ)
    [caller] = found.accesses
    if asked is None and not found.complete:
        raise RolecallError(
            f"which roles {caller.arn} can assume is not known: {found.notes[0]}",
            advice="name an access.yaml with -f, or ask for the right to iam:GetAccountAuthorizationDetails",
        )
    target = path or config_path(os.environ)
    tools = _tools(found, ExecKind.rolecall, profile)
    source = _source(tools, caller, target)
    made, failed, notes = _role_profiles(found, tools, caller, source, mfa_serial, duration or 0)
    text, new, written = preview_profiles(target, made)
    if new != text and not dry_run:
        written = write_profiles(target, made)
    changes = {name: getattr(written, name) for name in ("added", "changed", "unchanged")}
    notes = [*found.notes, *notes]
    finish(Outcome("profile", target, changes, failed, notes, {}, (text, new) if dry_run else None), output)


def _file(file: Path | None) -> Path | None:
    return file if file is not None or not DEFAULT_FILE.exists() else DEFAULT_FILE


def _tools(found: Found, plugin: ExecKind, profile: str) -> Tools:
    from rolecall.cli.client_callers import key_in_environment
    from rolecall.cli.client_contexts import Tools

    return Tools(plugin, found.config, None if key_in_environment(profile, os.environ) else "default")


def _missing(found: Found) -> list[Failed]:
    from rolecall.cli.client_endpoints import Failed

    return [Failed("", "", "", error) for error in found.missing.values()]


def _contexts(
    ready: Sequence[tuple[Reachable, EksCluster]], tools: Tools, target: Path
) -> tuple[list[Context], list[Failed]]:
    """The contexts to write, with names that no other file of KUBECONFIG has."""
    from rolecall.cli.client_contexts import context_key, context_names, make_context
    from rolecall.cli.client_endpoints import failure

    elsewhere = _contexts_elsewhere(target)
    contexts: list[Context] = []
    failed: list[Failed] = []
    for (one, cluster), names in zip(ready, context_names([one for one, _ in ready]), strict=True):
        key = context_key(one, cluster)
        free = tuple(name for name in names if elsewhere.get(name, key) == key)
        try:
            contexts.append(make_context(one, cluster, tools, free))
        except RolecallError as error:
            failed.append(failure(one, error))
    return contexts, failed


def _contexts_elsewhere(target: Path) -> dict[str, str]:
    """Contexts of the other files of KUBECONFIG: kubectl takes the first of two of one name."""
    from rolecall.local_files.kubeconfig import context_keys

    found: dict[str, str] = {}
    for part in filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep)):
        other = Path(part).expanduser()
        if other.resolve() != target.resolve():
            found |= context_keys(other)
    return found


def _key_of(name: str, contexts: Sequence[Context]) -> str:
    from rolecall.manifest.explain_errors import nearest

    keys = [context.key for context in contexts if name in context.names]
    if len(keys) == 1:
        return keys[0]
    known = [context.names[0] for context in contexts if context.names]
    raise RolecallError(f"no context {name!r} is written", where="--use", advice=nearest(name, known))


def _source(tools: Tools, caller: Caller, target: Path) -> str:
    """The profile that gives the caller's credentials, where the file that is written can name it."""
    from rolecall.local_files.aws_config import file_paths, read_aws_config

    source = tools.source_of(caller)
    if source is None:
        raise RolecallError(
            "your credentials are a key in the environment, which no profile can name as its source",
            advice="put it into a profile (aws configure), and name that: --profile NAME",
        )
    if source not in read_aws_config(str(target), file_paths(os.environ)[1]).profiles:
        raise RolecallError(
            f"there is no profile {source!r}, which the new ones would have their credentials from",
            where=str(target),
            advice="name one with --profile",
        )
    return source


def _role_profiles(
    found: Found, tools: Tools, caller: Caller, source: str, mfa_serial: str, duration: int
) -> tuple[list[RoleProfile], list[Failed], list[str]]:
    from rolecall.cli.client_contexts import allows_duration, make_profile, profile_names
    from rolecall.cli.client_endpoints import Failed, try_roles

    roles = found.reach.roles
    refused = try_roles((role for role in roles if not role.certain), caller, found, tools, os.environ)
    notes = [f"role {role.arn} cannot be assumed, so it is left out: {why.what}" for role, why in refused.items()]
    roles = tuple(role for role in roles if role not in refused)
    if not mfa_serial and any(role.mfa for role in roles):
        mfa_serial, note = _mfa_device(found, caller)
        notes += [note] if note else []
    made: list[RoleProfile] = []
    failed: list[Failed] = []
    with_keys = {name for name, known in found.config.profiles.items() if known.credentials is not None}
    for role, names in zip(roles, profile_names(roles), strict=True):
        lasts = bool(duration) and allows_duration(role, caller, duration)
        if duration and not lasts:
            notes.append(
                f"sessions of role {role.arn} do not last {duration} seconds as far as is known: left out there"
            )
        try:
            profile = make_profile(
                role,
                caller,
                source,
                # A key in the credentials file under the same name would beat the role.
                names=tuple(name for name in names if name not in with_keys),
                regions=[one.cluster.region for one in found.reach.clusters if one.role == role],
                mfa_serial=mfa_serial,
                duration=duration if lasts else 0,
            )
        except RolecallError as error:
            failed.append(Failed(f"role {role.arn}", "", role.arn, error))
        else:
            made.append(profile)
    return made, failed, notes


def _mfa_device(found: Found, caller: Caller) -> tuple[str, str]:
    """The serial of the caller's MFA device, and what to say about it; empty where none is known."""
    from rolecall.aws.mfa_devices import code_devices
    from rolecall.aws.session import AwsClients

    access = found.accesses[caller]
    try:
        devices = code_devices(AwsClients([access]), access.account)
    except RolecallError as error:
        return "", f"your MFA devices could not be listed: {error.what}"
    if len(devices) > 1:
        return devices[0], f"of your {len(devices)} MFA devices {devices[0]} is taken; another: --mfa-serial"
    return (devices[0], "") if devices else ("", "you have no MFA device that shows codes")
