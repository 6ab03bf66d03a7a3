"""The procedure, told as it happens: from an empty account to a person in a cluster, and out again.

Each step is the person's own command. The tour checks what it prints, so that it can be wrong and say so.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolecall.lab.tour.commands import Done
from rolecall.lab.tour.files import (
    ACCOUNT,
    CLUSTER,
    COLLEAGUE,
    NODES,
    POLICY,
    PROFILE,
    REGION,
    ROLE,
    ROLE_ARN,
    USER,
    USER_ARN,
    USERNAME,
    aws_auth,
    describe_policy,
    trust,
)

CHAIN = ("person", "credentials", "assume role", "token", "identity", "Kubernetes user", "permissions")

Run = Callable[[Sequence[str], Mapping[str, str]], Done]


@dataclass(frozen=True, slots=True)
class Told:
    """One step as it happened.

    :param command: what a person would type; empty for a file that is written.
    :param changed: what it changed in the world.
    :param result: what came of it, in a sentence.
    """

    number: int
    title: str
    command: str
    changed: str
    result: str
    ok: bool
    output: str = field(default="", repr=False)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Record:
    """The table that the procedure ends with, and the names along the chain."""

    rows: tuple[tuple[str, str], ...]
    chain: tuple[tuple[str, str], ...]


class Story:
    """The tour in a lab that runs.

    :param run: runs ``aws ...`` or ``kubectl ...``, with variables added to the lab shell's environment.
    :param folder: where the files of the procedure are written.
    :param home: HOME of the lab shell.
    """

    def __init__(self, run: Run, folder: Path, home: Path) -> None:
        self._run = run
        self._folder = folder
        self._home = home
        self._number = 0
        self._whoami = ""
        self.record: Record | None = None

    def tell(self) -> Iterator[Told]:
        """Every step, done one after the other."""
        yield from self._cluster()
        yield from self._person()
        yield from self._role()
        yield from self._mapping()
        yield from self._login()
        yield from self._second_person()
        yield from self._offboarding()
        self.record = self._make_record()

    def _cluster(self) -> Iterator[Told]:
        yield self._do(
            "A cluster exists",
            "aws eks create-cluster --name kubedemy --role-arn "
            f"arn:aws:iam::{ACCOUNT}:role/eks-cluster --resources-vpc-config subnetIds=subnet-1",
            "a Kubernetes API of its own; its creator is an administrator that no list shows",
            lambda done: (_json(done)["cluster"]["status"] == "CREATING", "the cluster is being created"),
        )
        yield self._do(
            "It answers",
            "aws eks wait cluster-active --name kubedemy",
            "nothing",
            lambda done: (done.code == 0, "the cluster is ACTIVE"),
        )
        yield self._do(
            "The administrator can reach it",
            "aws eks update-kubeconfig --name kubedemy",
            "~/.kube/config of the lab",
            lambda done: (done.code == 0, "kubectl gets its tokens from `aws eks get-token` from now on"),
        )
        yield self._write(
            "Worker nodes are mapped already", "nodes.yaml", aws_auth(NODES), "a file; the next command sends it"
        )
        yield self._do(
            "The nodes' entry in aws-auth",
            "kubectl apply -f nodes.yaml",
            "ConfigMap kube-system/aws-auth",
            lambda done: (done.code == 0, "nodes can join; people cannot log in yet"),
        )

    def _person(self) -> Iterator[Told]:
        yield self._do(
            "1. A user without any permission",
            f"aws iam create-user --user-name {USER} --tags Key=owner,Value={USER}",
            f"IAM user {USER}",
            lambda done: (_json(done)["User"]["Arn"] == USER_ARN, USER_ARN),
        )
        yield self._key(USER, "default")
        yield self._do(
            "The user alone may do nothing",
            "aws --profile default iam list-users",
            "nothing",
            lambda done: (done.code != 0 and "AccessDenied" in done.errors, "AccessDenied, as it should be"),
        )
        token = ("--profile", "default", "eks", "get-token", "--cluster-name", CLUSTER)
        yield self._do(
            "A kubectl user with the person's own token",
            "kubectl config set-credentials alone --exec-api-version=client.authentication.k8s.io/v1beta1 "
            f"--exec-command=aws {' '.join(f'--exec-arg={word}' for word in token)}",
            "~/.kube/config of the lab",
            lambda done: (done.code == 0, "anybody can make a token; what it is worth the cluster decides"),
        )
        yield self._do(
            "The user alone is nobody to the cluster",
            "kubectl --user alone auth whoami",
            "nothing",
            lambda done: (done.code != 0 and "logged in" in done.errors + done.output, "401: the user is not mapped"),
        )

    def _role(self) -> Iterator[Told]:
        name = "kubernetes-admin-trust-policy.json"
        yield self._write("2. Who may assume the role", name, trust(USER), "a file: the trust policy names the user")
        yield self._do(
            "The role",
            f"aws iam create-role --role-name {ROLE} --assume-role-policy-document file://{name} "
            f"--tags Key=owner,Value={USER}",
            f"IAM role {ROLE}",
            lambda done: (_json(done)["Role"]["Arn"] == ROLE_ARN, ROLE_ARN),
        )
        file = "describe-kubedemy-cluster.json"
        yield self._write(
            "3. What the role may do in AWS", file, describe_policy(), "a file: eks:DescribeCluster alone"
        )
        yield self._do(
            "The role's permission",
            f"aws iam put-role-policy --role-name {ROLE} --policy-name {POLICY} --policy-document file://{file}",
            f"inline policy {POLICY}",
            lambda done: (done.code == 0, "the role can describe the cluster, which update-kubeconfig needs"),
        )

    def _mapping(self) -> Iterator[Told]:
        entry = f"- rolearn: {ROLE_ARN}\n  username: {USERNAME}\n  groups:\n    - system:masters\n"
        yield self._write(
            "4. The role in aws-auth",
            "aws-auth.yaml",
            aws_auth(NODES + entry),
            "a file: the nodes' entry, and the role's",
        )
        yield self._do(
            "The mapping is in force",
            "kubectl apply -f aws-auth.yaml",
            "ConfigMap kube-system/aws-auth",
            lambda done: (done.code == 0, "the cluster knows the role; it never hears of people"),
        )
        yield self._do(
            "The nodes' entry survived",
            "kubectl get configmap aws-auth -n kube-system -o json",
            "nothing",
            lambda done: (
                "role/nodes" in _json(done)["data"]["mapRoles"] and ROLE_ARN in _json(done)["data"]["mapRoles"],
                "both entries are there",
            ),
        )

    def _login(self) -> Iterator[Told]:
        yield self._profile(PROFILE, "default")
        yield self._do(
            "6. The person's kubeconfig",
            f"aws --profile {PROFILE} eks update-kubeconfig --name {CLUSTER}",
            "~/.kube/config of the lab",
            lambda done: (done.code == 0, "kubectl asks for tokens with the role's profile"),
        )
        told = self._do(
            "Who am I in the cluster?",
            "kubectl auth whoami",
            "nothing",
            lambda done: (
                "admin:ASIA" in done.output and "system:masters" in done.output and ROLE_ARN in done.output,
                "the username has the session's key id and name: the audit log can name the person",
            ),
        )
        self._whoami = told.output
        yield told
        yield self._do(
            "What may I do?",
            "kubectl auth can-i delete namespaces",
            "nothing",
            lambda done: (done.output.strip().endswith("yes"), "everything: the group is system:masters"),
        )

    def _second_person(self) -> Iterator[Told]:
        yield self._do(
            "A colleague arrives",
            f"aws iam create-user --user-name {COLLEAGUE}",
            f"IAM user {COLLEAGUE}",
            lambda done: (_json(done)["User"]["UserName"] == COLLEAGUE, "a user without any permission, as before"),
        )
        yield self._key(COLLEAGUE, COLLEAGUE)
        assume = f"sts assume-role --role-arn {ROLE_ARN} --role-session-name {COLLEAGUE}"
        yield self._do(
            "Not in the trust policy, not in",
            f"aws --profile {COLLEAGUE} {assume}",
            "nothing",
            lambda done: (
                done.code != 0 and "AccessDenied" in done.errors,
                "AccessDenied: the role does not trust them",
            ),
        )
        name = "trust-two.json"
        yield self._write("Trust both", name, trust(USER, COLLEAGUE), "a file")
        yield self._do(
            "One change lets them in",
            f"aws iam update-assume-role-policy --role-name {ROLE} --policy-document file://{name}",
            f"the trust policy of {ROLE}; no cluster is touched",
            lambda done: (done.code == 0, "the role trusts both"),
        )
        yield self._do(
            "The colleague can assume the role",
            f"aws --profile {COLLEAGUE} {assume}",
            "nothing",
            lambda done: (
                _json(done)["AssumedRoleUser"]["Arn"].endswith(f"/{COLLEAGUE}"),
                "a session in their own name",
            ),
            hide=True,
        )

    def _offboarding(self) -> Iterator[Told]:
        told = self._do(
            "A session that the leaver holds",
            f"aws --profile default sts assume-role --role-arn {ROLE_ARN} --role-session-name {USER}",
            "nothing",
            lambda done: (done.code == 0, f"alive until {_json(done)['Credentials']['Expiration']}"),
            hide=True,
        )
        held = json.loads(told.output)["Credentials"] if told.ok else {}
        yield told
        name = "trust-colleague.json"
        yield self._write("Offboarding: trust the colleague alone", name, trust(COLLEAGUE), "a file")
        yield self._do(
            "The leaver's ARN leaves the trust policy",
            f"aws iam update-assume-role-policy --role-name {ROLE} --policy-document file://{name}",
            f"the trust policy of {ROLE}",
            lambda done: (done.code == 0, "no new session for the leaver, in any cluster"),
        )
        yield self._do(
            "Proof",
            f"aws --profile default sts assume-role --role-arn {ROLE_ARN} --role-session-name again",
            "nothing",
            lambda done: (done.code != 0 and "AccessDenied" in done.errors, "AccessDenied"),
        )
        yield from self._delete_user()
        yield self._do(
            "What is still alive is known",
            "aws sts get-caller-identity",
            "nothing",
            lambda done: (
                _json(done)["Arn"].endswith(f"/{USER}"),
                f"the session from before, until {held.get('Expiration', '?')}, and not a minute longer",
            ),
            {
                "AWS_ACCESS_KEY_ID": held.get("AccessKeyId", ""),
                "AWS_SECRET_ACCESS_KEY": held.get("SecretAccessKey", ""),
                "AWS_SESSION_TOKEN": held.get("SessionToken", ""),
            },
        )

    def _delete_user(self) -> Iterator[Told]:
        found = self._run(["aws", "iam", "list-access-keys", "--user-name", USER], {})
        keys = [key["AccessKeyId"] for key in _json(found)["AccessKeyMetadata"]]
        for key in keys:
            yield self._do(
                "The leaver's key is deleted",
                f"aws iam delete-access-key --user-name {USER} --access-key-id {key}",
                f"access key {key}",
                lambda done: (done.code == 0, "it signs nothing any more"),
            )
        yield self._do(
            "The leaver's user is deleted",
            f"aws iam delete-user --user-name {USER}",
            f"IAM user {USER}",
            lambda done: (done.code == 0, "gone; one made anew under this name would be another principal"),
        )
        yield self._do(
            "Even the old key is nobody now",
            "aws --profile default sts get-caller-identity",
            "nothing",
            lambda done: (done.code != 0 and "InvalidClientTokenId" in done.errors, "InvalidClientTokenId"),
        )

    def _key(self, user: str, profile: str) -> Told:
        """An access key, put into the lab's credentials file; its secret is shown to nobody."""

        def keep(done: Done) -> tuple[bool, str]:
            key = _json(done)["AccessKey"]
            file = self._home / ".aws" / "credentials"
            section = (
                f"\n[{profile}]\naws_access_key_id = {key['AccessKeyId']}\n"
                f"aws_secret_access_key = {key['SecretAccessKey']}\n"
            )
            file.write_text(file.read_text() + section)
            return True, f"{key['AccessKeyId']} is profile {profile} in the lab's ~/.aws/credentials"

        return self._do(
            f"An access key for {user}",
            f"aws iam create-access-key --user-name {user}",
            f"access key of {user}",
            keep,
            hide=True,
        )

    def _profile(self, name: str, source: str) -> Told:
        file = self._home / ".aws" / "config"
        section = f"\n[profile {name}]\nrole_arn = {ROLE_ARN}\nsource_profile = {source}\n"
        section += f"region = {REGION}\noutput = json\n"
        file.write_text(file.read_text() + section)
        self._number += 1
        return Told(self._number, "5. A profile for the role", "", "~/.aws/config of the lab", section.strip(), True)

    def _write(self, title: str, name: str, text: str, what: str) -> Told:
        (self._folder / name).write_text(text)
        self._number += 1
        return Told(self._number, title, "", f"{name} is written", what, True, text)

    def _do(
        self,
        title: str,
        command: str,
        changed: str,
        judge: Callable[[Done], tuple[bool, str]],
        variables: Mapping[str, str] | None = None,
        *,
        hide: bool = False,
    ) -> Told:
        """Run a command and judge what it printed. ``hide``: the output holds a secret and is shown to nobody."""
        self._number += 1
        started = time.monotonic()
        done = self._run(shlex.split(command), variables or {})
        seconds = time.monotonic() - started
        try:
            ok, result = judge(done)
        except (ValueError, KeyError):
            ok, result = False, "the answer was not what the procedure expects"
        if not ok:
            result = f"{result}\n{(done.errors or done.output).strip()[:800]}"
        shown = " ".join([*(f"{name}={_masked(name, value)}" for name, value in (variables or {}).items()), command])
        return Told(self._number, title, shown, changed, result, ok, done.output if ok or not hide else "", seconds)

    def _make_record(self) -> Record:
        username = next((line.split()[1] for line in self._whoami.splitlines() if line.startswith("Username")), "")
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


def _json(done: Done) -> Any:
    return json.loads(done.output)


def _masked(name: str, value: str) -> str:
    return value if name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID") else "***"
