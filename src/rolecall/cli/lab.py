"""``rolecall lab``: AWS and Kubernetes on this machine, for the real aws and kubectl."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rolecall.cli.extras import require_extra
from rolecall.cli.output import NOT_RUNNING, Format, fail, print_document, print_table, typed_command, working
from rolecall.cli.tour import run_tour
from rolecall.lab import control, environment
from rolecall.lab.home import ADMINISTRATOR, HOME_VARIABLE, Backend, LabError, LabHome, LabSettings, RunningLab
from rolecall.lab.shell import interactive_shell

if TYPE_CHECKING:
    from rolecall.lab.kubernetes_real.binaries import Binaries

app = typer.Typer(
    help="Run AWS and Kubernetes on this machine: IAM, STS and EKS clusters for the unmodified aws and kubectl.\n\n"
    "\b\nrolecall lab up --detach\nrolecall lab shell\n\n"
    "Exit codes: 0 done, 1 error, 2 usage, 3 the lab does not run (lab status).",
    no_args_is_help=True,
    add_completion=False,
)

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", help=f"Folder of the lab (default: ${HOME_VARIABLE}, else your state folder)."
    ),
]
Output = Annotated[Format, typer.Option("-o", "--output", metavar="FORMAT", help="Format: table, json or yaml.")]


app.command("tour")(run_tour)


@app.command()
def up(
    home: Home = None,
    account: Annotated[
        list[str] | None, typer.Option("--account", metavar="ID", help="AWS account id. Repeatable.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option("--region", metavar="REGION", help="Region of the lab's profiles (default: eu-west-2)."),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", help="Port of the AWS endpoint (default: a free one).")
    ] = None,
    kubernetes: Annotated[
        Backend | None,
        typer.Option(
            metavar="BACKEND",
            help="What serves new clusters: embedded (the lab itself) or real (kube-apiserver and etcd).",
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when the lab answers.")] = False,
) -> None:
    """Start a lab, or start it again with its state.

    \b
    rolecall lab up --detach
    rolecall lab up --kubernetes real
    rolecall lab up --account 111122223333 --account 444455556666

    Each account has an administrator with a profile in the lab's HOME: lab-admin in the first account,
    lab-admin-ACCOUNT in the others.

    Exit codes: 0 the lab runs (without --detach: it was stopped), 1 error, 2 usage.
    """
    require_extra("lab")
    lab = LabHome.find(home)
    if (running := lab.running()) is not None:
        _refuse_changes(lab.settings(), account or [], region, port, kubernetes)
        _print_running(lab, running, "is already running")
        return
    if kubernetes is Backend.REAL:
        _ensure_binaries()
    control.settle(lab, accounts=account or [], region=region, port=port, kubernetes=kubernetes)
    if detach:
        with working("starting the lab"):
            started = control.start_detached(lab)
        _print_running(lab, started, "is up")
        return
    from rolecall.lab.serve import serve

    serve(lab, on_ready=lambda running: _print_running(lab, running, "is up; Ctrl-C stops it"))


@app.command()
def build_kubernetes() -> None:
    """Find or build kube-apiserver and etcd.

    They are for `lab up --kubernetes real`. They are looked for in $KUBEBUILDER_ASSETS, on PATH and in the cache; if
    they are not there, Go builds them once, which takes some minutes.

    \b
    rolecall lab build-kubernetes
    KUBEBUILDER_ASSETS=/usr/local/kubebuilder/bin rolecall lab build-kubernetes

    Exit codes: 0 their paths are printed, 1 error, 2 usage.
    """
    found = _ensure_binaries()
    sys.stdout.write(f"{found.apiserver}\n{found.etcd}\n")


@app.command()
def down(home: Home = None) -> None:
    """Stop the lab and keep its state.

    \b
    rolecall lab down
    rolecall lab down --home ./lab

    Exit codes: 0 the lab does not run, 1 error, 2 usage.
    """
    lab = LabHome.find(home)
    if not lab.exists():
        sys.stdout.write(f"there is no lab in {lab.folder}\n")
        return
    with working("stopping the lab"):
        stopped = control.stop(lab)
    sys.stdout.write(f"lab {lab.folder} {'stopped' if stopped else 'was not running'}\n")


@app.command()
def status(home: Home = None, output: Output = Format.table) -> None:
    """Show the lab, its accounts and its clusters.

    \b
    rolecall lab status
    rolecall lab status -o json

    Exit codes: 0 the lab runs, 3 it does not, 1 error, 2 usage.
    """
    lab = LabHome.find(home)
    if not lab.exists():
        fail(LabError("there is no lab here", where=str(lab.folder), advice="start one: rolecall lab up"), NOT_RUNNING)
    running = lab.running()
    found = _describe(lab, lab.settings(), running)
    if output is Format.table:
        _print_status(found)
    else:
        print_document("Lab", found, output)
    if running is None:
        raise typer.Exit(NOT_RUNNING)


@app.command()
def reset(
    home: Home = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete everything in the lab.

    All users, roles, clusters and keys are deleted, and the administrators get new keys. A lab that runs is started
    again.

    \b
    rolecall lab reset
    rolecall lab reset --yes --home ./lab

    Exit codes: 0 the lab is empty, 1 error or not confirmed, 2 usage.
    """
    lab = LabHome.find(home)
    lab.settings()
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete everything in {lab.folder}?", abort=True)
    if lab.running() is not None:
        require_extra("lab")
    with working("stopping the lab"):
        was_running = control.stop(lab)
    lab.wipe()
    if was_running:
        lab.create()
        with working("starting it again"):
            started = control.start_detached(lab)
        _print_running(lab, started, "is empty and up again")
    else:
        sys.stdout.write(f"lab {lab.folder} is empty\n")


@app.command("env")
def print_environment(
    home: Home = None,
    keys: Annotated[
        bool, typer.Option("--keys", help="Print the administrator's access key, for programs without profiles.")
    ] = False,
) -> None:
    """Print export lines for aws and kubectl.

    \b
    eval "$(rolecall lab env)"
    eval "$(rolecall lab env --keys)"

    With --keys the lines are enough for every AWS SDK, boto3 included, and for the AWS CLI.

    Exit codes: 0 done, 1 the lab does not run, 2 usage.
    """
    lab = LabHome.find(home)
    endpoint = control.require_running(lab).endpoint
    variables = (environment.key_variables if keys else environment.file_variables)(lab, lab.settings(), endpoint)
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    for name in environment.overriding_variables(os.environ, keys=keys):
        sys.stderr.write(f"warning: {name} is set and overrides these lines; run: unset {name}\n")


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def shell(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND]", help="Run this command instead of a shell.")
    ] = None,
    home: Home = None,
) -> None:
    """Open a shell, or run one command, in the lab.

    HOME, the AWS endpoint, region and profile are the lab's, and rolecall is on the PATH. Your own ~/.aws and ~/.kube
    are neither read nor written. The prompt begins with "(rolecall lab)".

    \b
    rolecall lab shell
    rolecall lab shell -- aws sts get-caller-identity

    Exit codes: that of the shell or command; 1 the lab does not run, 126 or 127 the command cannot be run, 2 usage.
    """
    lab = LabHome.find(home)
    running = control.require_running(lab)
    settings = lab.settings()
    variables = environment.shell_environment(lab, settings, running.endpoint, os.environ)
    argv, is_terminal = command or [os.environ.get("SHELL") or "/bin/sh"], sys.stdin.isatty()
    if not command and is_terminal:
        argv, own = interactive_shell(lab.folder, os.environ)
        variables |= own
        sys.stderr.write(
            f"This is the lab's shell. You are {ADMINISTRATOR} of account {settings.accounts[0]}; HOME is "
            f"{lab.user_home}. Leave it with: exit\n"
        )
        for account, profile in list(environment.profiles(settings).items())[1:]:
            sys.stderr.write(f"Account {account}: --profile {profile}\n")
    try:
        ended = subprocess.run(argv, env=variables, check=False)  # noqa: S603 -- the person's own command
    except OSError as error:
        fail(LabError(f"cannot run {argv[0]}: {error.strerror}"), 127 if isinstance(error, FileNotFoundError) else 126)
    raise SystemExit(ended.returncode if ended.returncode >= 0 else 128 - ended.returncode)


def _ensure_binaries() -> Binaries:
    """The programs of the real backend, built if they are missing, with a line on standard error now and then."""
    from rolecall.lab.kubernetes_real.binaries import ensure_binaries

    is_terminal, last = sys.stderr.isatty(), 0.0

    def progress(line: str) -> None:
        nonlocal last
        if time.monotonic() - last > (0.2 if is_terminal else 30.0):
            last = time.monotonic()
            sys.stderr.write(f"\r\x1b[K{line}" if is_terminal else f"{line}\n")
            sys.stderr.flush()

    try:
        return ensure_binaries(os.environ, progress)
    finally:
        if is_terminal and last:
            sys.stderr.write("\r\x1b[K")


def _refuse_changes(
    settings: LabSettings, accounts: list[str], region: str | None, port: int | None, kubernetes: Backend | None
) -> None:
    changes = [
        *(f"--account {account}" for account in accounts if account not in settings.accounts),
        *([f"--region {region}"] if region not in (None, settings.region) else []),
        *([f"--port {port}"] if port not in (None, 0, settings.port) else []),
        *([f"--kubernetes {kubernetes}"] if kubernetes not in (None, settings.kubernetes) else []),
    ]
    if changes:
        raise LabError(
            f"the lab runs without {' '.join(changes)}", advice="stop it first: rolecall lab down; then up again"
        )


def _print_running(lab: LabHome, running: RunningLab, how: str) -> None:
    settings = lab.settings()
    accounts = "".join(
        f"  {'account' if account == settings.accounts[0] else '':<14}{account}   profile {profile}\n"
        for account, profile in environment.profiles(settings).items()
    )
    sys.stdout.write(
        f"lab {lab.folder} {how}\n"
        f"  AWS endpoint  {running.endpoint}\n"
        f"{accounts}"
        f"  region        {settings.region}\n"
        f"  try           {typed_command()} lab shell{_home_flag(lab)} -- aws sts get-caller-identity\n"
    )
    sys.stdout.flush()


def _home_flag(lab: LabHome) -> str:
    return "" if lab == LabHome.find() else f" --home {shlex.quote(str(lab.folder))}"


def _describe(lab: LabHome, settings: LabSettings, running: RunningLab | None) -> dict[str, Any]:
    """The members of the document ``Lab``."""
    from rolecall.lab.inventory import clusters_in

    return {
        "home": str(lab.folder),
        "status": "running" if running else "stopped",
        "endpoint": running.endpoint if running else None,
        "pid": running.pid if running else None,
        "accounts": [
            {"id": account, "profile": profile} for account, profile in environment.profiles(settings).items()
        ],
        "region": settings.region,
        "kubernetes": settings.kubernetes.value,
        "clusters": clusters_in(lab),
    }


def _print_status(found: dict[str, Any]) -> None:
    own = ("home", "status", "endpoint", "pid", "region", "kubernetes")
    print_table(("field", "value"), [(key, str(found[key])) for key in own if found[key] is not None])
    sys.stdout.write("\n")
    print_table(("account", "profile"), [(account["id"], account["profile"]) for account in found["accounts"]])
    if found["clusters"]:
        sys.stdout.write("\n")
        columns = {
            "cluster": "name",
            "account": "account",
            "region": "region",
            "status": "status",
            "authentication mode": "authenticationMode",
            "endpoint": "endpoint",
        }
        print_table(list(columns), [[one.get(key) or "" for key in columns.values()] for one in found["clusters"]])
