"""What ``deploy/`` renders to: the same from kustomize and Helm, valid for every Kubernetes, and hardened.

Sources: Kubernetes API schemas of each minor (package kubernetes-validate); Kubernetes documentation, "Pod Security
Standards" (Restricted) and "Configure Liveness, Readiness and Startup Probes".
"""

from __future__ import annotations

import copy
import re
import subprocess
import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

import rolecall
from deploy_files import (
    CHART,
    CLUSTER_ID,
    DEPLOY,
    HELM_MAJORS,
    KUBECTL,
    ROOT,
    WORKLOADS,
    Objects,
    container,
    deploy_texts,
    helm_rendered,
    kustomized,
    of_kind,
    parsed,
    pod_spec,
)
from rolecall.authenticator.certificates import webhook_kubeconfig
from rolecall.lab.kubernetes.crds import IDENTITY_MAPPING_CRD
from rolecall.mapping.backends.entry_table import MatchOptions
from rolecall.mapping.backends.server_config import read_server_config

MINORS = tuple(f"1.{minor}" for minor in range(29, 38))
FOLDERS = {"DaemonSet": "kustomize/daemonset", "Deployment": "kustomize/deployment"}
# The example server and flags of aws-iam-authenticator v0.7: deploy/example.yaml, and its README, "Kops Usage".
ORIGINAL_ARGUMENTS = (
    "server",
    "--backend-mode=EKSConfigMap",
    "--config=/etc/aws-iam-authenticator/config.yaml",
    "--state-dir=/var/aws-iam-authenticator",
    "--generate-kubeconfig=/etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml",
    "--kubeconfig-pregenerated=true",
)
# Values that change what is rendered, beside the defaults.
VARIANTS: dict[str, dict[str, Any]] = {
    "another release": {},
    "image by digest": {
        "image": {"repository": "registry.example.org/team/rolecall", "digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "registry"}],
    },
    "mappings of another cluster": {"workload": "Deployment", "kubeconfigSecret": "tenant-kubeconfig"},
    "mappings in the file alone": {
        "server": {"backendModes": ["MountedFile"], "auditLog": "", "extraArgs": ["--role-paths"]},
        "config": {
            "mapRoles": [{"roleARN": "arn:aws:iam::111122223333:role/Dev", "username": "dev:{{SessionName}}"}],
            "mapAccounts": ["111122223333"],
        },
    },
    "fixed size": {"workload": "Deployment", "deployment": {"replicas": 3, "autoscaling": {"enabled": False}}},
    "narrow network": {
        "workload": "Deployment",
        "deployment": {
            "service": {"clusterIP": "10.96.0.50"},
            "networkPolicy": {
                "from": [{"ipBlock": {"cidr": "10.0.0.0/28"}}],
                "extraEgress": [{"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}], "ports": [{"port": 80}]}],
            },
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "infra", "operator": "Exists"}],
        },
    },
    # Where YAML would see something else than text if it were not quoted.
    "IPv6": {
        "workload": "Deployment",
        "server": {"address": "::"},
        "image": {"repository": "localhost:5000/rolecall", "tag": "1.0"},
        "deployment": {"tlsSecret": "123", "service": {"clusterIP": "fd00:10:96::50"}},
    },
    "another user": {"workload": "Deployment", "runAsUser": 65532},
    "host addresses": {"server": {"address": "0.0.0.0"}, "clusterID": "true"},
    "access entries": {
        "server": {
            "backendModes": ["AccessEntries", "EKSConfigMap"],
            "extraArgs": ["--access-entries-cluster=prod", "--region=eu-central-1"],
        },
        "env": [{"name": "AWS_REGION", "value": "eu-central-1"}],
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/Reader"}},
    },
}


def helm_defaults(major: str, workload: str) -> Objects:
    return helm_rendered(major, {"clusterID": CLUSTER_ID, "workload": workload})


def variant(name: str, major: str) -> Objects:
    values = {"clusterID": CLUSTER_ID, **VARIANTS[name]}
    if name == "another release":
        return helm_rendered(major, values, release="second", namespace="aws-login")
    return helm_rendered(major, values)


@pytest.fixture(params=[*FOLDERS.values(), "kind"])
def kustomize_objects(request: pytest.FixtureRequest) -> Objects:
    return kustomized(request.param)


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("major", HELM_MAJORS)
def test_kustomize_and_helm_say_the_same(major: str, workload: str) -> None:
    """Every object, down to the last argument; labels of Helm's own and the cluster ID, which is the user's, apart."""

    def compared(objects: Objects) -> Objects:
        found = copy.deepcopy(dict(objects))
        for one in found.values():
            one["metadata"].pop("labels", None)
            if one["kind"] == "ConfigMap":
                one["data"] = {"config.yaml": yaml.safe_load(one["data"]["config.yaml"])}
        return found

    helm, kustomize = helm_defaults(major, workload), kustomized(FOLDERS[workload])
    assert container(helm)["args"] == container(kustomize)["args"]
    assert compared(helm) == compared(kustomize)


@pytest.mark.parametrize("minor", MINORS)
def test_kustomize_is_valid(kustomize_objects: Objects, minor: str) -> None:
    for one in kustomize_objects.values():
        kubernetes_validate.validate(one, minor, strict=True)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("major", HELM_MAJORS)
def test_helm_is_valid(major: str, name: str) -> None:
    objects = variant(name, major)
    for minor in (MINORS[0], MINORS[-1]):
        for one in objects.values():
            kubernetes_validate.validate(one, minor, strict=True)
    parsed(container(objects)["args"])


def test_the_schema_finds_a_misspelled_field() -> None:
    """What is tested above can fail."""
    broken = copy.deepcopy(of_kind(kustomized("kustomize/deployment"), "Deployment"))
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, MINORS[-1], strict=True)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_arguments_are_those_of_the_command(workload: str) -> None:
    arguments = container(kustomized(FOLDERS[workload]))["args"]
    assert arguments[0] == "server"
    found = parsed(arguments)
    assert found["backend_mode"] == ["MountedFile,EKSConfigMap,CRD"]
    assert found["kubeconfig_pregenerated"] is (True if workload == "Deployment" else None)


def test_the_original_s_arguments_are_those_of_the_command() -> None:
    found = parsed(ORIGINAL_ARGUMENTS)
    assert (found["state_dir"], found["kubeconfig_pregenerated"]) == ("/var/aws-iam-authenticator", True)


def test_the_original_is_upgraded_in_place() -> None:
    """Its DaemonSet with the patch: another image and user, room for Python; the rest is as it was."""
    one = {
        "name": "aws-iam-authenticator",
        "image": "example.org/aws-iam-authenticator:v0.7.0",
        "args": list(ORIGINAL_ARGUMENTS),
        "resources": {"limits": {"cpu": "100m", "memory": "20Mi"}},
        "volumeMounts": [{"name": "state", "mountPath": "/var/aws-iam-authenticator/"}],
    }
    volumes = [{"name": "state", "hostPath": {"path": "/var/aws-iam-authenticator/"}}]
    before = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "aws-iam-authenticator", "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": "aws-iam-authenticator"}},
            "template": {
                "metadata": {"labels": {"k8s-app": "aws-iam-authenticator"}},
                "spec": {"hostNetwork": True, "containers": [one], "volumes": volumes},
            },
        },
    }
    patch = DEPLOY / "upgrade-from-aws-iam-authenticator.yaml"
    command = [KUBECTL, "patch", "--local", "-f", "-", "-o", "yaml", "--patch-file", str(patch)]
    done = subprocess.run(command, input=yaml.safe_dump(before), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    after = yaml.safe_load(done.stdout)
    for minor in (MINORS[0], MINORS[-1]):
        kubernetes_validate.validate(after, minor, strict=True)
    spec = after["spec"]["template"]["spec"]
    (swapped,) = spec["containers"]
    assert swapped["image"] == container(kustomized(FOLDERS["DaemonSet"]))["image"]
    assert swapped["resources"]["limits"] == {"cpu": "1", "memory": "256Mi"}
    assert spec["securityContext"]["runAsUser"] == 65532
    for name in ("args", "volumeMounts"):
        assert swapped[name] == one[name]
    assert (spec["volumes"], spec["hostNetwork"]) == (volumes, True)


def test_a_flag_that_does_not_exist_is_found() -> None:
    with pytest.raises(Exception, match="No such option: --state-directory"):
        parsed(["server", "--state-directory=/var/aws-iam-authenticator"])


@pytest.mark.parametrize("workload", WORKLOADS)
def test_pods_are_hardened(workload: str) -> None:
    """Pod Security Standards, "Restricted", but for the host's network and folders of the DaemonSet."""
    objects = kustomized(FOLDERS[workload])
    spec, one = pod_spec(objects), container(objects)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["runAsGroup"] == 10000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostPID", "hostIPC", "shareProcessNamespace"} & set(spec)
    assert spec.get("hostNetwork", False) is (workload == "DaemonSet")
    host_paths = {volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume}
    wanted = {"/var/aws-iam-authenticator", "/etc/kubernetes/aws-iam-authenticator"}
    assert host_paths == (wanted if workload == "DaemonSet" else set())
    assert set(one["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in one["resources"]["limits"]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_probes_and_ports_are_where_the_server_listens(workload: str) -> None:
    """That the paths are answered is tested with the server itself, in test_lab_cluster.py."""
    objects = kustomized(FOLDERS[workload])
    one = container(objects)
    found = parsed(one["args"])
    assert one["ports"] == [{"name": "webhook", "containerPort": found["port"], "protocol": "TCP"}]
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        asked = one[probe]["httpGet"]
        assert (asked["scheme"], asked["port"], asked["path"]) == ("HTTPS", "webhook", path)
        # Without a host the kubelet asks the pod's address, which on the host's network is not the loopback's.
        assert asked.get("host", "0.0.0.0") == found["address"]
    mounts = {mount["mountPath"] for mount in one["volumeMounts"]}
    for name in ("config", "state_dir", "generate_kubeconfig", "tls_cert_file", "tls_key_file"):
        if path := found[name]:
            assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), f"{name} is not mounted"
    volumes = {volume["name"] for volume in pod_spec(objects)["volumes"]}
    assert volumes == {mount["name"] for mount in one["volumeMounts"]}


def test_selectors_select_the_pods() -> None:
    objects = kustomized(FOLDERS["Deployment"])
    labels = of_kind(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert of_kind(objects, "Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert of_kind(objects, "Service")["spec"]["selector"] == labels
    assert of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert of_kind(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    scaled = of_kind(objects, "HorizontalPodAutoscaler")["spec"]
    assert scaled["scaleTargetRef"]["name"] == of_kind(objects, "Deployment")["metadata"]["name"]
    # One pod may always go, and one is always left.
    assert scaled["minReplicas"] > of_kind(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert "replicas" not in of_kind(objects, "Deployment")["spec"], "it would fight the autoscaler"


def test_the_network_policy_lets_in_one_port_and_out_to_three() -> None:
    spec = of_kind(kustomized(FOLDERS["Deployment"]), "NetworkPolicy")["spec"]
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    assert [port["port"] for rule in spec["ingress"] for port in rule["ports"]] == ["webhook"]
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53, 443, 6443}
    narrow = of_kind(variant("narrow network", "4"), "NetworkPolicy")["spec"]
    assert narrow["ingress"][0]["from"] == [{"ipBlock": {"cidr": "10.0.0.0/28"}}]
    assert narrow["egress"][-1]["ports"] == [{"port": 80}]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_nothing_starts_without_a_cluster_id_of_its_own(workload: str) -> None:
    """A placeholder that two clusters share would make the tokens of one good for the other."""
    objects = kustomized(FOLDERS[workload])
    assert "clusterID" not in of_kind(objects, "ConfigMap")["data"]
    wanted = {"name": "rolecall", "key": "clusterID"}
    (variable,) = container(objects)["env"]
    # Not optional: the kubelet does not start the container while the key is missing.
    assert variable == {
        "name": "KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID",
        "valueFrom": {"configMapKeyRef": wanted},
    }
    assert of_kind(kustomized("kind"), "ConfigMap")["data"]["clusterID"] == "kind-rolecall"


def test_the_configuration_is_one_that_the_server_takes() -> None:
    texts = [of_kind(kustomized(folder), "ConfigMap")["data"]["config.yaml"] for folder in FOLDERS.values()]
    texts.append(of_kind(variant("mappings in the file alone", "4"), "ConfigMap")["data"]["config.yaml"])
    for text in texts:
        reading = read_server_config(text, MatchOptions())
        assert (reading.problems, reading.doubts) == ((), ())


def test_the_definition_is_the_lab_s() -> None:
    """Both are aws-iam-authenticator v0.7's ``deploy/iamidentitymapping.yaml``; ``listKind`` is what it defaults to."""
    found = copy.deepcopy(of_kind(kustomized(FOLDERS["DaemonSet"]), "CustomResourceDefinition"))
    found["metadata"].pop("labels")
    assert found == IDENTITY_MAPPING_CRD


def test_the_webhook_s_kubeconfig_is_as_the_server_writes_it() -> None:
    found = yaml.safe_load((DEPLOY / "apiserver" / "authenticate.yaml").read_text())
    written = yaml.safe_load(webhook_kubeconfig("https://10.96.0.50:443/authenticate", "CA"))
    cluster = found["clusters"][0]["cluster"]
    assert cluster.pop("tls-server-name") == "rolecall.kube-system.svc"
    # A path in place of the data: the authority is somebody else's.
    assert cluster.pop("certificate-authority") == "ca.pem"
    del written["clusters"][0]["cluster"]["certificate-authority-data"]
    assert found == written


def test_kind_starts_the_api_server_as_kubeadm_does() -> None:
    wanted = yaml.safe_load((DEPLOY / "apiserver" / "kubeadm.yaml").read_text())
    config = yaml.safe_load((DEPLOY / "kind" / "cluster.yaml").read_text())
    newer, older = map(yaml.safe_load, config["kubeadmConfigPatches"])
    assert newer == wanted
    assert older["apiVersion"] == "kubeadm.k8s.io/v1beta3"
    assert older["apiServer"]["extraVolumes"] == wanted["apiServer"]["extraVolumes"]
    listed = [{"name": name, "value": value} for name, value in older["apiServer"]["extraArgs"].items()]
    assert listed == wanted["apiServer"]["extraArgs"]
    (node,) = config["nodes"]
    given = {mount["containerPath"] for mount in node["extraMounts"]}
    hosts = {one["hostPath"]["path"] for one in pod_spec(kustomized("kind"))["volumes"] if "hostPath" in one}
    assert given == hosts
    assert {one["hostPath"] for one in wanted["apiServer"]["extraVolumes"]} < hosts


def test_the_version_is_the_package_s() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == package == rolecall.__version__
    for folder in FOLDERS.values():
        assert container(kustomized(folder))["image"] == f"localhost/rolecall:{package}"


def test_no_secret_is_written_down() -> None:
    texts = list(deploy_texts())
    assert len(texts) > 20
    for path, text in texts:
        assert not re.search(r"PRIVATE KEY|AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|k8s-aws-v1\.|(?i:password):", text), path
    for objects in (*map(kustomized, FOLDERS.values()), *(variant(name, "4") for name in VARIANTS)):
        assert not any(kind == "Secret" for kind, _, _ in objects)


def test_only_the_roles_that_the_backends_need() -> None:
    """Without a backend in the cluster there are no rights and no service account token in the pods."""
    objects = variant("mappings in the file alone", "4")
    assert not any("Role" in kind for kind, _, _ in objects)
    assert pod_spec(objects)["automountServiceAccountToken"] is False
    elsewhere = variant("another release", "4")
    assert ("Role", "kube-system", "second-rolecall") in elsewhere, "aws-auth is nowhere else"
    subject = elsewhere["RoleBinding", "kube-system", "second-rolecall"]["subjects"][0]
    assert subject == {"kind": "ServiceAccount", "name": "second-rolecall", "namespace": "aws-login"}


def test_the_image_runs_as_the_pods_do() -> None:
    """What can be said of it without building it."""
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases == ["python:${PYTHON}-slim"] * 2
    assert "USER 10000:10000" in lines
    assert 'ENTRYPOINT ["rolecall"]' in lines
    assert not any("command" in container(kustomized(folder)) for folder in FOLDERS.values())
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(copied) == allowed
    assert all((ROOT / name).exists() for name in copied)
