"""access.yaml and a manifest of aws-auth are edited in place of their owner; a plan goes where it is sent."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rolecall.local_files.edited import EditedFileError, read_text, replace_text
from unusual_files import ROOT, in_private_mounts, make_device


def test_an_edited_file_keeps_its_owner_mode_and_link(tmp_path: Path) -> None:
    (tmp_path / "access.yaml").write_bytes(b"a: 1\r\n")
    (tmp_path / "access.yaml").chmod(0o664)
    if ROOT:
        os.chown(tmp_path / "access.yaml", 1000, 1001)
    (tmp_path / "link").symlink_to("access.yaml")
    before = (tmp_path / "access.yaml").stat()
    replace_text(tmp_path / "link", read_text(tmp_path / "link"), "a: 2\r\n")
    after = (tmp_path / "access.yaml").stat()
    assert (tmp_path / "access.yaml").read_bytes() == b"a: 2\r\n"
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert (tmp_path / "link").is_symlink()


def test_an_edited_file_that_is_mounted_is_written_in_place(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "access.yaml").write_text("")
    code = "import sys; from pathlib import Path; from rolecall.local_files.edited import *; replace_text(Path(sys.argv[1]), 'old', 'new')"
    in_private_mounts([(tmp_path / "real", tmp_path / "access.yaml")], code, str(tmp_path / "access.yaml"))
    assert (tmp_path / "real").read_text() == "new"


def test_what_is_no_file_or_was_changed_is_refused(tmp_path: Path) -> None:
    make_device(tmp_path / "null")
    with pytest.raises(EditedFileError, match="is a device, not a file"):
        replace_text(tmp_path / "null", "", "new")
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)
    (tmp_path / "f").write_text("theirs")
    with pytest.raises(EditedFileError, match="somebody else changed it meanwhile"):
        replace_text(tmp_path / "f", "mine", "new")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/null"])
def test_a_plan_goes_to_a_stream_and_new_files_too(tmp_path: Path, name: str) -> None:
    code = (
        "import sys; from pathlib import Path; from rolecall.local_files.writing import *\n"
        "write_file(Path(sys.argv[1]), 'plan\\n', most=PRIVATE, streams=True)\n"
        "create_file(Path(sys.argv[1]), 'file\\n', advice='')"
    )
    before = os.stat("/dev/null")
    done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ("plan\nfile\n" if name == "/dev/stdout" else "")
    assert (os.stat("/dev/null").st_mode, os.stat("/dev/null").st_ino) == (before.st_mode, before.st_ino)
