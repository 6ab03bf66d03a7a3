"""Write a file that a person or an environment variable names: it stays the person's, whatever it is.

A plain file is replaced at once, with its owner, group, mode and extended attributes. If that is not possible, because
the file is a mount point, has several names, or is in a folder that may not be written, it is written in place, as
kubectl and the AWS CLI do. A device, a pipe or a socket is never replaced: it is refused, or written to if the
caller says that it may be a stream. A link stays a link.

Sources: rename(2) (EBUSY for a mount point), open(2), Linux's sysctl documentation for ``fs.protected_regular``;
client-go ``clientcmd/loader.go``, ``WriteToFile``, which writes in place.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from rolecall.errors import RolecallError

# What a folder can say about a new file in it, or rename(2) about a name, while the file itself may be written.
_NOT_BY_NAME = frozenset(
    {errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV, errno.ENOTSUP, errno.EINVAL, errno.ENAMETOOLONG}
)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_MAX_LINKS = 40
PRIVATE = 0o600


class UnwritableError(RolecallError):
    """A file cannot be written, or should not be; it is as it was."""


def write_file(
    path: Path,
    text: str,
    *,
    mode: int = PRIVATE,
    most: int = 0o7777,
    streams: bool = False,
    old: str | None = None,
) -> None:
    """Make ``text`` the content of a file; nobody who reads it sees a part, unless it must be written in place.

    :param mode: of a file that is not there yet, whatever the umask is.
    :param most: the permissions that a file may keep at most: ``0o600`` for a secret.
    :param streams: write to a terminal, a pipe, ``/dev/null`` or an open descriptor (``/dev/stdout``) too.
    :param old: what the file must still hold.
    :raises UnwritableError: in words for the person; the file holds what it held.
    """
    data = text.encode()
    try:
        _write(Path(path), data, mode, most, streams, None if old is None else old.encode())
    except OSError as error:
        raise UnwritableError(f"cannot be written: {error.strerror}", where=str(path)) from None


def create_file(path: Path, text: str, *, advice: str) -> None:
    """Make a new file with the mode that the umask leaves, or write to a stream; never over a file that is there.

    :raises UnwritableError: it is there already, with ``advice``, or cannot be written.
    """
    try:
        if os.path.lexists(path) and not _is_stream(path):
            raise UnwritableError("exists already", where=str(path), advice=advice)
        _write(Path(path), text.encode(), None, 0o7777, streams=True, old=None)
    except OSError as error:
        raise UnwritableError(f"cannot be written: {error.strerror}", where=str(path)) from None


def _is_stream(path: Path) -> bool:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return open_descriptor(path) is not None or stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def require_file(path: Path) -> None:
    """Refuse a path that is there and not a plain file: before it is read, or a lock is made beside it.

    :raises UnwritableError: it is a device, a pipe, a socket, a folder, or an open descriptor.
    """
    if open_descriptor(path) is not None:
        raise _refusal(path, "an open stream")
    with suppress(FileNotFoundError):
        try:
            found = os.stat(path)
        except (NotADirectoryError, PermissionError) as error:
            raise UnwritableError(f"cannot be read: {error.strerror}", where=str(path)) from None
        if kind := kind_of(found.st_mode):
            raise _refusal(path, kind)


def kind_of(mode: int) -> str:
    """What a file is, if it is not a plain one: ``a device``; empty for a plain file."""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "")


def open_descriptor(path: Path) -> int | None:
    """The number of the open descriptor that a path stands for: 1 for ``/dev/stdout``; ``None`` for other paths."""
    own = {f"/proc/{os.getpid()}/fd", "/dev/fd"}
    name = os.path.abspath(path)
    for _ in range(_MAX_LINKS):
        folder, last = os.path.split(name)
        if last.isdecimal() and last.isascii() and os.path.realpath(folder) in own:
            return int(last)
        try:
            name = os.path.normpath(os.path.join(os.path.realpath(folder), os.readlink(name)))
        except OSError:
            return None
    return None


def _write(path: Path, data: bytes, mode: int | None, most: int, streams: bool, old: bytes | None) -> None:
    number = open_descriptor(path)
    if number is not None:
        if not streams:
            raise _refusal(path, "an open stream")
        _pour(os.dup(number), data)
        return
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if old is not None:
            raise UnwritableError("is not there any more", where=str(path)) from None
        _create(os.path.realpath(path), data, mode)
        return
    if kind := kind_of(found.st_mode):
        if not (streams and (stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode))):
            raise _refusal(path, kind)
        # Without O_NONBLOCK a pipe that nobody reads would wait for ever.
        flags = os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise UnwritableError("is a pipe that nothing reads from", where=str(path)) from None
            raise
        os.set_blocking(descriptor, True)
        _pour(descriptor, data)
        return
    _overwrite(path, data, most, old)


def _refusal(path: Path, kind: str) -> UnwritableError:
    return UnwritableError(f"is {kind}, not a file; nothing was written", where=str(path), advice="name a file")


def _pour(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        _write_all(file.fileno(), data)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _overwrite(path: Path, data: bytes, most: int, old: bytes | None) -> None:
    """Give a plain file that is there another content."""
    target = os.path.realpath(path)
    # Opened for writing first: a file that says it is read-only stays as it is, also in a folder of one's own.
    descriptor = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _refusal(path, kind_of(found.st_mode) or "something else")
        _refuse_trap(path, target, found)
        before = _content(descriptor, found.st_size)
        if old is not None and before != old:
            raise UnwritableError("somebody else changed it meanwhile", where=str(path), advice="try again")
        if found.st_nlink > 1 or not _replaced(target, descriptor, found, data, most):
            _in_place(descriptor, before, data)
            if stat.S_IMODE(found.st_mode) & ~most:
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & most)
    finally:
        os.close(descriptor)


def _refuse_trap(path: Path, target: str, found: os.stat_result) -> None:
    """In a folder that everybody may write to, such as ``/tmp``, another user's file may be there to catch the text."""
    folder = os.stat(os.path.dirname(target))
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if shared and found.st_uid not in (os.geteuid(), folder.st_uid):
        raise UnwritableError(
            "belongs to another user, in a folder that everybody may write to",
            where=str(path),
            advice="remove it, or name another file",
        )


def _content(descriptor: int, size: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read(size + 1)


def _replaced(target: str, descriptor: int, found: os.stat_result, data: bytes, most: int) -> bool:
    """Put a new file with the old one's owner, mode and attributes in its place; false if that cannot be done."""
    try:
        temporary, new = _temporary(target, PRIVATE)
    except OSError as error:
        if error.errno in _NOT_BY_NAME:
            return False
        raise
    try:
        try:
            _write_all(new, data)
            if not _made_alike(new, descriptor, found, most):
                return False
            os.fsync(new)
        finally:
            os.close(new)
        if not os.path.samestat(os.lstat(target), found):
            raise UnwritableError("somebody else replaced it meanwhile", where=target, advice="try again")
        try:
            os.replace(temporary, target)
        except OSError as error:
            if error.errno in _NOT_BY_NAME:
                return False
            raise
        temporary = ""
        return True
    finally:
        if temporary:
            with suppress(OSError):
                os.unlink(temporary)


def _temporary(target: str, mode: int) -> tuple[str, int]:
    """A new file beside another, with a name that nobody can foresee: made by this call or not at all."""
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(4).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return temporary, os.open(temporary, flags, mode)


def _made_alike(new: int, old: int, found: os.stat_result, most: int) -> bool:
    """Give a new file the owner, group, mode and extended attributes (such as an ACL) of another; false on failure."""
    try:
        made = os.fstat(new)
        if (made.st_uid, made.st_gid) != (found.st_uid, found.st_gid):
            os.fchown(new, found.st_uid, found.st_gid)
        for name, value in _attributes(old).items():
            if _attributes(new).get(name) != value:
                os.setxattr(new, name, value)
        os.fchmod(new, stat.S_IMODE(found.st_mode) & most)
    except OSError:
        return False
    made = os.fstat(new)
    return (made.st_uid, made.st_gid) == (found.st_uid, found.st_gid)


def _attributes(descriptor: int) -> dict[str, bytes]:
    if not hasattr(os, "listxattr"):
        return {}
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)}
    except OSError:
        # A file system without them.
        return {}


def _in_place(descriptor: int, before: bytes, data: bytes) -> None:
    """Write over a file's content. If that fails, as on a full disk, the old content is put back."""
    try:
        if len(data) > len(before) and hasattr(os, "posix_fallocate"):
            _take_room(descriptor, len(data))
        _put(descriptor, data)
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            _put(descriptor, before)
        raise


def _take_room(descriptor: int, size: int) -> None:
    """Take the room on disk before the first byte changes; nothing is lost on a file system that cannot do that."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


def _put(descriptor: int, data: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    _write_all(descriptor, data)
    os.ftruncate(descriptor, len(data))


def _create(target: str, data: bytes, mode: int | None) -> None:
    """A new file, whole or not at all. ``mode``: ``None`` for what the umask leaves."""
    temporary, descriptor = _temporary(target, 0o666 if mode is None else PRIVATE)
    try:
        try:
            _write_all(descriptor, data)
            if mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # link(2) fails where there is a file by now, which rename(2) would remove.
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise UnwritableError("somebody else made it meanwhile", where=target, advice="try again") from None
        except OSError:
            # A file system without hard links.
            os.replace(temporary, target)
            temporary = ""
    finally:
        if temporary:
            with suppress(OSError):
                os.unlink(temporary)
