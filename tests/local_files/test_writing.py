"""A file that a person names stays the person's: what it is, whose it is, who may read it.

Sources: rename(2) (EBUSY), fs.protected_regular in Linux's sysctl documentation; minikube issues 5417 and 5714 (a
kubeconfig that is root's after sudo), OSC/ood_core issue 292 (``KUBECONFIG=/dev/null``), kubernetes issue 67676 (a
bind-mounted kubeconfig).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rolecall.local_files import writing
from rolecall.local_files.writing import (
    UnwritableError,
    create_file,
    kind_of,
    open_descriptor,
    require_file,
    write_file,
)
from unusual_files import ROOT, in_private_mounts, make_device

BIG = "x" * 300_000


def test_a_new_file_has_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "secret", "a\r\n\u2028")
        write_file(tmp_path / "public", "b", mode=0o644)
        create_file(tmp_path / "mine", "c", advice="")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").read_bytes() == "a\r\n\u2028".encode()
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()}
    assert modes == {"secret": 0o600, "public": 0o644, "mine": 0o640}


def test_a_file_that_is_there_is_not_created_again(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to("gone")
    for name in ("file", "nowhere", "folder"):
        if name != "nowhere":
            (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).write_text("old")
        with pytest.raises(UnwritableError, match="exists already") as raised:
            create_file(tmp_path / name, "new", advice="name another")
        assert raised.value.advice == "name another"
    assert (tmp_path / "file").read_text() == "old"
    make_device(tmp_path / "null")
    create_file(tmp_path / "null", "new", advice="")
    assert kind_of(os.stat(tmp_path / "null").st_mode) == "a device"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664])
def test_the_mode_stays_or_gets_stricter(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(mode)
    write_file(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)
    write_file(path, "secret", most=0o600)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("secret", mode & 0o600)


@pytest.mark.skipif(not ROOT, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("links", [1, 2])
def test_owner_and_group_stay_under_sudo(tmp_path: Path, links: int) -> None:
    path = tmp_path / "config"
    path.write_text("old")
    if links > 1:
        os.link(path, tmp_path / "other-name")
    path.chmod(0o640)
    os.chown(path, 1000, 1001)
    write_file(path, BIG)
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_nlink) == (1000, 1001, 0o640, links)
    assert path.read_text() == BIG


def test_links_stay_links_also_one_that_leads_nowhere_yet(tmp_path: Path) -> None:
    for name, there in (("real", True), ("not-yet", False)):
        if there:
            (tmp_path / name).write_text("old")
        (tmp_path / f"to-{name}").symlink_to(tmp_path / name)
        (tmp_path / f"to-to-{name}").symlink_to(f"to-{name}")
        write_file(tmp_path / f"to-to-{name}", "new")
        assert (tmp_path / f"to-to-{name}").is_symlink()
        assert (tmp_path / f"to-{name}").is_symlink()
        assert (tmp_path / name).read_text() == "new"


def test_extended_attributes_stay(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    # A file system without attributes has none to keep.
    with contextlib.suppress(OSError):
        os.setxattr(path, "user.note", b"mine")
    before = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    write_file(path, "new")
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == before


def test_a_file_of_several_names_is_one_file_afterwards(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old, and longer")
    os.link(tmp_path / "a", tmp_path / "b")
    write_file(tmp_path / "a", "new")
    assert (tmp_path / "b").read_text() == "new"


DEVICES: list[tuple[str, Callable[[Path], object], str]] = [
    ("device", make_device, "is a device, not a file"),
    ("pipe", os.mkfifo, "is a pipe, not a file"),
    ("folder", Path.mkdir, "is a folder, not a file"),
    ("socket", lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "is a socket, not a file"),
]


@pytest.mark.parametrize("link", [False, True], ids=["itself", "a link to it"])
@pytest.mark.parametrize(("make", "words"), [(make, words) for _, make, words in DEVICES], ids=[one[0] for one in DEVICES])  # fmt: skip
def test_what_is_no_file_is_refused_and_stays(
    tmp_path: Path, make: Callable[[Path], object], words: str, link: bool
) -> None:
    make(tmp_path / "it")
    before = os.lstat(tmp_path / "it")
    path = tmp_path / "it"
    if link:
        path = tmp_path / "link"
        path.symlink_to("it")
    for refused in (lambda: write_file(path, "text"), lambda: require_file(path)):
        with pytest.raises(UnwritableError, match=words) as raised:
            refused()
        assert raised.value.where == str(path)
    after = os.lstat(tmp_path / "it")
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


def test_a_stream_is_written_to_only_if_it_may_be_one(tmp_path: Path) -> None:
    make_device(tmp_path / "null")
    write_file(tmp_path / "null", "text", streams=True)
    assert kind_of(os.stat(tmp_path / "null").st_mode) == "a device"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnwritableError, match="is a pipe that nothing reads from"):
        write_file(tmp_path / "pipe", "text", streams=True)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    # Opened for both ends, so that the reader and the writer find each other in any order.
    held = os.open(tmp_path / "pipe", os.O_RDWR)
    reader.start()
    write_file(tmp_path / "pipe", BIG, streams=True)
    os.close(held)
    reader.join()
    assert got == [BIG]


def test_dev_stdout_is_the_standard_output_whatever_that_is(tmp_path: Path) -> None:
    assert [open_descriptor(Path(path)) for path in ("/dev/stdout", "/dev/fd/2", "/proc/self/fd/7", "/dev/null")] == [
        1, 2, 7, None,
    ]  # fmt: skip
    (tmp_path / "link").symlink_to("/dev/stdout")
    code = (
        "import sys; from pathlib import Path; from rolecall.local_files.writing import write_file\n"
        "print('before', flush=True); write_file(Path(sys.argv[1]), 'text\\n', streams=True); print('after')"
    )
    for path in ("/dev/stdout", "/proc/self/fd/1", str(tmp_path / "link")):
        with (tmp_path / "out").open("wb") as out:
            subprocess.run([sys.executable, "-c", code, path], stdout=out, check=True, timeout=300)
        assert (tmp_path / "out").read_text() == "before\ntext\nafter\n"
    with pytest.raises(UnwritableError, match="is an open stream, not a file"):
        write_file(Path("/dev/stdout"), "text")


def test_a_mount_point_is_written_in_place(tmp_path: Path) -> None:
    for name in ("real", "mounted"):
        (tmp_path / name).write_text("old")
    (tmp_path / "real").chmod(0o640)
    in_private_mounts(
        [(tmp_path / "real", tmp_path / "mounted")],
        "import sys; from pathlib import Path; from rolecall.local_files.writing import write_file\n"
        f"write_file(Path({str(tmp_path / 'mounted')!r}), 'new')",
    )
    assert ((tmp_path / "real").read_text(), (tmp_path / "mounted").read_text()) == ("new", "old")
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mounted", "real"]


def test_a_file_in_a_folder_that_may_not_be_written_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.write_text("old")

    def refused(*_: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(writing, "_temporary", refused)
    number = path.stat().st_ino
    write_file(path, BIG)
    assert (path.read_text(), path.stat().st_ino) == (BIG, number)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_full_disk_leaves_the_old_text_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_place: bool
) -> None:
    """write(2): ENOSPC comes at any write; the new text is complete or not there."""
    path = tmp_path / "f"
    path.write_text("old")
    if in_place:
        os.link(path, tmp_path / "g")
    real, calls = os.write, [0]

    def full(descriptor: int, data: bytes) -> int:
        calls[0] += 1
        if calls[0] == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, bytes(data)[: max(len(data) // 2, 1)])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UnwritableError, match="cannot be written: No space left") as raised:
        write_file(path, "new and longer")
    assert raised.value.where == str(path)
    assert path.read_text() == "old"
    assert sorted(one.name for one in tmp_path.iterdir()) == (["f", "g"] if in_place else ["f"])


def test_what_somebody_changed_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("theirs")
    with pytest.raises(UnwritableError, match="somebody else changed it meanwhile"):
        write_file(path, "new", old="mine")
    assert path.read_text() == "theirs"
    with pytest.raises(UnwritableError, match="is not there any more"):
        write_file(tmp_path / "gone", "new", old="mine")


@pytest.mark.skipif(not ROOT, reason="only root can give a file to somebody else")
def test_another_users_file_in_a_shared_folder_is_a_trap(tmp_path: Path) -> None:
    """As ``fs.protected_regular``: in /tmp, somebody else's file under a name that is written to may be waiting."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "plan.json").write_text("theirs")
    os.chown(shared / "plan.json", 1000, 1000)
    with pytest.raises(UnwritableError, match="belongs to another user, in a folder that everybody may write to"):
        write_file(shared / "plan.json", "secret")
    assert (shared / "plan.json").read_text() == "theirs"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnwritableError, match="cannot be written: No such file or directory") as raised:
        write_file(tmp_path / "no" / "f", "x")
    assert raised.value.where == str(tmp_path / "no" / "f")
