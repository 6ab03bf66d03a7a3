"""The keeper of the workers: what it imports, what it hands on, and that settings survive the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rolecall.authenticator.certificates import CertificateFiles
from rolecall.authenticator.worker_process import handed_over, restored
from rolecall.mapping.backends.server_config import ServerSettings


def test_it_imports_next_to_nothing() -> None:
    # Each of these would cost more memory than the keeper has: see docs/adr/0021.
    program = "import sys, rolecall.authenticator.keeper; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)
    heavy = {"asyncio", "ssl", "socket", "typing", "dataclasses", "logging", "datetime", "subprocess", "yaml", "typer"}
    assert not heavy & set(done.stdout.split())


def test_a_worker_brings_in_what_it_needs_alone() -> None:
    program = "import sys, rolecall.authenticator.worker_process, rolecall.authenticator.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)
    unwanted = {"aiohttp", "botocore", "lightkube", "pydantic", "typer", "rich", "ruamel", "cryptography"}
    assert not unwanted & set(done.stdout.split())


@given(
    st.builds(
        ServerSettings,
        cluster_id=st.text(max_size=20),
        backend_modes=st.lists(st.text(max_size=9), max_size=3).map(tuple),
        scrubbed_accounts=st.lists(st.text(max_size=9), max_size=3).map(tuple),
        sts_regions=st.lists(st.text(max_size=9), max_size=3).map(tuple),
        kubeconfig_pregenerated=st.booleans(),
        port=st.integers(0, 65_535),
        reserved=st.dictionaries(st.text(max_size=9), st.lists(st.text(max_size=9), max_size=2).map(tuple), max_size=3),
    ),
    st.text(max_size=20),
)
def test_settings_survive_the_way(settings: ServerSettings, config_file: str) -> None:
    files = CertificateFiles(Path("/a/cert.pem"), Path("/a/key.pem"))
    document = json.loads(json.dumps(handed_over(settings, config_file, files, ("CRD", "MountedFile"))))
    assert restored(document) == (settings, config_file, files, ("CRD", "MountedFile"))


def test_a_worker_that_cannot_start_ends_the_server_and_its_folder_goes(tmp_path: Path) -> None:
    program = (
        "import sys; from rolecall.authenticator.keeper import Keeper; from rolecall.authenticator.log_lines import Log\n"
        "sys.exit(Keeper([sys.executable, '-c', 'raise SystemExit(7)'], [0, 0], [], Log(), 'x', sys.argv[1]).run())"
    )
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "counter_0.db").write_bytes(b"x")
    command = [sys.executable, "-c", program, str(figures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, stdin=subprocess.DEVNULL)
    assert done.returncode == 1, done.stderr
    assert 'msg="the server cannot start" code=7' in done.stderr
    assert not figures.exists()
