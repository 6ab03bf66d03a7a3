"""What must not go wrong: killed labs, writers at once, bad input, secrets in logs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from raw_cluster import Cluster, client, keys
from rolecall.lab import control
from rolecall.lab.home import LabError, LabHome


@pytest.fixture(scope="module")
def lab(start_lab: Callable[..., Any]) -> Any:
    return start_lab()


def test_a_lab_killed_at_any_moment_has_everything_it_acknowledged(tmp_path: Path) -> None:
    """kill -9 while users and config maps are being made, again and again; afterwards each acknowledged one is there."""
    home = LabHome(tmp_path / "lab")
    control.settle(home)
    control.start_detached(home)
    cluster = Cluster(home.folder)
    found = keys(home.folder)
    users: list[str] = []
    maps: list[str] = []
    for attempt in range(6):
        running = home.running()
        assert running is not None
        stop = threading.Event()

        def write_users(attempt: int = attempt, stop: threading.Event = stop) -> None:
            iam = client("iam", found)
            for index in range(10_000):
                try:
                    iam.create_user(UserName=f"u-{attempt}-{index}")
                except (BotoCoreError, ClientError):
                    return
                users.append(f"u-{attempt}-{index}")

        def write_maps(attempt: int = attempt) -> None:
            for index in range(10_000):
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m-{attempt}-{index}"}}
                try:
                    status, _ = cluster.send("POST", "/api/v1/namespaces/default/configmaps", body)
                except (OSError, ValueError):
                    return
                if status == 201:
                    maps.append(f"m-{attempt}-{index}")

        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(write_users), pool.submit(write_maps)]
            time.sleep(0.15 + 0.11 * attempt)
            os.kill(running.pid, signal.SIGKILL)
            for job in jobs:
                job.result()
        while home.is_held():
            time.sleep(0.01)
        control.start_detached(home)
        again = keys(home.folder)
        assert again == found, "the endpoint's address and the keys stay"
    there = {
        user["UserName"]
        for page in client("iam", found).get_paginator("list_users").paginate()
        for user in page["Users"]
    }
    _, listed = cluster.send("GET", "/api/v1/namespaces/default/configmaps")
    kept = {one["metadata"]["name"] for one in listed["items"]}
    control.stop(home)
    assert len(users) > 20
    assert len(maps) > 20
    assert set(users) <= there
    assert set(maps) <= kept


def test_writers_at_once_lose_nothing(lab: Any) -> None:
    """Optimistic concurrency: everybody reads, adds one key and replaces; a conflict means: again."""
    cluster = Cluster(lab.home)
    path = "/api/v1/namespaces/default/configmaps/shared"
    cluster.send(
        "POST", path.rpartition("/")[0], {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}}
    )

    def add(writer: int) -> None:
        for index in range(20):
            while True:
                _, found = cluster.send("GET", path)
                found["data"] = {**found.get("data", {}), f"k-{writer}-{index}": "x"}
                status, answer = cluster.send("PUT", path, found)
                if status == 200:
                    break
                assert (status, answer["reason"]) == (409, "Conflict")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert len(cluster.send("GET", path)[1]["data"]) == 80


def test_users_made_at_once_are_one(lab: Any) -> None:
    found = keys(lab.home)

    def create(_: int) -> str:
        try:
            client("iam", found).create_user(UserName="twin")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "made"

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(create, range(4)))
    assert answers == ["EntityAlreadyExists"] * 3 + ["made"]


def raw(url: str, data: bytes, *, tls: bool = False, half_close: bool = False) -> bytes:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as plain:
        connection = ssl._create_unverified_context().wrap_socket(plain) if tls else plain
        connection.sendall(data)
        if half_close:
            plain.shutdown(socket.SHUT_WR)
        parts_read = []
        try:
            while chunk := connection.recv(65_536):
                parts_read.append(chunk)
                if b"".join(parts_read).count(b"\r\n\r\n") and not half_close:
                    break
        except (TimeoutError, ConnectionError):
            return b"".join(parts_read)
        return b"".join(parts_read)


BAD_HTTP = [
    b"GARBAGE\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(500)) + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<a/>",
    b"DELETE / HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n\r\n",
    b"GET /%00%ff?%zz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x.y.z\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
]


@pytest.mark.parametrize("data", BAD_HTTP, ids=range(len(BAD_HTTP)))
def test_bad_http_gets_an_error_of_the_right_protocol(lab: Any, data: bytes) -> None:
    found = keys(lab.home)
    answer = raw(found["AWS_ENDPOINT_URL"], data, half_close=b"chunked" in data)
    assert_clean(answer)
    assert b"<ErrorResponse" in answer or b'"__type"' in answer
    cluster = Cluster(lab.home)
    answer = raw(cluster.url, data, tls=True)
    assert_clean(answer)
    assert b'"kind":"Status"' in answer


def assert_clean(answer: bytes) -> None:
    assert re.match(rb"HTTP/1\.[01] [45]\d\d ", answer), answer[:200]
    for word in (b"Traceback", b"<html", b"<HTML", b'File "'):
        assert word not in answer


def test_a_half_open_connection_holds_nobody_up(lab: Any) -> None:
    found = keys(lab.home)
    parts = urlsplit(found["AWS_ENDPOINT_URL"])
    held = [socket.create_connection((parts.hostname, parts.port)) for _ in range(50)]
    for connection in held:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
    assert client("sts", found).get_caller_identity()["Account"] == "231144931069"
    for connection in held:
        connection.close()


BAD_BODIES = [
    ("POST", "/api/v1/namespaces/default/configmaps", b"{", "application/json", 400),
    ("POST", "/api/v1/namespaces/default/configmaps", b"[]", "application/json", 400),
    ("POST", "/api/v1/namespaces/default/configmaps", b"{}", "text/html", 415),
    ("POST", "/api/v1/namespaces/default/configmaps", b"k8s\x00\xff\xff\xff", "application/vnd.kubernetes.protobuf", 400),
    ("POST", "/api/v1/namespaces/default/configmaps", b"junk", "application/vnd.kubernetes.protobuf", 400),
    ("POST", "/api/v1/namespaces/default/configmaps", b'{"a":' * 20_000, "application/json", 400),
    ("POST", "/api/v1/namespaces/default/configmaps", b"a" * 4_000_000, "application/json", 413),
    ("POST", "/api/v1/namespaces/none/configmaps", b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}', "application/json", 404),
    ("POST", "/api/v1/namespaces/default/configmaps", b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"A B"}}', "application/json", 422),
    ("POST", "/api/v1/namespaces/default/configmaps", b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":1}}', "application/json", 400),
    ("POST", "/api/v1/namespaces/default/configmaps", b'{"apiVersion":"v1","kind":"ConfigMap","metadata":"x"}', "application/json", 400),
    ("PATCH", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", b"[{}]", "application/json-patch+json", 400),
    ("PATCH", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", b"x", "application/json", 415),
    ("PATCH", "/api/v1/namespaces/default/configmaps/a?fieldManager=m", b"a: [", "application/apply-patch+yaml", 400),
    ("PATCH", "/api/v1/namespaces/default/configmaps/a?fieldManager=m", b"a: &x [*x]", "application/apply-patch+yaml", 400),
    ("GET", "/api/v1/configmaps?labelSelector=%21%21%21", None, "", 400),
    ("GET", "/api/v1/configmaps?continue=nonsense", None, "", 400),
    ("GET", "/api/v1/configmaps?limit=-1", None, "", 400),
    ("GET", "/apis/none/v1/things", None, "", 404),
    ("GET", "/api/v1/nothing", None, "", 404),
    ("PUT", "/version", None, "", 405),
    ("DELETE", "/api/v1/namespaces/kube-system", None, "", 403),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "content_type", "expected"), BAD_BODIES)
def test_bad_objects_get_a_status(
    lab: Any, method: str, path: str, body: bytes | None, content_type: str, expected: int
) -> None:
    status, found = Cluster(lab.home).send(method, path, body, content_type)
    assert (status, found["kind"], found["code"]) == (expected, "Status", expected), found


def test_no_secret_is_in_any_log_or_readable_file(lab: Any) -> None:
    found = keys(lab.home)
    cluster = Cluster(lab.home)
    cluster.send("GET", "/api/v1/namespaces")
    cluster.send(
        "POST",
        "/api/v1/namespaces/default/secrets",
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "hunter2-hunter2"}},
    )
    made = client("sts", found).get_session_token()["Credentials"]
    cluster.send("GET", "/api/v1/namespaces?token=" + cluster.token)
    log = (lab.home / "lab.log").read_text()
    for secret in (
        found["AWS_SECRET_ACCESS_KEY"],
        made["SecretAccessKey"],
        made["SessionToken"],
        cluster.token,
        "hunter2-hunter2",
        "X-Amz-Signature",
    ):
        assert secret not in log
    for path in lab.home.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0, path


def test_the_loopback_interface_alone(lab: Any) -> None:
    pid = json.loads((lab.home / "run.json").read_text())["pid"]
    inodes = {
        os.readlink(link)
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.exists() and "socket" in os.readlink(link)
    }
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"]
    own = [row[1] for row in listening if f"socket:[{row[9]}]" in inodes]
    assert own
    assert all(address.startswith("0100007F:") for address in own)


def test_two_labs_side_by_side(start_lab: Callable[..., Any], lab: Any) -> None:
    other = start_lab("--account", "111122223333")
    client("iam", keys(other.home)).create_user(UserName="elsewhere")
    names = {user["UserName"] for user in client("iam", keys(lab.home)).list_users()["Users"]}
    assert "elsewhere" not in names
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client(
            "sts", {**keys(lab.home), "AWS_ENDPOINT_URL": keys(other.home)["AWS_ENDPOINT_URL"]}
        ).get_caller_identity()


def test_a_second_process_for_one_lab_is_refused(lab: Any) -> None:
    with pytest.raises(LabError, match="another process"), LabHome(lab.home).locked():
        pass


def test_reset_changes_the_keys_and_empties_everything(start_lab: Callable[..., Any]) -> None:
    lab = start_lab()
    before = keys(lab.home)
    client("iam", before).create_user(UserName="gone")
    lab.rolecall("lab", "reset", "--yes")
    after = keys(lab.home)
    assert after["AWS_ACCESS_KEY_ID"] != before["AWS_ACCESS_KEY_ID"]
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client("sts", {**before, "AWS_ENDPOINT_URL": after["AWS_ENDPOINT_URL"]}).get_caller_identity()
    assert [user["UserName"] for user in client("iam", after).list_users()["Users"]] == ["lab-admin"]


def test_status_and_exit_codes(start_lab: Callable[..., Any], tmp_path: Path) -> None:
    lab = start_lab()
    Cluster(lab.home)
    found = json.loads(lab.rolecall("lab", "status", "-o", "json").stdout)
    assert (found["status"], found["clusters"][0]["status"]) == ("running", "ACTIVE")
    lab.rolecall("lab", "down")
    stopped = lab.rolecall("lab", "status", check=False)
    assert stopped.returncode == 3
    assert "stopped" in stopped.stdout
    nowhere = subprocess.run(
        [sys.executable, "-m", "rolecall", "lab", "env", "--home", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert nowhere.returncode == 1
    assert nowhere.stdout == ""
    assert "rolecall lab up" in nowhere.stderr
