"""``rolecall lab tour``: how the tour is shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rolecall.cli.extras import require_extra
from rolecall.cli.output import FAILED, Format, print_document, working

if TYPE_CHECKING:
    from rolecall.lab.tour.guide import Tour
    from rolecall.lab.tour.stage import Step
    from rolecall.lab.tour.story import Record


def run_tour(
    pause: Annotated[bool, typer.Option("--pause", help="Wait for Enter between steps.")] = False,
    output: Annotated[
        Format, typer.Option("-o", "--output", metavar="FORMAT", help="Format: table, json or yaml.")
    ] = Format.table,
) -> None:
    """Show the whole procedure in a throw-away lab.

    The steps are: role, mapping, login, a second person, offboarding. They use your own aws and kubectl if both are
    installed, and clients of rolecall's own if not. Nothing of yours is read or changed.

    \b
    rolecall lab tour
    rolecall lab tour --pause
    rolecall lab tour -o json

    Exit codes: 0 every step went as the procedure expects, 1 one did not, or error, 2 usage.
    """
    require_extra("lab")
    from rolecall.lab.tour.guide import tour

    steps: list[Step] = []
    with ExitStack() as stack:
        with working("starting a throw-away lab"):
            found = stack.enter_context(tour())
        if output is Format.table:
            _introduce(found)
        for step in _taken(found.story.tell()):
            steps.append(step)
            if output is Format.table:
                _show(step)
                if pause and sys.stdin.isatty():
                    input("  -- Enter --")
        record = found.story.record
    failed = [step for step in steps if not step.ok]
    if output is Format.table:
        if record is not None and not failed:
            _show_record(record)
        sys.stdout.write(f"\n{len(steps)} steps, {len(failed)} not as expected\n")
    else:
        print_document("Tour", _members(found, steps, record), output)
    if failed:
        raise typer.Exit(FAILED)


def _taken(steps: Iterator[Step]) -> Iterator[Step]:
    for number in count(1):
        with working(f"step {number}"):
            step = next(steps, None)
        if step is None:
            return
        yield step


def _introduce(found: Tour) -> None:
    console = _console()
    console.print("[bold]rolecall: the procedure, from an empty account to offboarding[/bold]", highlight=False)
    console.print(f"A throw-away lab answers at {found.endpoint}. Nothing of yours is changed.", highlight=False)
    for name, what in found.tools.items():
        console.print(f"  {name:<8} {what}", highlight=False)


def _show(step: Step) -> None:
    from rich.markup import escape

    console = _console()
    console.print(f"\n[bold]{escape(step.title)}[/bold]", highlight=False)
    if step.command:
        console.print(f"  [cyan]$ {escape(step.command)}[/cyan]", highlight=False, soft_wrap=True)
    if step.changed != "nothing":
        console.print(f"  changed  {escape(step.changed)}", highlight=False, soft_wrap=True)
    mark = "[green]ok[/green]" if step.ok else "[red]NOT AS EXPECTED[/red]"
    first, *rest = step.result.splitlines() or [""]
    console.print(f"  {mark}       {escape(first)}", highlight=False, soft_wrap=True)
    for line in rest:
        console.print(f"           {escape(line)}", highlight=False, soft_wrap=True)
    if step.ok and "whoami" in step.command and step.output:
        for line in step.output.rstrip().splitlines():
            console.print(f"           [dim]{escape(line.rstrip())}[/dim]", highlight=False, soft_wrap=True)


def _show_record(record: Record) -> None:
    from rich.markup import escape

    console = _console()
    console.print("\n[bold]The record[/bold]")
    for name, value in record.rows:
        console.print(f"  {name:<25}{escape(value)}", highlight=False, soft_wrap=True)
    console.print("\n[bold]The chain[/bold]")
    for index, (link, value) in enumerate(record.chain):
        arrow = "  " if index == 0 else "->"
        console.print(f"  {arrow} [bold]{link:<16}[/bold] {escape(value)}", highlight=False, soft_wrap=True)


def _members(found: Tour, steps: list[Step], record: Record | None) -> dict[str, Any]:
    """The members of the document ``Tour``. What a step printed is left out, because it may hold a key."""
    return {
        "tools": found.tools,
        "ok": all(step.ok for step in steps),
        "steps": [
            {
                "number": step.number,
                "title": step.title,
                "command": step.command or None,
                "changed": None if step.changed == "nothing" else step.changed,
                "result": step.result,
                "ok": step.ok,
                "seconds": round(step.seconds, 3),
            }
            for step in steps
        ],
        "record": record and record.members,
        "chain": [{"link": link, "value": value} for link, value in record.chain] if record else [],
    }


def _console() -> Any:
    from rich.console import Console

    # rich leaves colours out if the output is not a terminal or NO_COLOR is set.
    return Console(file=sys.stdout)
