"""Import, plan, apply, revoke and undo against an AWS that nobody here wrote: moto's server. The cluster is one of a lab, reached
by a context of a kubeconfig; moto's clusters have no Kubernetes API, and no access entries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml

from emulator import PROGRAM, emulator

REGION, ACCOUNT = "eu-west-2", "123456789012"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/people/ann"},
            "Action": "sts:AssumeRole",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        }
    ],
}
ROLES = f"""\
# the platform team's
- rolearn: arn:aws:iam::{ACCOUNT}:role/node
  username: system:node:{{{{EC2PrivateDNSName}}}}
  groups: [system:bootstrappers, system:nodes]
- rolearn: arn:aws:iam::{ACCOUNT}:role/Viewers
  username: v:{{{{SessionName}}}}
  groups: [viewers]
"""
PEOPLE = "people:\n  bob: {user: bob, account: main, path: /people/, tags: {team: platform}}\n"
ROLE = """\
roles:
  Admins:
    account: main
    path: /platform/
    description: those who may
    maxSessionDuration: 7200
    tags: {team: platform}
    assumableBy: [bob]
    conditions: {mfa: true}
    policies:
      read: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "s3:Get*", Resource: "*"}]}
"""
GRANT = """\
grants:
  - {role: Admins, clusters: "*", username: "a:{{SessionName}}", groups: [admins], bindings: [{clusterRole: admin}]}
"""


class Emulated:
    """``rolecall`` with moto as its AWS, and a lab's cluster behind the context ``lab-c``."""

    def __init__(self, url: str, lab: Mapping[str, str], folder: Path) -> None:
        self.folder, self._lab = folder, lab
        self.runs = folder / "state" / "rolecall" / "runs"
        plain = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        self.environment = plain | {
            "AWS_ENDPOINT_URL": url, "AWS_REGION": REGION, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"),
            "KUBECONFIG": str(folder / "kubeconfig"), "PATH": lab["PATH"],
        }  # fmt: skip
        self._url = url
        anybody = self._client("iam", "anybody", "anything")
        anybody.create_user(UserName="admin")
        key = anybody.create_access_key(UserName="admin")["AccessKey"]
        keys = key["AccessKeyId"], key["SecretAccessKey"]
        self.iam, self.eks = self._client("iam", *keys), self._client("eks", *keys)
        # In a file: keys in the environment would go before the profile of the lab's kubeconfig.
        (folder / ".aws").mkdir()
        lines = f"[default]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n"
        (folder / ".aws" / "credentials").write_text(lines)
        self._kubeconfig()

    def _client(self, service: str, key: str, secret: str) -> Any:
        session = botocore.session.Session(profile=None)
        return session.create_client(
            service, REGION, endpoint_url=self._url, aws_access_key_id=key, aws_secret_access_key=secret
        )

    def _kubeconfig(self) -> None:
        """The lab's own kubeconfig entry, with the lab's AWS in the environment of its plugin."""
        aws = ("aws", "eks")
        self._in_lab(*aws, "create-cluster", "--name", "c", "--role-arn", f"arn:aws:iam::{ACCOUNT}:role/e", "--resources-vpc-config", "subnetIds=s")  # fmt: skip
        self._in_lab(*aws, "wait", "cluster-active", "--name", "c")
        path = self.folder / "kubeconfig"
        self._in_lab(*aws, "update-kubeconfig", "--name", "c", "--alias", "lab-c", "--kubeconfig", str(path))
        found = yaml.safe_load(path.read_text())
        entry = found["users"][0]["user"]["exec"]
        named = {name: value for name, value in self._lab.items() if name.startswith("AWS_") or name == "HOME"}
        entry["env"] = [{"name": name, "value": value} for name, value in named.items()]
        path.write_text(yaml.safe_dump(found))

    def _in_lab(self, *command: str) -> None:
        subprocess.run(command, env=dict(self._lab), check=True, capture_output=True, timeout=300)

    def seed(self) -> None:
        """What is there before rolecall comes."""
        service = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        self.iam.create_user(UserName="ann", Path="/people/")
        for name, trust in (("node", {**TRUST, "Statement": [service]}), ("Viewers", TRUST)):
            self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        self.eks.create_cluster(
            name="c", roleArn=f"arn:aws:iam::{ACCOUNT}:role/node", resourcesVpcConfig={"subnetIds": ["subnet-1"]}
        )
        self.run("kubectl", "-n", "kube-system", "create", "configmap", "aws-auth", f"--from-literal=mapRoles={ROLES}")

    def rolecall(self, *arguments: str, code: int = 0) -> str:
        return self.run(sys.executable, "-m", "rolecall", *arguments, code=code)

    def run(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def aws_auth(self) -> str:
        shown = self.run("kubectl", "-n", "kube-system", "get", "configmap", "aws-auth", "-o", "json")
        text: str = json.loads(shown)["data"]["mapRoles"]
        return text

    def account(self) -> Any:
        """All users and roles as moto shows them, without what only their making decides."""
        found = self.iam.get_account_authorization_details()
        return {
            "users": sorted((u["UserName"], u["Path"]) for u in found["UserDetailList"]),
            "roles": {r["RoleName"]: (r["Path"], r["AssumeRolePolicyDocument"]) for r in found["RoleDetailList"]},
        }


@pytest.fixture(scope="module")
def emulated(start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    if not PROGRAM.exists():
        pytest.skip("moto is not installed: make tools")
    lab = start_lab("--account", ACCOUNT, "--region", REGION)
    with emulator() as url:
        found = Emulated(url, lab.environment(), tmp_path_factory.mktemp("emulated"))
        found.seed()
        yield found


def test_the_whole_way(emulated: Emulated) -> None:
    account, aws_auth = emulated.account(), emulated.aws_auth()
    file = emulated.folder / "access.yaml"

    emulated.rolecall("import", "--context", "c=lab-c")
    text = file.read_text()
    assert "context: lab-c" in text
    assert "assumableBy: [ann], conditions: {mfa: true}" in text
    assert emulated.rolecall("plan") == "Nothing to change.\n"

    changed = text.replace("people:\n", PEOPLE, 1).replace("roles:\n", ROLE, 1).replace("\ngrants:\n", f"\n{GRANT}", 1)
    file.write_text(changed)
    assert "Plan: 6 to add, in 1 account and 1 cluster." in emulated.rolecall("apply", "--yes")
    assert emulated.rolecall("plan") == "Nothing to change.\n"
    applied = emulated.account()
    assert ("bob", "/people/") in applied["users"]
    assert applied["roles"]["Admins"][0] == "/platform/"
    assert applied["roles"]["Admins"][1]["Statement"][0]["Principal"] == {
        "AWS": f"arn:aws:iam::{ACCOUNT}:user/people/bob"
    }
    role = emulated.iam.get_role(RoleName="Admins")["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("those who may", 7200)
    assert set(emulated.iam.list_role_policies(RoleName="Admins")["PolicyNames"]) == {
        "read", "rolecall-describe-clusters",
    }  # fmt: skip
    added = emulated.aws_auth()
    assert added.startswith(aws_auth)
    assert "role/Admins\n" in added.removeprefix(aws_auth)
    assert emulated.run("kubectl", "get", "clusterrolebinding", "rolecall:admin:admins", "-o", "name")

    # Changed in every way that IAM changes a role by: path apart, which it does not.
    file.write_text(
        changed.replace("those who may", "others").replace("7200", "3600").replace("[bob]", "[bob, ann]")
        .replace("tags: {team: platform}\n    assumableBy", "tags: {team: ops, more: x}\n    assumableBy")
        .replace("s3:Get*", "s3:List*").replace('"a:{{SessionName}}"', '"b:{{SessionName}}"')
    )  # fmt: skip
    emulated.rolecall("apply", "--yes")
    assert emulated.rolecall("plan") == "Nothing to change.\n"
    emulated.rolecall("undo", "--yes")
    assert (emulated.account(), emulated.aws_auth()) == (applied, added)

    (first, *_) = sorted(path.stem for path in emulated.runs.glob("*.jsonl"))
    emulated.rolecall("undo", first, "--yes")
    assert (emulated.account(), emulated.aws_auth()) == (account, aws_auth)
    file.write_text(text)
    assert emulated.rolecall("plan") == "Nothing to change.\n"


def test_somebody_is_taken_out_and_deleted(emulated: Emulated) -> None:
    """A user with a key and a policy of their own goes with both, once nothing lets them in any more."""
    file, before = emulated.folder / "access.yaml", emulated.account()
    text = file.read_text()
    file.write_text(text.replace("people:\n", PEOPLE, 1).replace("assumableBy: [ann]", "assumableBy: [ann, bob]"))
    emulated.rolecall("apply", "--yes")
    emulated.iam.create_access_key(UserName="bob")
    emulated.iam.put_user_policy(UserName="bob", PolicyName="own", PolicyDocument=json.dumps({**TRUST, "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}))  # fmt: skip
    known = set(emulated.runs.glob("*.jsonl"))
    with_bob = emulated.account()
    emulated.rolecall("revoke", "bob", "--everywhere", "--yes")
    assert emulated.account()["roles"] == before["roles"]
    (run,) = set(emulated.runs.glob("*.jsonl")) - known
    emulated.rolecall("undo", run.stem, "--yes")
    assert emulated.account() == with_bob
    # The file names him no more, the role that came back does.
    emulated.rolecall("revoke", "bob", "--delete-user", "--yes")
    assert emulated.account() == before
    assert emulated.rolecall("plan") == "Nothing to change.\n"
    file.write_text(text)
