"""The record that giving access ends with: who, through which role, as whom in which cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.arn import Arn, PrincipalArn
from rolecall.errors import InvalidArnError

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """One person's access to one cluster by one way.

    :param person: ARN of the user, or what a trust policy calls somebody else.
    :param roles: ARNs of the roles assumed one after the other; empty: as the user itself.
    :param cluster: its ARN.
    """

    person: str
    roles: tuple[str, ...]
    cluster: str
    username: str
    groups: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "person": self.person,
            "roles": list(self.roles),
            "cluster": self.cluster,
            "username": self.username,
            "groups": list(self.groups),
        }

    def rows(self) -> tuple[Row, ...]:
        """Label and value, as a person files it."""
        rows = [("IAM user name", _name(self.person)), ("IAM user ARN", self.person)]
        for role in self.roles:
            rows += [("Role name", _name(role)), ("Role ARN", role)]
        return (
            *rows,
            ("Cluster", self.cluster_name),
            ("Username in the cluster", self.username),
            ("Groups in the cluster", ", ".join(self.groups) or "none"),
        )

    def cells(self) -> tuple[str, ...]:
        """Person, role, cluster, username and groups in one line."""
        roles = " > ".join(map(_name, self.roles)) or "(none)"
        return _name(self.person), roles, self.cluster_name, self.username, ", ".join(self.groups) or "none"

    @property
    def cluster_name(self) -> str:
        return Arn.parse(self.cluster).resource.partition("/")[2]


def records(effects: Mapping[str, Any]) -> Iterator[Record]:
    """For each person that gains or changes access to a cluster the record; every one, this is what is filed.

    :param effects: of a plan, as :meth:`rolecall.access.effects.Effects.to_json` gives them.
    """
    for kind in ("gains", "changes"):
        for change in effects.get(kind, ()):
            if kind == "gains" or _gives(change["before"], change["after"]):
                seat = change["after"]
                for person in change["people"]:
                    who = tuple(seat["roles"]), change["cluster"], seat["username"], tuple(seat["groups"])
                    yield Record(person, *who)


def _gives(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    """Whether a change gives something new, and does not only take permissions away."""
    if before is None or any(before[key] != after[key] for key in ("username", "groups", "roles")):
        return True
    return any(one not in before["permissions"] for one in after["permissions"])


def _name(arn: str) -> str:
    try:
        return PrincipalArn.parse(arn).name
    except InvalidArnError:
        return arn
