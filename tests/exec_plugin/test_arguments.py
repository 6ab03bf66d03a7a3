"""The command line, against the flags of aws-iam-authenticator (pflag) and of the AWS CLI (argparse)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.exec_plugin.arguments import GET_TOKEN_FLAGS, TOKEN_FLAGS, UsageError, command_of, read

# kubeconfigs of aws-iam-authenticator's README, of eksctl, and of `aws eks update-kubeconfig`
FORMS = [
    (["-i", "prod"], {"cluster-id": "prod"}),
    (["-iprod"], {"cluster-id": "prod"}),
    (["-i=prod"], {"cluster-id": "prod"}),
    (["--cluster-id", "prod"], {"cluster-id": "prod"}),
    (["--cluster-id=prod"], {"cluster-id": "prod"}),
    (["--cluster-id=a=b"], {"cluster-id": "a=b"}),
    (["-i", "one", "-i", "two"], {"cluster-id": "two"}),
    (["-i", "-r"], {"cluster-id": "-r"}),
    (["-r", "arn:aws:iam::1:role/x", "-s", "me", "-e", "id"], {"role": "arn:aws:iam::1:role/x", "session-name": "me", "external-id": "id"}),
    (["--cache", "--token-only", "--forward-session-name"], {"cache": "true", "token-only": "true", "forward-session-name": "true"}),
    (["--cache=false", "--token-only=true"], {"token-only": "true"}),
    (["-r", ""], {}),
    (["-l", "json", "--feature-gates", "X=true"], {"log-format": "json", "feature-gates": "X=true"}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), FORMS)
def test_forms(words: list[str], expected: dict[str, str]) -> None:
    assert read(words, TOKEN_FLAGS) == expected


@pytest.mark.parametrize(
    "words", [["prod"], ["-i"], ["--cluster"], ["-x"], ["--cache=yes"], ["--"], ["-"], [""], ["--cluster-name", "x"]]
)
def test_what_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        read(words, TOKEN_FLAGS)


@pytest.mark.parametrize("flag", ["--no-verify-ssl", "--no-sign-request", "--debug"])
def test_flags_of_the_aws_cli_that_are_not_safe_are_refused_with_a_reason(flag: str) -> None:
    with pytest.raises(UsageError) as error:
        read([flag], GET_TOKEN_FLAGS)
    assert error.value.advice


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["token", "-i", "x"], "token"),
        (["eks", "get-token"], "eks"),
        # `aws eks update-kubeconfig` writes global options first.
        (["--region", "eu-west-2", "eks", "get-token", "--cluster-name", "x", "--output", "json"], "eks"),
        (["--region=eu-west-2", "--no-paginate", "eks", "get-token"], "eks"),
        ([], ""),
        (["lab", "up"], ""),
        (["lab", "eks"], ""),
        (["--help"], ""),
        (["--version"], ""),
        (["--region", "eks"], ""),
        (["--help", "eks"], ""),
    ],
)
def test_whose_command_it_is(words: list[str], command: str) -> None:
    assert command_of(words) == command


@given(
    st.lists(st.one_of(st.sampled_from(["-i", "-r", "--role", "eks", "token", "--cache", "="]), st.text(max_size=8)))
)
def test_no_words_crash(words: list[str]) -> None:
    command_of(words)
    with suppress(UsageError):
        assert all(value not in ("", "false") for value in read(words, TOKEN_FLAGS).values())
