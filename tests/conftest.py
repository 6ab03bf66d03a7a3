"""Labs as processes, and the unmodified clients that talk to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from documents import check_document

pytest.register_assert_rewrite("procedure_checks")
# The first draw of a fresh machine builds tables, which is slow once and says nothing about the code.
settings.register_profile(
    "rolecall", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
# For other versions of Python: what differs between them does not need many examples.
settings.register_profile("quick", settings.get_profile("rolecall"), max_examples=10)
settings.load_profile("rolecall")

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
AWS = TOOLS / "aws" / "bin" / "aws"
KUBECTL_VERSIONS = tuple(f"1.{minor}" for minor in range(29, 38))
NEWEST_KUBECTL = "1.36"


def kubectl_path(version: str = NEWEST_KUBECTL) -> Path:
    return TOOLS / "kubectl" / version / "kubectl"


@dataclass(frozen=True)
class RunningLab:
    """A lab in a process of its own."""

    home: Path

    def rolecall(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        return run_rolecall(*arguments, "--home", str(self.home), check=check, **options)

    def environment(self) -> dict[str, str]:
        """The environment of ``lab shell``."""
        shown = self.rolecall_shell(sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
        found: dict[str, str] = json.loads(shown.stdout)
        kubectl = kubectl_path().parent
        return {**found, "PATH": f"{AWS.parent}{os.pathsep}{kubectl}{os.pathsep}{found['PATH']}"}

    def rolecall_shell(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run_rolecall("lab", "shell", "--home", str(self.home), "--", *command)


def run_rolecall(*arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command ``rolecall``."""
    done = subprocess.run(
        [sys.executable, "-m", "rolecall", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )
    assert not check or done.returncode == 0, f"rolecall {' '.join(arguments)}: {done.stdout}{done.stderr}"
    check_document(done.stdout)
    return done


@pytest.fixture(scope="module")
def start_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningLab]]:
    """Start labs; they are stopped at the end of the module."""
    started: list[RunningLab] = []

    def start(*arguments: str) -> RunningLab:
        lab = RunningLab(tmp_path_factory.mktemp("lab"))
        lab.rolecall("lab", "up", "--detach", *arguments)
        started.append(lab)
        return lab

    yield start
    for lab in started:
        lab.rolecall("lab", "down", check=False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The last lines of a run: what was skipped, by name and with the reason, or that nothing was."""
    skipped = terminalreporter.stats.get("skipped", [])
    terminalreporter.write_line("")
    if not skipped:
        terminalreporter.write_line("skipped: nothing")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"skipped: {report.nodeid}: {reason.removeprefix('Skipped: ')}")
