"""Log lines and audit records: who, what was decided, and which line decided. Never a token, never a signature.

The text form is the original's, that of logrus: ``time="..." level=info msg="access granted"``, then the fields in
alphabetical order, quoted as Go quotes them (sirupsen/logrus v1.9 ``text_formatter.go``). The JSON form has the same
fields. An audit record is one JSON object on one line, written before the answer leaves; ``accessKeyId`` and
``sessionName`` join it with CloudTrail's and Kubernetes' own audit events.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from rolecall.authenticator.log_lines import Log, quoted
from rolecall.authenticator.review import without_secrets
from rolecall.errors import RolecallError

__all__ = ["AuditLog", "AuditLogError", "Log", "StandardLogging", "quoted"]


class AuditLogError(RolecallError):
    """The audit log cannot be opened."""


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
