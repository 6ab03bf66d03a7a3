"""``rolecall drift``: what differs between access.yaml and what exists, for a schedule or a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rolecall.cli.access_as_code import plan as planning
from rolecall.cli.output import FAILED, PasteFormat, print_document, print_table
from rolecall.errors import RolecallError
from rolecall.visible import visible

if TYPE_CHECKING:
    from rolecall.access.effects import Effects
    from rolecall.drift.compare import Drifted
    from rolecall.plan.plan import Planned


def drift(
    file: planning.File = planning.DEFAULT_FILE,
    account: planning.Accounts = None,
    cluster: planning.Clusters = None,
    authors: Annotated[bool, typer.Option("--authors/--no-authors", help="Look up who changed it.")] = True,
    exit_code: Annotated[
        bool, typer.Option("--exit-code/--no-exit-code", help="Exit with 10 if there is drift.")
    ] = True,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing if there is no drift.")] = False,
    include_folder: planning.Folders = None,
    profile: planning.Profile = "",
    region: planning.Region = "",
    output: Annotated[PasteFormat, typer.Option("-o", "--output", help="Output format.")] = PasteFormat.table,
) -> None:
    """Compare access.yaml with what exists, in both directions, and show who changed what. Changes nothing.

    \b
    rolecall drift
    rolecall drift --quiet -o json > drift.json
    rolecall drift --cluster 'prod-*' --no-authors

    Exit codes: 0 no drift; 10 drift; 1 error, or no drift found but some places could not be read; 2 usage.
    """
    planning.require(file)
    from rolecall.cli.access_as_code.world import read_manifest_world
    from rolecall.drift.authors import Authors
    from rolecall.drift.compare import drift as find_drift
    from rolecall.drift.compare import without_drift
    from rolecall.manifest.load import load
    from rolecall.plan.plan import compare
    from rolecall.runs.reach import reached

    loaded = load(file, folders=include_folder or ())
    read = read_manifest_world(
        loaded, accounts=account or (), clusters=cluster or (), quiet=quiet, profile=profile, region=region
    )
    planned = compare(loaded, read.world, read.world.read_at)
    if (places := read.places) is not None:
        planned = _only(planned, places)
    _need_something(planned)
    found = find_drift(planned)
    if found and authors:
        with reached(read.reach) as live:
            who = Authors(live)
            found = tuple(replace(one, author=who.of(one.change)) for one in found)
    differs = bool(found or planned.unresolved)
    if not quiet or differs or planned.unread:
        _show(planned, found, without_drift(planned), output)
    if not quiet and read.places is None:
        for left in planning.left_behind(file, loaded, read.world):
            sys.stderr.write(f"note: {visible(left.text)}; {visible(left.advice)}\n")
    if differs and exit_code:
        raise typer.Exit(planning.CHANGES)
    if planned.unread:
        raise typer.Exit(FAILED)


def _only(planned: Planned, places: frozenset[str]) -> Planned:
    return replace(
        planned,
        changes=tuple(change for change in planned.changes if change.resource.place in places),
        unread={place: why for place, why in planned.unread.items() if place in places},
        unresolved=tuple(one for one in planned.unresolved if one.account in places),
    )


def _need_something(planned: Planned) -> None:
    """If nothing at all could be read, that is one error and not a comparison."""
    from rolecall.drift.compare import by_cause

    world = planned.world
    read = [place for place in (*world.accounts, *world.clusters) if place not in planned.unread]
    if planned.unread and not read:
        why = "; ".join(by_cause(planned.unread))
        raise RolecallError(
            f"nothing could be compared, because nothing could be read: {why}",
            advice="check the network, the endpoint and the credentials: rolecall doctor",
        )


def _show(planned: Planned, found: Sequence[Drifted], effect: Effects | str, output: PasteFormat) -> None:
    from rolecall.drift.compare import COLUMNS, report_json, report_lines, report_rows

    if output is PasteFormat.table:
        for line in report_lines(planned, found, effect):
            sys.stdout.write(f"{planning.coloured(line)}\n")
    elif output in (PasteFormat.csv, PasteFormat.markdown):
        print_table(COLUMNS, report_rows(found), output)
    else:
        print_document("Drift", report_json(planned, found, effect), output)
