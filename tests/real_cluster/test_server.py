"""``rolecall server`` as the webhook of the real kube-apiserver: every backend, hot reload, a broken map, a crash.

Sources: aws-iam-authenticator v0.7 README, "Full Configuration Format" and "Dynamic File"; Kubernetes documentation,
"Webhook Token Authentication".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from people import ACCOUNT, SELF_REVIEW, WHOAMI, Login, People, within
from rolecall.lab.kubernetes.crds import IDENTITY_MAPPING_CRD
from rolecall.lab.kubernetes_real.binaries import Binaries
from self_managed import AuthenticatorProcess, SelfManagedCluster

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = ROOT / ".tools" / "kubectl" / "1.36" / "kubectl"
CLUSTER = "self-managed"
AWS_AUTH = "/api/v1/namespaces/kube-system/configmaps"
MAPPINGS = "/apis/iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass
class Place:
    """The cluster, its authenticator, and where the mappings of each backend are."""

    cluster: SelfManagedCluster
    server: AuthenticatorProcess
    people: People
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def dynamic(self) -> Path:
        return self.folder / "dynamic.json"

    def whoami(self, login: Login) -> tuple[int, dict[str, Any]]:
        status, found = self.cluster.send("POST", WHOAMI, SELF_REVIEW, login.token())
        return status, found["status"]["userInfo"] if status == 201 else found

    def may(self, login: Login, verb: str, resource: str) -> bool:
        spec = {"resourceAttributes": {"verb": verb, "resource": resource, "namespace": "default"}}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
        status, found = self.cluster.send("POST", ACCESS, review, login.token())
        assert status == 201, found
        return bool(found["status"]["allowed"])


@pytest.fixture(scope="module")
def place(
    binaries: Binaries, start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    lab = start_lab()
    people = People(lab.home, None, CLUSTER)
    folder = tmp_path_factory.mktemp("server")
    server = AuthenticatorProcess(folder, CLUSTER, people.found["AWS_ENDPOINT_URL"])
    with SelfManagedCluster(binaries, tmp_path_factory.mktemp("plane") / "c", server.webhook) as cluster:
        cluster.write_kubeconfig(folder / "kubeconfig")
        status, found = cluster.send(
            "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", IDENTITY_MAPPING_CRD
        )
        assert status == 201, found
        within(lambda: cluster.send("GET", MAPPINGS)[0] == 200)
        within(lambda: cluster.send("GET", "/api/v1/namespaces/kube-system")[0] == 200)
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "team"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "team"}],
        }
        assert cluster.send("POST", BINDINGS, binding)[0] == 201
        yield Place(cluster, server, people, folder)
        server.stop()


def mounted(place: Place, *entries: str) -> None:
    listed = "".join(entries).replace("\n", "\n    ").rstrip()
    text = f"clusterID: {CLUSTER}\nserver:\n  mapRoles:\n    {listed}\n" if entries else f"clusterID: {CLUSTER}\n"
    place.config.write_text(text)


def config_map(place: Place, *entries: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "aws-auth", "namespace": "kube-system"},
        "data": {"mapRoles": "".join(entries)},
    }
    if place.cluster.send("PUT", f"{AWS_AUTH}/aws-auth", body)[0] == 404:
        status, found = place.cluster.send("POST", AWS_AUTH, body)
        assert status == 201, found


def dynamic(place: Place, *entries: str) -> None:
    roles = [_fields(one) for one in entries]
    temporary = place.dynamic.with_suffix(".new")
    temporary.write_text(json.dumps({"mapRoles": roles, "mapUsers": [], "mapAccounts": []}))
    temporary.replace(place.dynamic)


def objects(place: Place, *entries: str) -> None:
    wanted = {one["rolearn"].rpartition("/")[2].lower(): one for one in map(_fields, entries)}
    for found in place.cluster.send("GET", MAPPINGS)[1]["items"]:
        if found["metadata"]["name"] not in wanted:
            place.cluster.send("DELETE", f"{MAPPINGS}/{found['metadata']['name']}")
    for name, one in wanted.items():
        body = {
            "apiVersion": "iamauthenticator.k8s.aws/v1alpha1",
            "kind": "IAMIdentityMapping",
            "metadata": {"name": name},
            "spec": {"arn": one["rolearn"], "username": one["username"], "groups": one["groups"]},
        }
        place.cluster.send("POST", MAPPINGS, body)


def _fields(entry: str) -> dict[str, Any]:
    import yaml

    (found,) = yaml.safe_load(entry)
    return dict(found)


def entry(arn: str, username: str = "dev:{{SessionName}}") -> str:
    return f'- rolearn: {arn}\n  username: "{username}"\n  groups: [team]\n'


def break_config(place: Place) -> None:
    place.config.write_text(place.config.read_text() + "   - rolearn: [\n")


def break_config_map(place: Place) -> None:
    config_map(place, "- rolearn: [\n")


def break_dynamic(place: Place) -> None:
    place.dynamic.write_text('{"mapRoles": [{"username": "nobody"}')


def break_objects(place: Place) -> None:
    body = {
        "apiVersion": "iamauthenticator.k8s.aws/v1alpha1",
        "kind": "IAMIdentityMapping",
        "metadata": {"name": "broken"},
        "spec": {"arn": "no-arn", "username": "nobody"},
    }
    assert place.cluster.send("POST", MAPPINGS, body)[0] == 201


BACKENDS = {
    "MountedFile": (mounted, break_config, "config.yaml"),
    "EKSConfigMap": (config_map, break_config_map, "aws-auth"),
    "CRD": (objects, break_objects, "broken"),
    "DynamicFile": (dynamic, break_dynamic, "dynamic.json"),
}


def start(place: Place, backend: str, *more: str) -> None:
    own = {
        "DynamicFile": ("--dynamicfilepath", str(place.dynamic)),
        "EKSConfigMap": ("--kubeconfig", str(place.folder / "kubeconfig")),
        "CRD": ("--kubeconfig", str(place.folder / "kubeconfig")),
    }
    # Every question goes to STS, so that nothing but the mapping decides.
    common = ("--backend-mode", backend, "--config", str(place.config), "--token-cache-seconds", "0")
    place.server.start(*common, *own.get(backend, ()), *more)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend(place: Place, backend: str) -> None:
    """Role login, whoami, can-i; a change in force within two seconds; a broken map that changes nothing and is told."""
    write, break_it, named = BACKENDS[backend]
    role, late = place.people.role(f"First-{backend}"), place.people.role(f"Late-{backend}")
    first, second = place.people.assume(role, "rita"), place.people.assume(late, "luis")
    mounted(place)
    write(place, entry(role))
    start(place, backend)
    try:
        within(lambda: place.whoami(first)[0] == 201)
        user = place.whoami(first)[1]
        assert (user["username"], user["groups"]) == ("dev:rita", ["team", "system:authenticated"])
        assert user["extra"]["canonicalArn"] == [role]
        assert user["extra"]["arn"] == [f"arn:aws:sts::{ACCOUNT}:assumed-role/First-{backend}/rita"]
        assert place.may(first, "list", "nodes")
        assert not place.may(first, "delete", "secrets")
        assert place.whoami(second)[0] == 401
        # hot reload: somebody comes, somebody goes
        write(place, entry(role), entry(late))
        within(lambda: place.whoami(second)[0] == 201)
        assert place.whoami(first)[0] == 201
        write(place, entry(late))
        within(lambda: place.whoami(first)[0] == 401)
        # a broken map
        before = len(place.server.said())
        break_it(place)
        within(lambda: named in place.server.said()[before:])
        assert place.whoami(second)[1]["username"] == "dev:luis"
        assert place.whoami(first)[0] == 401
        assert "k8s-aws-v1." not in place.server.said()
    finally:
        place.server.stop()
        for name, (clear, _, _) in BACKENDS.items():
            if name != "MountedFile":
                clear(place)


@pytest.mark.skipif(not KUBECTL.exists(), reason="kubectl 1.36 is not installed")
def test_kubectl(place: Place) -> None:
    """whoami and can-i with the unmodified kubectl and a token that it gets by itself."""
    role = place.people.role("Kubectl")
    login = place.people.assume(role, "kim")
    mounted(place, entry(role))
    start(place, "MountedFile")
    words = [str(KUBECTL), "--kubeconfig=/dev/null", f"--server={place.cluster.endpoint}"]
    words += [f"--certificate-authority={place.cluster.files.ca}", f"--token={login.token()}"]
    try:
        done = subprocess.run([*words, "auth", "whoami", "-o", "json"], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["status"]["userInfo"]["username"] == "dev:kim"
        done = subprocess.run([*words, "auth", "can-i", "list", "nodes"], capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, "yes")
        done = subprocess.run([*words, "auth", "can-i", "delete", "secrets"], capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (1, "no")
    finally:
        place.server.stop()


class Load:
    """Logins by several people at once, each with a token of its own, for as long as the ``with`` block lasts."""

    def __init__(self, place: Place, login: Login) -> None:
        self._place, self._login = place, login
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]
        # When it was begun, when it was answered, and whether it was let in.
        self.logins: list[tuple[float, float, bool]] = []

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.some_more()
        return self

    def some_more(self) -> None:
        """Wait until more have been let in who came after this moment than :meth:`check` asks for."""
        now = time.monotonic()
        within(lambda: sum(1 for begun, _, good in self.logins[:] if good and begun > now) > 12)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            good = self._place.whoami(self._login)[0] == 201
            self.logins.append((begun, time.monotonic(), good))

    def check(self, *gaps: tuple[float, float]) -> None:
        """Lost are at most those that were under way from a kill to the moment that all was well again."""
        first, last = gaps[0][0], gaps[-1][1]
        assert sum(1 for _, ended, good in self.logins if good and ended < first) > 10
        assert sum(1 for begun, _, good in self.logins if good and begun > last) > 10
        lost = [(begun, ended) for begun, ended, good in self.logins if not good]
        for begun, ended in lost:
            assert any(begun <= back and ended >= killed for killed, back in gaps), (gaps, lost)


def test_killed_and_started_again_under_load(place: Place) -> None:
    """The whole server: while nobody listens nobody can be let in, and from the moment that it is ready everybody is."""
    role = place.people.role("Load")
    mounted(place, entry(role))
    start(place, "MountedFile")
    try:
        with Load(place, place.people.assume(role)) as load:
            killed = time.monotonic()
            place.server.kill()
            start(place, "MountedFile")
            back = time.monotonic()
            load.some_more()
    finally:
        place.server.stop()
    load.check((killed, back))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc to find workers in")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_loses_at_most_what_it_was_answering(place: Place, workers: int) -> None:
    """It is started again, and its socket takes connections meanwhile; where there are two, the other one goes on."""
    role = place.people.role(f"Workers{workers}")
    mounted(place, entry(role))
    start(place, "MountedFile", "--workers", str(workers))
    try:
        with Load(place, place.people.assume(role)) as load:
            kills = []
            for worker in place.server.workers():
                kills.append(time.monotonic())
                os.kill(worker, signal.SIGKILL)
                within(lambda worker=worker: worker not in (now := place.server.workers()) and len(now) == workers)  # type: ignore[misc]
                load.some_more()
        load.check(*((moment, moment) for moment in kills))
        assert len(place.server.workers()) == workers
    finally:
        place.server.stop()
