"""Clusters and access entries as EKS tells them, against the lab."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

from lab_shell import enter
from rolecall.access.principals import GONE, entry_principal_id
from rolecall.aws.errors import AwsError
from rolecall.aws.read_account import read_account
from rolecall.aws.read_clusters import describe_cluster, list_clusters, read_entries, read_entry
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.mapping.access_entries import AssociatedPolicy, EntryType, ScopeType
from rolecall.mapping.resolve import AuthenticationMode

ACCOUNT, SECOND, REGION = "111122223333", "444455556666", "eu-west-2"
VIEW = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
    }
)
PERSON = f"arn:aws:iam::{ACCOUNT}:role/team/People"
NODE = f"arn:aws:iam::{ACCOUNT}:role/Node"
OTHER = f"arn:aws:iam::{SECOND}:user/lab-admin"


@pytest.fixture(scope="module")
def clients(start_lab: Callable[..., Any]) -> Iterator[AwsClients]:
    with pytest.MonkeyPatch.context() as patch:
        enter(start_lab("--account", ACCOUNT, "--account", SECOND, "--region", REGION).environment(), patch)
        clients = AwsClients([AccountAccess(ACCOUNT)])
        make(clients)
        yield clients


@pytest.fixture
def calls() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def make(clients: AwsClients) -> None:
    iam, eks = clients.client(ACCOUNT, "iam"), clients.client(ACCOUNT, "eks")
    for name, path in (("People", "/team/"), ("Node", "/")):
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUST)
    for name, mode in (("old", "CONFIG_MAP"), ("new", "API")):
        eks.create_cluster(
            name=name,
            roleArn=NODE,
            resourcesVpcConfig={"subnetIds": ["s-1"]},
            accessConfig={"authenticationMode": mode},
            tags={"stage": "test"},
        )
        eks.get_waiter("cluster_active").wait(name=name, WaiterConfig={"Delay": 1})
    eks.create_access_entry(
        clusterName="new", principalArn=PERSON, kubernetesGroups=["viewers"], username="p:{{SessionName}}"
    )
    eks.create_access_entry(clusterName="new", principalArn=NODE, type="EC2_LINUX")
    eks.create_access_entry(clusterName="new", principalArn=OTHER)
    scope = {"type": "namespace", "namespaces": ["dev-*", "test"]}
    eks.associate_access_policy(clusterName="new", principalArn=PERSON, policyArn=VIEW, accessScope=scope)


def test_the_clusters_of_a_region(clients: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_clusters(clients, ACCOUNT, REGION) == ("new", "old")
    monkeypatch.setattr("rolecall.aws.read_clusters.PAGE", 1)
    assert list_clusters(clients, ACCOUNT, REGION) == ("new", "old")
    assert list_clusters(clients, ACCOUNT, "us-east-1") == ()


def test_a_cluster(clients: AwsClients) -> None:
    found = describe_cluster(clients, ACCOUNT, REGION, "old")
    assert found.arn == f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/old"
    assert (found.mode, found.status, found.tags) == (AuthenticationMode.CONFIG_MAP, "ACTIVE", {"stage": "test"})
    assert found.endpoint.startswith("https://")
    assert found.certificate_authority
    with pytest.raises(AwsError, match="No cluster found for name: none") as refused:
        describe_cluster(clients, ACCOUNT, REGION, "none")
    assert refused.value.code == "ResourceNotFoundException"


def test_entries_with_their_policies(clients: AwsClients, calls: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = describe_cluster(clients, ACCOUNT, REGION, "new")
    found = read_entries(clients, cluster, calls)
    by_arn = {dated.entry.principal_arn: dated.entry for dated in found}
    assert list(by_arn) == sorted(by_arn)
    person, node = by_arn[PERSON], by_arn[NODE]
    assert (person.username, person.groups) == ("p:{{SessionName}}", ("viewers",))
    assert person.policies == (AssociatedPolicy(VIEW, ScopeType.NAMESPACE, ("dev-*", "test")),)
    assert (node.type, node.username) == (EntryType.EC2_LINUX, "system:node:{{EC2PrivateDNSName}}")
    # The creator of a cluster gets an entry with the cluster administrator's policy (EKS user guide).
    creator = by_arn[f"arn:aws:iam::{ACCOUNT}:user/lab-admin"]
    assert [policy.name for policy in creator.policies] == ["AmazonEKSClusterAdminPolicy"]
    monkeypatch.setattr("rolecall.aws.read_clusters.PAGE", 1)
    assert read_entries(clients, cluster, calls) == found
    monkeypatch.setattr("rolecall.aws.read_clusters.MAX_ENTRIES", 2)
    with pytest.raises(AwsError, match="more than 2 accessEntries"):
        read_entries(clients, cluster, calls)


def test_a_mode_without_entries_costs_no_call(
    clients: AwsClients, calls: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = describe_cluster(clients, ACCOUNT, REGION, "old")
    monkeypatch.setattr(clients, "client", None)
    assert read_entries(clients, cluster, calls) == ()


def test_an_entry_that_is_gone_when_it_is_asked_for(clients: AwsClients) -> None:
    assert read_entry(clients.client(ACCOUNT, "eks"), "new", f"arn:aws:iam::{ACCOUNT}:role/None") is None


def test_what_eks_may_say_one_day_is_refused(clients: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
    eks = clients.client(ACCOUNT, "eks")
    answer = eks.describe_access_entry(clusterName="new", principalArn=NODE)
    answer["accessEntry"]["type"] = "QUANTUM"
    monkeypatch.setattr(eks, "describe_access_entry", lambda **_: answer)
    with pytest.raises(AwsError, match="'QUANTUM', which this rolecall does not know as EntryType"):
        read_entry(eks, "new", NODE)


def test_which_principal_an_entry_is_bound_to(clients: AwsClients, calls: Executor) -> None:
    cluster = describe_cluster(clients, ACCOUNT, REGION, "new")
    entries = {one.entry.principal_arn: one for one in read_entries(clients, cluster, calls)}
    account = read_account(clients, ACCOUNT)
    accounts = {ACCOUNT: account}
    people, made = account.roles["People"], entries[PERSON].created
    assert entry_principal_id(accounts, PERSON, made) == people.role_id
    # Nobody read that account.
    assert entry_principal_id(accounts, OTHER, entries[OTHER].created) == ""
    # Another path is another ARN (EKS user guide: the ARN of an entry has its path).
    assert entry_principal_id(accounts, PERSON.replace("/team/", "/"), made) == GONE
    # A role of the same name, made later than the entry.
    assert people.created is not None
    assert entry_principal_id(accounts, PERSON, people.created.replace(year=2001)) == GONE
