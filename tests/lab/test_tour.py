"""The tour: with the installed tools and with its own clients, for people and for machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema
import pytest

from rolecall.cli.schema import schema_of

# A tour takes seconds; this is against one that hangs, also on a loaded machine.
HANGS = 600
pytestmark = pytest.mark.timeout(HANGS + 60)
ROOT = Path(__file__).resolve().parents[2]
AWS, KUBECTL = ROOT / ".tools" / "aws" / "bin", ROOT / ".tools" / "kubectl" / "1.36"


def run_tour(path: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path, "TMPDIR": str(folder), "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "rolecall", "lab", "tour", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=tmp_path))


def check(done: subprocess.CompletedProcess[str], folder: Path) -> dict[str, object]:
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    assert found["ok"] is True
    jsonschema.validate(found, schema_of("Tour"))
    assert found["record"] == {
        "userName": "kubedemy",
        "userArn": "arn:aws:iam::231144931069:user/kubedemy",
        "roleName": "Kubedemy_EKS_KubernetesAdmin",
        "roleArn": "arn:aws:iam::231144931069:role/Kubedemy_EKS_KubernetesAdmin",
        "username": "admin:{{AccessKeyID}}:{{SessionName}}",
        "groups": ["system:masters"],
    }
    assert list(folder.glob("rolecall-tour-*")) == []
    assert "SecretAccessKey" not in done.stdout
    return found


def test_with_its_own_clients(folder: Path) -> None:
    found = check(run_tour(str(folder), folder, "-o", "json"), folder)
    assert found["tools"] == {"aws": "rolecall's own client", "kubectl": "rolecall's own client"}


@pytest.mark.skipif(
    not (AWS / "aws").exists() or not (KUBECTL / "kubectl").exists(), reason="aws and kubectl are not installed"
)
def test_with_the_installed_tools(folder: Path) -> None:
    found = check(run_tour(f"{AWS}:{KUBECTL}:/usr/bin:/bin", folder, "-o", "json"), folder)
    assert "aws-cli" in str(found["tools"])


def test_for_people_it_is_plain_when_piped(folder: Path) -> None:
    done = run_tour(str(folder), folder)
    assert done.returncode == 0, done.stdout
    assert "The record" in done.stdout
    assert "person" in done.stdout
    assert "\x1b[" not in done.stdout
    assert ", 0 not as expected" in done.stdout


def test_a_failed_expectation_ends_it_with_one(folder: Path) -> None:
    """A kubectl that is broken once it is used: the tour says which step failed."""
    broken = folder / "bin"
    broken.mkdir()
    for name, text in (("aws", "echo aws-cli/0"), ("kubectl", 'if [ "$1" = version ]; then echo v0; else exit 1; fi')):
        (broken / name).write_text(f"#!/bin/sh\n{text}\n")
        (broken / name).chmod(0o755)
    done = run_tour(f"{broken}:/usr/bin:/bin", folder)
    assert done.returncode == 1
    assert "NOT AS EXPECTED" in done.stdout
    assert list(folder.glob("rolecall-tour-*")) == []
