"""Whatever a process, a file of a sign-in or a token file holds is a key or one sentence; and what a time may look like."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exec_plugin_person import Person
from rolecall.errors import RolecallError
from rolecall.exec_plugin.answers import key_of, read_answer
from rolecall.exec_plugin.aws_times import read_http_date, read_moment
from rolecall.exec_plugin.credential_plan import Source
from rolecall.exec_plugin.process_source import MAX_OUTPUT, ask_process
from rolecall.exec_plugin.signed_in import login_key, proof_of_sign_in

NAMES = ("AccessKeyId", "SecretAccessKey", "SessionToken")
GOOD: dict[str, Any] = {
    "Version": 1,
    "AccessKeyId": "ASIAPROCESS000000001",
    "SecretAccessKey": "s",
    "SessionToken": "t",
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def give(tmp_path: Path, text: str | bytes) -> str:
    file = tmp_path / "answer"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return f"cat {file}"


ENVIRON = {"PATH": "/usr/bin:/bin"}
ANSWERS = [
    ("", "is empty"), ("   \n", "is empty"), ("[]", "not a JSON object"), ("null", "not a JSON object"), ('"x"', "not a JSON object"), ("1", "not a JSON object"),
    ("{", "not JSON"), ("AccessKeyId=x", "not JSON"), ("[" * 30_000, "not JSON"), (b"\xff\xfe", "not UTF-8"), ("{}", '"Version": 1'),
    ({**GOOD, "Version": 2}, '"Version": 1'), ({**GOOD, "Version": "1"}, '"Version": 1'), ({**GOOD, "Version": True}, '"Version": 1'),
    ({**GOOD, "AccessKeyId": None}, "no AccessKeyId"), ({"Version": 1, "AccessKeyId": "A"}, "no SecretAccessKey"),
    ({**GOOD, "AccessKeyId": 7}, "AccessKeyId is not a text but int"), ({**GOOD, "SecretAccessKey": ["s"]}, "SecretAccessKey is not a text but list"),
    ({**GOOD, "SessionToken": {}}, "SessionToken is not a text but dict"), ({**GOOD, "AccessKeyId": ""}, "AccessKeyId is empty"), ({**GOOD, "AccessKeyId": "A\n"}, "line break"),
    ({**GOOD, "Expiration": 1_700_000_000}, "Expiration in its answer is not a text but int"), ({**GOOD, "Expiration": 1.5}, "not a text but float"),
    ({**GOOD, "Expiration": "soon"}, "not a time"), ({**GOOD, "Expiration": "2999-13-01T00:00:00Z"}, "not a time"), ({**GOOD, "Expiration": []}, "not a text but list"),
    # the everyday one
    ({**GOOD, "Expiration": "2020-01-01T00:00:00Z"}, "have expired (Expiration: 2020-01-01T00:00:00Z)"), ({**GOOD, "Expiration": "2020-01-01T00:00:00"}, "have expired"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "words"), ANSWERS)
def test_an_answer_that_is_none_is_one_sentence(tmp_path: Path, answer: Any, words: str) -> None:
    text = answer if isinstance(answer, str | bytes) else json.dumps(answer)
    with pytest.raises(RolecallError) as error:
        ask_process(give(tmp_path, text), ENVIRON)
    assert words in f"{error.value.where} {error.value.what}"


# Without a zone it is UTC; null and nothing are no end at all.
@pytest.mark.parametrize(
    ("more", "expires"),
    [
        ({}, None), ({"Expiration": None}, None), ({"Expiration": ""}, None), ({"Expiration": "2999-01-01T00:00:00Z"}, 32_472_144_000.0),
        ({"Expiration": "2999-01-01T00:00:00"}, 32_472_144_000.0), ({"Expiration": "2999-01-01T01:00:00+01:00"}, 32_472_144_000.0),
        ({"Expiration": "2999-01-01 00:00:00.000Z"}, 32_472_144_000.0),
    ],
)  # fmt: skip
def test_an_answer_is_a_key(tmp_path: Path, more: dict[str, Any], expires: float | None) -> None:
    key = ask_process(give(tmp_path, "\ufeff" + json.dumps({**GOOD, **more})), ENVIRON)
    assert (key.access_key_id, key.secret_access_key, key.session_token, key.expires) == (
        "ASIAPROCESS000000001",
        "s",
        "t",
        expires,
    )


@given(st.dictionaries(st.sampled_from([*NAMES, "Expiration", "Version"]), json_values))
def test_no_answer_crashes(answer: dict[str, Any]) -> None:
    try:
        key = key_of(read_answer(json.dumps(answer).encode()), NAMES, 0.0)
    except RolecallError:
        return
    assert isinstance(key.access_key_id, str)
    assert isinstance(key.secret_access_key, str)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "empty"), ("'", "cannot be read"), ("/none/such", "No such file"), ("/etc/passwd", "Permission denied"), ("false", "false ended with 1: it printed no reason"),
        ("sh -c 'echo one; echo two >&2; echo three >&2; exit 3'", "sh ended with 3: two three"), ("sh -c 'kill -9 $$'", "ended with -9"),
        ("sh -c 'yes no | head -c 2000000 >&2; exit 1'", "ended with 1: no no no"),
    ],
)  # fmt: skip
def test_a_process_that_fails_is_one_sentence(command: str, words: str) -> None:
    with pytest.raises(RolecallError) as error:
        ask_process(command, ENVIRON)
    assert words in error.value.what
    assert len(error.value.what) < 400


def test_a_process_that_never_ends_its_answer_is_stopped() -> None:
    started = time.monotonic()
    with pytest.raises(RolecallError, match=f"more than {MAX_OUTPUT} bytes"):
        ask_process("yes", ENVIRON)
    assert time.monotonic() - started < 60


SSO = {
    "sso_session": "corp",
    "sso_start_url": "https://x",
    "sso_region": "r",
    "sso_account_id": "1",
    "sso_role_name": "r",
}


def files_of_sign_ins(home: Path) -> dict[str, tuple[Source, Path]]:
    session = "arn:aws:iam::111122223333:user/ann"
    return {
        "sso": (Source("sso", "s", "", details=SSO), home / ".aws/sso/cache" / f"{sha1(b'corp').hexdigest()}.json"),
        "login": (
            Source("login", "l", "", details={"login_session": session}),
            home / ".aws/login/cache" / f"{sha256(session.encode()).hexdigest()}.json",
        ),
        "web-identity": (Source("web-identity", "w", "", details={"file": str(home / "token")}), home / "token"),
    }


@settings(max_examples=60)
@given(
    data=st.one_of(
        st.binary(max_size=60),
        json_values.map(lambda value: json.dumps(value).encode()),
        st.dictionaries(st.sampled_from(["accessToken", "expiresAt", "startUrl"]), json_values).map(
            lambda v: json.dumps(v).encode()
        ),
        st.sampled_from(
            [
                b"",
                b"[" * 50_000,
                b"\xff",
                b'{"accessToken": "x", "expiresAt": "2999-01-01T00:00:00UTC"}',
                b"a.b.c",
                b"a.!!!.c",
                b"x" * 2_000_000,
            ]
        ),
    )
)
def test_no_file_of_a_sign_in_crashes(tmp_path: Path, data: bytes) -> None:
    for source, file in files_of_sign_ins(tmp_path).values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        assert isinstance(proof_of_sign_in(source, {"HOME": str(tmp_path)}, 0.0), str)
        assert login_key(source, {"HOME": str(tmp_path)}, 0.0) is None


@pytest.mark.parametrize(
    "expires_at", [None, 1_900_000_000, "2020-01-01T00:00:00Z", "never", "", [], "2020-01-01T00:00:00UTC", "2020-01-01"]
)
def test_a_sign_in_that_is_over_or_not_understood_proves_nothing(tmp_path: Path, expires_at: Any) -> None:
    source, file = files_of_sign_ins(tmp_path)["sso"]
    file.parent.mkdir(parents=True)
    now = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    file.write_text(json.dumps({"accessToken": "x", "expiresAt": expires_at}))
    assert proof_of_sign_in(source, {"HOME": str(tmp_path)}, now) == ""
    file.write_text(json.dumps({"accessToken": "x", "expiresAt": "2026-01-01T01:00:00Z"}))
    assert proof_of_sign_in(source, {"HOME": str(tmp_path)}, now) != ""


PROFILES = """\
[profile sso]
sso_session = corp
sso_account_id = 1
sso_role_name = r
[sso-session corp]
sso_region = eu-west-2
sso_start_url = https://x
[profile login]
login_session = arn:aws:iam::111122223333:user/ann
[profile web-identity]
role_arn = arn:aws:iam::111122223333:role/Dev
web_identity_token_file = TOKEN
[profile process]
credential_process = PROCESS
"""


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("sso", b"[]"), ("sso", b'{"accessToken": 1, "expiresAt": 2}'), ("sso", b"{}"), ("sso", b'{"accessToken": "x", "expiresAt": 1900000000}'), ("sso", b"\xff"),
        ("login", b"[]"), ("login", b'{"accessToken": []}'), ("login", b'{"accessToken": {}, "refreshToken": 1, "dpopKey": 1, "clientId": 1}'), ("login", b""),
        ("web-identity", b""), ("web-identity", b"\xff\xfe"), ("web-identity", b"no jwt"),
        ("process", b"[]"), ("process", b'{"Version": 1, "AccessKeyId": 1, "SecretAccessKey": 2}'),
    ],
)  # fmt: skip
def test_in_the_middle_of_kubectl_it_is_one_error(person: Person, kind: str, data: bytes) -> None:
    _, file = files_of_sign_ins(person.home).get(kind, (None, person.home / "answer"))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    person.write(PROFILES.replace("TOKEN", str(file)).replace("PROCESS", f"cat {file}"))
    variables = {"AWS_PROFILE": kind, "AWS_REGION": "eu-west-2", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = person.run("token", "-i", "prod", check=False, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {person.home}/.aws/config:")
    assert f"no credentials by {kind}: " in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@given(st.integers(0, 253_402_300_799))
def test_times_are_those_of_the_standard_library(moment: int) -> None:
    text = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if len(text) == 20:
        assert read_moment(text, "") == moment
    assert read_http_date(formatdate(moment, usegmt=True)) == moment


@given(st.text(max_size=30))
def test_no_time_crashes(text: str) -> None:
    read_http_date(text)
    try:
        read_moment(text, "")
    except RolecallError:
        return
