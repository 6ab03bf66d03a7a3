"""What must not go wrong with a real control plane: killed labs and programs, leftovers, keys in the open."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kubectl_steps import create_cluster
from people import within
from raw_cluster import ROLE, Cluster
from rolecall.lab.home import LabHome

MAPS = "/api/v1/namespaces/default/configmaps"
pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc to see processes in")


def processes(home: Path) -> dict[int, str]:
    """The programs that work in a lab's folder, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = os.readlink(folder / "cwd")
        except OSError:
            continue
        if (str(home) in command or where.startswith(str(home))) and "rolecall.lab.serve" not in command:
            found[int(folder.name)] = command
    return found


@pytest.fixture(scope="module")
def cluster(lab: Any) -> Cluster:
    create_cluster(lab.environment(), "c")
    return Cluster(lab.home)


def make(cluster: Cluster, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}
    status, found = cluster.send("POST", MAPS, body)
    assert status == 201, found


def answers(cluster: Cluster, name: str) -> bool:
    try:
        return cluster.send("GET", f"{MAPS}/{name}")[0] == 200
    except OSError:
        return False


def test_keys_are_the_owners_alone_and_in_no_argument(cluster: Cluster, lab: Any) -> None:
    folder = next((lab.home / "clusters").iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secrets = [path for path in folder.iterdir() if path.suffix in (".pem", ".json", ".log")]
    assert len(secrets) > 8
    for path in secrets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    commands = " ".join(processes(lab.home).values())
    assert "kube-apiserver" in commands
    assert "token=" not in commands
    assert "Bearer" not in commands


def test_everything_listens_on_the_loopback_interface(cluster: Cluster, lab: Any) -> None:
    sockets = set()
    for pid in processes(lab.home):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            sockets.add(os.readlink(descriptor).removeprefix("socket:[").rstrip("]"))
    addresses = {
        columns[1].split(":")[0]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (columns := line.split())[3] == "0A" and columns[9] in sockets
    }
    assert addresses == {"0100007F"}


@pytest.mark.parametrize("program", ["kube-apiserver", "etcd", "supervise.py"])
def test_a_killed_program_comes_back_with_its_data(cluster: Cluster, lab: Any, program: str) -> None:
    name = f"before-{program.replace('.', '-')}"
    make(cluster, name)
    before = processes(lab.home)
    # kube-apiserver is started by its name, the supervisor as an argument of Python.
    victim = next(
        pid for pid, command in before.items() if any(word.endswith(f"/{program}") for word in command.split(" ")[:4])
    )
    os.kill(victim, signal.SIGKILL)
    within(lambda: not answers(cluster, name))
    within(lambda: answers(cluster, name))
    assert not set(before) & set(processes(lab.home))


def test_a_killed_lab_leaves_nothing_running_and_finds_its_clusters_again(cluster: Cluster, lab: Any) -> None:
    make(cluster, "before-the-lab")
    serving = LabHome(lab.home).running()
    assert serving is not None
    os.kill(serving.pid, signal.SIGKILL)
    # Started again at once, while what is left is still ending: the address must be the same.
    lab.rolecall("lab", "up", "--detach")
    assert answers(cluster, "before-the-lab")
    assert len(processes(lab.home)) == 3
    serving = LabHome(lab.home).running()
    assert serving is not None
    os.kill(serving.pid, signal.SIGKILL)
    within(lambda: not processes(lab.home))
    lab.rolecall("lab", "up", "--detach")
    assert answers(cluster, "before-the-lab")


def test_a_deleted_cluster_leaves_nothing(cluster: Cluster, lab: Any) -> None:
    environment = lab.environment()
    create_cluster(environment, "short")
    assert len(processes(lab.home)) == 6
    command = ["aws", "eks", "delete-cluster", "--name", "short"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    within(lambda: len(list((lab.home / "clusters").iterdir())) == 1)
    assert len(processes(lab.home)) == 3


def test_a_cluster_that_is_deleted_while_it_is_started_leaves_nothing(cluster: Cluster, lab: Any) -> None:
    environment = lab.environment()
    create = f"create-cluster --name brief --role-arn {ROLE} --resources-vpc-config subnetIds=s"
    for arguments in (create, "delete-cluster --name brief"):
        subprocess.run(["aws", "eks", *arguments.split()], env=environment, check=True, capture_output=True)
    within(lambda: len(list((lab.home / "clusters").iterdir())) == 1)
    assert len(processes(lab.home)) == 3


def test_a_stopped_lab_leaves_nothing(cluster: Cluster, lab: Any) -> None:
    lab.rolecall("lab", "down")
    assert processes(lab.home) == {}
