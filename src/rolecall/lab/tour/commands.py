"""Running the tour's commands: with ``aws`` and ``kubectl`` if they are installed and work, else with its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COMMAND_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended and what it printed."""

    code: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Tool:
    """One of the person's own tools: where it is and what it says it is."""

    path: str
    version: str


def find_tool(name: str, version_arguments: Sequence[str], environment: Mapping[str, str]) -> Tool | None:
    """A tool on the path that answers in the lab's environment; ``None`` if it is missing or broken."""
    path = shutil.which(name, path=environment.get("PATH"))
    if path is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 -- the person's own tool
            [path, *version_arguments], env=dict(environment), capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Tool(path, done.stdout.strip().splitlines()[0]) if done.returncode == 0 and done.stdout.strip() else None


def run_tool(tool: Tool, arguments: Sequence[str], environment: Mapping[str, str], folder: str) -> Done:
    """Run a command with a tool, as the person would type it."""
    try:
        done = subprocess.run(  # noqa: S603 -- the person's own tool
            [tool.path, *arguments],
            env={**environment, "AWS_PAGER": ""},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Done(124, "", f"{os.path.basename(tool.path)} did not end within {COMMAND_SECONDS} s")
    return Done(done.returncode, done.stdout, done.stderr)
