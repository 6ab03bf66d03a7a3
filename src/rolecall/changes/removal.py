"""The places of a file that give a person something, and what stands in the way of removing one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rolecall.errors import RolecallError
from rolecall.iam.trust_policy import statements
from rolecall.manifest.draft import GRANTS, Draft
from rolecall.manifest.explain_errors import nearest
from rolecall.manifest.load import Loaded
from rolecall.manifest.names import Names
from rolecall.manifest.references import matching_clusters
from rolecall.manifest.schema import Manifest, State
from rolecall.manifest.whom import groups_with, members_of, roles_of
from rolecall.manifest.yaml_data import PathKey


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


@dataclass
class Removal:
    """One person, what is taken from them, and what is found on the way.

    :param arn: of the person; empty if it is not known.
    :ivar roles: names of the file's roles that the person was a member of.
    :ivar notes: what is worth knowing, in sentences.
    """

    loaded: Loaded
    names: Names
    taken: Taken
    person: str
    arn: str
    roles: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def manifest(self) -> Manifest:
        return self.loaded.manifest

    @cached_property
    def within(self) -> Mapping[str, bool]:
        """Groups that the person is in, and whether directly."""
        return groups_with(self.manifest, self.person)

    @cached_property
    def reaching(self) -> Sequence[str]:
        """Roles that the person may assume by the file."""
        return list(roles_of(self.manifest, self.person))


def paths(removal: Removal) -> list[PathKey]:
    """The items to remove."""
    taken = removal.taken
    for section, name in (("roles", taken.role), ("groups", taken.group)):
        known: Mapping[str, Any] = getattr(removal.manifest, section)
        if name and name not in known:
            raise RolecallError(f"there is no {name!r} in {section}", advice=nearest(name, list(known)))
    if taken.group:
        found = list(_out_of_group(removal, taken.group))
    elif taken.role:
        _all_of(removal, taken.role)
        found = [*_of_role(removal, taken.role), *_groups_of(removal, taken.role)]
    elif taken.clusters:
        found = list(_grants(removal))
        _no_role_there(removal)
    else:
        found = [path for role in removal.manifest.roles for path in _of_role(removal, role)]
        found += [path for group in removal.within for path in _out_of_group(removal, group)]
        found += _grants(removal)
    if not found:
        removal.notes.append(f"{removal.person} has no access through the file")
    return found


def say_absent(removal: Removal, draft: Draft) -> None:
    """Say that the person shall be absent, where that deletes no user whom nobody asked to delete."""
    known = removal.manifest.people[removal.person]
    if removal.taken.delete_user and known.user is None:
        raise RolecallError(
            f"{removal.person!r} is not a user that the file owns, so it is not deleted",
            where=str(removal.loaded.place("people", removal.person)),
            advice="leave out --delete-user: access is still taken away",
        )
    if known.state is State.present and (known.user is None or removal.taken.delete_user):
        draft.set_value(("people", removal.person, "state"), State.absent.value)


def _of_role(removal: Removal, role: str) -> Iterator[PathKey]:
    """Where a role names the person: in ``assumableBy``, or in the document that is its trust policy."""
    if role in removal.reaching:
        removal.roles[role] = None
    for index, name in members_of(removal.manifest, role):
        if name == removal.person:
            yield ("roles", role, "assumableBy", index)
    document = removal.manifest.roles[role].trust_policy
    if document is not None and removal.arn:
        yield from _in_document(removal, role, document)


def _in_document(removal: Removal, role: str, document: Mapping[str, Any]) -> Iterator[PathKey]:
    path: PathKey = ("roles", role, "trustPolicy", "Statement")
    several, kept = isinstance(document.get("Statement"), list), 0
    for index, statement in enumerate(statements(document)):
        here = (*path, index) if several else path
        rest = principals_left(statement, {removal.arn})
        if rest is not None:
            removal.roles[role] = None
        if rest is None or rest.get("AWS"):
            kept += 1
            listed = statement["Principal"]["AWS"] if rest else ()
            yield from ((*here, "Principal", "AWS", at) for at, one in enumerate(listed) if one == removal.arn)
        elif rest or not several:
            _refuse_document(
                removal, role, f"a statement of the trust policy of {role!r} is not of {removal.person} alone"
            )
        else:
            yield here
    if not kept:
        _refuse_document(
            removal, role, f"without {removal.person} the trust policy of {role!r} would have no statement"
        )


def _refuse_document(removal: Removal, role: str, what: str) -> None:
    raise RolecallError(
        what,
        where=str(removal.loaded.place("roles", role, "trustPolicy")),
        advice="change the document by hand, or write assumableBy in its place",
    )


def _groups_of(removal: Removal, role: str) -> Iterator[PathKey]:
    """Out of the groups that lead to one role, where they lead to no other."""
    leading = {name for _, name in members_of(removal.manifest, role) if name in removal.within}
    for group in [group for group, directly in removal.within.items() if directly]:
        if leading.isdisjoint({group, *groups_with(removal.manifest, group)}):
            continue
        if others := [other for other in roles_of(removal.manifest, group) if other != role]:
            raise RolecallError(
                f"{removal.person} may assume {role} as a member of {group}, which also gives {', '.join(others[:5])}",
                where=str(removal.loaded.place("groups", group)),
                advice=f"take them out of the group: rolecall revoke {removal.person} --group {group}",
            )
        yield from _out_of_group(removal, group)


def _out_of_group(removal: Removal, group: str) -> Iterator[PathKey]:
    for index, name in enumerate(removal.manifest.groups[group]):
        if name == removal.person:
            yield ("groups", group, index)
            removal.roles |= dict.fromkeys(roles_of(removal.manifest, group))


def _grants(removal: Removal) -> Iterator[PathKey]:
    """Grants of the person's own, whole or on single clusters."""
    wanted = _wanted(removal)
    for index, grant in enumerate(removal.manifest.grants):
        if grant.person != removal.person:
            continue
        on = list(removal.names.granted_clusters(grant))
        kept = [cluster for cluster in on if wanted and cluster not in wanted]
        if not kept:
            yield (GRANTS, index)
            continue
        for number, pattern in enumerate(grant.clusters):
            matched = matching_clusters(removal.manifest, pattern)
            if wanted.isdisjoint(matched):
                continue
            if not wanted.issuperset(matched):
                _refuse_pattern(removal, index, repr(pattern))
            yield (GRANTS, index, "clusters", number)
        if grant.cluster_selector and not wanted.isdisjoint(on):
            _refuse_pattern(removal, index, "a clusterSelector")


def _refuse_pattern(removal: Removal, index: int, pattern: str) -> None:
    raise RolecallError(
        f"the grant of {removal.person} is for {pattern}, which means more clusters than these",
        where=str(removal.loaded.place(GRANTS, index)),
        advice="write out its clusters, or take it away on all of them",
    )


def _wanted(removal: Removal) -> set[str]:
    for pattern in removal.taken.clusters:
        if not matching_clusters(removal.manifest, pattern):
            known = list(removal.manifest.clusters)
            raise RolecallError(f"no cluster in the file matches {pattern!r}", advice=nearest(pattern, known))
    return {name for pattern in removal.taken.clusters for name in matching_clusters(removal.manifest, pattern)}


def _on(removal: Removal, role: str) -> dict[str, None]:
    grants = (grant for grant in removal.manifest.grants if grant.role == role)
    return {cluster: None for grant in grants for cluster in removal.names.granted_clusters(grant)}


def _all_of(removal: Removal, role: str) -> None:
    """A role applies to all of its clusters: it cannot be taken from one person on some of them."""
    more = (
        [cluster for cluster in _on(removal, role) if cluster not in _wanted(removal)] if removal.taken.clusters else []
    )
    if more:
        raise RolecallError(
            f"{role} is also of {', '.join(more[:8])}: anyone who may assume it gets all its clusters",
            advice="leave out --cluster to revoke it on all of them, or create a separate role for some of them",
        )


def _no_role_there(removal: Removal) -> None:
    for role in removal.reaching:
        if there := sorted(_wanted(removal) & set(_on(removal, role))):
            raise RolecallError(
                f"{removal.person} is on {', '.join(there)} through the role {role}, "
                "which is not of one person and cluster alone",
                advice=f"take the role away: rolecall revoke {removal.person} --role {role}",
            )


def principals_left(statement: Mapping[str, Any], ids: set[str]) -> dict[str, Any] | None:
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
