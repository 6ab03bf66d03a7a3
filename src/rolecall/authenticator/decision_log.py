"""Log lines and audit records: who, what was decided, and which line decided. Never a token, never a signature.

The text form is the original's, that of logrus: ``time="..." level=info msg="access granted"``, then the fields in
alphabetical order, quoted as Go quotes them (sirupsen/logrus v1.9 ``text_formatter.go``). The JSON form has the same
fields. An audit record is one JSON object on one line, written before the answer leaves; ``accessKeyId`` and
``sessionName`` join it with CloudTrail's and Kubernetes' own audit events.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from rolecall.authenticator.review import without_secrets
from rolecall.errors import RolecallError

# The levels of logrus, gravest last.
LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "fatal": 50, "panic": 60}
_NAMES = {5: "trace", 10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal", 60: "panic"}
_BARE = re.compile(r"[A-Za-z0-9_./@^+-]*", re.ASCII)
# Go's escapes of strconv.Quote; every other character that does not show is written as its number.
_ESCAPES = dict(zip('\a\b\f\n\r\t\v"\\', ("\\a", "\\b", "\\f", "\\n", "\\r", "\\t", "\\v", '\\"', "\\\\"), strict=True))
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


class AuditLogError(RolecallError):
    """The audit log cannot be opened."""


class Log:
    """Writes lines of one form to a stream."""

    def __init__(self, form: str = "text", level: str = "info", stream: TextIO | None = None) -> None:
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
            self._second, self._stamp = now, datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
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
    return text if _BARE.fullmatch(text) else '"' + "".join(map(_escaped, text)) + '"'


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


class StandardLogging(logging.Handler):
    """Passes on what libraries log, in the same form."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = 40 if record.levelno >= 40 else 30
        fields = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = type(record.exc_info[1]).__name__
        self._log.write(level, without_secrets(record.getMessage()), fields)


class AuditLog:
    """Appends records to a file for its owner alone, or to standard output.

    A record is one write, so that the lines of several workers never mix. A file that was moved away (logrotate) is
    opened again.

    :param where: a path, ``-`` for standard output, empty for none.
    """

    def __init__(self, where: str) -> None:
        self._path = Path(where) if where not in ("", "-") else None
        self._descriptor = 1 if where == "-" else -1
        self._opened: tuple[int, int] | None = None
        self.reopen()

    @property
    def wanted(self) -> bool:
        return self._descriptor >= 0

    def reopen(self) -> None:
        """Open the file again if the path leads to another one now."""
        if self._path is None:
            return
        try:
            found = os.stat(self._path)
            if self._opened == (found.st_dev, found.st_ino):
                return
        except FileNotFoundError:
            pass
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if self._descriptor >= 0:
                return
            raise AuditLogError(
                f"cannot be opened: {error.strerror}", where=str(self._path), advice="the folder has to exist"
            ) from None
        if self._descriptor >= 0:
            os.close(self._descriptor)
        opened = os.fstat(descriptor)
        self._descriptor, self._opened = descriptor, (opened.st_dev, opened.st_ino)

    def write(self, record: str) -> None:
        """Append one record, a JSON object; ``OSError`` if it cannot be written."""
        data = (record + "\n").encode()
        while data:
            written = os.write(self._descriptor, data)
            data = data[written:]
