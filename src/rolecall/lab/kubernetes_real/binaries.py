"""Where kube-apiserver and etcd come from: ``KUBEBUILDER_ASSETS``, ``PATH``, or a build of our own in the cache.

``KUBEBUILDER_ASSETS`` is the convention of envtest (Kubebuilder book, "Configuring envtest for integration tests"): a
folder with ``etcd``, ``kube-apiserver`` and ``kubectl``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rolecall.lab.home import LabError
from rolecall.lab.kubernetes_real import build

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
PROGRAMS = ("kube-apiserver", "etcd")
# Older servers store in a way that kube-apiserver 1.34 and later refuse to work with.
MIN_ETCD = (3, 5)


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of a control plane."""

    apiserver: Path
    etcd: Path


def find_binaries(environ: Mapping[str, str]) -> Binaries:
    """The programs that are there already; :class:`LabError` says which one is missing and what to do."""
    found = {program: _find(program, environ) for program in PROGRAMS}
    missing = [program for program, path in found.items() if path is None]
    if missing:
        raise LabError(
            f"{' and '.join(missing)} not found in ${ASSETS_VARIABLE}, on PATH or in the cache",
            where=str(build.cache_folder(environ)),
            advice=f"build them once: rolecall lab build-kubernetes (needs Go {build.GO_VERSION} or later), "
            f"or set {ASSETS_VARIABLE} to a folder that holds them",
        )
    apiserver, etcd = (path for path in found.values() if path is not None)
    return Binaries(apiserver, etcd)


def ensure_binaries(environ: Mapping[str, str], progress: build.Progress) -> Binaries:
    """The programs, built if they are not there yet; :class:`LabError` if that cannot be done."""
    missing = [program for program in PROGRAMS if _find(program, environ) is None]
    if missing:
        build.build(missing, environ, progress)
    return find_binaries(environ)


def _find(program: str, environ: Mapping[str, str]) -> Path | None:
    if assets := environ.get(ASSETS_VARIABLE):
        path = Path(assets) / program
        if path.is_file():
            return path.absolute()
        # Somebody who names a folder means the programs in it: others would be a surprise.
        raise LabError(
            f"${ASSETS_VARIABLE} has no {program}", where=assets, advice=f"correct it, or unset {ASSETS_VARIABLE}"
        )
    on_path = shutil.which(program, path=environ.get("PATH", ""))
    if on_path and (program != "etcd" or _etcd_version(on_path) >= MIN_ETCD):
        return Path(on_path)
    built = build.cache_folder(environ) / program
    return built if built.is_file() else None


def _etcd_version(path: str) -> tuple[int, ...]:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(r"etcd Version: (\d+)\.(\d+)", done.stdout)
    return tuple(int(number) for number in found.groups()) if found else ()
