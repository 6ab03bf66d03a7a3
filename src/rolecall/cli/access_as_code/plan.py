"""``rolecall plan``: what would change, what that does to access, what the guards object to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rolecall.cli.output import Format, print_data

if TYPE_CHECKING:
    from rolecall.plan.findings import Allowance
    from rolecall.plan.plan import Plan

CHANGES, REFUSED = 10, 11
DEFAULT_FILE = Path("access.yaml")

File = Annotated[Path, typer.Option("-f", "--file", metavar="FILE", help="The file to plan from.")]
Accounts = Annotated[
    list[str] | None, typer.Option("--account", metavar="NAME", help="Only this account and its clusters; repeatable.")
]
Clusters = Annotated[
    list[str] | None,
    typer.Option("--cluster", metavar="NAME", help="Only clusters of this name or pattern; repeatable."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="CODE[:NAME]", help="Override a refusal, for everything or one thing; repeatable."),
]
Folders = Annotated[
    list[Path] | None, typer.Option("--include-folder", metavar="DIR", help="Files may also be included from here.")
]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to print it.")]


def plan(
    file: File = DEFAULT_FILE,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the plan, for rolecall apply.")
    ] = None,
    account: Accounts = None,
    cluster: Clusters = None,
    allow: Allow = None,
    include_folder: Folders = None,
    output: Output = Format.table,
) -> None:
    """Show what would change for accounts and clusters to be as access.yaml says. Changes nothing.

    Ends with 0 where there is nothing to change, 10 with changes, 11 where a guard refuses them,
    1 on a failure, 2 on wrong usage.

    \b
    rolecall plan
    rolecall plan -f access.yaml --out plan.json
    rolecall plan --cluster 'prod-*' -o json
    rolecall plan --allow system-masters:admins
    """
    made = make(file, account, cluster, allow, include_folder)
    if out is not None:
        write_plan(made, out)
    show(made, output)
    if made.refusals:
        raise typer.Exit(REFUSED)
    if made.changes:
        raise typer.Exit(CHANGES)


def make(
    file: Path,
    accounts: list[str] | None = None,
    clusters: list[str] | None = None,
    allow: list[str] | None = None,
    folders: list[Path] | None = None,
) -> Plan:
    """The plan of a file, of the world as it is now; for every command that plans."""
    from rolecall.cli.access_as_code.world import read_manifest_world
    from rolecall.manifest.load import load
    from rolecall.plan.planning import make_plan

    named = allowances(allow)
    loaded = load(file, folders=folders or ())
    read = read_manifest_world(loaded, accounts=accounts or (), clusters=clusters or ())
    made = make_plan(loaded, read.world, read.world.read_at, allowances=named, places=read.places, reach=read.reach)
    mention_unused(made, named)
    return made


def allowances(allow: Iterable[str] | None) -> list[Allowance]:
    """What ``--allow`` says."""
    from rolecall.plan.findings import Allowance
    from rolecall.plan.guards import CODES

    return [Allowance.parse(text, CODES) for text in allow or ()]


def mention_unused(made: Plan, named: Iterable[Allowance]) -> None:
    """Say which ``--allow`` overrides nothing: its name may be misspelt."""
    for one in named:
        if not any(one.covers(found) for found in made.findings):
            name = f"{one.code}:{one.about}" if one.about else one.code
            sys.stderr.write(f"note: --allow {name} overrides nothing here\n")


def show(made: Plan, output: Format) -> None:
    """Print a plan."""
    if output is Format.table:
        from rolecall.plan.render import plan_lines

        for line in plan_lines(made):
            sys.stdout.write(f"{coloured(line)}\n")
        return
    from rolecall.plan.plan_file import to_json

    print_data(to_json(made), output)


def write_plan(made: Plan, out: Path) -> None:
    """Write a plan for ``rolecall apply FILE``, readable by its owner alone: it says who gets in where."""
    from rolecall.local_files.writing import PRIVATE, write_file
    from rolecall.plan.plan_file import to_json

    write_file(out, json.dumps(to_json(made), indent=1, ensure_ascii=False) + "\n", most=PRIVATE, streams=True)


_COLOURS = {"+": "32", "-": "31", "~": "33", "!": "31"}


def coloured(line: str) -> str:
    """A line of a plan or a diff in colour, where it is read on a terminal."""
    mark = line.lstrip()[:2]
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return line
    if line and not line.startswith(" "):
        return f"\x1b[1m{line}\x1b[0m"
    colour = _COLOURS.get(mark[:1]) if mark[1:] == " " else None
    return f"\x1b[{colour}m{line}\x1b[0m" if colour else line
