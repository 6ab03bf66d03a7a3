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

from rolecall.cli.output import NOT_RUNNING, Format, fail, print_data, print_table, typed_command, working
from rolecall.cli.tour import run_tour
from rolecall.lab import control, environment
from rolecall.lab.home import ADMINISTRATOR, HOME_VARIABLE, Backend, LabError, LabHome, LabSettings, RunningLab

if TYPE_CHECKING:
    from rolecall.lab.kubernetes_real.binaries import Binaries

app = typer.Typer(
    help="AWS and Kubernetes on this machine: IAM, STS and EKS clusters for the unmodified aws and kubectl.",
    no_args_is_help=True,
)

Home = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help=f"The lab's folder. Default: ${HOME_VARIABLE}, else your state folder."),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to print it.")]


app.command("tour")(run_tour)


@app.command()
def up(
    home: Home = None,
    account: Annotated[
        list[str] | None, typer.Option("--account", metavar="ID", help="AWS account id; again for more accounts.")
    ] = None,
    region: Annotated[str | None, typer.Option(metavar="R", help="Region of the lab's profiles.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port of the AWS endpoint; default: a free one.")
    ] = None,
    kubernetes: Annotated[
        Backend | None,
        typer.Option(help="What new clusters are made of: the lab's own server, or kube-apiserver and etcd."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once the lab answers.")] = False,
) -> None:
    """Start a lab, or start it again with all that it had.

    \b
    rolecall lab up --detach
    rolecall lab up --kubernetes real
    rolecall lab up --home ./lab --account 111122223333 --account 444455556666 --region eu-west-2
    """
    lab = LabHome.find(home)
    if (running := lab.running()) is not None:
        _refuse_changes(lab.settings(), account or [], region, port, kubernetes)
        _say_running(lab, running, "is already running")
        return
    if kubernetes is Backend.REAL:
        _ensure_binaries()
    control.settle(lab, accounts=account or [], region=region, port=port, kubernetes=kubernetes)
    if detach:
        with working("starting the lab"):
            started = control.start_detached(lab)
        _say_running(lab, started, "is up")
        return
    from rolecall.lab.serve import serve

    serve(lab, on_ready=lambda running: _say_running(lab, running, "is up; Ctrl-C stops it"))


@app.command()
def build_kubernetes() -> None:
    """Have kube-apiserver and etcd ready for `lab up --kubernetes real`: found, or built once with Go.

    They are looked for in $KUBEBUILDER_ASSETS, on PATH and in the cache. A build takes some minutes.

    \b
    rolecall lab build-kubernetes
    """
    found = _ensure_binaries()
    sys.stdout.write(f"{found.apiserver}\n{found.etcd}\n")


@app.command()
def down(home: Home = None) -> None:
    """Stop the lab. Its state stays; `lab up` brings it back.

    \b
    rolecall lab down
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
    """What the lab is, and its clusters. Ends with 0 if it runs, 3 if not.

    \b
    rolecall lab status
    rolecall lab status -o json
    """
    lab = LabHome.find(home)
    if not lab.exists():
        fail(LabError("there is no lab here", where=str(lab.folder), advice="start one: rolecall lab up"), NOT_RUNNING)
    running = lab.running()
    found = _describe(lab, lab.settings(), running)
    if output is Format.table:
        print_table(
            ("field", "value"),
            [
                (key, ", ".join(value) if isinstance(value, list) else str(value or ""))
                for key, value in found.items()
                if key != "clusters"
            ],
        )
        if found["clusters"]:
            sys.stdout.write("\n")
            columns = ("name", "account", "region", "status", "authentication_mode", "endpoint")
            print_table(
                [c.replace("_", " ") for c in columns], [[row[c] for c in columns] for row in found["clusters"]]
            )
    else:
        print_data(found, output)
    if running is None:
        raise typer.Exit(NOT_RUNNING)


@app.command()
def reset(
    home: Home = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Empty the lab: all users, roles, clusters and keys go, new administrator keys are made.

    A lab that was running is started again.

    \b
    rolecall lab reset --yes
    """
    lab = LabHome.find(home)
    lab.settings()
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete everything in {lab.folder}?", abort=True)
    with working("stopping the lab"):
        was_running = control.stop(lab)
    lab.wipe()
    if was_running:
        lab.create()
        with working("starting it again"):
            started = control.start_detached(lab)
        _say_running(lab, started, "is empty and up again")
    else:
        sys.stdout.write(f"lab {lab.folder} is empty\n")


@app.command("env")
def print_environment(
    home: Home = None,
    keys: Annotated[bool, typer.Option("--keys", help="Print the administrator's key itself, for programs.")] = False,
) -> None:
    """Print `export` lines that point aws and kubectl at the lab.

    \b
    eval "$(rolecall lab env)"
    eval "$(rolecall lab env --keys)"
    """
    lab = LabHome.find(home)
    endpoint = control.require_running(lab).endpoint
    variables = (environment.key_variables if keys else environment.file_variables)(lab, lab.settings(), endpoint)
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    if not keys:
        for name in environment.overriding_variables(os.environ):
            sys.stderr.write(f"warning: {name} is set and beats what this exports; run: unset {name}\n")


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def shell(
    command: Annotated[list[str] | None, typer.Argument(metavar="[-- COMMAND]", help="Run this instead.")] = None,
    home: Home = None,
) -> None:
    """A shell whose HOME, endpoint, region and profile are the lab's; or one command in it.

    Your own ~/.aws and ~/.kube are neither read nor written.

    \b
    rolecall lab shell
    rolecall lab shell -- aws sts get-caller-identity
    """
    lab = LabHome.find(home)
    running = control.require_running(lab)
    variables = environment.shell_environment(lab, lab.settings(), running.endpoint, os.environ)
    argv = command or [os.environ.get("SHELL", "/bin/sh")]
    if not command and sys.stdin.isatty():
        account = lab.settings().accounts[0]
        sys.stderr.write(
            f"in the lab's shell: {ADMINISTRATOR} of account {account}, HOME is {lab.user_home}; `exit` leaves it\n"
        )
    try:
        ended = subprocess.run(argv, env=variables, check=False)  # noqa: S603 -- the person's own command
    except OSError as error:
        fail(LabError(f"cannot run {argv[0]}: {error.strerror}"), 127 if isinstance(error, FileNotFoundError) else 126)
    raise SystemExit(ended.returncode if ended.returncode >= 0 else 128 - ended.returncode)


def _ensure_binaries() -> Binaries:
    """The programs of the real backend, built where they are missing, with a line on standard error now and then."""
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


def _say_running(lab: LabHome, running: RunningLab, how: str) -> None:
    settings = lab.settings()
    sys.stdout.write(
        f"lab {lab.folder} {how}\n"
        f"  AWS endpoint  {running.endpoint}\n"
        f"  account       {', '.join(settings.accounts)}   region {settings.region}\n"
        f"  try           {typed_command()} lab shell{_home_flag(lab)} -- aws sts get-caller-identity\n"
    )
    sys.stdout.flush()


def _home_flag(lab: LabHome) -> str:
    return "" if lab == LabHome.find() else f" --home {shlex.quote(str(lab.folder))}"


def _describe(lab: LabHome, settings: LabSettings, running: RunningLab | None) -> dict[str, Any]:
    from rolecall.lab.inventory import clusters_in

    return {
        "home": str(lab.folder),
        "status": "running" if running else "stopped",
        "endpoint": running.endpoint if running else None,
        "pid": running.pid if running else None,
        "accounts": list(settings.accounts),
        "region": settings.region,
        "kubernetes": settings.kubernetes.value,
        "clusters": clusters_in(lab),
    }
