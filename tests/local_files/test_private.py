"""Private files: replaced at once, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rolecall.local_files.private import write_private


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "f", "one")
    write_private(tmp_path / "f", "two")
    assert (tmp_path / "f").read_text() == "two"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_old_text_and_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """write(2): ENOSPC comes at any write; the new text is complete or not there."""
    write_private(tmp_path / "f", "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError) as raised:
        write_private(tmp_path / "f", "new")
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "f"))
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "old"


def test_nothing_that_waits_under_a_name_gets_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CWE-377, CWE-59: in a folder of many a temporary file's name is not to be foreseen, and a link is not followed."""
    theirs = tmp_path / "theirs"
    theirs.write_text("")
    for name in (f".f.{os.getpid()}", f".f.{os.getpid()}.00000000"):
        (tmp_path / name).symlink_to(theirs)
    write_private(tmp_path / "f", "secret")
    assert (theirs.read_text(), (tmp_path / "f").read_text()) == ("", "secret")
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(os, "urandom", bytes)
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "f", "other")
    assert (theirs.read_text(), (tmp_path / "f").read_text()) == ("", "secret")
