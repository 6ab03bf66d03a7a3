"""A text file that a person owns, read and written again: only while it is as it was read."""

from __future__ import annotations

from pathlib import Path

from rolecall.local_files.writing import UnwritableError, write_file

MAX_FILE = 16 << 20


class EditedFileError(UnwritableError):
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
    """Replace the text of a file that is still ``old``, as :func:`~rolecall.local_files.writing.write_file` does.

    :raises EditedFileError: it is not as it was read, or cannot be written; then it is as it was.
    """
    try:
        write_file(path, new, old=old)
    except UnwritableError as error:
        raise EditedFileError(error.what, where=error.where, advice=error.advice) from error
