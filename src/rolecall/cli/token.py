"""``rolecall token`` and ``rolecall eks`` in the list of commands.

They are carried out before this module is loaded (:mod:`rolecall.__main__`); here they are for the help, and for
programs that call the command line as a function.
"""

from __future__ import annotations

import typer


def token(context: typer.Context) -> None:
    """Print a token for a cluster, with the flags of aws-iam-authenticator.

    \b
    rolecall token -i prod
    rolecall token -i prod -r arn:aws:iam::111122223333:role/Dev
    """
    _pass_on("token", context)


def eks(context: typer.Context) -> None:
    """Print a token for a cluster, with the options and the output of `aws eks get-token`.

    \b
    rolecall eks get-token --cluster-name prod
    rolecall eks get-token --cluster-name prod --output text
    """
    _pass_on("eks", context)


def _pass_on(command: str, context: typer.Context) -> None:
    from rolecall.exec_plugin.command import main

    raise typer.Exit(main([command, *context.args]))
