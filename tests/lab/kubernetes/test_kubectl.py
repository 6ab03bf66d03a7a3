"""Unmodified kubectl, every minor from 1.29 on, against an embedded cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kubectl_steps import STEPS, Kubectl, administrator

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = tuple(f"1.{minor}" for minor in range(29, 38))


@pytest.fixture(scope="module")
def environment(start_lab: Callable[..., object]) -> dict[str, str]:
    return administrator(start_lab())


@pytest.fixture(params=[
    pytest.param(
        version,
        marks=pytest.mark.skipif(
            not (ROOT / ".tools" / "kubectl" / version / "kubectl").exists(), reason=f"kubectl {version} is not installed"
        ),
    )
    for version in VERSIONS
])  # fmt: skip
def kubectl(request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path) -> Kubectl:
    version: str = request.param
    path = ROOT / ".tools" / "kubectl" / version / "kubectl"
    own = {**environment, "TMPDIR": str(tmp_path)}
    return Kubectl(path, own, f"v{version.replace('.', '-')}")


def test_every_step(kubectl: Kubectl) -> None:
    failures = kubectl.failures(STEPS)
    assert not failures, "\n".join(f"kubectl {step}\n  {why}" for step, why in failures.items())


def test_watch_sees_every_change(kubectl: Kubectl) -> None:
    kubectl.run("create namespace {ns}-watch")
    command = [str(kubectl.path), "get", "configmaps", "-w", "-o", "name", "-n", f"{kubectl.namespace}-watch"]
    with subprocess.Popen(
        command, env=kubectl.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as watching:
        assert watching.stdout is not None
        try:
            assert watching.stdout.readline().strip() == "configmap/kube-root-ca.crt"
            kubectl.run("create configmap one -n {ns}-watch")
            assert watching.stdout.readline().strip() == "configmap/one"
            kubectl.run("label configmap one a=b -n {ns}-watch")
            assert watching.stdout.readline().strip() == "configmap/one"
        finally:
            os.kill(watching.pid, 15)
    kubectl.run("delete namespace {ns}-watch")


def test_two_editors_lose_nothing(kubectl: Kubectl) -> None:
    """Optimistic concurrency: a replace with an old resourceVersion is a conflict."""
    kubectl.run("create configmap shared --from-literal=a=1 -n default")
    before = kubectl.run("get configmap shared -n default -o yaml").stdout
    kubectl.run('patch configmap shared -n default -p {{"data":{{"b":"2"}}}}')
    late = kubectl.run("replace -n default -f -", stdin=before.replace('a: "1"', 'a: "3"'))
    kubectl.run("delete configmap shared -n default")
    assert late.returncode == 1
    assert "the object has been modified" in late.stderr
