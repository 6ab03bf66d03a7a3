"""Access as code on the real kube-apiserver: what `rolecall apply` writes it takes, and `rolecall undo` takes it back."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubectl_steps import create_cluster
from people import ACCOUNT, Login, People, within
from raw_cluster import Cluster, client

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
AWS_AUTH = f"""\
# nodes, do not remove
- rolearn: arn:aws:iam::{ACCOUNT}:role/node
  username: system:node:{{{{EC2PrivateDNSName}}}}
  groups: [system:bootstrappers, system:nodes]
"""
FILE = f"""\
accounts: {{main: {{id: "{ACCOUNT}"}}}}
people: {{rita: {{user: rita, account: main}}}}
roles:
  Mapped: {{account: main, assumableBy: [rita]}}
  Object: {{account: main, assumableBy: [rita]}}
  Entry: {{account: main, assumableBy: [rita]}}
clusters:
  c: {{account: main, region: REGION}}
grants:
  - role: Mapped
    clusters: c
    mapping: aws-auth
    username: "mapped:{{{{SessionName}}}}"
    groups: [writers]
    bindings: [{{clusterRole: view}}, {{clusterRole: edit, namespace: default}}]
  - {{role: Object, clusters: c, mapping: crd, username: "object:{{{{SessionName}}}}", groups: [viewers], bindings: [{{clusterRole: view}}]}}
  - {{role: Entry, clusters: c, mapping: access-entries, username: "entry:{{{{SessionName}}}}", groups: [viewers]}}
"""


class Shell:
    """``rolecall`` as the lab's administrator, and the cluster as it is afterwards."""

    def __init__(self, lab: Any, folder: Path) -> None:
        self._environment, self.folder = lab.environment(), folder
        create_cluster(self._environment, "c")
        self.people = People(lab.home, Cluster(lab.home), "c")
        mode = {"authenticationMode": "API_AND_CONFIG_MAP"}
        self.people.eks.update_cluster_config(name="c", accessConfig=mode)
        self.people.write_aws_auth(mapRoles=AWS_AUTH)
        self.write(FILE)

    def write(self, text: str) -> None:
        (self.folder / "access.yaml").write_text(text.replace("REGION", self._environment["AWS_REGION"]))

    def rolecall(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "rolecall", *arguments], env=self._environment, cwd=self.folder,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def objects(self) -> dict[str, Any]:
        """What access rests on in the cluster, without what each write changes."""
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        found = {}
        for path in (f"{rbac}/clusterrolebindings", f"{rbac}/namespaces/default/rolebindings",
                     "/apis/iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings"):  # fmt: skip
            for one in self.people.cluster.send("GET", path)[1]["items"]:
                parts = {key: one.get(key) for key in ("roleRef", "subjects", "spec")}
                found[f"{path}/{one['metadata']['name']}"] = parts
        aws_auth = self.people.cluster.send("GET", "/api/v1/namespaces/kube-system/configmaps/aws-auth")[1]
        return {**found, "aws-auth": aws_auth["data"]}

    def logins(self, *roles: str) -> dict[str, Login]:
        """Rita, by role."""
        key = self.people.iam.create_access_key(UserName="rita")["AccessKey"]
        own = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        rita = copy.copy(self.people)
        rita.sts = client("sts", {**self.people.found, **own})
        return {role: rita.assume(f"arn:aws:iam::{ACCOUNT}:role/{role}") for role in roles}


@pytest.fixture(scope="module")
def shell(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(lab, tmp_path_factory.mktemp("files"))


def test_what_is_applied_counts_and_is_taken_back(shell: Shell) -> None:
    people, before = shell.people, shell.objects()
    shell.rolecall("apply", "--yes")
    assert shell.rolecall("plan") == "Nothing to change.\n"
    after = shell.objects()
    assert after["aws-auth"]["mapRoles"].startswith(AWS_AUTH)
    assert len(after) == len(before) + 4

    logins = shell.logins("Mapped", "Object", "Entry")
    for role, login in logins.items():
        within(lambda login=login: people.whoami(login)[0] == 201)  # type: ignore[misc]
        assert people.whoami(login)[1]["username"] == f"{role.lower()}:rita"
        within(lambda login=login: people.may(login, "GET", CONFIG_MAPS) == 200)  # type: ignore[misc]
    assert people.may(logins["Mapped"], "GET", SECRETS) == 200
    assert people.may(logins["Object"], "GET", SECRETS) == 403

    # Another username, another group and its binding: mapped objects are replaced where they stand.
    text = (
        FILE.replace("writers", "readers")
        .replace("object:", "other:")
        .replace("clusterRole: edit", "clusterRole: view")
    )
    shell.write(text)
    shell.rolecall("apply", "--yes")
    assert shell.rolecall("plan") == "Nothing to change.\n"
    within(lambda: people.whoami(logins["Object"])[1].get("username") == "other:rita")
    within(lambda: people.may(logins["Mapped"], "GET", SECRETS) == 403)
    assert people.may(logins["Mapped"], "GET", CONFIG_MAPS) == 200

    shell.rolecall("undo", "--yes")
    assert shell.objects() == after
    first = json.loads(shell.rolecall("runs", "-o", "json"))["runs"][0]["run"]
    shell.rolecall("undo", first, "--yes")
    assert shell.objects() == before
    for login in logins.values():
        within(lambda login=login: people.whoami(login)[0] == 401)  # type: ignore[misc]


def test_somebody_elses_change_is_not_undone(shell: Shell) -> None:
    shell.write(FILE)
    shell.rolecall("apply", "--yes")
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/rolecall:view:viewers"
    found = shell.people.cluster.send("GET", path)[1]
    found["subjects"].append({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "theirs"})
    assert shell.people.cluster.send("PUT", path, found)[0] == 200
    kept = shell.objects()
    shell.rolecall("undo", "--yes", code=1)
    assert shell.objects() == kept
