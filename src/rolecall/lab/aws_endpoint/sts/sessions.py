"""Temporary credentials: issued once, durable, forgotten when they have ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from sqlite3 import Row
from typing import Any

from rolecall.arn import PrincipalKind
from rolecall.iam.principals import Principal, Session
from rolecall.lab.aws_endpoint.actions import Call
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.moments import to_text
from rolecall.lab.aws_endpoint.store import Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    key_id TEXT PRIMARY KEY, secret TEXT NOT NULL, token TEXT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL,
    account TEXT NOT NULL, expires TEXT NOT NULL, session TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (expires);
"""
# Ended sessions are kept a while, so that their holders read ExpiredToken and not "invalid".
_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    """Temporary credentials and the caller they stand for; ``principal`` is ``None`` if the owner is deleted."""

    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires: datetime
    principal: Principal | None


def issue(
    call: Call, kind: PrincipalKind, owner: str, account: str, session: Session, token_size: int = 0
) -> dict[str, Any]:
    """Store new temporary credentials and return them as STS's ``Credentials`` shape.

    :param token_size: number of bytes that the session token has at least.
    """
    key_id, secret, token = call.ids.unique_id("ASIA")[:20], call.ids.secret_key(), call.ids.session_token(token_size)
    # Whole seconds, because that is what STS answers; a session ends when STS said that it would.
    session = replace(
        session, issued=session.issued.replace(microsecond=0), expires=session.expires.replace(microsecond=0)
    )
    call.store.execute("DELETE FROM sessions WHERE expires < ?", (to_text(call.now - _KEPT),))
    call.store.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (key_id, secret, token, kind.value, owner, account, to_text(session.expires), _to_json(session)),
    )
    return {
        "AccessKeyId": key_id,
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": session.expires,
    }


def temporary_key(store: Store, partition: str, access_key_id: str) -> TemporaryKey | None:
    """The temporary credentials with this key id, or ``None``."""
    row = store.one("SELECT * FROM sessions WHERE key_id = ?", (access_key_id,))
    if row is None:
        return None
    session = _from_json(row["session"])
    return TemporaryKey(row["secret"], row["token"], session.expires, _principal(store, partition, row, session))


def _principal(store: Store, partition: str, row: Row, session: Session) -> Principal | None:
    kind, owner, key_id = PrincipalKind(row["kind"]), row["owner"], row["key_id"]
    if kind is PrincipalKind.USER:
        user = store.one("SELECT * FROM users WHERE id = ?", (owner,))
        return replace(directory.user_principal(store, partition, user, key_id), session=session) if user else None
    role = store.one("SELECT * FROM roles WHERE id = ?", (owner,))
    if role is None:
        return None
    return Principal(
        kind,
        role["account"],
        f"arn:{partition}:sts::{role['account']}:assumed-role/{role['name']}/{session.name}",
        directory.role_arn(partition, role),
        owner,
        f"{owner}:{session.name}",
        key_id,
        role["name"],
        session,
        directory.tags_of(store, owner),
    )


def _to_json(session: Session) -> str:
    found: dict[str, Any] = {name.name: getattr(session, name.name) for name in fields(session)}
    for key in ("issued", "expires", "mfa_authenticated_at"):
        found[key] = found[key].timestamp() if found[key] else None
    return json.dumps({**found, "tags": dict(session.tags), "transitive_tag_keys": sorted(session.transitive_tag_keys)})


def _from_json(text: str) -> Session:
    found = json.loads(text)
    for key in ("issued", "expires", "mfa_authenticated_at"):
        found[key] = datetime.fromtimestamp(found[key], UTC) if found[key] is not None else None
    for key in ("policies", "policy_arns"):
        found[key] = tuple(found[key])
    return Session(**{**found, "transitive_tag_keys": frozenset(found["transitive_tag_keys"])})
