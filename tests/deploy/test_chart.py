"""The chart's own words about its values: what its schema refuses, and what Helm's linter says.

Source: Helm documentation, "Schema Files".
"""

from __future__ import annotations

from typing import Any

import pytest

from deploy_files import CHART, CLUSTER_ID, HELM_MAJORS, run_helm

# What the schema of the values refuses, and a word of what is said about it.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no cluster ID": ({"clusterID": ""}, "clusterID"),
    "a cluster ID that is no header": ({"clusterID": "a b"}, "clusterID"),
    "unknown workload": ({"workload": "StatefulSet"}, "workload"),
    "unknown key": ({"clusterId": "prod"}, "clusterId"),
    "unknown key of a section": ({"server": {"adress": "127.0.0.1"}}, "adress"),
    "unknown backend": ({"server": {"backendModes": ["ConfigMap"]}}, "backendModes"),
    "no backend": ({"server": {"backendModes": []}}, "backendModes"),
    "an argument that is none": ({"server": {"extraArgs": ["; sh"]}}, "extraArgs"),
    "an image that changes": ({"image": {"tag": "latest"}}, "image"),
    "a port that is none": ({"server": {"port": 0}}, "port"),
    "an account that lost its zeros": ({"config": {"mapAccounts": [1234]}}, "mapAccounts"),
    "a folder that is another's": ({"daemonSet": {"stateDir": "/var/../etc"}}, "stateDir"),
    "a folder that is the root": ({"daemonSet": {"stateDir": "/"}}, "stateDir"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("major", HELM_MAJORS)
def test_values_are_checked(major: str, name: str) -> None:
    values, word = REFUSED[name]
    done = run_helm(major, "template", "rolecall", str(CHART), values={"clusterID": CLUSTER_ID, **values})
    assert done.returncode != 0
    assert word in done.stderr


@pytest.mark.parametrize("major", HELM_MAJORS)
def test_lint(major: str) -> None:
    done = run_helm(major, "lint", str(CHART), "--strict", values={"clusterID": CLUSTER_ID})
    assert done.returncode == 0, done.stdout + done.stderr
