"""The metadata service of an EC2 instance, in both versions. Source: EC2 user guide, "Use the Instance Metadata Service"."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from exec_plugin_person import Person
from rolecall.errors import RolecallError
from rolecall.exec_plugin.instance_source import ask_instance

ROLES = "/latest/meta-data/iam/security-credentials/"
GOOD = {
    "Code": "Success",
    "AccessKeyId": "ASIANODE",
    "SecretAccessKey": "s",
    "Token": "t",
    "Expiration": "2999-01-01T00:00:00Z",
}
PAGES: dict[str, tuple[int, str]] = {
    "/latest/api/token": (200, "TOKEN"),
    ROLES: (200, "node\n"),
    f"{ROLES}node": (200, json.dumps(GOOD)),
}

Serve = Callable[[dict[str, tuple[int, str]]], dict[str, str]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves pages; gives the environment to ask them with. Version 1 is served only where there are no tokens."""
    servers: list[tuple[ThreadingHTTPServer, Thread]] = []

    def start(pages: dict[str, tuple[int, str]]) -> dict[str, str]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = pages.get(self.path, (404, ""))
                if pages["/latest/api/token"][0] == 200 and self.headers["x-aws-ec2-metadata-token"] != "TOKEN":
                    status, text = 401, ""
                self._send(status, text)

            def do_PUT(self) -> None:
                assert self.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
                self._send(*pages[self.path])

            def _send(self, status: int, text: str) -> None:
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}"}

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def test_both_versions(serve: Serve) -> None:
    environ = serve(PAGES)
    assert ask_instance({}, environ).access_key_id == "ASIANODE"
    assert ask_instance({"ec2_metadata_v1_disabled": "true"}, environ).access_key_id == "ASIANODE"
    # A setting of the profile, and a URL with a slash at its end.
    url = environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
    assert ask_instance({"ec2_metadata_service_endpoint": f"{url}/"}, {}).access_key_id == "ASIANODE"
    for status in (403, 404, 405):
        old = serve({**PAGES, "/latest/api/token": (status, "")})
        assert ask_instance({}, old).access_key_id == "ASIANODE"
        with pytest.raises(RolecallError, match="version 1 is disabled"):
            ask_instance({"ec2_metadata_v1_disabled": "true"}, old)


def test_credentials_that_have_expired_are_tried_for_a_while(serve: Serve) -> None:
    # "static stability": the service may be behind, and AWS takes the credentials longer
    page = (200, json.dumps({**GOOD, "Expiration": "2020-01-01T00:00:00Z"}))
    key = ask_instance({}, serve({**PAGES, f"{ROLES}node": page}))
    assert key.expires is not None
    assert abs(key.expires - time.time() - 600) < 30


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({ROLES: (404, "")}, "HTTP 404"), ({ROLES: (200, "")}, "has no role"), ({ROLES: (200, "a b")}, "has no role"), ({ROLES: (200, "n\u00f6de")}, "has no role"), ({"/latest/api/token": (400, "")}, "HTTP 400 instead of a token"),
        ({"/latest/api/token": (200, "a\nb")}, "instead of a token"), ({f"{ROLES}node": (200, "[]")}, "not a JSON object"), ({f"{ROLES}node": (200, "")}, "is empty"), ({f"{ROLES}node": (500, "")}, "HTTP 500"),
        ({f"{ROLES}node": (200, '{"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role"}')}, "AssumeRoleUnauthorizedAccess: EC2 cannot assume"),
        ({f"{ROLES}node": (200, '{"AccessKeyId": "A"}')}, "no SecretAccessKey"), ({f"{ROLES}node": (200, json.dumps({**GOOD, "AccessKeyId": 1}))}, "not a text but int"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_one_sentence(serve: Serve, change: dict[str, tuple[int, str]], words: str) -> None:
    with pytest.raises(RolecallError, match=words.replace("(", r"\(")):
        ask_instance({}, serve({**PAGES, **change}))


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, "no metadata service"), ({"AWS_EC2_METADATA_DISABLED": "TRUE"}, "AWS_EC2_METADATA_DISABLED"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "nonsense"}, "not a URL"), ({"AWS_METADATA_SERVICE_TIMEOUT": "soon"}, "not a number"), ({"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "0"}, "not a number"),
    ],
)  # fmt: skip
def test_a_machine_that_is_none(environ: dict[str, str], words: str) -> None:
    with pytest.raises(RolecallError, match=words):
        ask_instance({}, environ)


def test_a_laptop_without_anything_is_told_what_to_do(person: Person) -> None:
    person.write(credentials="")
    variables = {"AWS_REGION": "eu-west-2", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}
    done = person.run("token", "-i", "prod", check=False, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no credentials by instance: this machine has no metadata service" in done.stderr
    assert "name a profile (AWS_PROFILE)" in done.stderr
