"""Write deploy/requirements.lock: what the image installs, with the hashes of every file of each release.

    python scripts/lock.py         write it (needs `uv`)

Names, versions and hashes only; the versions are those of constraints.txt. Run it after a change of either file.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "deploy" / "requirements.lock"


def main() -> int:
    """Write the lock file; uv's exit code."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    command = ["uv", "pip", "compile", "--quiet", "pyproject.toml", "-", "--extra", "server"]
    command += ["--constraint", "constraints.txt", "--python-version", "3.13", "--universal", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(build), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        return done.returncode
    # Platforms that no image has.
    parts = re.split(r"(?m)^(?=\S)", done.stdout)
    LOCK.write_text(
        "".join(part for part in parts if "'emscripten' \\" not in part.split("\n")[0] or "!=" in part.split("\n")[0])
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
