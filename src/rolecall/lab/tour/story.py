"""The procedure, step by step: from an empty account to a person in a cluster, and out again.

Each step is the person's own command. The tour checks what it prints, so that it can be wrong and say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rolecall.lab.tour.files import (
    ACCOUNT,
    CLUSTER,
    COLLEAGUE,
    NODES,
    POLICY,
    PROFILE,
    ROLE,
    ROLE_ARN,
    USER,
    USER_ARN,
    USERNAME,
    aws_auth,
    describe_policy,
    trust,
)
from rolecall.lab.tour.stage import Stage, Step, read_json

CHAIN = ("person", "credentials", "assume role", "token", "identity", "Kubernetes user", "permissions")


@dataclass(frozen=True, slots=True)
class Record:
    """The table that the procedure ends with, and the names along the chain."""

    rows: tuple[tuple[str, str], ...]
    chain: tuple[tuple[str, str], ...]

    @property
    def members(self) -> dict[str, Any]:
        """The rows for programs."""
        return {
            "userName": USER,
            "userArn": USER_ARN,
            "roleName": ROLE,
            "roleArn": ROLE_ARN,
            "username": USERNAME,
            "groups": ["system:masters"],
        }


class Story:
    """The tour, chapter by chapter.

    :ivar record: what came of it, once every step is taken.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.record: Record | None = None

    def tell(self) -> Iterator[Step]:
        """Every step, taken one after the other."""
        for chapter in (_cluster, _person, _role, _mapping, _login, _second_person, _offboarding):
            yield from chapter(self._stage)
        self.record = _record(self._stage)


def _cluster(stage: Stage) -> Iterator[Step]:
    yield stage.do(
        "A cluster exists",
        "aws eks create-cluster --name kubedemy --role-arn "
        f"arn:aws:iam::{ACCOUNT}:role/eks-cluster --resources-vpc-config subnetIds=subnet-1",
        "a Kubernetes API of its own; its creator is an administrator that no list shows",
        lambda done: (read_json(done)["cluster"]["status"] == "CREATING", "the cluster is being created"),
    )
    yield stage.do(
        "It answers",
        "aws eks wait cluster-active --name kubedemy",
        "nothing",
        lambda done: (done.code == 0, "the cluster is ACTIVE"),
    )
    yield stage.do(
        "The administrator can reach it",
        "aws eks update-kubeconfig --name kubedemy",
        "~/.kube/config of the lab",
        lambda done: (done.code == 0, "kubectl gets its tokens from `aws eks get-token` from now on"),
    )
    yield stage.write(
        "Worker nodes are mapped already", "nodes.yaml", aws_auth(NODES), "a file; the next command sends it"
    )
    yield stage.do(
        "The nodes' entry in aws-auth",
        "kubectl apply -f nodes.yaml",
        "ConfigMap kube-system/aws-auth",
        lambda done: (done.code == 0, "nodes can join; people cannot log in yet"),
    )


def _person(stage: Stage) -> Iterator[Step]:
    yield stage.do(
        "1. A user without any permission",
        f"aws iam create-user --user-name {USER} --tags Key=owner,Value={USER}",
        f"IAM user {USER}",
        lambda done: (read_json(done)["User"]["Arn"] == USER_ARN, USER_ARN),
    )
    yield stage.key(USER, "default")
    yield stage.do(
        "The user alone may do nothing",
        "aws --profile default iam list-users",
        "nothing",
        lambda done: (done.code != 0 and "AccessDenied" in done.errors, "AccessDenied, as it should be"),
    )
    token = ("--profile", "default", "eks", "get-token", "--cluster-name", CLUSTER)
    yield stage.do(
        "A kubectl user with the person's own token",
        "kubectl config set-credentials alone --exec-api-version=client.authentication.k8s.io/v1beta1 "
        f"--exec-command=aws {' '.join(f'--exec-arg={word}' for word in token)}",
        "~/.kube/config of the lab",
        lambda done: (done.code == 0, "anybody can make a token; what it is worth the cluster decides"),
    )
    yield stage.do(
        "The cluster does not know the user alone",
        "kubectl --user alone auth whoami",
        "nothing",
        lambda done: (done.code != 0 and "logged in" in done.errors + done.output, "401: the user is not mapped"),
    )


def _role(stage: Stage) -> Iterator[Step]:
    name = "kubernetes-admin-trust-policy.json"
    yield stage.write("2. Who may assume the role", name, trust(USER), "a file: the trust policy names the user")
    yield stage.do(
        "The role",
        f"aws iam create-role --role-name {ROLE} --assume-role-policy-document file://{name} "
        f"--tags Key=owner,Value={USER}",
        f"IAM role {ROLE}",
        lambda done: (read_json(done)["Role"]["Arn"] == ROLE_ARN, ROLE_ARN),
    )
    file = "describe-kubedemy-cluster.json"
    yield stage.write("3. What the role may do in AWS", file, describe_policy(), "a file: eks:DescribeCluster alone")
    yield stage.do(
        "The role's permission",
        f"aws iam put-role-policy --role-name {ROLE} --policy-name {POLICY} --policy-document file://{file}",
        f"inline policy {POLICY}",
        lambda done: (done.code == 0, "the role can describe the cluster, which update-kubeconfig needs"),
    )


def _mapping(stage: Stage) -> Iterator[Step]:
    entry = f"- rolearn: {ROLE_ARN}\n  username: {USERNAME}\n  groups:\n    - system:masters\n"
    yield stage.write(
        "4. The role in aws-auth",
        "aws-auth.yaml",
        aws_auth(NODES + entry),
        "a file: the nodes' entry, and the role's",
    )
    yield stage.do(
        "The mapping is in force",
        "kubectl apply -f aws-auth.yaml",
        "ConfigMap kube-system/aws-auth",
        lambda done: (done.code == 0, "the cluster knows the role; it never hears of people"),
    )
    yield stage.do(
        "The nodes' entry survived",
        "kubectl get configmap aws-auth -n kube-system -o json",
        "nothing",
        lambda done: (
            "role/nodes" in read_json(done)["data"]["mapRoles"] and ROLE_ARN in read_json(done)["data"]["mapRoles"],
            "both entries are there",
        ),
    )


def _login(stage: Stage) -> Iterator[Step]:
    yield stage.profile(PROFILE, "default")
    yield stage.do(
        "6. The person's kubeconfig",
        f"aws --profile {PROFILE} eks update-kubeconfig --name {CLUSTER}",
        "~/.kube/config of the lab",
        lambda done: (done.code == 0, "kubectl asks for tokens with the role's profile"),
    )
    step = stage.do(
        "Who am I in the cluster?",
        "kubectl auth whoami",
        "nothing",
        lambda done: (
            "admin:ASIA" in done.output and "system:masters" in done.output and ROLE_ARN in done.output,
            "the username has the session's key id and name: the audit log can name the person",
        ),
    )
    stage.whoami = step.output
    yield step
    yield stage.do(
        "What may I do?",
        "kubectl auth can-i delete namespaces",
        "nothing",
        lambda done: (done.output.strip().endswith("yes"), "everything: the group is system:masters"),
    )


def _second_person(stage: Stage) -> Iterator[Step]:
    yield stage.do(
        "A colleague arrives",
        f"aws iam create-user --user-name {COLLEAGUE}",
        f"IAM user {COLLEAGUE}",
        lambda done: (read_json(done)["User"]["UserName"] == COLLEAGUE, "a user without any permission, as before"),
    )
    yield stage.key(COLLEAGUE, COLLEAGUE)
    assume = f"sts assume-role --role-arn {ROLE_ARN} --role-session-name {COLLEAGUE}"
    yield stage.do(
        "Not in the trust policy, not in",
        f"aws --profile {COLLEAGUE} {assume}",
        "nothing",
        lambda done: (
            done.code != 0 and "AccessDenied" in done.errors,
            "AccessDenied: the role does not trust them",
        ),
    )
    name = "trust-two.json"
    yield stage.write("Trust both", name, trust(USER, COLLEAGUE), "a file")
    yield stage.do(
        "One change lets them in",
        f"aws iam update-assume-role-policy --role-name {ROLE} --policy-document file://{name}",
        f"the trust policy of {ROLE}; no cluster is touched",
        lambda done: (done.code == 0, "the role trusts both"),
    )
    yield stage.do(
        "The colleague can assume the role",
        f"aws --profile {COLLEAGUE} {assume}",
        "nothing",
        lambda done: (
            read_json(done)["AssumedRoleUser"]["Arn"].endswith(f"/{COLLEAGUE}"),
            "a session in their own name",
        ),
        hide=True,
    )


def _offboarding(stage: Stage) -> Iterator[Step]:
    step = stage.do(
        "A session that the leaver holds",
        f"aws --profile default sts assume-role --role-arn {ROLE_ARN} --role-session-name {USER}",
        "nothing",
        lambda done: (done.code == 0, f"alive until {read_json(done)['Credentials']['Expiration']}"),
        hide=True,
    )
    held = json.loads(step.output)["Credentials"] if step.ok else {}
    yield step
    name = "trust-colleague.json"
    yield stage.write("Offboarding: trust the colleague alone", name, trust(COLLEAGUE), "a file")
    yield stage.do(
        "The leaver's ARN leaves the trust policy",
        f"aws iam update-assume-role-policy --role-name {ROLE} --policy-document file://{name}",
        f"the trust policy of {ROLE}",
        lambda done: (done.code == 0, "no new session for the leaver, in any cluster"),
    )
    yield stage.do(
        "Proof",
        f"aws --profile default sts assume-role --role-arn {ROLE_ARN} --role-session-name again",
        "nothing",
        lambda done: (done.code != 0 and "AccessDenied" in done.errors, "AccessDenied"),
    )
    yield from _delete_user(stage)
    yield stage.do(
        "What is still alive is known",
        "aws sts get-caller-identity",
        "nothing",
        lambda done: (
            read_json(done)["Arn"].endswith(f"/{USER}"),
            f"the session from before, until {held.get('Expiration', '?')}, and not a minute longer",
        ),
        {
            "AWS_ACCESS_KEY_ID": held.get("AccessKeyId", ""),
            "AWS_SECRET_ACCESS_KEY": held.get("SecretAccessKey", ""),
            "AWS_SESSION_TOKEN": held.get("SessionToken", ""),
        },
    )


def _delete_user(stage: Stage) -> Iterator[Step]:
    found = stage.run(["aws", "iam", "list-access-keys", "--user-name", USER], {})
    keys = [key["AccessKeyId"] for key in read_json(found)["AccessKeyMetadata"]]
    for key in keys:
        yield stage.do(
            "The leaver's key is deleted",
            f"aws iam delete-access-key --user-name {USER} --access-key-id {key}",
            f"access key {key}",
            lambda done: (done.code == 0, "it is not accepted any more"),
        )
    yield stage.do(
        "The leaver's user is deleted",
        f"aws iam delete-user --user-name {USER}",
        f"IAM user {USER}",
        lambda done: (done.code == 0, "deleted; a new user of this name would be another principal"),
    )
    yield stage.do(
        "The old key does not work any more",
        "aws --profile default sts get-caller-identity",
        "nothing",
        lambda done: (done.code != 0 and "InvalidClientTokenId" in done.errors, "InvalidClientTokenId"),
    )


def _record(stage: Stage) -> Record:
    username = next((line.split()[1] for line in stage.whoami.splitlines() if line.startswith("Username")), "")
    rows = (
        ("IAM user name", USER),
        ("IAM user ARN", USER_ARN),
        ("Role name", ROLE),
        ("Role ARN", ROLE_ARN),
        ("Username in the cluster", USERNAME),
        ("Groups in the cluster", "system:masters"),
    )
    session = username.rpartition(":")[2]
    chain = (
        USER_ARN,
        f"access key of {USER}, profile default",
        f"{ROLE}, session {session}",
        "presigned GetCallerIdentity, bound to the cluster " + CLUSTER,
        f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{session}",
        username,
        "system:masters, system:authenticated",
    )
    return Record(rows, tuple(zip(CHAIN, chain, strict=True)))
