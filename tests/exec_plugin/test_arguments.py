"""The command line, against the flags of aws-iam-authenticator (pflag) and of the AWS CLI (argparse)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.exec_plugin.arguments import GET_TOKEN_FLAGS, TOKEN_FLAGS, UsageError, command_of, read, set_ones

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
    # pflag: a flag that is given counts, even if it is empty or off
    (["--cache=false", "--token-only=true"], {"cache": "false", "token-only": "true"}),
    (["-r", ""], {"role": ""}),
    (["-l", "json", "--feature-gates", "X=true"], {"log-format": "json", "feature-gates": "X=true"}),
    (["-v", "debug"], {"log-verbosity": "debug"}),
    (["-vdebug"], {"log-verbosity": "debug"}),
    (["--log-verbosity=warn"], {"log-verbosity": "warn"}),
    (["-cfile", "-e=x"], {"config": "file", "external-id": "x"}),
    (["--no-cache", "-i", "x", "-h", "--bogus"], {"help": "true"}),
    # strconv.ParseBool
    *[([f"--cache={word}"], {"cache": "true"}) for word in ("1", "t", "T", "TRUE", "true", "True")],
    *[([f"--cache={word}"], {"cache": "false"}) for word in ("0", "f", "F", "FALSE", "false", "False")],
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), FORMS)
def test_forms(words: list[str], expected: dict[str, str]) -> None:
    assert read(words, TOKEN_FLAGS) == (expected, [])


# pflag: words that are no flags are arguments, and so is everything behind --
@pytest.mark.parametrize(
    ("words", "given", "others"),
    [
        (["prod"], {}, ["prod"]), (["-"], {}, ["-"]), ([""], {}, [""]), (["--"], {}, []),
        (["--cache", "1"], {"cache": "true"}, ["1"]), (["-i", "x", "--", "-r", "y"], {"cluster-id": "x"}, ["-r", "y"]),
    ],
)  # fmt: skip
def test_words_that_are_not_flags(words: list[str], given: dict[str, str], others: list[str]) -> None:
    assert read(words, TOKEN_FLAGS) == (given, others)


@pytest.mark.parametrize(
    "words", [["-i"], ["--cluster"], ["-x"], ["--cache=yes"], ["--cache="], ["--cache=tRUE"], ["--cluster-name", "x"]]
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
        # cobra: flags may stand before the command
        (["-c", "FILE", "token"], "token"),
        (["-i", "prod", "token", "-r", "x"], "token"),
        (["-iprod", "--log-verbosity=debug", "--cache", "token"], "token"),
        (["-i", "token", "token"], "token"),
        (["-i", "token"], ""),
        (["-c", "FILE", "server"], ""),
        (["-i", "x", "verify"], ""),
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
        assert all(value not in ("", "false") for value in set_ones(read(words, TOKEN_FLAGS)[0]).values())
