"""The record that giving access ends with: who, through which role, as whom in which cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.arn import Arn, PrincipalArn
from rolecall.errors import InvalidArnError

MAX_RECORDS = 20
Row = tuple[str, str]


def records(effects: Mapping[str, Any]) -> Iterator[tuple[Row, ...]]:
    """For each person that gains or changes access to a cluster the rows of its record, at most :data:`MAX_RECORDS`.

    :param effects: of a plan, as :meth:`rolecall.access.effects.Effects.to_json` gives them.
    """
    found = (
        _record(person, change)
        for kind in ("gains", "changes")
        for change in effects.get(kind, ())
        if kind == "gains" or _gives(change["before"], change["after"])
        for person in change["people"]
    )
    for _, record in zip(range(MAX_RECORDS), found, strict=False):
        yield record


def _gives(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    """Whether a change gives something new, and does not only take permissions away."""
    if before is None or any(before[key] != after[key] for key in ("username", "groups", "roles")):
        return True
    return any(one not in before["permissions"] for one in after["permissions"])


def _record(person: str, change: Mapping[str, Any]) -> tuple[Row, ...]:
    seat = change["after"]
    rows = [("IAM user name", _name(person)), ("IAM user ARN", person)]
    for role in seat["roles"]:
        rows += [("Role name", _name(role)), ("Role ARN", role)]
    return (
        *rows,
        ("Cluster", Arn.parse(change["cluster"]).resource.partition("/")[2]),
        ("Username in the cluster", seat["username"]),
        ("Groups in the cluster", ", ".join(seat["groups"]) or "none"),
    )


def _name(arn: str) -> str:
    try:
        return PrincipalArn.parse(arn).name
    except InvalidArnError:
        return arn
