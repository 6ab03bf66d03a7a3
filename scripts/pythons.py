"""Run tests on every other Python that this machine has, from 3.11 on, and say which versions it has not.

    python scripts/pythons.py          all of the fast part: no lab in a process of its own, no kubectl, no aws
    python scripts/pythons.py --quick  rules, files, plugin and TLS, with few random examples: what `make test` runs

Each version has an environment of its own in `.venv-3.N`, made once and again after a change of pyproject.toml or
constraints.txt. `PYTHONS` adds interpreters that are neither on the PATH nor in pyenv: paths, separated by colons.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = 11, 14
FAST = (
    "tests/test_arn.py", "tests/test_lines.py", "tests/test_partitions.py", "tests/test_tls.py", "tests/access",
    "tests/authenticator", "tests/aws", "tests/clusters", "tests/exec_plugin", "tests/iam", "tests/local_files",
    "tests/manifest", "tests/mapping", "tests/plan", "tests/rbac", "tests/sigv4", "tests/tokens",
)  # fmt: skip
# They start labs, or use clients that `make tools` installs.
NOT_FAST = (
    "tests/authenticator/test_server_process.py", "tests/clusters/test_config_maps.py",
    "tests/exec_plugin/test_with_lab.py", "tests/plan/test_recheck.py",
)  # fmt: skip
QUICK = (
    "tests/test_tls.py", "tests/authenticator/test_sts_paths.py", "tests/authenticator/test_http_bounds.py",
    "tests/exec_plugin/test_https_client.py", "tests/exec_plugin/test_proxies.py", "tests/exec_plugin/test_settings.py",
    "tests/local_files/test_aws_config.py", "tests/local_files/test_writing.py", "tests/iam/test_evaluate.py",
    "tests/iam/test_conditions.py", "tests/mapping/reading", "tests/rbac", "tests/sigv4", "tests/tokens",
)  # fmt: skip
TEST_PACKAGES = (
    "hypothesis",
    "keyring",
    "kubernetes-validate",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "pytest-xdist",
)


def version_of(interpreter: Path) -> tuple[int, int] | None:
    """The version of an interpreter; ``None`` if it does not run (a shim of pyenv for a version that is not chosen)."""
    program = "import sys, ssl, venv; print(*sys.version_info[:2], sys.implementation.name)"
    try:
        done = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    found = done.stdout.split()
    return (int(found[0]), int(found[1])) if done.returncode == 0 and found[2] == "cpython" else None


def candidates() -> list[Path]:
    """Where interpreters may be."""
    found = [Path(text) for text in os.environ.get("PYTHONS", "").split(os.pathsep) if text]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found += [Path(folder) / f"python3.{minor}" for minor in range(OLDEST, NEWEST + 1)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    if pyenv.is_dir():
        found += sorted(one / "bin" / "python" for one in pyenv.iterdir() if re.fullmatch(r"3\.\d+\.\d+", one.name))
    return [path for path in found if path.exists()]


def interpreters() -> dict[int, Path]:
    """The first interpreter of each minor version but the one that runs this."""
    found: dict[int, Path] = {}
    for path in candidates():
        version = version_of(path)
        if version and version[0] == 3 and version[1] >= OLDEST and version[1] != sys.version_info.minor:
            found.setdefault(version[1], path)
    return dict(sorted(found.items()))


def environment(minor: int, interpreter: Path) -> Path:
    """The interpreter of an environment with rolecall and what its tests need."""
    folder = ROOT / f".venv-3.{minor}"
    python, stamp = folder / "bin" / "python", folder / ".installed"
    texts = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    wanted = hashlib.sha256(texts + repr(TEST_PACKAGES).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([interpreter, "-m", "venv", "--clear", folder], check=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--constraint", "constraints.txt", "--editable", ".[lab,server]", *TEST_PACKAGES]
        subprocess.run(command, cwd=ROOT, check=True)
        stamp.write_text(wanted)
    return python


def run(python: Path, quick: bool) -> int:
    """Run the tests; pytest's exit code."""
    command = [python, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
    if quick:
        command += ["--hypothesis-profile=quick", *QUICK]
    else:
        command += ["-n", "2", "--dist", "worksteal", *FAST, *(f"--ignore={name}" for name in NOT_FAST)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main() -> int:
    """Run them all; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="rules, files, plugin and TLS, with few random examples")
    quick = parser.parse_args().quick
    found, results = interpreters(), []
    for minor, interpreter in found.items():
        started = time.monotonic()
        code = run(environment(minor, interpreter), quick)
        results.append((minor, code, time.monotonic() - started))
    part = "rules, files, plugin and TLS (make test-pythons runs all of the fast part)" if quick else "the fast part"
    for minor, code, seconds in results:
        print(f"Python 3.{minor}: {part}: {'passed' if not code else 'FAILED'} in {seconds:.0f} s")
    missing = [f"3.{minor}" for minor in range(OLDEST, NEWEST + 1) if minor not in (*found, sys.version_info.minor)]
    if missing:
        print(f"Python {', '.join(missing)}: not found on this machine, not tested")
    return 1 if any(code for _, code, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main())
