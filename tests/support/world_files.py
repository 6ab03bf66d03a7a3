"""The worlds under ``tests/worlds``, as values of the rules; see the README there for their form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rolecall.access.world import World
from rolecall.iam.account import Account, IamGroup, IamRole, IamUser
from worlds import NOW, aws_auth, cluster

FOLDER = Path(__file__).resolve().parent.parent / "worlds"
NUMBERS = {"main": "111122223333", "other": "444455556666"}


def world_files() -> list[Path]:
    """All of them; at least one, or the tests that run them would pass over nothing."""
    found = sorted(FOLDER.glob("*.yaml"))
    assert found
    return found


@dataclass(frozen=True)
class Step:
    """One role of a path, with what the call that assumes it brings along."""

    account: str
    role: str
    session: str = "session"
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: tuple[str, ...] = ()
    external_id: str | None = None
    source_identity: str | None = None


@dataclass(frozen=True)
class WorldFile:
    """A world of a file, with the numbers that its accounts have this time."""

    data: Mapping[str, Any]
    numbers: Mapping[str, str]

    @property
    def accounts(self) -> dict[str, Account]:
        """By number."""
        return {self.numbers[name]: self._account(self.numbers[name], found) for name, found in self._described()}

    def world(self) -> World:
        clusters = [
            cluster(name, "CONFIG_MAP", self.numbers[found["account"]], aws_auth=aws_auth([
                (f"arn:aws:iam::{self.numbers[found['account']]}:role/{role}", username, ["g"])
                for role, username in found["roles"].items()
            ]))
            for name, found in self.data.get("clusters", {}).items()
        ]  # fmt: skip
        return World(NOW, self.accounts, {state.arn: state for state in clusters})

    def questions(self, kind: str) -> Any:
        return self.data.get("questions", {}).get(kind, [])

    def described(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Number and description of each account."""
        yield from ((self.numbers[name], found) for name, found in self._described())

    def place(self, name: str) -> tuple[str, str]:
        """The account's number and the rest of ``other:user/dora``."""
        account, colon, rest = name.rpartition(":")
        return self.numbers[account if colon else "main"], rest

    def arn(self, name: str) -> str:
        """The ARN of ``user/ann`` or ``other:role/First``; a role without ``role/`` too."""
        number, rest = self.place(name)
        return f"arn:aws:iam::{number}:{rest if '/' in rest else f'role/{rest}'}"

    def step(self, found: str | Mapping[str, Any]) -> Step:
        more = {"role": found} if isinstance(found, str) else found
        number, name = self.place(more["role"])
        return Step(
            number, name, more.get("session", "session"), more.get("tags", {}), tuple(more.get("transitive", ())),
            more.get("externalId"), more.get("sourceIdentity"),
        )  # fmt: skip

    def _described(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield from self.data["accounts"].items()

    def _account(self, number: str, found: Mapping[str, Any]) -> Account:
        users = {
            name: IamUser(name, f"arn:aws:iam::{number}:user/{name}", f"AIDA{name.upper():X<17}{number}",
                          groups=tuple(one.get("groups", ())), **_common(number, one))
            for name, one in named(found.get("users"))
        }  # fmt: skip
        roles = {
            name: IamRole(name, f"arn:aws:iam::{number}:role/{name}", text_of(one["trust"]),
                          f"AROA{name.upper():X<17}{number}", **_common(number, one))
            for name, one in named(found.get("roles"))
        }  # fmt: skip
        groups = {name: IamGroup(name, policies_of(one)) for name, one in named(found.get("groups"))}
        managed = {policy_arn(number, name): text_of(one) for name, one in found.get("managed", {}).items()}
        return Account(number, "aws", users, roles, groups, managed)


def load_world(path: Path, numbers: Mapping[str, str] = NUMBERS) -> WorldFile:
    """The world of a file, with these numbers for its accounts."""
    text = path.read_text()
    for name, number in numbers.items():
        text = text.replace(f"{{{name}}}", number)
    data = yaml.safe_load(text)
    assert set(data) <= {"source", "notInLab", "accounts", "clusters", "questions"}, path
    assert set(data["questions"]) <= {"allowed", "assume", "edges", "enters", "raises"}, path
    return WorldFile(data, numbers)


def named(found: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Members of a mapping, one without a value as an empty one."""
    yield from ((name, one or {}) for name, one in (found or {}).items())


def text_of(policy: Any) -> str:
    """A policy document: of statements, or the text as it stands."""
    if isinstance(policy, str):
        return policy
    return json.dumps({"Version": "2012-10-17", "Statement": policy})


def policies_of(found: Mapping[str, Any]) -> dict[str, str]:
    return {name: text_of(policy) for name, policy in found.get("policies", {}).items()}


def policy_arn(number: str, name: str) -> str:
    return f"arn:aws:iam::{number}:policy/{name}"


def _common(number: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tags": found.get("tags", {}),
        "inline": policies_of(found),
        "attached": tuple(found.get("attached", ())),
        "boundary": policy_arn(number, found["boundary"]) if "boundary" in found else "",
    }
