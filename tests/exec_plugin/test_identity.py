"""Whose token it is: the source is asked before anything is used that was kept over it.

Each kind of source in turn gives ann, then bob, then nothing; a token, and a session of a role on top of it, must be of
whom the source gives. The AWS CLI does the same (`aws eks get-token`, measured).
"""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from exec_plugin_person import ROLE, Person
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.parse import parse_token
from sts_double import StsDouble

ANN, BOB = "ASIAANN0000000000001", "ASIABOB0000000000001"
ENDS = "2999-01-01T00:00:00Z"


@dataclass
class Machine:
    """A host that answers as the metadata services and the SSO portal do; ``key`` is whose credentials it gives."""

    url: str = ""
    key: str | None = ANN

    def answer(self, path: str) -> bytes | None:
        ends = {"SecretAccessKey": "s", "Token": "t", "Expiration": ENDS}
        if path == "/latest/api/token":
            return b"metadata-token"
        if self.key is None:
            return None
        if path == "/latest/meta-data/iam/security-credentials/":
            return b"node"
        if path == "/federation/credentials":
            role = {
                "accessKeyId": self.key,
                "secretAccessKey": "s",
                "sessionToken": "t",
                "expiration": 32_472_144_000_000,
            }
            return json.dumps({"roleCredentials": role}).encode()
        kind = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2020-01-01T00:00:00Z"}
        return json.dumps({"AccessKeyId": self.key, **ends, **kind}).encode()


@pytest.fixture
def machine() -> Iterator[Machine]:
    found = Machine()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = found.answer(urlsplit(self.path).path)
            self.send_response_only(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        do_GET = do_PUT = answer  # noqa: N815 -- http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Case:
    """A source: how to make it give somebody's key, or nothing, and the environment to use it with."""

    variables: dict[str, str]
    give: Callable[[str | None], None]


def process(person: Person, machine: Machine) -> Case:
    file = person.home / "creds"

    def give(key: str | None) -> None:
        answer = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": ENDS}
        file.write_text(json.dumps(answer)) if key else file.unlink()

    person.write(f"[profile p]\ncredential_process = cat {file}\nregion = eu-west-2\n")
    return Case({"AWS_PROFILE": "p"}, give)


def container(person: Person, machine: Machine) -> Case:
    person.write(credentials="")
    return Case({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{machine.url}/role"}, lambda key: setattr(machine, "key", key))


def instance(person: Person, machine: Machine) -> Case:
    person.write(credentials="")
    return Case({"AWS_EC2_METADATA_SERVICE_ENDPOINT": machine.url}, lambda key: setattr(machine, "key", key))


def sso(person: Person, machine: Machine) -> Case:
    person.write(
        "[profile s]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Dev\n"
        "[sso-session corp]\nsso_region = eu-west-2\nsso_start_url = https://corp.awsapps.com/start\n"
        "sso_registration_scopes = sso:account:access\n"
    )
    folder = person.home / ".aws" / "sso" / "cache"
    folder.mkdir(parents=True)
    file = folder / f"{sha1(b'corp').hexdigest()}.json"

    def give(key: str | None) -> None:
        """A log-in writes the file, a log-out removes it."""
        machine.key = key or ANN
        token = {
            "startUrl": "https://corp.awsapps.com/start",
            "region": "eu-west-2",
            "accessToken": f"of {key}",
            "expiresAt": ENDS,
        }
        file.write_text(json.dumps(token)) if key else file.unlink()

    return Case({"AWS_PROFILE": "s", "AWS_ENDPOINT_URL_SSO": machine.url, "AWS_REGION": "eu-west-2"}, give)


def login(person: Person, machine: Machine) -> Case:
    person.write("[profile l]\nlogin_session = arn:aws:iam::111122223333:user/ann\n")
    folder = person.home / ".aws" / "login" / "cache"
    folder.mkdir(parents=True)
    file = folder / f"{sha256(b'arn:aws:iam::111122223333:user/ann').hexdigest()}.json"

    def give(key: str | None) -> None:
        token = {"accessKeyId": key, "secretAccessKey": "s", "sessionToken": "t", "accountId": "1", "expiresAt": ENDS}
        file.write_text(json.dumps({"accessToken": token, "refreshToken": "r"})) if key else file.unlink()

    return Case({"AWS_PROFILE": "l", "AWS_REGION": "eu-west-2"}, give)


SOURCES = [process, container, instance, sso, login]


def key_of(output: str) -> str:
    token = json.loads(output)["status"]["token"]
    return parse_token(token, "prod", now=datetime.now(UTC), hosts=StsHosts()).access_key_id


COMMANDS = [("token", "-i", "prod"), ("eks", "get-token", "--cluster-name", "prod")]


@pytest.mark.parametrize("command", COMMANDS, ids=["token", "eks"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_token_is_of_whom_the_source_gives(
    person: Person, machine: Machine, source: Callable[[Person, Machine], Case], command: tuple[str, ...]
) -> None:
    case = source(person, machine)
    variables = {"AWS_REGION": "eu-west-2", **case.variables}
    case.give(ANN)
    first = person.run(*command, **variables)
    assert key_of(first.stdout) == ANN
    assert person.run(*command, **variables).stdout == first.stdout, "it is kept"
    case.give(BOB)
    assert key_of(person.run(*command, **variables).stdout) == BOB
    case.give(None)
    done = person.run(*command, check=False, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no credentials by " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [(*COMMANDS[0], "-r", ROLE), (*COMMANDS[1], "--role-arn", ROLE)], ids=["token", "eks"]
)
@pytest.mark.parametrize("source", SOURCES)
def test_a_session_is_of_whom_the_source_gives(
    person: Person,
    sts: StsDouble,
    machine: Machine,
    source: Callable[[Person, Machine], Case],
    command: tuple[str, ...],
) -> None:
    case = source(person, machine)
    variables = {"AWS_REGION": "eu-west-2", **case.variables}
    case.give(ANN)
    for _ in range(2):
        person.run(*command, **variables)
    assert [call["key"] for call in sts.calls] == [ANN], "the session is kept"
    case.give(BOB)
    # bob may not assume the role: ann's session is nothing to him
    sts.errors = [(403, "AccessDenied", "not authorized to perform: sts:AssumeRole")]
    done = person.run(*command, check=False, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert [call["key"] for call in sts.calls] == [ANN, BOB]
    case.give(None)
    assert person.run(*command, check=False, **variables).returncode == 1
    assert len(sts.calls) == 2
    case.give(ANN)
    person.run(*command, **variables)
    assert len(sts.calls) == 2, "and hers is still kept for her"


def jwt(subject: str, ends: float) -> str:
    parts = [
        urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({}, {"sub": subject, "exp": ends})
    ]
    return ".".join((*parts, "c2ln"))


def test_web_identity_is_asked_for_by_its_file(person: Person, sts: StsDouble) -> None:
    file = person.home / "token"
    person.write(f"[profile w]\nrole_arn = {ROLE}\nweb_identity_token_file = {file}\n")
    variables = {"AWS_PROFILE": "w"}

    def run() -> str:
        return person.run("token", "-i", "prod", check=False, **variables).stdout

    file.write_text(jwt("ann", time.time() + 3600))
    first = run()
    assert first
    assert run() == first
    assert sts.actions() == ["AssumeRoleWithWebIdentity"]
    file.write_text(jwt("bob", time.time() + 3600))
    assert run() != first
    assert len(sts.calls) == 2
    # One that has ended gives nothing any more: STS is asked, and refuses.
    file.write_text(jwt("ann", time.time() - 1))
    sts.errors = [(400, "ExpiredTokenException", "Token expired")] * 2
    assert run() == ""
    assert len(sts.calls) == 3
    file.unlink()
    assert run() == ""


def test_a_sign_in_that_is_over_gives_nothing(person: Person, machine: Machine) -> None:
    case = sso(person, machine)
    case.give(ANN)
    person.run("token", "-i", "prod", **case.variables)
    (file,) = (person.home / ".aws" / "sso" / "cache").iterdir()
    over = {**json.loads(file.read_text()), "expiresAt": "2020-01-01T00:00:00Z"}
    file.write_text(json.dumps(over))
    done = person.run("token", "-i", "prod", check=False, **case.variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert "aws sso login --profile s" in done.stderr


def test_a_secret_that_was_corrected_finds_nothing_of_the_wrong_one(person: Person) -> None:
    def token(secret: str) -> str:
        person.write(
            credentials=f"[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {secret}\n"
        )
        return person.run("token", "-i", "prod", AWS_REGION="eu-west-2").stdout

    wrong = token("wJalrXUtnFEMI/K7MDENG/wrong")
    assert token("wJalrXUtnFEMI/K7MDENG/right") != wrong
    assert token("wJalrXUtnFEMI/K7MDENG/wrong") == wrong


# WSL #4677, #10006, docker/for-win #4526: the clock was ahead, and is right again.
@pytest.mark.parametrize("ahead", [20.0, 4 * 3600.0])
def test_a_token_from_the_future_is_not_used(person: Person, ahead: float) -> None:
    first = person.run("token", "-i", "prod", AWS_REGION="eu-west-2").stdout
    (file,) = person.cache.iterdir()
    lines = file.read_text().split("\n")
    lines[3:5] = [str(float(line) + ahead) for line in lines[3:5]]
    file.write_text("\n".join([*lines[:-1], lines[-1][:-4] + "AAAA"]))
    again = person.run("token", "-i", "prod", AWS_REGION="eu-west-2").stdout
    token = json.loads(again)["status"]["token"]
    assert not token.endswith("AAAA")
    assert first
    parse_token(token, "prod", now=datetime.now(UTC), hosts=StsHosts())


def test_a_kept_source_is_used_only_where_it_is_asked_for(person: Person, machine: Machine, tmp_path: Path) -> None:
    """``--cache`` trades this for not asking again; without it, the process is asked as ever."""
    case = process(person, machine)
    case.give(ANN)
    person.run("token", "-i", "prod", "--cache", AWS_PROFILE="p")
    case.give(BOB)
    assert key_of(person.run("token", "-i", "prod", "--cache", AWS_PROFILE="p").stdout) == ANN
    assert key_of(person.run("token", "-i", "prod", AWS_PROFILE="p").stdout) == BOB
