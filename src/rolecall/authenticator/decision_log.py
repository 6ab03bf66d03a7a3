"""Log lines and audit records: who, what was decided, and which line decided. Never a token, never a signature.

The text form is the original's (logrus: ``time="..." level=info msg="access granted" ...``) with its field names; the
JSON form has the same fields. An audit record is one JSON object on one line, written before the answer leaves;
``accessKeyId`` and ``sessionName`` join it with CloudTrail's and Kubernetes' own audit events.
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

LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "fatal": 50}
_NAMES = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}
_BARE = re.compile(r"[A-Za-z0-9_./@^+:-]+", re.ASCII)
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
        """One line, where the level is wanted."""
        if level >= self.level:
            self.emit(self.render(level, message, fields or {}))

    def render(self, level: int, message: str, fields: Mapping[str, Any]) -> str:
        """A line without its time."""
        if self._json:
            return _encode({"level": _NAMES[level], "msg": message, **fields})[1:]
        parts = [f"level={_NAMES[level]} msg={quoted(message)}"]
        parts += [f"{key}={quoted(value)}" for key, value in fields.items()]
        return " ".join(parts)

    def emit(self, rendered: str, client: str = "") -> None:
        """Write a rendered line with the time and, where there is one, the client's address."""
        now = int(time.time())
        if now != self._second:
            self._second, self._stamp = now, datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self._json:
            client = f'"client":"{client}",' if client else ""
            line = f'{{"time":"{self._stamp}",{client}{rendered}\n'
        else:
            line = (
                f'time="{self._stamp}" {rendered} client={client}\n' if client else f'time="{self._stamp}" {rendered}\n'
            )
        self._stream.write(line)
        self._stream.flush()

    def info(self, message: str, **fields: Any) -> None:
        self.write(20, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self.write(30, message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self.write(40, message, fields)


def quoted(value: Any) -> str:
    """A value of the text form: bare where it is one word, else as a JSON string, so that nothing can forge a line."""
    if isinstance(value, (list, tuple)):
        return _encode("[" + " ".join(value) + "]")
    text = value if isinstance(value, str) else str(value)
    return text if _BARE.fullmatch(text) else _encode(text)


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
    opened anew.

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
        """Open the file anew where it is not the one that is open."""
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
        """Append one record, a JSON object; ``OSError`` where it cannot be written."""
        data = (record + "\n").encode()
        while data:
            written = os.write(self._descriptor, data)
            data = data[written:]
