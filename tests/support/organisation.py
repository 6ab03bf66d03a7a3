"""An organisation in a lab: accounts, people, roles and clusters that map them, in numbers of one's choice.

Everything is made through the lab's own AWS and Kubernetes endpoints, by the administrator of each account. What is
made follows from the numbers alone, so that a test can say what it expects.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.tokens.mint import mint

REGION = "eu-west-2"
MODES = ("CONFIG_MAP", "API", "CONFIG_MAP", "API_AND_CONFIG_MAP")
VIEW = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Person:
    name: str
    account: str

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:user/people/{self.name}"


@dataclass(frozen=True)
class Role:
    """A role that ``people`` may assume, with MFA where ``mfa``."""

    name: str
    account: str
    people: tuple[Person, ...]
    mfa: bool

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:role/{self.name}"


@dataclass(frozen=True)
class Cluster:
    name: str
    account: str
    mode: str
    roles: tuple[Role, ...]

    @property
    def arn(self) -> str:
        return f"arn:aws:eks:{REGION}:{self.account}:cluster/{self.name}"

    @property
    def by_entries(self) -> bool:
        """Whether its roles are mapped by access entries and not by aws-auth."""
        return self.mode != "CONFIG_MAP"


class Organisation:
    """``people`` are spread over ``accounts``, as are ``roles`` and ``clusters``.

    A role has a team of people of all accounts; every fifth asks for MFA. People of other accounts may assume it by the
    policy of their account's group ``people``. A cluster maps ``mapped`` roles, by aws-auth
    or by access entries after its authentication mode, and a node role by aws-auth.
    """

    def __init__(
        self, accounts: int = 40, clusters: int = 200, people: int = 2_000, roles: int = 300, mapped: int = 4
    ) -> None:
        self.accounts = tuple(f"{100_000_000_000 + index * 7_777_777}" for index in range(accounts))
        self.people = tuple(Person(f"person-{i:04}", self.accounts[i % accounts]) for i in range(people))
        team = max(1, 20 * people // max(people, 2_000))
        self.roles = tuple(
            Role(
                f"team-{i:03}",
                self.accounts[i % accounts],
                tuple({self.people[(i * 7 + k * 31) % people]: None for k in range(team)}),
                i % 5 == 0,
            )
            for i in range(roles)
        )
        self.clusters = tuple(
            Cluster(
                f"cluster-{i:03}",
                self.accounts[i % accounts],
                MODES[i % len(MODES)],
                tuple({self.roles[(i * 3 + k * 11) % roles]: None for k in range(mapped)}),
            )
            for i in range(clusters)
        )

    @property
    def lab_flags(self) -> list[str]:
        """Flags of ``rolecall lab up`` for its accounts and region."""
        return [*(word for account in self.accounts for word in ("--account", account)), "--region", REGION]

    def accesses(self) -> tuple[AccountAccess, ...]:
        """How the lab's profiles reach its accounts."""
        first = self.accounts[0]
        return tuple(AccountAccess(a, "lab-admin" if a == first else f"lab-admin-{a}") for a in self.accounts)

    def seed(self, clients: AwsClients, workers: int = 4) -> None:
        """Make all of it."""
        with ThreadPoolExecutor(workers) as pool:

            def each(work: Callable[[_Item], None], items: Iterable[_Item]) -> None:
                for _ in pool.map(work, items):
                    pass

            each(lambda account: _make_group(clients, account), self.accounts)
            each(lambda person: _make_person(clients, person), self.people)
            each(lambda account: _make_role(clients, Role("node", account, (), False)), self.accounts)
            each(lambda role: _make_role(clients, role), self.roles)
            each(lambda cluster: _make_cluster(clients, cluster), self.clusters)


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _make_group(clients: AwsClients, account: str) -> None:
    iam = clients.client(account, "iam")
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/team-*"}
    iam.create_group(GroupName="people")
    iam.put_group_policy(GroupName="people", PolicyName="assume", PolicyDocument=_policy(assume))


def _make_person(clients: AwsClients, person: Person) -> None:
    iam = clients.client(person.account, "iam")
    iam.create_user(UserName=person.name, Path="/people/", Tags=[{"Key": "owner", "Value": person.name}])
    iam.add_user_to_group(GroupName="people", UserName=person.name)


def _make_role(clients: AwsClients, role: Role) -> None:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    statement["Principal"] = (
        {"AWS": [person.arn for person in role.people]} if role.people else {"Service": "ec2.amazonaws.com"}
    )
    if role.mfa:
        statement["Condition"] = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    describe = {"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": "*"}
    iam = clients.client(role.account, "iam")
    iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=_policy(statement), Description=f"role {role.name}")
    iam.put_role_policy(
        RoleName=role.name,
        PolicyName="describe",
        PolicyDocument=_policy(describe),
    )


def _make_cluster(clients: AwsClients, cluster: Cluster) -> None:
    eks = clients.client(cluster.account, "eks")
    eks.create_cluster(
        name=cluster.name,
        roleArn=f"arn:aws:iam::{cluster.account}:role/node",
        resourcesVpcConfig={"subnetIds": ["subnet-1"]},
        accessConfig={"authenticationMode": cluster.mode},
    )
    while (found := eks.describe_cluster(name=cluster.name)["cluster"])["status"] != "ACTIVE":
        time.sleep(0.01)
    if cluster.by_entries:
        for role in cluster.roles:
            eks.create_access_entry(
                clusterName=cluster.name,
                principalArn=role.arn,
                username=f"{role.name}:{{{{SessionName}}}}",
                kubernetesGroups=[role.name],
            )
        eks.associate_access_policy(
            clusterName=cluster.name,
            principalArn=cluster.roles[0].arn,
            policyArn=VIEW,
            accessScope={"type": "namespace", "namespaces": ["dev-*"]},
        )
    if cluster.mode != "API":
        write_aws_auth(clients, cluster, found, aws_auth_text(cluster))


def aws_auth_text(cluster: Cluster) -> str:
    """``mapRoles`` of a cluster, with a comment that an edit must keep."""
    lines = [
        "# nodes, do not remove",
        f"- rolearn: arn:aws:iam::{cluster.account}:role/node",
        "  username: system:node:{{EC2PrivateDNSName}}",
        "  groups: [system:bootstrappers, system:nodes]",
    ]
    for role in () if cluster.by_entries else cluster.roles:
        lines += [f"- rolearn: {role.arn}", f"  username: {role.name}:{{{{SessionName}}}}", f"  groups: [{role.name}]"]
    return "\n".join(lines) + "\n"


def write_aws_auth(clients: AwsClients, cluster: Cluster, described: dict[str, Any], roles: str) -> None:
    """Create the ConfigMap, as the cluster's creator."""
    authority = base64.b64decode(described["certificateAuthority"]["data"]).decode()
    endpoint = urlsplit(described["endpoint"])
    token = mint(
        clients.credentials(cluster.account),
        cluster.name,
        region=REGION,
        now=datetime.now(UTC),
        endpoint=clients.endpoint(cluster.account, "sts"),
    )
    context = ssl.create_default_context(cadata=authority)
    connection = http.client.HTTPSConnection(endpoint.hostname or "", endpoint.port, timeout=300, context=context)
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "aws-auth", "namespace": "kube-system"},
        "data": {"mapRoles": roles},
    }
    headers = {"Authorization": f"Bearer {token.value}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/namespaces/kube-system/configmaps", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()
