"""Raw requests that are sent to an embedded cluster and to the real kube-apiserver, in this order.

Each case starts from what the cases before it have left. What is right is what the real server answers; nothing else is
said here.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
RBAC = "rbac.authorization.k8s.io"
NS = "/api/v1/namespaces"
MAPS = f"{NS}/t/configmaps"
ROLES, CLUSTER_ROLES = f"/apis/{RBAC}/v1/namespaces/t/roles", f"/apis/{RBAC}/v1/clusterroles"
BINDINGS, CLUSTER_BINDINGS = f"/apis/{RBAC}/v1/namespaces/t/rolebindings", f"/apis/{RBAC}/v1/clusterrolebindings"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/t/widgets"
AUTHENTICATION, AUTHORIZATION = "/apis/authentication.k8s.io/v1", "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True)
class Request:
    """One request.

    :param body: an object, or text that is sent as it is.
    :param user: whom to impersonate.
    """

    name: str
    method: str
    path: str
    body: Any = None
    content: str = "application/json"
    accept: str = "application/json"
    user: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    token: bool = True


def get(name: str, path: str, **options: Any) -> Request:
    return Request(name, "GET", path, **options)


def post(name: str, path: str, body: Any, **options: Any) -> Request:
    return Request(name, "POST", path, body, **options)


def put(name: str, path: str, body: Any, **options: Any) -> Request:
    return Request(name, "PUT", path, body, **options)


def patch(name: str, path: str, content: str, body: Any, **options: Any) -> Request:
    return Request(name, "PATCH", path, body, content, **options)


def delete(name: str, path: str, body: Any = None, **options: Any) -> Request:
    return Request(name, "DELETE", path, body, **options)


def config_map(name: Any, data: Any = None, **metadata: Any) -> dict[str, Any]:
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return {**found, "data": data} if data is not None else found


def rbac(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}, **fields}


def ref(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": RBAC, "kind": kind, "name": name}


def rule(verbs: list[str], groups: list[str], resources: list[str], **more: Any) -> dict[str, Any]:
    return {"verbs": verbs, "apiGroups": groups, "resources": resources, **more}


def review(kind: str, group: str = "authorization.k8s.io", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}


def definition(plural: str = "widgets", group: str = "example.com", **changes: Any) -> dict[str, Any]:
    spec = {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 9},
        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
        "parts": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
    }}  # fmt: skip
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {
        "openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": {"type": "object", "properties": {"ok": {"type": "boolean"}}}}},
    }}  # fmt: skip
    names = {"plural": plural, "singular": "widget", "kind": "Widget"}
    body = {"group": group, "scope": "Namespaced", "names": names, "versions": [version], **changes}
    metadata = {"name": f"{plural}.{group}"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": body,
    }


def widget(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


GET_MAPS = {"verb": "get", "resource": "configmaps", "namespace": "t"}
REQUESTS = (
    # paths that are about no object
    get("healthz", "/healthz", accept="*/*"),
    get("livez", "/livez", accept="*/*"),
    get("readyz", "/readyz", accept="*/*"),
    get("legacy versions", "/api"),
    get("core resources", "/api/v1"),
    get("unknown path", "/nothing"),
    get("unknown group", "/apis/nothing.example.com"),
    get("unknown group and version", "/apis/nothing.example.com/v1"),
    get("unknown version", "/api/v9"),
    get("unknown resource", "/api/v1/nothings"),
    get("unknown resource in a namespace", f"{NS}/default/nothings"),
    get("rbac group", f"/apis/{RBAC}"),
    get("rbac resources", f"/apis/{RBAC}/v1"),
    get("openapi v3 index as nobody", "/openapi/v3", user="nobody"),
    get("version as nobody", "/version", user="nobody"),
    Request("post to version", "POST", "/version", {}),
    # who
    get("anonymous on an object", f"{MAPS}/a", token=False),
    get("anonymous on health", "/healthz", token=False, accept="*/*"),
    get("bad token", f"{MAPS}/a", token=False, headers={"Authorization": "Bearer nonsense"}),
    get("bad AWS token", f"{MAPS}/a", token=False, headers={"Authorization": "Bearer k8s-aws-v1.bm9uc2Vuc2U"}),
    get("basic credentials", f"{MAPS}/a", token=False, headers={"Authorization": "Basic YTpi"}),
    get("a bearer without a token", f"{MAPS}/a", token=False, headers={"Authorization": "Bearer "}),
    get("nobody may not list", "/api/v1/configmaps", user="nobody"),
    get("nobody may not get", f"{NS}/default", user="nobody"),
    get("nobody may not read a path", "/logs", user="nobody"),
    post("nobody may not create", f"{NS}/default/configmaps", config_map("x"), user="nobody"),
    patch("nobody may not patch", f"{NS}/default/configmaps/x", MERGE, {}, user="nobody"),
    delete("nobody may not delete", f"{NS}/default/configmaps/x", user="nobody"),
    get("impersonated group without a user", f"{NS}/default", headers={"Impersonate-Group": "system:masters"}),
    get("nobody may not impersonate", f"{NS}/default", user="nobody", headers={"Impersonate-Uid": "7"}),
    # namespaces
    post("create a namespace", NS, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t"}}),
    post("create it again", NS, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t"}}),
    post("a namespace with a bad name", NS, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "Bad_Name"}}),
    post("a namespace without a name", NS, {"apiVersion": "v1", "kind": "Namespace", "metadata": {}}),
    get("get the namespace", f"{NS}/t"),
    get("a namespace that is not there", f"{NS}/nothing"),
    post("an object in no namespace", f"{NS}/nothing/configmaps", config_map("x")),
    get("list in no namespace", f"{NS}/nothing/configmaps"),
    # config maps: creating
    post("create", MAPS, config_map("a", {"x": "1"}, labels={"app": "one"})),
    post("create again", MAPS, config_map("a")),
    post("create without data", MAPS, config_map("empty")),
    post("create, dry run", f"{MAPS}?dryRun=All", config_map("dry", {"x": "1"})),
    get("the dry run left nothing", f"{MAPS}/dry"),
    post("dry run of a bad kind", f"{MAPS}?dryRun=Some", config_map("dry")),
    post("generate a name", MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-", "labels": {"made": "yes"}}}),
    delete("delete what was made", f"{MAPS}?labelSelector=made%3Dyes"),
    post("no name", MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
    post("no metadata", MAPS, {"apiVersion": "v1", "kind": "ConfigMap"}),
    post("bad name", MAPS, config_map("Bad_Name")),
    post("long name", MAPS, config_map("n" * 254)),
    post("name with a slash", MAPS, config_map("a/b")),
    post("name is a number", MAPS, config_map(7)),
    post("bad key", MAPS, config_map("k", {"a b": "1"})),
    post("value is a number", MAPS, config_map("k", {"a": 1})),
    post("data is a list", MAPS, config_map("k", [1])),
    post("bad label key", MAPS, config_map("k", labels={"-a-": "x"})),
    post("bad label value", MAPS, config_map("k", labels={"a": "b c"})),
    post("bad annotation key", MAPS, config_map("k", annotations={"a b": "x"})),
    post("other namespace in the body", MAPS, config_map("k", namespace="other")),
    post("resourceVersion on create", MAPS, config_map("k", resourceVersion="5")),
    post("other kind", MAPS, {**config_map("k"), "kind": "Secret"}),
    post("other version", MAPS, {**config_map("k"), "apiVersion": "v2"}),
    post("no kind", MAPS, {"metadata": {"name": "kindless"}}),
    post("not JSON", MAPS, "{"),
    post("empty body", MAPS, ""),
    post("a list", MAPS, "[]"),
    post("null", MAPS, "null"),
    post("as text", MAPS, config_map("k"), content="text/plain"),
    post("as YAML", MAPS, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\n", content="application/yaml"),
    post("unknown field, strict", f"{MAPS}?fieldValidation=Strict", {**config_map("k"), "dta": {}}),
    post("unknown field, warn", f"{MAPS}?fieldValidation=Warn", {**config_map("warned"), "dta": {}}),
    post("unknown field, ignored", f"{MAPS}?fieldValidation=Ignore", {**config_map("ignored"), "dta": {}}),
    post("key twice, strict", f"{MAPS}?fieldValidation=Strict", '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"k"},"data":{"a":"1","a":"2"}}'),
    post("validation of a bad kind", f"{MAPS}?fieldValidation=Maybe", config_map("k")),
    post("immutable", MAPS, {**config_map("fixed", {"a": "1"}), "immutable": True}),
    post("binary", MAPS, {**config_map("binary"), "binaryData": {"b": "AAE="}}),
    post("binary that is none", MAPS, {**config_map("k"), "binaryData": {"b": "***"}}),
    post("one key in both", MAPS, {**config_map("k", {"b": "1"}), "binaryData": {"b": "AAE="}}),
    post("too large", MAPS, config_map("large", {"a": "x" * 1_100_000})),
    post("create at a name", f"{MAPS}/a", config_map("a")),
    post("accept nothing known", MAPS, config_map("k"), accept="text/html"),
    # reading
    get("get", f"{MAPS}/a"),
    get("get nothing", f"{MAPS}/nothing"),
    Request("head", "HEAD", f"{MAPS}/a"),
    get("as a table", f"{MAPS}/a", accept=TABLE),
    get("as metadata", f"{MAPS}/a", accept=PARTIAL),
    get("accept nothing known, get", f"{MAPS}/a", accept="text/html"),
    get("pretty", f"{MAPS}/empty?pretty=true"),
    get("list", f"{MAPS}?labelSelector=app%3Done"),
    get("list as a table", f"{MAPS}?labelSelector=app%3Done", accept=TABLE),
    get("list as metadata", f"{MAPS}?labelSelector=app%3Done", accept=PARTIAL_LIST),
    get("list none", f"{MAPS}?labelSelector=app%3Dnone"),
    get("label in", f"{MAPS}?labelSelector=app+in+(one,two)"),
    get("label notin", f"{MAPS}?labelSelector=app+notin+(one),app"),
    get("bad label selector", f"{MAPS}?labelSelector=a%3D%3D%3Db"),
    get("by name", f"{MAPS}?fieldSelector=metadata.name%3Da"),
    get("by unknown field", f"{MAPS}?fieldSelector=data.x%3D1"),
    get("bad field selector", f"{MAPS}?fieldSelector=metadata.name"),
    get("bad limit", f"{MAPS}?limit=x"),
    get("limit one", f"{MAPS}?limit=1"),
    get("bad continue", f"{MAPS}?continue=nonsense"),
    get("bad resourceVersion", f"{MAPS}?resourceVersion=x"),
    get("match without version", f"{MAPS}?resourceVersionMatch=Exact"),
    get("watch that ends", f"{MAPS}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da"),
    get("watch from nonsense", f"{MAPS}?watch=1&resourceVersion=x"),
    # changing
    put("replace", f"{MAPS}/a", config_map("a", {"x": "2"}, labels={"app": "one"})),
    put("replace with the same", f"{MAPS}/a", config_map("a", {"x": "2"}, labels={"app": "one"})),
    put("replace another name", f"{MAPS}/a", config_map("b")),
    put("replace without a name", f"{MAPS}/a", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
    put("replace nothing", f"{MAPS}/nothing", config_map("nothing")),
    put("replace an old one", f"{MAPS}/a", config_map("a", resourceVersion="1")),
    put("replace by version nonsense", f"{MAPS}/a", config_map("a", resourceVersion="x")),
    put("replace by another uid", f"{MAPS}/a", config_map("a", uid="8d1c0000-0000-4000-8000-000000000000")),
    put("change the immutable", f"{MAPS}/fixed", {**config_map("fixed", {"a": "2"}), "immutable": True}),
    put("make it mutable", f"{MAPS}/fixed", config_map("fixed", {"a": "1"})),
    patch("merge", f"{MAPS}/a", MERGE, {"data": {"y": "1"}}),
    patch("merge null", f"{MAPS}/a", MERGE, {"data": {"y": None}}),
    patch("merge nothing there", f"{MAPS}/nothing", MERGE, {"data": {"y": "1"}}),
    patch("merge a wrong type", f"{MAPS}/a", MERGE, {"data": "text"}),
    patch("merge a name", f"{MAPS}/a", MERGE, {"metadata": {"name": "b"}}),
    patch("merge an old version", f"{MAPS}/a", MERGE, {"metadata": {"resourceVersion": "1"}}),
    patch("merge a list", f"{MAPS}/a", MERGE, "[]"),
    patch("merge no JSON", f"{MAPS}/a", MERGE, "{"),
    patch("strategic", f"{MAPS}/a", STRATEGIC, {"metadata": {"labels": {"tier": "web"}}}),
    patch("strategic delete", f"{MAPS}/a", STRATEGIC, {"data": {"$patch": "replace", "z": "1"}}),
    patch("JSON patch", f"{MAPS}/a", JSON_PATCH, [{"op": "add", "path": "/data/w", "value": "1"}]),
    patch("JSON patch of nothing", f"{MAPS}/a", JSON_PATCH, [{"op": "remove", "path": "/data/nothing"}]),
    patch("JSON patch test fails", f"{MAPS}/a", JSON_PATCH, [{"op": "test", "path": "/data/w", "value": "2"}]),
    patch("JSON patch with an object", f"{MAPS}/a", JSON_PATCH, {"op": "add"}),
    patch("JSON patch unknown op", f"{MAPS}/a", JSON_PATCH, [{"op": "grow", "path": "/data"}]),
    patch("patch of no type", f"{MAPS}/a", "application/json", {"data": {}}),
    patch("patch dry run", f"{MAPS}/a?dryRun=All", MERGE, {"data": {"dry": "1"}}),
    patch("patch unknown field, strict", f"{MAPS}/a?fieldValidation=Strict", MERGE, {"dta": {}}),
    # server-side apply
    patch("apply", f"{MAPS}/applied?fieldManager=one", APPLY, config_map("applied", {"a": "1"})),
    patch("apply as another", f"{MAPS}/applied?fieldManager=two", APPLY, config_map("applied", {"a": "2"})),
    patch("apply by force", f"{MAPS}/applied?fieldManager=two&force=true", APPLY, config_map("applied", {"a": "2"})),
    patch("apply without a manager", f"{MAPS}/applied", APPLY, config_map("applied", {"a": "1"})),
    patch("apply with managedFields", f"{MAPS}/applied?fieldManager=one", APPLY, config_map("applied", managedFields=[{"manager": "x"}])),
    patch("apply another name", f"{MAPS}/applied?fieldManager=one", APPLY, config_map("other", {"a": "1"})),
    patch("apply without a kind", f"{MAPS}/applied?fieldManager=one", APPLY, {"metadata": {"name": "applied"}}),
    patch("force a merge", f"{MAPS}/applied?force=true", MERGE, {"data": {}}),
    # deleting
    delete("delete", f"{MAPS}/ignored"),
    delete("delete nothing", f"{MAPS}/nothing"),
    delete("delete by another uid", f"{MAPS}/warned", {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "8d1c0000-0000-4000-8000-000000000000"}}),
    delete("delete an old version", f"{MAPS}/warned", {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": "1"}}),
    delete("delete dry run", f"{MAPS}/warned?dryRun=All"),
    delete("delete with nonsense", f"{MAPS}/warned", "{"),
    delete("delete by bad policy", f"{MAPS}/warned?propagationPolicy=Sometimes"),
    delete("delete several", f"{MAPS}?labelSelector=app%3Dnone"),
    post("a finalizer", MAPS, config_map("held", finalizers=["example.com/hold"])),
    post("a bad finalizer", MAPS, config_map("k", finalizers=["hold"])),
    delete("delete the held", f"{MAPS}/held"),
    get("the held is there", f"{MAPS}/held"),
    patch("let it go", f"{MAPS}/held", MERGE, {"metadata": {"finalizers": None}}),
    get("the held is gone", f"{MAPS}/held"),
    # secrets and service accounts
    post("a secret", f"{NS}/t/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "x"}}),
    post("a secret that is not base64", f"{NS}/t/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k"}, "data": {"p": "***"}}),
    patch("change a secret's type", f"{NS}/t/secrets/s", MERGE, {"type": "other"}),
    post("a dockercfg without data", f"{NS}/t/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k"}, "type": "kubernetes.io/dockerconfigjson"}),
    post("a service account", f"{NS}/t/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}),
    post("a token", f"{NS}/t/serviceaccounts/robot/token", review("TokenRequest", "authentication.k8s.io", audiences=["x"], expirationSeconds=600)),
    post("a short token", f"{NS}/t/serviceaccounts/robot/token", review("TokenRequest", "authentication.k8s.io", expirationSeconds=1)),
    post("a token of nobody", f"{NS}/t/serviceaccounts/nobody/token", review("TokenRequest", "authentication.k8s.io")),
    # RBAC objects
    post("a role", ROLES, rbac("Role", "dev", rules=[rule(["get", "list"], [""], ["configmaps"])])),
    post("a role without verbs", ROLES, rbac("Role", "bad", rules=[rule([], [""], ["configmaps"])])),
    post("a role without groups", ROLES, rbac("Role", "bad", rules=[{"verbs": ["get"], "resources": ["configmaps"]}])),
    post("a role without resources", ROLES, rbac("Role", "bad", rules=[{"verbs": ["get"], "apiGroups": [""]}])),
    post("a role with a path", ROLES, rbac("Role", "bad", rules=[{"verbs": ["get"], "nonResourceURLs": ["/x"]}])),
    post("a role with a slash in its name", ROLES, rbac("Role", "a/b")),
    post("a role with a colon", ROLES, rbac("Role", "team:dev")),
    post("a cluster role", CLUSTER_ROLES, rbac("ClusterRole", "t-nodes", rules=[rule(["get"], [""], ["nodes"])])),
    post("a cluster role with path and resource", CLUSTER_ROLES, rbac("ClusterRole", "bad", rules=[{"verbs": ["get"], "apiGroups": [""], "resources": ["x"], "nonResourceURLs": ["/x"]}])),
    post("a cluster role with a bad path", CLUSTER_ROLES, rbac("ClusterRole", "t-path", rules=[{"verbs": ["get"], "nonResourceURLs": ["logs"]}])),
    post("an aggregation without selectors", CLUSTER_ROLES, rbac("ClusterRole", "bad", aggregationRule={})),
    post("a binding", BINDINGS, rbac("RoleBinding", "dev", roleRef=ref("Role", "dev"), subjects=[{"apiGroup": RBAC, "kind": "User", "name": "ann"}])),
    post("a binding to nothing", BINDINGS, rbac("RoleBinding", "none", roleRef=ref("Role", "nothing"), subjects=[])),
    post("a binding of a bad kind", BINDINGS, rbac("RoleBinding", "bad", roleRef=ref("Thing", "dev"))),
    post("a binding of a bad group", BINDINGS, rbac("RoleBinding", "bad", roleRef={"apiGroup": "x", "kind": "Role", "name": "dev"})),
    post("a binding without a role", BINDINGS, rbac("RoleBinding", "bad", roleRef={"apiGroup": RBAC, "kind": "Role", "name": ""})),
    post("a subject without a name", BINDINGS, rbac("RoleBinding", "bad", roleRef=ref("Role", "dev"), subjects=[{"apiGroup": RBAC, "kind": "User", "name": ""}])),
    post("a subject of a bad kind", BINDINGS, rbac("RoleBinding", "bad", roleRef=ref("Role", "dev"), subjects=[{"kind": "Robot", "name": "x"}])),
    post("an account without a namespace", CLUSTER_BINDINGS, rbac("ClusterRoleBinding", "bad", roleRef=ref("ClusterRole", "view"), subjects=[{"kind": "ServiceAccount", "name": "x"}])),
    post("a user in no group", BINDINGS, rbac("RoleBinding", "groupless", roleRef=ref("Role", "dev"), subjects=[{"kind": "User", "name": "eve"}])),
    post("a cluster binding to a role", CLUSTER_BINDINGS, rbac("ClusterRoleBinding", "bad", roleRef=ref("Role", "dev"))),
    patch("change a role reference", f"{BINDINGS}/dev", MERGE, {"roleRef": {"name": "other"}}),
    patch("change subjects", f"{BINDINGS}/dev", MERGE, {"subjects": [{"apiGroup": RBAC, "kind": "User", "name": "ann"}, {"apiGroup": RBAC, "kind": "Group", "name": "team"}]}),
    get("a binding as a table", f"{BINDINGS}/dev", accept=TABLE),
    get("a role as a table", f"{ROLES}/dev", accept=TABLE),
    get("cluster-admin", f"{CLUSTER_ROLES}/cluster-admin"),
    get("system:discovery", f"{CLUSTER_ROLES}/system%3Adiscovery"),
    get("system:public-info-viewer bound", f"{CLUSTER_BINDINGS}/system%3Apublic-info-viewer"),
    # what RBAC allows
    get("ann may list", MAPS + "?limit=0&labelSelector=app%3Dnone", user="ann"),
    get("ann may not list all", "/api/v1/configmaps", user="ann"),
    get("ann may not watch", f"{MAPS}?watch=1", user="ann"),
    get("ann may not list secrets", f"{NS}/t/secrets", user="ann"),
    post("ann may not create", MAPS, config_map("k"), user="ann"),
    delete("ann may not delete several", MAPS, user="ann"),
    post("ann may not make a role", ROLES, rbac("Role", "mine"), user="ann"),
    # reviews
    post("who am I", f"{AUTHENTICATION}/selfsubjectreviews", {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}, user="ann"),
    post("may I", f"{AUTHORIZATION}/selfsubjectaccessreviews", review("SelfSubjectAccessReview", resourceAttributes=GET_MAPS), user="ann"),
    post("may I not", f"{AUTHORIZATION}/selfsubjectaccessreviews", review("SelfSubjectAccessReview", resourceAttributes={**GET_MAPS, "verb": "delete"}), user="ann"),
    post("may I a path", f"{AUTHORIZATION}/selfsubjectaccessreviews", review("SelfSubjectAccessReview", nonResourceAttributes={"verb": "get", "path": "/healthz"}), user="ann"),
    post("may I both", f"{AUTHORIZATION}/selfsubjectaccessreviews", review("SelfSubjectAccessReview", resourceAttributes=GET_MAPS, nonResourceAttributes={"verb": "get", "path": "/x"}), user="ann"),
    post("may I neither", f"{AUTHORIZATION}/selfsubjectaccessreviews", review("SelfSubjectAccessReview"), user="ann"),
    post("may she", f"{AUTHORIZATION}/subjectaccessreviews", review("SubjectAccessReview", user="ann", resourceAttributes=GET_MAPS)),
    post("may the team", f"{AUTHORIZATION}/subjectaccessreviews", review("SubjectAccessReview", groups=["team"], resourceAttributes=GET_MAPS)),
    post("may nobody in particular", f"{AUTHORIZATION}/subjectaccessreviews", review("SubjectAccessReview", resourceAttributes=GET_MAPS)),
    post("may masters", f"{AUTHORIZATION}/subjectaccessreviews", review("SubjectAccessReview", user="x", groups=["system:masters"], resourceAttributes=GET_MAPS)),
    post("may she here", f"{AUTHORIZATION}/namespaces/t/localsubjectaccessreviews", review("LocalSubjectAccessReview", user="ann", resourceAttributes=GET_MAPS)),
    post("may she elsewhere", f"{AUTHORIZATION}/namespaces/t/localsubjectaccessreviews", review("LocalSubjectAccessReview", user="ann", resourceAttributes={**GET_MAPS, "namespace": "default"})),
    post("my rules", f"{AUTHORIZATION}/selfsubjectrulesreviews", review("SelfSubjectRulesReview", namespace="t"), user="ann"),
    post("my rules nowhere", f"{AUTHORIZATION}/selfsubjectrulesreviews", review("SelfSubjectRulesReview"), user="ann"),
    post("whose token", f"{AUTHENTICATION}/tokenreviews", review("TokenReview", "authentication.k8s.io", token="nonsense")),
    post("whose AWS token", f"{AUTHENTICATION}/tokenreviews", review("TokenReview", "authentication.k8s.io", token="k8s-aws-v1.bm9uc2Vuc2U")),
    post("whose no token", f"{AUTHENTICATION}/tokenreviews", review("TokenReview", "authentication.k8s.io")),
    get("reviews cannot be read", f"{AUTHENTICATION}/tokenreviews"),
    # custom resources
    post("a definition", CRDS, definition()),
    post("a definition again", CRDS, definition()),
    post("a definition by another name", CRDS, {**definition(), "metadata": {"name": "x.example.com"}}),
    post("a definition in a protected group", CRDS, definition("things", "things.k8s.io")),
    post("a definition without versions", CRDS, definition("things", versions=[])),
    post("a definition of no scope", CRDS, definition("things", scope="Everywhere")),
    get("definition as a table", f"{CRDS}/widgets.example.com", accept=TABLE),
    post("a widget", WIDGETS, widget("w", size=1)),
    post("a widget of size 0", WIDGETS, widget("k", size=0)),
    post("a widget of size ten", WIDGETS, widget("k", size=10)),
    post("a widget of no size", WIDGETS, widget("k")),
    post("a widget of a wrong type", WIDGETS, widget("k", size="big")),
    post("a widget of a wrong color", WIDGETS, widget("k", size=1, color="green")),
    post("a widget of many parts", WIDGETS, widget("k", size=1, parts=["a", "b", "c"])),
    post("a widget of a long part", WIDGETS, widget("k", size=1, parts=["long"])),
    post("a widget of a wrong code", WIDGETS, widget("k", size=1, code="A1")),
    post("a widget with more", WIDGETS, widget("more", size=1, other=2)),
    post("a widget with more, strict", f"{WIDGETS}?fieldValidation=Strict", widget("k", size=1, other=2)),
    get("the widget", f"{WIDGETS}/w"),
    get("the widget as a table", f"{WIDGETS}/w", accept=TABLE),
    put("a widget without a version", f"{WIDGETS}/w", widget("w", size=2)),
    patch("a widget by strategic merge", f"{WIDGETS}/w", STRATEGIC, {"spec": {"size": 2}}),
    patch("a widget by merge", f"{WIDGETS}/w", MERGE, {"spec": {"size": 3}}),
    patch("status by the object", f"{WIDGETS}/w", MERGE, {"status": {"ok": True}}),
    patch("status by status", f"{WIDGETS}/w/status", MERGE, {"status": {"ok": True}, "spec": {"size": 9}}),
    get("a widget's scale", f"{WIDGETS}/w/scale"),
    get("custom resources", "/apis/example.com/v1"),
    delete("delete a widget", f"{WIDGETS}/w"),
    delete("delete the definition", f"{CRDS}/widgets.example.com"),
    # verbs that are not there
    Request("put on a collection", "PUT", MAPS, config_map("a")),
    Request("patch a collection", "PATCH", MAPS, {}, MERGE),
    Request("delete all namespaces", "DELETE", NS),
    get("a subresource that is none", f"{MAPS}/a/status"),
    Request("options", "OPTIONS", MAPS),
    Request("trace", "TRACE", MAPS),
    # protected
    delete("delete kube-system", f"{NS}/kube-system"),
    delete("delete default", f"{NS}/default"),
    delete("delete the namespace", f"{NS}/t"),
)  # fmt: skip


class Sender:
    """Sends requests to one cluster."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, context=ssl._create_unverified_context(), timeout=300
        )
        self._token = token

    def send(self, request: Request) -> dict[str, Any]:
        """What was answered, without what differs from one run to the next."""
        headers = {"Accept": request.accept, "User-Agent": "corpus/1", **request.headers}
        if request.token:
            headers["Authorization"] = f"Bearer {self._token}"
        if request.user:
            headers["Impersonate-User"] = request.user
        body = request.body
        if body is not None:
            headers["Content-Type"] = request.content
            body = (body if isinstance(body, str) else json.dumps(body)).encode()
        self._connection.request(request.method, request.path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        found: dict[str, Any] = {
            "status": answer.status,
            "type": answer.headers.get_content_type() if text else "",
            "warnings": answer.headers.get_all("Warning") or [],
        }
        return {**found, **_described(text)}


def _described(text: str) -> dict[str, Any]:
    try:
        body = _steady([json.loads(line) for line in text.splitlines()] if "\n{" in text.strip() else json.loads(text))
    except ValueError:
        return {"body": _plain(text)}
    if isinstance(body, dict) and body.get("kind") == "Status" and body.get("status") == "Failure":
        return {
            "reason": body.get("reason"),
            "message": body.get("message"),
            "details": body.get("details"),
        }
    return {"body": body}


_CHANGING = ("uid", "resourceVersion", "time", "creationTimestamp", "lastTransitionTime", "deletionTimestamp", "token")
_CHANGING += ("expirationTimestamp", "continue", "remainingItemCount")


def _steady(value: Any, key: str = "") -> Any:
    """The value with whatever has to differ replaced by its kind."""
    if isinstance(value, dict):
        return {name: _steady(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_steady(inner) for inner in value]
    if key in _CHANGING and value is not None:
        return f"<{key}>" if value != "" else ""
    return _plain(value) if isinstance(value, str) else value


def _plain(text: str) -> str:
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>", text)
    text = re.sub(r"\bmade-[a-z0-9]{5}\b", "<made>", text)
    return re.sub(r"^\d+(s|m|ms)$", "<age>", text)
