"""What a cluster maps and allows, as read from a cluster of the lab."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from lightkube import Client
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.models.rbac_v1 import PolicyRule as RuleModel
from lightkube.models.rbac_v1 import RoleRef
from lightkube.models.rbac_v1 import Subject as SubjectModel
from lightkube.resources.core_v1 import ConfigMap, Namespace
from lightkube.resources.rbac_authorization_v1 import ClusterRoleBinding, Role, RoleBinding

from lab_cluster import client_of
from lab_shell import enter
from rolecall.aws.read_clusters import EksCluster, describe_cluster
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.clusters.errors import ClusterError
from rolecall.clusters.read_cluster import IdentityMappingObject, RuleShare, read_cluster
from rolecall.rbac.rules import Binding, PolicyRule, Subject

ACCOUNT, REGION = "111122223333", "eu-west-2"
ROLES = f"- rolearn: arn:aws:iam::{ACCOUNT}:role/People\n  username: p\n  groups: [viewers]\n"


@pytest.fixture(scope="module")
def reached(start_lab: Callable[..., Any]) -> Iterator[tuple[AwsClients, EksCluster]]:
    with pytest.MonkeyPatch.context() as patch:
        enter(start_lab("--account", ACCOUNT, "--region", REGION).environment(), patch)
        clients = AwsClients([AccountAccess(ACCOUNT)])
        eks = clients.client(ACCOUNT, "eks")
        role = f"arn:aws:iam::{ACCOUNT}:role/eks"
        eks.create_cluster(name="c", roleArn=role, resourcesVpcConfig={"subnetIds": ["s-1"]})
        eks.get_waiter("cluster_active").wait(name="c", WaiterConfig={"Delay": 1})
        yield clients, describe_cluster(clients, ACCOUNT, REGION, "c")


@pytest.fixture(scope="module")
def client(reached: tuple[AwsClients, EksCluster]) -> Client:
    return client_of(*reached)


@pytest.fixture(scope="module")
def filled(client: Client) -> str:
    """Objects of every kind that is read; the ARN of their cluster."""
    client.create(Namespace(metadata=ObjectMeta(name="dev")))
    config_map = ConfigMap(metadata=ObjectMeta(name="aws-auth", namespace="kube-system"), data={"mapRoles": ROLES})
    client.create(config_map)
    client.create(
        Role(
            metadata=ObjectMeta(name="reader", namespace="dev"),
            rules=[RuleModel(verbs=["get"], apiGroups=[""], resources=["pods"], resourceNames=["one"])],
        )
    )
    viewers = SubjectModel(kind="Group", name="viewers", apiGroup="rbac.authorization.k8s.io")
    group = "rbac.authorization.k8s.io"
    client.create(
        RoleBinding(
            metadata=ObjectMeta(name="reader", namespace="dev"),
            roleRef=RoleRef(apiGroup=group, kind="Role", name="reader"),
            subjects=[viewers, SubjectModel(kind="ServiceAccount", name="robot", namespace="dev")],
        )
    )
    client.create(
        ClusterRoleBinding(
            metadata=ObjectMeta(name="viewers", labels={"app.kubernetes.io/managed-by": "rolecall"}),
            roleRef=RoleRef(apiGroup=group, kind="ClusterRole", name="view"),
            subjects=[viewers],
        )
    )
    spec = {"arn": f"arn:aws:iam::{ACCOUNT}:role/Ops", "username": "ops", "groups": ["ops"]}
    client.create(IdentityMappingObject(metadata={"name": "ops"}, spec=spec))
    return f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/c"


def test_a_cluster_without_aws_auth(client: Client) -> None:
    found = read_cluster(client, "c")
    assert (found.aws_auth, found.aws_auth_version, found.unread) == (None, "", ())


def test_mappings_alone(client: Client, filled: str) -> None:
    found = read_cluster(client, filled)
    assert found.aws_auth == {"mapRoles": ROLES}
    assert found.aws_auth_version.isdigit()
    assert [(one.name, one.username, one.groups) for one in found.identity_mappings] == [("ops", "ops", ("ops",))]
    assert (found.roles, found.bindings, found.unread) == ({}, (), ())
    assert read_cluster(client, filled, with_aws_auth=False).aws_auth is None


def test_rbac(client: Client, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    share = RuleShare()
    found = read_cluster(client, filled, with_rbac=True, share=share)
    assert found.roles["dev", "reader"] == (PolicyRule(("get",), ("",), ("pods",), ("one",)),)
    assert ("", "cluster-admin") in found.roles
    subjects = (Subject("Group", "viewers"), Subject("ServiceAccount", "robot", "dev"))
    assert Binding("reader", "dev", "Role", "reader", subjects) in found.bindings
    assert Binding("viewers", "", "ClusterRole", "view", (Subject("Group", "viewers"),)) in found.bindings
    assert found.managed_bindings == {("", "viewers")}
    again = read_cluster(client, filled, with_rbac=True, share=share)
    assert again.roles["", "view"] is found.roles["", "view"]
    monkeypatch.setattr("rolecall.clusters.read_cluster.PAGE", 2)
    assert read_cluster(client, filled, with_rbac=True) == found


def test_more_objects_than_are_read(client: Client, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rolecall.clusters.read_cluster.MAX_OBJECTS", 20)
    found = read_cluster(client, filled, with_rbac=True)
    # The roles of namespaces are fewer, so they are read.
    assert ("dev", "reader") in found.roles
    assert not [name for name in found.roles if not name[0]]
    assert any("ClusterRoles: there are more than 20" in line for line in found.unread)


def test_one_whom_the_cluster_does_not_know(reached: tuple[AwsClients, EksCluster]) -> None:
    with pytest.raises(ClusterError, match="Unauthorized") as refused:
        read_cluster(client_of(*reached, token="nothing"), "c")
    assert refused.value.code == 401
    assert "map their role or user" in refused.value.advice


def test_one_who_may_not_read_it_all(reached: tuple[AwsClients, EksCluster], client: Client, filled: str) -> None:
    """A user of the cluster who has no rights: every part is named, and none of it reads as empty."""
    clients, cluster = reached
    iam = clients.client(ACCOUNT, "iam")
    arn = iam.create_user(UserName="guest")["User"]["Arn"]
    key = iam.create_access_key(UserName="guest")["AccessKey"]
    users = f"- userarn: {arn}\n  username: guest\n"
    client.patch(ConfigMap, "aws-auth", {"data": {"mapUsers": users}}, namespace="kube-system")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        patch.delenv("AWS_PROFILE")
        guest = client_of(AwsClients([AccountAccess(ACCOUNT)]), cluster)
    with pytest.raises(ApiError, match="forbidden"):
        guest.get(ConfigMap, "aws-auth", namespace="kube-system")
    found = read_cluster(guest, filled, with_rbac=True)
    parts = [line.partition(":")[0] for line in found.unread]
    assert parts == ["aws-auth", "IAMIdentityMappings", "ClusterRoles", "Roles", "ClusterRoleBindings", "RoleBindings"]
    assert 'User "guest" cannot get resource "configmaps"' in found.unread[0].replace("\\", "")


def test_a_cluster_that_does_not_answer(reached: tuple[AwsClients, EksCluster]) -> None:
    clients, cluster = reached
    with pytest.raises(ClusterError) as refused:
        read_cluster(client_of(clients, replace(cluster, endpoint="https://127.0.0.1:9")), "c")
    assert (refused.value.code, refused.value.where) == (0, "aws-auth of c")
