"""What taking access from somebody changes in the file, and in the trust policies of roles that it does not name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.access.principals import find_principal
from rolecall.access.world import World
from rolecall.arn import PrincipalArn
from rolecall.changes.granting import person_data
from rolecall.changes.removal import Removal, Taken, paths, principals_left, say_absent
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.iam.account import IamUser
from rolecall.iam.common_documents import NOBODY
from rolecall.iam.trust_policy import statements
from rolecall.importing.principals import OF_AWS
from rolecall.manifest.draft import Draft
from rolecall.manifest.load import Loaded
from rolecall.manifest.names import Names
from rolecall.manifest.schema import State
from rolecall.manifest.whom import (
    named_person,
    unknown_person,
    users_named,
)
from rolecall.manifest.yaml_data import PathKey
from rolecall.plan.actual import role_value
from rolecall.plan.resources import Change, Kind, ResourceId


@dataclass(frozen=True, slots=True)
class Revoked:
    """What came of it.

    :param arn: of the person.
    :param roles: names of the file's roles that the person was a member of, or that still trust them in the world.
    :param changes: of trust policies that the file does not say.
    :param notes: what is worth knowing, in sentences.
    """

    person: str
    arn: str
    roles: tuple[str, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def revoke(draft: Draft, taken: Taken, world: World) -> Revoked:
    """Edit ``draft`` so that the person no longer has what is taken.

    :raises RolecallError: it cannot be taken from this person alone; and as :class:`Draft` does.
    """
    loaded = draft.loaded()
    person = named_person(loaded.manifest, taken.person)
    if person in loaded.manifest.groups:
        raise RolecallError(
            f"{person!r} is a group", advice="name a person; a group is taken out of a role in the file"
        )
    if not person:
        person = _named_now(draft, loaded, taken, world)
        loaded = draft.loaded()
    names = Names(loaded, world, world.read_at)
    who = names.people.get(person)
    arn = who.arn if who else ""
    removal = Removal(loaded, names, taken, person, arn)
    for path in sorted(paths(removal), key=_last_first, reverse=True):
        draft.remove_item(path)
    if taken.whole:
        say_absent(removal, draft)
        removal.roles |= dict.fromkeys(_still_naming(world, names, arn))
    changes = tuple(_others(world, names, arn)) if taken.whole and arn else ()
    return Revoked(person, arn, tuple(removal.roles), changes, tuple(removal.notes))


def _last_first(path: PathKey) -> tuple[tuple[int, str, int], ...]:
    """Numbers as numbers, so that of one list the last goes first and the others keep theirs."""
    return tuple((0, "", step) if isinstance(step, int) else (1, step, 0) for step in path)


def _named_now(draft: Draft, loaded: Loaded, taken: Taken, world: World) -> str:
    """A name for somebody whom the file does not know: only then are their mappings its business."""
    found = users_named(world, taken.person)
    arn = found[0].arn if len(found) == 1 else taken.person
    if not taken.whole:
        raise unknown_person(
            loaded.manifest, taken.person, "to look everywhere, also at what it does not name: --everywhere"
        )
    try:
        name = PrincipalArn.parse(arn).name
    except InvalidArnError:
        several = ", ".join(user.arn for user in found)
        raise unknown_person(
            loaded.manifest, taken.person, f"give an ARN{f', of {several}' if several else ''}"
        ) from None
    if name in loaded.manifest.people or name in loaded.manifest.groups:
        name = f"{name}@{PrincipalArn.parse(arn).account}"
    owned = taken.delete_user and isinstance(find_principal(world.accounts, arn), IamUser)
    data = person_data(world, loaded.manifest, arn) if owned else {"arn": arn}
    draft.set_value(("people", name), {**data, "state": State.absent.value})
    return name


def _still_naming(world: World, names: Names, arn: str) -> Iterator[str]:
    """Roles of the file whose trust policy in the world names somebody, also where the file does so no longer."""
    ids = _ids(world, arn)
    for key, who in names.roles.items():
        account = world.accounts.get(who.account)
        role = account.roles.get(who.principal.name) if account else None
        if arn and who.owned and role and _without(json.loads(role.trust), ids) is not None:
            yield key


def _ids(world: World, arn: str) -> set[str]:
    """As what a trust policy may name somebody: the ARN, or the unique id."""
    there = find_principal(world.accounts, arn)
    found = {arn, there.user_id if isinstance(there, IamUser) else there.role_id} if there else {arn}
    return found - {""}


def _others(world: World, names: Names, arn: str) -> Iterator[Change]:
    """Trust policies that name somebody, of roles in the accounts that were read which the file does not own."""
    ids = _ids(world, arn)
    owned = {(who.account, who.principal.name) for who in names.roles.values() if who.owned}
    for account in world.accounts.values():
        for role in account.roles.values():
            if (account.id, role.name) in owned or role.path.startswith(OF_AWS):
                continue
            document = _without(json.loads(role.trust), ids)
            if document is not None:
                before = role_value(role)
                resource = ResourceId(Kind.IAM_ROLE, account.id, role.name)
                yield Change("", resource, before, {**before, "trust": document})


def _without(document: Mapping[str, Any], ids: set[str]) -> dict[str, Any] | None:
    """A trust policy that no longer lets in some principals by name; ``None`` where it does not name them."""
    kept: list[Any] = []
    named = False
    for statement in statements(document):
        rest = principals_left(statement, ids)
        named |= rest is not None
        if rest is None:
            kept.append(statement)
        elif rest:
            kept.append({**statement, "Principal": rest})
    return {**document, "Statement": kept or [dict(NOBODY)]} if named else None
