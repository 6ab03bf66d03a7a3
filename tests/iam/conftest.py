"""Principals and policies for tables of cases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from rolecall.arn import PrincipalKind
from rolecall.iam.documents import PolicyDocument, PolicyKind, parse_policy
from rolecall.iam.principals import Principal, Session

ACCOUNT, OTHER = "111111111111", "222222222222"
NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def document(kind: PolicyKind, *statements: dict[str, Any], version: str = "2012-10-17") -> PolicyDocument:
    return parse_policy(json.dumps({"Version": version, "Statement": list(statements)}), kind, name=kind.value)


def user(account: str = ACCOUNT, name: str = "ann", **more: Any) -> Principal:
    arn = f"arn:aws:iam::{account}:user/{name}"
    identifier = f"AIDA{name.upper():A<17}"[:21]
    return Principal(PrincipalKind.USER, account, arn, arn, identifier, identifier, name=name, **more)


def session(account: str = ACCOUNT, role: str = "Dev", name: str = "s", **more: Any) -> Principal:
    identifier = f"AROA{role.upper():A<17}"[:21]
    return Principal(
        PrincipalKind.ASSUMED_ROLE,
        account,
        f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
        f"arn:aws:iam::{account}:role/{role}",
        identifier,
        f"{identifier}:{name}",
        name=role,
        session=Session(name, NOW, NOW + timedelta(hours=1), **more),
    )


def root(account: str = ACCOUNT) -> Principal:
    arn = f"arn:aws:iam::{account}:root"
    return Principal(PrincipalKind.ROOT, account, arn, arn, account, account)


def federated(account: str = ACCOUNT) -> Principal:
    arn = f"arn:aws:sts::{account}:federated-user/fed"
    return Principal(
        PrincipalKind.FEDERATED_USER, account, arn, arn, account, f"{account}:fed", name="fed",
        session=Session("fed", NOW, NOW + timedelta(hours=1)),
    )  # fmt: skip


@pytest.fixture
def make() -> SimpleNamespace:
    """The makers above, for test modules."""
    return SimpleNamespace(
        document=document,
        user=user,
        session=session,
        root=root,
        federated=federated,
        now=NOW,
        account=ACCOUNT,
        other=OTHER,
    )
