"""The procedure, command for command, with the unmodified AWS CLI and kubectl, in the lab of the fixture ``lab``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT, REGION = "231144931069", "eu-west-2"
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/kubedemy"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/Kubedemy_EKS_KubernetesAdmin"
CLUSTER_ARN = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/kubedemy"
TOOLS_MISSING = [
    str(path.relative_to(ROOT))
    for path in (ROOT / ".tools" / "aws" / "bin" / "aws", ROOT / ".tools" / "kubectl" / "1.36" / "kubectl")
    if not path.exists()
]
NEEDS_TOOLS = pytest.mark.skipif(bool(TOOLS_MISSING), reason=f"not installed: {', '.join(TOOLS_MISSING)}")

NODES = "- rolearn: arn:aws:iam::231144931069:role/nodes\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:nodes]\n"
ADMIN = (
    f"- rolearn: {ROLE_ARN}\n  username: admin:{{{{AccessKeyID}}}}:{{{{SessionName}}}}\n  groups:\n  - system:masters\n"
)


class Person:
    """Somebody at a terminal in the lab's shell."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        self.home = Path(environment["HOME"])

    def types(self, command: str, *, ok: bool = True, **variables: str) -> str:
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (done.returncode == 0) is ok, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout if ok else done.stderr + done.stdout

    def writes(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(content if isinstance(content, str) else json.dumps(content))

    def adds(self, file: str, text: str) -> None:
        path = self.home / ".aws" / file
        path.write_text(path.read_text() + text)

    def gets_key(self, user: str, profile: str) -> None:
        key = json.loads(self.types(f"aws iam create-access-key --user-name {user}"))["AccessKey"]
        self.adds(
            "credentials",
            f"\n[{profile}]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n",
        )


def trust(*users: str) -> dict[str, Any]:
    arns = [f"arn:aws:iam::{ACCOUNT}:user/{user}" for user in users]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": arns[0] if len(arns) == 1 else arns},
        "Action": "sts:AssumeRole",
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def aws_auth(entries: str) -> dict[str, Any]:
    metadata = {"name": "aws-auth", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mapRoles": entries}}


@pytest.fixture(scope="module")
def person(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """The procedure up to its last step, as written."""
    person = Person(lab.environment(), tmp_path_factory.mktemp("work"))
    person.types(
        "aws eks create-cluster --name kubedemy --role-arn arn:aws:iam::231144931069:role/eks --resources-vpc-config subnetIds=subnet-1"
    )
    # The waiter looks every 30 seconds, so it is asked once there is nothing to wait for.
    while "CREATING" in person.types("aws eks describe-cluster --name kubedemy --query cluster.status"):
        pass
    person.types("aws eks wait cluster-active --name kubedemy")
    person.types("aws eks update-kubeconfig --name kubedemy --alias admin")
    person.writes("aws-auth.yaml", aws_auth(NODES))
    person.types("kubectl apply -f aws-auth.yaml")
    # 1
    person.types("aws iam create-user --user-name kubedemy --tags Key=owner,Value=kubedemy")
    person.gets_key("kubedemy", "default")
    # 2
    person.writes("kubernetes-admin-trust-policy.json", trust("kubedemy"))
    person.types(
        "aws iam create-role --role-name Kubedemy_EKS_KubernetesAdmin "
        "--assume-role-policy-document file://kubernetes-admin-trust-policy.json --tags Key=owner,Value=kubedemy"
    )
    # 3
    statement = {"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": CLUSTER_ARN}
    person.writes("describe-kubedemy-cluster.json", {"Version": "2012-10-17", "Statement": [statement]})
    person.types(
        "aws iam put-role-policy --role-name Kubedemy_EKS_KubernetesAdmin --policy-name Describe_Kubedemy_Cluster "
        "--policy-document file://describe-kubedemy-cluster.json"
    )
    # 4
    person.writes("aws-auth.yaml", aws_auth(NODES + ADMIN))
    person.types("kubectl apply -f aws-auth.yaml")
    # 5
    person.adds(
        "config",
        f"\n[profile KubernetesAdmin]\nrole_arn = {ROLE_ARN}\nsource_profile = default\nregion = {REGION}\noutput = json\n",
    )
    # 6
    person.types("aws --profile KubernetesAdmin eks update-kubeconfig --name kubedemy --alias kubedemy")
    return person


def test_whoami(person: Person) -> None:
    review = json.loads(person.types("kubectl --context kubedemy auth whoami -o json"))
    user = review["status"]["userInfo"]
    extra = {key: values[0] for key, values in user["extra"].items()}
    assert extra["accessKeyId"].startswith("ASIA")
    assert user["username"] == f"admin:{extra['accessKeyId']}:{extra['sessionName']}"
    assert sorted(user["groups"]) == ["system:authenticated", "system:masters"]
    assert extra["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/Kubedemy_EKS_KubernetesAdmin/{extra['sessionName']}"
    assert extra["canonicalArn"] == ROLE_ARN
    assert extra["principalId"].startswith("AROA")
    assert user["uid"] == f"aws-iam-authenticator:{ACCOUNT}:{extra['principalId']}"


def test_the_nodes_entry_survives_the_edit(person: Person) -> None:
    found = json.loads(person.types("kubectl --context kubedemy get configmap aws-auth -n kube-system -o json"))
    assert found["data"]["mapRoles"] == NODES + ADMIN


def test_the_user_alone_has_no_permission(person: Person) -> None:
    assert "AccessDenied" in person.types("aws --profile default iam list-users", ok=False)
    assert "AccessDenied" in person.types("aws --profile default eks describe-cluster --name kubedemy", ok=False)
    assert json.loads(person.types("aws --profile default sts get-caller-identity"))["Arn"] == USER_ARN


def test_the_user_alone_is_unauthorized(person: Person) -> None:
    person.types(
        "kubectl config set-credentials alone --exec-api-version=client.authentication.k8s.io/v1beta1 --exec-command=aws "
        "--exec-arg=--profile --exec-arg=default --exec-arg=eks --exec-arg=get-token --exec-arg=--cluster-name --exec-arg=kubedemy"
    )
    refused = person.types("kubectl --context kubedemy --user alone get namespaces", ok=False)
    assert "must be logged in" in refused or "Unauthorized" in refused


def test_a_token_for_another_cluster_is_unauthorized(person: Person) -> None:
    token = person.types(
        "aws --profile KubernetesAdmin eks get-token --cluster-name other --output text --query status.token"
    )
    server = person.types(
        "kubectl config view --minify --context kubedemy -o 'jsonpath={.clusters[0].cluster.server}'"
    ).strip()
    command = f"kubectl --kubeconfig /dev/null --server {server} --insecure-skip-tls-verify --token {token.strip()} get namespaces"
    assert "must be logged in" in person.types(command, ok=False)


def test_get_token_needs_no_permission_of_its_own(person: Person) -> None:
    found = json.loads(person.types("aws --profile KubernetesAdmin eks get-token --cluster-name kubedemy"))
    assert found["status"]["token"].startswith("k8s-aws-v1.")


def test_a_second_person_and_offboarding(person: Person) -> None:
    assume = f"sts assume-role --role-arn {ROLE_ARN} --role-session-name colleague"
    before = person.types(
        "kubectl --context admin get configmap aws-auth -n kube-system -o 'jsonpath={.metadata.resourceVersion}'"
    )
    person.types("aws iam create-user --user-name colleague")
    person.gets_key("colleague", "colleague")
    assert "AccessDenied" in person.types(f"aws --profile colleague {assume}", ok=False)
    person.writes("both.json", trust("kubedemy", "colleague"))
    person.types(
        "aws iam update-assume-role-policy --role-name Kubedemy_EKS_KubernetesAdmin --policy-document file://both.json"
    )
    person.types(f"aws --profile colleague {assume}")
    held = json.loads(
        person.types(f"aws --profile default sts assume-role --role-arn {ROLE_ARN} --role-session-name kubedemy")
    )["Credentials"]
    # The leaver: out of the trust policy, and the user deleted.
    person.writes("one.json", trust("colleague"))
    person.types(
        "aws iam update-assume-role-policy --role-name Kubedemy_EKS_KubernetesAdmin --policy-document file://one.json"
    )
    assert "AccessDenied" in person.types(f"aws --profile default {assume}", ok=False)
    keys = json.loads(person.types("aws iam list-access-keys --user-name kubedemy"))["AccessKeyMetadata"]
    assert "DeleteConflict" in person.types("aws iam delete-user --user-name kubedemy", ok=False)
    person.types(f"aws iam delete-access-key --user-name kubedemy --access-key-id {keys[0]['AccessKeyId']}")
    person.types("aws iam delete-user --user-name kubedemy")
    assert "InvalidClientTokenId" in person.types("aws --profile default sts get-caller-identity", ok=False)
    # What is still alive, and until when, is known: the session from before, until its Expiration.
    variables = {
        "AWS_ACCESS_KEY_ID": held["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": held["SecretAccessKey"],
        "AWS_SESSION_TOKEN": held["SessionToken"],
    }
    assert json.loads(person.types("aws sts get-caller-identity", **variables))["Arn"].endswith("/kubedemy")
    person.types(f"aws --profile colleague {assume}")
    after = person.types(
        "kubectl --context admin get configmap aws-auth -n kube-system -o 'jsonpath={.metadata.resourceVersion}'"
    )
    assert after == before


def test_people_can_still_be_mapped_one_by_one(person: Person) -> None:
    """mapUsers, for break-glass and automation."""
    person.types("aws iam create-user --user-name robot")
    person.gets_key("robot", "robot")
    found = aws_auth(NODES + ADMIN)
    found["data"]["mapUsers"] = f"- userarn: arn:aws:iam::{ACCOUNT}:user/robot\n  username: robot\n  groups: [robots]\n"
    person.writes("users.yaml", found)
    person.types("kubectl --context admin apply -f users.yaml")
    person.types(
        "kubectl config set-credentials robot --exec-api-version=client.authentication.k8s.io/v1beta1 --exec-command=aws "
        "--exec-arg=--profile --exec-arg=robot --exec-arg=eks --exec-arg=get-token --exec-arg=--cluster-name --exec-arg=kubedemy"
    )
    user = json.loads(person.types("kubectl --context kubedemy --user robot auth whoami -o json"))["status"]["userInfo"]
    assert (user["username"], sorted(user["groups"])) == ("robot", ["robots", "system:authenticated"])


def test_access_entries_instead_of_the_config_map(person: Person) -> None:
    """Entries win over aws-auth; access policies are in force; the mode only goes forward (facts/eks.md 3.2 to 3.4)."""
    readers = f"arn:aws:iam::{ACCOUNT}:role/Readers"
    person.types("aws iam create-user --user-name reader")
    person.gets_key("reader", "reader")
    person.writes("readers.json", trust("reader"))
    person.types("aws iam create-role --role-name Readers --assume-role-policy-document file://readers.json")
    person.types(
        "aws iam put-role-policy --role-name Readers --policy-name d --policy-document file://describe-kubedemy-cluster.json"
    )
    person.types("aws eks update-cluster-config --name kubedemy --access-config authenticationMode=API_AND_CONFIG_MAP")
    person.types(
        f"aws eks create-access-entry --cluster-name kubedemy --principal-arn {readers} --username dev:{{{{SessionName}}}}"
    )
    person.types(
        f"aws eks associate-access-policy --cluster-name kubedemy --principal-arn {readers} "
        "--access-scope type=namespace,namespaces=default "
        "--policy-arn arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    )
    person.adds(
        "config",
        f"\n[profile Readers]\nrole_arn = {readers}\nsource_profile = reader\nrole_session_name = rita\nregion = {REGION}\n",
    )
    person.types("aws --profile Readers eks update-kubeconfig --name kubedemy --alias readers")
    whoami = json.loads(person.types("kubectl --context readers auth whoami -o json"))["status"]["userInfo"]
    assert whoami["username"] == "dev:rita"
    assert whoami["groups"] == ["system:authenticated"]
    person.types("kubectl --context readers get configmaps -n default")
    assert "forbidden" in person.types("kubectl --context readers get secrets -n default", ok=False)
    assert "forbidden" in person.types("kubectl --context readers get configmaps -n kube-system", ok=False)
    back = "aws eks update-cluster-config --name kubedemy --access-config authenticationMode=CONFIG_MAP"
    assert "Unsupported authentication mode update" in person.types(back, ok=False)
