"""The steps of kubectl that the embedded cluster is tested with, against the real kube-apiserver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubectl_steps import STEPS, Kubectl, administrator

ROOT = Path(__file__).resolve().parents[2]
# What an embedded cluster says otherwise, on purpose: each with the reason.
DIFFERENT = {
    "create deployment web --image=nginx -n {ns}": "an embedded cluster runs no workloads and says so",
}


@pytest.fixture(scope="module")
def environment(lab: Any) -> dict[str, str]:
    return administrator(lab)


@pytest.mark.parametrize("version", ["1.29", "1.36"])
def test_every_step(version: str, environment: dict[str, str], tmp_path: Path) -> None:
    path = ROOT / ".tools" / "kubectl" / version / "kubectl"
    if not path.exists():
        pytest.skip(f"kubectl {version} is not installed")
    kubectl = Kubectl(path, {**environment, "TMPDIR": str(tmp_path)}, f"v{version.replace('.', '-')}")
    failures = kubectl.failures(STEPS)
    assert set(failures) == set(DIFFERENT), "\n".join(f"kubectl {step}\n  {why}" for step, why in failures.items())
