"""``deploy/`` and the real kube-apiserver: every object is taken, and people get in with the flags that are given there.

Sources: Kubernetes documentation, "Webhook Token Authentication" and "Configuring the API Server using an Authorization
Config File"; EKS user guide, "Review access policy permissions".
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_files import (
    CLUSTER_ID,
    DEPLOY,
    HELM_MAJORS,
    KUBECTL,
    WORKLOADS,
    Objects,
    helm_rendered,
    kustomized,
    pod_spec,
)
from deployed import (
    SERVICE_HOST,
    WEBHOOK_KUBECONFIG,
    DeployedAuthenticator,
    service_account_kubeconfig,
    with_cluster_id,
)
from people import SELF_REVIEW, WHOAMI, Login, People, within
from rolecall.lab.kubernetes_real.binaries import Binaries
from rolecall.lab.kubernetes_real.control_plane import ControlPlane, Webhooks
from rolecall.lab.kubernetes_real.files import ControlPlaneFiles
from self_managed import ISSUER, SelfManagedCluster

AWS_AUTH = "/api/v1/namespaces/kube-system/configmaps"
MAPPINGS = "/apis/iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings"
TOKEN = "/api/v1/namespaces/kube-system/serviceaccounts/rolecall/token"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
WEBHOOK_FOLDER = str(Path(WEBHOOK_KUBECONFIG).parent)
VIEW = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"


class FlaggedControlPlane(ControlPlane):
    """A control plane with some flags as ``deploy/apiserver`` has them."""

    def __init__(self, binaries: Binaries, files: ControlPlaneFiles, webhooks: Webhooks, own: list[str]) -> None:
        super().__init__(binaries, files, ISSUER, webhooks)
        self.own = own

    def api_server_command(self, etcd: int) -> list[str]:
        names = {flag.partition("=")[0] for flag in self.own}
        if "--authorization-config" in names:
            # As kubeadm does: the two exclude each other.
            names.add("--authorization-mode")
        kept = [flag for flag in super().api_server_command(etcd) if flag.partition("=")[0] not in names]
        return [*kept, *self.own]


class DeployedCluster(SelfManagedCluster):
    """The real kube-apiserver, started with the flags of kubeadm's configuration files.

    :param root: the folder that is the node's root.
    """

    def __init__(self, binaries: Binaries, folder: Path, root: Path, *configurations: str) -> None:
        webhook = root / WEBHOOK_KUBECONFIG.lstrip("/")
        super().__init__(binaries, folder, webhook)
        flags = []
        for name in configurations:
            config = yaml.safe_load((DEPLOY / "apiserver" / name).read_text())
            for one in config["apiServer"]["extraArgs"]:
                flags.append(f"--{one['name']}={one['value'].replace(WEBHOOK_FOLDER, str(root) + WEBHOOK_FOLDER)}")
        self._plane = FlaggedControlPlane(binaries, self.files, Webhooks(webhook), flags)


def kubectl(kubeconfig: Path, *arguments: str, objects: Any) -> subprocess.CompletedProcess[str]:
    command = [KUBECTL, "--kubeconfig", str(kubeconfig), *arguments, "-f", "-"]
    return subprocess.run(command, input=yaml.safe_dump_all(objects), capture_output=True, text=True, timeout=300)


def install(cluster: SelfManagedCluster, kubeconfig: Path, objects: Objects) -> None:
    """Apply for real; there is nobody to run the pods."""
    within(lambda: cluster.send("GET", "/api/v1/namespaces/kube-system")[0] == 200)
    done = kubectl(kubeconfig, "apply", "--validate=strict", objects=objects.values())
    assert done.returncode == 0, done.stderr
    within(lambda: cluster.send("GET", MAPPINGS)[0] == 200)


def pods_own_kubeconfig(cluster: SelfManagedCluster, folder: Path) -> Path:
    status, found = cluster.send("POST", TOKEN, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})
    assert status == 201, found
    path = folder / "service-account"
    authority = {"certificate-authority": str(cluster.files.ca)}
    service_account_kubeconfig(path, cluster.endpoint, authority, found["status"]["token"])
    return path


def whoami(cluster: SelfManagedCluster, login: Login) -> tuple[int, str]:
    status, found = cluster.send("POST", WHOAMI, SELF_REVIEW, login.token())
    return status, found["status"]["userInfo"]["username"] if status == 201 else found["reason"]


def may(cluster: SelfManagedCluster, login: Login, verb: str, resource: str) -> bool:
    attributes = {"verb": verb, "resource": resource, "namespace": "default"}
    spec = {"resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    status, found = cluster.send("POST", ACCESS, review, login.token())
    assert status == 201, found
    return bool(found["status"]["allowed"])


def map_in_aws_auth(cluster: SelfManagedCluster, role: str, username: str) -> None:
    data = {"mapRoles": f"- rolearn: {role}\n  username: {username}\n  groups: [team]\n"}
    metadata = {"name": "aws-auth", "namespace": "kube-system"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    status, found = cluster.send("POST", AWS_AUTH, body)
    assert status == 201, found


@pytest.fixture(scope="module")
def people(binaries: Binaries, start_lab: Callable[..., Any]) -> People:
    return People(start_lab().home, None, CLUSTER_ID)


class Deployed:
    """One workload, running, and the cluster that asks it."""

    def __init__(self, server: DeployedAuthenticator, cluster: SelfManagedCluster, kubeconfig: Path) -> None:
        self.server = server
        self.cluster = cluster
        self.kubeconfig = kubeconfig


@pytest.fixture(scope="module")
def daemonset(binaries: Binaries, people: People, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """As kubeadm.yaml and kubeadm-access-policies.yaml have it, after the steps of docs/deploy.md."""
    root = tmp_path_factory.mktemp("node")
    objects = with_cluster_id(kustomized("kustomize/daemonset"), CLUSTER_ID)
    server = DeployedAuthenticator(objects, root, people.found["AWS_ENDPOINT_URL"])
    server.init(state="/var/aws-iam-authenticator", kubeconfig=WEBHOOK_KUBECONFIG)
    webhook = server.path(WEBHOOK_KUBECONFIG)
    written = webhook.read_text()
    assert "/authenticate\n" in written
    (webhook.parent / "authorize.yaml").write_text(written.replace("/authenticate\n", "/authorize\n"))
    authorization = (DEPLOY / "apiserver" / "authorization.yaml").read_text()
    (webhook.parent / "authorization.yaml").write_text(
        authorization.replace(WEBHOOK_FOLDER, str(root) + WEBHOOK_FOLDER)
    )
    flags = ("kubeadm.yaml", "kubeadm-access-policies.yaml")
    with DeployedCluster(binaries, root / "plane", root, *flags) as cluster:
        kubeconfig = root / "admin"
        cluster.write_kubeconfig(kubeconfig)
        install(cluster, kubeconfig, objects)
        yield Deployed(server, cluster, kubeconfig)
        assert server.stop() == 0, server.said()


def rendered(workload: str, source: str) -> Objects:
    if source == "kustomize":
        return with_cluster_id(kustomized(f"kustomize/{workload.lower()}"), CLUSTER_ID)
    return helm_rendered(source, {"clusterID": CLUSTER_ID, "workload": workload})


@pytest.mark.parametrize("source", ["kustomize", *HELM_MAJORS])
@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_object_is_taken(daemonset: Deployed, workload: str, source: str) -> None:
    """By the API server's own defaulting, validation and admission; the pods also by themselves."""
    objects = rendered(workload, source)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": "kube-system"},
        "spec": pod_spec(objects),
    }
    strict = ("apply", "--dry-run=server", "--validate=strict")
    done = kubectl(daemonset.kubeconfig, *strict, objects=[*objects.values(), pod])
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(objects) + 1


def test_people_get_in_through_the_daemonset(daemonset: Deployed, people: People) -> None:
    """By aws-auth, by an IAMIdentityMapping whose status the server writes, by an access policy; nobody gets more."""
    cluster, server = daemonset.cluster, daemonset.server
    names = ("Mapped", "Object", "Viewer", "Stranger")
    mapped, by_object, viewer, stranger = (people.role(name) for name in names)
    map_in_aws_auth(cluster, mapped, "dev")
    spec = {"arn": by_object, "username": "from-object", "groups": ["team"]}
    kind = {"apiVersion": "iamauthenticator.k8s.aws/v1alpha1", "kind": "IAMIdentityMapping"}
    assert cluster.send("POST", MAPPINGS, {**kind, "metadata": {"name": "object"}, "spec": spec})[0] == 201
    entries = server.root / "access-entries.json"
    entries.write_text(
        json.dumps(
            {
                "accessEntries": [
                    {
                        "principalArn": viewer,
                        "accessPolicies": [{"policyArn": VIEW, "accessScope": {"type": "cluster"}}],
                    }
                ]
            }
        )
    )
    server.start("--kubeconfig", str(pods_own_kubeconfig(cluster, server.root)), "--access-entries", str(entries))
    dev, other, reader, nobody = (people.assume(role) for role in (mapped, by_object, viewer, stranger))
    within(lambda: whoami(cluster, dev) == (201, "dev"))
    # No controller but the server itself, with the pods' own rights, says what the object stands for.
    within(lambda: whoami(cluster, other) == (201, "from-object"))
    assert cluster.send("GET", f"{MAPPINGS}/object")[1]["status"]["canonicalARN"] == by_object.lower()
    assert not may(cluster, dev, "list", "pods"), "aws-auth maps to a group that nothing is bound to"
    assert whoami(cluster, reader)[0] == 201
    assert may(cluster, reader, "list", "pods")
    assert not may(cluster, reader, "delete", "pods")
    assert not may(cluster, reader, "get", "secrets")
    assert whoami(cluster, nobody) == (401, "Unauthorized")
    kinds = {(one["kind"], one["decision"]) for one in server.decisions()}
    assert {("authentication", "allow"), ("authentication", "deny"), ("authorization", "allow")} <= kinds


def test_people_get_in_through_the_deployment(
    binaries: Binaries, people: People, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By a kubeconfig that names the Service's address, the certificate's name, and an authority in a file beside it."""
    root = tmp_path_factory.mktemp("hosted")
    objects = with_cluster_id(kustomized("kustomize/deployment"), CLUSTER_ID)
    server = DeployedAuthenticator(objects, root, people.found["AWS_ENDPOINT_URL"])
    server.init("--hostname", SERVICE_HOST, "--address", "192.0.2.1", state="/made", kubeconfig="/made/kubeconfig")
    made, secret = server.path("/made"), server.path("/etc/rolecall/tls")
    shutil.copy(made / "cert.pem", secret / "tls.crt")
    shutil.copy(made / "key.pem", secret / "tls.key")
    webhook = server.path(WEBHOOK_KUBECONFIG)
    webhook.parent.mkdir(parents=True)
    shutil.copy(made / "cert.pem", webhook.parent / "ca.pem")
    text = (DEPLOY / "apiserver" / "authenticate.yaml").read_text()
    assert "https://10.96.0.50:443/" in text
    webhook.write_text(text.replace("10.96.0.50:443", f"127.0.0.1:{server.port}"))
    with DeployedCluster(binaries, root / "plane", root, "kubeadm.yaml") as cluster:
        kubeconfig = root / "admin"
        cluster.write_kubeconfig(kubeconfig)
        install(cluster, kubeconfig, objects)
        mapped = people.role("Hosted")
        map_in_aws_auth(cluster, mapped, "hosted-dev")
        dev = people.assume(mapped)
        assert whoami(cluster, dev) == (401, "Unauthorized"), "nobody is let in while the authenticator is down"
        server.start("--kubeconfig", str(pods_own_kubeconfig(cluster, root)))
        try:
            within(lambda: whoami(cluster, dev) == (201, "hosted-dev"))
        finally:
            assert server.stop() == 0, server.said()
