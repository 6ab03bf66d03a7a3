"""Ask the person at the terminal for the code of an MFA device.

The terminal itself is asked, not standard input: kubectl may give that to somebody else (``kubectl apply -f -``).
"""

from __future__ import annotations

import os
import select
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rolecall.errors import RolecallError

SECONDS = 120.0
_MAX_LINE = 256


class NoTerminalError(RolecallError):
    """There is no terminal to ask at, or no answer."""


def ask_code(serial: str) -> str:
    """Six digits, as the person types them; they are not shown.

    :raises NoTerminalError: without a terminal, or without an answer in time.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise NoTerminalError(
            f"a code of the MFA device {serial} is needed, but there is no terminal to ask at",
            advice="run the same `rolecall token` once in a terminal; its session is then used here until it ends",
        ) from None
    try:
        with _hidden(terminal):
            return _ask(terminal, f"MFA code for {_printable(serial)}: ", time.monotonic() + SECONDS)
    finally:
        os.close(terminal)


def _ask(terminal: int, prompt: str, ends: float) -> str:
    while True:
        os.write(terminal, prompt.encode())
        code = _read_line(terminal, ends).strip()
        os.write(terminal, b"\n")
        if len(code) == 6 and code.isascii() and code.isdigit():
            return code
        os.write(terminal, b"A code is six digits.\n")


@contextmanager
def _hidden(terminal: int) -> Iterator[None]:
    """What is typed is not shown, as far as the terminal can do that; from before the question to after the answer."""
    try:
        before = termios.tcgetattr(terminal)
    except termios.error:
        yield
        return
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, [*before[:3], before[3] & ~termios.ECHO, *before[4:]])
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _read_line(terminal: int, ends: float) -> str:
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([terminal], [], [], max(0.0, ends - time.monotonic()))
        if not ready:
            raise NoTerminalError(f"no code was typed within {SECONDS:.0f} seconds", advice="try again")
        part = os.read(terminal, _MAX_LINE)
        if not part or len(line) > _MAX_LINE:
            raise NoTerminalError("the terminal gave no code", advice="try again")
        line += part
    return line.decode("ascii", "replace")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:256]
