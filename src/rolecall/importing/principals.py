"""Names for the principals of a world: people, roles and accounts as a file calls them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rolecall.access.principals import find_principal
from rolecall.access.world import World
from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.account import IamRole, IamUser
from rolecall.iam.common_documents import same_grants
from rolecall.iam.documents import PolicyError, PolicyKind, parse_policy
from rolecall.iam.trust_policy import Trusted, read_trust
from rolecall.manifest.names import SSO_PREFIX
from rolecall.manifest.schema import write_conditions
from rolecall.manifest.write_yaml import readable
from rolecall.moments import write_moment
from rolecall.plan.actual import ASSUME_POLICY, DESCRIBE_POLICY
from rolecall.plan.desired_iam import assume_document, describe_document, has_already
from rolecall.plan.links import principal_key

_ROOT = re.compile(r"arn:[a-z-]+:iam::([0-9]{12}):root", re.ASCII)
# Roles that AWS makes and changes itself (IAM user guide, "Using service-linked roles"; Identity Center user guide).
OF_AWS = ("/aws-reserved/", "/aws-service-role/")


class Directory:
    """Names as they are given out; a principal has one name as a person and one as a role.

    :param accounts: names of accounts by their id.
    :param unsayable: keys of principals that must not be named.
    """

    def __init__(self, world: World, accounts: Mapping[str, str], unsayable: Iterable[str]) -> None:
        self.world, self.accounts = world, accounts
        self._unsayable = frozenset(unsayable)
        self._people: dict[str, tuple[str, str, dict[str, Any]]] = {}
        self._roles: dict[str, tuple[str, str]] = {}
        # By user, the roles of other accounts that trust them, with whether those ask for a source identity.
        self._trusting: dict[str, dict[str, bool]] = {}
        self._taken: dict[str, set[str]] = {"people": set(), "roles": set()}

    def people(self) -> dict[str, dict[str, Any]]:
        """Everybody that was named, by name."""
        named = sorted(self._people.values(), key=lambda one: one[0])
        return {name: {**data, **self._assuming(arn)} for name, arn, data in named}

    def _assuming(self, arn: str) -> dict[str, Any]:
        """Whether a user's right to assume roles of other accounts is not as rolecall would write it."""
        user, roles = find_principal(self.world.accounts, arn), self._trusting.get(arn, {})
        if not isinstance(user, IamUser) or PrincipalArn.parse(arn).account not in self.accounts:
            return {}
        account = self.world.accounts[PrincipalArn.parse(arn).account]
        wanted = {role: tagged for role, tagged in roles.items() if not has_already(account, user, role)}
        there = user.inline.get(ASSUME_POLICY)
        same = not wanted if there is None else wanted and same_grants(json.loads(there), assume_document(wanted))
        return {} if same else {"assumeRoles": False}

    def roles(self) -> dict[str, str]:
        """ARNs of the roles that were named, by name."""
        return dict(sorted(self._roles.values()))

    def role(self, arn: str) -> str:
        """The name of a role in ``roles``."""
        key = principal_key(arn)
        if key not in self._roles:
            self._roles[key] = (self._name("roles", PrincipalArn.parse(arn)), arn)
        return self._roles[key][0]

    def person(self, arn: str) -> str:
        """The name of a user or role in ``people``."""
        key = principal_key(arn)
        if key not in self._people:
            principal = PrincipalArn.parse(arn)
            self._people[key] = (self._name("people", principal), arn, self._person(arn, principal))
        return self._people[key][0]

    def _name(self, section: str, principal: PrincipalArn) -> str:
        base = re.sub(r"[^A-Za-z0-9_.+=,@-]+", "-", principal.name)
        base = base if re.match(r"[A-Za-z0-9_]", base) else f"_{base}"
        where = self.accounts.get(principal.account, principal.account)
        number = 1
        name = base
        while name.lower() in self._taken[section]:
            name = f"{base}@{where}" if number == 1 else f"{base}@{where}-{number}"
            number += 1
        self._taken[section].add(name.lower())
        return name

    def _person(self, arn: str, principal: PrincipalArn) -> dict[str, Any]:
        there = find_principal(self.world.accounts, arn)
        account = self.accounts.get(principal.account)
        if account is not None and isinstance(there, IamUser):
            return {"user": there.name, "account": account} | ({"path": there.path} if there.path != "/" else {})
        if account is not None and isinstance(there, IamRole) and (name := self._permission_set(there)):
            return {"permissionSet": name, "account": account}
        return {"arn": arn}

    def _permission_set(self, role: IamRole) -> str:
        """The permission set that a role stands for, where only this role does; else empty."""
        pattern = re.compile(rf"{SSO_PREFIX}([A-Za-z0-9_+=,.@-]{{1,32}})_[0-9a-f]{{16}}", re.ASCII)
        if not (found := pattern.fullmatch(role.name)):
            return ""
        others = self.world.accounts[PrincipalArn.parse(role.arn).account].roles
        same = [n for n in others if (other := pattern.fullmatch(n)) and other[1] == found[1]]
        return found[1] if len(same) == 1 else ""

    def role_data(self, arn: str, clusters: Sequence[str], *, is_node: bool) -> dict[str, Any]:
        """A role as the file says it: owned with its trust policy, or only referred to.

        :param clusters: ARNs of the clusters of its own account that it is granted.
        """
        principal, role = PrincipalArn.parse(arn), find_principal(self.world.accounts, arn)
        account = self.accounts.get(principal.account)
        if is_node or account is None or not isinstance(role, IamRole) or role.path.startswith(OF_AWS):
            return {"arn": arn}
        key = self._roles[principal_key(arn)][0]
        named = {"account": account} | ({"name": role.name} if role.name != key else {})
        described = self._described(role, clusters)
        trust = json.loads(role.trust)
        whole = {**named, **(self._trust(trust, self.world.read_at) or {"trustPolicy": trust}), **described}
        documents = [(trust, PolicyKind.TRUST)]
        documents += [(one, PolicyKind.IDENTITY) for one in described.get("policies", {}).values()]
        if not readable(whole) or not all(_valid(*one) for one in documents):
            return {"arn": arn}
        if "assumableBy" in whole and (read := read_trust(trust, self.world.read_at)):
            for member in read[0]:
                if (found := _account_of(member.arn)) and found != principal.account:
                    self._trusting.setdefault(member.arn, {})[arn] = read[1].source_identity
        return whole

    def _described(self, role: IamRole, clusters: Sequence[str]) -> dict[str, Any]:
        there = role.inline.get(DESCRIBE_POLICY)
        if there is None:
            return {"describeClusters": False} if clusters else {}
        if clusters and same_grants(json.loads(there), describe_document(list(clusters))):
            return {}
        # It is not as rolecall would write it, so it is kept as one of the role's own.
        return {"describeClusters": False, "policies": {n: json.loads(text) for n, text in role.inline.items()}}

    def _trust(self, document: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
        read = read_trust(document, now)
        if read is None:
            return None
        members, conditions = read
        said = [self._member(member) for member in members]
        by_username = conditions.session_name or conditions.source_identity
        if any(one is None for one in said) or (by_username and not all(":user/" in one.arn for one in members)):
            return None
        for member in members:
            if not _ROOT.fullmatch(member.arn):
                self.person(member.arn)
        found: dict[str, Any] = {"assumableBy": said}
        more = write_conditions(conditions)
        if more is None:
            return None
        return found | ({"conditions": more} if more else {})

    def _member(self, member: Trusted) -> str | dict[str, Any] | None:
        until = {"until": write_moment(member.until)} if member.until else {}
        if root := _ROOT.fullmatch(member.arn):
            account = self.accounts.get(root[1])
            return {"account": account, **until} if account else None
        try:
            principal = PrincipalArn.parse(member.arn)
        except InvalidArnError:
            return None
        known = principal.kind in (PrincipalKind.USER, PrincipalKind.ROLE)
        if not known or principal_key(member.arn) in self._unsayable or not self._same(member.arn):
            return None
        name = self.person(member.arn)
        return {"person": name, **until} if until else name

    def _same(self, arn: str) -> bool:
        """Whether the name that the principal has, or will have, stands for just this ARN."""
        return self._people.get(principal_key(arn), ("", arn))[1] == arn


def _account_of(arn: str) -> str:
    try:
        return PrincipalArn.parse(arn).account
    except InvalidArnError:
        return ""


def _valid(document: Any, kind: PolicyKind) -> bool:
    try:
        parse_policy(json.dumps(document), kind)
    except PolicyError:
        return False
    return True
