"""What the rest of the endpoint asks IAM: whose key this is, which policies speak for a caller, what a role trusts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from sqlite3 import Row

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.iam.assume_role import TrustedRole
from rolecall.iam.documents import PolicyDocument, PolicyKind, read_policy
from rolecall.iam.evaluate import PolicySet
from rolecall.iam.principals import Principal
from rolecall.lab.aws_endpoint.store import Store

ACTIVE, INACTIVE = "Active", "Inactive"
# Whose the AWS managed policies are.
AWS = "aws"


@dataclass(frozen=True, slots=True)
class UserKey:
    """A long-term access key and the user who signs with it."""

    secret: str = field(repr=False)
    status: str
    principal: Principal


def user_arn(partition: str, user: Row) -> str:
    return f"arn:{partition}:iam::{user['account']}:user{user['path']}{user['name']}"


def role_arn(partition: str, role: Row) -> str:
    return f"arn:{partition}:iam::{role['account']}:role{role['path']}{role['name']}"


def group_arn(partition: str, group: Row) -> str:
    return f"arn:{partition}:iam::{group['account']}:group{group['path']}{group['name']}"


def account_exists(store: Store, account: str) -> bool:
    return store.one("SELECT 1 FROM accounts WHERE account = ?", (account,)) is not None


def accounts(store: Store) -> list[str]:
    """Every account of the lab."""
    return [row["account"] for row in store.all("SELECT account FROM accounts ORDER BY account")]


def user_named(store: Store, account: str, name: str) -> Row | None:
    """A user by name, in the case it was written: IAM compares names with case except for uniqueness."""
    return store.one("SELECT * FROM users WHERE account = ? AND name = ?", (account, name))


def role_named(store: Store, account: str, name: str) -> Row | None:
    return store.one("SELECT * FROM roles WHERE account = ? AND name = ?", (account, name))


def group_named(store: Store, account: str, name: str) -> Row | None:
    return store.one("SELECT * FROM groups WHERE account = ? AND name = ?", (account, name))


def tags_of(store: Store, owner: str) -> dict[str, str]:
    """The tags of a user, role, policy, device or provider, by its id or ARN."""
    return {row["key"]: row["value"] for row in store.all("SELECT * FROM tags WHERE owner = ? ORDER BY key", (owner,))}


def user_key(store: Store, partition: str, access_key_id: str) -> UserKey | None:
    """The long-term key with this id, or ``None``."""
    row = store.one(
        "SELECT k.secret, k.status, u.* FROM access_keys k JOIN users u ON u.id = k.user_id WHERE k.id = ?",
        (access_key_id,),
    )
    if row is None:
        return None
    return UserKey(row["secret"], row["status"], user_principal(store, partition, row, access_key_id))


def user_principal(store: Store, partition: str, user: Row, access_key_id: str = "") -> Principal:
    """A user as a caller."""
    arn = user_arn(partition, user)
    tags = tags_of(store, user["id"])
    return Principal(
        PrincipalKind.USER, user["account"], arn, arn, user["id"], user["id"], access_key_id, user["name"], None, tags
    )


def trusted_role(store: Store, partition: str, arn: PrincipalArn) -> TrustedRole | None:
    """The role at an ARN as the rules of AssumeRole need it; ``None`` if there is none."""
    row = _at(store, partition, arn) if arn.kind is PrincipalKind.ROLE else None
    if row is None:
        return None
    return TrustedRole(
        role_arn(partition, row),
        row["id"],
        arn.account,
        document(row["trust"], PolicyKind.TRUST, f"trust policy of role {arn.name}"),
        row["max_session"],
        tags_of(store, row["id"]),
        json.loads(row["trust_ids"]),
    )


def principal_id(store: Store, partition: str, arn: PrincipalArn) -> str | None:
    """The unique id that a user's or role's ARN stands for now; ``None`` if it stands for nobody."""
    row = _at(store, partition, arn)
    return row["id"] if row is not None else None


def _at(store: Store, partition: str, arn: PrincipalArn) -> Row | None:
    """The user or role at an ARN: partition, account, path and name all have to be its own."""
    if arn.partition != partition or arn.kind not in (PrincipalKind.USER, PrincipalKind.ROLE):
        return None
    row = (user_named if arn.kind is PrincipalKind.USER else role_named)(store, arn.account, arn.name)
    return row if row is not None and row["path"] == arn.path else None


def policies_of(store: Store, principal: Principal) -> PolicySet:
    """Every policy on the caller's side."""
    if principal.kind is PrincipalKind.ROOT:
        return PolicySet()
    owner = principal.principal_id
    kind = "user" if owner.startswith("AIDA") else "role"
    table = "users" if kind == "user" else "roles"
    row = store.one(f"SELECT name, boundary FROM {table} WHERE id = ?", (owner,))  # noqa: S608 -- two constant names
    if row is None:
        return PolicySet()
    whose = f"{kind} {row['name']}"
    identity = [*own_policies(store, owner, whose)]
    for group in store.all(
        "SELECT g.id, g.name FROM groups g JOIN memberships m ON m.group_id = g.id WHERE m.user_id = ? ORDER BY g.name",
        (owner,),
    ):
        identity += own_policies(store, group["id"], f"group {group['name']}")
    boundary = _managed(store, row["boundary"], PolicyKind.BOUNDARY, f"permissions boundary of {whose}")
    return PolicySet(tuple(identity), boundary, _session_policies(store, principal))


def managed_policy(store: Store, arn: str, account: str) -> Row | None:
    """A managed policy that an account can use: its own, or one of AWS."""
    return store.one("SELECT * FROM policies WHERE arn = ? AND account IN (?, ?)", (arn, account, AWS))


def policy_document(store: Store, arn: str) -> str | None:
    """The default version of a managed policy as JSON text."""
    row = store.one(
        "SELECT v.document FROM policies p JOIN policy_versions v ON v.arn = p.arn AND v.version = p.default_version "
        "WHERE p.arn = ?",
        (arn,),
    )
    return row["document"] if row else None


@lru_cache(maxsize=4096)
def document(text: str, kind: PolicyKind, name: str) -> PolicyDocument:
    """A stored document, read once. What AWS saves is in force, and what means nothing matches nothing."""
    return read_policy(text, kind, name=name)


def own_policies(store: Store, owner: str, whose: str) -> Iterable[PolicyDocument]:
    """The inline and attached policies of one user, role or group, by its unique id."""
    for row in store.all("SELECT name, document FROM inline_policies WHERE owner = ? ORDER BY name", (owner,)):
        yield document(row["document"], PolicyKind.IDENTITY, f"inline policy {row['name']} of {whose}")
    for row in store.all("SELECT arn FROM attachments WHERE owner = ? ORDER BY arn", (owner,)):
        found = _managed(store, row["arn"], PolicyKind.IDENTITY, f"policy {row['arn']} of {whose}")
        if found is not None:
            yield found


def _managed(store: Store, arn: str | None, kind: PolicyKind, name: str) -> PolicyDocument | None:
    text = policy_document(store, arn) if arn else None
    if text is not None:
        return document(text, kind, name)
    # A boundary that is set but gone grants nothing, rather than being no boundary at all.
    return PolicyDocument(kind, (), name=name) if arn and kind is not PolicyKind.IDENTITY else None


def _session_policies(store: Store, principal: Principal) -> tuple[PolicyDocument, ...] | None:
    session = principal.session
    if session is None or not (session.policies or session.policy_arns):
        return None
    inline = [document(text, PolicyKind.SESSION, "session policy") for text in session.policies]
    managed = [_managed(store, arn, PolicyKind.SESSION, f"session policy {arn}") for arn in session.policy_arns]
    return tuple(found for found in (*inline, *managed) if found is not None)
