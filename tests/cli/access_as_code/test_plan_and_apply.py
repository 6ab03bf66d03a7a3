"""The commands against a lab: new, plan, import; exit codes, files, what a person reads."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rolecall.cli.main import main
from rolecall.manifest.starter import Start, starter
from rolecall.plan.plan_file import from_json

ACCOUNT, REGION = "231144931069", "eu-west-2"


@pytest.fixture(scope="module")
def shell(
    start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``rolecall`` as the lab's administrator, in a folder of its own."""
    lab = start_lab("--account", ACCOUNT, "--region", REGION)
    environment, folder = lab.environment(), tmp_path_factory.mktemp("files")

    def run(*arguments: str, program: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [program, *arguments] if program else [sys.executable, "-m", "rolecall", *arguments]
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    run.folder = folder  # type: ignore[attr-defined]
    role = f"arn:aws:iam::{ACCOUNT}:role/eks"
    run(
        "eks",
        "create-cluster",
        "--name",
        "kubedemy",
        "--role-arn",
        role,
        "--resources-vpc-config",
        "subnetIds=subnet-1",
        program="aws",
    )
    run("eks", "wait", "cluster-active", "--name", "kubedemy", program="aws")
    return run


def folder_of(shell: Any) -> Path:
    found: Path = shell.folder
    return found


def test_the_seed_case_is_planned_from_three_flags(shell: Any) -> None:
    shell(
        "new",
        "--person",
        "kubedemy",
        "--role",
        "Kubedemy_EKS_KubernetesAdmin",
        "--cluster",
        "kubedemy",
        "--group",
        "system:masters",
    )
    refused = shell("plan", code=11)
    assert "would get system:masters on cluster kubedemy" in refused.stdout
    assert "or allow it: --allow system-masters:Kubedemy_EKS_KubernetesAdmin" in refused.stdout
    assert "1 refusal: this plan will not be applied." in shell("apply", "--yes", code=11).stdout
    assert json.loads(shell("runs", "-o", "json").stdout)["runs"] == []
    allowed = shell("plan", "--allow", "system-masters", "--out", "plan.json", code=10)
    assert "Plan: 4 to add, in 1 account and 1 cluster." in allowed.stdout
    out = folder_of(shell) / "plan.json"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    made = from_json(out.read_text())
    assert [change.resource.kind.value for change in made.changes][-1].startswith("aws-auth")
    assert made.reach["accounts"][0]["account"] == ACCOUNT
    assert made.caller == f"arn:aws:iam::{ACCOUNT}:user/lab-admin"
    shown = json.loads(shell("plan", "-o", "json", code=11).stdout)["changes"]
    assert [{k: v for k, v in one.items() if k != "action"} for one in shown] == json.loads(out.read_text())["changes"]


def test_nothing_is_overwritten(shell: Any) -> None:
    kept = folder_of(shell) / "kept.yaml"
    kept.write_text("mine")
    done = shell("new", "--person", "a", "--role", "R", "--cluster", "kubedemy", "-o", "kept.yaml", code=1)
    assert "kept.yaml: exists already" in done.stderr
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plan", "-f", "none.yaml"], 1, "error: none.yaml: not found"),
        (["plan", "--allow", "everything"], 1, "there is no guard 'everything'"),
        (["plan", "--cluster", "prod"], 1, "no cluster in the file matches 'prod'"),
        (["plan", "--account", "prod"], 1, "there is no account 'prod' in the file"),
        (["plan", "--nonsense"], 2, "No such option"),
        (["new", "--person", "a"], 2, "give --person, --role and --cluster, or none of them"),
        (["new", "--person", "a", "--role", "r", "--cluster", "c", "--account", "1", "--region", "r", "--mapping", "x"], 2, "'x' is not one of aws-auth"),
        (["new", "--person", "a b", "--role", "r", "--cluster", "c", "--account", ACCOUNT, "--region", REGION, "-o", "x.yaml"], 1, "people.a b.user cannot be the text 'a b'"),
        (["import", "--account", "no-such-profile", "-o", "x.yaml"], 1, "no-such-profile"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_and_has_its_exit_code(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "access.yaml").write_text(starter(Start("ann", "Admins", ["kubedemy"], ACCOUNT, REGION)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["rolecall", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert words in capsys.readouterr().err.replace("\n", " ")


def test_a_plan_right_after_an_import_is_empty(shell: Any) -> None:
    trust = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/dan"}, "Action": "sts:AssumeRole", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}]})  # fmt: skip
    shell("iam", "create-user", "--user-name", "dan", program="aws")
    shell("iam", "create-role", "--role-name", "Devs", "--assume-role-policy-document", trust, program="aws")
    shell("eks", "update-kubeconfig", "--name", "kubedemy", program="aws")
    roles = f"# ours\n- rolearn: arn:aws:iam::{ACCOUNT}:role/Devs\n  username: dev:{{{{SessionName}}}}\n  groups: [devs]\n- rolearn: arn:aws:iam::{ACCOUNT}:role/p/dead\n  username: x\n"
    shell("create", "configmap", "aws-auth", "-n", "kube-system", f"--from-literal=mapRoles={roles}", program="kubectl")
    done = shell("import", "-o", "imported.yaml")
    assert "role/p/dead, which matches nobody" in done.stderr
    text = (folder_of(shell) / "imported.yaml").read_text()
    assert "assumableBy: [dan], conditions: {mfa: true}" in text
    assert shell("plan", "-f", "imported.yaml").stdout == "Nothing to change.\n"
    # Without flags, `new` does the same for the caller's account.
    assert shell("new", "-o", "-").stdout == text


def test_the_schema_is_json(shell: Any) -> None:
    assert json.loads(shell("schema").stdout)["title"] == "access.yaml"


def test_the_tour_as_a_file_and_three_commands(shell: Any) -> None:
    """The procedure, from nothing to ``kubectl auth whoami`` as the person: new, plan, apply."""
    shell(
        "new",
        "--person",
        "ann",
        "--role",
        "ClusterAdmins",
        "--cluster",
        "kubedemy",
        "--cluster-role",
        "cluster-admin",
        "-o",
        "ann.yaml",
    )
    assert "Plan: 5 to add, in 1 account and 1 cluster." in shell("plan", "-f", "ann.yaml", code=10).stdout
    shell("apply", "-f", "ann.yaml", "--yes")
    assert shell("plan", "-f", "ann.yaml").stdout == "Nothing to change.\n"
    key = json.loads(shell("iam", "create-access-key", "--user-name", "ann", "--output", "json", program="aws").stdout)[
        "AccessKey"
    ]
    for name, value in (("aws_access_key_id", key["AccessKeyId"]), ("aws_secret_access_key", key["SecretAccessKey"])):
        shell("configure", "set", name, value, "--profile", "ann", program="aws")
    role = f"arn:aws:iam::{ACCOUNT}:role/ClusterAdmins"
    for name, value in (
        ("role_arn", role),
        ("source_profile", "ann"),
        ("region", REGION),
        ("role_session_name", "ann"),
    ):
        shell("configure", "set", name, value, "--profile", "admins", program="aws")
    shell("eks", "update-kubeconfig", "--name", "kubedemy", "--profile", "admins", "--alias", "as-ann", program="aws")
    me = json.loads(shell("auth", "whoami", "-o", "json", "--context", "as-ann", program="kubectl").stdout)["status"][
        "userInfo"
    ]
    assert me["username"] == "ClusterAdmins:ann"
    assert "ClusterAdmins" in me["groups"]
    assert shell("auth", "can-i", "*", "*", "--context", "as-ann", program="kubectl").stdout.strip() == "yes"


RICH = f"""\
accounts: {{main: {{id: "{ACCOUNT}"}}}}
people:
  ann: {{user: ann, account: main, path: /team/, tags: {{owner: platform}}}}
  bob: {{user: bob, account: main}}
groups: {{team: [ann, bob]}}
roles:
  Admins:
    account: main
    path: /platform/
    description: "those who may"
    maxSessionDuration: 7200
    tags: {{owner: platform}}
    assumableBy: [ann, {{person: bob, until: 2130-01-01}}]
    conditions: {{mfa: true, mfaMaxAge: 3600, sessionName: username, sourceIdentity: username, externalId: "x:1", sourceIp: [203.0.113.0/24, 198.51.100.7/32]}}
    policies:
      read: {{Version: 2012-10-17, Statement: [{{Effect: Allow, Action: ["s3:GetObject", "s3:ListBucket"], Resource: "*", Condition: {{Bool: {{"aws:SecureTransport": true}}}}}}]}}
  Viewers: {{account: main, assumableBy: [team]}}
  nodes: {{account: main, trustPolicy: {{Version: 2012-10-17, Statement: [{{Effect: Allow, Principal: {{Service: ec2.amazonaws.com}}, Action: "sts:AssumeRole"}}]}}}}
clusters:
  both: {{account: main, region: eu-west-2}}
grants:
  - role: Admins
    clusters: both
    username: "admin:{{{{SessionName}}}}"
    groups: [admins, ops]
    accessPolicies: [{{policy: AmazonEKSViewPolicy, namespaces: [dev-*, a]}}, {{policy: AmazonEKSClusterAdminPolicy}}]
    bindings: [{{clusterRole: view}}, {{role: writer, namespace: default}}]
  - {{role: Viewers, clusters: both, groups: [viewers], bindings: [{{clusterRole: view}}], mapping: aws-auth}}
  - {{person: bob, clusters: both, username: "bob:x", groups: [viewers]}}
  - {{role: nodes, clusters: both, nodeRole: true}}
"""  # fmt: skip


def test_everything_that_a_file_can_say_is_applied_once_and_imported_again(shell: Any) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/eks"
    shell(
        "eks", "create-cluster", "--name", "both", "--role-arn", role, "--resources-vpc-config", "subnetIds=subnet-1",
        "--access-config", "authenticationMode=API_AND_CONFIG_MAP", program="aws",
    )  # fmt: skip
    shell("eks", "wait", "cluster-active", "--name", "both", program="aws")
    (folder_of(shell) / "rich.yaml").write_text(RICH)
    allow = ("--allow", "raw-trust-policy:nodes")
    planned = shell("plan", "-f", "rich.yaml", *allow, code=10)
    assert "type EC2_LINUX" in planned.stdout
    shell("apply", "-f", "rich.yaml", "--yes", *allow)
    assert shell("plan", "-f", "rich.yaml").stdout == "Nothing to change.\n"
    shell("import", "-o", "again.yaml")
    assert shell("plan", "-f", "again.yaml").stdout == "Nothing to change.\n"
