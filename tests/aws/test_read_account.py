"""An account as it was read, against the lab; shapes: IAM API reference, GetAccountAuthorizationDetails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab_shell import enter
from rolecall.aws.errors import AwsError
from rolecall.aws.read_account import read_account
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.iam.account import Account

ACCOUNT = "111122223333"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    ],
}


def allow(action: str) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}, indent=2
    )


@pytest.fixture(scope="module")
def clients(start_lab: Callable[..., Any]) -> Iterator[AwsClients]:
    with pytest.MonkeyPatch.context() as patch:
        enter(start_lab("--account", ACCOUNT).environment(), patch)
        clients = AwsClients([AccountAccess(ACCOUNT)])
        make(clients.client(ACCOUNT, "iam"))
        yield clients


def make(iam: Any) -> None:
    boundary = iam.create_policy(PolicyName="Limit", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=boundary, PolicyDocument=allow("ec2:*"), SetAsDefault=True)
    iam.create_group(GroupName="Developers")
    iam.put_group_policy(GroupName="Developers", PolicyName="assume", PolicyDocument=allow("sts:AssumeRole"))
    iam.create_user(
        UserName="alice", Path="/team/x/", PermissionsBoundary=boundary, Tags=[{"Key": "owner", "Value": "größe"}]
    )
    iam.add_user_to_group(GroupName="Developers", UserName="alice")
    iam.put_user_policy(UserName="alice", PolicyName="own", PolicyDocument=allow("eks:DescribeCluster"))
    iam.create_role(
        RoleName="Deploy",
        Path="/ci/",
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="deploys",
        MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "ci"}],
    )
    iam.attach_role_policy(RoleName="Deploy", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


def check(account: Account) -> None:
    assert (account.id, account.partition) == (ACCOUNT, "aws")
    assert set(account.users) == {"alice", "lab-admin"}
    alice, deploy = account.users["alice"], account.roles["Deploy"]
    assert alice.arn == f"arn:aws:iam::{ACCOUNT}:user/team/x/alice"
    assert alice.user_id.startswith("AIDA")
    assert (alice.path, alice.groups, alice.tags) == ("/team/x/", ("Developers",), {"owner": "größe"})
    assert alice.inline == {"own": allow("eks:DescribeCluster").replace("\n", "").replace("  ", "").replace(": ", ":")}
    # The default version of a managed policy, not its first.
    assert '"ec2:*"' in account.managed[alice.boundary]
    assert list(account.groups["Developers"].inline) == ["assume"]
    # GetAccountAuthorizationDetails has neither of these two.
    assert (deploy.description, deploy.max_session_duration) == ("deploys", 7200)
    assert deploy.role_id.startswith("AROA")
    assert json.loads(deploy.trust) == TRUST
    assert deploy.attached == ("arn:aws:iam::aws:policy/AdministratorAccess",)
    assert deploy.attached[0] in account.managed
    assert deploy.tags == {"team": "ci"}


def test_all_of_an_account(clients: AwsClients) -> None:
    check(read_account(clients, ACCOUNT))


def test_the_same_page_by_page(clients: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rolecall.aws.read_account.PAGE", 1)
    check(read_account(clients, ACCOUNT))
    monkeypatch.setattr("rolecall.aws.read_account.MAX_PAGES", 2)
    with pytest.raises(AwsError, match="more than 2 pages"):
        read_account(clients, ACCOUNT)


def test_a_role_made_between_the_two_calls(clients: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
    iam = clients.client(ACCOUNT, "iam")
    monkeypatch.setattr(iam, "list_roles", lambda **_: {"Roles": [], "IsTruncated": False})
    check(read_account(clients, ACCOUNT))


@pytest.mark.parametrize("strange", ["{not JSON", "[1, 2]", "[" * 100_000])
def test_a_policy_that_is_not_json_does_not_stop_the_reading(
    clients: AwsClients, monkeypatch: pytest.MonkeyPatch, strange: str
) -> None:
    """It may say anything, so every answer that it touches names it."""
    iam = clients.client(ACCOUNT, "iam")
    details = iam.get_account_authorization_details()
    details["RoleDetailList"][0]["AssumeRolePolicyDocument"] = strange
    monkeypatch.setattr(iam, "get_account_authorization_details", lambda **_: details)
    account = read_account(clients, ACCOUNT)
    role = account.roles[details["RoleDetailList"][0]["RoleName"]]
    assert json.loads(role.trust)["Statement"][0]["not JSON"] == strange
    trusted = account.trusted(role).trust
    assert (trusted.statements, len(trusted.unclear)) == ((), 2)


def test_one_who_may_not_read(clients: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
    iam = clients.client(ACCOUNT, "iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        patch.delenv("AWS_PROFILE")
        with pytest.raises(AwsError, match=r"AccessDenied.*iam:ListRoles") as refused:
            read_account(AwsClients([AccountAccess(ACCOUNT)]), ACCOUNT)
    assert refused.value.where == f"account {ACCOUNT}"
    assert key["SecretAccessKey"] not in str(refused.value)
    iam.delete_access_key(UserName="nobody", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="nobody")
