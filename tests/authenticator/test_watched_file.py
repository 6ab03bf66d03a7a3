"""A file that is being written in place. Sources: fcntl(2), "Leases"; docs/adr/0009."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rolecall.authenticator import file_sources
from rolecall.authenticator.file_sources import WatchedFile, unwritten


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(file_sources.time, "monotonic", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


class Watched:
    """A watched file and what was seen of it."""

    def __init__(self, path: Path) -> None:
        self.seen: list[Any] = []
        self.file = WatchedFile(str(path), self.seen.append, lambda: self.seen.append(None), self.seen.append)

    def look(self, times: int = 2) -> list[Any]:
        for _ in range(times):
            self.file.look()
        return self.seen


def test_a_version_counts_once_its_writer_has_closed_it(tmp_path: Path, clock: Callable[[float], None]) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    watched = Watched(path)
    assert watched.look(1) == ["one"]
    with path.open("w") as file:
        for part in ("", "tw", "o:"):
            file.write(part)
            file.flush()
            # However long the writer takes for the next part.
            clock(file_sources.HELD_SECONDS / 2)
            assert watched.look() == ["one"]
    assert watched.look() == ["one", "two:"]


def test_the_first_version_is_waited_for_as_well(tmp_path: Path, clock: Callable[[float], None]) -> None:
    watched = Watched(tmp_path / "file")
    with (tmp_path / "file").open("w") as file:
        assert watched.look() == []
        file.write("one")
    assert watched.look() == ["one"]


def test_a_file_that_is_never_closed_counts_at_last(tmp_path: Path, clock: Callable[[float], None]) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    watched = Watched(path)
    watched.look()
    with path.open("w") as file:
        file.write("two")
        file.flush()
        assert watched.look() == ["one"]
        clock(file_sources.HELD_SECONDS)
        assert watched.look() == ["one", "two"]


def test_where_nobody_knows_who_writes_it_has_to_stand_still(
    tmp_path: Path, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(file_sources.fcntl, "fcntl", denied)
    path = tmp_path / "file"
    path.write_text("one")
    watched = Watched(path)
    assert watched.look(1) == ["one"]
    path.write_text("two")
    assert watched.look() == ["one"]
    clock(file_sources.STILL_SECONDS / 2)
    path.write_text("three")
    clock(file_sources.STILL_SECONDS / 2)
    assert watched.look() == ["one"]
    clock(file_sources.STILL_SECONDS)
    assert watched.look() == ["one", "three"]


def test_a_writer_that_comes_meanwhile_waits_and_ends_nobody(tmp_path: Path) -> None:
    # fcntl(2): the holder of a lease gets a signal, by default SIGIO, whose default is to end the process.
    path = tmp_path / "file"
    path.write_text("one")
    program = (
        "import signal, subprocess, sys\n"
        "from rolecall.authenticator.file_sources import unwritten\n"
        'write = \'import sys; open(sys.argv[1], "w").write("two")\'\n'
        "with open(sys.argv[1]) as file, unwritten(file.fileno()) as is_whole:\n"
        "    default = signal.getsignal(signal.SIGURG)\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})\n"
        "    writer = subprocess.Popen([sys.executable, '-c', write, sys.argv[1]])\n"
        "    signal.sigtimedwait({signal.SIGURG}, 30)\n"
        "    print(is_whole, default is signal.SIG_DFL, file.read())\n"
        "sys.exit(writer.wait(300))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True True one\n"), done.stderr
    assert path.read_text() == "two"


def test_a_reader_is_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    with path.open() as other, path.open() as file, unwritten(file.fileno()) as is_whole:
        assert (is_whole, other.read()) == (True, "one")


async def test_a_version_is_read_away_from_the_event_loop_and_put_in_force_in_it(tmp_path: Path) -> None:
    """1 MiB of aws-auth took 4.5 s in which nobody was answered, /healthz included."""
    (tmp_path / "file").write_text("one")
    threads: asyncio.Queue[threading.Thread] = asyncio.Queue()
    read_by: list[threading.Thread] = []

    def changed(text: str) -> Callable[[], None]:
        read_by.append(threading.current_thread())
        return lambda: threads.put_nowait(threading.current_thread())

    task = asyncio.create_task(WatchedFile(str(tmp_path / "file"), changed, lambda: None, lambda why: None).run())
    async with asyncio.timeout(60):
        assert await threads.get() is threading.current_thread()
    assert read_by[0] is not threading.current_thread()
    task.cancel()
