"""``rolecall lab tour``: how the story is shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from itertools import count
from typing import Annotated, Any

import typer

from rolecall.cli.output import FAILED, Format, print_data, working
from rolecall.lab.tour.guide import Tour, tour
from rolecall.lab.tour.story import Record, Told


def run_tour(
    pause: Annotated[bool, typer.Option("--pause", help="Wait for Enter between steps.")] = False,
    output: Annotated[Format, typer.Option("-o", "--output", help="How to print it.")] = Format.table,
) -> None:
    """See the whole procedure happen in a throw-away lab: role, mapping, login, a second person, offboarding.

    Uses your own aws and kubectl where both are installed. Ends with 1 if anything is not as the procedure expects.

    \b
    rolecall lab tour
    rolecall lab tour --pause
    rolecall lab tour -o json
    """
    told: list[Told] = []
    with ExitStack() as stack:
        with working("starting a throw-away lab"):
            found = stack.enter_context(tour())
        if output is Format.table:
            _introduce(found)
        for step in _told(found.story.tell()):
            told.append(step)
            if output is Format.table:
                _show(step)
                if pause and sys.stdin.isatty():
                    input("  -- Enter --")
        record = found.story.record
    failed = [step for step in told if not step.ok]
    if output is Format.table:
        if record is not None and not failed:
            _show_record(record)
        sys.stdout.write(f"\n{len(told)} steps, {len(failed)} not as expected\n")
    else:
        print_data(_as_data(found, told, record), output)
    if failed:
        raise typer.Exit(FAILED)


def _told(steps: Iterator[Told]) -> Iterator[Told]:
    for number in count(1):
        with working(f"step {number}"):
            step = next(steps, None)
        if step is None:
            return
        yield step


def _introduce(found: Tour) -> None:
    console = _console()
    console.print("[bold]rolecall: the procedure, from an empty account to offboarding[/bold]", highlight=False)
    console.print(f"A throw-away lab answers at {found.endpoint}; nothing of yours is touched.", highlight=False)
    for name, what in found.tools.items():
        console.print(f"  {name:<8} {what}", highlight=False)


def _show(step: Told) -> None:
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


def _as_data(found: Tour, told: list[Told], record: Record | None) -> dict[str, Any]:
    return {
        "tools": found.tools,
        "ok": all(step.ok for step in told),
        "steps": [
            {key: value for key, value in asdict(step).items() if key != "output"} | {"seconds": round(step.seconds, 3)}
            for step in told
        ],
        "record": dict(record.rows) if record else {},
        "chain": dict(record.chain) if record else {},
    }


def _console() -> Any:
    from rich.console import Console

    # rich leaves colours out where the output is no terminal or NO_COLOR is set.
    return Console(file=sys.stdout)
