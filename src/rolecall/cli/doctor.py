"""``rolecall doctor``: what this machine, these credentials and this file are good for, each with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import rolecall
from rolecall.cli.output import FAILED, Format, print_document
from rolecall.errors import RolecallError
from rolecall.visible import visible

if TYPE_CHECKING:
    from rolecall.aws.session import AccountAccess

KUBECTL_SECONDS = 10.0
# SigV4 allows five minutes (IAM user guide, "Elements of an AWS API request signature"); a token is good for 15.
MAX_SKEW = 240
_MARKS = {"ok": "ok", "warning": "!", "problem": "!!", "unknown": "?"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    :param state: ``ok``, ``warning``, ``problem`` or ``unknown``.
    :param found: what was found, as a sentence.
    :param advice: what to do; empty if it is well.
    """

    name: str
    state: str
    found: str
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "state": self.state, "found": self.found, "advice": self.advice or None}


def doctor(
    file: Annotated[Path, typer.Option("-f", "--file", metavar="FILE", help="Access file.")] = Path("access.yaml"),
    profile: Annotated[
        str, typer.Option("--profile", metavar="PROFILE", help="AWS profile to use (default: from the environment).")
    ] = "",
    region: Annotated[str, typer.Option("--region", metavar="REGION", help="Region (default: from the profile).")] = "",
    output: Annotated[Format, typer.Option("-o", "--output", help="Output format.")] = Format.table,
) -> None:
    """Check credentials, clock, network, kubectl, the plugin and access.yaml, and say what to do. Changes nothing.

    \b
    rolecall doctor
    rolecall doctor --profile prod -o json

    Exit codes: 0 no problem, 1 a problem was found, 2 usage.
    """
    checks = list(examine(file, profile, region))
    if output is Format.table:
        for one in checks:
            sys.stdout.write(f"{_MARKS[one.state]:<3} {one.name + ':':<14} {visible(one.found)}\n")
            if one.advice:
                sys.stdout.write(f"{'':19}{visible(one.advice)}\n")
    else:
        print_document("Doctor", {"checks": [one.to_json() for one in checks]}, output)
    if any(one.state == "problem" for one in checks):
        raise typer.Exit(FAILED)


def examine(file: Path, profile: str, region: str) -> Iterator[Check]:
    """Every check, in the order of the chain: the program, credentials, AWS, kubectl, the file."""
    yield _plugin()
    yield _source(profile)
    access, skew = _identity(profile, region)
    yield access if isinstance(access, Check) else Check("identity", "ok", f"account {access.account}")
    if skew is not None:
        yield _clock(skew)
    if not isinstance(access, Check):
        yield from _rights(access)
    yield _kubectl()
    yield _context()
    yield _file(file)


def _plugin() -> Check:
    version = f"rolecall {rolecall.__version__}, Python {sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which("rolecall")
    if found is None:
        return Check(
            "plugin", "problem", f"{version}; rolecall is not on the PATH, so kubectl cannot run it",
            "install it for your user: pipx install . (or uv tool install .), then open a new shell",
        )  # fmt: skip
    if os.environ.get("VIRTUAL_ENV") and found.startswith(os.environ["VIRTUAL_ENV"]):
        return Check(
            "plugin", "warning", f"{version}; {found} is only on the PATH of this virtual environment",
            "for programs that start kubectl without it: pipx install .",
        )  # fmt: skip
    return Check("plugin", "ok", f"{version}, {found}")


def _source(profile: str) -> Check:
    from rolecall.exec_plugin.credential_plan import plan_credentials, profile_name
    from rolecall.local_files.aws_config import file_paths, read_aws_config

    try:
        config = read_aws_config(*file_paths(os.environ))
        plan = plan_credentials(os.environ, config, profile or None)
    except RolecallError as error:
        return Check("credentials", "problem", str(error), error.advice)
    source = plan.source
    who = f"{source.kind} of {f'profile {source.profile}' if source.profile else 'the environment'} ({source.where})"
    roles = "".join(f", then role {hop.role_arn}" for hop in plan.hops)
    named = profile_name(os.environ, profile or None)
    if source.kind == "key" and not source.profile and named:
        hidden = f"; the key in the environment hides the profile {named}"
        return Check("credentials", "warning", who + roles + hidden, f"to use the profile: --profile {named}")
    return Check("credentials", "ok", who + roles)


def _identity(profile: str, region: str) -> tuple[AccountAccess | Check, float | None]:
    """The caller's account, or what is wrong; and by how many seconds this clock is ahead, if AWS answered."""
    from rolecall.aws.session import identify_with_date

    endpoint = os.environ.get("AWS_ENDPOINT_URL_STS") or os.environ.get("AWS_ENDPOINT_URL")
    at = f" at {endpoint}" if endpoint else ""
    try:
        access, date = identify_with_date(profile, region)
    except RolecallError as error:
        advice = error.advice or "check the credentials, the network and the proxy (HTTPS_PROXY, NO_PROXY)"
        return Check("identity", "problem", f"STS{at}: {error.what}", advice), None
    return access, _skew(date)


def _skew(date: str) -> float | None:
    try:
        return (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds() if date else None
    except ValueError:
        return None


def _clock(skew: float) -> Check:
    if abs(skew) <= MAX_SKEW:
        return Check("clock", "ok", f"within {abs(round(skew))} seconds of AWS")
    direction = "ahead of" if skew > 0 else "behind"
    return Check(
        "clock", "problem", f"{abs(round(skew))} seconds {direction} AWS, so signatures and tokens are refused",
        "set the clock: timedatectl set-ntp true, or restart the virtual machine's time service",
    )  # fmt: skip


def _rights(access: AccountAccess) -> Iterator[Check]:
    """What the credentials may read; each asked once, with an answer as small as can be."""
    from rolecall.aws.errors import explained
    from rolecall.aws.session import AwsClients

    clients = AwsClients([access])
    region = access.region

    def asked(name: str, service: str, call: Callable[[Any], Any], need: str) -> Check:
        try:
            with explained(f"account {access.account}"):
                call(clients.client(access.account, service, region))
        except RolecallError as error:
            return Check(name, "warning", error.what, f"{need}; the whole policy: rolecall permissions plan")
        return Check(name, "ok", "may be read")

    yield asked(
        "IAM", "iam", lambda iam: iam.get_account_authorization_details(MaxItems=1),
        "plan, drift and import need iam:GetAccountAuthorizationDetails",
    )  # fmt: skip
    if not region:
        yield Check("EKS", "unknown", "no region is set", "give --region, or set region in your profile")
        return
    yield asked(
        "EKS", "eks", lambda eks: eks.list_clusters(maxResults=1), "import and kubeconfig need eks:ListClusters"
    )


def _kubectl() -> Check:
    found = shutil.which("kubectl")
    if found is None:
        return Check("kubectl", "warning", "kubectl is not on the PATH", "install kubectl 1.29 or later")
    command = [found, "version", "--client", "-o", "yaml"]
    try:
        # The kubectl of the PATH is the one that the person would run.
        done = subprocess.run(command, capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("kubectl", "warning", f"{found} cannot be run: {error}")
    version = next((line.split()[-1] for line in done.stdout.splitlines() if "gitVersion" in line), "")
    return Check("kubectl", "ok" if version else "unknown", f"{found} {version or 'does not say its version'}")


def _context() -> Check:
    from rolecall.clusters.kubeconfig import read_context

    try:
        found = read_context()
    except RolecallError as error:
        return Check("kubeconfig", "warning", str(error), error.advice or "write contexts: rolecall kubeconfig")
    return Check("kubeconfig", "ok", f"current context {found.name}")


def _file(path: Path) -> Check:
    from rolecall.manifest.load import load

    if not path.exists():
        return Check("access file", "unknown", f"{path} does not exist", "create one: rolecall new, or rolecall import")
    try:
        loaded = load(path)
    except RolecallError as error:
        return Check("access file", "problem", str(error), error.advice)
    manifest = loaded.manifest
    return Check(
        "access file", "ok",
        f"{path}: {len(manifest.people)} people, {len(manifest.roles)} roles, {len(manifest.clusters)} clusters",
    )  # fmt: skip
