"""Progress on standard error, for work of more than a second."""

from __future__ import annotations

import sys
import time

FIRST_AFTER = 1.0
EVERY = {True: 0.1, False: 10.0}


class Progress:
    """Counts done out of all: one line that is written over on a terminal, a line now and then elsewhere."""

    def __init__(self, what: str) -> None:
        self._what, self._begun, self._written = what, time.monotonic(), 0.0
        self._terminal = sys.stderr.isatty()
        self._width = 0

    def __call__(self, done: int, total: int, item: str = "") -> None:
        """Say how far it is, unless it was said just now; ``item``: what was just done."""
        now = time.monotonic()
        if now - self._begun < FIRST_AFTER or now - self._written < EVERY[self._terminal]:
            return
        self._written = now
        text = f"{self._what}: {done} of {total}{f', {item}' if item and self._terminal else ''}"
        if self._terminal:
            sys.stderr.write(f"\r{text[:118].ljust(self._width)}")
            self._width = min(len(text), 118)
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._width:
            sys.stderr.write(f"\r{' ' * self._width}\r")
            sys.stderr.flush()
            self._width = 0
