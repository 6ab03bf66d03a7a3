"""``rolecall access-entry`` against a lab. Sources: EKS API reference; EKS user guide, "Create access entries"."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lab_shell import enter
from rolecall.aws.principals import principal_exists
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.cli.cluster_maps.access_entry import app
from rolecall.errors import RolecallError
from rolecall.mapping.access_entries import AccessEntry, AssociatedPolicy, EntryType, ScopeType
from rolecall.mapping.editing.access_entry_guards import entry_refusals
from rolecall.mapping.editing.guards import Guard

ACCOUNT, REGION = "111122223333", "eu-west-2"
A = f"arn:aws:iam::{ACCOUNT}"
DEV = f"{A}:role/team/Dev"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"{A}:root"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module", autouse=True)
def eks(start_lab: Callable[..., Any]) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        enter(start_lab("--account", ACCOUNT, "--region", REGION).environment(), patch)
        clients = AwsClients([AccountAccess(ACCOUNT)])
        eks, iam = clients.client(ACCOUNT, "eks"), clients.client(ACCOUNT, "iam")
        vpc, access = {"subnetIds": ["s-1"]}, {"authenticationMode": "API_AND_CONFIG_MAP"}
        eks.create_cluster(name="c", roleArn=f"{A}:role/eks", resourcesVpcConfig=vpc, accessConfig=access)
        eks.create_cluster(name="old", roleArn=f"{A}:role/eks", resourcesVpcConfig=vpc)
        iam.create_role(Path="/team/", RoleName="Dev", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.create_role(RoleName="node", AssumeRolePolicyDocument=json.dumps(TRUST))
        for name in ("c", "old"):
            eks.get_waiter("cluster_active").wait(name=name, WaiterConfig={"Delay": 1})
        yield eks


def run(*arguments: str, cluster: str = "c") -> Result:
    return CliRunner().invoke(app, [*arguments, "--cluster", cluster])


def ok(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def said(*arguments: str, cluster: str = "c") -> str:
    done = run(*arguments, cluster=cluster)
    assert isinstance(done.exception, RolecallError), (done.output, done.exception)
    return str(done.exception)


def entry() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ok("get", DEV, "-o", "json"))
    return found


def test_made_changed_given_policies_and_deleted() -> None:
    assert "created (dry run)" in ok("create", DEV, "--group", "d", "--dry-run")
    assert "no such access entry" in said("get", DEV)
    ok("create", DEV, "--group", "d", "--policy", "AmazonEKSViewPolicy=dev-*,web")
    made = entry()
    assert (made["type"], made["groups"], made["username"]) == (
        "STANDARD",
        ["d"],
        f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/{{{{SessionName}}}}",
    )
    assert [(p["scope"], p["namespaces"]) for p in made["policies"]] == [("namespace", ["dev-*", "web"])]
    assert "already" in said("create", DEV)
    ok("update", DEV, "--username", "dev:{{SessionName}}", "--group", "e", "--group", "f")
    assert (entry()["username"], sorted(entry()["groups"])) == ("dev:{{SessionName}}", ["e", "f"])
    ok("update", DEV, "--no-groups")
    assert (entry()["username"], entry()["groups"]) == ("dev:{{SessionName}}", [])
    ok("associate-policy", DEV, "AmazonEKSViewPolicy")
    ok("associate-policy", DEV, "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy", "--namespace", "web")
    assert [(p["policyArn"].split("/")[1], p["scope"]) for p in entry()["policies"]] == [
        ("AmazonEKSEditPolicy", "namespace"),
        ("AmazonEKSViewPolicy", "cluster"),
    ]
    assert DEV in ok("list")
    assert "AmazonEKSEditPolicy=web" in ok("list")
    ok("disassociate-policy", DEV, "AmazonEKSEditPolicy")
    assert "nothing to change" in ok("disassociate-policy", DEV, "AmazonEKSEditPolicy")
    assert len(entry()["policies"]) == 1
    assert "deleted" in ok("delete", DEV)
    assert "nothing to change" in ok("delete", DEV)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", DEV, "--group", "system:masters"), "cannot start with system:"),
        (("create", DEV, "--username", "{{SessionName}}"), "a colon must precede"),
        (("create", DEV, "--username", "system:x"), "must not begin with system:"),
        (("create", f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/s"), "not a session"),
        (("create", DEV, "--policy", "AmazonEKSNoPolicy"), "there are: "),
        (("create", DEV, "--policy", "AmazonEKSViewPolicy=Not_A_Namespace"), "namespace"),
        (("create", f"{A}:role/node", "--type", "EC2_LINUX", "--group", "x"), "itself"),
        (("update", f"{A}:role/Nobody", "--group", "x"), "create it first"),
        (("update", DEV, "--group", "x", "--no-groups"), "exclude each other"),
    ],
)
def test_what_eks_would_refuse_is_refused_before(arguments: tuple[str, ...], words: str) -> None:
    before = ok("list")
    assert words in said(*arguments)
    assert ok("list") == before


def test_a_cluster_without_entries_says_so() -> None:
    assert "authenticationMode=API_AND_CONFIG_MAP" in said("list", cluster="old")


def test_nodes_and_the_last_administrator_are_guarded() -> None:
    node, last = f"{A}:role/node", "AmazonEKSClusterAdminPolicy"
    ok("create", node, "--type", "EC2_LINUX")
    assert "nodes would be locked out" in said("delete", node)
    assert "deleted" in ok("delete", node, "--allow", "lockout-nodes")
    admins = [
        e["principalArn"]
        for e in json.loads(ok("list", "-o", "json"))["entries"]
        for p in e["policies"]
        if p["policyArn"].endswith(last)
    ]
    ok("create", DEV, "--policy", last)
    for admin in admins:
        ok("delete", admin, "--allow", "lockout-caller")
    assert "no access entry would be an administrator's any more" in said("disassociate-policy", DEV, last)
    ok("delete", DEV, "--allow", "lockout-last-admin")


def test_an_administrator_whom_iam_does_not_have_does_not_count(eks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """EKS user guide, "Create access entries": an entry of a deleted principal never works again."""
    last = "AmazonEKSClusterAdminPolicy"
    iam = AwsClients([AccountAccess(ACCOUNT)]).client(ACCOUNT, "iam")
    for name in ("adm1", "adm2"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        ok("create", f"{A}:role/{name}", "--policy", last)
    others = [
        entry["principalArn"]
        for entry in json.loads(ok("list", "-o", "json"))["entries"]
        if any(policy["policyArn"].endswith(last) for policy in entry["policies"])
        and not entry["principalArn"].startswith(f"{A}:role/adm")
    ]
    for one in others:
        ok("delete", one, "--allow", "lockout-caller")
    assert "deleted (dry run)" in ok("delete", f"{A}:role/adm2", "--dry-run")
    iam.delete_role(RoleName="adm1")
    assert "the last one is of" in said("delete", f"{A}:role/adm2", "--dry-run")
    assert "the last one is of" in said("disassociate-policy", f"{A}:role/adm2", last)
    # Created again under its name, it is another principal.
    iam.create_role(RoleName="adm1", AssumeRolePolicyDocument=json.dumps(TRUST))
    found = principal_exists(
        AwsClients([AccountAccess(ACCOUNT)]),
        f"{A}:role/adm1",
        with_path=True,
        entry_made=datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert found is False
    # The entry of the one that is gone can be removed.
    ok("delete", f"{A}:role/adm1")
    monkeypatch.setattr("rolecall.aws.principals.principal_exists", lambda *_, **__: None)
    ok("create", f"{A}:role/adm1", "--policy", last)
    unsure = run("delete", f"{A}:role/adm2", "--dry-run")
    assert "it is not known whether IAM still has the administrators that remain: " in unsure.stderr
    monkeypatch.undo()
    ok("delete", f"{A}:role/adm1")
    ok("delete", f"{A}:role/adm2", "--allow", "lockout-last-admin")


@pytest.mark.parametrize(
    ("cluster", "arguments"),
    [
        (f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/c", []),
        ("any", ["--region", REGION, "eks", "get-token", "--cluster-name", "c"]),
        ("any", ["token", "-i", "c", "--region", REGION]),
        ("any", ["token", "--cluster-id=c"]),
    ],
)
def test_a_context_says_which_cluster(cluster: str, arguments: list[str], tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws", "args": arguments}
    text = {
        "contexts": [{"name": "x", "context": {"cluster": cluster, "user": "u"}}],
        "clusters": [{"name": cluster, "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"exec": plugin} if arguments else {}}],
    }
    (tmp_path / "config").write_text(json.dumps(text))
    done = CliRunner().invoke(app, ["list", "--context", "x", "--kubeconfig", str(tmp_path / "config")])
    assert done.exit_code == 0, (done.output, done.exception)
    both = CliRunner().invoke(app, ["list", "--context", "x", "--cluster", "c"])
    assert "exclude each other" in str(both.exception)


def test_a_context_of_another_cluster_says_what_to_do(tmp_path: Path) -> None:
    text = {
        "current-context": "kind",
        "contexts": [{"name": "kind", "context": {"cluster": "kind"}}],
        "clusters": [{"name": "kind", "cluster": {"server": "https://127.0.0.1:1"}}],
    }
    (tmp_path / "config").write_text(json.dumps(text))
    done = CliRunner().invoke(app, ["list", "--kubeconfig", str(tmp_path / "config")])
    assert "context kind: it does not say which EKS cluster it is of" in str(done.exception)


def test_guards_of_the_caller() -> None:
    admin = AssociatedPolicy("arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy")
    view = AssociatedPolicy("arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminPolicy", ScopeType.CLUSTER)
    me, other = (
        AccessEntry(DEV, "", EntryType.STANDARD, "me", (), (admin,)),
        AccessEntry(f"{A}:role/O", "", EntryType.STANDARD, "o", (), (admin,)),
    )
    less = AccessEntry(DEV, "", EntryType.STANDARD, "me", (), (view,))

    def guards(after: list[AccessEntry], caller: str = f"{A}:role/Dev") -> list[Guard]:
        return [refusal.guard for refusal in entry_refusals([me, other], after, caller=caller)]

    assert guards([me, other]) == []
    assert guards([other]) == [Guard.LOCKOUT_CALLER]
    assert guards([less, other]) == [Guard.LOCKOUT_CALLER]
    assert guards([other], caller=f"{A}:role/Else") == []
    assert guards([less]) == [Guard.LOCKOUT_CALLER, Guard.LOCKOUT_LAST_ADMIN]
