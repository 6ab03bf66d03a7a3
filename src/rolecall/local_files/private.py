"""Files that only their owner may read, replaced at once."""

from __future__ import annotations

import os
import stat

from rolecall.errors import RolecallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file of this program's own at once, readable by its owner alone: a reader sees the old text or the new.

    For files in the program's own folders: whatever has the name is replaced, also a link. What a person names is
    written by :func:`rolecall.local_files.writing.write_file`.

    The new file has a name that nobody can foresee and is made by this call or not at all: in a folder that others
    write to, such as ``/tmp``, a file or link that is already there under the name would be where the text goes.

    :raises OSError: it cannot be written, with the file's name; nothing is left behind and the old text stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


class NotPrivateError(RolecallError):
    """A file or folder that should be its owner's alone is not: it is not trusted, and no secret is put there."""


class PrivateFolder:
    """A folder of files that only their owner may read; every access is by name below the opened folder.

    Neither the folder nor a file is followed through a symbolic link, and what belongs to somebody else, or what others
    may read or write, is refused.

    :raises NotPrivateError: the folder itself is not private.
    :raises OSError: it cannot be made or opened.
    """

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str, *, create: bool) -> None:
        self.path = path
        if create:
            os.makedirs(path, mode=0o700, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._require_own(os.fstat(self._descriptor), path, "rm -r it, or make it yours alone: chmod 700")
        except NotPrivateError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._descriptor)

    def read(self, name: str, limit: int) -> bytes | None:
        """A file's content; ``None`` if it is not there.

        :raises NotPrivateError: the file is a link, somebody else's, open to others, no plain file, or longer
            than ``limit`` bytes.
        """
        try:
            descriptor = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=self._descriptor
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NotPrivateError(f"cannot be opened: {error.strerror}", where=f"{self.path}/{name}") from None
        try:
            found = os.fstat(descriptor)
            where = f"{self.path}/{name}"
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise NotPrivateError("is not a plain file of one name", where=where)
            self._require_own(found, where, "remove it, or make it yours alone: chmod 600")
            if found.st_size > limit:
                raise NotPrivateError(f"has more than {limit} bytes", where=where)
            return os.read(descriptor, limit)
        finally:
            os.close(descriptor)

    def write(self, name: str, data: bytes) -> None:
        """Replace a file at once, whatever has its name: a link is replaced, not followed."""
        temporary = f".{name}.{os.getpid()}.{os.urandom(4).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=self._descriptor)
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
            finally:
                os.close(descriptor)
            os.replace(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except OSError:
            self.remove(temporary)
            raise

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return

    def open_lock(self, name: str) -> int:
        """A descriptor of a file to lock, made if it is not there."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(name, flags, 0o600, dir_fd=self._descriptor)

    def is_current(self, name: str, descriptor: int) -> bool:
        """Whether ``descriptor`` is still the file of that name: it may have been removed and made again meanwhile."""
        try:
            found = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(descriptor))

    def older_than(self, moment: float) -> list[str]:
        """The names of plain files that were last written before ``moment`` (seconds since 1970)."""
        with os.scandir(self._descriptor) as entries:
            return [
                entry.name
                for entry in entries
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < moment
            ]

    @staticmethod
    def _require_own(found: os.stat_result, where: str, advice: str) -> None:
        if found.st_uid != os.geteuid():
            raise NotPrivateError("belongs to somebody else", where=where, advice=advice)
        if found.st_mode & 0o077:
            raise NotPrivateError("is open to other users", where=where, advice=advice)
