"""The plugin as processes against an STS that counts: what is kept, who waits, and what STS is asked."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from exec_plugin_person import ROLE, Person
from sts_double import StsDouble
from terminal import Terminal

CHAIN = f"""\
[profile dev]
role_arn = {ROLE}
source_profile = hub
[profile hub]
role_arn = arn:aws:iam::111122223333:role/Hub
source_profile = default
external_id = x1
role_session_name = alice
source_identity = alice
duration_seconds = 1800
[profile mfa]
role_arn = {ROLE}
source_profile = default
mfa_serial = arn:aws:iam::111122223333:mfa/alice
"""


def token_of(output: str) -> str:
    return str(json.loads(output)["status"]["token"])


def expiry_of(output: str) -> float:
    return datetime.fromisoformat(json.loads(output)["status"]["expirationTimestamp"]).timestamp()


def test_a_role_is_assumed_once_and_its_token_kept(person: Person, sts: StsDouble) -> None:
    first = person.run("token", "-i", "prod", "-r", ROLE, "-e", "x1")
    assert person.run("token", "-i", "prod", "-r", ROLE, "-e", "x1").stdout == first.stdout
    other = person.run("token", "-i", "staging", "-r", ROLE, "-e", "x1")
    assert token_of(other.stdout) != token_of(first.stdout), "a token is for its cluster alone"
    assert sts.actions() == ["AssumeRole"], "the session serves every cluster"
    call = sts.calls[0]
    assert (call["RoleArn"], call["ExternalId"], call["key"]) == (ROLE, "x1", "AKIAIOSFODNN7EXAMPLE")
    assert re.fullmatch(r"[\w+=,.@-]+@[\w+=,.@-]+", call["RoleSessionName"])
    assert "DurationSeconds" not in call
    assert first.stderr == ""


@pytest.mark.parametrize(
    "change",
    [
        ["-r", ROLE + "2"], ["-e", "other"], ["-s", "somebody"], ["--region", "eu-west-1"], ["--profile", "other"],
        ["--forward-session-name"],
    ],
)  # fmt: skip
def test_what_a_session_is_bound_to(person: Person, sts: StsDouble, change: list[str]) -> None:
    other = "[other]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = je7MtGbClwBF\n"
    person.write(credentials="[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = w\n" + other)
    before = person.run("token", "-i", "prod", "-r", ROLE)
    after = person.run("token", "-i", "prod", "-r", ROLE, *change)
    assert token_of(before.stdout) != token_of(after.stdout)
    assert sts.actions().count("AssumeRole") == 2
    assert token_of(person.run("token", "-i", "prod", "-r", ROLE).stdout) == token_of(before.stdout)


def test_another_key_is_another_session(person: Person, sts: StsDouble) -> None:
    person.run("token", "-i", "prod", "-r", ROLE)
    person.write(credentials="[default]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = x\n")
    person.run("token", "-i", "prod", "-r", ROLE)
    assert [call["key"] for call in sts.calls] == ["AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"]


def test_a_chain_of_profiles(person: Person, sts: StsDouble) -> None:
    person.write(CHAIN)
    person.run("token", "-i", "prod", AWS_PROFILE="dev")
    hub, dev = sts.calls
    assert (hub["RoleArn"], hub["ExternalId"], hub["DurationSeconds"], hub["SourceIdentity"]) == (
        "arn:aws:iam::111122223333:role/Hub", "x1", "1800", "alice",
    )  # fmt: skip
    assert (dev["RoleArn"], dev["key"], dev["RoleSessionName"]) == (ROLE, "ASIA0000000000000001", "alice")
    assert "SourceIdentity" not in dev, "STS carries it on by itself"
    person.run("token", "-i", "prod", "-r", "arn:aws:iam::111122223333:role/Other", AWS_PROFILE="hub")
    assert len(sts.calls) == 3, "the session of the hub is used again"


def test_forwarded_session_name(person: Person, sts: StsDouble) -> None:
    person.run("token", "-i", "prod", "-r", ROLE, "--forward-session-name")
    assert sts.actions() == ["GetCallerIdentity", "AssumeRole"]
    assert sts.calls[1]["RoleSessionName"] == "alice"


def test_given_session_name(person: Person, sts: StsDouble) -> None:
    person.run("token", "-i", "prod", "-r", ROLE, "-s", "bob@example.com")
    assert sts.calls[0]["RoleSessionName"] == "bob@example.com"
    refused = person.run("token", "-i", "prod", "-r", ROLE, "-s", "b o b", check=False)
    assert (refused.returncode, "for example b-o-b" in refused.stderr) == (1, True)


def test_ten_at_once_cost_one_call(person: Person, sts: StsDouble) -> None:
    # The bar: ten parallel kubectl calls cost one STS call.
    sts.delay = 0.5
    processes = [person.start("token", "-i", "prod", "-r", ROLE) for _ in range(10)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, outputs
    assert sts.actions() == ["AssumeRole"]


def test_a_failure_is_everybodys(person: Person, sts: StsDouble) -> None:
    sts.delay = 0.5
    sts.raw = b"<nonsense/>"
    processes = [person.start("token", "-i", "prod", "-r", ROLE) for _ in range(4)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert {process.returncode for process in processes} == {1}
    assert all("no AccessKeyId" in errors for _, errors in outputs), outputs
    # Whoever came while the first was at it shares its failure; only a late starter may have asked again.
    assert len(sts.calls) < 4
    sts.raw = None
    person.run("token", "-i", "prod", "-r", ROLE)


def test_killed_in_the_middle(person: Person, sts: StsDouble) -> None:
    sts.delay = 5.0
    process = person.start("token", "-i", "prod", "-r", ROLE)
    ends = time.monotonic() + 300
    while not sts.calls and time.monotonic() < ends:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sts.delay = 0.0
    assert person.run("token", "-i", "prod", "-r", ROLE).returncode == 0
    assert sts.actions() == ["AssumeRole", "AssumeRole"]


def test_the_earlier_end_is_reported(person: Person, sts: StsDouble) -> None:
    # aws-iam-authenticator #401, #590: a token that outlives its credentials is a 401 in mid-run.
    sts.lifetime = 300.0
    short = person.run("token", "-i", "prod", "-r", ROLE)
    assert abs(expiry_of(short.stdout) - time.time() - 300) < 50
    sts.lifetime = 3600.0
    long = person.run("token", "-i", "prod", "-r", ROLE + "2")
    assert abs(expiry_of(long.stdout) - time.time() - 840) < 50


def test_a_session_that_is_about_to_end_is_made_anew(person: Person, sts: StsDouble) -> None:
    sts.lifetime = 50.0
    person.run("token", "-i", "prod", "-r", ROLE)
    person.run("token", "-i", "prod", "-r", ROLE)
    assert sts.actions() == ["AssumeRole"] * 2


def test_nothing_is_kept_where_nothing_should(person: Person, sts: StsDouble) -> None:
    person.run("token", "-i", "prod", "-r", ROLE, "--no-cache")
    person.run("token", "-i", "prod", "-r", ROLE, ROLECALL_CACHE="off")
    assert not person.cache.exists()
    assert sts.actions() == ["AssumeRole"] * 2


def test_a_read_only_home_is_served(person: Person, sts: StsDouble) -> None:
    done = person.run("token", "-i", "prod", "-r", ROLE, ROLECALL_CACHE_DIR="/proc/none")
    assert (done.returncode, done.stderr) == (0, "")


def test_hostile_cache_files_end_in_a_new_session(person: Person, sts: StsDouble) -> None:
    person.run("token", "-i", "prod", "-r", ROLE)
    for file in person.cache.iterdir():
        file.chmod(0o644)
    done = person.run("token", "-i", "prod", "-r", ROLE)
    assert "open to other users" in done.stderr
    assert sts.actions() == ["AssumeRole"] * 2
    for file in person.cache.iterdir():
        file.write_bytes(b'{"format": 1')
        file.chmod(0o600)
    assert person.run("token", "-i", "prod", "-r", ROLE).stderr == ""
    assert sts.actions() == ["AssumeRole"] * 3


@pytest.mark.parametrize(
    ("errors", "calls", "code"),
    [
        ([(400, "Throttling", "Rate exceeded")], 2, 0),
        ([(503, "ServiceUnavailable", "later")] * 2, 3, 0),
        ([(503, "ServiceUnavailable", "later")] * 3, 3, 1),
        ([(403, "AccessDenied", "not authorized to perform: sts:AssumeRole")], 1, 1),
        ([(302, "", "")], 1, 1),
    ],
)
def test_attempts_are_bounded(
    person: Person, sts: StsDouble, errors: list[tuple[int, str, str]], calls: int, code: int
) -> None:
    sts.errors = list(errors)
    done = person.run("token", "-i", "prod", "-r", ROLE, check=False)
    assert (len(sts.calls), done.returncode) == (calls, code), done.stderr
    if code:
        assert ROLE in done.stderr
        assert "step 1 of 1" in done.stderr


def test_the_step_that_fails_is_named(person: Person, sts: StsDouble) -> None:
    person.write(CHAIN)
    sts.errors = [(403, "AccessDenied", "no")]
    done = person.run("token", "-i", "prod", AWS_PROFILE="dev", check=False)
    assert f"{person.home}/.aws/config:5: role arn:aws:iam::111122223333:role/Hub" in done.stderr
    assert "trust policy" in done.stderr


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>", b"\xff" * 100, b"x" * 100_000, b"<AccessKeyId>ASIA</AccessKeyId>",
     b"<AccessKeyId>ASIA0000000000000001</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>a\nb</SessionToken>"
     b"<Expiration>2999-01-01T00:00:00Z</Expiration>",
     b"<AccessKeyId>ASIA0000000000000001</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>ab</SessionToken>"
     b"<Expiration>never</Expiration>"],
)  # fmt: skip
def test_an_answer_that_is_none_of_sts(person: Person, sts: StsDouble, raw: bytes) -> None:
    sts.raw = raw
    done = person.run("token", "-i", "prod", "-r", ROLE, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_nobody_there(person: Person) -> None:
    done = person.run("token", "-i", "prod", "-r", ROLE, AWS_ENDPOINT_URL="http://127.0.0.1:1", check=False)
    assert (done.returncode, "cannot be reached" in done.stderr) == (1, True)


def test_a_clock_that_is_off_is_told(person: Person, sts: StsDouble) -> None:
    sts.skew = 900.0
    assert re.search(r"clock is (89|90)\d seconds behind", person.run("token", "-i", "prod", "-r", ROLE).stderr)
    sts.skew = 60.0
    assert person.run("token", "-i", "prod", "-r", ROLE + "2").stderr == ""
    sts.skew, sts.errors = -4000.0, [(403, "SignatureDoesNotMatch", "Signature not yet current")]
    done = person.run("token", "-i", "prod", "-r", ROLE + "3", check=False)
    assert "seconds ahead of that of STS" in done.stderr


def test_a_token_that_is_too_long_is_told_each_time(person: Person, sts: StsDouble) -> None:
    # aws-iam-authenticator #1106
    sts.session_token = "x" * 3_500
    for _ in range(2):
        done = person.run("token", "-i", "prod", "-r", ROLE)
        assert "refuse more than 4096" in done.stderr
        assert len(token_of(done.stdout)) > 4096


def terminal_of(person: Person, *arguments: str, **variables: str) -> Terminal:
    return Terminal([sys.executable, "-m", "rolecall", *arguments], person.environment(**variables))


def test_mfa_is_asked_for_once(person: Person, sts: StsDouble) -> None:
    person.write(CHAIN)
    sts.codes = {"123456"}
    terminal = terminal_of(person, "token", "-i", "prod", AWS_PROFILE="mfa")
    terminal.wait_for("MFA code for arn:aws:iam::111122223333:mfa/alice: ")
    # Nine more, with no terminal, wait for the person at the first.
    others = [person.start("token", "-i", "prod", AWS_PROFILE="mfa") for _ in range(9)]
    time.sleep(0.5)
    terminal.type("000000\n")
    terminal.wait_for("does not accept this code")
    terminal.wait_for("MFA code for")
    terminal.type("12345\n")
    terminal.wait_for("six digits")
    terminal.type("123456\n")
    assert terminal.end() == 0, terminal.shown
    assert "123456" not in terminal.shown, "what is typed is not shown"
    outputs = [other.communicate(timeout=300) for other in others]
    assert [other.returncode for other in others] == [0] * 9, outputs
    assert [call["TokenCode"] for call in sts.calls] == ["000000", "123456"]
    assert sts.calls[1]["SerialNumber"] == "arn:aws:iam::111122223333:mfa/alice"
    assert person.run("token", "-i", "other", AWS_PROFILE="mfa").stderr == ""


def test_a_code_is_not_sent_twice(person: Person, sts: StsDouble) -> None:
    person.write(CHAIN)
    sts.codes, sts.errors = {"123456"}, [(500, "InternalFailure", "oops")]
    terminal = terminal_of(person, "token", "-i", "prod", AWS_PROFILE="mfa")
    terminal.wait_for("MFA code")
    terminal.type("123456\n")
    assert terminal.end() == 1
    assert len(sts.calls) == 1


def test_interrupted_at_the_prompt(person: Person, sts: StsDouble) -> None:
    person.write(CHAIN)
    terminal = terminal_of(person, "token", "-i", "prod", AWS_PROFILE="mfa")
    terminal.wait_for("MFA code")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
    assert sts.calls == []


def test_mfa_without_a_terminal(person: Person, sts: StsDouble) -> None:
    person.write(CHAIN)
    done = person.run("token", "-i", "prod", AWS_PROFILE="mfa", check=False)
    assert (done.returncode, "no terminal to ask at" in done.stderr) == (1, True)
    assert sts.calls == []


def test_a_session_by_mfa_that_ends_soon_is_told(person: Person, sts: StsDouble) -> None:
    person.write(CHAIN)
    sts.codes, sts.lifetime = {"123456"}, 400.0
    terminal = terminal_of(person, "token", "-i", "prod", AWS_PROFILE="mfa")
    terminal.wait_for("MFA code")
    terminal.type("123456\n")
    assert terminal.end() == 0
    assert "a new MFA code is needed then" in person.run("token", "-i", "prod", AWS_PROFILE="mfa").stderr


def test_a_process_gives_the_credentials_and_is_kept_where_asked(person: Person, sts: StsDouble) -> None:
    log = person.home / "log"
    script = person.home / "give"
    script.write_text(
        f"#!/bin/sh\necho x >> {log}\n"
        'echo \'{"Version": 1, "AccessKeyId": "ASIAPROCESS000000001", "SecretAccessKey": "s", "SessionToken": "t", '
        '"Expiration": "2999-01-01T00:00:00Z"}\'\n'
    )
    script.chmod(0o755)
    person.write(f"[profile p]\ncredential_process = {script}\n")
    for cluster in ("a", "a", "b"):
        person.run("token", "-i", cluster, AWS_PROFILE="p")
    assert log.read_text() == "x\n" * 3, "the process is asked each time whose token it should be"
    for cluster in ("c", "d"):
        person.run("token", "-i", cluster, "--cache", AWS_PROFILE="p")
    assert log.read_text() == "x\n" * 4


def test_a_process_that_fails(person: Person) -> None:
    person.write("[profile p]\ncredential_process = /bin/false\n")
    done = person.run("token", "-i", "a", AWS_PROFILE="p", AWS_REGION="eu-west-2", check=False)
    assert (done.returncode, "config:2: no credentials by process" in done.stderr) == (1, True)


def test_secrets_stay_out_of_what_is_told(person: Person, sts: StsDouble, tmp_path: Path) -> None:
    sts.errors = [(403, "AccessDenied", "no")]
    told = person.run("token", "-i", "prod", "-r", ROLE, check=False).stderr
    sts.errors = [(400, "Throttling", "x")] * 3
    told += person.run("token", "-i", "prod", "-r", ROLE, check=False).stderr
    for secret in ("wJalrXUtnFEMI", "SESSION", "k8s-aws-v1"):
        assert secret not in told
    for lock in person.cache.glob("*.lock"):
        assert "wJalrXUtnFEMI" not in lock.read_text()
