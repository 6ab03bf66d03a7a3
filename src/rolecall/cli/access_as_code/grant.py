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
from rolecall.cli.access_as_code.apply import Yes
from rolecall.cli.output import Format
from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.access.read_world import Reading
    from rolecall.access.world import World
    from rolecall.changes.aftermath import Aftermath
    from rolecall.changes.limited import About
    from rolecall.manifest.load import Loaded
    from rolecall.plan.plan import Plan, Planned
    from rolecall.plan.resources import Change

File = Annotated[
    Path | None,
    typer.Option(
        "-f", "--file", metavar="FILE", help="Default: access.yaml where there is one, else what exists itself."
    ),
]
Region = Annotated[str, typer.Option("--region", metavar="R", help="Without a file: region of the clusters.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the edit, the plan and its effect; change nothing.")]


def grant(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="A name in the file, an IAM user's name, or an ARN.")],
    role: Annotated[str, typer.Option("--role", metavar="R", help="The role that they may assume.")],
    cluster: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="C", help="A cluster on which the role shall count; repeatable."),
    ] = None,
    until: Annotated[
        str, typer.Option("--until", metavar="T", help="When it ends: 2030-01-31 or 2030-01-31T18:00:00Z.")
    ] = "",
    user: Annotated[bool, typer.Option("--user", help="PERSON is an IAM user; made where there is none.")] = False,
    arn: Annotated[str, typer.Option("--arn", metavar="ARN", help="PERSON is this existing principal.")] = "",
    user_account: Annotated[
        str, typer.Option("--user-account", metavar="NAME", help="Account of the user; default: the role's.")
    ] = "",
    username: Annotated[
        str, typer.Option("--username", metavar="T", help="On a cluster new to the role: the username, a template.")
    ] = "",
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="G", help="Likewise: Kubernetes group; repeatable.")
    ] = None,
    cluster_role: Annotated[
        str, typer.Option("--cluster-role", metavar="R", help="Likewise: the ClusterRole that the groups get.")
    ] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    file: File = None,
    region: Region = "",
    allow: planning.Allow = None,
    include_folder: planning.Folders = None,
    output: planning.Output = Format.table,
) -> None:
    """Give somebody a role: edits access.yaml in place, then plans and makes what that changes, and nothing else.

    Without access.yaml the same is done to what exists. On a cluster that is new to the role it is there what it is on
    its others, or what --group says. Ends as `rolecall apply` does, with --dry-run as `rolecall plan`.

    \b
    rolecall grant ann --role Viewers
    rolecall grant ann --role Viewers --until 2030-01-31T18:00:00Z --yes
    rolecall grant cho --user --role Viewers --cluster prod-2 --dry-run
    rolecall grant dan --arn arn:aws:iam::444455556666:user/dan --role Viewers
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
        person, role, cluster or [], _moment(until), user, arn, user_account, _settings(username, group, cluster_role)
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
        who, [names.roles[role].arn], [role], (granted.person, role), [names.clusters[one] for one in cluster or ()]
    )
    made = _plan(target, old, new, about, allow)
    _takes_nothing(made, granted.person, granted.new)
    for text in granted.notes:
        editing.note(text)
    what = f"grant {person} --role {role}"
    nothing = editing.Told()
    editing.carry_out(target.draft, made, what, yes=yes, dry_run=dry_run, output=output, foreseen=nothing, told=nothing)


def revoke(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="A name in the file, an IAM user's name, or an ARN.")],
    role: Annotated[str, typer.Option("--role", metavar="R", help="Only this role.")] = "",
    group: Annotated[str, typer.Option("--group", metavar="G", help="Only out of this group of the file.")] = "",
    cluster: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="C", help="Only here: mappings of the person's own; repeatable."),
    ] = None,
    everywhere: Annotated[
        bool,
        typer.Option("--everywhere", help="Everything, also mappings and trust policies that the file does not name."),
    ] = False,
    delete_user: Annotated[bool, typer.Option("--delete-user", help="The IAM user too; implies --everywhere.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    file: File = None,
    region: Region = "",
    allow: planning.Allow = None,
    include_folder: planning.Folders = None,
    output: planning.Output = Format.table,
) -> None:
    """Take access from somebody, and say what is left of it: which sessions live on until when, and which ways remain.

    Edits access.yaml in place, then plans and makes what that changes, and nothing else. Without access.yaml the same
    is done to what exists. Ends as `rolecall apply` does, with --dry-run as `rolecall plan`.

    \b
    rolecall revoke ann --role Admins
    rolecall revoke ann --everywhere --dry-run
    rolecall revoke ann --delete-user --yes
    """
    from rolecall.access.effective import EffectiveAccess
    from rolecall.changes import revoking
    from rolecall.changes.limited import About
    from rolecall.plan.plan import compare
    from rolecall.plan.simulate import with_changes

    taken = revoking.Taken(person, role, group, cluster or [], everywhere, delete_user)
    if sum(map(bool, (role or cluster, group, taken.whole))) > 1:
        raise typer.BadParameter("--role and --cluster, --group, and --everywhere or --delete-user exclude each other")
    in_use = editing.file_in_use(file)
    if in_use is None:
        target = editing.open_existing(region, [], lambda found: _roles_naming(found, person))
    else:
        target = editing.open_files(in_use, include_folder or [])
    loaded, reading = target.draft.loaded(), target.read()
    world = reading.world
    old = compare(loaded, world, world.read_at)
    revoked = revoking.revoke(target.draft, taken, world)
    new = compare(target.draft.loaded(), world, world.read_at)
    own = [revoked.arn] if revoked.arn else []
    about = About([*own, *(new.names.roles[one].arn for one in revoked.roles)], own)
    made = _plan(target, old, new, about, allow, revoked.changes)
    for text in revoked.notes:
        editing.note(text)
    before = EffectiveAccess(world)

    @cache
    def foreseen() -> Aftermath | None:
        after = EffectiveAccess(with_changes(world, made.changes), before)
        return _aftermath(before, after, revoked.arn, reading, done=False)

    @cache
    def found() -> Aftermath | None:
        again = target.read(quiet=True)
        return _aftermath(before, EffectiveAccess(again.world, None), revoked.arn, again, done=True)

    editing.carry_out(
        target.draft, made, f"revoke {person}", yes=yes, dry_run=dry_run, output=output,
        foreseen=_told(foreseen), told=_told(found),
    )  # fmt: skip


def _aftermath(before: Any, after: Any, arn: str, reading: Reading, *, done: bool) -> Aftermath | None:
    from rolecall.changes.aftermath import aftermath

    if not arn:
        return None
    failed = {failure.place: failure.error.what for failure in reading.failures}
    return aftermath(before, after, arn, reading.world.read_at, done=done, failed=failed)


def _told(find: Any) -> editing.Told:
    """What is left of the access, found when it is asked for. That it cannot be found must not hide what was done."""
    from rolecall.changes.aftermath import aftermath_lines

    def lines() -> Sequence[str]:
        try:
            found: Aftermath | None = find()
        except RolecallError as error:
            return ["", f"What is left of the access is not known: {error}"]
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


def _moment(text: str) -> datetime | None:
    from rolecall.moments import parse_moment

    try:
        return parse_moment(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--until") from None


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
