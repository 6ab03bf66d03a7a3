"""Each command with exactly the rights that ``rolecall permissions`` prints for it, and the lab as the judge."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from documents import check_document
from raw_cluster import client, keys
from rolecall.cli.output import Format
from rolecall.cli.permissions import IAM_ACTIONS, cluster_role, iam_policy, permissions

ACCOUNT, REGION = "231144931069", "eu-west-2"
FILE = f"""\
accounts: {{main: {{id: "{ACCOUNT}"}}}}
people: {{ann: {{user: ann, account: main}}}}
roles: {{Viewers: {{account: main, assumableBy: [ann]}}}}
clusters: {{prod: {{account: main, region: {REGION}}}}}
grants: [{{role: Viewers, clusters: prod, username: v, groups: [viewers], bindings: [{{clusterRole: view}}]}}]
"""
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


class Admin:
    """The lab's administrator, who gives each command a user with the printed rights."""

    def __init__(self, environment: Mapping[str, str], folder: Path, found: dict[str, str]) -> None:
        self.iam, self.eks = client("iam", found), client("eks", found)
        self.folder, self.environment = folder, {**environment, "KUBECONFIG": str(folder / "kubeconfig")}

    def run(self, *command: str, stdin: str = "") -> None:
        done = subprocess.run(
            command, env=self.environment, input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def bot(self, command: str) -> dict[str, str]:
        """The environment of a user who has the rights of one command and no other."""
        name = f"bot-{command}"
        self.iam.create_user(UserName=name)
        self.iam.put_user_policy(UserName=name, PolicyName="rolecall", PolicyDocument=json.dumps(iam_policy(command)))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        if (role := cluster_role(command)) is not None:
            arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
            self.eks.create_access_entry(clusterName="prod", principalArn=arn, username=name, kubernetesGroups=[name])
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}],
            }  # fmt: skip
            self.run("kubectl", "apply", "-f", "-", stdin=yaml.safe_dump_all([role, binding]))
        mine = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        home = self.folder / name
        home.mkdir()
        plain = {name: value for name, value in self.environment.items() if name not in KEYS}
        return {**plain, **mine, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "XDG_STATE_HOME": str(home)}

    def rolecall(self, environment: Mapping[str, str], *arguments: str, codes: tuple[int, ...]) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "rolecall", *arguments], env=dict(environment), cwd=self.folder, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        written = done.stdout + done.stderr
        assert done.returncode in codes, f"{arguments}: {done.returncode} {written}"
        assert "AccessDenied" not in written.replace("LookupEvents", "")
        assert "forbidden" not in written
        assert "not read" not in written
        return done.stdout


@pytest.fixture(scope="module")
def admin(start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Admin:
    running = start_lab("--account", ACCOUNT, "--region", REGION)
    admin = Admin(running.environment(), tmp_path_factory.mktemp("admin"), keys(running.home))
    admin.eks.create_cluster(
        name="prod", roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks", resourcesVpcConfig={"subnetIds": ["subnet-1"]},
        accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"},
    )  # fmt: skip
    admin.eks.get_waiter("cluster_active").wait(name="prod", WaiterConfig={"Delay": 1})
    admin.run("aws", "eks", "update-kubeconfig", "--name", "prod")
    (admin.folder / "access.yaml").write_text(FILE)
    return admin


def test_each_command_works_with_the_rights_that_are_printed_for_it(admin: Admin) -> None:
    admin.rolecall(admin.bot("plan"), "plan", codes=(10,))
    admin.rolecall(admin.bot("apply"), "apply", "--yes", codes=(0,))
    plan = admin.rolecall(admin.environment, "plan", codes=(0,))
    assert plan == "Nothing to change.\n"
    admin.rolecall(admin.bot("drift"), "drift", "--no-authors", codes=(0,))
    admin.rolecall(admin.bot("import"), "import", "--region", REGION, "--out", "made.yaml", codes=(0,))
    admin.rolecall(admin.bot("grant"), "grant", "bob", "--user", "--role", "Viewers", "--yes", codes=(0,))
    admin.rolecall(admin.bot("revoke"), "revoke", "bob", "--delete-user", "--yes", codes=(0,))
    admin.rolecall(admin.bot("undo"), "runs", codes=(0,))
    admin.rolecall(admin.bot("access-entry"), "access-entry", "list", "--cluster", "prod", codes=(0,))
    admin.rolecall(admin.bot("kubeconfig"), "kubeconfig", "--kubeconfig", str(admin.folder / "k"), codes=(0, 1))


def test_one_right_less_is_missed(admin: Admin) -> None:
    admin.iam.create_user(UserName="less")
    less = iam_policy("plan")
    less["Statement"][0]["Action"].remove("iam:GetAccountAuthorizationDetails")
    admin.iam.put_user_policy(UserName="less", PolicyName="p", PolicyDocument=json.dumps(less))
    key = admin.iam.create_access_key(UserName="less")["AccessKey"]
    plain = {name: value for name, value in admin.environment.items() if name not in KEYS}
    environment = {
        **plain,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_REGION": REGION,
    }
    done = subprocess.run(
        [sys.executable, "-m", "rolecall", "plan"],
        env=environment,
        cwd=admin.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (1, 11)
    assert "GetAccountAuthorizationDetails" in done.stdout + done.stderr


@pytest.mark.parametrize("command", sorted(IAM_ACTIONS))
def test_what_is_printed_is_a_document_and_can_be_pasted(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    permissions(command, Format.json)
    text = capsys.readouterr().out
    check_document(text)
    found = json.loads(text)
    assert found["iamPolicy"]["Version"] == "2012-10-17"
    assert found.get("clusterRole") == cluster_role(command)
    actions = found["iamPolicy"]["Statement"][0]["Action"]
    assert {action.partition(":")[0] for action in actions} <= {"iam", "eks", "cloudtrail"}


def test_doctor_says_what_works_and_what_to_do(admin: Admin, tmp_path: Path) -> None:
    found = json.loads(admin.rolecall(admin.environment, "doctor", "-o", "json", codes=(0, 1)))
    states = {one["name"]: one["state"] for one in found["checks"]}
    assert {
        name: states[name] for name in ("credentials", "identity", "clock", "IAM", "EKS", "kubectl", "kubeconfig")
    } == dict.fromkeys(("credentials", "identity", "clock", "IAM", "EKS", "kubectl", "kubeconfig"), "ok")
    assert states["access file"] == "ok"
    environment = {**admin.environment, "AWS_PROFILE": "gone", "PATH": "/nowhere", "KUBECONFIG": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-m", "rolecall", "doctor", "-f", "none.yaml"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "!!  credentials:" in done.stdout
    assert "kubectl is not on the PATH" in done.stdout
    assert "create one: rolecall new, or rolecall import" in done.stdout
