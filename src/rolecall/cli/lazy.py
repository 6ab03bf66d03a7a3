"""The group of all commands: each is loaded once it is asked for."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup

from rolecall.cli.commands import COMMANDS, Command, help_text
from rolecall.cli.go_flags import GoFlags

_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
_OWN_HELP = {"help_option_names": ["-h", "--help"]}


class LazyGroup(TyperGroup):
    """The commands of :mod:`rolecall.cli.commands`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = COMMANDS.get(cmd_name)
        return load_command(command, self.rich_markup_mode) if command else None

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # Values are checked by pydantic, whose name for an error says nothing to a person.
            error.message = error.message.removeprefix("Value error, ")
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_text(ctx.command_path))


def load_command(command: Command, markup: Any) -> Any:
    """The command itself, its module loaded."""
    module, _, name = command.target.partition(":")
    target = getattr(importlib.import_module(f"rolecall.cli.{module}"), name)
    if isinstance(target, typer.Typer):
        # Boxes are for terminals, in the help of a group's commands as well.
        target.rich_markup_mode, target.pretty_exceptions_enable = markup, False
    else:
        target = _alone(command, target, markup)
    found = typer.main.get_command(target)
    found.name = command.name
    _nouns(found)
    return found


def _nouns(command: Any) -> None:
    """Show the arguments of a command and of those below it by their nouns: ``[RUN]``, and no type of Python."""
    for below in getattr(command, "commands", {}).values():
        _nouns(below)
    arguments: list[Any] = [one for one in command.params if isinstance(one, TyperArgument) and one.metavar]
    for argument in arguments:
        noun = argument.metavar.strip("[].")
        usage = (noun if argument.required else f"[{noun}]") + ("..." if argument.nargs != 1 else "")
        argument.metavar, argument.display_type_rich = noun, _no_type
        argument.get_usage_pieces = partial(_usage, usage)


def _no_type(ctx: Any) -> None:
    """The type of an argument, which its noun says already."""


def _usage(text: str, ctx: Any) -> list[str]:
    return [text]


def _alone(command: Command, function: Any, markup: Any) -> typer.Typer:
    app = typer.Typer(add_completion=False, rich_markup_mode=markup, pretty_exceptions_enable=False)
    settings = _PASS_ON if command.pass_on else _OWN_HELP
    app.command(command.name, cls=GoFlags if command.go_flags else None, context_settings=settings)(function)
    return app
