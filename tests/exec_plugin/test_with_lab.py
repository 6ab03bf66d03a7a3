"""The plugin in a lab: unmodified kubectl with it in the kubeconfig, MFA devices, trust policies, `verify`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.session import Session

from rolecall.lab.aws_endpoint.iam.mfa import code_at
from terminal import Terminal

ROLECALL = Path(sys.executable).parent / "rolecall"
ACCOUNT = "231144931069"
DEV = f"arn:aws:iam::{ACCOUNT}:role/Dev"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"


def trust(**conditions: Any) -> str:
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": ALICE}, "Action": "sts:AssumeRole"}
    if "source_identity" in conditions:
        statement["Action"] = ["sts:AssumeRole", "sts:SetSourceIdentity"]
        statement["Condition"] = {"StringEquals": {"sts:SourceIdentity": conditions["source_identity"]}}
    if "mfa" in conditions:
        statement["Condition"] = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass
class World:
    """A lab with a cluster, and alice, who may assume roles that the cluster maps."""

    variables: dict[str, str]
    seed: str
    serial: str

    def run(self, *command: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, env=self.variables, capture_output=True, text=True, timeout=300, check=False, **options
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def world(start_lab: Callable[..., Any]) -> World:
    variables = {**start_lab().environment(), "ROLECALL_LAB_HOME": ""}
    home = Path(variables["HOME"])
    # botocore in this process, as the lab's administrator
    session = Session(profile="lab-admin")
    session.set_config_variable("credentials_file", str(home / ".aws" / "credentials"))
    session.set_config_variable("config_file", str(home / ".aws" / "config"))

    def client(service: str) -> Any:
        return session.create_client(
            service, region_name=variables["AWS_REGION"], endpoint_url=variables["AWS_ENDPOINT_URL"]
        )

    iam, eks = client("iam"), client("eks")
    eks.create_cluster(
        name="kubedemy", roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks", resourcesVpcConfig={"subnetIds": ["subnet-1"]}
    )
    eks.get_waiter("cluster_active").wait(name="kubedemy", WaiterConfig={"Delay": 0.2})
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    iam.create_role(RoleName="Dev", AssumeRolePolicyDocument=trust())
    iam.create_role(RoleName="Mfa", AssumeRolePolicyDocument=trust(mfa=True))
    iam.create_role(RoleName="Named", AssumeRolePolicyDocument=trust(source_identity="alice"))
    serial, seed = enable_mfa(iam)
    with (home / ".aws" / "credentials").open("a") as file:
        file.write(
            f"\n[alice]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
        )
    with (home / ".aws" / "config").open("a") as file:
        file.write(
            f"\n[profile alice]\nregion = {variables['AWS_REGION']}\n"
            f"[profile mfa]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/Mfa\nsource_profile = alice\nmfa_serial = {serial}\n"
            f"[profile named]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/Named\nsource_profile = alice\n"
            "role_session_name = alice\nsource_identity = alice\n"
        )
    found = World(variables, seed, serial)
    found.run("aws", "eks", "update-kubeconfig", "--name", "kubedemy")
    entries = "".join(
        f"- rolearn: arn:aws:iam::{ACCOUNT}:role/{role}\n  username: person:{{{{SessionName}}}}\n  groups: [devs]\n"
        for role in ("Dev", "Mfa", "Named")
    )
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aws-auth", "namespace": "kube-system"}}
    found.run("kubectl", "apply", "-f", "-", input=json.dumps({**document, "data": {"mapRoles": entries}}))
    return found


def enable_mfa(iam: Any) -> tuple[str, str]:
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="alice-phone")["VirtualMFADevice"]
    seed = device["Base32StringSeed"].decode()
    step = int(time.time()) // 30
    # Codes of some time ago, so that the present one is still unused.
    codes = {f"AuthenticationCode{n}": code_at(seed, step - 5 + n) for n in (1, 2)}
    iam.enable_mfa_device(UserName="alice", SerialNumber=device["SerialNumber"], **codes)
    return device["SerialNumber"], seed


def add_user(world: World, name: str, *arguments: str, version: str = "v1", profile: str = "alice") -> None:
    """A user of the kubeconfig with the plugin in its exec entry."""
    path = Path(world.variables["HOME"]) / ".kube" / "config"
    config = yaml.safe_load(path.read_text())
    entry = {
        "apiVersion": f"client.authentication.k8s.io/{version}",
        "command": str(ROLECALL),
        "args": ["token", "-i", "kubedemy", *arguments],
        "env": [{"name": "AWS_PROFILE", "value": profile}],
        "interactiveMode": "IfAvailable",
    }
    config["users"] = [user for user in config["users"] if user["name"] != name]
    config["users"].append({"name": name, "user": {"exec": entry}})
    path.write_text(yaml.safe_dump(config))


def whoami(world: World, user: str) -> dict[str, Any]:
    found = world.run("kubectl", "--user", user, "auth", "whoami", "-o", "json")
    assert found.stderr == "", "the plugin has nothing to say"
    info: dict[str, Any] = json.loads(found.stdout)["status"]["userInfo"]
    return info


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_kubectl_with_the_plugin(world: World, version: str) -> None:
    add_user(world, f"dev-{version}", "-r", DEV, "-s", "alice", version=version)
    for _ in range(2):
        found = whoami(world, f"dev-{version}")
        assert found["username"] == "person:alice"
        assert "devs" in found["groups"]
        assert found["extra"]["arn"] == [f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/alice"]


def test_the_session_name_of_the_person_by_default(world: World) -> None:
    add_user(world, "derived", "-r", DEV)
    assert "-" in whoami(world, "derived")["username"], "PERSON@HOST, with {{SessionName}}'s - for @"
    add_user(world, "forwarded", "-r", DEV, "--forward-session-name")
    assert whoami(world, "forwarded")["username"] == "person:alice"


def test_source_identity_of_the_profile(world: World) -> None:
    add_user(world, "named", profile="named")
    assert whoami(world, "named")["username"] == "person:alice"


def test_the_aws_clis_kubeconfig_with_the_command_swapped(world: World) -> None:
    path = Path(world.variables["HOME"]) / ".kube" / "config"
    config = yaml.safe_load(path.read_text())
    user = next(user for user in config["users"] if user["user"].get("exec", {}).get("command") == "aws")
    swapped = json.loads(json.dumps(user))
    swapped["name"] = "swapped"
    swapped["user"]["exec"]["command"] = str(ROLECALL)
    config["users"].append(swapped)
    path.write_text(yaml.safe_dump(config))
    before = json.loads(world.run("kubectl", "auth", "whoami", "-o", "json").stdout)
    after = json.loads(world.run("kubectl", "--user", "swapped", "auth", "whoami", "-o", "json").stdout)
    assert before["status"] == after["status"]


def test_kubectl_shows_why_there_is_no_token(world: World) -> None:
    add_user(world, "unknown-role", "-r", f"arn:aws:iam::{ACCOUNT}:role/None")
    done = world.run("kubectl", "--user", "unknown-role", "auth", "whoami", check=False)
    assert done.returncode != 0
    assert "STS refuses AssumeRole: AccessDenied" in done.stderr


def test_mfa_with_a_virtual_device(world: World) -> None:
    variables = {**world.variables, "AWS_PROFILE": "mfa"}
    terminal = Terminal([str(ROLECALL), "token", "-i", "kubedemy"], variables)
    terminal.wait_for(f"MFA code for {world.serial}: ")
    terminal.type("000000\n")
    terminal.wait_for("does not accept this code")
    terminal.wait_for("MFA code for")
    terminal.type(f"{code_at(world.seed, int(time.time()) // 30)}\n")
    assert terminal.end() == 0, terminal.shown
    add_user(world, "mfa", profile="mfa")
    assert whoami(world, "mfa")["username"].startswith("person:")


def test_verify_says_who_it_is(world: World) -> None:
    variables = {**world.variables, "AWS_PROFILE": "alice"}
    token = subprocess.run(
        [ROLECALL, "token", "-i", "kubedemy", "-r", DEV, "-s", "alice", "--token-only"],
        env=variables, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    done = world.run(str(ROLECALL), "verify", "-i", "kubedemy", "-o", "json", input=token)
    found = json.loads(done.stdout)
    assert found.pop("UserID").startswith("AROA")
    assert found.pop("AccessKeyID").startswith("ASIA")
    assert found == {
        "ARN": f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/alice",
        "CanonicalARN": DEV,
        "AccountID": ACCOUNT,
        "SessionName": "alice",
        "STSEndpoint": world.variables["AWS_ENDPOINT_URL"].partition("://")[2],
    }
    text = world.run(str(ROLECALL), "verify", "-t", token.strip(), "-i", "kubedemy").stdout
    assert f"CanonicalARN:  {DEV}\n" in text


@pytest.mark.parametrize(
    ("cluster", "token", "words"),
    [
        ("other", None, "STS does not accept the token"),
        ("other", None, "give -i the cluster id that the token was made for"),
        ("kubedemy", "k8s-aws-v1.x", "error"),
        ("kubedemy", "k8s-aws-v1." + "x" * 9_999, "4096"),
        ("kubedemy", "", "does not begin with"),
        # RFC 9112 section 11.1: a line break in a field value would add headers to the call to STS.
        ("kubedemy\r\nX-Other: 1", None, "no HTTP header"),
        ("kubedemé", None, "no HTTP header"),
    ],
)
def test_verify_refuses(world: World, cluster: str, token: str | None, words: str) -> None:
    if token is None:
        token = world.run(str(ROLECALL), "token", "-i", "kubedemy", "--token-only").stdout
    done = world.run(str(ROLECALL), "verify", "-i", cluster, input=token, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
