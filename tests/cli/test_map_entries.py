"""``rolecall add`` and ``remove`` before they reach a cluster. Source: aws-iam-authenticator v0.7
cmd/aws-iam-authenticator/add.go (checkPrompt reads an answer from standard input, whatever that is)."""

from __future__ import annotations

import io
from typing import Any

import pytest

from rolecall.cli.cluster_maps import map_entries
from rolecall.cli.go_flags import hoisted
from rolecall.cli.main import app
from rolecall.errors import RolecallError

ADD = ("add", "user", "--userarn", "arn:aws:iam::111122223333:user/ann", "--username", "ann", "--groups", "a,b")
REMOVE = ("remove", "role", "--rolearn", "arn:aws:iam::111122223333:role/Dev")


class ReachedError(Exception):
    """The cluster would be changed now."""


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: Any) -> None:
        raise ReachedError

    monkeypatch.setattr(map_entries, "_edit", reached)


def run(monkeypatch: pytest.MonkeyPatch, answer: str, *arguments: str) -> int | type[Exception]:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    try:
        app(hoisted(arguments), prog_name="rolecall")
    except SystemExit as ended:
        return int(ended.code or 0)
    except (ReachedError, RolecallError) as error:
        return type(error)
    raise AssertionError("the command line has no end")


@pytest.mark.parametrize("command", [ADD, REMOVE])
@pytest.mark.parametrize(
    ("answer", "result"),
    [("y\n", ReachedError), ("YES\n", ReachedError), (" yes \n", ReachedError), ("n\n", 0), ("\n", 0), ("yep\n", 0), ("", RolecallError)],
)  # fmt: skip
def test_the_prompt(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], answer: str, result: Any) -> None:
    assert run(monkeypatch, answer, *command) == result


@pytest.mark.parametrize("flag", ["--prompt=false", "--prompt=0", "--prompt=F", "--no-prompt"])
def test_without_a_prompt(monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    first, *rest = ADD
    for arguments in ((*ADD, flag), (first, flag, *rest)):
        assert run(monkeypatch, "", *arguments) is ReachedError


@pytest.mark.parametrize("flag", ["--prompt", "--prompt=T", "--prompt=1", "--prompt=true"])
def test_with_a_prompt(monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    assert run(monkeypatch, "", *ADD, flag) is RolecallError


@pytest.mark.parametrize("groups", ["", "a,,b", "a, b", ",", 'a,"b'])
def test_groups_that_nobody_means(monkeypatch: pytest.MonkeyPatch, groups: str) -> None:
    assert run(monkeypatch, "", *ADD[:-1], groups, "--prompt=false") in (RolecallError, 2)


@pytest.mark.parametrize(
    "sso", ["permissionSetName=Admin", "accountID=111122223333", "permissionSetName=A,accountID=1", "x=y"]
)
def test_permission_sets_that_nobody_means(monkeypatch: pytest.MonkeyPatch, sso: str) -> None:
    arguments = ("add", "role", "--sso", sso, "--username", "x", "--groups", "g", "--prompt=false")
    result = run(monkeypatch, "", *arguments)
    assert result != 0
    assert result is not ReachedError


def test_a_role_and_a_permission_set_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (*REMOVE, "--sso", "permissionSetName=Admin,accountID=111122223333", "--prompt=false")
    assert run(monkeypatch, "", *arguments) is RolecallError
