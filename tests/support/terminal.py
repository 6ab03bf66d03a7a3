"""A command at a terminal of its own, and whoever types there."""

from __future__ import annotations

import os
import pty
import select
import time
from collections.abc import Mapping, Sequence


class Terminal:
    """A process whose controlling terminal is a pair of ends: one for it, one for the test.

    :ivar shown: what the terminal shows since something was last typed.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], *, input_taken: bool = True) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            if input_taken:
                # Standard input is taken by somebody else, as with `kubectl apply -f -`.
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execvpe(command[0], list(command), dict(variables))
        self.shown = ""

    def wait_for(self, text: str, seconds: float = 300.0) -> None:
        """Read until the terminal shows a text."""
        ends = time.monotonic() + seconds
        while text not in self.shown:
            ready, _, _ = select.select([self.descriptor], [], [], max(0.0, ends - time.monotonic()))
            assert ready, f"{text!r} is not in {self.shown!r}"
            self.shown += os.read(self.descriptor, 4096).decode()

    def type(self, text: str) -> None:
        """Press keys."""
        self.shown = ""
        os.write(self.descriptor, text.encode())

    def end(self, seconds: float = 300.0) -> int:
        """Wait for the command's end; gives its exit code, negative for a signal."""
        ends = time.monotonic() + seconds
        try:
            while select.select([self.descriptor], [], [], max(0.0, ends - time.monotonic()))[0]:
                self.shown += os.read(self.descriptor, 4096).decode()
        except OSError:
            # A terminal whose process is gone gives an error, not an end.
            pass
        assert time.monotonic() < ends, self.shown
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
