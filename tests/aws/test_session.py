"""How accounts are reached: against a lab with two accounts, by profile and by role."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lab_shell import enter
from rolecall.aws.errors import AwsError
from rolecall.aws.session import AccountAccess, AwsClients, identify

FIRST, SECOND = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{SECOND}:role/team/Reader"


@pytest.fixture(scope="module")
def lab_variables(start_lab: Callable[..., Any]) -> dict[str, str]:
    lab = start_lab("--account", FIRST, "--account", SECOND)
    return dict(lab.environment())


@pytest.fixture(autouse=True)
def environment(lab_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    enter(lab_variables, monkeypatch)


def second(**how: str) -> AccountAccess:
    return AccountAccess(SECOND, **how)


@pytest.fixture(scope="module")
def role(lab_variables: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        enter(lab_variables, patch)
        iam = AwsClients([second(profile=f"lab-admin-{SECOND}")]).client(SECOND, "iam")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{FIRST}:root"},
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"sts:ExternalId": "the-id"}},
                }
            ],
        }
        iam.create_role(RoleName="Reader", Path="/team/", AssumeRolePolicyDocument=json.dumps(trust))


def test_each_account_by_its_profile() -> None:
    clients = AwsClients([AccountAccess(FIRST), second(profile=f"lab-admin-{SECOND}")])
    assert clients.accounts == (FIRST, SECOND)
    assert clients.caller_arn() == f"arn:aws:iam::{FIRST}:user/lab-admin"
    assert clients.caller_arn(SECOND) == f"arn:aws:iam::{SECOND}:user/lab-admin"
    assert clients.region(SECOND)
    assert clients.credentials(FIRST).access_key_id != clients.credentials(SECOND).access_key_id


@pytest.mark.usefixtures("role")
def test_a_role_of_another_account_with_its_external_id() -> None:
    clients = AwsClients([second(role_arn=ROLE, external_id="the-id", session_name="alice")])
    assert clients.caller(SECOND).arn == f"arn:aws:sts::{SECOND}:assumed-role/Reader/alice"
    # STS leaves the path out (facts: iam.md 12).
    assert clients.caller_arn(SECOND) == f"arn:aws:iam::{SECOND}:role/Reader"
    assert clients.credentials(SECOND).session_token


@pytest.mark.usefixtures("role")
def test_a_role_that_may_not_be_assumed() -> None:
    with pytest.raises(AwsError, match="not authorized to perform: sts:AssumeRole") as refused:
        AwsClients([second(role_arn=ROLE)]).client(SECOND, "iam")
    assert refused.value.code == "AccessDenied"
    assert refused.value.where == f"account {SECOND}"


def test_credentials_of_another_account_are_refused() -> None:
    clients = AwsClients([second()])
    with pytest.raises(AwsError, match=rf"are of account {FIRST}: arn:aws:iam::{FIRST}:user/lab-admin") as refused:
        clients.client(SECOND, "iam")
    assert SECOND in refused.value.advice
    with pytest.raises(AwsError, match="are of account"):
        clients.credentials(SECOND)


def test_an_account_that_nobody_named_is_refused() -> None:
    with pytest.raises(AwsError, match="nothing says how this account is reached"):
        AwsClients([AccountAccess(FIRST)]).client(SECOND, "iam")


def test_a_role_of_a_third_account_is_refused_without_a_call() -> None:
    with pytest.raises(AwsError, match="is not a role of account"):
        AccountAccess(FIRST, role_arn=ROLE)


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(AwsError, match="nowhere") as refused:
        AwsClients([second(profile="nowhere")]).client(SECOND, "iam")
    assert "list-profiles" in refused.value.advice


def test_an_endpoint_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("rolecall.aws.session.MAX_ATTEMPTS", 1)
    with pytest.raises(AwsError) as refused:
        AwsClients([AccountAccess(FIRST)]).client(FIRST, "iam")
    assert "AWS_ENDPOINT_URL" in refused.value.advice
    assert refused.value.code == ""


def test_threads_share_one_client_and_ask_once_who_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = AwsClients([AccountAccess(FIRST)])
    asked: list[int] = []
    checked = clients._checked
    monkeypatch.setattr(clients, "_checked", lambda access: (asked.append(threading.get_ident()), checked(access))[1])
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: clients.client(FIRST, "eks", "us-east-1"), range(64)))
    assert len({id(client) for client in found}) == 1
    assert len(asked) == 1
    assert found[0].meta.region_name == "us-east-1"


def test_the_callers_own_account() -> None:
    assert identify().account == FIRST
    assert identify(f"lab-admin-{SECOND}", "eu-west-1") == second(profile=f"lab-admin-{SECOND}", region="eu-west-1")


def test_nothing_that_is_printed_holds_a_secret() -> None:
    clients = AwsClients([AccountAccess(FIRST)])
    found = clients.credentials(FIRST)
    assert found.secret_access_key not in f"{found!r}{clients!r}{clients.caller()!r}"
