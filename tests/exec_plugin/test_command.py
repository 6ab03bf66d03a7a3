"""What the plugin answers and says, beside the AWS CLI, and what it loads to do so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exec_plugin_person import KEY, ROLE, Person
from rolecall.sigv4 import Credentials
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.mint import mint
from rolecall.tokens.parse import parse_token
from sts_double import StsDouble

AWS = Path(__file__).resolve().parents[2] / ".tools" / "aws" / "bin" / "aws"
NOW = {"AWS_REGION": "eu-west-2"}


def exec_info(version: str) -> str:
    return json.dumps({"kind": "ExecCredential", "apiVersion": version, "spec": {"interactive": True}})


def test_the_token_is_one_that_a_verifier_takes(person: Person) -> None:
    done = person.run("token", "-i", "prod", "--token-only", **NOW)
    call = parse_token(done.stdout.strip(), "prod", now=datetime.now(UTC), hosts=StsHosts())
    assert (call.host, call.access_key_id) == ("sts.eu-west-2.amazonaws.com", "AKIAIOSFODNN7EXAMPLE")
    assert done.stderr == ""
    minted = mint(
        Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG"), "prod", region="eu-west-2", now=datetime.now(UTC)
    )
    signature = re.compile("X-Amz-(Date|Signature)=[^&]*")
    theirs = parse_token(minted.value, "prod", now=datetime.now(UTC), hosts=StsHosts())
    assert signature.sub("", call.url) == signature.sub("", theirs.url)


@pytest.mark.parametrize(
    ("info", "answered"),
    [
        ("", "client.authentication.k8s.io/v1beta1"),
        (exec_info("client.authentication.k8s.io/v1beta1"), "client.authentication.k8s.io/v1beta1"),
        (exec_info("client.authentication.k8s.io/v1"), "client.authentication.k8s.io/v1"),
    ],
)
def test_answered_in_the_version_asked(person: Person, info: str, answered: str) -> None:
    found = json.loads(person.run("token", "-i", "prod", KUBERNETES_EXEC_INFO=info, **NOW).stdout)
    assert (found["apiVersion"], found["kind"]) == (answered, "ExecCredential")
    assert abs(datetime.fromisoformat(found["status"]["expirationTimestamp"]).timestamp() - time.time() - 840) < 50


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (exec_info("client.authentication.k8s.io/v1alpha1"), "removed in Kubernetes 1.24"),
        (exec_info("client.authentication.k8s.io/v2"), "not an ExecCredential of a version"),
        ("{", "not an ExecCredential"),
        ("[]", "not an ExecCredential"),
        ("[" * 100_000, "not an ExecCredential"),
    ],
)
def test_other_versions_are_refused(person: Person, info: str, words: str) -> None:
    done = person.run("token", "-i", "prod", KUBERNETES_EXEC_INFO=info, check=False, **NOW)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_the_originals_variables(person: Person, sts: StsDouble) -> None:
    # aws-iam-authenticator: KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID, DEFAULT_ROLE; -c reads clusterID
    variables = {"KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID": "prod", "DEFAULT_ROLE": ROLE}
    by_variable = person.run("token", **variables).stdout
    assert person.run("token", "-i", "prod", "-r", ROLE).stdout == by_variable
    file = person.home / "config.yaml"
    file.write_text("clusterID: prod\nserver:\n  port: 21362\n")
    assert person.run("token", "-c", str(file), "-r", ROLE).stdout == by_variable
    file.write_text("clusterID: [")
    assert person.run("token", "-c", str(file), check=False).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["token"], 2), (["token", "-i", "x", "-s", "a", "--forward-session-name"], 2), (["token", "-i", "x", "--bogus"], 2),
     (["token", "-i", "x", "--no-cache", "--cache"], 2), (["eks", "get-token"], 2), (["eks", "list-clusters"], 2),
     (["eks", "get-token", "--cluster-name", "x", "--no-verify-ssl"], 2),
     (["eks", "get-token", "--cluster-name", "x", "--output", "table"], 2),
     (["eks", "get-token", "--cluster-name", "x", "--query", "["], 2),
     (["eks", "get-token", "--cluster-name", "x", "--cli-read-timeout", "0"], 2),
     (["token", "-i", "x", "--profile", "none"], 1), (["token", "-h"], 0), (["eks", "get-token", "--help"], 0)],
)  # fmt: skip
def test_exit_codes(person: Person, arguments: list[str], code: int) -> None:
    done = person.run(*arguments, check=False, **NOW)
    assert done.returncode == code, done.stderr
    assert bool(done.stdout) == (code == 0)
    assert "Traceback" not in done.stderr


def test_a_key_in_the_environment_beats_the_profile_and_it_is_said(person: Person) -> None:
    # aws-cli #7794: the wrong identity, without a word
    person.write("[profile dev]\nregion = eu-west-2\n")
    done = person.run("token", "-i", "prod", AWS_PROFILE="dev", **KEY, **NOW)
    assert "AWS_ACCESS_KEY_ID (AKIAIOSFODNN7EXAMPLE) in the environment wins over profile 'dev'" in done.stderr
    again = person.run("token", "-i", "prod", AWS_PROFILE="dev", **KEY, **NOW)
    assert again.stderr == done.stderr, "a kept token does not make it less surprising"
    assert person.run("token", "-i", "prod", **KEY, **NOW).stderr == ""


def test_credentials_of_the_environment_that_end(person: Person) -> None:
    def ends(seconds: float) -> str:
        return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()

    soon = person.run("token", "-i", "prod", AWS_CREDENTIAL_EXPIRATION=ends(300), **KEY, **NOW)
    assert "the credentials end in 5 minutes" in soon.stderr
    reported = json.loads(soon.stdout)["status"]["expirationTimestamp"]
    assert abs(datetime.fromisoformat(reported).timestamp() - time.time() - 300) < 50
    late = person.run("token", "-i", "other", AWS_CREDENTIAL_EXPIRATION=ends(3600), **KEY, **NOW)
    assert late.stderr == ""
    gone = person.run("token", "-i", "third", AWS_CREDENTIAL_EXPIRATION=ends(-1), check=False, **KEY, **NOW)
    assert "these credentials have expired" in gone.stderr


def aws(person: Person, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(AWS), *arguments], env=person.environment(**variables), capture_output=True, text=True, check=False
    )


def masked(text: str) -> str:
    return re.sub(r"k8s-aws-v1\.[A-Za-z0-9_-]+|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "X", text).strip("\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--output", "json"], ["--output", "text"], ["--query", "status.token", "--output", "text"],
        ["--query", "[kind,status]"], ["--query", "[kind,apiVersion]", "--output", "text"],
        ["--query", "status.nothing", "--output", "text"],
    ],
)  # fmt: skip
def test_output_is_that_of_the_aws_cli(person: Person, options: list[str]) -> None:
    arguments = ("--region", "eu-west-2", "eks", "get-token", "--cluster-name", "prod", *options)
    theirs = aws(person, *arguments)
    assert theirs.returncode == 0, theirs.stderr
    assert masked(person.run(*arguments).stdout) == masked(theirs.stdout)


def test_the_url_in_the_token_is_that_of_the_aws_cli(person: Person) -> None:
    arguments = ("eks", "get-token", "--cluster-name", "prod", "--query", "status.token", "--output", "text")

    def url(text: str) -> str:
        found = parse_token(text.strip(), "prod", now=datetime.now(UTC), hosts=StsHosts())
        return re.sub("X-Amz-(Date|Signature)=[^&]*", "", found.url)

    variables = {"AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjE/+==", "AWS_DEFAULT_REGION": "ap-southeast-2", **KEY}
    assert url(person.run(*arguments, **variables).stdout) == url(aws(person, *arguments, **variables).stdout)


# The program ends without returning (`os._exit`), so what it loaded is told on its way out.
LIGHT = """
import os, sys

def tell(code):
    sys.stderr.write(" ".join(sys.modules))
    sys.stderr.flush()
    sys.exit(code)

os._exit = tell
from rolecall.__main__ import main
main()
"""
HEAVY = {
    "botocore", "typer", "click", "rich", "yaml", "asyncio", "dataclasses", "inspect", "typing", "pathlib", "argparse",
    "http.client", "ssl", "socket", "email", "urllib", "urllib.parse", "tempfile", "datetime", "logging", "subprocess",
    "configparser", "shlex", "random", "importlib.metadata", "pydantic", "aiohttp", "jmespath", "keyring",
    # each of these takes a third of a bare interpreter or more
    "re", "json", "enum", "collections", "functools", "hmac",
}  # fmt: skip
# What a role with nothing kept may load besides: one call to STS over plain HTTP.
FOR_A_CALL = {"socket", "enum", "collections", "functools"}


def loaded(person: Person, *arguments: str, **variables: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments],
        env=person.environment(**variables), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stderr.split())


def test_a_kept_token_loads_the_lightest_modules_only(person: Person, sts: StsDouble) -> None:
    person.write(f"[profile dev]\nrole_arn = {ROLE}\nsource_profile = default\n")
    person.run("token", "-i", "prod", AWS_PROFILE="dev")
    found = loaded(person, "token", "-i", "prod", AWS_PROFILE="dev")
    assert not found & HEAVY
    assert not found & {"hashlib", "hmac", "rolecall.sigv4", "rolecall.exec_plugin.sessions"}, "nothing is signed"
    ours = {name for name in found if name.startswith("rolecall")}
    assert len(ours) <= 24, sorted(ours)
    found = loaded(person, "eks", "get-token", "--cluster-name", "prod", AWS_PROFILE="dev")
    assert not found & HEAVY


def test_a_kept_session_signs_without_anything_heavy(person: Person, sts: StsDouble) -> None:
    person.write(f"[profile dev]\nrole_arn = {ROLE}\nsource_profile = default\n")
    person.run("token", "-i", "prod", AWS_PROFILE="dev")
    found = loaded(person, "token", "-i", "other", AWS_PROFILE="dev")
    assert "rolecall.sigv4.presigned" in found
    assert not found & HEAVY
    assert sts.actions() == ["AssumeRole"]


def test_static_keys_without_a_cache_load_nothing_heavy(person: Person) -> None:
    info = exec_info("client.authentication.k8s.io/v1").replace(" ", "")
    assert not loaded(person, "token", "-i", "prod", ROLECALL_CACHE="off", KUBERNETES_EXEC_INFO=info, **NOW) & HEAVY


def test_a_role_with_nothing_kept_loads_a_socket_and_no_more(person: Person, sts: StsDouble) -> None:
    found = loaded(person, "token", "-i", "prod", "-r", ROLE, ROLECALL_CACHE="off")
    assert not found & HEAVY - FOR_A_CALL
    assert sts.actions() == ["AssumeRole"]


def test_the_help_of_the_whole_program_lists_it() -> None:
    done = subprocess.run([sys.executable, "-m", "rolecall", "--help"], capture_output=True, text=True, check=True)
    for command in ("token", "eks", "verify"):
        assert re.search(rf"^\W*{command}\b", done.stdout, re.MULTILINE), done.stdout


def test_bytes_that_are_no_text_are_refused(person: Person) -> None:
    environment = {key.encode(): value.encode() for key, value in person.environment(**NOW).items()}
    key = {b"AWS_SECRET_ACCESS_KEY": b"\xff", b"AWS_ACCESS_KEY_ID": b"AKIA"}
    cases: list[tuple[list[bytes], dict[bytes, bytes], int, bytes]] = [
        ([b"-i", b"\xff"], {}, 2, b"is not a cluster id"),
        ([b"-i", b"x"], key, 1, b"not UTF-8"),
    ]
    for arguments, variables, code, words in cases:
        done = subprocess.run(
            [sys.executable.encode(), b"-m", b"rolecall", b"token", *arguments],
            env={**environment, **variables}, capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (code, b"")
        assert words in done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text", ["[default]\naws_access_key_id\n", "x = 1\n", "[profile a]\n[profile a]\n", "\0", "[a"]
)
def test_a_broken_file_is_told_with_its_line(person: Person, text: str) -> None:
    person.write(text)
    done: Any = person.run("token", "-i", "prod", check=False, **NOW)
    assert done.returncode == 1
    assert re.match(r"error: \S+/\.aws/config:\d+: ", done.stderr), done.stderr


# RFC 9110 section 5.5: a field value is visible ASCII; a line break in it would begin another header.
@pytest.mark.parametrize("cluster", ["prod\r\nX-Other: 1", "pröd", "a b", "x" * 257])
@pytest.mark.parametrize("command", [("token", "-i"), ("eks", "get-token", "--cluster-name")])
def test_a_cluster_that_no_header_can_name(person: Person, command: tuple[str, ...], cluster: str) -> None:
    done = person.run(*command, cluster, check=False, **NOW)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a cluster id" in done.stderr


V1 = exec_info("client.authentication.k8s.io/v1")


# aws-cli #7723, #7719, eksctl #6547: a setting for people must not reach kubectl
@pytest.mark.parametrize("form", ["text", "table", "yaml", "yaml-stream", "off", "nonsense", "json", " "])
def test_kubectl_gets_json_whatever_a_person_prefers(person: Person, form: str) -> None:
    credentials = (person.home / ".aws" / "credentials").read_text()
    variables = {"KUBERNETES_EXEC_INFO": V1, **NOW}
    arguments = ("eks", "get-token", "--cluster-name", "prod")
    by_variable = person.run(*arguments, AWS_DEFAULT_OUTPUT=form, **variables).stdout
    person.write(f"[default]\noutput = {form}\n", credentials)
    by_profile = person.run(*arguments, **variables).stdout
    assert json.loads(by_variable)["status"]["token"] == json.loads(by_profile)["status"]["token"]
    assert person.run(*arguments, "--output", "text", **variables).stdout.startswith("client.authentication"), (
        "a flag is meant"
    )


def test_a_person_gets_what_they_prefer(person: Person) -> None:
    arguments = ("eks", "get-token", "--cluster-name", "prod")
    assert "\t" in person.run(*arguments, AWS_DEFAULT_OUTPUT="text", **NOW).stdout
    assert person.run(*arguments, AWS_DEFAULT_OUTPUT="text", KUBERNETES_EXEC_INFO="", **NOW).stdout[0] != "{"


@pytest.mark.parametrize("info", ["{}", '{"spec": {}}', '{"apiVersion": null}', '{"apiVersion": ""}'])
def test_an_exec_info_without_a_version_is_answered_with_a_warning(person: Person, info: str) -> None:
    # as `aws eks get-token` does
    done = person.run("eks", "get-token", "--cluster-name", "prod", KUBERNETES_EXEC_INFO=info, **NOW)
    assert json.loads(done.stdout)["apiVersion"] == "client.authentication.k8s.io/v1beta1"
    assert "names no apiVersion" in done.stderr


@pytest.mark.parametrize("profile", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_a_profile_that_does_not_exist_is_an_error_even_with_a_key(person: Person, profile: str) -> None:
    done = person.run("token", "-i", "prod", check=False, **{profile: "gone"}, **KEY, **NOW)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"there is no profile 'gone', which {profile} names" in done.stderr
    assert f"unset {profile}" in done.stderr
    # As in the AWS CLI, a left-over variable is no trouble if --profile is given.
    assert person.run("token", "-i", "prod", "--profile", "default", **{profile: "gone"}, **NOW).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["eks", "--help"],
        ["eks", "-h"],
        ["eks", "help"],
        ["eks", "get-token", "--help"],
        ["eks", "get-token", "help"],
        ["token", "--help"],
        ["-i", "x", "token", "-h"],
    ],
)
def test_help(person: Person, arguments: list[str]) -> None:
    done = person.run(*arguments)
    assert done.stderr == ""
    assert done.stdout.count("\n  rolecall ") == 2, "two examples"
    assert "Exit codes: 0" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "flag",
    [
        ["-v", "debug"],
        ["--log-verbosity=WARN"],
        ["-l", "json"],
        ["--log-format", "text"],
        ["--feature-gates", "SSORoleMatch=true"],
        ["stray"],
        ["--", "-x"],
    ],
)
def test_what_the_original_accepts_without_effect(person: Person, flag: list[str]) -> None:
    plain = person.run("token", "-i", "prod", **NOW).stdout
    assert person.run("token", "-i", "prod", *flag, **NOW).stdout == plain


def test_a_log_level_that_the_original_refuses(person: Person) -> None:
    assert person.run("token", "-i", "x", "-v", "loud", check=False, **NOW).returncode == 2
    done = person.run("token", "-i", "x", AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY="loud", check=False, **NOW)
    assert (done.returncode, "AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY: 'loud' is not a log level" in done.stderr) == (
        2,
        True,
    )


# STS says AccessDenied to each of these, with advice on trust policies that helps nobody.
@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("Admins", "it looks like arn:aws:iam"), ("arn:aws:iam::111122223333:user/ann", "ARN of a user"), (ROLE + " ", "a space"), (ROLE + "\n", "a space"), ("arn:aws:iam::111122223333:role/", "it looks like"),
        ("arn:aws:sts::111122223333:assumed-role/Dev/ann", "its role is arn:aws:iam::111122223333:role/Dev"), ("arn:aws:iam::111122223333:instance-profile/x", "instance-profile"),
        ("arn:aws:iam::11112222333:role/Dev", "it looks like"), ("arn:aws:iam::aws:role/Dev", "it looks like"), ("arn:amazon:iam::111122223333:role/Dev", "it looks like"), ("arn:aws:iam:eu-west-2:111122223333:role/Dev", "it looks like"),
        ("arn:aws:iam::111122223333:role/D\u00e9v", "it looks like"), ("arn:aws:iam::111122223333:role/" + "x" * 65, "it looks like"), ("arn:aws:iam::111122223333:roles/Dev", "ARN of a roles"),
    ],
)  # fmt: skip
def test_a_role_that_is_none_is_refused_before_sts_is_asked(
    person: Person, sts: StsDouble, role: str, words: str
) -> None:
    done = person.run("token", "-i", "prod", "-r", role, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not the ARN of a role" in done.stderr
    assert words in done.stderr
    assert sts.calls == []


def test_roles_of_every_partition_and_path_are_asked_for(person: Person, sts: StsDouble) -> None:
    for role in (
        "arn:aws-cn:iam::111122223333:role/Dev",
        "arn:aws-us-gov:iam::111122223333:role/a/b-c/D+e=f,g.@h",
        "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_0123456789abcdef",
    ):
        person.run("token", "-i", "prod", "-r", role)
    assert sts.actions() == ["AssumeRole"] * 3


@pytest.mark.parametrize(
    "missing", ["sso_account_id", "sso_role_name", "sso_region", "sso_start_url", "[sso-session corp]"]
)
def test_half_a_profile_of_sso_names_what_is_missing(person: Person, missing: str) -> None:
    text = "[profile s]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n[sso-session corp]\nsso_region = eu-west-2\nsso_start_url = https://x\n"
    person.write(
        "".join(line for line in text.splitlines(keepends=True) if not line.startswith(missing))
        if missing[0] != "["
        else text[: text.index("[sso-session")]
    )
    done = person.run("token", "-i", "prod", AWS_PROFILE="s", check=False, **NOW)
    assert done.returncode == 1
    assert missing.strip("[]") in done.stderr
    assert "aws configure sso" in done.stderr
    assert "sso login" not in done.stderr, "no login helps"
    assert "config:" in done.stderr


@pytest.mark.parametrize(
    ("config", "variables", "where"),
    [("region = eu-west-2 # London", {}, "config:2: "), ("", {"AWS_REGION": "eu-west-2 # London"}, "AWS_REGION: "), ("", {"AWS_DEFAULT_REGION": "eu-west-2; UK"}, "AWS_DEFAULT_REGION: "), ("region = nowhere", {}, "config:2: ")],
)  # fmt: skip
def test_a_region_that_is_none_is_named_with_its_place(
    person: Person, config: str, variables: dict[str, str], where: str
) -> None:
    person.write(f"[default]\n{config}\n")
    done = person.run("token", "-i", "prod", check=False, **variables)
    assert done.returncode == 1
    assert where in done.stderr
    assert ("on a line of its own" in done.stderr) == ("#" in done.stderr or ";" in done.stderr)
