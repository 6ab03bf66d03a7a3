"""Objects of a cluster: the store, patches, server-side apply, protobuf, selectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.lab.kubernetes import apply, patch, protobuf
from rolecall.lab.kubernetes.managed_fields import decode, encode, fields_of
from rolecall.lab.kubernetes.negotiation import Form, negotiate
from rolecall.lab.kubernetes.requests import parse_request
from rolecall.lab.kubernetes.schemas import definitions, messages
from rolecall.lab.kubernetes.selectors import label_selector
from rolecall.lab.kubernetes.status import StatusError
from rolecall.lab.kubernetes.store import ObjectStore
from rolecall.lab.kubernetes.tables import duration

KEY = ("", "configmaps")
CONFIG_MAP, SERVICE_ACCOUNT = definitions()["core.v1.ConfigMap"], definitions()["core.v1.ServiceAccount"]


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": data}


def test_the_store_keeps_what_was_committed(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "s.db")
    store.put(KEY, config_map("a", x="1"))
    store.put(KEY, config_map("b"))
    store.remove(KEY, "n", "b")
    version = store.version
    store.close()
    again = ObjectStore(tmp_path / "s.db")
    assert again.version == version
    assert [one["metadata"]["name"] for one in again.listed(KEY)] == ["a"]
    assert again.get(KEY, "n", "a")["data"] == {"x": "1"}  # type: ignore[index]
    again.close()


def fail_in_a_transaction(store: ObjectStore) -> None:
    with store.transaction():
        store.put(KEY, config_map("a", x="2"))
        store.put(KEY, config_map("b"))
        store.remove(KEY, "n", "a")
        raise ZeroDivisionError


def test_a_failed_transaction_leaves_nothing_behind(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "s.db")
    store.put(KEY, config_map("a", x="1"))
    seen: list[Any] = []
    with store.subscribed(seen.append):
        with pytest.raises(ZeroDivisionError):
            fail_in_a_transaction(store)
        assert seen == []
        assert store.get(KEY, "n", "a")["data"] == {"x": "1"}  # type: ignore[index]
        assert store.get(KEY, "n", "b") is None
        assert store.version == 1
        store.put(KEY, config_map("c"))
    assert [event.version for event in seen] == [2]
    assert [event.type for event in store.since(1, KEY) or ()] == ["ADDED"]
    assert store.since(99, KEY) is None
    store.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_merge_patch_makes_what_the_patch_says(document: Any, change: Any) -> None:
    """RFC 7386: applying twice is applying once, and every non-null leaf of the patch is there."""
    once = patch.merge_patch(document, change)
    assert patch.merge_patch(once, change) == once


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        # RFC 6902, appendix A
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        (
            {"foo": {"bar": 1, "waldo": 2}, "qux": {}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": 1}, "qux": {"thud": 2}},
        ),
        ({"foo": ["a", "b"]}, [{"op": "move", "from": "/foo/0", "path": "/foo/1"}], {"foo": ["b", "a"]}),
        ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "qux"}], {"baz": "qux"}),
        ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], StatusError),
        ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}], StatusError),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["x"]}], {"foo": ["bar", ["x"]]}),
        ({}, [{"op": "remove", "path": "/foo"}], StatusError),
        ({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": 1, "b": 1}),
        ({"a": 1}, [{"op": "leap", "path": "/a"}], StatusError),
    ],
)
def test_json_patch(document: Any, operations: Any, expected: Any) -> None:
    before = json.dumps(document)
    if expected is StatusError:
        with pytest.raises(StatusError):
            patch.json_patch(document, operations)
    else:
        assert patch.json_patch(document, operations) == expected
    assert json.dumps(document) == before


@pytest.mark.parametrize(
    ("document", "change", "expected"),
    [
        ({"secrets": [{"name": "a"}]}, {"secrets": [{"name": "b"}]}, {"secrets": [{"name": "a"}, {"name": "b"}]}),
        (
            {"secrets": [{"name": "a", "uid": "1"}]},
            {"secrets": [{"name": "a", "uid": "2"}]},
            {"secrets": [{"name": "a", "uid": "2"}]},
        ),
        (
            {"secrets": [{"name": "a"}, {"name": "b"}]},
            {"secrets": [{"$patch": "delete", "name": "a"}]},
            {"secrets": [{"name": "b"}]},
        ),
        (
            {"secrets": [{"name": "a"}]},
            {"secrets": [{"$patch": "replace"}, {"name": "c"}]},
            {"secrets": [{"name": "c"}]},
        ),
        (
            {"metadata": {"finalizers": ["a"]}},
            {"metadata": {"finalizers": ["b"]}},
            {"metadata": {"finalizers": ["a", "b"]}},
        ),
        (
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
            {"metadata": {"finalizers": ["b"]}},
        ),
        (
            {"metadata": {"labels": {"a": "1", "b": "2"}}},
            {"metadata": {"labels": {"a": None}}},
            {"metadata": {"labels": {"b": "2"}}},
        ),
        ({"secrets": [{"name": "a"}]}, {"secrets": None}, {}),
        (
            {"secrets": [{"name": "a"}]},
            {"$setElementOrder/secrets": [{"name": "b"}, {"name": "a"}], "secrets": [{"name": "b"}]},
            {"secrets": [{"name": "b"}, {"name": "a"}]},
        ),
    ],
)
def test_strategic_merge_patch(document: Any, change: Any, expected: Any) -> None:
    """Kubernetes documentation, "Update API Objects in Place Using kubectl patch", strategic merge patch."""
    assert patch.strategic_patch(document, change, SERVICE_ACCOUNT) == expected


ONE, TWO = apply.Manager("one", apply.APPLY, "v1"), apply.Manager("two", apply.APPLY, "v1")


def applied(live: Any, config: Any, manager: apply.Manager, *, force: bool = False) -> dict[str, Any]:
    return apply.apply(live, config, CONFIG_MAP, manager, force=force, time="2026-01-31T00:00:00Z")


def test_a_field_that_is_not_applied_any_more_goes() -> None:
    """Kubernetes documentation, "Server-Side Apply": fields removed from the configuration are removed."""
    first = applied(None, config_map(a="1", b="2"), ONE)
    assert applied(first, config_map(a="1"), ONE)["data"] == {"a": "1"}


def test_a_shared_field_stays_until_nobody_applies_it() -> None:
    found = applied(applied(None, config_map(a="1", b="2"), ONE), config_map(a="1"), TWO)
    found = applied(found, config_map(b="2"), ONE)
    assert found["data"] == {"a": "1", "b": "2"}
    assert applied(found, config_map(c="3"), TWO)["data"] == {"b": "2", "c": "3"}


def test_conflicts_name_the_other_and_force_takes_over() -> None:
    first = applied(None, config_map(a="1"), ONE)
    with pytest.raises(StatusError, match=r'conflict with "one": \.data\.a') as refused:
        applied(first, config_map(a="2"), TWO)
    assert refused.value.code == 409
    forced = applied(first, config_map(a="2"), TWO, force=True)
    assert forced["data"] == {"a": "2"}
    owners = {m["manager"]: m["fieldsV1"] for m in forced["metadata"]["managedFields"]}
    assert owners == {"two": {"f:data": {"f:a": {}}}}


def test_an_update_takes_what_it_changes() -> None:
    first = applied(None, config_map(a="1", b="2"), ONE)
    new = {**first, "data": {"a": "1", "b": "3"}}
    writer = apply.Manager("kubectl", apply.UPDATE, "v1")
    found = apply.track_update(first, new, CONFIG_MAP, writer, "2026-01-31T00:00:00Z")
    owners = {m["manager"]: m["fieldsV1"] for m in found["metadata"]["managedFields"]}
    assert owners == {"one": {"f:data": {"f:a": {}}}, "kubectl": {"f:data": {"f:b": {}}}}


MAPS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2"]), max_size=4)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from([ONE, TWO]), MAPS), min_size=1, max_size=6))
def test_after_forced_applies_each_managers_last_word_is_there(
    steps: list[tuple[apply.Manager, dict[str, str]]],
) -> None:
    live: Any = None
    for manager, data in steps:
        live = applied(live, config_map(**data), manager, force=True)
        assert data.items() <= live.get("data", {}).items()
    wanted = dict(steps)
    assert set(live.get("data", {})) <= set().union(*wanted.values())


@given(st.dictionaries(st.sampled_from("abc"), st.text(max_size=3)), st.lists(st.sampled_from(["x", "y"]), unique=True))
def test_fields_survive_their_encoding(data: dict[str, str], finalizers: list[str]) -> None:
    found = config_map(**data)
    found["metadata"]["finalizers"] = finalizers
    found["metadata"]["ownerReferences"] = [{"uid": "1", "name": "o"}]
    fields = fields_of(found, CONFIG_MAP)
    assert decode(encode(fields)) == fields
    assert ("f:metadata", "f:name") not in fields


def varint(number: int) -> bytes:
    number &= 0xFFFFFFFFFFFFFFFF
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def encoded(kind: str, value: Any) -> bytes | int:
    """What a Go client would send."""
    if kind == "string":
        return str(value).encode()
    if kind in ("int64", "int32", "bool"):
        return int(value)
    parts = b""
    for number, (name, label, inner) in messages()[kind].items():
        if name not in value:
            continue
        if label == "m":
            for key, item in value[name].items():
                parts += field(int(number), field(1, key.encode()) + field(2, encoded(inner, item)))
        else:
            for item in value[name] if label == "r" else [value[name]]:
                parts += field(int(number), encoded(inner, item))
    return parts


def body(api_version: str, kind: str, message: bytes) -> bytes:
    unknown = field(1, field(1, api_version.encode()) + field(2, kind.encode())) + field(2, message)
    return protobuf.MAGIC + unknown


ROLE = {
    "metadata": {"name": "r", "namespace": "n", "labels": {"a": "b", "empty": ""}},
    "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}],
}


def test_protobuf_is_the_object() -> None:
    sent = body("rbac.authorization.k8s.io/v1", "Role", encoded("rbac.v1.Role", ROLE))  # type: ignore[arg-type]
    found = protobuf.decode(sent)
    assert found == {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", **ROLE}


@given(st.binary(max_size=80))
def test_any_protobuf_is_an_object_or_a_refusal(data: bytes) -> None:
    codes = set()
    for sent in (protobuf.MAGIC + data, body("v1", "ConfigMap", data), data):
        try:
            protobuf.decode(sent)
        except StatusError as error:
            codes.add(error.code)
    assert codes <= {400, 415}


@pytest.mark.parametrize(("selector", "expected"), [
    ("", True), ("a=1", True), ("a==1", True), ("a!=1", False), ("b", False), ("!b", True), ("a in (1, 2)", True), ("a notin (1)", False),
    ("a=1,b!=2", True), ("a in (2),a", False),
])  # fmt: skip
def test_label_selectors(selector: str, expected: bool) -> None:
    test = label_selector(selector)
    assert (test is None or test({"metadata": {"labels": {"a": "1"}}})) is expected


@pytest.mark.parametrize(("accept", "expected"), [
    ("", Form.OBJECT), ("application/json", Form.OBJECT), ("*/*", Form.OBJECT),
    ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Form.TABLE),
    ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form.OBJECT),
    ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", Form.OBJECT),
    ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", Form.DISCOVERY),
    ("application/vnd.kubernetes.protobuf,application/json", Form.OBJECT),
])  # fmt: skip
def test_negotiation(accept: str, expected: Form) -> None:
    assert negotiate(accept) is expected


@pytest.mark.parametrize(("method", "path", "expected"), [
    ("GET", "/api/v1/namespaces", ("list", "namespaces", "", "", "")),
    ("GET", "/api/v1/namespaces/n", ("get", "namespaces", "n", "n", "")),
    ("GET", "/api/v1/namespaces/n/configmaps", ("list", "configmaps", "", "n", "")),
    ("GET", "/api/v1/namespaces/n/configmaps?watch=true", ("watch", "configmaps", "", "n", "")),
    ("GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Da", ("list", "configmaps", "a", "", "")),
    ("DELETE", "/api/v1/namespaces/n/configmaps", ("deletecollection", "configmaps", "", "n", "")),
    ("PATCH", "/api/v1/namespaces/n/status", ("patch", "namespaces", "n", "n", "status")),
    ("POST", "/api/v1/namespaces/n/serviceaccounts/s/token", ("create", "serviceaccounts", "s", "n", "token")),
    ("PUT", "/apis/g/v1/things/x", ("update", "things", "x", "", "")),
    ("GET", "/version", ("get", "", "", "", "")),
])  # fmt: skip
def test_requests_are_taken_apart(method: str, path: str, expected: tuple[str, ...]) -> None:
    """kubernetes ``requestinfo_test.go`` has the same shapes."""
    found = parse_request(method, path)
    assert (found.verb, found.resource, found.name, found.namespace, found.subresource) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (700, "11m"),
        (11_000, "3h3m"),
        (90_000, "25h"),
        (200_000, "2d7h"),
        (800_000, "9d"),
        (70_000_000, "2y80d"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    """apimachinery ``duration_test.go``: HumanDuration."""
    assert duration(seconds) == text
