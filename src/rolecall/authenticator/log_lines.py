"""Log lines in the original's form, that of logrus, or as JSON.

The keeper of the workers imports this, so it brings in next to nothing. Source: sirupsen/logrus v1.9
``text_formatter.go``.
"""

from __future__ import annotations

import json
import re
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

# The levels of logrus, gravest last.
LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "fatal": 50, "panic": 60}
_NAMES = {5: "trace", 10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal", 60: "panic"}
_BARE = re.compile(r"[A-Za-z0-9_./@^+-]*", re.ASCII)
_PRINTABLE = re.compile(r"[ !#-\[\]-~]*", re.ASCII)
# Go's escapes of strconv.Quote; every other character that does not show is written as its number.
_ESCAPES = dict(zip('\a\b\f\n\r\t\v"\\', ("\\a", "\\b", "\\f", "\\n", "\\r", "\\t", "\\v", '\\"', "\\\\"), strict=True))
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


class Log:
    """Writes lines of one form to a stream."""

    def __init__(self, form: str = "text", level: str = "info", stream: TextIO | None = None) -> None:
        self.form = form
        self.level_name = level
        self._json = form == "json"
        self.level = LEVELS.get(level, 20)
        self._stream = stream or sys.stderr
        self._second = 0
        self._stamp = ""

    def write(self, level: int, message: str, fields: Mapping[str, Any] | None = None) -> None:
        """One line, if its level is wanted."""
        if level >= self.level:
            self.emit(self.render(level, message, fields or {}))

    def render(self, level: int, message: str, fields: Mapping[str, Any]) -> str:
        """A line without its time."""
        return "".join(self.around(level, message, fields, ""))

    def around(self, level: int, message: str, fields: Mapping[str, Any], key: str) -> tuple[str, str]:
        """A line without its time, in two halves between which the field ``key`` belongs."""
        names = sorted(fields)
        before = [name for name in names if name < key]
        after = names[len(before) :]
        if self._json:
            head = _encode({"level": _NAMES[level], "msg": message, **{name: fields[name] for name in before}})
            rest = _encode({name: fields[name] for name in after})[1:]
            return head[1:-1], rest if rest == "}" else f",{rest}"
        parts = [f"level={_NAMES[level]} msg={quoted(message)}", *(f"{name}={quoted(fields[name])}" for name in before)]
        return " ".join(parts), "".join(f" {name}={quoted(fields[name])}" for name in after)

    def emit(self, rendered: str, client: str = "", rest: str = "") -> None:
        """Write a rendered line with the time.

        :param client: a client's address with its port, between the halves of a line.
        """
        now = int(time.time())
        if now != self._second:
            self._second, self._stamp = now, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        if self._json:
            shown = f',"client":"{client}"' if client else ""
            line = f'{{"time":"{self._stamp}",{rendered}{shown}{rest}\n'
        else:
            shown = f' client="{client}"' if client else ""
            line = f'time="{self._stamp}" {rendered}{shown}{rest}\n'
        self._stream.write(line)
        self._stream.flush()

    def info(self, message: str, **fields: Any) -> None:
        self.write(20, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self.write(30, message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self.write(40, message, fields)


def quoted(value: Any) -> str:
    """A value of the text form: bare if it is one plain word, else quoted, so that nothing can forge a line."""
    text = "[" + " ".join(map(str, value)) + "]" if isinstance(value, (list, tuple)) else str(value)
    if _BARE.fullmatch(text):
        return text
    # Almost every value: quoted as it is.
    return f'"{text}"' if _PRINTABLE.fullmatch(text) else '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    found = _ESCAPES.get(character)
    if found is not None or character.isprintable():
        return found or character
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    if 0xD800 <= number < 0xE000:
        return "\ufffd"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
