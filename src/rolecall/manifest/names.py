"""The names of a manifest as the things of AWS that they stand for: ARNs, with what only AWS knows filled in.

A name that stands for nothing in AWS (an assignment in Identity Center was removed, an account could not be read) is
trouble with that name alone: it is :class:`Unresolved`, a finding, and everything else goes on. Only a file that
contradicts itself is a :class:`ManifestError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from rolecall.access.world import World
from rolecall.arn import PARTITIONS, PrincipalArn, PrincipalKind
from rolecall.iam.account import Account, IamRole
from rolecall.iam.trust_policy import Trusted, statements
from rolecall.manifest.load import Loaded, ManifestError
from rolecall.manifest.references import matching_clusters
from rolecall.manifest.schema import Grant, Member, State
from rolecall.manifest.yaml_data import PathKey, Problem

# AWS IAM Identity Center user guide, "Referencing permission sets in resource policies": AWSReservedSSO_NAME_SUFFIX.
_SSO_SUFFIX = re.compile(r"[0-9a-f]{16}", re.ASCII)
SSO_PREFIX = "AWSReservedSSO_"
_SSO_ROLE = re.compile(r"arn:[a-z-]+:iam::([0-9]{12}):role/(?:[!-~]+/)?(awsreservedsso_[!-~]+_)[0-9a-f]{16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Named:
    """A principal that the file names.

    :param owned: whether it is made and changed here, and not only mapped and trusted.
    :param absent: whether it shall not exist, or have no access.
    """

    arn: str
    account: str
    owned: bool = False
    absent: bool = False

    @property
    def principal(self) -> PrincipalArn:
        return PrincipalArn.parse(self.arn)

    @property
    def matched_arn(self) -> str:
        """The ARN that aws-auth and IAMIdentityMappings are compared with: STS leaves a role's path out."""
        return matched_arn(self.arn)


def matched_arn(arn: str) -> str:
    """An IAM ARN as the authenticator compares it (aws-iam-authenticator v0.7, ``pkg/arn``): a role has no path."""
    found = PrincipalArn.parse(arn)
    if found.kind is PrincipalKind.ROLE:
        return f"arn:{found.partition}:iam::{found.account}:role/{found.name}"
    return arn


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A name of the file that does not stand for exactly one thing in AWS.

    :param name: the name in the file, of a person or a role.
    :param account: id of the account that it belongs to.
    :param what: what is wrong, as a sentence.
    :param prefix: how the names of the roles begin that it may stand for; empty if it is known to stand for none.
    """

    path: PathKey
    name: str
    account: str
    what: str
    advice: str = ""
    prefix: str = ""

    def may_be(self, arn: str) -> bool:
        """Whether this ARN, with or without a path, may be the one that the name stands for."""
        found = _SSO_ROLE.fullmatch(arn.lower())
        return bool(self.prefix and found and found[1] == self.account and found[2] == self.prefix.lower())


class Names:
    """What each name of a manifest stands for in a world.

    :ivar unresolved: names that stand for nothing, or for something that is not known.
    :raises ManifestError: in :meth:`check`, if the file contradicts itself.
    """

    def __init__(self, loaded: Loaded, world: World, now: datetime) -> None:
        self.loaded, self.world, self.now = loaded, world, now
        self.manifest = loaded.manifest
        self.problems: list[Problem] = []
        self.unresolved: list[Unresolved] = []
        self._regions: dict[str, str] = {c.account: c.region for c in reversed(self.manifest.clusters.values())}
        self._spellings: dict[tuple[str, str], dict[str, str]] = {}
        self.people = {name: found for name in self.manifest.people if (found := self._person(name))}
        self.roles = {name: self._role(name) for name in self.manifest.roles}
        self.clusters = {name: self.cluster_arn(name) for name in self.manifest.clusters}

    def check(self) -> None:
        """:class:`ManifestError` if parts of the file contradict each other."""
        if self.problems:
            raise ManifestError(self.problems)

    def problem(self, path: PathKey, what: str, advice: str = "") -> None:
        self.problems.append(Problem(self.loaded.place(*path), what, advice))

    def account(self, name: str) -> str:
        return self.manifest.accounts[name].id

    def partition(self, account: str) -> str:
        """The partition of an account by its name in the file: that of its regions, else as it was read."""
        region = self.manifest.accounts[account].region or self._regions.get(account, "")
        for partition in PARTITIONS.values():
            if region and partition.region_pattern.fullmatch(region):
                return partition.name
        known = self.world.accounts.get(self.account(account))
        return known.partition if known else "aws"

    def cluster_arn(self, name: str) -> str:
        cluster = self.manifest.clusters[name]
        partition = next((p.name for p in PARTITIONS.values() if p.region_pattern.fullmatch(cluster.region)), "aws")
        account = self.account(cluster.account)
        return f"arn:{partition}:eks:{cluster.region}:{account}:cluster/{cluster.name or name}"

    def granted_clusters(self, grant: Grant) -> Iterator[str]:
        """Names of a grant's clusters, each once."""
        found = dict.fromkeys(name for pattern in grant.clusters for name in matching_clusters(self.manifest, pattern))
        if grant.cluster_selector is not None:
            wanted = grant.cluster_selector.match_labels.items()
            found |= dict.fromkeys(n for n, c in self.manifest.clusters.items() if wanted <= c.labels.items())
        yield from found

    def granted(self, grant: Grant) -> Named | None:
        """Whom a grant is for; ``None`` where that is not known, which is a problem already."""
        return self.roles[grant.role] if grant.role is not None else self.people.get(grant.person or "")

    def members(self, role: str) -> Iterator[Trusted]:
        """Who may assume a role, groups resolved, in the order of the file; people who are absent are left out."""
        for member in self.manifest.roles[role].assumable_by or ():
            if isinstance(member, str):
                yield from self._members(role, member, None)
            elif member.account is not None:
                yield Trusted(self._root(member.account), member.until)
            else:
                yield from self._members(role, member.person or member.group or "", member)

    def _root(self, account: str) -> str:
        return f"arn:{self.partition(account)}:iam::{self.account(account)}:root"

    def _members(self, role: str, name: str, member: Member | None) -> Iterator[Trusted]:
        until = member.until if member else None
        doubtful = {one.name: one for one in self.unresolved if one.prefix}
        seen: set[str] = set()
        pending = [name]
        while pending:
            one = pending.pop()
            if one in seen:
                continue
            seen.add(one)
            if one in self.manifest.groups:
                pending += reversed(self.manifest.groups[one])
            elif (person := self.people.get(one)) and not person.absent:
                yield Trusted(person.arn, until)
            elif one in doubtful:
                # They are not taken out of a trust policy because they could not be looked up.
                yield from (Trusted(arn, until) for arn in self._trusted_now(role) if doubtful[one].may_be(arn))

    def _trusted_now(self, role: str) -> Iterator[str]:
        """The principals that the role's trust policy names now."""
        who = self.roles[role]
        account = self.world.accounts.get(who.account)
        there = account.roles.get(who.principal.name) if account else None
        for statement in statements(json.loads(there.trust)) if there else ():
            principals = statement.get("Principal")
            named = principals.get("AWS") if isinstance(principals, Mapping) else None
            yield from [named] if isinstance(named, str) else named or ()

    def _person(self, name: str) -> Named | None:
        person = self.manifest.people[name]
        absent = person.state is State.absent
        if person.arn is not None:
            return Named(person.arn, PrincipalArn.parse(person.arn).account, absent=absent)
        account = person.account or ""
        if person.user is not None:
            user = self._spelling(("people", name, "user"), name, account, person.user, "user")
            arn = f"arn:{self.partition(account)}:iam::{self.account(account)}:user{person.path}{user}"
            return Named(arn, self.account(account), owned=True, absent=absent)
        return self._permission_set(name, account, person.permission_set or "", absent)

    def _permission_set(self, name: str, account: str, permission_set: str, absent: bool) -> Named | None:
        known = self.world.accounts.get(self.account(account))
        found = _role_of_permission_set(known, account, permission_set)
        if isinstance(found, IamRole):
            return Named(found.arn, self.account(account), absent=absent)
        what, advice, prefix = found
        if not absent or prefix:
            path: PathKey = ("people", name, "permissionSet")
            self.unresolved.append(Unresolved(path, name, self.account(account), what, advice, prefix))
        return None

    def _role(self, key: str) -> Named:
        role = self.manifest.roles[key]
        absent = role.state is State.absent
        if role.arn is not None:
            return Named(role.arn, PrincipalArn.parse(role.arn).account, absent=absent)
        account, name = role.account or "", role.name or key
        ident = self.account(account)
        name = self._spelling(("roles", key), key, account, name, "role")
        known = self.world.accounts.get(ident)
        there = known.roles.get(name) if known else None
        # A role keeps its path for good, so where the file says nothing it is the one that the role has.
        path = role.path or (there.path if there else "/")
        arn = f"arn:{self.partition(account)}:iam::{ident}:role{path}{name}"
        return Named(arn, ident, owned=True, absent=absent)

    def _spelling(self, path: PathKey, key: str, account: str, name: str, kind: str) -> str:
        """The name as IAM has it: names that differ only in case are one name, but ARNs mind case (IAM user guide)."""
        known = self.world.accounts.get(self.account(account))
        if known is None:
            return name
        there = known.users if kind == "user" else known.roles
        if name in there:
            return name
        if (account, kind) not in self._spellings:
            self._spellings[account, kind] = {other.lower(): other for other in there}
        if other := self._spellings[account, kind].get(name.lower()):
            what = f"IAM has the {kind} as {other!r}"
            self.unresolved.append(Unresolved(path, key, self.account(account), what, f"write {other}"))
            return other
        return name


def _role_of_permission_set(known: Account | None, account: str, name: str) -> IamRole | tuple[str, str, str]:
    """The role of a permission set; or what is wrong, what to do, and how the roles that it may be are called.

    :param account: the account's name in the file.
    """
    start = f"{SSO_PREFIX}{name}_"
    if known is None:
        what = f"account {account!r} was not read, so the role of the permission set {name!r} is not known"
        return what, "fix the access to the account", start
    found = [r for n, r in known.roles.items() if n.startswith(start) and _SSO_SUFFIX.fullmatch(n[len(start) :])]
    if len(found) == 1:
        return found[0]
    what = "has no role" if not found else f"has {len(found)} roles"
    advice = "assign it to the account in IAM Identity Center" if not found else "name one by its arn"
    return f"the permission set {name!r} {what} {start}* in account {account!r}", advice, start if found else ""
