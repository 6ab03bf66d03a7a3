"""The manifests in a cluster of the lab, and the server with the arguments, files and rights that they give it.

Sources: Kubernetes documentation, "Webhook Token Authentication" and "Using RBAC Authorization"; aws-iam-authenticator
v0.7 README, "CRD (alpha)".
"""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_files import CLUSTER_ID, KUBECTL, kustomized
from deployed import (
    WEBHOOK_KUBECONFIG,
    DeployedAuthenticator,
    send,
    service_account_kubeconfig,
    with_cluster_id,
)
from kubectl_steps import create_cluster
from people import ACCOUNT, Login, People, within
from raw_cluster import Cluster, client

# The kinds of the manifests that a cluster of the lab stores: it runs no pods.
STORED = (
    "CustomResourceDefinition",
    "ServiceAccount",
    "ConfigMap",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
)
TOKEN = "/api/v1/namespaces/kube-system/serviceaccounts/rolecall/token"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Place:
    """A cluster with what ``deploy/`` puts into it, and its people."""

    def __init__(self, lab: Any, folder: Path) -> None:
        self.environment = lab.environment()
        create_cluster(self.environment, "c")
        self.cluster = Cluster(lab.home)
        self.people = People(lab.home, self.cluster, CLUSTER_ID)
        self.objects = with_cluster_id(kustomized("kustomize/daemonset"), CLUSTER_ID)
        self.folder = folder

    def apply(self, *objects: dict[str, Any]) -> str:
        """What kubectl says to them."""
        command = [KUBECTL, "apply", "--validate=strict", "-f", "-"]
        done = subprocess.run(
            command,
            input=yaml.safe_dump_all(objects),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def token(self) -> str:
        """What the kubelet would put into the pods."""
        status, found = self.cluster.send(
            "POST", TOKEN, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        )
        assert status == 201, found
        return str(found["status"]["token"])

    def kubeconfig(self) -> Path:
        path = self.folder / "service-account"
        authority = client("eks", self.people.found).describe_cluster(name="c")["cluster"]["certificateAuthority"][
            "data"
        ]
        service_account_kubeconfig(path, self.cluster.url, {"certificate-authority-data": authority}, self.token())
        return path


@pytest.fixture(scope="module")
def place(start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = Place(start_lab(), tmp_path_factory.mktemp("deployed"))
    said = found.apply(*(one for one in found.objects.values() if one["kind"] in STORED))
    assert len(said.splitlines()) == len(STORED)
    # It belongs to whoever maps people: an upgrade of the authenticator must not touch it.
    assert "aws-auth" not in said
    return found


@pytest.fixture(params=["daemonset", "deployment"])
def server(request: pytest.FixtureRequest, place: Place, tmp_path: Path) -> Iterator[DeployedAuthenticator]:
    objects = with_cluster_id(kustomized(f"kustomize/{request.param}"), CLUSTER_ID)
    found = DeployedAuthenticator(objects, tmp_path, place.people.found["AWS_ENDPOINT_URL"])
    if request.param == "deployment":
        # The Secret, as docs/deploy.md makes it.
        found.init("--hostname", "127.0.0.1", "--address", "127.0.0.1", state="/made", kubeconfig=WEBHOOK_KUBECONFIG)
        for source, target in (("cert.pem", "tls.crt"), ("key.pem", "tls.key")):
            shutil.copy(found.path("/made") / source, found.path("/etc/rolecall/tls") / target)
    found.start("--kubeconfig", str(place.kubeconfig()))
    yield found
    assert found.stop() == 0, found.said()


def review(server: DeployedAuthenticator, login: Login) -> dict[str, Any]:
    """The status of a TokenReview, asked for by the kubeconfig that the API server would read."""
    config = yaml.safe_load(server.path(WEBHOOK_KUBECONFIG).read_text())
    cluster = config["clusters"][0]["cluster"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": login.token()}}
    status, found = send(cluster["server"], body, context=context)
    assert status == 200, found
    return dict(found["status"])


def test_people_get_in(place: Place, server: DeployedAuthenticator) -> None:
    """By aws-auth and by an IAMIdentityMapping, whose status the lab writes; nobody else; each is written down."""
    assert all(server.probe(name) for name in ("startupProbe", "livenessProbe", "readinessProbe"))
    names = {name: f"{name}-{server.root.name}" for name in ("map", "object", "stranger")}
    roles = {name: place.people.role(role) for name, role in names.items()}
    logins = {name: place.people.assume(role) for name, role in roles.items()}
    place.people.write_aws_auth(mapRoles=f"- rolearn: {roles['map']}\n  username: by-map\n  groups: [team]\n")
    mapping = {
        "apiVersion": "iamauthenticator.k8s.aws/v1alpha1",
        "kind": "IAMIdentityMapping",
        "metadata": {"name": "mapping"},
        "spec": {"arn": roles["object"], "username": "by-object", "groups": ["team"]},
    }
    place.apply(mapping)
    within(lambda: review(server, logins["map"])["authenticated"])
    within(lambda: review(server, logins["object"])["authenticated"])
    user = review(server, logins["object"])["user"]
    assert (user["username"], user["groups"]) == ("by-object", ["team"])
    assert not review(server, logins["stranger"])["authenticated"]
    # What docs/deploy.md has people search for.
    assert '"decision":"allow"' in server.said()
    recorded = {(one["decision"], one["canonicalArn"], one["username"]) for one in server.decisions()}
    canonical = {name: f"arn:aws:iam::{ACCOUNT}:role/{role}" for name, role in names.items()}
    assert ("allow", canonical["map"], "by-map") in recorded
    assert ("allow", canonical["object"], "by-object") in recorded
    assert ("deny", canonical["stranger"], "") in recorded


def test_a_token_for_another_cluster_is_refused(place: Place, server: DeployedAuthenticator) -> None:
    role = place.people.role(f"elsewhere-{server.root.name}")
    place.people.write_aws_auth(mapRoles=f"- rolearn: {role}\n  username: dev\n  groups: [team]\n")
    login = place.people.assume(role)
    within(lambda: review(server, login)["authenticated"])
    other = Login(login.credentials, "staging", login.region, login.endpoint)
    assert not review(server, other)["authenticated"]


# Everything that the server asks for, and its next neighbours.
RIGHTS = [
    ("get", "", "configmaps", "kube-system", "aws-auth", True),
    ("list", "", "configmaps", "kube-system", "aws-auth", True),
    ("watch", "", "configmaps", "kube-system", "aws-auth", True),
    ("list", "", "configmaps", "kube-system", "", False),
    ("get", "", "configmaps", "kube-system", "extension-apiserver-authentication", False),
    ("get", "", "configmaps", "default", "aws-auth", False),
    ("update", "", "configmaps", "kube-system", "aws-auth", False),
    ("create", "", "configmaps", "kube-system", "", False),
    ("list", "iamauthenticator.k8s.aws", "iamidentitymappings", "", "", True),
    ("watch", "iamauthenticator.k8s.aws", "iamidentitymappings", "", "", True),
    ("patch", "iamauthenticator.k8s.aws", "iamidentitymappings/status", "", "x", True),
    ("patch", "iamauthenticator.k8s.aws", "iamidentitymappings", "", "x", False),
    ("create", "iamauthenticator.k8s.aws", "iamidentitymappings", "", "", False),
    ("delete", "iamauthenticator.k8s.aws", "iamidentitymappings", "", "x", False),
    ("create", "", "events", "default", "", True),
    ("delete", "", "events", "default", "x", False),
    ("get", "", "secrets", "kube-system", "rolecall-tls", False),
    ("create", "", "serviceaccounts/token", "kube-system", "rolecall", False),
    ("impersonate", "", "users", "", "admin", False),
]


@pytest.mark.parametrize(("verb", "group", "resource", "namespace", "name", "allowed"), RIGHTS)
def test_the_service_account_may_do_that_and_no_more(
    place: Place, verb: str, group: str, resource: str, namespace: str, name: str, allowed: bool
) -> None:
    resource, _, subresource = resource.partition("/")
    asked = {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    headers = {"Authorization": f"Bearer {place.token()}"}
    status, found = place.cluster.send("POST", ACCESS, body, headers=headers)
    assert status == 201, found
    assert found["status"]["allowed"] is allowed
