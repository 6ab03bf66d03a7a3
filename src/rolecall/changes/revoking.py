"""What taking access from somebody changes in the file, and in the trust policies of roles that it does not name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rolecall.access.principals import find_principal
from rolecall.access.world import World
from rolecall.arn import PrincipalArn
from rolecall.changes.granting import person_data
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.iam.account import IamUser
from rolecall.iam.common_documents import NOBODY
from rolecall.iam.trust_policy import statements
from rolecall.importing.principals import OF_AWS
from rolecall.manifest.draft import GRANTS, Draft
from rolecall.manifest.explain_errors import nearest
from rolecall.manifest.load import Loaded
from rolecall.manifest.names import Names
from rolecall.manifest.references import matching_clusters
from rolecall.manifest.schema import State
from rolecall.manifest.whom import (
    groups_with,
    members_of,
    named_person,
    roles_of,
    unknown_person,
    users_named,
)
from rolecall.manifest.yaml_data import PathKey
from rolecall.plan.actual import role_value
from rolecall.plan.resources import Change, Kind, ResourceId


@dataclass(frozen=True, slots=True)
class Taken:
    """What shall be taken from whom.

    :param role: from this role alone; ``group``: out of this group alone.
    :param clusters: mappings of the person's own on these clusters alone.
    :param everywhere: out of everything, also out of what the file does not name.
    :param delete_user: the IAM user itself, where it is owned here; implies ``everywhere``.
    """

    person: str
    role: str = ""
    group: str = ""
    clusters: Sequence[str] = ()
    everywhere: bool = False
    delete_user: bool = False

    @property
    def whole(self) -> bool:
        return self.everywhere or self.delete_user


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
    removal = _Removal(loaded, names, taken, person, arn)
    for path in sorted(removal.paths(), key=_last_first, reverse=True):
        draft.remove_item(path)
    if taken.whole:
        removal.absent(draft)
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


class _Removal:
    """The places of a file that give a person something."""

    def __init__(self, loaded: Loaded, names: Names, taken: Taken, person: str, arn: str) -> None:
        self.loaded, self.manifest, self.names = loaded, loaded.manifest, names
        self.taken, self.person, self.arn = taken, person, arn
        self.within = groups_with(self.manifest, person)
        self.reaching = roles_of(self.manifest, person)
        self.roles: dict[str, None] = {}
        self.notes: list[str] = []

    def paths(self) -> list[PathKey]:
        """The items to remove."""
        taken = self.taken
        for section, name in (("roles", taken.role), ("groups", taken.group)):
            known: Mapping[str, Any] = getattr(self.manifest, section)
            if name and name not in known:
                raise RolecallError(f"there is no {name!r} in {section}", advice=nearest(name, list(known)))
        if taken.group:
            found = list(self._out_of_group(taken.group))
        elif taken.role:
            self._all_of(taken.role)
            found = [*self._of_role(taken.role), *self._groups_of(taken.role)]
        elif taken.clusters:
            found = list(self._grants())
            self._no_role_there()
        else:
            found = [path for role in self.manifest.roles for path in self._of_role(role)]
            found += [path for group in self.within for path in self._out_of_group(group)]
            found += self._grants()
        if not found:
            self.notes.append(f"nothing in the file gives {self.person} this")
        return found

    def absent(self, draft: Draft) -> None:
        """Say that the person shall be absent, where that deletes no user whom nobody asked to delete."""
        known = self.manifest.people[self.person]
        if self.taken.delete_user and known.user is None:
            raise RolecallError(
                f"{self.person!r} is no user that is owned here, so it is not deleted",
                where=str(self.loaded.place("people", self.person)),
                advice="leave --delete-user out: access is taken all the same",
            )
        if known.state is State.present and (known.user is None or self.taken.delete_user):
            draft.set_value(("people", self.person, "state"), State.absent.value)

    def _of_role(self, role: str) -> Iterator[PathKey]:
        """Where a role names the person: in ``assumableBy``, or in the document that is its trust policy."""
        if role in self.reaching:
            self.roles[role] = None
        for index, name in members_of(self.manifest, role):
            if name == self.person:
                yield ("roles", role, "assumableBy", index)
        document = self.manifest.roles[role].trust_policy
        if document is not None and self.arn:
            yield from self._in_document(role, document)

    def _in_document(self, role: str, document: Mapping[str, Any]) -> Iterator[PathKey]:
        path: PathKey = ("roles", role, "trustPolicy", "Statement")
        several, kept = isinstance(document.get("Statement"), list), 0
        for index, statement in enumerate(statements(document)):
            here = (*path, index) if several else path
            rest = _principals_left(statement, {self.arn})
            if rest is not None:
                self.roles[role] = None
            if rest is None or rest.get("AWS"):
                kept += 1
                listed = statement["Principal"]["AWS"] if rest else ()
                yield from ((*here, "Principal", "AWS", at) for at, one in enumerate(listed) if one == self.arn)
            elif rest or not several:
                self._refuse_document(
                    role, f"a statement of the trust policy of {role!r} is not of {self.person} alone"
                )
            else:
                yield here
        if not kept:
            self._refuse_document(role, f"without {self.person} the trust policy of {role!r} would have no statement")

    def _refuse_document(self, role: str, what: str) -> None:
        raise RolecallError(
            what,
            where=str(self.loaded.place("roles", role, "trustPolicy")),
            advice="change the document by hand, or write assumableBy in its place",
        )

    def _groups_of(self, role: str) -> Iterator[PathKey]:
        """Out of the groups that lead to one role, where they lead to no other."""
        leading = {name for _, name in members_of(self.manifest, role) if name in self.within}
        for group in [group for group, directly in self.within.items() if directly]:
            if leading.isdisjoint({group, *groups_with(self.manifest, group)}):
                continue
            if others := [other for other in roles_of(self.manifest, group) if other != role]:
                raise RolecallError(
                    f"{self.person} may assume {role} as a member of {group}, which also gives {', '.join(others[:5])}",
                    where=str(self.loaded.place("groups", group)),
                    advice=f"take them out of the group: rolecall revoke {self.person} --group {group}",
                )
            yield from self._out_of_group(group)

    def _out_of_group(self, group: str) -> Iterator[PathKey]:
        for index, name in enumerate(self.manifest.groups[group]):
            if name == self.person:
                yield ("groups", group, index)
                self.roles |= dict.fromkeys(roles_of(self.manifest, group))

    def _grants(self) -> Iterator[PathKey]:
        """Grants of the person's own, whole or on single clusters."""
        wanted = self._wanted()
        for index, grant in enumerate(self.manifest.grants):
            if grant.person != self.person:
                continue
            on = list(self.names.granted_clusters(grant))
            kept = [cluster for cluster in on if wanted and cluster not in wanted]
            if not kept:
                yield (GRANTS, index)
                continue
            for number, pattern in enumerate(grant.clusters):
                matched = matching_clusters(self.manifest, pattern)
                if wanted.isdisjoint(matched):
                    continue
                if not wanted.issuperset(matched):
                    self._refuse_pattern(index, repr(pattern))
                yield (GRANTS, index, "clusters", number)
            if grant.cluster_selector and not wanted.isdisjoint(on):
                self._refuse_pattern(index, "a clusterSelector")

    def _refuse_pattern(self, index: int, pattern: str) -> None:
        raise RolecallError(
            f"the grant of {self.person} is for {pattern}, which means more clusters than these",
            where=str(self.loaded.place(GRANTS, index)),
            advice="write out its clusters, or take it away on all of them",
        )

    def _wanted(self) -> set[str]:
        for pattern in self.taken.clusters:
            if not matching_clusters(self.manifest, pattern):
                known = list(self.manifest.clusters)
                raise RolecallError(f"no cluster in the file matches {pattern!r}", advice=nearest(pattern, known))
        return {name for pattern in self.taken.clusters for name in matching_clusters(self.manifest, pattern)}

    def _on(self, role: str) -> dict[str, None]:
        grants = (grant for grant in self.manifest.grants if grant.role == role)
        return {cluster: None for grant in grants for cluster in self.names.granted_clusters(grant)}

    def _all_of(self, role: str) -> None:
        """A role is of all its clusters: it cannot be taken from one person on some of them."""
        more = [cluster for cluster in self._on(role) if cluster not in self._wanted()] if self.taken.clusters else []
        if more:
            raise RolecallError(
                f"{role} is also of {', '.join(more[:8])}: whoever may assume it is on all its clusters",
                advice="leave --cluster out to take it away on all, or make a role of its own for some of them",
            )

    def _no_role_there(self) -> None:
        for role in self.reaching:
            if there := sorted(self._wanted() & set(self._on(role))):
                raise RolecallError(
                    f"{self.person} is on {', '.join(there)} through the role {role}, "
                    "which is not of one person and cluster alone",
                    advice=f"take the role away: rolecall revoke {self.person} --role {role}",
                )


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
        rest = _principals_left(statement, ids)
        named |= rest is not None
        if rest is None:
            kept.append(statement)
        elif rest:
            kept.append({**statement, "Principal": rest})
    return {**document, "Statement": kept or [dict(NOBODY)]} if named else None


def _principals_left(statement: Mapping[str, Any], ids: set[str]) -> dict[str, Any] | None:
    """The principals of a statement that lets in some of ``ids``, without those; ``None`` where it names none."""
    principals = statement.get("Principal")
    if statement.get("Effect") != "Allow" or not isinstance(principals, Mapping):
        return None
    listed = principals.get("AWS")
    listed = [listed] if isinstance(listed, str) else listed or []
    left = [one for one in listed if one not in ids]
    if len(left) == len(listed):
        return None
    rest = {kind: value for kind, value in principals.items() if kind != "AWS"}
    return rest | ({"AWS": left} if left else {})
