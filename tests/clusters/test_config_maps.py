"""A cluster reached in both ways, and a ConfigMap that many change at once: nobody's change is lost.

Source: Kubernetes API conventions, "Concurrency Control and Consistency"; "client-go credential plugins".
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_shell import enter
from rolecall.aws.read_clusters import EksCluster, describe_cluster
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.clusters.config_maps import edit_config_map, read_config_map, write_config_map
from rolecall.clusters.connect import Connection, connect_context, connect_eks, who_am_i
from rolecall.clusters.errors import ClusterError
from rolecall.lab.kubernetes.certificates import Authority
from rolecall.mapping.editing.aws_auth_text import set_entry
from rolecall.mapping.reading.aws_auth import parse_aws_auth

ACCOUNT, REGION = "111122223333", "eu-west-2"


@pytest.fixture(scope="module")
def world(start_lab: Callable[..., Any]) -> Iterator[tuple[AwsClients, EksCluster, dict[str, str]]]:
    environment = start_lab("--account", ACCOUNT, "--region", REGION).environment()
    with pytest.MonkeyPatch.context() as patch:
        enter(environment, patch)
        clients = AwsClients([AccountAccess(ACCOUNT)])
        eks = clients.client(ACCOUNT, "eks")
        role = f"arn:aws:iam::{ACCOUNT}:role/eks"
        eks.create_cluster(name="c", roleArn=role, resourcesVpcConfig={"subnetIds": ["s-1"]})
        eks.get_waiter("cluster_active").wait(name="c", WaiterConfig={"Delay": 1})
        yield clients, describe_cluster(clients, ACCOUNT, REGION, "c"), environment


def connected(world: tuple[AwsClients, EksCluster, dict[str, str]]) -> Connection:
    clients, cluster, _ = world
    return connect_eks(
        cluster.name,
        cluster.endpoint,
        cluster.certificate_authority,
        lambda: clients.credentials(ACCOUNT),
        region=REGION,
        sts_endpoint=clients.endpoint(ACCOUNT, "sts", REGION),
    )


def kubeconfig(world: tuple[AwsClients, EksCluster, dict[str, str]], folder: Path) -> dict[str, Any]:
    path = folder / "config"
    command = ["aws", "eks", "update-kubeconfig", "--name", "c", "--kubeconfig", str(path), "--alias", "mine"]
    subprocess.run(command, env=world[2], check=True, capture_output=True, timeout=300)
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def test_reached_by_eks_and_by_the_exec_entry_that_the_aws_cli_wrote(world: Any, tmp_path: Path) -> None:
    found = who_am_i(connected(world))
    assert found is not None
    assert found.extra["arn"]
    kubeconfig(world, tmp_path)
    by_context = connect_context("mine", [tmp_path / "config"])
    assert by_context.name == "mine"
    user = who_am_i(by_context)
    assert user is not None
    assert (user.username, user.groups) == (found.username, found.groups)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "not supported"),
        ({"command": "no-such-plugin", "installHint": "get it"}, "get it"),
        ({"command": sys.executable, "args": ["-c", "raise SystemExit(3)"]}, "ended with 3"),
        ({"command": sys.executable, "args": ["-c", "print('{}')"]}, "not an ExecCredential"),
        ({"command": sys.executable, "args": ["-c", "pass"], "interactiveMode": "Always"}, "terminal"),
    ],
)
def test_a_plugin_that_fails_is_named(world: Any, tmp_path: Path, change: Mapping[str, Any], words: str) -> None:
    config = kubeconfig(world, tmp_path)
    config["users"][0]["user"]["exec"].update(change)
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    with pytest.raises(ClusterError, match=words):
        who_am_i(connect_context("", [tmp_path / "config"]))


def test_a_refused_token_is_asked_for_once_more_and_no_longer(world: Any, tmp_path: Path) -> None:
    config = kubeconfig(world, tmp_path)
    log = tmp_path / "runs"
    plugin = (
        "import json, os, sys; open(sys.argv[1], 'a').write(os.environ['KUBERNETES_EXEC_INFO'] + chr(10));"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1beta1', 'kind': 'ExecCredential',"
        "'status': {'token': 'k8s-aws-v1.' + str(os.getpid())}}))"
    )
    entry = config["users"][0]["user"]["exec"]
    entry.update(command=sys.executable, args=["-c", plugin, str(log)], provideClusterInfo=True)
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    with pytest.raises(ClusterError) as refused:
        who_am_i(connect_context("", [tmp_path / "config"]))
    assert refused.value.code == 401
    runs = log.read_text().splitlines()
    assert len(runs) == 2
    assert json.loads(runs[0])["spec"]["cluster"]["server"] == config["clusters"][0]["cluster"]["server"]


def test_another_authority_is_not_trusted(world: Any) -> None:
    clients, cluster, _ = world
    stranger = base64.b64encode(Authority(datetime.now(UTC)).pem.encode()).decode()
    other = connect_eks("c", cluster.endpoint, stranger, lambda: clients.credentials(ACCOUNT), region=REGION)
    with pytest.raises(ClusterError, match=r"(?i)certificate"):
        who_am_i(other)


def test_made_where_there_is_none_and_left_alone_where_nothing_changes(world: Any) -> None:
    connection = connected(world)
    assert not read_config_map(connection, "fresh").exists
    made = edit_config_map(connection, lambda data: {**data, "a": "\tx\r\n"}, name="fresh")
    assert made.written
    again = edit_config_map(connection, lambda data: dict(data), name="fresh")
    assert not again.written
    assert again.after.data == {"a": "\tx\r\n"}
    assert again.after.version == made.after.version


def test_a_write_on_an_old_reading_is_refused(world: Any) -> None:
    connection = connected(world)
    old = edit_config_map(connection, lambda data: {"n": "1"}, name="versions").after
    write_config_map(connection, old, {"n": "2"}, name="versions")
    with pytest.raises(ClusterError) as refused:
        write_config_map(connection, old, {"n": "3"}, name="versions")
    assert refused.value.code == 409
    with pytest.raises(ClusterError, match="3 times in a row"):
        edit_config_map(connection, _writes_itself(connection), name="versions", attempts=3)


def _writes_itself(connection: Connection) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
    """An edit during which somebody else always writes."""

    def edit(data: Mapping[str, str]) -> Mapping[str, str]:
        other = read_config_map(connection, "versions")
        write_config_map(connection, other, {"n": str(int(other.data["n"]) + 1)}, name="versions")
        return {"n": "mine"}

    return edit


def test_two_editors_and_a_kubectl_edit_lose_nothing(world: Any, tmp_path: Path) -> None:
    """Two programs each add their roles one by one while somebody applies whole files with kubectl."""
    connection, environment = connected(world), world[2]
    path = tmp_path / "config"
    kubeconfig(world, tmp_path)

    def add(who: str) -> None:
        mine = connected(world)
        for number in range(8):
            arn = f"arn:aws:iam::{ACCOUNT}:role/{who}{number}"
            edit_config_map(mine, lambda data, arn=arn: set_entry(data, "mapRoles", arn, who, [who]))  # type: ignore[misc]

    by_hand: list[str] = []

    def edit_by_hand() -> None:
        # kubectl edit: the whole object with the resourceVersion that was read, again where it was refused.
        while len(by_hand) < 4:

            def kubectl(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
                command = ["kubectl", "--kubeconfig", str(path), "-n", "kube-system", *arguments]
                return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, **options)

            shown = kubectl("get", "configmap", "aws-auth", "-o", "json")
            if shown.returncode:
                continue
            found = json.loads(shown.stdout)
            arn = f"arn:aws:iam::{ACCOUNT}:user/hand{len(by_hand)}"
            found["data"]["mapUsers"] = found["data"].get("mapUsers", "") + f"- userarn: {arn}\n  username: hand\n"
            if kubectl("replace", "-f", "-", input=json.dumps(found)).returncode == 0:
                by_hand.append(arn)

    edit_config_map(connection, lambda data: {**data, "mapRoles": "# ours\n"})
    hand = threading.Thread(target=edit_by_hand)
    hand.start()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, ("one", "two")))
    hand.join()
    data = read_config_map(connection).data
    found = parse_aws_auth(data)
    assert set(found.roles) == {f"arn:aws:iam::{ACCOUNT}:role/{who}{n}" for who in ("one", "two") for n in range(8)}
    assert set(found.users) == set(by_hand)
    assert len(by_hand) == 4
    assert data["mapRoles"].startswith("# ours\n")
