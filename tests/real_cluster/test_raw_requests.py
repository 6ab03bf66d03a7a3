"""Raw requests to an embedded cluster and to the real kube-apiserver: what differs is in a table, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kubectl_steps import create_cluster
from raw_cluster import Cluster
from raw_requests import REQUESTS, Request, Sender

Differences = dict[str, dict[str, tuple[Any, Any]]]
MINOR = "36"
SENTENCE = "the same refusal in other words"
GO_VALUE = "the same refusal; the real server prints values and types of Go"
NOT_SERVED = "not every resource of the real server is served, and hashes and build are its own"
OWNERS = "what the server itself sets has no owner here, or another one"
COLUMNS = "columns of tables are not described"
REVIEW = "reviews are not stored, so nobody owns their fields and they have no times"
# Why a difference stays; then each request, and the parts of its answer that differ.
DIFFERENT: dict[str, dict[str, str]] = {
    SENTENCE: {
        "dry run of a bad kind": "details message",
        "long name": "details message",
        "as text": "message",
        "key twice, strict": "message",
        "validation of a bad kind": "details message",
        "too large": "details message",
        "accept nothing known": "details message",
        "accept nothing known, get": "details message",
        "bad label selector": "message",
        "by unknown field": "message",
        "bad field selector": "message",
        "patch of no type": "details message",
        "delete by another uid": "details message",
        "delete an old version": "details message",
        "a role with a slash in its name": "details message",
        "may I both": "details message",
        "may I neither": "details message",
        "may nobody in particular": "details message",
        "may she elsewhere": "details message",
        "a definition by another name": "details message",
        "a definition in a protected group": "details message",
        "a definition without versions": "details message",
        "a definition of no scope": "details message",
        "a widget without a version": "details message",
    },
    GO_VALUE: {
        "impersonated group without a user": "message",
        "name is a number": "message",
        "value is a number": "message",
        "data is a list": "message",
        "other kind": "message",
        "other version": "message",
        "not JSON": "message",
        "empty body": "message",
        "a list": "message",
        "binary that is none": "message",
        "bad limit": "message",
        "bad continue": "message",
        "bad resourceVersion": "message",
        "replace by another uid": "message",
        "merge a list": "message",
        "merge no JSON": "message",
        "JSON patch with an object": "message",
        "delete with nonsense": "message",
        "a secret that is not base64": "message",
    },
    NOT_SERVED: {
        "legacy versions": "body",
        "core resources": "body",
        "rbac resources": "body",
        "openapi v3 index as nobody": "body type",
        "version as nobody": "body",
        "custom resources": "body",
    },
    OWNERS: {
        "create a namespace": "body",
        "get the namespace": "body",
        "a role with a colon": "body",
        "cluster-admin": "body",
        "system:discovery": "body",
        "system:public-info-viewer bound": "body",
    },
    COLUMNS: {
        "as a table": "body",
        "list as a table": "body",
        "a binding as a table": "body",
        "a role as a table": "body",
        "definition as a table": "body",
        "the widget as a table": "body",
    },
    REVIEW: {
        "a token": "body",
        "who am I": "body",
        "may I": "body",
        "may I not": "body",
        "may I a path": "body",
        "may she": "body",
        "may the team": "body",
        "may masters": "body",
        "may she here": "body",
        "my rules": "body",
        "whose token": "body",
        "whose AWS token": "body",
    },
    "the real server answers bad input with an internal error": {
        "watch from nonsense": "message reason status",
        "replace by version nonsense": "details message reason status",
    },
    "the real server shows the whole object, secrets as well": {
        "merge a wrong type": "details message",
        "patch unknown field, strict": "details message",
    },
    "the real server looks at owners before it looks at the name": {
        "apply another name": "details message reason status",
    },
    "here a definition is served at once, and its owner owns what the server adds": {
        "a definition": "body",
    },
    "patterns are not enforced: whoever writes one could stop the lab with it": {
        "a widget of a wrong code": "body details message reason status",
    },
    "here a subresource that is not declared is no path": {
        "a widget's scale": "details message",
    },
    "here a definition and its objects are gone at once": {
        "delete the definition": "body",
    },
    "here a namespace and its objects are gone at once": {
        "delete the namespace": "body",
    },
}


@pytest.fixture(scope="module")
def differences(lab: Any, start_lab: Callable[..., Any]) -> Differences:
    """What differs, by the request's name and the part of the answer: embedded, then real."""
    # The real one takes some seconds to come up, which is more than its client waits for.
    create_cluster(lab.environment(), "c")
    clusters = [Cluster(one.home) for one in (start_lab(), lab)]
    embedded, real = (Sender(cluster.url, cluster.token) for cluster in clusters)
    minor = real.send(Request("version", "GET", "/version"))["body"]["minor"]
    if minor != MINOR:
        pytest.skip(f"the table of differences is about kube-apiserver 1.{MINOR}, and 1.{minor} is at hand")
    found: Differences = {}
    for request in REQUESTS:
        left, right = embedded.send(request), real.send(request)
        for part in sorted({*left, *right}):
            if left.get(part) != right.get(part):
                found.setdefault(request.name, {})[part] = left.get(part), right.get(part)
    return found


def test_only_what_is_listed_differs(differences: Differences) -> None:
    listed = {name: parts for group in DIFFERENT.values() for name, parts in group.items()}
    found = {name: " ".join(parts) for name, parts in differences.items()}
    new = [_shown(name, differences[name]) for name in found if found[name] != listed.get(name)]
    gone = [name for name in listed if name not in found]
    assert not new, "not in the table, or not so:\n" + "\n".join(new)
    assert not gone, f"in the table, and the same by now: {gone}"


def test_no_refusal_of_the_real_server_is_granted(differences: Differences) -> None:
    """Whatever else differs: what the real server does not let pass, the embedded one does not either."""
    let_pass = {
        name
        for name, parts in differences.items()
        if "status" in parts and parts["status"][0] < 400 <= parts["status"][1]
    }
    assert let_pass == {"a widget of a wrong code"}


def test_the_table_is_about_requests_that_are_sent() -> None:
    names = [request.name for request in REQUESTS]
    assert len(set(names)) == len(names)
    listed = [name for group in DIFFERENT.values() for name in group]
    assert len(set(listed)) == len(listed)
    assert set(listed) <= set(names)


def _shown(name: str, parts: dict[str, tuple[Any, Any]]) -> str:
    lines = [f"{name}: {' '.join(parts)}"]
    for part, (left, right) in parts.items():
        lines += [f"  {part}", f"    embedded {json.dumps(left)[:600]}", f"    real     {json.dumps(right)[:600]}"]
    return "\n".join(lines)
