"""Users, roles and policies written from one value to another, in a lab."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from lab_shell import enter
from rolecall.aws.errors import AwsError, explained
from rolecall.aws.iam_resources import read_user, write_user
from rolecall.aws.session import AccountAccess, AwsClients, identify

ACCOUNT = "111122223333"
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
VALUE = {"path": "/people/", "tags": {"team": "x"}}


@pytest.fixture(scope="module")
def iam(start_lab: Callable[..., Any]) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        enter(start_lab("--account", ACCOUNT).environment(), patch)
        yield AwsClients([AccountAccess(ACCOUNT)]).client(ACCOUNT, "iam")


def test_a_user_goes_with_all_that_it_has(iam: Any) -> None:
    """IAM user guide, "Remove or deactivate an IAM user": what must be gone before."""
    write_user(iam, "ann", None, VALUE)
    assert read_user(iam, "ann") == VALUE
    iam.create_access_key(UserName="ann")
    iam.put_user_policy(UserName="ann", PolicyName="own", PolicyDocument=DOCUMENT)
    policy = iam.create_policy(PolicyName="managed", PolicyDocument=DOCUMENT)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="ann", PolicyArn=policy)
    iam.create_group(GroupName="team")
    iam.add_user_to_group(GroupName="team", UserName="ann")
    with pytest.raises(ClientError, match="DeleteConflict"):
        iam.delete_user(UserName="ann")
    write_user(iam, "ann", VALUE, None)
    assert read_user(iam, "ann") is None
    assert iam.get_group(GroupName="team")["Users"] == []
    write_user(iam, "ann", VALUE, None)


def test_a_user_goes_without_a_call_too_many(iam: Any) -> None:
    called: list[str] = []
    iam.meta.events.register("before-call.iam", lambda model, **_: called.append(model.name))
    write_user(iam, "bob", None, VALUE)
    called.clear()
    write_user(iam, "bob", VALUE, None)
    assert called == ["ListAccessKeys", "DeleteLoginProfile", "DeleteUser"]


def test_the_region_of_the_environment(iam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """SDKs guide, "AWS Region": AWS_REGION, which botocore alone does not read."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "ap-southeast-2")
    assert identify().region == "ap-southeast-2"
    assert AwsClients([AccountAccess(ACCOUNT)]).region(ACCOUNT) == "ap-southeast-2"


def test_an_answer_that_is_not_awss_is_not_shown(iam: Any) -> None:
    """A proxy's page, or half an answer of STS that begins with a secret."""

    def answer(request: Any, **_: Any) -> Any:
        class Raw:
            def stream(self, **_: Any) -> Iterator[bytes]:
                yield b"<html>SecretAccessKey wJalrX"

        return AWSResponse(request.url, 200, {}, Raw())

    iam.meta.events.register("before-send.iam.GetUser", answer)
    with pytest.raises(AwsError, match="does not follow AWS's protocol") as told, explained("user ann"):
        iam.get_user(UserName="ann")
    assert "wJalrX" not in str(told.value)
    assert told.value.__cause__ is None
