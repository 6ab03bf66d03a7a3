"""``rolecall aws-auth`` on a cluster of a lab: guards, history, going back, kills and writers at once."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.models.rbac_v1 import RoleRef, Subject
from lightkube.resources.core_v1 import ConfigMap
from lightkube.resources.rbac_authorization_v1 import ClusterRoleBinding
from typer.testing import CliRunner, Result

from lab_shell import enter
from rolecall.access.read_world import connect_cluster
from rolecall.aws.read_clusters import describe_cluster
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.cli.cluster_maps.aws_auth import app
from rolecall.clusters.config_maps import ConfigMapState, edit_config_map, read_config_map
from rolecall.clusters.connect import Connection
from rolecall.errors import RolecallError
from rolecall.mapping.reading.aws_auth import parse_aws_auth

ACCOUNT, REGION = "111122223333", "eu-west-2"
A = f"arn:aws:iam::{ACCOUNT}"
NODES = f"- rolearn: {A}:role/node  # keep\n  username: system:node:{{{{EC2PrivateDNSName}}}}\n  groups:\n  - system:nodes\n"


@dataclass(frozen=True)
class Shell:
    """A terminal in the lab's shell, with a kubeconfig for the cluster, and a connection to look with."""

    environment: dict[str, str]
    connection: Connection

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300, **options)

    def aws_auth(self, *arguments: str, ok: bool | None = True) -> Result:
        """The command, in this process; on the cluster by its name unless a kubeconfig is given."""
        if not {"--kubeconfig", "--context"} & set(arguments):
            arguments = (*arguments, "--cluster", "c")
        done = CliRunner().invoke(app, list(arguments))
        assert done.exception is None or isinstance(done.exception, (RolecallError, SystemExit)), done.exception
        assert ok is None or (done.exit_code == 0) is ok, (done.output, done.exception)
        return done

    def refused(self, *arguments: str) -> str:
        return str(self.aws_auth(*arguments, ok=False).exception)

    def state(self) -> ConfigMapState:
        return read_config_map(self.connection)

    def data(self) -> dict[str, str]:
        return dict(self.state().data)

    def write(self, data: dict[str, str]) -> None:
        """Somebody else's change."""
        edit_config_map(self.connection, lambda _: data)

    def delete(self, name: str) -> None:
        with contextlib.suppress(ApiError):
            self.connection.client.delete(ConfigMap, name, namespace="kube-system")

    def reset(self, data: dict[str, str]) -> None:
        """aws-auth as somebody else made it, and no history."""
        self.delete("rolecall-aws-auth-history")
        self.write({})
        self.write(data)

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.aws_auth("history", "-o", "json").stdout)["changes"]
        return found


@pytest.fixture(scope="module")
def shell(start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    environment = start_lab("--account", ACCOUNT, "--region", REGION).environment()
    environment |= {"KUBECONFIG": str(tmp_path_factory.mktemp("kube") / "config")}
    with pytest.MonkeyPatch.context() as patch:
        enter(environment, patch)
        patch.setenv("PATH", environment["PATH"])
        clients = AwsClients([AccountAccess(ACCOUNT)])
        eks = clients.client(ACCOUNT, "eks")
        role = f"{A}:role/eks"
        eks.create_cluster(name="c", roleArn=role, resourcesVpcConfig={"subnetIds": ["s-1"]})
        eks.get_waiter("cluster_active").wait(name="c", WaiterConfig={"Delay": 1})
        connection = connect_cluster(clients, describe_cluster(clients, ACCOUNT, REGION, "c"))
        yield Shell(environment, connection)


def test_set_history_rollback_to_the_byte(shell: Shell) -> None:
    before = {"mapRoles": NODES, "mapUsers": "# people\n", "mapAccounts": "- '444455556666'", "other": "\tkept\r\n"}
    shell.reset(before)
    done = shell.aws_auth("set", f"{A}:role/Dev", "--username", "dev", "--group", "d", "--why", "ticket 7")
    assert f"+- rolearn: {A}:role/Dev" in done.stdout
    assert shell.data() == {
        **before,
        "mapRoles": NODES + f"- rolearn: {A}:role/Dev\n  username: dev\n  groups:\n  - d\n",
    }
    shell.aws_auth("set", f"{A}:user/ann", "--username", "ann")
    shell.aws_auth("remove", f"{A}:role/Dev")
    history = shell.history()
    assert [(c["change"], c["what"], c.get("why", ""), c["outcome"]) for c in history] == [
        (1, f"set {A}:role/Dev", "ticket 7", "made"),
        (2, f"set {A}:user/ann", "", "made"),
        (3, f"remove {A}:role/Dev", "", "made"),
    ]
    assert all(c["who"].startswith("arn:aws:") and c["time"].endswith("Z") for c in history)
    shell.aws_auth("rollback")
    assert "Dev" in shell.data()["mapRoles"]
    shell.aws_auth("rollback", "1")
    assert shell.data() == before
    # Going back is a change too, and can be taken back.
    shell.aws_auth("rollback")
    assert "Dev" in shell.data()["mapRoles"]
    assert [c["what"] for c in shell.history()][3:] == ["rollback 3", "rollback 1", "rollback 5"]


def test_nothing_to_change_writes_nothing(shell: Shell) -> None:
    shell.reset({"mapRoles": NODES})
    version = shell.state().version
    assert "nothing to change" in shell.aws_auth("remove", f"{A}:role/Nobody").stdout
    shell.aws_auth("set", f"{A}:role/Dev", "--username", "dev", "--dry-run")
    assert shell.state().version == version
    assert shell.history() == []
    assert "no change to take back" in shell.refused("rollback")


def test_made_where_there_is_none(shell: Shell) -> None:
    shell.reset({})
    shell.delete("aws-auth")
    shell.aws_auth("set", f"{A}:role/Dev", "--username", "dev")
    assert set(parse_aws_auth(shell.data()).roles) == {f"{A}:role/dev"}
    shell.aws_auth("rollback")
    assert shell.data() == {}


def test_guards_know_the_caller_the_nodes_and_the_administrators(shell: Shell, tmp_path: Path) -> None:
    admin = f"- rolearn: {A}:role/Boss\n  username: boss\n  groups: [bosses]\n"
    shell.reset({"mapRoles": NODES + admin})
    assert "nodes would be locked out" in shell.refused("remove", f"{A}:role/node")
    # An administrator by a binding of RBAC, who takes their own entry away.
    role = RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name="cluster-admin")
    subjects = [Subject(kind="Group", name="bosses", apiGroup="rbac.authorization.k8s.io")]
    shell.connection.client.create(
        ClusterRoleBinding(roleRef=role, metadata=ObjectMeta(name="bosses"), subjects=subjects)
    )
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"{A}:root"}, "Action": "sts:AssumeRole"}],
    }
    shell.run(
        "aws",
        "iam",
        "create-role",
        "--role-name",
        "Boss",
        "--assume-role-policy-document",
        json.dumps(trust),
        check=True,
    )
    config = tmp_path / "boss"
    shell.run(
        "aws",
        "eks",
        "update-kubeconfig",
        "--name",
        "c",
        "--role-arn",
        f"{A}:role/Boss",
        "--kubeconfig",
        str(config),
        check=True,
    )
    refused = shell.refused("remove", f"{A}:role/Boss", "--kubeconfig", str(config))
    assert f"this would lock you out: you get in as {A}:role/Boss by aws-auth mapRoles line 5" in refused
    assert "--allow lockout-caller" in refused
    demoted = shell.refused("set", f"{A}:role/Boss", "--group", "x", "--kubeconfig", str(config))
    assert "you would no longer be an administrator" in demoted
    assert shell.data() == {"mapRoles": NODES + admin}
    allowed = ("--allow", "lockout-caller", "--allow", "lockout-last-admin")
    shell.aws_auth("remove", f"{A}:role/Boss", "--kubeconfig", str(config), *allowed)
    assert shell.data() == {"mapRoles": NODES}


def test_going_back_does_not_take_away_what_others_did(shell: Shell) -> None:
    shell.reset({"mapRoles": NODES})
    shell.aws_auth("set", f"{A}:role/Dev", "--username", "dev")
    theirs = shell.data()["mapRoles"] + f"- rolearn: {A}:role/Theirs\n  username: t\n"
    shell.write({"mapRoles": theirs})
    refused = shell.refused("rollback", "1")
    assert "somebody else changed aws-auth since change 1" in refused
    assert shell.data()["mapRoles"] == theirs
    shell.aws_auth("rollback", "1", "--allow", "others-changes")
    assert shell.data()["mapRoles"] == NODES


def test_lint_of_a_cluster(shell: Shell) -> None:
    shell.reset({"mapRoles": NODES + f"- roleArn: {A}:role/team/Dev\n  username: dev\n"})
    found = shell.aws_auth("lint", ok=None)
    assert found.exit_code == 1
    assert "mapRoles:5: error: the key roleArn has capital letters" in found.stdout
    assert "mapRoles:5: error: a role ARN with a path never matches" in found.stdout
    assert shell.aws_auth("lint", "--context", "none", ok=None).exit_code == 2


_KILLED_BETWEEN = """
import os, signal, sys
from rolecall.clusters import config_maps
real = config_maps.write_config_map
def write(connection, base, data, *, name="aws-auth", **more):
    if name == "aws-auth":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(connection, base, data, name=name, **more)
config_maps.write_config_map = write
from rolecall.cli.main import main
sys.argv = ["rolecall", "aws-auth", *sys.argv[1:]]
main()
"""


def test_killed_between_the_record_and_the_write(shell: Shell) -> None:
    shell.reset({"mapRoles": NODES})
    shell.aws_auth("set", f"{A}:role/One", "--username", "one")
    one = shell.data()
    killed = shell.run(
        sys.executable, "-c", _KILLED_BETWEEN, "set", f"{A}:role/Two", "--username", "two", "--cluster", "c"
    )
    assert killed.returncode == -signal.SIGKILL
    assert shell.data() == one
    assert [c["outcome"] for c in shell.history()] == ["made", "not-made"]
    # The next change goes on from there, and going back passes over what was never made.
    shell.aws_auth("rollback")
    assert shell.data() == {"mapRoles": NODES}
    assert [c["outcome"] for c in shell.history()] == ["made", "not-made", "made"]


def test_killed_at_any_moment_leaves_the_old_or_the_new_and_a_record(shell: Shell) -> None:
    shell.reset({"mapRoles": NODES})
    moments, outcomes = random.Random(5), set()
    for number in range(6):
        before, arn = shell.data(), f"{A}:role/r{number}"
        command = [sys.executable, "-m", "rolecall", "aws-auth", "set", arn, "--username", "x", "--cluster", "c"]
        process = subprocess.Popen(command, env=shell.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.3, 1.3))
        process.send_signal(signal.SIGKILL)
        process.wait(300)
        after = shell.data()
        added = f"- rolearn: {arn}\n  username: x\n  groups: []\n"
        assert after["mapRoles"] in (before["mapRoles"], before["mapRoles"] + added)
        outcomes.add(after == before)
        if after != before:
            assert (shell.history()[-1]["what"], shell.history()[-1]["outcome"]) == (f"set {arn}", "made")
    made = [change for change in shell.history() if change["outcome"] == "made"]
    assert len(made) == len(parse_aws_auth(shell.data()).roles) - 1
    if made:
        shell.aws_auth("rollback", str(made[0]["change"]))
        assert shell.data() == {"mapRoles": NODES}


def test_commands_at_once_lose_nothing_and_record_everything(shell: Shell) -> None:
    shell.reset({"mapRoles": NODES})
    arns = [f"{A}:role/r{number}" for number in range(6)]

    def add(arn: str) -> None:
        command = (sys.executable, "-m", "rolecall", "aws-auth", "set", arn, "--username", "x", "--cluster", "c")
        shell.run(*command, check=True)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, arns))
    assert set(parse_aws_auth(shell.data()).roles) == {arn.lower() for arn in (*arns, f"{A}:role/node")}
    history = shell.history()
    assert {change["what"] for change in history} == {f"set {arn}" for arn in arns}
    assert [change["outcome"] for change in history].count("made") >= 1
    assert all(change["outcome"] != "not-made" for change in history)
