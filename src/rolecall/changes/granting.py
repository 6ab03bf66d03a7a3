"""What granting somebody a role changes in the file: a member of the role, and where it is missing a grant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rolecall.access.principals import find_principal
from rolecall.access.world import World
from rolecall.arn import PrincipalArn
from rolecall.errors import RolecallError
from rolecall.iam.account import IamUser
from rolecall.iam.assume_role import DEFAULT_DURATION
from rolecall.manifest.draft import GRANTS, Draft
from rolecall.manifest.explain_errors import nearest
from rolecall.manifest.load import Loaded
from rolecall.manifest.names import Names
from rolecall.manifest.schema import Grant, Manifest, Member, RoleSpec, State
from rolecall.manifest.whom import groups_with, members_of, named_person, unknown_person
from rolecall.moments import write_moment


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    :param person: a name of the file, an IAM user's name, or an ARN.
    :param clusters: names in the file; empty: wherever the role is granted already.
    :param until: when it ends; ``None``: never.
    :param user: whether a person whom the file does not name is an IAM user, to be made where there is none.
    :param arn: the ARN of a person whom the file does not name.
    :param account: name of the account of such a user; empty: the one of the file's other users, else the role's.
    :param grant: what the role is on clusters on which it is nothing yet, as a grant says it; empty: as on its others.
    """

    person: str
    role: str
    clusters: Sequence[str] = ()
    until: datetime | None = None
    user: bool = False
    arn: str = ""
    account: str = ""
    grant: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """What came of it.

    :param person: the name of the person or group in the file.
    :param new: whether the file did not name them before.
    :param notes: what is worth knowing, in sentences.
    """

    person: str
    new: bool
    notes: tuple[str, ...]


def grant(draft: Draft, asked: Asked, world: World) -> Granted:
    """Edit ``draft`` so that it says what is asked.

    :raises RolecallError: it cannot be said, or would not mean what is asked; and as :class:`Draft` does.
    """
    loaded = draft.loaded()
    role = _role(loaded, asked.role)
    if asked.until is not None and asked.until <= world.read_at:
        raise RolecallError(f"{write_moment(asked.until)} is over already", where="--until")
    person = named_person(loaded.manifest, asked.person)
    new = not person
    if new:
        person = _name_person(draft, loaded, asked, role, world)
    elif (known := loaded.manifest.people.get(person)) and known.state is State.absent:
        raise RolecallError(
            f"{person!r} shall be absent",
            where=str(loaded.place("people", person, "state")),
            advice="take that line out first; everything that still names them counts again then",
        )
    notes = [*_clusters(draft, loaded, asked, world), *_member(draft, loaded, asked, person)]
    if asked.until is not None:
        notes.append(_after_the_end(loaded, asked, world))
    return Granted(person, new, tuple(notes))


def _after_the_end(loaded: Loaded, asked: Asked, world: World) -> str:
    """IAM gives no session any more from then on, and those that it gave live on (STS API reference, AssumeRole)."""
    role = loaded.manifest.roles[asked.role]
    account = world.accounts.get(loaded.manifest.accounts[role.account or ""].id)
    there = account.roles.get(role.name or asked.role) if account else None
    seconds = role.max_session_duration or (there.max_session_duration if there else DEFAULT_DURATION)
    return f"a session that begins before the end may last {seconds / 3600:g} h beyond it"


def _role(loaded: Loaded, name: str) -> RoleSpec:
    role = loaded.manifest.roles.get(name)
    if role is None:
        raise RolecallError(f"there is no {name!r} in roles", advice=nearest(name, list(loaded.manifest.roles)))
    where = str(loaded.place("roles", name))
    if role.state is State.absent:
        raise RolecallError(f"the role {name!r} shall be absent", where=where, advice="take its state out first")
    if role.arn is not None:
        raise RolecallError(
            f"who may assume {name!r} is not said by this file: it refers to the role by its arn",
            where=where,
            advice="own the role here (account, assumableBy), or change its trust policy in the file that owns it",
        )
    if role.trust_policy is not None:
        raise RolecallError(
            f"the trust policy of {name!r} is written out",
            where=str(loaded.place("roles", name, "trustPolicy")),
            advice="write assumableBy and conditions instead, or add them to the document by hand",
        )
    return role


def _name_person(draft: Draft, loaded: Loaded, asked: Asked, role: RoleSpec, world: World) -> str:
    arn = asked.arn or (asked.person if asked.person.startswith("arn:") else "")
    manifest = loaded.manifest
    if arn:
        name = asked.person if asked.person != arn else PrincipalArn.parse(arn).name
        if name in manifest.people or name in manifest.groups:
            raise RolecallError(f"{name!r} is somebody else in the file", advice="give a name of their own and --arn")
        draft.set_value(("people", name), {"arn": arn})
        return name
    if not asked.user:
        raise unknown_person(manifest, asked.person, "for somebody new give --user (an IAM user), or --arn ARN")
    account = asked.account or _account_of_people(manifest) or role.account or ""
    if account not in manifest.accounts:
        raise RolecallError(f"there is no account {account!r}", advice=nearest(account, list(manifest.accounts)))
    draft.set_value(("people", asked.person), user_data(world, manifest, asked.person, account))
    return asked.person


def _account_of_people(manifest: Manifest) -> str:
    """The account that every IAM user of the file is in; empty if there is none, or several."""
    found = {person.account for person in manifest.people.values() if person.user is not None and person.account}
    return found.pop() if len(found) == 1 else ""


def user_data(world: World, manifest: Manifest, name: str, account: str) -> dict[str, str]:
    """An IAM user as ``people`` says it, with the path that it has where it exists."""
    known = world.accounts.get(manifest.accounts[account].id)
    there = known.users.get(name) if known else None
    return {"user": name, "account": account} | ({"path": there.path} if there and there.path != "/" else {})


def person_data(world: World, manifest: Manifest, arn: str) -> dict[str, str]:
    """Somebody who exists, as ``people`` says it: an IAM user of an account of the file, or an ARN."""
    there = find_principal(world.accounts, arn)
    ident = PrincipalArn.parse(arn).account
    account = next((name for name, one in manifest.accounts.items() if one.id == ident), "")
    return user_data(world, manifest, there.name, account) if account and isinstance(there, IamUser) else {"arn": arn}


def _member(draft: Draft, loaded: Loaded, asked: Asked, person: str) -> list[str]:
    manifest, path = loaded.manifest, ("roles", asked.role, "assumableBy")
    until = write_moment(asked.until) if asked.until else None
    key = "group" if person in manifest.groups else "person"
    value = {key: person, "until": until} if until else person
    direct = [index for index, name in members_of(manifest, asked.role) if name == person]
    if len(direct) > 1:
        raise RolecallError(
            f"{person!r} is listed twice", where=str(loaded.place(*path, direct[1])), advice="keep one of the two"
        )
    notes = [*_through_groups(loaded, asked, person)]
    if direct:
        old = (manifest.roles[asked.role].assumable_by or [])[direct[0]]
        if isinstance(old, Member) and until:
            if old.until != asked.until:
                draft.set_value((*path, direct[0], "until"), until)
        elif isinstance(old, Member) or until:
            draft.set_value((*path, direct[0]), value)
        return notes
    if not notes:
        draft.add_item(path, value)
    return notes


def _through_groups(loaded: Loaded, asked: Asked, person: str) -> list[str]:
    """A sentence where a group gives it already; an end that a group would outlast is refused."""
    within = groups_with(loaded.manifest, person)
    for index, name in members_of(loaded.manifest, asked.role):
        if name not in within:
            continue
        member = (loaded.manifest.roles[asked.role].assumable_by or [])[index]
        end = member.until if isinstance(member, Member) else None
        if end is None and asked.until is None:
            return [f"{person} may assume {asked.role} already, as a member of {name}"]
        if asked.until is not None and (end is None or end > asked.until):
            raise RolecallError(
                f"{person} may assume {asked.role} as a member of {name}, "
                f"{'for good' if end is None else f'until {write_moment(end)}'}, so an end before that would not hold",
                where=str(loaded.place("roles", asked.role, "assumableBy", index)),
                advice=f"take them out of the group first: rolecall revoke {person} --group {name}",
            )
    return []


def _clusters(draft: Draft, loaded: Loaded, asked: Asked, world: World) -> list[str]:
    """Grants of the role on the clusters on which it has none."""
    manifest = loaded.manifest
    for cluster in asked.clusters:
        if cluster not in manifest.clusters:
            raise RolecallError(
                f"there is no {cluster!r} in clusters", advice=nearest(cluster, list(manifest.clusters))
            )
    names = Names(loaded, world, world.read_at)
    own = [(index, one) for index, one in enumerate(manifest.grants) if one.role == asked.role]
    covered = {
        cluster: None
        for _, one in own
        if one.until is None or one.until > world.read_at
        for cluster in names.granted_clusters(one)
    }
    missing = [cluster for cluster in dict.fromkeys(asked.clusters) if cluster not in covered]
    if missing:
        _add_grants(draft, names, asked, own, missing)
    others = [cluster for cluster in covered if asked.clusters and cluster not in asked.clusters]
    notes = [f"A role applies to all of its clusters: {asked.person} also gets {_some(others)}"] if others else []
    if not covered and not missing:
        notes.append(f"{asked.role} is granted on no cluster, so it gives no access: name clusters with --cluster")
    elif missing and any(members_of(manifest, asked.role)):
        notes.append(f"everybody who may assume {asked.role} gets what it is on {_some(missing)}")
    return notes


def _add_grants(
    draft: Draft, names: Names, asked: Asked, own: Sequence[tuple[int, Grant]], missing: Sequence[str]
) -> None:
    if asked.grant:
        draft.add_grant({"role": asked.role, "clusters": list(missing), **asked.grant}, own[-1][0] if own else None)
        return
    on: dict[str, list[tuple[int, str]]] = {}
    for index, one in own:
        for cluster in names.granted_clusters(one):
            on.setdefault(cluster, []).append((index, repr(_settings(one))))
    alike = {tuple(sorted({said for _, said in found})) for found in on.values()}
    if len(alike) != 1:
        what = "is nothing anywhere yet" if not alike else "is not the same on all its clusters"
        raise RolecallError(
            f"the role {asked.role!r} {what}",
            where=str(names.loaded.place(GRANTS, own[0][0])) if own else "",
            advice="say what it is there: --group G, and --cluster-role R that the group is bound to, --username T",
        )
    # One grant for each setting; the others say the same on other clusters.
    first = {repr(_settings(one)): (index, one) for index, one in reversed(own)}
    # From the last on, because a grant that is added moves those of later files.
    for index, one in sorted(first.values(), key=lambda found: -found[0]):
        if one.clusters and one.until is None:
            for cluster in missing:
                draft.add_item((GRANTS, index, "clusters"), cluster)
        else:
            draft.add_grant({"role": asked.role, "clusters": list(missing), **_settings(one)}, index)


def _settings(found: Grant) -> dict[str, Any]:
    """What a grant says besides for whom, where, and until when."""
    left_out = {"role", "person", "clusters", "cluster_selector", "until"}
    return found.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=left_out)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
