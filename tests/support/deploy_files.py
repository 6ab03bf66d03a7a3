"""The manifests in ``deploy/``, rendered by the unmodified kubectl and Helm, and the options that they hold."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from rolecall.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBECTL = ROOT / ".tools" / "kubectl" / "1.36" / "kubectl"
CHART = DEPLOY / "helm" / "rolecall"
HELM_MAJORS = ("3", "4")
WORKLOADS = ("DaemonSet", "Deployment")
CLUSTER_ID = "prod"

Objects = Mapping[tuple[str, str, str], dict[str, Any]]


@functools.cache
def kustomized(folder: str) -> Objects:
    """What ``kubectl kustomize`` makes of a folder of ``deploy``."""
    done = subprocess.run([KUBECTL, "kustomize", DEPLOY / folder], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kustomize warns"
    return _objects(done.stdout)


def helm_path(major: str) -> Path:
    """Helm of a major version; the test is skipped where it could not be installed."""
    path = ROOT / ".tools" / "helm" / major / "helm"
    if not path.exists():
        pytest.skip(f"Helm {major} is not in .tools")
    return path


def run_helm(major: str, *arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Helm with the chart's values given on standard input."""
    command = [helm_path(major), *arguments, "--values", "-"]
    return subprocess.run(command, input=yaml.safe_dump(values or {}), capture_output=True, text=True, timeout=300)


def helm_rendered(
    major: str, values: Mapping[str, Any], release: str = "rolecall", namespace: str = "kube-system"
) -> Objects:
    """What ``helm template`` makes of the chart, custom resource definitions included."""
    done = run_helm(major, "template", release, str(CHART), "--namespace", namespace, "--include-crds", values=values)
    assert done.returncode == 0, done.stderr
    return _objects(done.stdout)


def _objects(text: str) -> Objects:
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in yaml.safe_load_all(text):
        if one is not None:
            key = (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
            assert key not in found, f"{key} is there twice"
            found[key] = one
    return found


def of_kind(objects: Objects, kind: str) -> dict[str, Any]:
    """The only object of a kind."""
    (found,) = (one for (name, _, _), one in objects.items() if name == kind)
    return found


def pod_spec(objects: Objects) -> dict[str, Any]:
    """The pods of the only workload."""
    (found,) = (one for (kind, _, _), one in objects.items() if kind in WORKLOADS)
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def container(objects: Objects) -> dict[str, Any]:
    """The only container of the only workload."""
    (found,) = pod_spec(objects)["containers"]
    return dict(found)


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """A command line's parameters as the command ``rolecall`` itself reads them; an error where it does not."""
    group: Any = typer.main.get_command(app)
    command = group.get_command(None, arguments[0])
    context = command.make_context(arguments[0], list(arguments[1:]))
    found: dict[str, Any] = context.params
    return found


def deploy_texts() -> Iterator[tuple[Path, str]]:
    """Every file below ``deploy``."""
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file():
            yield path, path.read_text()
