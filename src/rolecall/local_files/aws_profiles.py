"""Write profiles into the AWS CLI's ``config``: a text that belongs to a person, of which only our profiles change.

Sources: AWS CLI user guide, "Configuration and credential file settings", "Using an IAM role in the AWS CLI".
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rolecall.local_files.aws_config import AwsConfigError, file_paths
from rolecall.local_files.profile_text import RoleProfile, Written, merged
from rolecall.local_files.writing import require_file, write_file

MAX_FILE = 8 * 1024 * 1024
LOCK_SECONDS = 5.0


def config_path(environment: Mapping[str, str]) -> Path:
    """The file that profiles are written to: ``$AWS_CONFIG_FILE``, else ``~/.aws/config``.

    :raises AwsConfigError: there is no home folder.
    """
    path = Path(file_paths(environment)[0])
    if path.parts and path.parts[0].startswith("~"):
        raise AwsConfigError(
            "there is no home folder to write it to: HOME is not set",
            where=str(path),
            advice="set HOME or AWS_CONFIG_FILE, or name a file: --config FILE",
        )
    return path


def write_profiles(path: Path, profiles: Sequence[RoleProfile]) -> Written:
    """Write profiles into a config file, which keeps its owner and mode; a new one is for its owner alone.

    :raises RolecallError: it cannot be read or written, or is not a file; then it is as it was.
    """
    require_file(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _held(path):
        text, new, written = preview_profiles(path, profiles)
        if new != text:
            write_file(path, new, old=text if path.exists() else None)
    return written


def preview_profiles(path: Path, profiles: Sequence[RoleProfile]) -> tuple[str, str, Written]:
    """The file's text, the text that :func:`write_profiles` would give it, and what that does; writes nothing."""
    require_file(path)
    text = _read(path)
    return text, *merged(text, profiles, where=str(path))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise AwsConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(content) > MAX_FILE:
        raise AwsConfigError(f"has more than {MAX_FILE} bytes", where=str(path))
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise AwsConfigError("is not UTF-8 text", where=str(path)) from None


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """One rolecall at a time in the file's folder; the AWS CLI itself takes no lock."""
    try:
        descriptor = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        # A folder that may be entered and not read: what somebody else writes meanwhile is found out by `old`.
        yield
        return
    try:
        ends = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise AwsConfigError(
                        "another rolecall is writing to it", where=str(path), advice="try again"
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
