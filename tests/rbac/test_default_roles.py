"""The default roles and bindings are those of Kubernetes 1.36, row by row.

Source: ``kubernetes_1_36.rows``, the four files of upstream's test data written as rows (v1.36.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rolecall.rbac.roles import (
    aggregate,
    bootstrap_cluster_role_bindings,
    bootstrap_cluster_roles,
    bootstrap_role_bindings,
    bootstrap_roles,
)

GROUP = "rbac.authorization.k8s.io"
ROWS = [
    line
    for line in (Path(__file__).parent / "kubernetes_1_36.rows").read_text().splitlines()
    if line and not line.startswith("#")
]
BINDINGS = {row for row in ROWS if row.split(" | ")[1].startswith("to ")}
ROLES = set(ROWS) - BINDINGS


def name_of(found: Mapping[str, Any]) -> str:
    metadata = found["metadata"]
    return "/".join(filter(None, (metadata.get("namespace", ""), metadata["name"])))


def rows_of_role(role: Mapping[str, Any]) -> Iterator[str]:
    labels = " ".join(sorted(key.removeprefix(f"{GROUP}/") for key in role["metadata"]["labels"] if GROUP in key))
    selectors = role.get("aggregationRule", {}).get("clusterRoleSelectors", ())
    selected = " ".join(key.removeprefix(f"{GROUP}/") for one in selectors for key in one["matchLabels"])
    if labels or selected:
        yield f"{name_of(role)} | labelled {labels or '-'} | collects {selected or '-'}"
    for rule in role["rules"]:
        if urls := rule.get("nonResourceURLs"):
            cells = [" ".join(rule["verbs"]), "path", " ".join(urls), ""]
        else:
            groups = " ".join(group or "core" for group in rule["apiGroups"])
            cells = [
                " ".join(rule["verbs"]),
                groups,
                " ".join(rule["resources"]),
                " ".join(rule.get("resourceNames", ())),
            ]
        yield " | ".join([name_of(role), *cells]).rstrip()


def row_of_binding(binding: Mapping[str, Any]) -> str:
    subjects = (
        f"{one['kind']} {'/'.join(filter(None, (one.get('namespace'), one['name'])))}"
        for one in binding.get("subjects", ())
    )
    role = binding["roleRef"]
    assert role["apiGroup"] == GROUP
    return f"{name_of(binding)} | to {role['kind']} {role['name']} | {', '.join(subjects)}".rstrip()


def test_every_role_of_kubernetes_and_no_other() -> None:
    roles = [*bootstrap_cluster_roles(), *bootstrap_roles()]
    assert (len(bootstrap_cluster_roles()), len(bootstrap_roles())) == (31, 7)
    assert {row for role in roles for row in rows_of_role(role)} == ROLES


def test_every_binding_of_kubernetes_and_no_other() -> None:
    bindings = [*bootstrap_cluster_role_bindings(), *bootstrap_role_bindings()]
    assert (len(bootstrap_cluster_role_bindings()), len(bootstrap_role_bindings())) == (12, 7)
    assert {row_of_binding(binding) for binding in bindings} == BINDINGS


@pytest.mark.parametrize(
    "made", [bootstrap_cluster_roles, bootstrap_roles, bootstrap_cluster_role_bindings, bootstrap_role_bindings]
)
def test_each_is_marked_as_a_default(made: Callable[[], list[dict[str, Any]]]) -> None:
    for found in made():
        assert found["metadata"]["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults"
        assert found["metadata"]["annotations"] == {"rbac.authorization.kubernetes.io/autoupdate": "true"}


@pytest.mark.parametrize("name", ["view", "edit", "admin"])
def test_people_who_view_see_events_and_resource_claims(name: str) -> None:
    rules = aggregate(bootstrap_cluster_roles())[name]
    may = {
        (group, resource, verb)
        for r in rules
        for group in r["apiGroups"]
        for resource in r["resources"]
        for verb in r["verbs"]
    }
    assert {
        ("events.k8s.io", "events", "list"),
        ("resource.k8s.io", "resourceclaims", "get"),
        ("resource.k8s.io", "resourceclaims/status", "watch"),
        ("resource.k8s.io", "resourceclaimtemplates", "list"),
    } <= may  # fmt: skip
