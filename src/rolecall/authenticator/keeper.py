"""Keeps as many workers as were asked for: a process of its own that imports next to nothing.

Each worker has a listening socket of its own on the one port (``SO_REUSEPORT`` if there are several), which the keeper
holds as well: while a worker that died is being replaced, its socket goes on taking connections, and none is refused.
Run as ``python -m rolecall.authenticator.keeper DESCRIPTOR``; the descriptor is a file that holds the handover.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

from rolecall.authenticator.log_lines import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A worker that dies at once is started again with longer and longer pauses.
FIRST_PAUSE, MAX_PAUSE, STABLE_SECONDS = 0.05, 5.0, 10.0
STOP_SECONDS = 15.0
# Held back until a worker can obey them.
STOPPING = (signal.SIGTERM, signal.SIGINT)


def read_handover(descriptor: int) -> dict[str, Any]:
    """What :func:`rolecall.authenticator.supervisor.serve` has written; several processes read the same file."""
    found = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
    assert isinstance(found, dict)
    return found


class Keeper:
    """Starts workers, and starts them again.

    :param command: of a worker; its place and the descriptors ``listening``, ``parent`` and ``ready`` are appended.
    :param listening: descriptors of bound sockets, one for each worker.
    :param inherited: descriptors that every worker gets besides.
    :param figures: a folder of the workers' metrics, to be removed at the end; empty for none.
    """

    def __init__(
        self, command: list[str], listening: list[int], inherited: list[int], log: Log, url: str, figures: str = ""
    ) -> None:
        self._command = command
        self._listening = listening
        self._inherited = inherited
        self._log = log
        self._url = url
        self._figures = figures
        self._workers: dict[int, tuple[int, float]] = {}
        self._starts = dict.fromkeys(range(len(listening)), 0.0)
        self._pauses = dict.fromkeys(range(len(listening)), FIRST_PAUSE)
        self._ready: set[int] = set()
        self._announced = False
        self._stopping = False
        self._code = 0
        self._wake, self._woken = os.pipe()
        # Nothing is ever written to the second one: a worker sees its end when the keeper is gone.
        self._alive, self._held = os.pipe()
        self._said, self._say = os.pipe()
        for end in (self._wake, self._woken, self._said):
            os.set_blocking(end, False)

    def run(self) -> int:
        """Keep them until SIGTERM or SIGINT; the exit code."""
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for number in STOPPING:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            while not self._stopping:
                self._start_due()
                self._wait()
                self._reap()
            self._end()
        finally:
            _remove(self._figures)
        return self._code

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _start_due(self) -> None:
        now = time.monotonic()
        running = {place for place, _ in self._workers.values()}
        for place, due in self._starts.items():
            if place not in running and due <= now:
                self._start(place)

    def _start(self, place: int) -> None:
        own = [self._listening[place], self._alive, self._say]
        for descriptor in (*own, *self._inherited):
            os.set_inheritable(descriptor, True)
        command = [*self._command, str(place), *map(str, own)]
        child = os.posix_spawn(command[0], command, os.environ, setsigmask=STOPPING)
        for descriptor in (*own, *self._inherited):
            os.set_inheritable(descriptor, False)
        self._workers[child] = (place, time.monotonic())

    def _wait(self) -> None:
        now = time.monotonic()
        running = {place for place, _ in self._workers.values()}
        due = [at - now for place, at in self._starts.items() if place not in running]
        timeout = max(0.0, min(due)) if due else None
        readable, _, _ = select.select([self._wake, self._said], [], [], timeout)
        if self._wake in readable:
            os.read(self._wake, 4096)
        if self._said in readable:
            self._ready.update(os.read(self._said, 4096))
            if not self._announced and len(self._ready) == len(self._listening):
                self._announced = True
                self._log.info(f"listening on {self._url}")

    def _reap(self) -> None:
        while self._workers:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not child:
                return
            place, started = self._workers.pop(child)
            if self._stopping:
                continue
            stable = time.monotonic() - started > STABLE_SECONDS
            pause = FIRST_PAUSE if stable else self._pauses[place]
            self._pauses[place] = min(MAX_PAUSE, pause * 2)
            self._starts[place] = time.monotonic() + pause
            code = os.waitstatus_to_exitcode(status)
            if not self._ready:
                # What keeps the first worker from its start keeps all of them: its parent has to know.
                self._log.error("the server cannot start", place=place, code=code)
                self._stopping, self._code = True, 1
                return
            self._log.error("a worker has ended: another one is started", place=place, code=code)

    def _end(self) -> None:
        for child in self._workers:
            os.kill(child, signal.SIGTERM)
        ends = time.monotonic() + STOP_SECONDS
        while self._workers and time.monotonic() < ends:
            select.select([self._wake], [], [], 0.05)
            self._reap()
        for child in self._workers:
            os.kill(child, signal.SIGKILL)


def _remove(folder: str) -> None:
    """Remove a folder of files; shutil would bring in more than all the rest."""
    if not folder:
        return
    try:
        for entry in os.scandir(folder):
            os.unlink(entry.path)
        os.rmdir(folder)
    except OSError:
        # Nothing depends on it: the folder is one of those that the system clears.
        return


def main() -> int:
    """Read the handover, and keep workers until told to stop."""
    descriptor = int(sys.argv[1])
    found = read_handover(descriptor)
    inherited = [descriptor, *([found["healthz"]] if found["healthz"] is not None else [])]
    for one in (*inherited, *found["listening"]):
        os.set_inheritable(one, False)
    log = Log(found["logForm"], found["logLevel"])
    command = [*found["python"], "rolecall.authenticator.worker_process", str(descriptor)]
    return Keeper(command, found["listening"], inherited, log, found["url"], found["figures"]).run()


if __name__ == "__main__":
    sys.exit(main())
