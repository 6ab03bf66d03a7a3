"""``rolecall grant`` and ``rolecall revoke``: one person's access as one line, by the file and by a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rolecall.cli.access_as_code import editing
from rolecall.cli.access_as_code import plan as planning
from rolecall.cli.access_as_code.earlier_runs import earlier_runs
from rolecall.cli.access_as_code.outcome import Yes
from rolecall.cli.output import FAILED, Format
from rolecall.errors import RolecallError
from rolecall.visible import visible

if TYPE_CHECKING:
    from rolecall.access.read_world import Reading
    from rolecall.access.world import World
    from rolecall.changes.aftermath import Aftermath, Keys
    from rolecall.changes.earlier import Earlier
    from rolecall.changes.limited import About
    from rolecall.manifest.load import Loaded
    from rolecall.plan.plan import Plan, Planned
    from rolecall.plan.resources import Change

File = Annotated[
    Path | None,
    typer.Option(
        "-f", "--file", metavar="FILE", help="The access file (default: access.yaml; without one, what exists)."
    ),
]
Region = Annotated[str, typer.Option("--region", metavar="REGION", help="Without a file: region of the clusters.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept with the run.")]
NoFile = Annotated[
    bool, typer.Option("--no-file", help="Ignore access.yaml and change what exists, also if the file has mistakes.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the edit, the plan and its effect; change nothing.")]


def grant(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="A name in the file, an IAM user's name, or an ARN.")],
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="The role that they may assume.")],
    cluster: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="CLUSTER", help="A cluster on which the role is mapped. Repeatable."),
    ] = None,
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="When it ends: 2030-01-31 or 2030-01-31T18:00:00Z.")
    ] = "",
    lasting: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long it lasts from now: 90m, 4h, 3d or 2w.")
    ] = "",
    why: Why = "",
    user: Annotated[bool, typer.Option("--user", help="PERSON is an IAM user, created if there is none.")] = False,
    arn: Annotated[str, typer.Option("--arn", metavar="ARN", help="PERSON is this existing principal.")] = "",
    user_account: Annotated[
        str, typer.Option("--user-account", metavar="NAME", help="Account of the user (default: the others' account).")
    ] = "",
    username: Annotated[
        str, typer.Option("--username", metavar="TEMPLATE", help="Username on a cluster that is new to the role.")
    ] = "",
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="GROUP", help="Kubernetes group there. Repeatable.")
    ] = None,
    cluster_role: Annotated[
        str, typer.Option("--cluster-role", metavar="CLUSTERROLE", help="ClusterRole that the groups get there.")
    ] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    file: File = None,
    region: Region = "",
    allow: planning.Allow = None,
    include_folder: planning.Folders = None,
    output: planning.Output = Format.table,
) -> None:
    """Give one person a role: edit access.yaml in place, then plan and make only what that changes.

    Without access.yaml, what exists is changed directly. On a cluster where the role is not mapped yet, it gets the
    same username and groups as on its other clusters, or those given with --group.

    \b
    rolecall grant ann --role Viewers
    rolecall grant ann --role Viewers --for 4h --why "on call" --yes
    rolecall grant cho --user --role Viewers --cluster prod-2 --dry-run
    rolecall grant dan --arn arn:aws:iam::444455556666:user/dan --role Viewers

    Exit codes: 0 done, 1 error, 2 usage, 10 --dry-run has changes, 11 refused by a guard, 130 interrupted.
    """
    from rolecall.changes import granting
    from rolecall.changes.limited import About
    from rolecall.plan.plan import compare

    if user and arn:
        raise typer.BadParameter("give one of --user and --arn")
    in_use, folders = editing.file_in_use(file), include_folder or []
    if in_use is None:
        target = editing.open_existing(region, cluster or [], lambda found: _roles_named(found, role))
    else:
        target = editing.open_files(in_use, folders)
    loaded = target.draft.loaded()
    asked = granting.Asked(
        person,
        role,
        cluster or [],
        _ends(until, lasting),
        user,
        arn,
        user_account,
        _settings(username, group, cluster_role),
    )
    world = target.read(_clusters_of(loaded, asked) if _is_known(loaded, person) else ()).world
    if in_use is None and not _is_known(loaded, person):
        asked = _existing_user(asked, world)
    old = compare(loaded, world, world.read_at)
    granted = granting.grant(target.draft, asked, world)
    new_loaded = target.draft.loaded()
    if _home_of(new_loaded, granted.person) - set(world.accounts):
        world = target.read().world
        old = compare(loaded, world, world.read_at)
    new = compare(new_loaded, world, world.read_at)
    names = new.names
    who = [one.arn for one in (names.people.get(granted.person), names.roles[role]) if one]
    about = About(
        who,
        [names.roles[role].arn],
        [role],
        names=(granted.person, role),
        clusters=[names.clusters[one] for one in cluster or ()],
    )
    made = _plan(target, old, new, about, allow)
    _takes_nothing(made, granted.person, granted.new)
    for text in granted.notes:
        editing.note(text)
    what = f"grant {person} --role {role}"
    nothing = editing.Told()
    editing.carry_out(
        target.draft, made, what, why=why, yes=yes, dry_run=dry_run, output=output, foreseen=nothing, told=nothing
    )


def revoke(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="A name in the file, an IAM user's name, or an ARN.")],
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Take only this role.")] = "",
    group: Annotated[
        str, typer.Option("--group", metavar="GROUP", help="Take out of this group of the file only.")
    ] = "",
    cluster: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="CLUSTER", help="Take only the person's own mappings here. Repeatable."),
    ] = None,
    everywhere: Annotated[
        bool,
        typer.Option("--everywhere", help="Take everything, also mappings and trust that the file does not name."),
    ] = False,
    delete_user: Annotated[
        bool, typer.Option("--delete-user", help="Delete the IAM user too. Implies --everywhere.")
    ] = False,
    why: Why = "",
    no_file: NoFile = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    file: File = None,
    region: Region = "",
    allow: planning.Allow = None,
    include_folder: planning.Folders = None,
    output: planning.Output = Format.table,
) -> None:
    """Take access away from one person, and show what is left: sessions that still work, and ways that stay open.

    Edits access.yaml in place, then plans and makes only what that changes. Without access.yaml, or with --no-file,
    what exists is changed directly.

    \b
    rolecall revoke ann --role Admins
    rolecall revoke ann --everywhere --dry-run
    rolecall revoke ann --delete-user --why "left the company" --yes

    Exit codes: 0 done, 1 error or not everything could be read, 2 usage, 10 --dry-run has changes, 11 refused by a
    guard, 130 interrupted.
    """
    from rolecall.access.effective import EffectiveAccess
    from rolecall.changes import revoking
    from rolecall.changes.limited import About
    from rolecall.changes.removal import Taken
    from rolecall.plan.plan import compare
    from rolecall.plan.simulate import with_changes
    from rolecall.runs.way_back import lost_with

    taken = Taken(person, role, group, cluster or [], everywhere, delete_user)
    if sum(map(bool, (role or cluster, group, taken.whole))) > 1:
        raise typer.BadParameter("--role and --cluster, --group, and --everywhere or --delete-user exclude each other")
    in_use = None if no_file else editing.file_in_use(file)
    if in_use is None:
        target = editing.open_existing(region, [], lambda found: _roles_naming(found, person))
    else:
        target = _open_to_revoke(in_use, include_folder or [], person)
    loaded, reading = target.draft.loaded(), target.read()
    world = reading.world
    old = compare(loaded, world, world.read_at)
    revoked = revoking.revoke(target.draft, taken, world)
    new = compare(target.draft.loaded(), world, world.read_at)
    own = [revoked.arn] if revoked.arn else []
    about = About([*own, *(new.names.roles[one].arn for one in revoked.roles)], own, takes=True)
    made, unread = _going_on(_plan(target, old, new, about, allow, revoked.changes))
    for text in (*revoked.notes, *lost_with(world, made.changes)):
        editing.note(text)
    before = EffectiveAccess(world)
    earlier, keys = earlier_runs(), editing.keys_of(target, revoked.arn)

    @cache
    def foreseen() -> Aftermath | None:
        after = EffectiveAccess(with_changes(world, made.changes), before)
        return _aftermath(before, after, revoked.arn, reading, earlier, keys, done=False)

    @cache
    def found() -> Aftermath | None:
        again = target.read(quiet=True)
        left = editing.keys_of(target, revoked.arn)
        return _aftermath(before, EffectiveAccess(again.world), revoked.arn, again, earlier, left, done=True)

    editing.carry_out(
        target.draft, made, f"revoke {person}", why=why, yes=yes, dry_run=dry_run, output=output,
        foreseen=_told(foreseen), told=_told(found),
    )  # fmt: skip
    if unread:
        editing.note(f"{person} may still have access where nothing could be read: {', '.join(unread)}")
        raise typer.Exit(FAILED)


def _going_on(made: Plan) -> tuple[Plan, list[str]]:
    """The plan of a revocation: what could not be read is a warning, and access is taken away everywhere else."""
    from dataclasses import replace

    unread = [found for found in made.findings if found.code == "not-read"]
    findings = tuple(replace(found, refuses=False) if found in unread else found for found in made.findings)
    return replace(made, findings=findings), [name for found in unread for name in found.about]


def _open_to_revoke(file: Path, folders: Sequence[Path], person: str) -> editing.Target:
    """The file; if it has mistakes, the way to revoke without it is part of the error."""
    from rolecall.manifest.load import ManifestError

    try:
        return editing.open_files(file, folders)
    except ManifestError as error:
        advice = f"to take access away now, without the file: rolecall revoke {person} --everywhere --no-file"
        error.advice = f"{error.advice}\n       {advice}" if error.advice else advice
        raise


def _aftermath(
    before: Any, after: Any, arn: str, reading: Reading, earlier: Sequence[Earlier], keys: Keys | None, *, done: bool
) -> Aftermath | None:
    from rolecall.changes.aftermath import aftermath

    if not arn:
        return None
    failed = {failure.place: failure.error.what for failure in reading.failures}
    return aftermath(before, after, arn, reading.world.read_at, done=done, failed=failed, earlier=earlier, keys=keys)


def _told(find: Any) -> editing.Told:
    """What is left of the access, found when it is asked for. That it cannot be found must not hide what was done."""
    from rolecall.changes.aftermath import aftermath_lines

    def lines() -> Sequence[str]:
        try:
            found: Aftermath | None = find()
        except RolecallError as error:
            return ["", f"What is left of the access is not known: {visible(str(error))}"]
        return ["", *aftermath_lines(found)] if found else []

    def members() -> Mapping[str, Any]:
        try:
            found: Aftermath | None = find()
        except RolecallError as error:
            return {"afterwards": None, "afterwardsUnknown": str(error)}
        return {"afterwards": found.to_json() if found else None}

    return editing.Told(lines, members)


def _plan(
    target: editing.Target,
    old: Planned,
    new: Planned,
    about: About,
    allow: list[str] | None,
    extra: Sequence[Change] = (),
) -> Plan:
    from rolecall.changes.limited import limited
    from rolecall.plan.planning import plan_of

    part = limited(old, new, about, extra)
    chosen = {change.resource for change in part.changes}
    if target.draft.in_files:
        editing.pending(sum(change.resource not in chosen for change in new.changes))
    return plan_of(part, allowances=planning.allowances(allow), reach=target.reach())


def _takes_nothing(made: Plan, person: str, new: bool) -> None:
    """To name somebody in the file makes their other mappings its business; a grant must not take those away."""
    from rolecall.plan.render import place_label
    from rolecall.plan.resources import MAPPING_KINDS

    gone = [change for change in made.changes if change.after is None and change.resource.kind in MAPPING_KINDS]
    if new and gone:
        where = ", ".join(dict.fromkeys(place_label(change.resource.place) for change in gone[:5]))
        raise RolecallError(
            f"{person} is mapped on {where} already, which no grant of the file says: naming them would take that away",
            advice=f"say it first, as a grant with `person: {person}` (rolecall import shows it), or remove it",
        )


def _existing_user(asked: Any, world: World) -> Any:
    """Without a file, an IAM user who exists need not be introduced."""
    from dataclasses import replace

    from rolecall.manifest.whom import users_named

    known = users_named(world, asked.person)
    return replace(asked, person=known[0].name, user=True) if len(known) == 1 else asked


def _is_known(loaded: Loaded, person: str) -> bool:
    from rolecall.manifest.whom import named_person

    return bool(named_person(loaded.manifest, person))


def _home_of(loaded: Loaded, person: str) -> set[str]:
    found = loaded.manifest.people.get(person)
    return {loaded.manifest.accounts[found.account].id} if found and found.account else set()


def _clusters_of(loaded: Loaded, asked: Any) -> list[str]:
    """The clusters that a grant is about: those of the role, and those that are asked for."""
    from rolecall.manifest.references import matching_clusters

    found: dict[str, None] = {}
    for one in loaded.manifest.grants:
        if one.role == asked.role:
            if one.cluster_selector is not None:
                return []
            found |= dict.fromkeys(c for pattern in one.clusters for c in matching_clusters(loaded.manifest, pattern))
    return [*found, *asked.clusters]


def _settings(username: str, groups: list[str] | None, cluster_role: str) -> dict[str, Any]:
    found: dict[str, Any] = {"username": username} if username else {}
    found |= {"groups": groups} if groups else {}
    found |= {"bindings": [{"clusterRole": cluster_role}]} if cluster_role else {}
    return found


def _ends(until: str, lasting: str) -> datetime | None:
    from datetime import UTC

    from rolecall.moments import parse_duration, parse_moment

    if until and lasting:
        raise typer.BadParameter("give one of --until and --for")
    try:
        if lasting:
            return (datetime.now(UTC) + parse_duration(lasting)).replace(microsecond=0)
        return parse_moment(until) if until else None
    except ValueError as error:
        hint = "" if lasting else ", or --for 4h"
        raise typer.BadParameter(f"{error}{hint}", param_hint="--for" if lasting else "--until") from None


def _roles_named(reading: Reading, name: str) -> list[str]:
    accounts = reading.world.accounts.values()
    return [role.arn for account in accounts for role in account.roles.values() if role.name == name]


def _roles_naming(reading: Reading, person: str) -> list[str]:
    """Roles whose trust policy names somebody: without a file these are what they may be taken out of."""
    from rolecall.manifest.whom import users_named
    from rolecall.plan.links import principal_key, principals_of

    keys = {principal_key(user.arn) for user in users_named(reading.world, person)} or {principal_key(person)}
    roles = (role for account in reading.world.accounts.values() for role in account.roles.values())
    return [role.arn for role in roles if keys & set(principals_of(_document(role.trust)))]


def _document(text: str) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads(text)
    return found
