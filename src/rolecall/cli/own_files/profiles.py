"""``rolecall profiles``: a profile of the AWS CLI for every role that a person can assume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rolecall.cli.output import Format
from rolecall.cli.own_files.options import DryRun, ExecKind, File, Output, Profile, Roles, access_file
from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.access.reachable import Caller
    from rolecall.cli.own_files.callers import Found
    from rolecall.cli.own_files.contexts import Tools
    from rolecall.cli.own_files.endpoints import Failed
    from rolecall.local_files.profile_text import RoleProfile


MfaSerial = Annotated[
    str, typer.Option("--mfa-serial", metavar="ARN", help="Your MFA device (default: from IAM, if a role needs it).")
]
Duration = Annotated[
    int | None,
    typer.Option(
        "--duration", metavar="SECONDS", min=900, max=43_200, help="Length of sessions, if the role allows it."
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="File to write (default: $AWS_CONFIG_FILE, else ~/.aws/config)."),
]


def profiles(
    file: File = None,
    profile: Profile = "",
    role: Roles = None,
    mfa_serial: MfaSerial = "",
    duration: Duration = None,
    path: ConfigFile = None,
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Write an AWS profile for every role that you can assume. Your own profiles stay as they are.

    Each has what its role asks for: your MFA device, an external id, a session name. If there is an access.yaml, it
    says which roles you can assume. A role that you name by its ARN is tried.

    \b
    rolecall profiles
    rolecall profiles --profile work --duration 14400
    rolecall profiles --role arn:aws:iam::111122223333:role/Admins
    rolecall profiles --dry-run

    Exit codes: 0 done, 1 a profile could not be written (the others are), 2 usage.
    """
    from rolecall.cli.own_files.callers import Question, find_reach
    from rolecall.cli.own_files.contexts import choose_tools
    from rolecall.cli.own_files.outcome import Outcome, finish
    from rolecall.local_files.aws_profiles import config_path, preview_profiles, write_profiles

    target = path or config_path(os.environ)
    # A file that cannot be written is refused before AWS is asked, or a person for a code.
    preview_profiles(target, ())
    asked = access_file(file)
    question = Question(asked, profile, clusters=(), roles=role or (), with_clusters=False)
    found = find_reach(question, os.environ)
    [caller] = found.accesses
    if asked is None and found.unread and not found.reach.roles:
        raise RolecallError(
            f"it is not known which roles {caller.arn} can assume: {found.unread}",
            advice="give the ARN of the role, which is then tried: --role arn:aws:iam::ACCOUNT:role/NAME; or name an "
            "access.yaml with -f; or ask for the right to iam:ListRoles and iam:GetAccountAuthorizationDetails",
        )
    tools = choose_tools(found, ExecKind.rolecall, profile)
    source = _source(tools, caller, target)
    made, failed, notes = _role_profiles(found, tools, caller, source, mfa_serial, duration or 0)
    text, new, written = preview_profiles(target, made)
    if new != text and not dry_run:
        written = write_profiles(target, made)
    changes = {name: getattr(written, name) for name in ("added", "changed", "unchanged")}
    shown = [(target, text, new)] if dry_run else None
    finish(Outcome("profile", [target], changes, failed, [*found.notes, *notes], {}, shown), output)


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
            f"there is no profile {source!r}, which would give the new profiles their credentials",
            where=str(target),
            advice="name one with --profile",
        )
    return source


def _role_profiles(
    found: Found, tools: Tools, caller: Caller, source: str, mfa_serial: str, duration: int
) -> tuple[list[RoleProfile], list[Failed], list[str]]:
    from rolecall.cli.own_files.contexts import allows_duration, make_profile, profile_names
    from rolecall.cli.own_files.endpoints import Failed, try_roles

    roles = found.reach.roles
    refused = try_roles((role for role in roles if not role.certain), caller, found, tools, os.environ)
    notes: list[str] = []
    failed: list[Failed] = []
    for role, why in refused.items():
        if role.arn in found.named:
            failed.append(Failed(f"role {role.arn}", "", role.arn, why))
        else:
            notes.append(f"role {role.arn} cannot be assumed, so it is left out: {why.what}")
    roles = tuple(role for role in roles if role not in refused)
    if not mfa_serial and any(role.mfa for role in roles):
        mfa_serial, note = _mfa_device(found, caller)
        notes += [note] if note else []
    made: list[RoleProfile] = []
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
    """The serial of the caller's MFA device, and a note about it; empty if none is known."""
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
