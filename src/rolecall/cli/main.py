"""The command ``rolecall``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import rolecall
from rolecall.cli import lab, server, token
from rolecall.cli.access_as_code import apply, drift, grant, new, plan
from rolecall.cli.cluster_maps import access_entry, aws_auth, map_entries
from rolecall.cli.go_flags import GoFlags
from rolecall.cli.output import fail
from rolecall.cli.own_files import kubeconfig, profiles
from rolecall.errors import RolecallError

app = typer.Typer(
    name="rolecall",
    help="Give people access to Kubernetes clusters through AWS IAM roles, take it away, prove who can get in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Boxes are for people; what is piped or redirected gets plain lines.
    rich_markup_mode="rich" if sys.stdout.isatty() and sys.stderr.isatty() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(lab.app, name="lab")
app.add_typer(aws_auth.app, name="aws-auth")
app.add_typer(access_entry.app, name="access-entry")
app.command("new")(new.new)
app.command("import")(new.import_existing)
app.command("plan")(plan.plan)
app.command("apply")(apply.apply)
app.command("resume")(apply.resume)
app.command("undo")(apply.undo)
app.command("runs")(apply.runs)
app.command("grant")(grant.grant)
app.command("revoke")(grant.revoke)
app.command("drift")(drift.drift)
app.command("schema")(plan.schema)
app.command("kubeconfig")(kubeconfig.kubeconfig)
app.command("profiles")(profiles.profiles)
app.command("token", context_settings=token.PASS_ON)(token.token)
app.command("eks", context_settings=token.PASS_ON)(token.eks)
app.command("verify")(token.verify)
app.command("server", cls=GoFlags)(server.server)
app.command("init", cls=GoFlags)(server.init)
app.add_typer(map_entries.add, name="add")
app.add_typer(map_entries.remove, name="remove")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rolecall {rolecall.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of every command."""


def main() -> None:
    """Run the command line; an error that a person is meant to read ends it without a traceback."""
    try:
        app()
    except RolecallError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader went away (`| head`): that is its right, and no error of ours.
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:
        # A full disk, a folder that may not be written: the person's to mend, so no traceback.
        fail(RolecallError((error.strerror or str(error)).lower(), where=str(error.filename or "")))
