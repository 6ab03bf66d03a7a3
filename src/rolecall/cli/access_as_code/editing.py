"""What ``grant`` and ``revoke`` share: a manifest to edit, of files or of what exists, and its edit carried out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rolecall.cli.access_as_code import outcome
from rolecall.cli.access_as_code import plan as planning
from rolecall.cli.access_as_code.file_edits import keep
from rolecall.cli.output import Format, print_document
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.moments import write_moment
from rolecall.visible import visible

if TYPE_CHECKING:
    from rolecall.access.read_world import Reading
    from rolecall.aws.session import AccountAccess, AwsClients
    from rolecall.changes.aftermath import Keys
    from rolecall.manifest.draft import Draft, Rewritten
    from rolecall.plan.plan import Plan

NO_FILE = "what exists"


@dataclass(frozen=True, slots=True)
class Target:
    """What is edited, and how what it is about is read.

    :param read: the world behind the draft as it now is; with names of clusters, only those.
    :param reach: how the accounts and clusters that were read are reached.
    :param clients: for calls to the accounts.
    """

    draft: Draft
    read: Callable[..., Reading]
    reach: Callable[[], dict[str, Any]]
    clients: Callable[[], AwsClients]


def open_files(file: Path, folders: Sequence[Path]) -> Target:
    """The manifest in a file and in those that it includes."""
    from rolecall.cli.access_as_code.world import read_manifest_world
    from rolecall.manifest.draft import Draft

    draft = Draft.read(file, folders)
    reach: dict[str, Any] = {}

    def read(clusters: Sequence[str] = (), *, quiet: bool = False) -> Reading:
        found = read_manifest_world(draft.loaded(), clusters=clusters, quiet=quiet)
        reach.update(found.reach, file=str(file.resolve()))
        return found.reading

    def clients() -> AwsClients:
        from rolecall.aws.session import AwsClients
        from rolecall.cli.access_as_code.world import accesses

        return AwsClients(accesses(draft.loaded().manifest))

    return Target(draft, read, lambda: reach, clients)


def open_existing(region: str, clusters: Sequence[str], also: Callable[[Reading], Sequence[str]]) -> Target:
    """The manifest of what exists in the caller's account, made as ``rolecall import`` makes it.

    :param clusters: names of the clusters that matter; empty: all of the region.
    :param also: ARNs of roles that it shall name although no cluster maps them.
    """
    from rolecall.aws.session import identify
    from rolecall.cli.access_as_code.new import read_existing
    from rolecall.importing.world import import_world
    from rolecall.manifest.draft import Draft

    access: AccountAccess = identify(os.environ.get("AWS_PROFILE", ""), region)

    def again(names: Sequence[str] = (), *, quiet: bool = False) -> Reading:
        found = read_existing([access], [region] if region else [], clusters, quiet=quiet)
        if access.account not in found.world.accounts:
            raise found.failures[0].error
        for failure in found.failures if not quiet else ():
            sys.stderr.write(f"warning: {visible(failure.place)}: {visible(failure.error.what)}\n")
        return found

    reading = again()
    account = {"id": access.account} | ({"profile": access.profile} if access.profile else {})
    imported = import_world(reading.world, {"main": account}, also=also(reading))
    first = [reading]

    def read(names: Sequence[str] = (), *, quiet: bool = False) -> Reading:
        return first.pop() if first else again()

    def clients() -> AwsClients:
        from rolecall.aws.session import AwsClients

        return AwsClients([access])

    return Target(Draft.of_text(imported.text, NO_FILE), read, lambda: {"accounts": [asdict(access)]}, clients)


def keys_of(target: Target, arn: str) -> Keys | None:
    """The active access keys of a person's IAM user; ``None`` if the person is not an IAM user."""
    from rolecall.arn import PrincipalArn, PrincipalKind
    from rolecall.aws.access_keys import active_keys
    from rolecall.changes.aftermath import Keys

    try:
        who = PrincipalArn.parse(arn)
    except InvalidArnError:
        return None
    if who.kind is not PrincipalKind.USER:
        return None
    try:
        return Keys(active_keys(target.clients(), who))
    except RolecallError as error:
        return None if "NoSuchEntity" in str(error) else Keys(unknown=error.what)


def file_in_use(file: Path | None) -> Path | None:
    """The file that was named, or access.yaml where there is one."""
    if file is None and planning.DEFAULT_FILE.exists():
        return planning.DEFAULT_FILE
    return file


def note(text: str) -> None:
    """Say something beside the output."""
    sys.stderr.write(f"note: {visible(text)}\n")


@dataclass(frozen=True, slots=True)
class Told:
    """What a command says at its end besides how its changes went: lines for people, members of a JSON document."""

    lines: Callable[[], Sequence[str]] = tuple
    members: Callable[[], Mapping[str, Any]] = dict


def carry_out(
    draft: Draft,
    made: Plan,
    what: str,
    *,
    why: str = "",
    yes: bool,
    dry_run: bool,
    output: Format,
    foreseen: Told,
    told: Told,
) -> None:
    """Show the edit and the plan, ask, write the files, make the changes, and show how that went.

    Until somebody says yes, and if a guard refuses, no file is touched. What the files held is kept beside the run, so
    that an undo can take the edit back.

    :param why: the reason, kept with the run.
    :param foreseen: what is printed about a plan that is not carried out; ``told``: about one that was.
    """
    edits = draft.rewritten() if draft.in_files else []
    if output is Format.table:
        _show_edits(edits)
        planning.show(made, output)
    if made.refusals or dry_run:
        _show_only(made, edits, output, foreseen)
        if made.refusals:
            raise typer.Exit(planning.REFUSED)
        if made.changes or edits:
            raise typer.Exit(planning.CHANGES)
        return
    if not (made.changes or edits):
        _end(outcome.NOTHING_DONE, edits, output, told)
        return
    outcome.confirm("Make these changes?", yes)
    _make(made, what, why, edits, output, told)


def _make(made: Plan, what: str, why: str, edits: Sequence[Rewritten], output: Format, told: Told) -> None:
    from rolecall.manifest.draft import write
    from rolecall.plan.recheck import allowances_of
    from rolecall.runs.journal import Run, new_run_name

    now, allowed = datetime.now(UTC), allowances_of(made.findings)
    at, name = write_moment(now), new_run_name(now)
    run = Run(name, what, made.caller, at, made.changes, reach=made.reach, allowed=allowed, why=why)
    kept = keep(run.name, edits)
    complete = False
    try:
        write(edits)
        if not made.changes:
            complete = True
            _end(outcome.NOTHING_DONE, edits, output, told)
            return
        report = outcome.work(run)
        complete = report.complete
        members = {} if output is Format.table else {"edits": _edits(edits), **told.members()}
        try:
            outcome.finish(report, run, output, made, members)
        finally:
            if output is Format.table:
                _print_lines(told)
    finally:
        if kept and not complete:
            names = ", ".join(one.shown for one in edits)
            sys.stderr.write(f"note: what {names} held before is kept in {kept}\n")


def _show_edits(edits: Sequence[Rewritten]) -> None:
    for edit in edits:
        for line in edit.diff():
            sys.stdout.write(f"{visible(line)}\n")
        sys.stdout.write("\n")


def _show_only(made: Plan, edits: Sequence[Rewritten], output: Format, foreseen: Told) -> None:
    from rolecall.plan.document import plan_document

    if output is Format.table:
        if not made.refusals:
            _print_lines(foreseen)
        return
    print_document("Plan", {**plan_document(made), "edits": _edits(edits), **foreseen.members()}, output)


def _end(members: Mapping[str, Any], edits: Sequence[Rewritten], output: Format, told: Told) -> None:
    if output is Format.table:
        _print_lines(told)
    else:
        print_document("Run", {**members, "edits": _edits(edits), **told.members()}, output)


def _print_lines(told: Told) -> None:
    for line in told.lines():
        sys.stdout.write(f"{planning.coloured(line)}\n")


def _edits(edits: Sequence[Rewritten]) -> list[dict[str, Any]]:
    return [{"file": one.shown, "diff": one.diff()} for one in edits]


def pending(count: int) -> None:
    """Say that the file has more changes than this command makes."""
    from rolecall.plan.render import counted

    if count:
        note(f"left for rolecall apply: {counted(count, 'other change')} of the file")
