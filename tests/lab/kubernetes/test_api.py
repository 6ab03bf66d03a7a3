"""The API of an embedded cluster request by request: what a real API server accepts, refuses, and in which words.

Sources, where a case has none of its own: Kubernetes documentation, "Kubernetes API Concepts"; kubernetes
``staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/validation/validation.go`` (options),
``pkg/api/validation/objectmeta.go`` (metadata), ``pkg/apis/core/validation`` (kinds).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from raw_cluster import Cluster

NS = "/api/v1/namespaces/api"
MAPS = f"{NS}/configmaps"
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
AUTHENTICATION = "/apis/authentication.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def config_map(name: str = "a", metadata: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **(metadata or {})}, **fields}


@pytest.fixture(scope="module")
def api(start_lab: Callable[..., Any]) -> Cluster:
    cluster = Cluster(start_lab().home)
    assert cluster.send("POST", "/api/v1/namespaces", {"metadata": {"name": "api"}})[0] == 201
    assert cluster.send("POST", MAPS, config_map(data={"x": "1"}))[0] == 201
    return cluster


OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1", "controller": True}


@pytest.mark.parametrize(
    ("method", "path", "body", "content_type", "status", "says"),
    [
        # the type may be left out of built-in kinds, as the path says it
        ("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "x"}}, "", 201, ""),
        ("POST", f"{MAPS}?dryRun=All", {"kind": "ConfigMap", "metadata": {"name": "x"}}, "", 400, "do not match"),
        # apiserver/pkg/storage/errors.go, ErrResourceVersionSetOnCreate
        (
            "POST",
            MAPS,
            config_map("b", {"resourceVersion": "5"}),
            "",
            500,
            "should not be set on objects to be created",
        ),
        ("POST", MAPS, config_map("b", data={"x": "1"}, binaryData={"x": "aGk="}), "", 422, "duplicate of key"),
        ("POST", MAPS, config_map("b", binaryData={"x": "!"}), "", 400, "illegal base64 data"),
        (
            "POST",
            MAPS,
            config_map("b", {"finalizers": ["a b"]}),
            "",
            422,
            "name part must consist of alphanumeric characters",
        ),
        ("POST", MAPS, config_map("b", {"ownerReferences": [{"name": "x"}]}), "", 422, "uid must not be empty"),
        ("POST", MAPS, config_map("b", {"ownerReferences": [OWNER, {**OWNER, "uid": "2"}]}), "", 422, "Controller"),
        ("POST", f"{NS}/secrets", {"metadata": {"name": "t"}, "type": "kubernetes.io/tls"}, "", 422, "data[tls.crt]"),
        # options
        ("POST", f"{MAPS}?dryRun=Some", config_map("b"), "", 422, 'CreateOptions.meta.k8s.io "" is invalid: dryRun'),
        ("POST", f"{MAPS}?fieldValidation=No", config_map("b"), "", 422, 'Unsupported value: "No"'),
        ("POST", f"{MAPS}?fieldManager={'m' * 129}", config_map("b"), "", 422, "128"),
        ("PATCH", f"{MAPS}/b", b"metadata: {name: b}", APPLY, 422, "is required for apply patch"),
        ("PATCH", f"{MAPS}/a?force=true", {}, MERGE, 422, "may not be specified for non-apply patch"),
        ("DELETE", f"{MAPS}/a?propagationPolicy=Now", None, "", 422, "propagationPolicy"),
        # an update that is based on nothing
        ("PUT", f"{MAPS}/a", config_map(data={"x": "1"}), "", 200, ""),
        ("PUT", f"{MAPS}/a", config_map("a", {"resourceVersion": "1"}), "", 409, "has been modified"),
        ("PUT", f"{MAPS}/none", config_map("none"), "", 404, 'configmaps "none" not found'),
        ("PUT", f"{MAPS}/a", config_map("b"), "", 400, "does not match the name on the URL"),
        # lists
        ("GET", f"{MAPS}?resourceVersion=999999999", None, "", 504, "Too large resource version"),
        ("GET", f"{MAPS}/a?resourceVersion=999999999", None, "", 504, "Too large resource version"),
        ("GET", f"{MAPS}?resourceVersion=x", None, "", 400, "resourceVersion"),
        ("GET", f"{MAPS}?resourceVersionMatch=Exact", None, "", 422, "forbidden unless resourceVersion is provided"),
        ("GET", f"{MAPS}?resourceVersion=1&resourceVersionMatch=Exact", None, "", 410, "too old"),
        ("GET", f"{MAPS}?watch=1&sendInitialEvents=true&timeoutSeconds=1", None, "", 422, "NotOlderThan"),
        ("GET", f"{MAPS}?fieldSelector=data.x%3D1", None, "", 400, "field label not supported"),
        ("GET", f"{RBAC}/clusterroles?fieldSelector=a%3D1", None, "", 400, "field label not supported"),
        ("GET", f"{NS}/secrets?fieldSelector=type%3DOpaque", None, "", 200, ""),
        ("GET", f"{NS}/pods?fieldSelector=spec.nodeName%3Dn", None, "", 200, ""),
        # registry/core/namespace/storage has no deletecollection
        ("DELETE", "/api/v1/namespaces", None, "", 405, "does not allow this method"),
        # reviews: pkg/apis/authorization/validation
        ("POST", f"{AUTHORIZATION}/subjectaccessreviews", {"spec": {}}, "", 422, "at least one of user or group"),
        ("POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", {"spec": {}}, "", 422, "exactly one of"),
        ("POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {}}, "", 400, "no namespace on request"),
        (
            "POST",
            f"{AUTHORIZATION}/namespaces/api/localsubjectaccessreviews",
            {"spec": {"user": "a", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "b"}}},
            "",
            422,
            "must match",
        ),
        (
            "POST",
            f"{AUTHORIZATION}/namespaces/api/localsubjectaccessreviews",
            {"spec": {"user": "a", "nonResourceAttributes": {"verb": "get", "path": "/"}}},
            "",
            422,
            "disallowed on this kind of request",
        ),
        ("POST", f"{AUTHENTICATION}/tokenreviews", {"spec": {}}, "", 400, "token is required"),
    ],
)
def test_requests(api: Cluster, method: str, path: str, body: Any, content_type: str, status: int, says: str) -> None:
    found = api.send(method, path, body, content_type or "application/json")
    assert found[0] == status, found
    assert says in (found[1].get("message") or ""), found


def test_a_list_in_pages(api: Cluster) -> None:
    """Kubernetes API Concepts, "Retrieving large results sets in chunks"."""
    for name in "pqr":
        api.send("POST", MAPS, config_map(f"page-{name}", {"labels": {"page": "yes"}}))
    _, first = api.send("GET", f"{MAPS}?limit=1")
    assert first["metadata"]["remainingItemCount"] > 0
    token = first["metadata"]["continue"]
    assert api.send("GET", f"{MAPS}?limit=1&continue={token}&resourceVersion=5")[0] == 400
    _, second = api.send("GET", f"{MAPS}?limit=500&continue={token}")
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in second["metadata"]
    # With a selector the server does not know how many remain (ListMeta.remainingItemCount).
    _, selected = api.send("GET", f"{MAPS}?limit=1&labelSelector=page%3Dyes")
    assert "remainingItemCount" not in selected["metadata"]
    assert selected["metadata"]["continue"]


def test_finalizers_hold_an_object_and_none_joins_them(api: Cluster) -> None:
    api.send("POST", MAPS, config_map("held", {"finalizers": ["example.com/hold"]}))
    assert api.send("DELETE", f"{MAPS}/held")[1]["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    status, refused = api.send("PATCH", f"{MAPS}/held", more, MERGE)
    assert (status, "no new finalizers" in refused["message"]) == (422, True)
    assert api.send("PATCH", f"{MAPS}/held", {"metadata": {"finalizers": None}}, MERGE)[0] == 200
    assert api.send("GET", f"{MAPS}/held")[0] == 404


def test_yaml_for_who_asks_for_it(api: Cluster) -> None:
    """Kubernetes API Concepts, "Alternate representations of resources"."""
    status, text = api.send("GET", f"{MAPS}/a", headers={"Accept": "application/yaml"})
    assert (status, yaml.safe_load(text)["data"]) == (200, {"x": "1"})
    status, text = api.send("GET", f"{MAPS}/none", headers={"Accept": "application/yaml"})
    assert (status, yaml.safe_load(text)["reason"]) == (404, "NotFound")
    assert api.send("GET", f"{MAPS}/a", headers={"Accept": "application/xml"})[0] == 406


def test_custom_resources_are_updated_from_a_version(api: Cluster) -> None:
    """apiextensions-apiserver ``pkg/registry/customresource/strategy.go``: AllowUnconditionalUpdate is false."""
    path = "/apis/iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings"
    mapping = {
        "apiVersion": "iamauthenticator.k8s.aws/v1alpha1",
        "kind": "IAMIdentityMapping",
        "metadata": {"name": "m"},
        "spec": {"arn": "arn:aws:iam::231144931069:role/m", "username": "m"},
    }
    assert api.send("POST", path, {key: mapping[key] for key in ("metadata", "spec")})[0] == 400
    _, made = api.send("POST", path, mapping)
    assert "must be specified for an update" in api.send("PUT", f"{path}/m", mapping)[1]["message"]
    assert api.send("PUT", f"{path}/m", made)[0] == 200


def test_selectable_fields_of_custom_resources(api: Cluster) -> None:
    """Kubernetes documentation, "Extend the Kubernetes API with CustomResourceDefinitions", selectable fields."""
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "shirts.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "shirts", "kind": "Shirt"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "selectableFields": [{"jsonPath": ".spec.color"}],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {"type": "object", "properties": {"color": {"type": "string"}}},
                            },
                        }
                    },
                }
            ],
        },
    }
    api.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    shirts = "/apis/example.com/v1/namespaces/api/shirts"
    for color in ("red", "blue"):
        shirt = {"apiVersion": "example.com/v1", "kind": "Shirt", "metadata": {"name": color}, "spec": {"color": color}}
        assert api.send("POST", shirts, shirt)[0] == 201
    _, found = api.send("GET", f"{shirts}?fieldSelector=spec.color%3Dred")
    assert [one["metadata"]["name"] for one in found["items"]] == ["red"]
    assert api.send("GET", f"{shirts}?fieldSelector=spec.size%3D1")[0] == 400


def _token(api: Cluster, **spec: Any) -> tuple[int, Any]:
    return api.send("POST", f"{NS}/serviceaccounts/default/token", {"kind": "TokenRequest", "spec": spec})


def _reviewed(api: Cluster, token: str, *audiences: str) -> dict[str, Any]:
    spec = {"token": token, "audiences": list(audiences)}
    status: dict[str, Any] = api.send("POST", f"{AUTHENTICATION}/tokenreviews", {"spec": spec})[1]["status"]
    return status


def test_a_token_review_knows_everybody_and_names_the_audiences_in_common(api: Cluster) -> None:
    """Kubernetes API reference, TokenReviewStatus.audiences; the authenticated group is added to every user."""
    token = _token(api, audiences=["vault", "sts.amazonaws.com"])[1]["status"]["token"]
    found = _reviewed(api, token, "vault", "other")
    assert found["audiences"] == ["vault"]
    assert "system:authenticated" in found["user"]["groups"]
    assert not _reviewed(api, token, "other")["authenticated"]
    assert not _reviewed(api, token)["authenticated"], "a token for others is none for the API server"
    assert "system:authenticated" in _reviewed(api, api.token)["user"]["groups"]
    assert _reviewed(api, "k8s-aws-v1.x")["authenticated"] is False


def test_a_token_bound_to_a_secret_ends_with_it(api: Cluster) -> None:
    """Kubernetes API reference, BoundObjectReference; ``pkg/registry/core/serviceaccount/storage/token.go``."""
    bound = {"kind": "Secret", "apiVersion": "v1", "name": "anchor"}
    assert _token(api, boundObjectRef=bound)[0] == 404
    _, secret = api.send("POST", f"{NS}/secrets", {"metadata": {"name": "anchor"}})
    assert _token(api, boundObjectRef={**bound, "uid": "other"})[0] == 409
    assert _token(api, boundObjectRef={**bound, "kind": "ConfigMap"})[0] == 400
    assert _token(api, boundObjectRef={**bound, "kind": "Pod"})[0] == 404
    token = _token(api, boundObjectRef=bound)[1]
    assert token["spec"]["boundObjectRef"]["uid"] == secret["metadata"]["uid"]
    assert _reviewed(api, token["status"]["token"])["authenticated"]
    api.send("DELETE", f"{NS}/secrets/anchor")
    assert not _reviewed(api, token["status"]["token"])["authenticated"]


def _rule(*verbs: str, resource: str = "configmaps", group: str = "", names: tuple[str, ...] = ()) -> dict[str, Any]:
    found = {"verbs": list(verbs), "apiGroups": [group], "resources": [resource]}
    return {**found, **({"resourceNames": list(names)} if names else {})}


WRITER = {"Impersonate-User": "writer"}


@pytest.fixture(scope="module")
def writer(api: Cluster) -> Cluster:
    """A user who may write roles and bindings, read config maps, and escalate the one role that is named."""
    group = "rbac.authorization.k8s.io"
    rules = [
        *(_rule("*", resource=plural, group=group) for plural in ("roles", "rolebindings", "clusterrolebindings")),
        _rule("create", "get", "update", "patch", "delete", resource="clusterroles", group=group),
        _rule("get"),
    ]
    # "*" as verb includes escalate and bind: take the verbs one by one.
    for rule in rules:
        rule["verbs"] = ["create", "get", "update", "patch", "delete"] if "*" in rule["verbs"] else rule["verbs"]
    rules.append(_rule("escalate", resource="roles", group=group, names=("named",)))
    api.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "writer"}, "rules": rules})
    binding = {
        "metadata": {"name": "writer"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "writer"},
        "subjects": [{"kind": "User", "name": "writer"}],
    }
    assert api.send("POST", f"{RBAC}/clusterrolebindings", binding)[0] == 201
    return api


ROLES = f"{RBAC}/namespaces/api/roles"


def test_nobody_writes_a_role_beyond_their_own(writer: Cluster) -> None:
    """kubernetes ``pkg/registry/rbac/role/policybased/storage.go``."""
    small, large = [_rule("get")], [_rule("get", "delete")]
    assert writer.send("POST", ROLES, {"metadata": {"name": "s"}, "rules": small}, headers=WRITER)[0] == 201
    status, refused = writer.send("POST", ROLES, {"metadata": {"name": "l"}, "rules": large}, headers=WRITER)
    assert (status, refused["reason"]) == (403, "Forbidden")
    assert "attempting to grant RBAC permissions not currently held" in refused["message"]
    # A role that holds more already: not even a label of it, but what deleting by owner needs.
    writer.send("POST", ROLES, {"metadata": {"name": "big"}, "rules": large})
    label = {"metadata": {"labels": {"a": "b"}}}
    assert writer.send("PATCH", f"{ROLES}/big", label, MERGE, headers=WRITER)[0] == 403
    owner = {"metadata": {"ownerReferences": [OWNER]}}
    assert writer.send("PATCH", f"{ROLES}/big", owner, MERGE, headers=WRITER)[0] == 200


def test_escalate_limited_to_a_name_is_not_for_making_roles(writer: Cluster) -> None:
    """A request that creates has no name to compare with resourceNames ("Using RBAC Authorization")."""
    large = {"metadata": {"name": "named"}, "rules": [_rule("delete")]}
    assert writer.send("POST", ROLES, large, headers=WRITER)[0] == 403
    writer.send("POST", ROLES, {"metadata": {"name": "named"}, "rules": []})
    assert writer.send("PUT", f"{ROLES}/named", large, headers=WRITER)[0] == 200


def test_aggregation_needs_everything_to_be_held(writer: Cluster) -> None:
    """kubernetes ``pkg/registry/rbac/clusterrole/policybased/storage.go``: hasAggregationRule of the old one too."""
    rule = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]}, "rules": []}
    status, refused = writer.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "agg"}, **rule}, headers=WRITER)
    assert (status, "aggregationRule" in refused["message"]) == (403, True)
    writer.send("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "agg"}, **rule})
    without = {"metadata": {"name": "agg"}, "rules": []}
    assert writer.send("PUT", f"{RBAC}/clusterroles/agg", without, headers=WRITER)[0] == 403


def test_a_binding_is_changed_by_who_could_make_it(writer: Cluster) -> None:
    """kubernetes ``pkg/registry/rbac/clusterrolebinding/policybased/storage.go``."""
    path = f"{RBAC}/namespaces/api/rolebindings"
    binding = {"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "edit"}}
    assert writer.send("POST", path, binding, headers=WRITER)[0] == 403
    assert writer.send("POST", path, {**binding, "roleRef": {"kind": "Role", "name": "none"}}, headers=WRITER)[0] == 404
    writer.send("POST", path, binding)
    label = {"metadata": {"labels": {"a": "b"}}}
    assert writer.send("PATCH", f"{path}/b", label, MERGE, headers=WRITER)[0] == 403


@pytest.mark.parametrize("path", [f"{NS}/serviceaccounts/default", f"{MAPS}/kube-root-ca.crt"])
def test_what_every_namespace_has_comes_back(api: Cluster, path: str) -> None:
    """kubernetes ``pkg/controller/serviceaccount``, ``pkg/controller/certificates/rootcacertpublisher``."""
    before = api.send("GET", path)[1]["metadata"]["uid"]
    assert api.send("DELETE", path)[0] == 200
    assert api.send("GET", path)[1]["metadata"]["uid"] != before


def _definition(plural: str = "bs", **spec: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "kind": plural.title()}
    found = {"group": "b.example.com", "scope": "Namespaced", "names": names, "versions": [version], **spec}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return {**kind, "metadata": {"name": f"{plural}.b.example.com"}, "spec": found}


def _with_schema(**schema: Any) -> dict[str, Any]:
    version = {"name": "v1", "served": True, "storage": True}
    return _definition(versions=[{**version, "schema": {"openAPIV3Schema": {"type": "object", **schema}}}])


def _with_version(**version: Any) -> dict[str, Any]:
    found = _definition()
    found["spec"]["versions"] = [{**found["spec"]["versions"][0], **version}]
    return found


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEEP: dict[str, Any] = {"type": "object"}
for _ in range(43):
    DEEP = {"type": "object", "properties": {"a": DEEP}}


@pytest.mark.parametrize(
    ("definition", "status", "says"),
    [
        (_definition(versions="v1"), 400, "spec.versions"),
        (_definition(versions=["v1"]), 400, "spec.versions[0]"),
        (_definition(versions=[]), 422, "spec.versions: Required value"),
        (_definition(names={"plural": "bs", "kind": "B", "shortNames": "b"}), 400, "shortNames"),
        (_definition(names={"plural": "bs"}), 422, "spec.names.kind: Required value"),
        (_definition(scope="World"), 422, 'supported values: "Cluster", "Namespaced"'),
        (_with_version(name="V 1"), 422, "must be a DNS label"),
        (_with_version(storage=False), 422, "exactly one version"),
        (_with_version(schema=None), 422, "openAPIV3Schema: Required value"),
        (_with_version(additionalPrinterColumns=[{"name": "x"}]), 422, "jsonPath: Required value"),
        (_with_version(selectableFields=[{}]), 422, "jsonPath: Required value"),
        (_with_schema(type="array"), 422, "must be object at the root"),
        (_with_schema(properties=5), 422, "must be made of schemas"),
        (_with_schema(properties={"a": 5}), 422, "properties[a]: Invalid value: must be a schema"),
        (_with_schema(properties={"a": {"type": "text"}}), 422, "properties[a].type: Unsupported value"),
        (_with_schema(properties={"a": {"type": "integer", "minimum": "1"}}), 422, "must be a number"),
        (_with_schema(properties={"a": {"type": "string", "maxLength": -1}}), 422, "at least 0"),
        (_with_schema(properties={"a": {"$ref": "#/x"}}), 422, "$ref is not supported"),
        (_with_schema(properties={"a": {"type": "array", "x-kubernetes-list-type": "map"}}), 422, "list-map-keys"),
        (_with_schema(properties={"a": {"type": "string", "x-kubernetes-list-type": "set"}}), 422, "of an array"),
        (_with_schema(required="a"), 422, "must be a list of names"),
        (_with_schema(allOf={"a": 1}), 422, "must be made of schemas"),
        (_with_schema(properties={"a": DEEP}), 422, "deep"),
        (_definition(), 201, ""),
    ],
)
def test_definitions_that_cannot_be_served_are_refused(
    api: Cluster, definition: dict[str, Any], status: int, says: str
) -> None:
    """apiextensions-apiserver ``pkg/apis/apiextensions/validation/validation_test.go`` has the same shapes."""
    found = api.send("POST", f"{DEFINITIONS}?dryRun=All", definition)
    assert found[0] == status, found
    assert says in (found[1].get("message") or ""), found


def test_a_definition_keeps_what_it_is_and_remembers_what_was_stored(api: Cluster) -> None:
    """apiextensions-apiserver ``validation.go``: immutable fields; CRD versioning documentation: storedVersions."""
    path = f"{DEFINITIONS}/cs.b.example.com"
    assert api.send("POST", DEFINITIONS, _definition("cs"))[0] == 201
    for change in ({"scope": "Cluster"}, {"names": {"kind": "Other"}}):
        assert "field is immutable" in api.send("PATCH", path, {"spec": change}, MERGE)[1]["message"]
    _, found = api.send("GET", path)
    old = found["spec"]["versions"][0]
    found["spec"]["versions"] = [{**old, "storage": False}, {**old, "name": "v2"}]
    assert api.send("PUT", path, found)[1]["status"]["storedVersions"] == ["v1", "v2"]
    _, found = api.send("GET", path)
    found["spec"]["versions"] = found["spec"]["versions"][1:]
    assert "must appear in spec.versions" in api.send("PUT", path, found)[1]["message"]
    assert api.send("GET", "/apis/b.example.com/v2/namespaces/api/cs")[0] == 200


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ({"matchExpressions": [{"operator": "In"}]}, "not a qualified name"),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "must be specified when"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "may not be specified when"),
        ({"matchExpressions": [{"key": "a", "operator": "Is"}]}, "not a valid selector operator"),
        ({"matchLabels": {"a b": "c"}}, "matchLabels: Invalid value"),
    ],
)
def test_selectors_of_aggregation(api: Cluster, selector: dict[str, Any], says: str) -> None:
    """kubernetes ``apimachinery/pkg/apis/meta/v1/validation``: ValidateLabelSelector."""
    role = {"metadata": {"name": "agg-bad"}, "aggregationRule": {"clusterRoleSelectors": [selector]}}
    status, refused = api.send("POST", f"{RBAC}/clusterroles", role)
    assert (status, says in refused["message"]) == (422, True), refused
