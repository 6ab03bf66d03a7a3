"""Files that are no plain files of one's own: devices, mount points, other owners."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = os.geteuid() == 0


def make_device(path: Path) -> None:
    """A node as ``/dev/null`` is, in a folder of the test; where that may not be made, a link to the real one."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except OSError:
        path.symlink_to("/dev/null")


def in_private_mounts(
    binds: Sequence[tuple[Path, Path]], code: str, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with files bind-mounted over others, in a mount namespace that nobody else sees.

    Skips the test by name where this machine does not allow that.
    """
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("mount namespaces are not allowed here (unshare -m)")
    mounts = " && ".join(f"mount --bind '{source}' '{target}'" for source, target in binds)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$0" "$@"', sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return done
