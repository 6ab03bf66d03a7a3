"""``rolecall version`` and ``rolecall help``, with the flags and the output of aws-iam-authenticator."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

import rolecall
from rolecall.cli.commands import help_text


class VersionFormat(StrEnum):
    """Values of ``-o``."""

    json = "json"
    yaml = "yaml"


def version(
    short: Annotated[bool, typer.Option("--short", "-s", help="Print the version number only.")] = False,
    output: Annotated[
        VersionFormat, typer.Option("--output", "-o", help="Output format (default: json).", show_default=False)
    ] = VersionFormat.json,
) -> None:
    """Print the version of rolecall.

    \b
    Examples:
      rolecall version
      rolecall version --short

    Exit codes: 0 done, 2 wrong usage.
    """
    if short:
        sys.stdout.write(f"{rolecall.__version__}\n")
    elif output is VersionFormat.yaml:
        sys.stdout.write(f"version: {json.dumps(rolecall.__version__)}\n")
    else:
        sys.stdout.write(json.dumps({"Version": rolecall.__version__}) + "\n")


def help_for(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]...", help="A command, such as plan or aws-auth get.")
    ] = None,
) -> None:
    """Show the help of a command, or the list of all commands.

    \b
    Examples:
      rolecall help plan
      rolecall help aws-auth get

    Exit codes: 0 done, 2 there is no such command.
    """
    if not command:
        sys.stdout.write(help_text("rolecall"))
        return
    from rolecall.cli.main import app

    app([*command, "--help"], prog_name="rolecall")
