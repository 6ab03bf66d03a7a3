"""A lab to which access.yaml was applied, and people with a HOME of their own in it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.session import Session

from documents import check_document
from rolecall.lab.aws_endpoint.iam.mfa import code_at

MAIN, OTHER, REGION = "231144931069", "444455556666", "eu-west-2"
ACCESS = f"""\
accounts:
  main: {{id: "{MAIN}", profile: lab-admin}}
  other: {{id: "{OTHER}", profile: lab-admin-{OTHER}}}
people:
  ann: {{user: ann, account: main}}
  bob: {{user: bob, account: main}}
  cat: {{user: cat, account: main}}
groups:
  platform: [ann]
roles:
  Admins: {{account: main, path: /team/, assumableBy: [platform], conditions: {{sessionName: username}}}}
  Viewers: {{account: main, assumableBy: [{{group: platform}}], maxSessionDuration: 14400}}
  Past: {{account: main, assumableBy: [{{person: ann, until: 2020-01-01}}]}}
  Secured: {{account: main, assumableBy: [ann, cat], conditions: {{mfa: true}}}}
  Partners: {{account: other, name: Viewers, assumableBy: [ann], conditions: {{externalId: the-id}}}}
  Bobs: {{account: main, assumableBy: [bob]}}
clusters:
  prod: {{account: main, region: {REGION}}}
  staging: {{account: main, region: {REGION}, mapping: access-entries}}
  other-prod: {{account: other, region: {REGION}, name: prod}}
grants:
  - {{role: Admins, clusters: [prod, staging], username: "admin:{{{{SessionName}}}}", groups: [admins], bindings: [{{clusterRole: cluster-admin}}]}}
  - {{role: Viewers, clusters: prod, username: "viewer:{{{{SessionName}}}}", groups: [viewers], bindings: [{{clusterRole: view}}]}}
  - {{role: Viewers, clusters: staging, until: 2020-01-01, groups: [viewers], bindings: [{{clusterRole: view}}]}}
  - {{role: Past, clusters: prod, groups: [viewers]}}
  - {{role: Secured, clusters: staging, username: "secured:{{{{SessionName}}}}", groups: [viewers], bindings: [{{clusterRole: view}}]}}
  - {{role: Partners, clusters: other-prod, groups: [viewers], username: "partner:{{{{SessionName}}}}", bindings: [{{clusterRole: view}}]}}
  - {{role: Bobs, clusters: prod, groups: [viewers]}}
  - {{person: ann, clusters: staging, username: ann-herself, groups: [viewers]}}
"""
# ann's own part: AWS asks for it across accounts (IAM user guide, "Cross-account policy evaluation logic").
OWN_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{OTHER}:role/Viewers"},
        {"Effect": "Allow", "Action": "iam:ListMFADevices", "Resource": f"arn:aws:iam::{MAIN}:user/ann"},
        {
            "Effect": "Allow",
            "Action": "eks:DescribeCluster",
            "Resource": f"arn:aws:eks:{REGION}:{MAIN}:cluster/staging",
        },
    ],
}
THEIRS_AWS = f"""\
# my own file
[default]
region = {REGION}   
[profile Viewers]
# by hand
region = us-east-1
"""  # noqa: W291 -- blanks at the end of a person's lines stay
THEIRS_KUBE = """\
# my clusters
apiVersion: v1
kind: Config
current-context: "home"
clusters:
- name: home   # under the desk
  cluster:
    server: https://10.0.0.1:6443
contexts:
- context: {cluster: home, user: me}
  name: home
- context: {cluster: home, user: me}
  name: staging/Admins
users:
- name: me
  user:
    token: 'not-for-the-diff'
"""


@dataclass
class Person:
    """Somebody with a HOME of their own in the lab's machine."""

    home: Path
    variables: dict[str, str]

    def run(self, *command: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            env=self.variables,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert code is None or done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def rolecall(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "rolecall", *arguments, code=code)

    def json(self, *arguments: str, code: int | None = 0) -> dict[str, Any]:
        text = self.rolecall(*arguments, "-o", "json", code=code).stdout
        check_document(text)
        found: dict[str, Any] = json.loads(text)
        return found

    def whoami(self, context: str) -> dict[str, Any]:
        shown = self.run("kubectl", "--context", context, "auth", "whoami", "-o", "json")
        info: dict[str, Any] = json.loads(shown.stdout)["status"]["userInfo"]
        return info

    @property
    def kubeconfig(self) -> Path:
        return self.home / ".kube" / "config"

    @property
    def aws_config(self) -> Path:
        return self.home / ".aws" / "config"


@dataclass
class Organisation:
    """A lab to which access.yaml was applied."""

    administrator: Person
    keys: dict[str, dict[str, str]]
    devices: dict[str, tuple[str, str]]

    def person(self, name: str, home: Path, *, key: str = "") -> Person:
        """A new HOME with the person's access key in it, and access.yaml."""
        variables = {k: v for k, v in self.administrator.variables.items() if k not in ("AWS_PROFILE", "AWS_REGION")}
        variables |= {"HOME": str(home), "ROLECALL_LAB_HOME": ""}
        variables.pop("AWS_DEFAULT_REGION", None)
        found = Person(home, variables)
        (home / ".aws").mkdir()
        (home / ".kube").mkdir()
        found.aws_config.write_text(THEIRS_AWS)
        found.kubeconfig.write_text(THEIRS_KUBE)
        own = self.keys[name]
        (home / ".aws" / "credentials").write_text(
            f"[{key or 'default'}]\naws_access_key_id = {own['AccessKeyId']}\n"
            f"aws_secret_access_key = {own['SecretAccessKey']}\n"
        )
        (home / "access.yaml").write_text(ACCESS)
        return found


def administrator(person: Person, profile: str) -> Callable[[str], Any]:
    """Makes clients of AWS for the lab's administrator."""
    session = Session(profile=profile)
    for name in ("credentials", "config"):
        session.set_config_variable(f"{name}_file", str(Path(person.variables["HOME"]) / ".aws" / name))
    variables = person.variables
    return lambda service: session.create_client(
        service, region_name=REGION, endpoint_url=variables["AWS_ENDPOINT_URL"]
    )


def make_organisation(variables: dict[str, str], folder: Path) -> Organisation:
    """Clusters, people with keys and devices, and access.yaml applied, in a lab with both accounts."""
    admin = Person(folder, variables)
    clients = {MAIN: administrator(admin, "lab-admin"), OTHER: administrator(admin, f"lab-admin-{OTHER}")}
    for account, name in ((MAIN, "prod"), (MAIN, "staging"), (OTHER, "prod")):
        eks = clients[account]("eks")
        eks.create_cluster(
            name=name,
            roleArn=f"arn:aws:iam::{account}:role/eks",
            resourcesVpcConfig={"subnetIds": ["subnet-1"]},
            accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"},
        )
        eks.get_waiter("cluster_active").wait(name=name, WaiterConfig={"Delay": 0.2})
    (folder / "access.yaml").write_text(ACCESS)
    admin.rolecall("apply", "--yes")
    iam = clients[MAIN]("iam")
    iam.create_user(UserName="stranger")
    keys = {name: iam.create_access_key(UserName=name)["AccessKey"] for name in ("ann", "bob", "cat", "stranger")}
    iam.put_user_policy(UserName="ann", PolicyName="own", PolicyDocument=json.dumps(OWN_POLICY))
    devices = {name: enable_mfa(iam, name) for name in ("ann", "cat")}
    return Organisation(admin, keys, devices)


def enable_mfa(iam: Any, name: str) -> tuple[str, str]:
    """The serial number and the seed of a new device."""
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName=f"{name}-phone")["VirtualMFADevice"]
    serial, seed = device["SerialNumber"], device["Base32StringSeed"].decode()
    step = int(time.time()) // 30
    # Codes of some time ago, so that the present one is still unused.
    codes = {f"AuthenticationCode{n}": code_at(seed, step - 5 + n) for n in (1, 2)}
    iam.enable_mfa_device(UserName=name, SerialNumber=serial, **codes)
    return serial, seed
