"""Runs etcd and kube-apiserver for as long as the lab's process lives, and not a moment longer.

A program of its own, by its file, with the standard library alone. It reads one line of JSON from its standard input:
the commands, in order of start. Then it waits: the end of its input means that the lab has stopped or was killed, the
end of a program that the control plane is broken. Either way everything is ended, in reverse order, and so is this.

The lock file is held by this process and inherited by the programs: who holds it knows that none of an earlier run is
left that could write to the same data.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

LOCK_SECONDS = 20.0
LISTEN_SECONDS = 20.0
END_SECONDS = 5.0
LOG_BYTES = 5_000_000
CHECK_SECONDS = 30.0
_SET_PARENT_DEATH_SIGNAL = 1


def main() -> int:
    plan = json.loads(sys.stdin.buffer.raw.readline())  # type: ignore[union-attr]
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    lock = os.open(plan["lock"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not take(lock):
        return 3
    running: list[subprocess.Popen[bytes]] = []
    try:
        for one in plan["programs"]:
            running.append(start(one, lock))
            if one.get("port") and not listens(one["port"], running):
                return 1
        return watch(wake, running, [one["log"] for one in plan["programs"]])
    finally:
        for process in reversed(running):
            end(process)


def take(lock: int) -> bool:
    """Hold the lock once the programs of an earlier run are gone; not at all if the lab goes away meanwhile."""
    deadline = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < deadline and not lab_is_gone(0.05):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def start(one: dict, lock: int) -> "subprocess.Popen[bytes]":  # type: ignore[type-arg]
    log = os.open(one["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603 -- the command line that the lab has given
            one["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            # This process has one thread, so nothing can be locked in the child.
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
    finally:
        os.close(log)


OWN_ID = os.getpid()
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Where this process itself is killed, the kernel ends the programs (prctl(2), PR_SET_PDEATHSIG)."""
    if LIBC is not None:
        LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != OWN_ID:
            # It was killed before it could ask the kernel.
            os._exit(1)


def listens(port: int, running: "list[subprocess.Popen[bytes]]") -> bool:
    deadline = time.monotonic() + LISTEN_SECONDS
    while time.monotonic() < deadline and not lab_is_gone(0.02) and running[-1].poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return True
    return False


def watch(wake: int, running: "list[subprocess.Popen[bytes]]", logs: "list[str]") -> int:
    """0 when the lab has ended or this process is asked to end, 1 when a program has ended."""
    while True:
        readable, _, _ = select.select([wake, sys.stdin], [], [], CHECK_SECONDS)
        if sys.stdin in readable:
            return 0
        if any(process.poll() is not None for process in running):
            return 1
        if wake in readable and {signal.SIGTERM, signal.SIGINT} & set(os.read(wake, 256)):
            return 0
        for log in logs:
            # The programs append, so a log that is cut goes on from its beginning.
            if os.path.getsize(log) > LOG_BYTES:
                os.truncate(log, 0)


def lab_is_gone(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
