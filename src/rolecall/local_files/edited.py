"""A text file that a person owns, read and replaced: at once, with its mode, and only while it is as it was read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rolecall.errors import RolecallError

MAX_FILE = 16 << 20


class EditedFileError(RolecallError):
    """A file cannot be read or written, or somebody changed it meanwhile."""


def read_text(path: Path) -> str:
    """The file's text with its own line breaks.

    :raises EditedFileError: not there, not UTF-8, or larger than any such file.
    """
    try:
        with path.open("rb") as file:
            found = file.read(MAX_FILE + 1)
        if len(found) > MAX_FILE:
            raise EditedFileError(f"larger than {MAX_FILE >> 20} MiB", where=str(path))
        return found.decode()
    except UnicodeDecodeError:
        raise EditedFileError("not a text in UTF-8", where=str(path)) from None
    except OSError as error:
        raise EditedFileError(f"cannot read it: {error.strerror}", where=str(path)) from error


def replace_text(path: Path, old: str, new: str) -> None:
    """Replace a file that is still ``old``: a reader sees the old text or the new one, never a part.

    A symbolic link is followed, so that it stays one.

    :raises EditedFileError: it is not as it was read, or cannot be written; then it is as it was.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(new.encode())
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            if read_text(target) != old:
                raise EditedFileError("somebody else changed it meanwhile", where=str(path), advice="try again")
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise EditedFileError(f"cannot write it: {error.strerror}", where=str(path)) from error
