"""undo, resume and the apply of a plan's file are examined as the world is now, and by whoever runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ACCOUNT, REGION = "231144931069", "eu-west-2"
ADM = f"arn:aws:iam::{ACCOUNT}:user/adm"
FILE = f"""
accounts: {{main: {{id: "{ACCOUNT}"}}}}
people: {{adm: {{arn: "{ADM}"}}}}
clusters: {{PROD: {{account: main, region: {REGION}, name: prod, mapping: access-entries}}}}
grants:
"""
GRANT = "  - {person: adm, clusters: PROD, username: adm, accessPolicies: [{policy: AmazonEKSClusterAdminPolicy}]}\n"


class Shell:
    """Commands in a lab with one cluster, as its administrator or as the user adm, who is one too in IAM."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment, self.folder = environment, folder
        made = self.aws("iam", "create-user", "--user-name", "adm")
        assert ADM in made
        policy = "arn:aws:iam::aws:policy/AdministratorAccess"
        self.aws("iam", "attach-user-policy", "--user-name", "adm", "--policy-arn", policy)
        key = json.loads(self.aws("iam", "create-access-key", "--user-name", "adm"))["AccessKey"]
        keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        self.adm = {k: v for k, v in environment.items() if k != "AWS_PROFILE"} | keys
        self.aws("eks", "create-cluster", "--name", "prod", "--role-arn", f"arn:aws:iam::{ACCOUNT}:role/eks",
                 "--resources-vpc-config", "subnetIds=subnet-1",
                 "--access-config", "authenticationMode=API_AND_CONFIG_MAP")  # fmt: skip
        self.aws("eks", "wait", "cluster-active", "--name", "prod")

    def aws(self, *arguments: str) -> str:
        return self._run(["aws", *arguments], self.environment, 0).stdout

    def __call__(self, *arguments: str, code: int = 0, adm: bool = False) -> subprocess.CompletedProcess[str]:
        environment = self.adm if adm else self.environment
        return self._run([sys.executable, "-m", "rolecall", *arguments], environment, code)

    def _run(self, command: list[str], environment: dict[str, str], code: int) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def write(self, text: str) -> None:
        (self.folder / "access.yaml").write_text(text)

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("runs", "-o", "json").stdout)["runs"]
        return found

    def entries(self) -> str:
        return self.aws("eks", "list-access-entries", "--cluster-name", "prod")


@pytest.fixture(scope="module")
def shell(start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    lab = start_lab("--account", ACCOUNT, "--region", REGION)
    return Shell(lab.environment(), tmp_path_factory.mktemp("files"))


def test_an_undo_that_locks_out_its_caller_is_refused_until_allowed(shell: Shell) -> None:
    shell.write(FILE + GRANT)
    shell("apply", "--yes")
    refused = shell("undo", "--yes", code=11, adm=True)
    assert f"you ({ADM}) would lose access to cluster PROD" in refused.stdout
    assert f"- {ADM} loses cluster prod" in refused.stdout
    assert "or allow it: --allow lockout-caller:PROD" in refused.stdout
    assert json.loads(shell("undo", "--yes", "-o", "json", code=11, adm=True).stdout)["findings"][0]["refuses"]
    # What is allowed is that and no more.
    wrong = shell("undo", "--yes", "--allow", "lockout-caller:other", code=11, adm=True)
    assert "note: --allow lockout-caller:other overrides nothing here" in wrong.stderr
    assert len(shell.runs()) == 1
    assert ADM in shell.entries()
    shell("undo", "--yes", "--allow", "lockout-caller:PROD", adm=True)
    assert ADM not in shell.entries()
    assert [(one["by"], one["state"]) for one in shell.runs()][1:] == [(ADM, "complete")]


def test_nothing_to_take_back_is_said_in_the_form_that_was_asked_for(shell: Shell) -> None:
    shell.write(FILE + GRANT)
    shell("plan", "--out", "again.json", code=10)
    shell("apply", "again.json", "--yes")
    shell("apply", "again.json", "--yes")
    name = shell.runs()[-1]["run"]
    told = shell("undo", "-o", "json", "--yes")
    assert json.loads(told.stdout) == {
        "kind": "Run", "apiVersion": "rolecall/v1", "complete": True, "steps": [], "records": []
    }  # fmt: skip
    assert f"run {name} changed nothing" in told.stderr
    assert json.loads(shell("resume", "-o", "json").stdout)["complete"] is True
    assert ADM in shell.entries()


def test_a_journal_of_another_version_hides_no_other(shell: Shell) -> None:
    folder = Path(shell.environment["HOME"]) / ".local/state/rolecall/runs"
    strange = folder / "29991231T235959Z-ffffff.jsonl"
    strange.write_text('{"format":99}\n')
    try:
        listed = shell("runs")
        assert "29991231T235959Z-ffffff" in listed.stdout
        assert "not readable" in listed.stdout
        assert "complete" in listed.stdout
        shell.write(FILE + GRANT)
        assert "of another version" in shell("apply", "--yes").stderr
        told = shell("undo", "--yes", code=1).stderr
        assert "of another version" in told
        assert "other runs can be named" in told
    finally:
        strange.unlink()


def test_what_a_plans_file_allows_is_not_allowed(shell: Shell) -> None:
    masters = "  - {person: adm, clusters: PROD, username: adm, groups: ['system:masters'], mapping: aws-auth}\n"
    shell.write(FILE + masters)
    shell("plan", "--out", "masters.json", "--allow", "system-masters", code=10)
    path = shell.folder / "masters.json"
    refused = shell("apply", "masters.json", "--yes", code=11)
    assert "or allow it: --allow system-masters:adm" in refused.stdout
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "findings": [{**one, "allowed": True, "refuses": False} for one in found["findings"]]}))  # fmt: skip
    shell("apply", "masters.json", "--yes", code=11)
    path.write_text(json.dumps({**found, "changes": [{**one, "text": "{}"} for one in found["changes"]]}))
    told = shell("apply", "masters.json", "--yes", "--allow", "system-masters", code=1).stderr
    assert "a change has a member that no plan has: 'text'" in told


def test_what_a_journal_allows_is_not_allowed_and_what_is_left_is_shown(shell: Shell) -> None:
    masters = "  - {person: adm, clusters: PROD, username: adm, groups: ['system:masters'], mapping: aws-auth}\n"
    shell.write(FILE + masters)
    shell("apply", "--yes", "--allow", "system-masters")
    name = shell.runs()[-1]["run"]
    folder = Path(shell.environment["HOME"]) / ".local/state/rolecall/runs"
    shell("undo", "--yes", "--allow", "lockout-caller")
    first, *_ = (folder / f"{name}.jsonl").read_text().splitlines(keepends=True)
    stopped = json.loads(first)
    stopped["name"] = "29991231T235958Z-ffffff"
    (folder / f"{stopped['name']}.jsonl").write_text(json.dumps(stopped) + "\n")
    try:
        assert stopped["allowed"] == ["system-masters:adm", "system-masters:PROD"]
        refused = shell("resume", code=11)
        assert "note: the run was begun with --allow system-masters:adm" in refused.stderr
        done = shell("resume", "--allow", "system-masters:adm")
        assert "Effect on access" in done.stdout
        assert f"+ aws-auth {ADM}" in done.stdout
    finally:
        (folder / f"{stopped['name']}.jsonl").unlink()


def test_a_plans_file_is_examined_again_as_the_world_is(shell: Shell) -> None:
    shell.write(FILE + GRANT)
    shell("apply", "--yes")
    shell.write(FILE.replace("grants:", "grants: []"))
    shell("plan", "--out", "less.json", code=10)
    before = len(shell.runs())
    refused = shell("apply", "less.json", "--yes", code=11, adm=True)
    assert f"you ({ADM}) would lose access to cluster PROD" in refused.stdout
    # Whoever was to stay as administrator is gone since.
    shell.aws("eks", "disassociate-access-policy", "--cluster-name", "prod",
              "--principal-arn", f"arn:aws:iam::{ACCOUNT}:user/lab-admin",
              "--policy-arn", "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy")  # fmt: skip
    late = shell("apply", "less.json", "--yes", code=11, adm=True)
    assert "cluster PROD would have no administrator left" in late.stdout
    shell("apply", "less.json", "--yes", "--allow", "lockout-caller", code=11, adm=True)
    assert len(shell.runs()) == before
    assert ADM in shell.entries()
    allowed = ["--allow", "lockout-caller:PROD", "--allow", "lockout-last-admin:PROD"]
    shell("apply", "less.json", "--yes", *allowed, adm=True)
    assert ADM not in shell.entries()


@pytest.mark.parametrize("option", [["-f", "other.yaml"], ["--cluster", "PROD"], ["--account", "main"]])
def test_a_plans_file_takes_no_option_of_a_file(shell: Shell, option: list[str]) -> None:
    told = shell("apply", "again.json", *option, code=2)
    assert "a plan says what it is of" in told.stderr.replace("\n", " ")
