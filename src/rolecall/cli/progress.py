"""Progress on standard error, for work of more than a second; nothing if standard error is not a terminal."""

from __future__ import annotations

import sys
import time

FIRST_AFTER = 1.0
EVERY = 0.1


class Progress:
    """Counts done out of all, in one line that is written over."""

    def __init__(self, what: str) -> None:
        self._what, self._begun, self._written = what, time.monotonic(), 0.0
        self._terminal = sys.stderr.isatty()
        self._width = 0

    def __call__(self, done: int, total: int, item: str = "") -> None:
        """Show how far it is, unless that was shown just now; ``item``: what was just done."""
        now = time.monotonic()
        if not self._terminal or now - self._begun < FIRST_AFTER or now - self._written < EVERY:
            return
        self._written = now
        text = f"{self._what}: {done} of {total}{f', {item}' if item else ''}"
        sys.stderr.write(f"\r{text[:118].ljust(self._width)}")
        self._width = min(len(text), 118)
        sys.stderr.flush()

    def end(self) -> None:
        """Remove the line."""
        if self._width:
            sys.stderr.write(f"\r{' ' * self._width}\r")
            sys.stderr.flush()
            self._width = 0
