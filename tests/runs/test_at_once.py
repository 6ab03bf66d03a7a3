"""Two applies and a person with ``kubectl edit`` change one cluster's aws-auth at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rolecall.mapping.reading.aws_auth import AwsAuth, parse_aws_auth

ACCOUNT, REGION = "231144931069", "eu-west-2"
FILE = """\
accounts: {{main: {{id: "{account}"}}}}
people: {{{who}: {{user: {who}, account: main}}}}
roles:
{roles}
clusters: {{c: {{account: main, region: {region}}}}}
grants:
{grants}
"""
# KUBE_EDITOR is run with the file; what it adds goes to the end of a section, as a person would write it.
EDITOR = """\
#!{python}
import os, pathlib, re, subprocess, sys
path = pathlib.Path(sys.argv[-1])
text = path.read_text()
if os.environ.get("MEANWHILE"):
    subprocess.run(os.environ["MEANWHILE"], shell=True, check=True, stdout=subprocess.DEVNULL)
section, entry = os.environ["SECTION"], os.environ["ENTRY"]
path.write_text(re.sub(rf"^  {{section}}: \\|\\n", lambda found: found[0] + entry, text, flags=re.M))
"""


class Cluster:
    """A cluster with an aws-auth, and the unmodified tools of those who change it."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self.editor = folder / "editor.py"
        self.editor.write_text(EDITOR.format(python=sys.executable))
        self.editor.chmod(0o700)
        self.run("aws", "eks", "create-cluster", "--name", "c", "--role-arn", f"arn:aws:iam::{ACCOUNT}:role/e", "--resources-vpc-config", "subnetIds=s")  # fmt: skip
        self.run("aws", "eks", "wait", "cluster-active", "--name", "c")
        self.run("aws", "eks", "update-kubeconfig", "--name", "c")
        for section, what in (("mapRoles", "rolearn"), ("mapUsers", "userarn")):
            arn = f"arn:aws:iam::{ACCOUNT}:{'role' if section == 'mapRoles' else 'user'}/old"
            (folder / section).write_text(f"# theirs\n- {what}: {arn}\n  username: old\n")
        self.run("kubectl", "-n", "kube-system", "create", "configmap", "aws-auth", "--from-file=mapRoles", "--from-file=mapUsers")  # fmt: skip

    def run(self, *command: str, code: int = 0, **variables: str) -> str:
        done = subprocess.run(
            command, env={**self._environment, **variables}, cwd=self._folder,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write_file(self, who: str, count: int) -> str:
        """An access.yaml of one team with ``count`` roles."""
        roles = "\n".join(f"  {who}{n}: {{account: main, assumableBy: [{who}]}}" for n in range(count))
        grants = "\n".join(f"  - {{role: {who}{n}, clusters: c, username: {who}{n}, groups: []}}" for n in range(count))
        text = FILE.format(account=ACCOUNT, region=REGION, who=who, roles=roles, grants=grants)
        (self._folder / f"{who}.yaml").write_text(text)
        return f"{who}.yaml"

    def apply(self, file: str) -> None:
        self.run(sys.executable, "-m", "rolecall", "apply", "-f", file, "--yes")

    def edit(self, section: str, arn: str, meanwhile: str = "") -> None:
        """``kubectl edit`` by a person who adds an entry, and whose editor is open while something else happens."""
        key = "rolearn" if section == "mapRoles" else "userarn"
        entry = f"    - {key}: {arn}\n      username: hand\n"
        self.run(
            "kubectl", "-n", "kube-system", "edit", "configmap", "aws-auth",
            KUBE_EDITOR=str(self.editor), SECTION=section, ENTRY=entry, MEANWHILE=meanwhile,
        )  # fmt: skip

    def aws_auth(self) -> AwsAuth:
        shown = self.run("kubectl", "-n", "kube-system", "get", "configmap", "aws-auth", "-o", "json")
        data = json.loads(shown)["data"]
        assert "# theirs\n" in data["mapRoles"]
        return parse_aws_auth(data)


@pytest.fixture(scope="module")
def cluster(start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    lab = start_lab("--account", ACCOUNT, "--region", REGION)
    return Cluster(lab.environment(), tmp_path_factory.mktemp("files"))


def user(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def test_two_applies_and_a_hand_edit_lose_nothing(cluster: Cluster) -> None:
    by_hand = [user(f"hand{number}") for number in range(6)]

    def team(who: str) -> None:
        for count in (1, 2):
            cluster.apply(cluster.write_file(who, count))

    with ThreadPoolExecutor(3) as pool:
        applies = [pool.submit(team, who) for who in ("red", "blue")]
        for arn in by_hand:
            cluster.edit("mapUsers", arn)
        for one in applies:
            one.result()
    found = cluster.aws_auth()
    assert set(found.roles) == {role(name).lower() for name in ("old", *(f"{w}{n}" for w in ("red", "blue") for n in range(2)))}  # fmt: skip
    assert set(found.users) == {user("old"), *by_hand}


def test_what_an_open_editor_overwrites_is_planned_again(cluster: Cluster) -> None:
    """``kubectl edit`` sends the text of a section as it was when the editor was opened, with what the person changed,
    and no resourceVersion (kubectl's ``visitToPatch``): whatever others wrote into that section meanwhile is gone, and
    nobody can keep kubectl from it. The file still knows, so a plan says so and an apply mends it."""
    before = set(cluster.aws_auth().roles)
    file = cluster.write_file("green", 1)
    cluster.edit("mapRoles", role("by-hand"), f"{sys.executable} -m rolecall apply -f {file} --yes")
    assert set(cluster.aws_auth().roles) == before | {role("by-hand")}
    assert "role/green0" in cluster.run(sys.executable, "-m", "rolecall", "plan", "-f", file, code=10)
    cluster.apply(file)
    assert set(cluster.aws_auth().roles) == before | {role("by-hand"), role("green0")}


def test_two_applies_of_one_file_both_get_there(cluster: Cluster) -> None:
    """IAM refuses the second of two who make the same (CreateUser: EntityAlreadyExists); that is no failure."""
    people = [f"same{number}" for number in range(12)]
    lines = ["people:", *(f"  {name}: {{user: {name}, account: main}}" for name in people)]
    lines += ["roles:", *(f"  R-{name}: {{account: main, assumableBy: [{name}]}}" for name in people)]
    file = cluster.editor.parent / "same.yaml"
    file.write_text(f'accounts: {{main: {{id: "{ACCOUNT}"}}}}\n' + "\n".join(lines) + "\n")
    command = [sys.executable, "-m", "rolecall", "apply", "-f", str(file), "--yes", "-o", "json"]
    with ThreadPoolExecutor(3) as pool:
        told = [*pool.map(lambda _: json.loads(cluster.run(*command)), range(3))]
    assert all(one["complete"] for one in told)
    made = [step["name"] for one in told for step in one["steps"] if step["state"] == "done"]
    assert sorted(made) == sorted([*people, *(f"R-{name}" for name in people)])
