"""A worker as a process: reads what it was handed, and serves.

Run by the keeper as ``python -m rolecall.authenticator.worker_process HANDOVER PLACE LISTENING PARENT READY``; all but
the place are descriptors.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rolecall.authenticator.certificates import CertificateFiles
from rolecall.authenticator.keeper import STOPPING, read_handover
from rolecall.authenticator.log_lines import Log
from rolecall.authenticator.worker_options import WorkerOptions
from rolecall.mapping.backends.server_config import ServerSettings


def handed_over(settings: ServerSettings, config_file: str, files: CertificateFiles, modes: tuple[str, ...]) -> Any:
    """What a worker needs, as JSON has it; :func:`restored` takes it back."""
    return {
        "settings": asdict(settings),
        "configFile": config_file,
        "certificate": str(files.certificate),
        "key": str(files.key),
        "modes": list(modes),
    }


def restored(found: Mapping[str, Any]) -> tuple[ServerSettings, str, CertificateFiles, tuple[str, ...]]:
    """The values that :func:`handed_over` was given."""
    values = dict(found["settings"])
    for field in fields(ServerSettings):
        value = values[field.name]
        if isinstance(value, list):
            values[field.name] = tuple(value)
        elif isinstance(value, dict):
            values[field.name] = {key: tuple(items) for key, items in value.items()}
    files = CertificateFiles(Path(found["certificate"]), Path(found["key"]))
    return ServerSettings(**values), found["configFile"], files, tuple(found["modes"])


def main() -> int:
    """Serve until told to stop; the exit code."""
    handover, place, listening, parent, ready = (int(argument) for argument in sys.argv[1:6])
    found = read_handover(handover)
    log = Log(found["logForm"], found["logLevel"])
    try:
        if found["figures"]:
            from rolecall.authenticator.metrics import share_between_workers

            share_between_workers(Path(found["figures"]), place)
        # Importing it makes the metrics, which have to know by now whether they are shared.
        from rolecall.authenticator.worker import run_worker

        settings, config_file, files, modes = restored(found["worker"])
        healthz = found["healthz"]
        options = WorkerOptions(
            settings,
            config_file,
            files,
            socket.socket(fileno=listening),
            log,
            socket.socket(fileno=healthz) if healthz is not None else None,
            place,
            lambda: _tell(ready, place),
            parent,
            modes,
        )
        import uvloop

        uvloop.run(run_worker(options))
    except Exception as error:
        log.error("a worker has failed", place=place, error=f"{type(error).__name__}: {error}"[:500])
        return 1
    return 0


def _tell(ready: int, place: int) -> None:
    os.write(ready, bytes([place]))
    # From here on there is somebody who obeys.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


if __name__ == "__main__":
    sys.exit(main())
