"""A lab from outside: start it as a process of its own, find it, stop it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace

from rolecall.lab.home import Backend, LabError, LabHome, LabSettings, RunningLab

# Against a lab that hangs, also on a loaded machine: it starts in a second.
START_TIMEOUT = 120.0
# A lab of the real backend starts its control planes again before it says that it is ready.
START_TIMEOUT_REAL = 180.0
STOP_TIMEOUT = 30.0


def settle(
    home: LabHome,
    *,
    accounts: Iterable[str] = (),
    region: str | None = None,
    port: int | None = None,
    kubernetes: Backend | None = None,
) -> LabSettings:
    """The settings to start with: those of the lab with the given changes, saved.

    Accounts are added, never removed: an account has state. The first account of a lab stays the first.
    :class:`LabError` for settings that no lab can have; nothing is written then.
    """
    asked = tuple(dict.fromkeys(accounts))
    before = home.settings() if home.exists() else None
    settings = before or LabSettings(asked or LabSettings().accounts)
    settings = replace(
        settings,
        accounts=tuple(dict.fromkeys((*settings.accounts, *asked))),
        region=settings.region if region is None else region,
        port=settings.port if port is None else port,
        kubernetes=settings.kubernetes if kubernetes is None else kubernetes,
    )
    if before is not None and before.partition != settings.partition:
        raise LabError(
            f"this lab is in partition {before.partition}, which all its ARNs name; "
            f"{settings.region} is in {settings.partition}",
            where=str(home.folder),
            advice="create another lab for it: rolecall lab up --home DIR --region " + settings.region,
        )
    home.create()
    home.save_settings(settings)
    return settings


def start_detached(home: LabHome) -> RunningLab:
    """Start the lab's process and return once it answers; :class:`LabError` with its own words if it does not."""
    real = home.exists() and home.settings().kubernetes is Backend.REAL
    timeout = START_TIMEOUT_REAL if real else START_TIMEOUT
    reading, writing = os.pipe()
    with open(home.log, "ab") as log:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            [sys.executable, "-m", "rolecall.lab.serve", "--home", str(home.folder), "--ready-fd", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writing,),
            start_new_session=True,
            cwd="/",
        )
    os.close(writing)
    try:
        said = _read_line(reading, time.monotonic() + timeout)
    except BaseException:
        process.terminate()
        raise
    finally:
        os.close(reading)
    if said.startswith("ready "):
        return RunningLab(process.pid, said.removeprefix("ready ").strip())
    process.terminate()
    what, _, advice = said.removeprefix("failed ").rstrip("\n").partition("\t")
    raise LabError(what or "the lab did not start", where=str(home.folder), advice=advice or f"its log: {home.log}")


def stop(home: LabHome) -> bool:
    """Stop the lab's process and wait until it is gone; whether there was one."""
    running = home.running()
    if running is None:
        if home.is_held():
            raise LabError("the lab is starting or stopping", where=str(home.folder), advice="try again in a second")
        return False
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while home.is_held():
        if time.monotonic() > deadline:
            raise LabError(
                f"process {running.pid} has not stopped after {STOP_TIMEOUT:.0f} s",
                where=str(home.folder),
                advice=f"its log: {home.log}",
            )
        time.sleep(0.02)
    return True


def require_running(home: LabHome) -> RunningLab:
    """The process that serves the lab; :class:`LabError` if none does."""
    running = home.running()
    if running is None:
        raise LabError(
            "the lab is not running" if home.exists() else "there is no lab here",
            where=str(home.folder),
            advice="start it: rolecall lab up --detach",
        )
    return running


def _read_line(descriptor: int, deadline: float) -> str:
    data = b""
    while not data.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(descriptor, 4096) if readable else b""
        if not chunk:
            break
        data += chunk
    return data.decode(errors="replace")
