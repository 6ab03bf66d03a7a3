"""Where the programs of the real backend come from, and how they are built. Go and etcd are stand-ins here."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rolecall.lab.home import LabError
from rolecall.lab.kubernetes_real import build
from rolecall.lab.kubernetes_real.binaries import PROGRAMS, ensure_binaries, find_binaries

# Takes a moment, writes what it was asked to build, and remembers that it was asked.
GO = """#!/bin/sh
echo "$@" >> "$LOG"
echo "compiling" >&2
sleep 0.3
while [ "$1" != -o ]; do shift; done
[ -n "$FAIL" ] && { echo "no such module" >&2; exit 1; }
printf 'built' > "$2"
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache"), "LOG": str(tmp_path / "asked")}


def with_go(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    script(tmp_path / "bin" / "go", GO)
    return {**environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin", "FAIL": ""}


def quiet(line: str) -> None:
    assert line


def test_nothing_is_there(environ: dict[str, str]) -> None:
    with pytest.raises(LabError, match="kube-apiserver and etcd not found") as found:
        find_binaries(environ)
    assert "rolecall lab build-kubernetes" in found.value.advice
    with pytest.raises(LabError, match="go is not on PATH") as found:
        ensure_binaries(environ, quiet)
    assert "KUBEBUILDER_ASSETS" in found.value.advice


def test_the_assets_win_over_path_and_path_over_the_cache(environ: dict[str, str], tmp_path: Path) -> None:
    def folder(path: Path) -> Path:
        for program in PROGRAMS:
            script(path / program, "#!/bin/sh\necho 'etcd Version: 3.6.8'\n")
        return path

    cached = folder(build.cache_folder(environ))
    assert find_binaries(environ).apiserver == cached / "kube-apiserver"
    on_path = folder(tmp_path / "bin")
    assert find_binaries(environ).etcd == on_path / "etcd"
    assets = folder(tmp_path / "assets")
    assert find_binaries({**environ, "KUBEBUILDER_ASSETS": str(assets)}).etcd == assets / "etcd"


def test_assets_that_lack_a_program_are_not_made_up_for(environ: dict[str, str], tmp_path: Path) -> None:
    with_go(environ, tmp_path)
    with pytest.raises(LabError, match="KUBEBUILDER_ASSETS has no kube-apiserver"):
        ensure_binaries({**environ, "KUBEBUILDER_ASSETS": str(tmp_path)}, quiet)


@pytest.mark.parametrize(("says", "good"), [("3.4.23", False), ("3.5.0", True), ("3.6.8", True), ("4.0.1", True)])
def test_an_old_etcd_is_passed_over(environ: dict[str, str], tmp_path: Path, says: str, good: bool) -> None:
    """Debian 12 has etcd-server 3.4, which kube-apiserver 1.36 does not work with."""
    script(tmp_path / "bin" / "kube-apiserver", "#!/bin/sh\n")
    script(tmp_path / "bin" / "etcd", f"#!/bin/sh\necho 'etcd Version: {says}'\n")
    if good:
        assert find_binaries(environ).etcd == tmp_path / "bin" / "etcd"
    else:
        with pytest.raises(LabError, match=": etcd not found"):
            find_binaries(environ)


def test_what_is_missing_is_built_once(environ: dict[str, str], tmp_path: Path) -> None:
    environ = with_go(environ, tmp_path)
    said: list[str] = []
    found = ensure_binaries(environ, said.append)
    assert found.apiserver.read_text() == "built"
    assert found.apiserver.parent == found.etcd.parent == build.cache_folder(environ)
    assert any("building kube-apiserver v1." in line for line in said)
    assert ensure_binaries(environ, said.append) == found
    asked = Path(environ["LOG"]).read_text().splitlines()
    assert [line.split()[-1] for line in asked] == ["./kube-apiserver", "./etcd"]
    assert "gitVersion=v1." in asked[0]


def test_two_builds_at_once_make_one(environ: dict[str, str], tmp_path: Path) -> None:
    environ = with_go(environ, tmp_path)
    threads = [threading.Thread(target=ensure_binaries, args=(environ, quiet)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Path(environ["LOG"]).read_text().splitlines()) == 2


def test_a_failed_build_says_why_and_leaves_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    environ = {**with_go(environ, tmp_path), "FAIL": "yes"}
    with pytest.raises(LabError, match="no such module"):
        ensure_binaries(environ, quiet)
    assert [path.name for path in build.cache_folder(environ).iterdir()] == [".lock"]


def test_what_a_killed_build_left_is_cleared_away(environ: dict[str, str], tmp_path: Path) -> None:
    environ = with_go(environ, tmp_path)
    folder = build.cache_folder(environ)
    script(folder / ".build-old" / "etcd", "half")
    ensure_binaries(environ, quiet)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "etcd", "kube-apiserver"]


def test_the_sources_name_every_module_of_one_release() -> None:
    text = (build.SOURCES / "go.mod").read_text()
    version = build.kubernetes_version().removeprefix("v1.")
    replaced = [line.split() for line in text.splitlines() if "=>" in line]
    assert len(replaced) > 30
    assert all(line[0] == line[2] and line[3] == f"v0.{version}" for line in replaced)


def test_the_command_says_what_is_missing(environ: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rolecall", "lab", "build-kubernetes"], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "go is not on PATH" in done.stderr
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "rolecall",
            "lab",
            "up",
            "--detach",
            "--kubernetes",
            "real",
            "--home",
            str(tmp_path / "lab"),
        ],
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert not (tmp_path / "lab").exists()
