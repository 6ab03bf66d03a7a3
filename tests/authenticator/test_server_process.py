"""The command ``rolecall server`` as a process: the original's flags, workers that die, and a lab as STS and as cluster."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rolecall.authenticator.connection_limits import MAX_CONNECTIONS, MAX_HELD
from rolecall.sigv4 import Credentials
from rolecall.tokens.mint import mint

# Against hangs alone: no test waits for so long.
HANGS = 300.0


def run_rolecall(*arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command ``rolecall``."""
    command = [sys.executable, "-m", "rolecall", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, check=False, **options)
    assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done


def wait_until(true: Callable[[], bool], says: Callable[[], str]) -> None:
    """Wait for something to happen."""
    ends = time.monotonic() + HANGS
    while not true():
        assert time.monotonic() < ends, says()
        time.sleep(0.02)


ACCOUNT = "231144931069"


@dataclass
class Server:
    """A running authenticator."""

    process: subprocess.Popen[bytes]
    folder: Path
    url: str
    cluster: str
    sts: str
    tls: ssl.SSLContext

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def ask(self, path: str, body: Any = None) -> tuple[int, str]:
        data = json.dumps(body).encode() if body is not None else None
        try:
            with urllib.request.urlopen(f"{self.url}{path}", data, timeout=HANGS, context=self.tls) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self, credentials: Credentials) -> dict[str, Any]:
        token = mint(credentials, self.cluster, region="eu-west-2", now=datetime.now(UTC), endpoint=self.sts).value
        question = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        code, text = self.ask("/authenticate", question)
        assert code == 200, (code, text)
        found: dict[str, Any] = json.loads(text)["status"]
        return found

    def who(self, credentials: Credentials) -> str:
        status = self.status(credentials)
        return str(status["user"]["username"]) if status["authenticated"] else ""

    def until(self, credentials: Credentials, username: str) -> None:
        """Wait until a change is in force."""
        wait_until(lambda: self.who(credentials) == username, self.log)


@contextmanager
def server(
    folder: Path, sts: str, *arguments: str, cluster: str = "prod", env: dict[str, str] | None = None
) -> Iterator[Server]:
    command = [sys.executable, "-m", "rolecall", "server", "-i", cluster, "--port=0", "--healthz-port=0"]
    command += [f"--state-dir={folder}/state", f"--generate-kubeconfig={folder}/webhook.yaml"]
    command += ["--sts-endpoint", sts, "--client-rate=0", *arguments]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, env=env) as process:
        try:
            log_file = folder / "log"
            wait_until(
                lambda: b"listening on" in log_file.read_bytes() or process.poll() is not None, log_file.read_text
            )
            assert process.poll() is None, log_file.read_text()
            found = yaml.safe_load((folder / "webhook.yaml").read_text())["clusters"][0]["cluster"]
            authority = base64.b64decode(found["certificate-authority-data"]).decode()
            url = found["server"].removesuffix("/authenticate")
            yield Server(process, folder, url, cluster, sts, ssl.create_default_context(cadata=authority))
        finally:
            if process.poll() is None:
                process.terminate()
            assert process.wait(HANGS) in (0, -signal.SIGKILL), (folder / "log").read_text()


@pytest.fixture(scope="module")
def lab(start_lab: Callable[..., Any]) -> Any:
    return start_lab()


@dataclass
class World:
    """A lab with a cluster, and somebody who may sign tokens."""

    environment: dict[str, str]
    endpoint: str
    dev: Credentials

    def run(self, *command: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            command, env=self.environment, input=stdin, capture_output=True, text=True, timeout=HANGS, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def config_map(self, **data: str) -> None:
        document = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "aws-auth", "namespace": "kube-system"},
            "data": data,
        }
        self.run("kubectl", "apply", "-f", "-", stdin=json.dumps(document))


@pytest.fixture(scope="module")
def world(lab: Any) -> World:
    environment = lab.environment()
    endpoint = environment["AWS_ENDPOINT_URL"]

    def aws(*arguments: str) -> Any:
        done = subprocess.run(
            ["aws", *arguments, "--output", "json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        ],
    }
    for role in ("eks", "Dev"):
        aws("iam", "create-role", "--role-name", role, "--assume-role-policy-document", json.dumps(trust))
    aws(
        "eks", "create-cluster", "--name", "web", "--role-arn", f"arn:aws:iam::{ACCOUNT}:role/eks",
        "--resources-vpc-config", "subnetIds=subnet-1", "--access-config", "authenticationMode=API_AND_CONFIG_MAP",
    )  # fmt: skip
    aws("eks", "wait", "cluster-active", "--name", "web")
    environment["KUBECONFIG"] = str(lab.home / "test-kubeconfig")
    subprocess.run(
        ["aws", "eks", "update-kubeconfig", "--name", "web"], env=environment, capture_output=True, check=True
    )
    session = aws("sts", "assume-role", "--role-arn", f"arn:aws:iam::{ACCOUNT}:role/Dev", "--role-session-name", "ann")
    key = session["Credentials"]
    dev = Credentials(key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"])
    return World(environment, endpoint, dev)


def map_dev(username: str) -> str:
    return f"- rolearn: arn:aws:iam::{ACCOUNT}:role/Dev\n  username: {username}:{{{{SessionName}}}}\n  groups: [dev]\n"


def test_a_lab_as_sts_and_the_config_map_watched(world: World, tmp_path: Path) -> None:
    flags = ("--backend-mode=EKSConfigMap", "--kubeconfig", world.environment["KUBECONFIG"])
    with server(tmp_path, world.endpoint, *flags, cluster="web", env=world.environment) as running:
        world.config_map(mapRoles=map_dev("one"))
        running.until(world.dev, "one:ann")
        world.config_map(mapRoles=map_dev("two"))
        running.until(world.dev, "two:ann")
        # A broken map changes nothing and is reported with its line.
        world.config_map(mapRoles=map_dev("three") + "- role_arn: x\n", mapUsers="[]")
        wait_until(lambda: 'line="mapRoles line 4"' in running.log(), running.log)
        assert running.who(world.dev) == "two:ann"
        world.run("kubectl", "-n", "kube-system", "delete", "configmap", "aws-auth")
        wait_until(lambda: 'msg="mapping is gone: the last good one stays in force"' in running.log(), running.log)
        assert running.who(world.dev) == "two:ann"
        world.config_map(mapRoles=map_dev("four"))
        running.until(world.dev, "four:ann")
        # Another cluster's token and a changed secret are STS's to refuse.
        running.cluster = "other"
        assert running.who(world.dev) == ""
        running.cluster = "web"
        assert running.who(Credentials(world.dev.access_key_id, "wrong", world.dev.session_token)) == ""


def test_add_and_remove_by_the_originals_flags(world: World, tmp_path: Path) -> None:
    def rolecall(*arguments: str, check: bool = True) -> Any:
        return run_rolecall(*arguments, check=check, env=world.environment)

    flags = ("--backend-mode=EKSConfigMap", "--kubeconfig", world.environment["KUBECONFIG"])
    arn = f"arn:aws:iam::{ACCOUNT}:role/Dev"
    world.config_map(mapRoles="# ours\n[]\n")
    with server(tmp_path, world.endpoint, *flags, cluster="web", env=world.environment) as running:
        add = ("add", "role", "--rolearn", arn, "--username", "added", "--groups=a,b", "--prompt=false")
        rolecall(*add)
        running.until(world.dev, "added")
        again = rolecall(*add, check=False)
        assert again.returncode == 1
        assert "is mapped already" in again.stderr
        rolecall("remove", "role", "--rolearn", arn, "--prompt=false")
        running.until(world.dev, "")
        assert rolecall("remove", "role", "--rolearn", arn, "--prompt=false", check=False).returncode == 1
        sso = ("--sso", f"permissionSetName=Admin,accountID={ACCOUNT}", "--prompt=false")
        rolecall("add", "role", *sso, "--username", "it's", "--groups", "g")
        shown = world.run("kubectl", "-n", "kube-system", "get", "cm", "aws-auth", "-o", "jsonpath={.data.mapRoles}")
        assert yaml.safe_load(shown)[-1]["sso"] == {"permissionSetName": "Admin", "accountID": ACCOUNT}
        rolecall("remove", "role", *sso)
        user = f"arn:aws:iam::{ACCOUNT}:user/people/dan"
        rolecall("add", "user", "--userarn", user, "--username", "dan", "--groups", "g", "--no-prompt")
        rolecall("remove", "user", "--userarn", user, "--no-prompt")
        assert rolecall(*add[:-1], check=False).returncode == 1  # nobody to ask


def test_identity_mappings_watched_and_their_status_written(world: World, tmp_path: Path) -> None:
    flags = ("--backend-mode", "CRD", "--kubeconfig", world.environment["KUBECONFIG"])
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "iamidentitymappings.iamauthenticator.k8s.aws"},
        "spec": {
            "group": "iamauthenticator.k8s.aws",
            "scope": "Cluster",
            "names": {
                "plural": "iamidentitymappings",
                "singular": "iamidentitymapping",
                "kind": "IAMIdentityMapping",
                "listKind": "IAMIdentityMappingList",
            },
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }
    world.run("kubectl", "apply", "-f", "-", stdin=json.dumps(definition))
    with server(tmp_path, world.endpoint, *flags, cluster="web", env=world.environment) as running:
        arn = f"arn:aws:iam::{ACCOUNT}:role/Dev"
        run_rolecall(
            "add",
            "role",
            "--rolearn",
            arn,
            "--username",
            "by-crd",
            "--groups",
            "g",
            "--backend=CRD",
            "--prompt=false",
            env=world.environment,
        )
        running.until(world.dev, "by-crd")
        listed = json.loads(world.run("kubectl", "get", "iamidentitymappings", "-o", "json"))["items"]
        assert [one["status"]["canonicalARN"] for one in listed] == [arn.lower()]
        other = {
            "apiVersion": "iamauthenticator.k8s.aws/v1alpha1",
            "kind": "IAMIdentityMapping",
            "metadata": {"name": "a-name-of-ones-own"},
            "spec": {"arn": arn.replace("Dev", "Ops"), "username": "ops", "groups": []},
        }
        world.run("kubectl", "apply", "--validate=false", "-f", "-", stdin=json.dumps(other))
        for mapped in (arn, arn.upper().replace("ARN:AWS:IAM", "arn:aws:iam").replace("ROLE", "role")):
            for one in (mapped, mapped.replace("Dev", "Ops").replace("DEV", "OPS")):
                command = ("add", "role", "--rolearn", one, "--username", "x", "--groups", "g", "--backend=CRD")
                again = run_rolecall(*command, "--prompt=false", env=world.environment, check=False)
                assert (again.returncode, again.stdout) == (1, "")
                assert "is mapped already" in again.stderr
        run_rolecall("remove", "role", "--rolearn", arn, "--backend=CRD", "--prompt=false", env=world.environment)
        running.until(world.dev, "")


def test_access_entries_of_the_eks_api(world: World, tmp_path: Path) -> None:
    def eks(*arguments: str) -> None:
        world.run("aws", "eks", *arguments, "--cluster-name", "web")

    arn = f"arn:aws:iam::{ACCOUNT}:role/Dev"
    flags = ("--access-entries-cluster=web", "--access-entries-seconds=1", "--region=eu-west-2")
    with server(tmp_path, world.endpoint, *flags, cluster="web", env=world.environment) as running:
        eks(
            "create-access-entry", "--principal-arn", arn, "--username", "e:{{SessionName}}", "--kubernetes-groups", "g"
        )
        running.until(world.dev, "e:ann")
        # Under the old name another role: the entry was not made for it.
        world.run("aws", "iam", "delete-role", "--role-name", "Dev")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
            ],
        }
        time.sleep(1.1)
        world.run("aws", "iam", "create-role", "--role-name", "Dev", "--assume-role-policy-document", json.dumps(trust))
        session = json.loads(
            world.run("aws", "sts", "assume-role", "--role-arn", arn, "--role-session-name", "ann", "--output", "json")
        )["Credentials"]
        again = Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
        assert running.who(again) == ""
        eks("delete-access-entry", "--principal-arn", arn)


CONFIG = """
clusterID: from-file
server:
  mapRoles:
  - roleARN: arn:aws:iam::111122223333:role/Dev
    username: dev:{{SessionName}}
"""


class Load:
    """Four clients that ask one after the other until they are stopped."""

    def __init__(self, running: Server) -> None:
        self.good = self.refused = self.lost = 0
        self._running = running
        self._credentials = Credentials("ASIADEVDEVDEVDEVDEV1", "s", "t")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._stop.is_set():
            good = refused = lost = 0
            try:
                good = self._running.who(self._credentials) == "dev:ann-example.com"
                refused = not good
            except (OSError, AssertionError):
                lost = 1
            with self._lock:
                self.good, self.refused, self.lost = self.good + good, self.refused + refused, self.lost + lost

    def some_more(self) -> None:
        """Wait until each client has most likely asked again."""
        wanted = self.good + 8
        wait_until(lambda: self.good >= wanted, lambda: f"{self.good} good, {self.lost} lost\n{self._running.log()}")

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_die_under_load_lose_what_was_in_flight_alone(tmp_path: Path, workers: int) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    arguments = ("-c", str(tmp_path / "config.yaml"), f"--workers={workers}")
    with stand_in() as sts, server(tmp_path, sts, *arguments) as running:
        load = Load(running)
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
        killed = 0
        for _ in range(3):
            load.some_more()
            before = children.read_text().split()
            os.kill(int(before[0]), signal.SIGKILL)
            killed += 1
            wait_until(
                lambda before=before: len(now := children.read_text().split()) == workers and before[0] not in now,  # type: ignore[misc]
                running.log,
            )
        load.some_more()
        load.end()
        assert load.refused == 0
        # One request in flight on each of four connections, at most, for each worker that was killed.
        assert load.lost <= 4 * killed, running.log()
        _, metrics = running.ask("/metrics")
        found = re.search(r'authenticate_latency_seconds_count\{result="success"\} ([0-9.]+)', metrics)
        assert found
        if workers > 1:
            # Counters of workers that are gone are kept, whichever worker answers.
            assert load.good <= float(found[1]) <= load.good + load.lost
        now = children.read_text().split()
        os.kill(running.process.pid, signal.SIGKILL)
        # No worker outlives its keeper.
        wait_until(lambda: not any(Path(f"/proc/{child}/stat").exists() for child in now), running.log)


@contextmanager
def stand_in() -> Iterator[str]:
    """STS's stand-in on a thread."""
    import asyncio

    from sts_stand_in import StsStandIn

    found: list[str] = []
    started, stop = threading.Event(), threading.Event()

    async def run() -> None:
        async with StsStandIn() as sts:
            found.append(sts.endpoint)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    started.wait()
    try:
        yield found[0]
    finally:
        stop.set()
        thread.join()


def test_files_flags_and_the_end(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    flags = (
        "-c",
        str(tmp_path / "config.yaml"),
        "-l",
        "json",
        "--kubeconfig-pregenerated=false",
        "--feature-gates=SSORoleMatch=true",
    )
    with server(tmp_path, "http://127.0.0.1:1", *flags, "--audit-log", str(tmp_path / "audit")) as running:
        for name, mode in (
            ("state/key.pem", 0o600),
            ("state/cert.pem", 0o644),
            ("webhook.yaml", 0o644),
            ("audit", 0o600),
        ):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode, name
        assert all(json.loads(line)["time"] for line in running.log().splitlines())
        # STS cannot be reached: that is no refusal.
        code, _ = running.ask(
            "/authenticate",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {
                    "token": mint(
                        Credentials("ASIADEVDEVDEVDEVDEV1", "s", "t"),
                        "prod",
                        region="eu-west-2",
                        now=datetime.now(UTC),
                        endpoint="http://127.0.0.1:1",
                    ).value
                },
            },
        )
        assert code == 503
        authority = (tmp_path / "webhook.yaml").read_text()
        running.process.terminate()
        assert running.process.wait(HANGS) == 0
    # The certificate is kept: the API server's configuration stays true.
    with server(tmp_path, "http://127.0.0.1:1", *flags):
        one, two = (
            yaml.safe_load(text)["clusters"][0]["cluster"]
            for text in (authority, (tmp_path / "webhook.yaml").read_text())
        )
        assert one["certificate-authority-data"] == two["certificate-authority-data"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "cluster ID cannot be empty"),
        (("-i", "x", "--backend-mode=Nope"), "not a valid mode"),
        (("-i", "x", "--partition", "aws-mars"), "Invalid partition"),
        (("-i", "x", "-c", "/does/not/exist"), "can't read the configuration file"),
        (("-i", "x", "--feature-gates=Nope=true"), "unknown feature gate"),
        (("-i", "x", "--sts-endpoint=http://sts.example.com"), "stand for STS"),
        (("-i", "x", "--state-dir=/proc/x"), "certificate cannot be made"),
        (("-i", "x", "--sts-connections=0"), "stsConnections is not from 1"),
    ],
)
def test_a_start_that_cannot_be_meant(arguments: tuple[str, ...], says: str) -> None:
    done = run_rolecall("server", *arguments, check=False)
    assert done.returncode == 1, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="there is no /proc to read limits in")
def test_more_connections_than_the_shell_allows_files(tmp_path: Path) -> None:
    """getrlimit(2): the soft limit of 1,024 files is for programs that use select; programs in Go raise it."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    (tmp_path / "config.yaml").write_text(CONFIG)
    flags = ("-c", str(tmp_path / "config.yaml"))
    with stand_in() as sts:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            running = server(tmp_path, sts, *flags)
            found = running.__enter__()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        try:
            port = int(found.url.rpartition(":")[2])
            idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(400)]
            assert found.who(Credentials("ASIADEVDEVDEVDEVDEV1", "s", "t")) == "dev:ann-example.com"
            for one in idle:
                one.close()
        finally:
            running.__exit__(None, None, None)


def test_authorities_that_are_none(tmp_path: Path) -> None:
    for name, words in (("none.pem", "No such file"), ("config.yaml", "no certificate authorities")):
        (tmp_path / "config.yaml").write_text(CONFIG)
        flags = (f"--sts-ca-file={tmp_path / name}", "--port=0", f"--state-dir={tmp_path}/state")
        done = run_rolecall("server", "-i", "x", *flags, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_server_whose_workers_cannot_start_ends(tmp_path: Path) -> None:
    # Kubernetes documentation, "Pod Lifecycle": a container that exits is what shows a start that fails.
    # A package of this name that the keeper does not need, and every worker does.
    (tmp_path / "uvloop.py").write_text("raise OSError('no room')\n")
    done = run_rolecall(
        "server", "-i", "x", "--port=0", "--healthz-port=0", "--workers=2", f"--state-dir={tmp_path}/state",
        f"--generate-kubeconfig={tmp_path}/kubeconfig", env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert 'msg="a worker has failed"' in done.stderr
    assert "no room" in done.stderr
    assert 'msg="the server cannot start"' in done.stderr


def pss(process: str) -> float:
    """Megabytes of a process, what it shares divided among those that share it (proc(5), ``smaps_rollup``)."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def limit_of_the_manifests() -> float:
    """Megabytes that the manifests allow."""
    root = Path(__file__).resolve().parents[2]
    manifest = yaml.safe_load((root / "deploy/kustomize/daemonset/daemonset.yaml").read_text())
    text: str = manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    return float(text.removesuffix("Mi"))


def test_idle_memory_and_idle_connections_fit_the_manifests(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    with stand_in() as sts, server(tmp_path, sts, "-c", str(tmp_path / "config.yaml")) as running:
        keeper = str(running.process.pid)
        worker = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0]
        assert running.who(Credentials("ASIADEVDEVDEVDEVDEV1", "s", "t")) == "dev:ann-example.com"
        assert pss(keeper) <= 12
        before = pss(worker)
        assert pss(keeper) + before <= 45
        # Connections as an API server's idle ones are: a handshake, a question, nothing more.
        port, count = int(running.url.rpartition(":")[2]), 300
        idle = []
        for _ in range(count):
            raw = socket.create_connection(("127.0.0.1", port), timeout=HANGS)
            one = running.tls.wrap_socket(raw, server_hostname="localhost")
            one.sendall(b"POST /authenticate HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + b" " * 20_000)
            assert one.recv(20).startswith(b"HTTP/1.1 400")
            idle.append(one)
        each = (pss(worker) - before) / count
        for one in idle:
            one.close()
    # All connections that there may be, with all that they may hold, and the rest of the process twice over.
    assert 2 * 45 + each * MAX_CONNECTIONS + MAX_HELD / 1024**2 < limit_of_the_manifests(), (
        f"{each * 1024:.1f} KiB each"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_another_server_has(tmp_path: Path, workers: str) -> None:
    # bind(2): EADDRINUSE; socket(7): SO_REUSEPORT would let both of them listen, and each get some of the requests.
    with stand_in() as sts, server(tmp_path, sts, "--workers", workers) as running:
        port = running.url.rpartition(":")[2]
        done = run_rolecall(
            "server", "-i", "other", "--port", port, "--healthz-port=0", "--workers", workers,
            f"--state-dir={tmp_path}/state", f"--generate-kubeconfig={tmp_path}/other.yaml", check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot listen: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_file_says_which_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG + "  - username: x\n")
    done = run_rolecall("server", "-c", str(tmp_path / "config.yaml"), check=False)
    assert done.returncode == 1
    assert "config.yaml line 7" in done.stderr


def test_init_makes_the_files_ahead(tmp_path: Path) -> None:
    done = run_rolecall("init", "-i", "prod", "--hostname", "auth.example", cwd=tmp_path)
    assert "--authentication-token-webhook-config-file=" in done.stdout
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    found = yaml.safe_load((tmp_path / "aws-iam-authenticator.kubeconfig").read_text())
    assert (
        base64.b64decode(found["clusters"][0]["cluster"]["certificate-authority-data"])
        == (tmp_path / "cert.pem").read_bytes()
    )
    # config.go, ServerURL: the hostname, whatever the address.
    assert found["clusters"][0]["cluster"]["server"] == "https://auth.example:21362/authenticate"
    certificate = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    # constants.go, certLifetime: a hundred years.
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 36500
    again = run_rolecall("-v", "error", "-i", "prod", "init", cwd=tmp_path)
    assert (again.stderr, (tmp_path / "cert.pem").read_bytes()) == ("", certificate.public_bytes(Encoding.PEM))


def test_init_writes_where_the_file_says_behind_its_gate(tmp_path: Path) -> None:
    """init.go: without ConfiguredInitDirectories the directories of the file are for the server alone."""
    text = f"clusterID: prod\nserver: {{stateDir: {tmp_path}/state, generateKubeconfig: {tmp_path}/webhook.yaml}}\n"
    (tmp_path / "config.yaml").write_text(text)
    run_rolecall("init", "-c", "config.yaml", cwd=tmp_path)
    assert (tmp_path / "key.pem").exists()
    assert not (tmp_path / "state").exists()
    run_rolecall("init", "-c", "config.yaml", "--feature-gates=ConfiguredInitDirectories=T", cwd=tmp_path)
    assert (tmp_path / "state/key.pem").exists()
    assert (tmp_path / "webhook.yaml").exists()


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_init_locks_a_file_of_its_own(tmp_path: Path, kind: str) -> None:
    """open(2), O_NOFOLLOW: whoever may write into the directory must not have root create or lock a file elsewhere."""
    (tmp_path / "state").mkdir()
    lock = tmp_path / "state/.lock"
    lock.symlink_to(tmp_path / "elsewhere") if kind == "link" else os.mkfifo(lock)
    done = run_rolecall("init", "-i", "x", "--state-dir", "state", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert ".lock" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "state/key.pem").exists()


def test_health_checks_come_from_everywhere(tmp_path: Path) -> None:
    """server.go: ``http.Server{Addr: ":21363"}`` listens on every address, of both protocols."""
    with stand_in() as sts:
        free = socket.create_server(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with server(tmp_path, sts, f"--healthz-port={port}") as running:
            addresses = {"127.0.0.1", "127.0.0.2", socket.gethostbyname(socket.gethostname())}
            for address in (*addresses, *(["[::1]"] if socket.has_dualstack_ipv6() else [])):
                with urllib.request.urlopen(f"http://{address}:{port}/healthz", timeout=HANGS) as answer:
                    assert answer.read() == b"ok"
            # What is asked over TLS stays where --address says.
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.2", int(running.url.rpartition(":")[2])), timeout=300)
