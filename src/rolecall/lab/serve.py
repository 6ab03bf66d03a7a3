"""The lab's process: ``python -m rolecall.lab.serve``, or in the foreground of ``rolecall lab up``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rolecall.errors import RolecallError
from rolecall.lab.home import LabHome, RunningLab

LOG_BYTES = 5_000_000


def serve(home: LabHome, on_ready: Callable[[RunningLab], None]) -> None:
    """Serve a lab until SIGTERM or SIGINT. ``on_ready`` is called once it answers."""
    # State and keys are readable by their owner alone.
    os.umask(0o077)
    home.create()
    _log_to(home.log)
    with home.locked():
        try:
            import uvloop
        except ImportError:
            asyncio.run(_run(home, on_ready))
        else:
            uvloop.run(_run(home, on_ready))


async def _run(home: LabHome, on_ready: Callable[[RunningLab], None]) -> None:
    from rolecall.lab.service import LabService

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    service = LabService(home, home.settings())
    try:
        running = RunningLab(os.getpid(), await service.start())
        home.announce(running)
        on_ready(running)
        await stopped.wait()
    finally:
        await service.stop()


def _log_to(path: Path) -> None:
    """Log to a file of bounded size, for its owner alone."""
    path.touch(mode=0o600)
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def main() -> None:
    """Entry of the detached process: says ``ready URL`` or ``failed WHAT<tab>ADVICE`` on the given descriptor."""
    parser = argparse.ArgumentParser(prog="rolecall.lab.serve")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args()

    def say(line: str) -> None:
        # The process that started the lab may have gone away in the meantime.
        with contextlib.suppress(OSError):
            os.write(options.ready_fd, f"{line}\n".encode())
            os.close(options.ready_fd)

    try:
        serve(LabHome(options.home), lambda running: say(f"ready {running.endpoint}"))
    except RolecallError as error:
        say(f"failed {error.what}\t{error.advice}")
        sys.exit(1)
    except Exception as error:
        logging.getLogger(__name__).exception("the lab stopped")
        say(f"failed {type(error).__name__}: {error}".splitlines()[0])
        sys.exit(1)


if __name__ == "__main__":
    main()
