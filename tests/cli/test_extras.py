"""What a laptop with the plugin alone carries: no package of the lab and the server is needed, or imported, outside them.

Source: ``pyproject.toml``, whose extras name the packages.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolecall.cli.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Names of packages whose module is called otherwise.
MODULES = {"PyYAML": "yaml", "ruamel.yaml": "ruamel", "prometheus-client": "prometheus_client"}
HANGS = 300


def packages(requirements: list[str]) -> set[str]:
    found = {re.split(r"[>=<;\[ ]", requirement)[0] for requirement in requirements}
    return {MODULES.get(name, name) for name in found}


BASE = packages(PROJECT["dependencies"])
OPTIONAL = {name: packages(PROJECT["optional-dependencies"][name]) for name in EXTRAS}
ONLY_OPTIONAL = set.union(*OPTIONAL.values()) - BASE


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_each_part_imports_what_its_extra_brings() -> None:
    source = ROOT / "src" / "rolecall"
    own = {"lab": source / "lab", "server": source / "authenticator"}
    for path in source.rglob("*.py"):
        extra = next((name for name, folder in own.items() if folder in path.parents), None)
        allowed = BASE | (OPTIONAL[extra] if extra else set()) | {"rolecall", "keyring"}
        foreign = {name for name in imported(path) if name not in sys.stdlib_module_names} - allowed
        assert foreign == set(), path


def test_the_command_asks_for_what_the_extra_brings() -> None:
    """uvloop makes it faster, and is not there on every system."""
    assert {name: set(modules) for name, modules in EXTRAS.items()} == {
        name: modules - BASE - {"uvloop"} for name, modules in OPTIONAL.items()
    }


def without_extras(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``rolecall`` on a machine where the packages of the extras are not installed."""
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(ONLY_OPTIONAL)!r}))\n"
        f"sys.argv = ['rolecall', *{list(arguments)!r}]\n"
        "from rolecall.__main__ import main\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANGS, check=False, env={**os.environ}
    )


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("lab", "up", "--detach"), "lab"),
        (("lab", "tour"), "lab"),
        (("server", "-i", "c"), "server"),
        (("init", "-i", "c"), "server"),
    ],
)
def test_a_part_that_is_not_installed_says_how_to_install_it(
    arguments: tuple[str, ...], extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROLECALL_LAB_HOME", str(tmp_path / "lab"))
    done = without_extras(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"error: the {extra} is not installed: run pipx install 'rolecall[{extra}]', or the same with pip\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--help",), 0, "Usage"),
        (("lab", "up", "--help"), 0, "rolecall lab up --detach"),
        (("server", "--help"), 0, "--port"),
        (("plan", "-f", "nothing.yaml"), 1, "nothing.yaml"),
        (("kubeconfig", "--help"), 0, "Usage"),
        (("access-entry", "list", "--help"), 0, "Usage"),
        (("aws-auth", "lint", "-f", "nothing.yaml"), 2, "nothing.yaml"),
        (("token", "-i", "c", "--help"), 0, "token"),
    ],
)
def test_everything_else_works_without_them(
    arguments: tuple[str, ...], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = without_extras(*arguments)
    assert says in done.stdout + done.stderr
    assert done.returncode == code
    assert "Traceback" not in done.stderr
