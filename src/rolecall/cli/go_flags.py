"""Options as programs in Go take them: ``--flag=true`` for a switch, ``--list=a,b`` and ``--list a --list b``.

Manifests hold such command lines, and swapping the command must be all that there is to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand

_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


class GoFlags(TyperCommand):
    """A command whose switches may have a value (source: Go's ``strconv.ParseBool``, as pflag uses it)."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        switches: dict[str, str] = {}
        for one in self.params:
            if getattr(one, "is_flag", False):
                off = next(iter(one.secondary_opts), "")
                switches |= {name: off for name in one.opts if name.startswith("--")}
        return super().parse_args(ctx, [_translated(arg, switches) for arg in args])


def _translated(arg: str, switches: dict[str, str]) -> str:
    name, equals, value = arg.partition("=")
    if equals and name in switches:
        if value.lower() in _TRUE:
            return name
        if value.lower() in _FALSE and switches[name]:
            return switches[name]
    return arg


def listed(values: Iterable[str] | None) -> tuple[str, ...] | None:
    """The items of a list option, given apart or with commas; ``None`` where it was not given."""
    if values is None:
        return None
    return tuple(item.strip() for value in values for item in value.split(",") if item.strip())
