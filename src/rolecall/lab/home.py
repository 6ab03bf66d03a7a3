"""A lab's home: the folder that holds everything one lab knows, and the lock that keeps it to one process.

::

    lab.json        which accounts, region and port: written once, changed by ``lab up`` with other flags
    run.json        the process that serves the lab now: its id and address; there only while it runs
    lock            held by that process; the operating system releases it however the process ends
    aws.db          the state of the AWS endpoint
    clusters/       one folder for each cluster's state, keys and port
    home/           HOME of ``lab shell``: .aws and .kube
    shell/          start files of the shells that ``lab shell`` runs: the prompt
    lab.log         what the lab did; never a secret
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rolecall.arn import PARTITIONS
from rolecall.errors import RolecallError
from rolecall.local_files.private import write_private

HOME_VARIABLE = "ROLECALL_LAB_HOME"
# The values of the reference run of the procedure, so that its commands can be typed as they stand.
DEFAULT_ACCOUNT = "231144931069"
DEFAULT_REGION = "eu-west-2"
MAX_ACCOUNTS = 100
ADMINISTRATOR = "lab-admin"
_CORRECT = "correct the file, or delete the lab's folder and create a new lab: rolecall lab up"


class Backend(StrEnum):
    """What serves the Kubernetes API of a lab's clusters."""

    EMBEDDED = "embedded"
    REAL = "real"


class LabError(RolecallError):
    """A lab could not be started, found, stopped or read."""


@dataclass(frozen=True, slots=True)
class LabSettings:
    """The settings of a lab.

    :param accounts: account ids, the first is the one that the lab's own profile belongs to.
    :param region: default region of the lab's profiles.
    :param port: TCP port of the AWS endpoint on the loopback interface; 0 until one is chosen.
    :param kubernetes: what serves new clusters; existing clusters keep what they have.
    """

    accounts: tuple[str, ...] = (DEFAULT_ACCOUNT,)
    region: str = DEFAULT_REGION
    port: int = 0
    kubernetes: Backend = Backend.EMBEDDED

    def __post_init__(self) -> None:
        if not self.accounts or len(self.accounts) > MAX_ACCOUNTS:
            raise LabError(f"a lab has 1 to {MAX_ACCOUNTS} accounts, not {len(self.accounts)}")
        for account in self.accounts:
            if not re.fullmatch(r"[0-9]{12}", account):
                raise LabError(f"{account!r} is not an AWS account id", advice="an account id has 12 digits")
        if not any(partition.region_pattern.fullmatch(self.region) for partition in PARTITIONS.values()):
            raise LabError(f"{self.region!r} is not an AWS region", advice="a region reads like eu-west-2")
        if not 0 <= self.port <= 65535:
            raise LabError(f"{self.port} is not a TCP port", advice="give a port from 1 to 65535, or none")

    @property
    def partition(self) -> str:
        """The AWS partition that the region lies in."""
        return next(p.name for p in PARTITIONS.values() if p.region_pattern.fullmatch(self.region))


@dataclass(frozen=True, slots=True)
class RunningLab:
    """The process that serves a lab now."""

    pid: int
    endpoint: str


@dataclass(frozen=True, slots=True)
class LabHome:
    """The folder of one lab."""

    folder: Path

    @classmethod
    def find(cls, folder: Path | None = None) -> LabHome:
        """The lab home: ``folder``, else ``$ROLECALL_LAB_HOME``, else the user's state folder."""
        if folder is not None:
            return cls(folder.expanduser().resolve())
        if named := os.environ.get(HOME_VARIABLE):
            return cls(Path(named).expanduser().resolve())
        state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        return cls(Path(state).expanduser() / "rolecall" / "lab")

    @property
    def aws_database(self) -> Path:
        return self.folder / "aws.db"

    @property
    def clusters(self) -> Path:
        return self.folder / "clusters"

    @property
    def user_home(self) -> Path:
        """HOME inside ``lab shell``."""
        return self.folder / "home"

    @property
    def log(self) -> Path:
        return self.folder / "lab.log"

    @property
    def _settings_file(self) -> Path:
        return self.folder / "lab.json"

    @property
    def _run_file(self) -> Path:
        return self.folder / "run.json"

    def exists(self) -> bool:
        return self._settings_file.is_file()

    def create(self) -> None:
        """Make the folder, for its owner alone; refuse one that holds something else."""
        if self.folder.is_dir() and not self.exists() and not all(_is_own(p.name) for p in self.folder.iterdir()):
            raise LabError(
                "this folder holds something that is not a lab",
                where=str(self.folder),
                advice="give an empty or new folder with --home",
            )
        for folder in (self.folder, self.clusters, self.user_home, self.user_home / ".aws", self.user_home / ".kube"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.folder.stat().st_uid != os.geteuid():
            raise LabError(
                "this folder belongs to another user", where=str(self.folder), advice="give one of your own with --home"
            )
        # One that was there before may have been open to others, and keys are kept here.
        self.folder.chmod(0o700)

    def settings(self) -> LabSettings:
        """What this lab is made of; :class:`LabError` if there is no lab here."""
        if not self.exists():
            raise LabError("there is no lab here", where=str(self.folder), advice="start one: rolecall lab up")
        found = _read_json(self._settings_file)
        try:
            backend = Backend(found.get("kubernetes", Backend.EMBEDDED))
            return LabSettings(tuple(found["accounts"]), found["region"], found["port"], backend)
        except (KeyError, TypeError, ValueError, LabError) as error:
            raise LabError(
                f"these are not the settings of a lab ({error.what if isinstance(error, LabError) else error!r})",
                where=str(self._settings_file),
                advice=_CORRECT,
            ) from error

    def save_settings(self, settings: LabSettings) -> None:
        write_private(self._settings_file, json.dumps(asdict(settings), indent=2) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this lab for the calling process; :class:`LabError` where another one holds it."""
        with self._lock_file() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError(
                    "another process serves this lab", where=str(self.folder), advice="see: rolecall lab status"
                ) from None
            try:
                yield
            finally:
                self._run_file.unlink(missing_ok=True)

    def announce(self, running: RunningLab) -> None:
        """Say which process serves the lab; called by the holder of the lock once it answers."""
        write_private(self._run_file, json.dumps(asdict(running)) + "\n")

    def is_held(self) -> bool:
        """Whether a living process holds the lab's lock."""
        if not (self.folder / "lock").exists():
            return False
        with self._lock_file() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def running(self) -> RunningLab | None:
        """The process that serves the lab, or ``None``. A file left by a killed process does not count."""
        if not self.is_held() or not self._run_file.exists():
            return None
        found = _read_json(self._run_file)
        return RunningLab(int(found["pid"]), str(found["endpoint"]))

    def wipe(self) -> None:
        """Delete the lab's state and keys, keeping its settings; the caller has made sure that it does not run."""
        if not self.exists():
            raise LabError("there is no lab here", where=str(self.folder), advice="start one: rolecall lab up")
        with self.locked():
            for path in self.folder.iterdir():
                if path.name in ("lab.json", "lock"):
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _is_own(name: str) -> bool:
    """Whether a lab that was killed while it was being made, with no settings yet, may have left this."""
    return name in ("lock", "clusters", "home", "lab.log") or name.startswith(".lab.json.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LabError(f"cannot be read: {error}", where=str(path), advice=_CORRECT) from error
    if not isinstance(found, dict):
        raise LabError("is not a JSON object", where=str(path), advice=_CORRECT)
    return found
