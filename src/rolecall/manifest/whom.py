"""Whom a command line means: a name of the file, an IAM user's name, an ARN; and through which groups they are in."""

from __future__ import annotations

from collections.abc import Iterator

from rolecall.access.world import World
from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.iam.account import IamUser
from rolecall.manifest.explain_errors import nearest
from rolecall.manifest.schema import Manifest


def named_person(manifest: Manifest, text: str) -> str:
    """The name in ``people`` or ``groups`` that a text means; empty where the file names nobody like that.

    :raises RolecallError: several people have this IAM user name.
    """
    if text in manifest.people or text in manifest.groups:
        return text
    found = [
        name for name, person in manifest.people.items() if text == person.user or _is_arn_of(manifest, name, text)
    ]
    if len(found) > 1:
        raise RolecallError(f"{text!r} may be any of {', '.join(found)}", advice="give one of these names")
    return found[0] if found else ""


def _is_arn_of(manifest: Manifest, name: str, text: str) -> bool:
    person = manifest.people[name]
    if person.user is None:
        return text == person.arn
    try:
        principal = PrincipalArn.parse(text)
    except InvalidArnError:
        return False
    account = manifest.accounts[person.account or ""].id
    there = (principal.kind, principal.account, principal.name, principal.path)
    return there == (PrincipalKind.USER, account, person.user, person.path)


def users_named(world: World, text: str) -> list[IamUser]:
    """The IAM users of this name or ARN in the accounts that were read."""
    found = (user for account in world.accounts.values() for user in account.users.values())
    return [user for user in found if text in (user.name, user.arn)]


def unknown_person(manifest: Manifest, text: str, advice: str) -> RolecallError:
    """What is said about somebody whom the file does not name."""
    known = nearest(text, [*manifest.people, *manifest.groups])
    return RolecallError(f"there is no {text!r} in people or groups", advice="; ".join(filter(None, (known, advice))))


def groups_with(manifest: Manifest, name: str) -> dict[str, bool]:
    """The groups that somebody is in, directly or through other groups; by name whether directly."""
    found: dict[str, bool] = {}
    pending = [name]
    while pending:
        one = pending.pop()
        for group, members in manifest.groups.items():
            if one in members:
                if group not in found:
                    pending.append(group)
                found[group] = found.get(group, False) or one == name
    return found


def members_of(manifest: Manifest, role: str) -> Iterator[tuple[int, str]]:
    """Number and name of each person and group that a role's ``assumableBy`` lists."""
    for index, member in enumerate(manifest.roles[role].assumable_by or ()):
        name = member if isinstance(member, str) else member.person or member.group
        if name is not None:
            yield index, name


def roles_of(manifest: Manifest, name: str) -> list[str]:
    """The roles of which a person or group is a member, directly or through groups."""
    known = {name, *groups_with(manifest, name)}
    return [role for role in manifest.roles if any(member in known for _, member in members_of(manifest, role))]
