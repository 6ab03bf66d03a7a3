"""What kubectl is asked to do with a cluster, whatever serves it, and what it must say.

What each step expects is what the same command prints with a real cluster (Kubernetes documentation, kubectl
reference).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::231144931069:role/eks"

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  color: {color}
"""
MAPPING = """\
apiVersion: iamauthenticator.k8s.aws/v1alpha1
kind: IAMIdentityMapping
metadata:
  name: dev
spec:
  arn: arn:aws:iam::231144931069:role/Dev
  username: dev
  groups: [viewers]
"""
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.com
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How large it is.}
              parts: {type: array, items: {type: string}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
"""
RECONCILED = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: reader
rules:
- {apiGroups: [""], resources: [configmaps, secrets], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: readers
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: readers}
"""


@dataclass(frozen=True)
class Step:
    """One command: its arguments, what it must print, how it must end.

    ``{ns}`` stands for a namespace of the version's own, so that versions do not meet.
    """

    arguments: str
    says: tuple[str, ...] = ()
    code: int = 0
    stdin: str = ""
    editor: str = ""


def step(arguments: str, *says: str, code: int = 0, stdin: str = "", editor: str = "") -> Step:
    return Step(arguments, says, code, stdin, editor)


STEPS = (
    # who am I, what may I
    step("version", "Server Version: v1.36"),
    step("auth whoami", "kubernetes-admin", "system:masters"),
    step("auth can-i create configmaps", "yes"),
    step("auth can-i create configmaps --as nobody", "no", code=1),
    step("auth can-i --list --as nobody", "selfsubjectreviews.authentication.k8s.io"),
    step("auth can-i get pods --subresource=log", "yes"),
    step("auth can-i get /healthz --as nobody", "yes"),
    # create each kind
    step("create namespace {ns}", "namespace/{ns} created"),
    step("create namespace {ns}", "AlreadyExists", code=1),
    step("create configmap app --from-literal=a=1 --from-literal=b=2 -n {ns}", "configmap/app created"),
    step("create secret generic pass --from-literal=p=secret -n {ns}", "secret/pass created"),
    step("create serviceaccount robot -n {ns}", "serviceaccount/robot created"),
    step("create token robot -n {ns}", "eyJ"),
    step("create token robot -n {ns} --duration=1h --audience=sts.amazonaws.com", "eyJ"),
    step("create role dev --verb=get,list --resource=configmaps,pods,pods/log -n {ns}", "role.rbac.authorization.k8s.io/dev created"),
    step("create rolebinding dev --role=dev --user=ann --serviceaccount={ns}:robot -n {ns}", "rolebinding.rbac.authorization.k8s.io/dev created"),
    step("create clusterrole {ns}-nodes --verb=get --resource=nodes", "created"),
    step("create clusterrole {ns}-web --verb=get --non-resource-url=/logs/*", "created"),
    step("create clusterrole {ns}-agg --aggregation-rule=a=b", "created"),
    step("create clusterrolebinding {ns}-nodes --clusterrole={ns}-nodes --group=ops", "created"),
    # what was created is in force
    step("auth can-i list configmaps -n {ns} --as ann", "yes"),
    step("auth can-i delete configmaps -n {ns} --as ann", "no", code=1),
    step("auth can-i get pods/log -n {ns} --as system:serviceaccount:{ns}:robot", "yes"),
    step("auth can-i get nodes --as bob --as-group ops", "yes"),
    step("get configmaps -n {ns} --as ann", "app", "2"),
    step("get secrets -n {ns} --as ann", 'User "ann" cannot list resource "secrets" in API group "" in the namespace', code=1),
    step("auth whoami --as ann --as-group team --as-uid 7", "ann", "team", "7"),
    # read
    step("get configmap app -n {ns}", "NAME", "DATA", "app"),
    step("get cm app -n {ns} -o yaml", "a: \"1\"", "kind: ConfigMap", "resourceVersion"),
    step("get cm app -n {ns} -o jsonpath={{.data.b}}", "2"),
    step("get cm,sa,secret -n {ns}", "configmap/app", "serviceaccount/robot", "secret/pass"),
    step("get cm app nothing -n {ns}", 'configmaps "nothing" not found', code=1),
    step("get ns {ns} --show-labels", "kubernetes.io/metadata.name={ns}"),
    step("get rolebindings -n {ns} -o wide", "Role/dev", "ann", "{ns}/robot"),
    step("get clusterrole view -o yaml", "aggregationRule", "configmaps"),
    step("get pods -n {ns}", "No resources found"),
    step("get all -n {ns}"),
    step("get crd", "iamidentitymappings.iamauthenticator.k8s.aws"),
    step("get --raw /api/v1/namespaces/{ns}/configmaps/app", '"kind":"ConfigMap"'),
    step("get --raw /version", '"major"'),
    step("describe configmap app -n {ns}", "Name:", "app", "Data"),
    step("describe role dev -n {ns}", "PolicyRule", "configmaps"),
    step("describe clusterrolebinding {ns}-nodes", "ops"),
    step("describe sa robot -n {ns}", "robot"),
    step("api-resources", "configmaps", "iamidentitymappings", "ConfigMap"),
    step("api-versions", "rbac.authorization.k8s.io/v1"),
    step("explain configmap", "KIND", "ConfigMap", "data"),
    step("explain configmap.data", "configuration data"),
    step("explain rolebinding.roleRef", "roleRef"),
    # apply, client side
    step("apply -n {ns} -f -", "configmap/settings created", stdin=CONFIG_MAP.format(color="red")),
    step("apply -n {ns} -f -", "configmap/settings unchanged", stdin=CONFIG_MAP.format(color="red")),
    step("diff -n {ns} -f -", "color: red", "color: blue", code=1, stdin=CONFIG_MAP.format(color="blue")),
    step("apply -n {ns} -f -", "configmap/settings configured", stdin=CONFIG_MAP.format(color="blue")),
    step("get cm settings -n {ns} -o jsonpath={{.data.color}}", "blue"),
    step("apply -n {ns} --dry-run=server -f -", "configured (server dry run)", stdin=CONFIG_MAP.format(color="gray")),
    step("get cm settings -n {ns} -o jsonpath={{.data.color}}", "blue"),
    step("apply -n {ns} -f -", 'unknown field "dta"', code=1, stdin=CONFIG_MAP.format(color="x") + "dta: {}\n"),
    # apply, server side
    step("apply --server-side -n {ns} --field-manager=two -f -", "conflict", code=1, stdin=CONFIG_MAP.format(color="green")),
    step("apply --server-side -n {ns} --field-manager=two --force-conflicts -f -", "serverside-applied", stdin=CONFIG_MAP.format(color="green")),
    step("get cm settings -n {ns} -o jsonpath={{.data.color}}", "green"),
    step("get cm settings -n {ns} -o yaml --show-managed-fields", "manager: two", "f:color"),
    step("apply --server-side -n {ns} -f -", "applied", stdin=MAPPING),
    step("get iamidentitymapping dev -o jsonpath={{.status.canonicalARN}}", "arn:aws:iam::231144931069:role/dev"),
    # change
    step("label cm app -n {ns} tier=web", "labeled"),
    step("get cm -n {ns} -l tier=web -o name", "configmap/app"),
    step("get cm -n {ns} -l tier!=web,tier -o name"),
    step("annotate cm app -n {ns} note=x", "annotated"),
    step("patch cm app -n {ns} -p {{\"data\":{{\"a\":\"9\"}}}}", "patched"),
    step("patch cm app -n {ns} --type=merge -p {{\"data\":{{\"c\":\"3\"}}}}", "patched"),
    step("patch cm app -n {ns} --type=json -p [{{\"op\":\"remove\",\"path\":\"/data/b\"}}]", "patched"),
    step("get cm app -n {ns} -o jsonpath={{.data}}", '"a":"9"', '"c":"3"'),
    step("edit cm app -n {ns}", "configmap/app edited", editor="'/^  a:/s/9/edited/'"),
    step("get cm app -n {ns} -o jsonpath={{.data.a}}", "edited"),
    step("replace -n {ns} -f -", "configmap/settings replaced", stdin=CONFIG_MAP.format(color="black")),
    step("set subject rolebinding dev --user=eve -n {ns}", "subjects updated"),
    step("auth can-i list configmaps -n {ns} --as eve", "yes"),
    step("auth reconcile -f -", "reconciled", stdin=RECONCILED),
    step("auth can-i get secrets --as zoe --as-group readers", "yes"),
    step("create rolebinding bad --clusterrole=cluster-admin --user=ann -n {ns} --as ann", "cannot create resource", code=1),
    # custom resources
    step("apply -f -", "customresourcedefinition.apiextensions.k8s.io/widgets.example.com", stdin=DEFINITION),
    step("wait --for=condition=Established crd/widgets.example.com --timeout=300s", "condition met"),
    step("apply -n {ns} -f -", "widget.example.com/w created", stdin="apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 3}\n"),
    step("apply -n {ns} -f -", "widget.example.com/w configured", stdin="apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 3, parts: [a]}\n"),
    step("get widgets -n {ns}", "SIZE", "3"),
    step("get wd w -n {ns} -o jsonpath={{.spec.size}}", "3"),
    step("explain widget.spec.size", "How large it is"),
    step("apply -n {ns} -f -", "should be greater than or equal to 1", code=1, stdin="apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: v}\nspec: {size: 0}\n"),
    step("patch wd w -n {ns} --type=merge -p {{\"spec\":{{\"size\":5}}}}", "patched"),
    # workloads are known by name and cannot be made
    step("create deployment web --image=nginx -n {ns}", "runs no workloads", code=1),
    # wait and delete
    step("wait --for=jsonpath={{.data.a}}=edited cm/app -n {ns} --timeout=300s", "condition met"),
    step("delete cm app -n {ns}", 'configmap "app" deleted'),
    step("wait --for=delete cm/app -n {ns} --timeout=300s"),
    step("delete cm --all -n {ns}", "deleted"),
    step("delete rolebinding dev -n {ns}", "deleted"),
    step("delete clusterrolebinding {ns}-nodes", "deleted"),
    step("delete clusterrole {ns}-nodes {ns}-web {ns}-agg", "deleted"),
    step("delete namespace {ns} --timeout=300s", "deleted"),
    step("get ns {ns}", "not found", code=1),
    step("delete namespace kube-system", "may not be deleted", code=1),
    step("config current-context", "cluster/kubedemy"),
)  # fmt: skip


@dataclass(frozen=True)
class Kubectl:
    """One kubectl, with an administrator's kubeconfig."""

    path: Path
    environment: dict[str, str]
    namespace: str

    def run(self, arguments: str, stdin: str = "", editor: str = "") -> subprocess.CompletedProcess[str]:
        words = [word.format(ns=self.namespace) for word in arguments.split()]
        environment = {**self.environment, "KUBE_EDITOR": f"sed -i {editor}"} if editor else self.environment
        return subprocess.run(
            [str(self.path), *words],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def failures(self, steps: Iterable[Step]) -> dict[str, str]:
        """What went wrong, by the step's arguments."""
        found = {}
        for one in steps:
            done = self.run(one.arguments, one.stdin, one.editor)
            printed = done.stdout + done.stderr
            missing = [text for text in one.says if text.format(ns=self.namespace) not in printed]
            if done.returncode != one.code or missing:
                found[one.arguments] = f"ended with {done.returncode}, lacks {missing}\n  {printed[:600]}"
        return found


def create_cluster(environment: dict[str, str], name: str = "kubedemy") -> None:
    """A cluster of the lab's administrator, up and in the kubeconfig."""

    def aws(arguments: str) -> str:
        words = ["aws", "eks", *arguments.split()]
        return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    aws(f"create-cluster --name {name} --role-arn {ROLE} --resources-vpc-config subnetIds=s-1")
    # The waiter of the AWS CLI looks every 30 seconds, so it is asked once there is nothing to wait for.
    while aws(f"describe-cluster --name {name} --query cluster.status --output text") == "CREATING":
        pass
    aws(f"wait cluster-active --name {name}")
    aws(f"update-kubeconfig --name {name}")


def administrator(lab: Any) -> dict[str, str]:
    """The environment of the administrator of a new cluster in a lab."""
    environment: dict[str, str] = lab.environment()
    create_cluster(environment)
    # A token once, instead of one by every command: what is tested here is kubectl and the cluster.
    token = subprocess.run(
        ["aws", "eks", "get-token", "--cluster-name", "kubedemy", "--output", "text", "--query", "status.token"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    kubectl = str(ROOT / ".tools" / "kubectl" / "1.36" / "kubectl")
    for words in (
        ["config", "set-credentials", "direct", f"--token={token}"],
        ["config", "set-context", "--current", "--user=direct"],
    ):
        subprocess.run([kubectl, *words], env=environment, check=True, capture_output=True)
    return environment
