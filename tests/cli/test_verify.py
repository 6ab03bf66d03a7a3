"""The command line of `verify`: aws-iam-authenticator's, and a person at a terminal. The answer itself is tested with the lab."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from terminal import Terminal

ENVIRON = {"PATH": "/usr/bin:/bin", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}


def run(*arguments: str, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rolecall", *arguments]
    return subprocess.run(
        command, input=text, env={**ENVIRON, **variables}, capture_output=True, text=True, check=False
    )


def test_at_a_terminal_it_says_what_it_waits_for() -> None:
    terminal = Terminal([sys.executable, "-m", "rolecall", "verify", "-i", "prod"], ENVIRON, input_taken=False)
    terminal.wait_for("Paste the token, then press Enter and Ctrl-D:")
    terminal.type("hello\n\x04")
    assert terminal.end() == 1
    assert "does not begin with 'k8s-aws-v1.'" in terminal.shown


def test_a_cluster_has_to_be_named() -> None:
    done = run("verify", "-t", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no cluster is named" in done.stderr


# A token that no check takes: what is tested is that the flags get there.
@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "-i", "prod", "-t", "x"), ("verify", "-iprod", "-t=x"), ("verify", "--cluster-id=prod", "--token", "x", "-o", "json"), ("-i", "prod", "verify", "-t", "x"), ("verify", "-c", "FILE", "-t", "x"),
        ("-c", "FILE", "verify", "--token=x", "--partition", "aws-cn"), ("verify", "-t", "x", "-i", "prod", "-l", "json", "-v", "debug", "--feature-gates", "SSORoleMatch=true"), ("verify", "-t", "x", "-i", "prod", "-o", "yaml"),
    ],
)  # fmt: skip
def test_the_flags_of_the_original(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "config.yaml").write_text("clusterid: prod\nserver: {}\n")
    done = run(*[str(tmp_path / "config.yaml") if word == "FILE" else word for word in arguments])
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "the token does not begin with 'k8s-aws-v1.'" in done.stderr
    assert ("there is no format 'yaml'" in done.stderr) == ("yaml" in arguments)


def test_the_file_of_the_original(tmp_path: Path) -> None:
    # `verify.go` binds these keys too
    (tmp_path / "c.yaml").write_text("clusterID: prod\ntoken: x\nOutput: yaml\npartition: aws-xx\n")
    done = run("verify", "-c", str(tmp_path / "c.yaml"))
    assert "there is no partition 'aws-xx'" in done.stderr
    done = run("verify", "-c", str(tmp_path / "c.yaml"), "--partition", "aws")
    assert "there is no format 'yaml'" in done.stderr
    assert "the token does not begin with" in done.stderr


def test_the_variable_of_the_original() -> None:
    assert "does not begin with" in run("verify", "-t", "x", KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID="prod").stderr


def test_what_was_around_the_token_is_said() -> None:
    done = run("verify", "-i", "prod", text="Authorization: Bearer k8s-aws-v1.aHR0\n")
    assert "the token was taken out of an Authorization header" in done.stderr
    assert done.returncode == 1
