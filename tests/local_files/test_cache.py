"""Entries come back as they were put, for their binding alone; what is not one's own or is broken counts as not there."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.local_files.cache import MAX_ENTRY, Cache, Entry
from rolecall.local_files.locks import Lock
from rolecall.local_files.private import NotPrivateError, PrivateFolder

BINDING: dict[str, object] = {"cluster": "prod", "roles": [{"role_arn": "arn"}]}
ENTRY = Entry({"token": "k8s-aws-v1.x"}, 2_000.0)
LONG = 1e12

texts = st.text(max_size=30)
bindings = st.dictionaries(texts, st.one_of(texts, st.none(), st.lists(texts, max_size=3)), max_size=4)


class Told(list[str]):
    """Collects what a person is told."""

    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def cache(tmp_path: Path, told: Told) -> Cache:
    return Cache(str(tmp_path / "cache"), say=told)


def the_file(folder: Path) -> Path:
    (found,) = [path for path in (folder / "cache").iterdir() if path.suffix != ".lock"]
    return found


@given(binding=bindings, other=bindings, values=st.dictionaries(texts, texts, max_size=4), left=st.integers(1, 10**9))
def test_round_trip(
    tmp_path: Path, binding: dict[str, object], other: dict[str, object], values: dict[str, str], left: int
) -> None:
    cache = Cache(str(tmp_path / "cache"), say=pytest.fail)
    cache.put("token", binding, Entry(values, 1_000.0 + left), now=1.0)
    fresh = Cache(str(tmp_path / "cache"), say=pytest.fail)
    assert fresh.get("token", binding, now=1_000.0, margin=0, longest=LONG) == Entry(values, 1_000.0 + left)
    assert fresh.get("token", binding, now=1_000.0, margin=left, longest=LONG) is None
    assert fresh.get("session", binding, now=1_000.0, margin=0, longest=LONG) is None
    if other != binding:
        assert fresh.get("token", {**other, "x": 1}, now=1_000.0, margin=0, longest=LONG) is None


def test_a_secret_is_not_in_its_representation() -> None:
    assert "k8s-aws" not in repr(ENTRY)


def test_files_are_the_owners_alone(tmp_path: Path, cache: Cache) -> None:
    before = os.umask(0)
    try:
        cache.put("token", BINDING, ENTRY, now=1.0)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert stat.S_IMODE(the_file(tmp_path).stat().st_mode) == 0o600
    assert list((tmp_path / "cache").iterdir()) == [the_file(tmp_path)], "no temporary file is left"


@given(data=st.one_of(
    st.binary(max_size=200),
    st.recursive(st.one_of(st.none(), st.booleans(), st.floats(), texts), lambda x: st.lists(x) | st.dictionaries(texts, x)).map(lambda v: json.dumps(v).encode()),
    st.sampled_from([b"[" * 50_000, b'{"format": 1, "kind": "token", "expires": Infinity}', b"{}", b"\xff"]),
))  # fmt: skip
def test_no_content_crashes_or_is_taken(tmp_path: Path, data: bytes) -> None:
    cache = Cache(str(tmp_path / "cache"), say=pytest.fail)
    cache.put("token", BINDING, ENTRY, now=1.0)
    the_file(tmp_path).write_bytes(data)
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None


# The lines of an entry: format, kind, binding, made, ends, name, value.
@pytest.mark.parametrize(
    ("line", "text"),
    [
        (0, "rolecall 1"), (1, "session"), (2, "()"), (3, "2.0"), (3, "soon"), (3, "nan"), (4, "1.0"), (4, "inf"),
        (4, "nan"), (4, ""), (5, "token\nx"),
    ],
)  # fmt: skip
def test_an_entry_of_another_shape_is_not_taken(tmp_path: Path, cache: Cache, line: int, text: str) -> None:
    cache.put("token", BINDING, ENTRY, now=1.0)
    lines = the_file(tmp_path).read_text().split("\n")
    the_file(tmp_path).write_text("\n".join([*lines[:line], text, *lines[line + 1 :]]))
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None
    the_file(tmp_path).write_text("\n".join(lines))
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) == ENTRY


@pytest.mark.parametrize("ahead", [0.5, 30.0, 4 * 3600.0, 30 * 365 * 86_400.0])
def test_an_entry_from_the_future_is_not_used(cache: Cache, ahead: float) -> None:
    # WSL #4677, docker/for-win #4526: the clock was ahead when the entry was made, and is right again.
    now = 1_000_000.0
    cache.put("token", BINDING, Entry({"token": "x"}, now + ahead + 840), now=now + ahead)
    assert cache.get("token", BINDING, now=now, margin=60, longest=840) is None
    # One whose credentials end before the token would: its end alone does not show it.
    cache.put("token", BINDING, Entry({"token": "x"}, now + 600), now=now + ahead)
    assert cache.get("token", BINDING, now=now, margin=60, longest=840) is None
    cache.put("token", BINDING, Entry({"token": "x"}, now + 840), now=now)
    assert cache.get("token", BINDING, now=now, margin=60, longest=840) is not None
    assert cache.get("token", BINDING, now=now - 1, margin=60, longest=840) is None, "the clock was set back"


def test_each_sentence_is_said_once(tmp_path: Path, cache: Cache, told: Told) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o755)
    for _ in range(3):
        cache.put("token", BINDING, ENTRY, now=1.0)
        cache.get("token", BINDING, now=1.0, margin=0, longest=LONG)
        cache.lock("token", BINDING, 0.1)
    assert len(told) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_a_file_open_to_others_is_not_used_and_replaced(tmp_path: Path, cache: Cache, told: Told, mode: int) -> None:
    cache.put("token", BINDING, ENTRY, now=1.0)
    the_file(tmp_path).chmod(mode)
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None
    assert "open to other users" in told[0]
    cache.put("token", BINDING, ENTRY, now=1.0)
    assert stat.S_IMODE(the_file(tmp_path).stat().st_mode) == 0o600
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) == ENTRY


def test_a_link_is_neither_read_nor_written_through(tmp_path: Path, cache: Cache, told: Told) -> None:
    cache.put("token", BINDING, ENTRY, now=1.0)
    place, elsewhere = the_file(tmp_path), tmp_path / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None
    assert "not used" in told[0]
    cache.put("token", BINDING, Entry({"token": "new"}, 3_000.0), now=1.0)
    assert not place.is_symlink()
    assert "new" not in elsewhere.read_text()


def test_neither_a_second_name_nor_a_pipe_nor_a_huge_file(tmp_path: Path, cache: Cache) -> None:
    cache.put("token", BINDING, ENTRY, now=1.0)
    place = the_file(tmp_path)
    os.link(place, tmp_path / "second")
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None
    place.unlink()
    os.mkfifo(place, 0o600)
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None, "and does not wait for a writer"
    place.unlink()
    place.touch(0o600)
    os.truncate(place, MAX_ENTRY + 1)
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_not_used(tmp_path: Path, cache: Cache, told: Told) -> None:
    cache.put("token", BINDING, ENTRY, now=1.0)
    os.chown(the_file(tmp_path), 12345, 12345)
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None
    assert "belongs to somebody else" in told[0]
    os.chown(tmp_path / "cache", 12345, 12345)
    with pytest.raises(NotPrivateError, match="somebody else"):
        PrivateFolder(str(tmp_path / "cache"), create=True)


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_a_folder_that_is_not_private_is_left_alone(tmp_path: Path, cache: Cache, told: Told, kind: str) -> None:
    folder = tmp_path / "cache"
    if kind == "open":
        folder.mkdir()
        folder.chmod(0o755)
    elif kind == "link":
        (tmp_path / "real").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "real")
    else:
        folder.touch()
    cache.put("token", BINDING, ENTRY, now=1.0)
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None
    assert told
    assert [path.name for path in tmp_path.rglob("token*")] == []


def test_a_home_that_cannot_be_written_is_no_trouble(told: Told) -> None:
    cache = Cache("/proc/none/cache", say=told)
    cache.put("token", BINDING, ENTRY, now=1.0)
    assert cache.get("token", BINDING, now=1.0, margin=0, longest=LONG) is None
    assert cache.lock("token", BINDING, 1.0) is None
    assert told == []


def test_old_files_are_tidied_up(tmp_path: Path, cache: Cache) -> None:
    cache.put("token", {"old": "1"}, ENTRY, now=1.0)
    old = the_file(tmp_path)
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    cache.put("token", BINDING, ENTRY, now=1.0)
    assert the_file(tmp_path) != old


def test_too_much_is_not_kept(tmp_path: Path, cache: Cache) -> None:
    cache.put("token", BINDING, Entry({"token": "x" * MAX_ENTRY}, 2_000.0), now=1.0)
    assert not (tmp_path / "cache").exists()


def _work(folder: str, log: str) -> None:
    with Lock(PrivateFolder(folder, create=True), "x.lock", 10.0) as got:
        assert got
        for word in ("in", "out"):
            with open(log, "a") as file:
                file.write(f"{word} {os.getpid()}\n")
            time.sleep(0.02)


def test_one_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(str(tmp_path / "cache"), str(log))) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len(lines) == 12
    for entered, left in zip(lines[::2], lines[1::2], strict=True):
        assert (entered[0], left[0], entered[1]) == ("in", "out", left[1])


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    folder = PrivateFolder(str(tmp_path / "cache"), create=True)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        Lock(PrivateFolder(str(tmp_path / "cache"), create=True), "x.lock", 1.0).__enter__()
        os.write(writer, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(reader, 1)
    with Lock(folder, "x.lock", 0.1) as got:
        assert not got, "it is held"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with Lock(folder, "x.lock", 5.0) as got:
        assert got


def _waits(folder: str, expected: str | None) -> tuple[int, int, int]:
    """A child that waits for the lock once it is told to, and says so; ends with 0 where it hears what is expected."""
    reader, writer = os.pipe()
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reader, 1)
        os.write(tell, b"x")
        waiting = Lock(PrivateFolder(folder, create=True), "x.lock", 5.0)
        os._exit(0 if waiting.__enter__() and waiting.failure() == expected else 1)
    return child, writer, told


@pytest.mark.parametrize("fails", [True, False])
def test_a_failure_is_told_to_those_who_waited_for_it_and_nobody_else(tmp_path: Path, fails: bool) -> None:
    folder = PrivateFolder(str(tmp_path / "cache"), create=True)
    with (earlier := Lock(folder, "x.lock", 1.0)) as got:
        assert got
        earlier.leave_failure("long ago")
    # The child comes before the lock: it must not inherit it.
    child, writer, told = _waits(str(tmp_path / "cache"), "no\nluck" if fails else None)
    with (first := Lock(folder, "x.lock", 1.0)) as got:
        assert got
        assert first.failure() is None, "it did not wait"
        os.write(writer, b"x")
        os.read(told, 1)
        time.sleep(0.3)
        if fails:
            first.leave_failure("no\nluck")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


KEYRING = '''
import json, os
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    """A keyring in a file, for the test."""
    priority = 1
    def _all(self):
        try:
            return json.load(open(os.environ["TEST_KEYRING"]))
        except FileNotFoundError:
            return {}
    def get_password(self, service, name):
        return self._all().get(f"{service} {name}")
    def set_password(self, service, name, value):
        found = self._all()
        found[f"{service} {name}"] = value
        json.dump(found, open(os.environ["TEST_KEYRING"], "w"))
'''


def test_the_keyring_keeps_what_files_do_not(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring", reason="the optional extra `keyring` is not installed")
    (tmp_path / "file_keyring.py").write_text(KEYRING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TEST_KEYRING", str(tmp_path / "keyring.json"))
    from importlib import import_module

    monkeypatch.setattr(keyring.core, "_keyring_backend", import_module("file_keyring").Keyring())
    cache = Cache(str(tmp_path / "cache"), keyring=True, say=told)
    cache.put("session", BINDING, ENTRY, now=1.0)
    assert not (tmp_path / "cache").exists()
    (name,) = json.loads((tmp_path / "keyring.json").read_text())
    assert name.startswith("rolecall session-")
    assert cache.get("session", BINDING, now=1.0, margin=0, longest=LONG) == ENTRY
    assert told == []


def test_a_keyring_that_fails_is_told(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    cache = Cache(str(tmp_path / "cache"), keyring=True, say=told)
    cache.put("session", BINDING, ENTRY, now=1.0)
    assert cache.get("session", BINDING, now=1.0, margin=0, longest=LONG) is None
    assert "no keyring package" in told[0]
