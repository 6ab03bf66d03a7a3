"""The commands of the README, typed in order as they stand there, in a fresh home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from procedure_checks import NEEDS_TOOLS

pytestmark = NEEDS_TOOLS

ROOT = Path(__file__).resolve().parents[2]
AWS, KUBECTL = ROOT / ".tools" / "aws" / "bin", ROOT / ".tools" / "kubectl" / "1.36"


def blocks(section: str) -> list[str]:
    text = (ROOT / "README.md").read_text()
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", body, re.DOTALL)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A fresh home with the real aws and kubectl, and the virtual environment where the README has it."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    path = os.pathsep.join([str(AWS), str(KUBECTL), os.environ["PATH"]])
    return {**kept, "HOME": str(tmp_path), "PATH": path}


def typed(lines: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The lines typed into a shell, one after the other: those after `lab shell` go to that shell, until `exit`."""
    return subprocess.run(
        ["bash"], input=lines, env=environment, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )


def test_the_readme_can_be_typed(environment: dict[str, str], tmp_path: Path) -> None:
    [by_hand] = blocks("Do it by hand")
    as_code = "".join(blocks("Access as code"))
    again = ".venv/bin/rolecall lab up --detach\n.venv/bin/rolecall lab shell\n"
    try:
        first = typed(by_hand, environment, tmp_path)
        assert "user/lab-admin" in first.stdout, first.stdout + first.stderr
        assert re.search(r"Username +kubernetes-admin", first.stdout)
        second = typed(f"{again}{as_code}exit\n", environment, tmp_path)
        written = second.stdout + second.stderr
        assert "Done: 5 of 5 steps" in second.stdout, written
        assert re.search(r"Username +Kubedemy_EKS_KubernetesAdmin:", second.stdout), written
        assert "No drift, in 1 account, 1 cluster." in second.stdout
        assert "What kubedemy would still have afterwards" in second.stdout or "lockout-last-admin" in second.stdout
        assert not re.search(r"command not found|Traceback|^error:", written, re.MULTILINE), written
    finally:
        typed(".venv/bin/rolecall lab reset --yes; .venv/bin/rolecall lab down", environment, tmp_path)


def test_every_page_that_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    linked = set(re.findall(r"\]\(([^)#:]+)\)", text))
    assert {one for one in linked if not (ROOT / one).exists()} == set()
