"""One process at a time, for a bounded time: the kernel lets go of the lock of a process that dies."""

from __future__ import annotations

import os
import time

from rolecall.local_files.private import PrivateFolder

_PAUSE = 0.02
_MAX_NOTE = 4096


class Lock:
    """An exclusive lock by a file of a private folder.

    As a context manager it gives whether the lock was got within ``seconds``; ``False`` also if the file system
    cannot lock. The caller decides what to do then.
    """

    __slots__ = ("_descriptor", "_folder", "_name", "_seconds", "_started", "_waited")

    def __init__(self, folder: PrivateFolder, name: str, seconds: float) -> None:
        self._folder = folder
        self._name = name
        self._seconds = seconds
        self._descriptor = -1
        self._started = 0.0
        self._waited = False

    def __enter__(self) -> bool:
        self._started = time.time()
        ends = time.monotonic() + self._seconds
        while True:
            try:
                self._descriptor = self._folder.open_lock(self._name)
            except OSError:
                return False
            if not self._wait(ends):
                self._close()
                return False
            # Tidying up may have removed the file between opening and locking it: then no other process sees this lock.
            if self._folder.is_current(self._name, self._descriptor):
                return True
            self._close()

    def __exit__(self, *_: object) -> None:
        self._close()

    def leave_failure(self, text: str) -> None:
        """Leave a note of a failure, so that those who wait need not fail, or ask a person, one after the other."""
        if self._descriptor >= 0:
            data = f"{time.time()}\n{text}".encode()[:_MAX_NOTE]
            os.pwrite(self._descriptor, data, 0)
            os.ftruncate(self._descriptor, len(data))

    def failure(self) -> str | None:
        """Why the process failed that this lock had to wait for; ``None`` if it did not fail, or there was no wait.

        A note counts if it was left during the wait. One from before, or from a time that is still to come (the clock
        was ahead), does not.
        """
        if not self._waited or self._descriptor < 0:
            return None
        moment, _, text = os.pread(self._descriptor, _MAX_NOTE, 0).decode(errors="replace").partition("\n")
        try:
            return text if self._started <= float(moment) <= time.time() else None
        except ValueError:
            return None

    def _wait(self, ends: float) -> bool:
        from fcntl import LOCK_EX, LOCK_NB, flock

        while True:
            try:
                flock(self._descriptor, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                self._waited = True
                if time.monotonic() >= ends:
                    return False
                time.sleep(_PAUSE)
            except OSError:
                return False
            else:
                return True

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
