"""What one caller reaches by what a manifest says, read with no right to look at accounts or clusters.

The trust policies that the manifest stands for are put to the rules of AssumeRole, for the caller alone. Their own
policies are not known, so they count as allowing it; where a trust policy names the caller, the file vouches for that.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from rolecall.access.reachable import AssumableRole, Caller, Reach, Reachable, assumable_role, doubt_notes, is_wanted
from rolecall.access.read_world import ClusterAddress
from rolecall.access.world import World
from rolecall.arn import Arn, PrincipalArn, PrincipalKind
from rolecall.iam.account import Account, IamRole, IamUser, canonical_document
from rolecall.iam.assume_role import DEFAULT_DURATION
from rolecall.iam.common_documents import NOBODY
from rolecall.iam.graph import build_graph
from rolecall.iam.statements import Grant as Trust
from rolecall.iam.trust_policy import VERSION, trust_policy
from rolecall.manifest.load import Loaded
from rolecall.manifest.names import SSO_PREFIX, Names, matched_arn
from rolecall.manifest.schema import Grant, RoleSpec

_ANYTHING = json.dumps(
    {"Version": VERSION, "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]}, separators=(",", ":")
)
_NOBODY = canonical_document({"Version": VERSION, "Statement": [NOBODY]})


def reach_of_manifest(loaded: Loaded, caller: Caller, now: datetime, only_roles: Collection[str] = ()) -> Reach | None:
    """What ``caller`` reaches at ``now``; ``None`` if no person or role in the file is that.

    :param only_roles: keys, names or ARNs of the roles that are looked at, and not the caller's own mappings; with them
        also existing roles, of which the file does not say who may assume them. Empty: all others, and the caller.
    """
    return _Reaching(loaded, caller, now, only_roles).reach()


class _Reaching:
    def __init__(self, loaded: Loaded, caller: Caller, now: datetime, only_roles: Collection[str]) -> None:
        self.manifest, self.caller, self.now, self.only = loaded.manifest, caller, now, only_roles
        self.names = Names(loaded, World(now, _own_account(caller)), now)
        named = {who.arn for who in (*self.names.people.values(), *self.names.roles.values())}
        # Written in the file with its path, which a session's ARN does not tell.
        self.arn = next((arn for arn in sorted(named) if matched_arn(arn) == caller.arn), "")

    def reach(self) -> Reach | None:
        if not self.arn:
            return None
        roles = self._roles()
        unknown = self._of_existing(roles)
        notes = list(doubt_notes(roles.values()))
        if unknown and not self.only:
            which = ", ".join(sorted(unknown)[:8]) + (", ..." if len(unknown) > 8 else "")
            notes.append(
                f"who may assume the existing roles of the file is not known, so they are left out: {which}; "
                "to try one: --role NAME"
            )
        elif unknown:
            roles |= {key: AssumableRole(self.names.roles[key].arn, certain=False) for key in unknown}
        return Reach(tuple(roles.values()), tuple(self._clusters(roles)), tuple(notes))

    def _roles(self) -> dict[str, AssumableRole]:
        """By key, the owned roles that the caller can assume."""
        keys: dict[str, str] = {}
        by_account: dict[str, dict[str, IamRole]] = {}
        for key, named in self.names.roles.items():
            role = self.manifest.roles[key]
            if named.owned and not named.absent and is_wanted(named.arn, self.only, key):
                keys[named.arn] = key
                found = IamRole(named.principal.name, named.arn, self._trust(key, role))
                by_account.setdefault(named.account, {})[found.name] = found
        graph = build_graph(self._accounts(by_account), self.now)
        return {
            keys[edge.role]: assumable_role(
                edge,
                _longest(self.manifest.roles[keys[edge.role]]),
                certain=edge.certain and edge.grant is not Trust.ACCOUNT,
            )
            for edge in graph.edges_from(self.arn)
            if edge.role in keys
        }

    def _trust(self, key: str, role: RoleSpec) -> str:
        if role.trust_policy is not None:
            return canonical_document(role.trust_policy)
        # Whom else the role trusts says nothing about the caller.
        members = [
            member
            for member in self.names.members(key)
            if member.arn == self.arn or PrincipalArn.parse(member.arn).kind is PrincipalKind.ROOT
        ]
        return canonical_document(trust_policy(members, role.trust_conditions(), self.now))

    def _accounts(self, roles: Mapping[str, Mapping[str, IamRole]]) -> dict[str, Account]:
        """The accounts of the roles, and the caller in their own, who may ask for anything."""
        me = PrincipalArn.parse(self.arn)
        accounts = {ident: Account(ident, me.partition, roles=found) for ident, found in roles.items()}
        home = accounts.get(me.account) or Account(me.account, me.partition)
        inline = {"anything": _ANYTHING}
        if me.kind is PrincipalKind.ROLE:
            known = home.roles.get(me.name) or IamRole(me.name, self.arn, _NOBODY)
            home = replace(home, roles={**home.roles, me.name: replace(known, inline=inline)})
        else:
            home = replace(home, users={me.name: IamUser(me.name, self.arn, inline=inline)})
        return accounts | {me.account: home}

    def _of_existing(self, roles: Mapping[str, AssumableRole]) -> set[str]:
        """Keys of roles that the file only refers to, and grants something as what a person is."""
        return {
            grant.role
            for grant in self._grants()
            if grant.role is not None and grant.role not in roles
            if not (named := self.names.roles[grant.role]).owned and matched_arn(named.arn) != self.caller.arn
            if is_wanted(named.arn, self.only, grant.role)
        }

    def _clusters(self, roles: Mapping[str, AssumableRole]) -> Iterator[Reachable]:
        for grant in self._grants():
            named = self.names.granted(grant)
            itself = named is not None and matched_arn(named.arn) == self.caller.arn
            role = roles.get(grant.role) if grant.role is not None and not itself else None
            if role is None and (self.only or not itself):
                continue
            for name in self.names.granted_clusters(grant):
                yield Reachable(self.caller, _address(self.names.clusters[name]), role)

    def _grants(self) -> Iterator[Grant]:
        """What is granted at this moment to people and their roles."""
        for grant in self.manifest.grants:
            named = self.names.granted(grant)
            over = grant.until is not None and grant.until <= self.now
            if named is not None and not (named.absent or over or grant.node_role):
                yield grant


def _own_account(caller: Caller) -> dict[str, Account]:
    """What a caller knows of the world: their own role, where it is one that IAM Identity Center made."""
    me = caller.principal
    if not (me.kind is PrincipalKind.ROLE and me.name.startswith(SSO_PREFIX)):
        return {}
    return {me.account: Account(me.account, me.partition, roles={me.name: IamRole(me.name, caller.arn, _NOBODY)})}


def _longest(role: RoleSpec) -> int | None:
    if role.max_session_duration is None and role.break_glass:
        return DEFAULT_DURATION
    return role.max_session_duration


def _address(arn: str) -> ClusterAddress:
    found = Arn.parse(arn)
    return ClusterAddress(found.account, found.region, found.resource.removeprefix("cluster/"))
