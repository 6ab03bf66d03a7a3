"""Options as aws-iam-authenticator takes them, which is written in Go with cobra and pflag.

Manifests and scripts hold such command lines, and only the command in them changes. Sources:
spf13/cobra v1.10 ``command.go`` (``Find``, ``stripFlags``), spf13/pflag v1.0 ``flag.go`` (``parseLongArg``,
``parseSingleShortArg``), ``string_slice.go``, ``int.go``, ``bool.go``.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from rolecall.mapping.go_values import parse_bool, parse_int

# Options that every command of aws-iam-authenticator takes (``root.go``, ``PersistentFlags``); all have a value. A
# command that has no use for them leaves them out, and they change nothing there.
GLOBAL = frozenset(
    ("-c", "--config", "-l", "--log-format", "-v", "--log-verbosity", "-i", "--cluster-id", "--feature-gates")
)
# Commands of aws-iam-authenticator, and `remove`, the counterpart of `add`.
DROP_INS = frozenset(("server", "init", "token", "verify", "add", "remove", "version", "help"))


class GoFlags(TyperCommand):
    """A command whose options are read as pflag reads them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _Reader(args, self.params).read())


class GoGroup(TyperGroup):
    """A group of such commands, whose options may stand before the command's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, command_first(args, ("--prompt", "--no-prompt", "--help", "-h")))


def hoisted(arguments: Sequence[str]) -> list[str]:
    """The arguments of ``rolecall`` with a drop-in command in front: ``-c FILE server`` becomes ``server -c FILE``."""
    found = command_first(arguments, ("--help", "-h", "--version", "--install-completion", "--show-completion"))
    if found and found[0] in DROP_INS:
        return found
    # cobra shows its help for global options without a command.
    return [] if found and found[0].startswith("-") and _is_global(found) else list(arguments)


def _is_global(arguments: Sequence[str]) -> bool:
    words = iter(arguments)
    for word in words:
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        if name not in GLOBAL or (name == word and next(words, None) is None):
            return False
    return True


def command_first(arguments: Sequence[str], switches: Collection[str]) -> list[str]:
    """The arguments with the first word that is neither an option nor an option's value in front.

    An option without ``=`` takes the next word as its value, as cobra has it while it looks for the command.

    :param switches: options that take no value.
    """
    place = 0
    while place < len(arguments) and (word := arguments[place]).startswith("-") and word not in ("-", "--"):
        is_alone = "=" in word or word in switches or (len(word) > 2 and not word.startswith("--"))
        place += 1 if is_alone else 2
    if not 0 < place < len(arguments) or arguments[place].startswith("-"):
        return list(arguments)
    return [arguments[place], *arguments[:place], *arguments[place + 1 :]]


def whole_number(value: str) -> int:
    """The value of an option that is a number, as pflag reads it; ``BadParameter`` if it is not one."""
    found = parse_int(value)
    if found is None:
        raise typer.BadParameter(f"{value!r} is not a whole number")
    return found


def items(values: Iterable[str] | None) -> tuple[str, ...] | None:
    """The items of a list option, given apart or as one line of CSV; ``None`` if it was not given."""
    if values is None:
        return None
    found: list[str] = []
    for value in values:
        try:
            rows = list(csv.reader([value], strict=True)) if value else []
        except csv.Error:
            rows = [[], []]
        if len(rows) > 1:
            raise typer.BadParameter(f"{value!r} is not a list with commas")
        found += rows[0] if rows else []
    return tuple(found)


class _Reader:
    """Puts arguments into the form that click reads without a doubt: ``--name=value``, and switches without a value.

    What is not an option of the command is left as it is, for click to refuse.
    """

    def __init__(self, arguments: Sequence[str], params: Iterable[Any]) -> None:
        self._words = iter(arguments)
        self._options = {name: one for one in params for name in (*one.opts, *one.secondary_opts)}
        self._found: list[str] = []
        # By the long name; the last of several counts.
        self._switches: dict[str, list[str]] = {}

    def read(self) -> list[str]:
        for word in self._words:
            if word == "--":
                self._found += [word, *self._words]
            elif word.startswith("--"):
                name, equals, value = word.partition("=")
                self._take(name, value if equals else None)
            elif word.startswith("-") and len(word) > 1:
                self._take_short(word[1:])
            else:
                self._found.append(word)
        return [*(part for parts in self._switches.values() for part in parts), *self._found]

    def _take_short(self, letters: str) -> None:
        """``-c FILE``, ``-cFILE``, ``-c=FILE``, and switches in one word: ``-sh``."""
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            option = self._options.get(name)
            value: str | None = None
            if len(letters) > 1 and letters[0] == "=":
                value, letters = letters[1:], ""
            elif letters and (name in GLOBAL if option is None else not option.is_flag):
                value, letters = letters, ""
            self._take(name, value)

    def _take(self, name: str, value: str | None) -> None:
        option = self._options.get(name)
        if option is None and name in GLOBAL:
            if value is None and next(self._words, None) is None:
                raise typer.BadParameter("a value is missing", param_hint=name)
            return
        if option is None:
            self._found.append(name if value is None else f"{name}={value}")
            return
        long = next((one for one in option.opts if one.startswith("--")), name)
        if option.is_flag:
            wanted = parse_bool("true" if value is None else value)
            if wanted is None:
                raise typer.BadParameter(f"{value!r} is not true or false", param_hint=long)
            wanted = wanted is not (name in option.secondary_opts)
            self._switches[long] = [long] if wanted else list(option.secondary_opts[:1])
            return
        value = next(self._words, None) if value is None else value
        if value is None:
            self._found.append(long)
            return
        self._found.append(f"{long}={value}")
