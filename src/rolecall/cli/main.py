"""The command ``rolecall``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import rolecall
from rolecall.cli.go_flags import hoisted
from rolecall.cli.lazy import LazyGroup
from rolecall.cli.output import fail
from rolecall.errors import RolecallError

app = typer.Typer(
    name="rolecall",
    cls=LazyGroup,
    help="Give people access to Kubernetes clusters through AWS IAM roles, take it away, prove who can get in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Boxes are for people; what is piped or redirected gets plain lines.
    rich_markup_mode="rich" if sys.stdout.isatty() and sys.stderr.isatty() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
        app(hoisted(sys.argv[1:]))
    except RolecallError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader went away (`| head`); nothing is wrong here.
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:
        # A full disk or a folder that may not be written: the person can do something about it, so no traceback.
        fail(RolecallError((error.strerror or str(error)).lower(), where=str(error.filename or "")))
