"""Sources that botocore is asked for, each against a stand-in of its own protocol, in processes of the plugin."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from exec_plugin_person import ROLE, Person
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.parse import parse_token
from sts_double import StsDouble

ENDS = "2999-01-01T00:00:00Z"
CREDENTIALS = {"AccessKeyId": "ASIAMACHINE000000001", "SecretAccessKey": "s", "Token": "t", "Expiration": ENDS}
INSTANCE = {**CREDENTIALS, "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2020-01-01T00:00:00Z"}
SSO = {
    "roleCredentials": {
        "accessKeyId": "ASIASSO0000000000001", "secretAccessKey": "s", "sessionToken": "t", "expiration": 32_472_144_000_000,
    }
}  # fmt: skip
# ECS developer guide, "Task IAM role"; EC2 user guide, "Instance metadata"; IAM Identity Center portal API reference
ANSWERS = {
    "/role": json.dumps(CREDENTIALS),
    "/latest/api/token": "metadata-token",
    "/latest/meta-data/iam/security-credentials/": "node",
    "/latest/meta-data/iam/security-credentials/node": json.dumps(INSTANCE),
    "/federation/credentials": json.dumps(SSO),
}


@pytest.fixture
def machine() -> Iterator[str]:
    """The URL of a host that answers as the metadata services and the SSO portal do."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = ANSWERS.get(urlsplit(self.path).path, "").encode()
            self.send_response_only(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = answer  # noqa: N815 -- http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def key_of(person: Person, **variables: str) -> str:
    done = person.run("token", "-i", "prod", "--token-only", AWS_REGION="eu-west-2", **variables)
    assert done.stderr == ""
    return parse_token(done.stdout.strip(), "prod", now=datetime.now(UTC), hosts=StsHosts()).access_key_id


def test_container(person: Person, machine: str) -> None:
    person.write(credentials="")
    assert key_of(person, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{machine}/role") == "ASIAMACHINE000000001"


def test_instance(person: Person, machine: str) -> None:
    person.write(credentials="")
    assert key_of(person, AWS_EC2_METADATA_SERVICE_ENDPOINT=machine) == "ASIAMACHINE000000001"


def test_single_sign_on(person: Person, machine: str) -> None:
    person.write(
        "[profile s]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Dev\n"
        "[sso-session corp]\nsso_region = eu-west-2\nsso_start_url = https://corp.example/start\n",
        credentials="",
    )
    cache = person.home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    login = {"accessToken": "token", "expiresAt": ENDS, "startUrl": "https://corp.example/start", "region": "eu-west-2"}
    (cache / f"{sha1(b'corp').hexdigest()}.json").write_text(json.dumps(login))
    assert key_of(person, AWS_PROFILE="s", AWS_ENDPOINT_URL_SSO=machine) == "ASIASSO0000000000001"


def test_single_sign_on_that_has_ended(person: Person) -> None:
    person.write(
        "[profile s]\nsso_start_url = https://corp.example/start\nsso_region = eu-west-2\nsso_account_id = 1\n"
        "sso_role_name = Dev\n"
    )
    done = person.run("token", "-i", "prod", AWS_PROFILE="s", AWS_REGION="eu-west-2", check=False)
    assert done.returncode == 1
    assert "config:4: no credentials by sso" in done.stderr
    assert "aws sso login --profile s" in done.stderr


@pytest.mark.parametrize("by", ["environment", "profile"])
def test_web_identity(person: Person, sts: StsDouble, by: str) -> None:
    token, role = person.home / "jwt", "arn:aws:iam::111122223333:role/Pod"
    token.write_text("eyJ.eyJ.sig")
    if by == "profile":
        person.write(f"[profile w]\nrole_arn = {role}\nweb_identity_token_file = {token}\n")
        variables = {"AWS_PROFILE": "w"}
    else:
        variables = {"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    person.run("token", "-i", "prod", **variables)
    assert [(call["Action"], call["RoleArn"]) for call in sts.calls] == [("AssumeRoleWithWebIdentity", role)]


def test_a_role_on_top_of_a_container(person: Person, sts: StsDouble, machine: str) -> None:
    person.write("[profile r]\nrole_arn = arn:aws:iam::111122223333:role/R\ncredential_source = EcsContainer\n")
    person.run("token", "-i", "prod", AWS_PROFILE="r", AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{machine}/role")
    assert [call["key"] for call in sts.calls] == ["ASIAMACHINE000000001"]


@pytest.fixture
def silence() -> Iterator[str]:
    """A host that takes connections and says nothing, as one behind a firewall that has lost its way."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


# AWS SDKs and Tools reference guide, "Smart configuration defaults": 60 seconds for each of several attempts.
@pytest.mark.parametrize("source", ["web-identity", "instance", "container", "sso"])
def test_a_host_that_says_nothing_is_not_waited_for_long(person: Person, silence: str, source: str) -> None:
    token = person.home / "token"
    token.write_text("header.body.signature")
    person.write("[profile s]\nsso_start_url = https://corp.example/start\nsso_region = eu-west-2\n"
                 "sso_account_id = 111122223333\nsso_role_name = Dev\n", credentials="")  # fmt: skip
    folder = person.home / ".aws" / "sso" / "cache"
    folder.mkdir(parents=True)
    login = {"accessToken": "t", "expiresAt": ENDS, "startUrl": "https://corp.example/start", "region": "eu-west-2"}
    (folder / f"{sha1(b'https://corp.example/start').hexdigest()}.json").write_text(json.dumps(login))
    variables = {
        "web-identity": {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ROLE_ARN": ROLE,
            "AWS_ENDPOINT_URL_STS": silence,
        },
        "instance": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": silence},
        "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{silence}/role"},
        "sso": {"AWS_PROFILE": "s", "AWS_ENDPOINT_URL_SSO": silence},
    }[source]
    started = time.monotonic()
    done = person.run("eks", "get-token", "--cluster-name", "prod", "--cli-read-timeout", "1", check=False,
                      AWS_REGION="eu-west-2", **variables)  # fmt: skip
    assert time.monotonic() - started < 55
    assert done.returncode == 1
    assert f"no credentials by {source}" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_at_all(person: Person) -> None:
    person.write(credentials="")
    done = person.run("token", "-i", "prod", AWS_EC2_METADATA_DISABLED="true", check=False)
    assert (done.returncode, "there are no AWS credentials" in done.stderr) == (1, True)
