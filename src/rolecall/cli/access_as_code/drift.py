"""``rolecall drift``: where accounts and clusters are not as access.yaml says, for a schedule or a person."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from rolecall.cli.access_as_code import plan as planning
from rolecall.cli.output import FAILED, Format, print_data


def drift(
    file: planning.File = planning.DEFAULT_FILE,
    account: planning.Accounts = None,
    cluster: planning.Clusters = None,
    authors: Annotated[
        bool, typer.Option("--authors/--no-authors", help="Ask who changed it, where something can say.")
    ] = True,
    exit_code: Annotated[
        bool, typer.Option("--exit-code/--no-exit-code", help="End with 10 where there is drift.")
    ] = True,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing where there is no drift.")] = False,
    include_folder: planning.Folders = None,
    output: planning.Output = Format.table,
) -> None:
    """Compare access.yaml with the world, both ways; say who changed what where the audit trail can. Changes nothing.

    Ends with 0 where all is as the file says, 10 where something is not, and 1 where nothing was found to differ but
    not all could be looked at.

    \b
    rolecall drift
    rolecall drift -q -o json > drift.json || mail -s drift team@example.com < drift.json
    rolecall drift --cluster 'prod-*' --no-authors
    """
    from rolecall.cli.access_as_code.world import read_manifest_world
    from rolecall.drift.authors import Authors
    from rolecall.drift.compare import drift as find_drift
    from rolecall.drift.compare import report_json, report_lines
    from rolecall.manifest.load import load
    from rolecall.plan.plan import compare
    from rolecall.runs.reach import reached

    loaded = load(file, folders=include_folder or ())
    read = read_manifest_world(loaded, accounts=account or (), clusters=cluster or (), quiet=quiet)
    planned = compare(loaded, read.world, read.world.read_at)
    if (places := read.places) is not None:
        kept = tuple(change for change in planned.changes if change.resource.place in places)
        planned = replace(planned, changes=kept, unread={p: why for p, why in planned.unread.items() if p in places})
    found = find_drift(planned)
    if found and authors:
        with reached(read.reach) as live:
            who = Authors(live)
            found = tuple(replace(one, author=who.of(one.change)) for one in found)
    if not quiet or found or planned.unread:
        if output is Format.table:
            for line in report_lines(planned, found):
                sys.stdout.write(f"{planning.coloured(line)}\n")
        else:
            print_data(report_json(planned, found), output)
    if found and exit_code:
        raise typer.Exit(planning.CHANGES)
    if planned.unread:
        raise typer.Exit(FAILED)
