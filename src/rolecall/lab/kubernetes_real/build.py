"""kube-apiserver and etcd built once by Go, from their published modules, into the user's cache folder.

The sources are this package's ``go`` folder. Go itself checks what it downloads against its checksum database. A cold
build takes some minutes and about 4 GB in Go's own caches; it is the same for every lab and checkout of this user.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rolecall.lab.home import LabError

SOURCES = Path(__file__).parent / "go"
GO_VERSION = "1.26"
_VERSION_PACKAGE = "k8s.io/component-base/version"

Progress = Callable[[str], None]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where the built programs are kept; another one for other sources."""
    base = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "rolecall" / "kubernetes" / f"{kubernetes_version()}-{_digest()[:12]}"


def kubernetes_version() -> str:
    """The release that the sources build, such as ``v1.36.3``."""
    found = re.search(r"k8s\.io/kubernetes (v[0-9.]+)", (SOURCES / "go.mod").read_text())
    assert found is not None
    return found[1]


def build(programs: Iterable[str], environ: Mapping[str, str], progress: Progress) -> None:
    """Build programs into the cache folder; one builder at a time, and each program complete or not there at all.

    :param progress: called now and then with what is being done.
    :raises LabError: if Go is missing or fails, with its last lines
    """
    go = shutil.which("go", path=environ.get("PATH", ""))
    if go is None:
        raise LabError(
            f"{' and '.join(programs)} cannot be built: go is not on PATH",
            advice=f"install Go {GO_VERSION} or later, or set KUBEBUILDER_ASSETS to a folder with the programs",
        )
    folder = cache_folder(environ)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(folder, progress):
        for program in programs:
            if not (folder / program).is_file():
                _build(go, program, folder, environ, progress)


def _build(go: str, program: str, folder: Path, environ: Mapping[str, str], progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as scratch:
        sources, target = Path(scratch) / "go", Path(scratch) / program
        shutil.copytree(SOURCES, sources)
        # -mod=mod: the indirect requirements and go.sum are worked out here; they follow from go.mod.
        command = [
            *_nice(),
            *(go, "build", "-mod=mod", "-buildvcs=false", "-trimpath", "-v"),
            *("-ldflags", _linker_flags(), "-o", str(target), f"./{program}"),
        ]
        own = {"CGO_ENABLED": "0", "GOWORK": "off", "GOOS": "", "GOARCH": ""}
        last: list[str] = []
        with subprocess.Popen(  # noqa: S603 -- the user's own Go and our own sources
            command,
            cwd=sources,
            env={**environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            assert process.stderr is not None
            for count, line in enumerate(process.stderr, 1):
                last = [*last[-9:], line.rstrip()]
                progress(f"building {program} {kubernetes_version()}: step {count}, {line.rstrip()[:80]}")
        if process.returncode != 0 or not target.is_file():
            raise LabError(
                f"go cannot build {program}:\n  " + "\n  ".join(last),
                where=str(SOURCES / program),
                advice="read the output of Go; it needs its module proxy, or a filled module cache",
            )
        target.replace(folder / program)


def _linker_flags() -> str:
    """No debug information, and the version that kubectl reads: an unstamped one cannot be parsed."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X {_VERSION_PACKAGE}.{name}={value}" for name, value in stamps.items())])


def _nice() -> list[str]:
    nice = shutil.which("nice")
    return [nice, "-n", "10"] if nice else []


def _digest() -> str:
    files = sorted(path for path in SOURCES.rglob("*") if path.is_file())
    text = b"".join(f"{path.relative_to(SOURCES)}\n".encode() + path.read_bytes() for path in files)
    return hashlib.sha256(text).hexdigest()


@contextmanager
def _locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the cache folder; what a killed builder left is cleared away."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process is building; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in folder.glob(".build-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)
