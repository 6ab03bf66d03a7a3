"""``rolecall plan``: what would change, what that does to access, what the guards object to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rolecall.cli.output import Format, PasteFormat, markdown_text, print_document, print_table
from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.access.world import World
    from rolecall.manifest.load import Loaded
    from rolecall.plan.findings import Allowance, Finding
    from rolecall.plan.plan import Plan

CHANGES, REFUSED = 10, 11
DEFAULT_FILE = Path("access.yaml")

File = Annotated[
    Path, typer.Option("-f", "--file", metavar="FILE", help="Access file (default: access.yaml).", show_default=False)
]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--account", metavar="ACCOUNT", help="Only this account and its clusters. Repeatable."),
]
Clusters = Annotated[
    list[str] | None,
    typer.Option("--cluster", metavar="CLUSTER", help="Only clusters of this name or pattern. Repeatable."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="CODE[:NAME]", help="Override a refusal, for everything or for one thing. Repeatable."
    ),
]
Folders = Annotated[
    list[Path] | None,
    typer.Option("--include-folder", metavar="DIR", help="Folder from which files may be included too. Repeatable."),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="Output format.")]
PasteOutput = Annotated[PasteFormat, typer.Option("-o", "--output", help="Output format.")]
Profile = Annotated[
    str,
    typer.Option(
        "--profile", metavar="PROFILE", help="AWS profile for accounts without one (default: from the environment)."
    ),
]
Region = Annotated[
    str,
    typer.Option("--region", metavar="REGION", help="Region for accounts without one (default: from the profile)."),
]


def plan(
    file: File = DEFAULT_FILE,
    out: Annotated[
        Path | None, typer.Option("-O", "--out", metavar="FILE", help="Write the plan to FILE, for rolecall apply.")
    ] = None,
    account: Accounts = None,
    cluster: Clusters = None,
    allow: Allow = None,
    include_folder: Folders = None,
    profile: Profile = "",
    region: Region = "",
    output: PasteOutput = PasteFormat.table,
) -> None:
    """Show what would change for accounts and clusters to be as access.yaml says. Changes nothing.

    \b
    rolecall plan
    rolecall plan --cluster 'prod-*' --out plan.json
    rolecall plan --allow system-masters:admins
    rolecall plan -o markdown

    Exit codes: 0 no changes, 10 changes, 11 refused by a guard, 1 error, 2 usage.
    """
    made = make(file, account, cluster, allow, include_folder, profile, region)
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
    profile: str = "",
    region: str = "",
) -> Plan:
    """The plan of a file against the current state; for every command that plans."""
    require(file)
    from rolecall.cli.access_as_code.world import read_manifest_world
    from rolecall.manifest.load import load
    from rolecall.plan.planning import make_plan

    named = allowances(allow)
    loaded = load(file, folders=folders or ())
    read = read_manifest_world(loaded, accounts=accounts or (), clusters=clusters or (), profile=profile, region=region)
    reach = {**read.reach, "file": str(file.resolve())}
    made = make_plan(loaded, read.world, read.world.read_at, allowances=named, places=read.places, reach=reach)
    mention_unused(made, named)
    left = [] if read.places is not None else left_behind(file, loaded, read.world)
    return replace(made, findings=(*made.findings, *left))


def left_behind(file: Path, loaded: Loaded, world: World) -> list[Finding]:
    """What earlier runs of a file made and it does not name any more."""
    from rolecall.plan.left_behind import left_behind as found
    from rolecall.runs.journal import JournalError, made_for, read_run, run_names, runs_folder

    folder, runs = runs_folder(os.environ), []
    for name in run_names(folder):
        try:
            runs.append(read_run(folder, name))
        except JournalError:
            # rolecall runs names those that cannot be read.
            continue
    return list(found(loaded, world, world.read_at, made_for(str(file.resolve()), runs)))


def require(file: Path) -> None:
    """:class:`RolecallError` if the file does not exist; said before anything is loaded that would read it."""
    if not file.exists():
        advice = "create one with: rolecall new, or rolecall import"
        raise RolecallError("not found", where=str(file), advice=advice)


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


def show(made: Plan, output: Format | PasteFormat) -> None:
    """Print a plan."""
    if output == Format.table:
        from rolecall.plan.render import plan_lines

        for line in plan_lines(made):
            sys.stdout.write(f"{coloured(line)}\n")
        return
    from rolecall.plan.document import COLUMNS, plan_document, rows

    if output == PasteFormat.csv:
        print_table(COLUMNS, [*rows(made)], output)
    elif output == PasteFormat.markdown:
        _show_markdown(made)
    else:
        print_document("Plan", plan_document(made), output)


def _show_markdown(made: Plan) -> None:
    """A page for a pull request: the sentence first, then a table for each kind of thing."""
    from rolecall.plan.document import rows
    from rolecall.plan.render import place_label, summary

    sys.stdout.write(f"### rolecall plan\n\n{markdown_text(summary(made))}\n")
    found = [*rows(made)]
    effects = [row for row in found if row[0] == "access"]
    findings = [row for row in found if row[0] == "finding"]
    changes = [row for row in found if row not in effects and row not in findings]
    tables = (
        ("Findings", ("", "code", "about", "what"), [(row[1], row[3], row[2], row[5]) for row in findings]),
        ("Effect on access", ("", "person", "cluster", "through", "details"),
         [(row[1], row[4], row[2], row[3], row[5]) for row in effects]),
        ("Changes", ("", "what", "name", "where", "details"),
         [(row[1], row[0], row[3], place_label(row[2]), row[5]) for row in changes]),
    )  # fmt: skip
    for title, columns, cells in tables:
        if cells:
            sys.stdout.write(f"\n#### {title}\n\n")
            print_table(columns, cells, PasteFormat.markdown)


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
