"""A role's trust policy from who may assume it, and back.

Keys and operators: IAM user guide, "AWS global condition context keys", "Available keys for AWS STS", "Configuring
MFA-protected API access" (``aws:MultiFactorAuthAge``), "Monitor and control actions taken with assumed roles".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rolecall.iam.common_documents import NOBODY, same_grants
from rolecall.moments import parse_moment, write_moment

VERSION = "2012-10-17"
USERNAME = "${aws:username}"


@dataclass(frozen=True, slots=True)
class TrustConditions:
    """What must hold of a request to assume a role; each member becomes one condition of the trust policy.

    ``mfa_max_age`` is in seconds. ``session_name`` and ``source_identity``: must be the IAM user's own name.
    """

    mfa: bool = False
    mfa_max_age: int | None = None
    session_name: bool = False
    source_identity: bool = False
    external_id: str | None = None
    source_ip: tuple[str, ...] = ()


NO_CONDITIONS = TrustConditions()


@dataclass(frozen=True, slots=True)
class Trusted:
    """One principal of a trust policy, and until when."""

    arn: str
    until: datetime | None = None


def trust_policy(members: Iterable[Trusted], conditions: TrustConditions, now: datetime) -> dict[str, Any]:
    """The document that lets in exactly ``members`` under ``conditions``; those whose time is over are left out.

    One statement for everybody who has no end, one for each moment at which somebody's membership ends, so that IAM
    ends it by itself. A role without members trusts nobody, by a Deny, because a trust policy needs a statement.
    """
    ends: dict[str, datetime | None] = {}
    for member in members:
        if member.until is not None and member.until <= now:
            continue
        known = ends.get(member.arn, member.until)
        ends[member.arn] = None if known is None or member.until is None else max(known, member.until)
    groups: dict[datetime | None, list[str]] = {}
    for arn, until in ends.items():
        groups.setdefault(until, []).append(arn)
    ordered = sorted(groups.items(), key=lambda item: (item[0] is not None, item[0] or now))
    written = [_statement(arns, until, conditions) for until, arns in ordered]
    return {"Version": VERSION, "Statement": written or [dict(NOBODY)]}


def _statement(arns: list[str], until: datetime | None, conditions: TrustConditions) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": scalar_or_list(arns)},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"] if conditions.source_identity else "sts:AssumeRole",
    }
    condition = _condition(conditions, until)
    return statement | ({"Condition": condition} if condition else {})


def _condition(conditions: TrustConditions, until: datetime | None) -> dict[str, dict[str, Any]]:
    equals = {
        "sts:RoleSessionName": USERNAME if conditions.session_name else None,
        "sts:SourceIdentity": USERNAME if conditions.source_identity else None,
        "sts:ExternalId": conditions.external_id,
    }
    age = conditions.mfa_max_age
    blocks: dict[str, dict[str, Any]] = {
        "Bool": {"aws:MultiFactorAuthPresent": "true" if conditions.mfa else None},
        "NumericLessThanEquals": {"aws:MultiFactorAuthAge": str(age) if age is not None else None},
        "StringEquals": equals,
        "IpAddress": {"aws:SourceIp": scalar_or_list(conditions.source_ip) if conditions.source_ip else None},
        "DateLessThan": {"aws:CurrentTime": write_moment(until) if until else None},
    }
    found = {name: {key: value for key, value in keys.items() if value is not None} for name, keys in blocks.items()}
    return {name: keys for name, keys in found.items() if keys}


def statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The statements of a policy document, which may hold one alone."""
    found = document.get("Statement") or []
    return [found] if isinstance(found, Mapping) else list(found)


def scalar_or_list(values: Sequence[str]) -> str | list[str]:
    """One value alone or several as a list, as AWS itself writes policies."""
    return values[0] if len(values) == 1 else list(values)


def read_trust(document: Mapping[str, Any], now: datetime) -> tuple[list[Trusted], TrustConditions] | None:
    """The members and conditions that :func:`trust_policy` writes this document from; ``None`` where it does not."""
    members: list[Trusted] = []
    found: TrustConditions | None = None
    for statement in statements(document):
        if statement.get("Effect") != "Allow":
            continue
        read = _read_conditions(statement.get("Condition") or {}, statement.get("Action"))
        if read is None or (found is not None and read[0] != found):
            return None
        found, until = read
        principals = statement.get("Principal")
        named = principals.get("AWS") if isinstance(principals, Mapping) else None
        members += [Trusted(arn, until) for arn in ([named] if isinstance(named, str) else named or ())]
    conditions = found or NO_CONDITIONS
    # Whatever was not understood shows as a difference; then the document itself is kept.
    if not same_grants(trust_policy(members, conditions, now), document) or _named(document):
        return None
    return members, conditions


def _named(document: Mapping[str, Any]) -> bool:
    return "Id" in document or any("Sid" in statement for statement in statements(document))


def _read_conditions(condition: Mapping[str, Any], action: Any) -> tuple[TrustConditions, datetime | None] | None:
    keys = {key: value for block in condition.values() for key, value in block.items()}
    addresses = keys.get("aws:SourceIp", ())
    end = keys.get("aws:CurrentTime")
    try:
        until = parse_moment(end) if end is not None else None
    except ValueError:
        return None
    found = TrustConditions(
        mfa="aws:MultiFactorAuthPresent" in keys,
        mfa_max_age=_whole(keys.get("aws:MultiFactorAuthAge")),
        session_name="sts:RoleSessionName" in keys,
        source_identity=not isinstance(action, str),
        external_id=keys.get("sts:ExternalId"),
        source_ip=(addresses,) if isinstance(addresses, str) else tuple(addresses),
    )
    return found, until


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10 else None
