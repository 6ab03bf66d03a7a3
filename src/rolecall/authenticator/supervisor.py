"""Starts the authenticator: settings, certificate, kubeconfig, sockets; then the workers and their keeper.

Each worker has a listening socket of its own on the one port (``SO_REUSEPORT`` where there are several), which the
keeper holds as well: while a worker that died is being replaced, its socket goes on taking connections, and none is
refused.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rolecall.authenticator.certificates import (
    CertificateFiles,
    ensure_certificate,
    load_context,
    webhook_url,
    write_kubeconfig,
)
from rolecall.authenticator.connection_limits import MAX_CONNECTIONS
from rolecall.authenticator.decision_log import AuditLog, Log
from rolecall.authenticator.metrics import share_between_workers
from rolecall.authenticator.sts import tls_context
from rolecall.authenticator.worker import run_worker
from rolecall.authenticator.worker_options import WorkerOptions
from rolecall.errors import RolecallError
from rolecall.mapping.backends.chain import ACCESS_ENTRIES
from rolecall.mapping.backends.server_config import ServerSettings, check_settings, mode_names

# A worker that dies at once is started again with longer and longer pauses.
FIRST_PAUSE, MAX_PAUSE, STABLE_SECONDS = 0.05, 5.0, 10.0
STOP_SECONDS = 15.0
# Connections of clients, those in their handshake, those to STS, and everything else.
FILES = 2 * MAX_CONNECTIONS + 4_096


class BindError(RolecallError):
    """The port cannot be listened on."""


def serve(settings: ServerSettings, config_file: str, log: Log, *, on_ready: Callable[[str], None]) -> int:
    """Run the authenticator until it is told to stop; the exit code.

    :param on_ready: called with the webhook's URL once requests are answered.
    """
    check_settings(settings)
    _raise_file_limit()
    modes = mode_names(settings.backend_modes)
    if ACCESS_ENTRIES not in modes and (settings.access_entries_file or settings.access_entries_cluster):
        # As on EKS, an access entry wins over every other mapping of its principal.
        modes = (ACCESS_ENTRIES, *modes)
    files = ensure_certificate(settings, datetime.now(UTC), log)
    load_context(files)
    tls_context(settings.sts_ca_file)
    AuditLog(settings.audit_log)
    listening = bound_sockets(settings.address, settings.port, settings.workers)
    port = int(listening[0].getsockname()[1])
    healthz = _healthz_socket(settings, log)
    if not settings.kubeconfig_pregenerated:
        path = write_kubeconfig(settings, files, port, log)
        log.info(
            f"reconfigure your apiserver with `--authentication-token-webhook-config-file={path}` to enable "
            "(assuming default hostPath mounts)"
        )
    url = webhook_url(settings, port)

    def ready() -> None:
        log.info(f"listening on {url}")
        on_ready(url)

    options = WorkerOptions(settings, config_file, files, listening[0], log, healthz, modes=modes, ready=ready)
    return _Keeper(options, listening, files).run()


def every_address() -> str:
    """The address that stands for all of this machine's, of IPv4 and of IPv6 if there is one."""
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 -- a probe comes from another address


def bound_sockets(address: str, port: int, count: int) -> list[socket.socket]:
    """Listening sockets on one port; ``port`` 0 lets the system choose it."""
    found: list[socket.socket] = []
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        if count > 1 and port:
            # Sockets that share a port let anybody of the same user in, another server by mistake as well.
            with socket.socket(family, socket.SOCK_STREAM) as alone:
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                alone.bind((address, port))
        for _ in range(count):
            one = socket.socket(family, socket.SOCK_STREAM)
            found.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if address == "::":
                # As in Go, this address takes connections of both protocols, whatever the system's default is.
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            if count > 1:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind((address, port))
            port = int(one.getsockname()[1])
            one.listen(1024)
            one.setblocking(False)
    except OSError as error:
        for one in found:
            one.close()
        raise BindError(
            f"cannot listen: {error.strerror}",
            where=f"{address}:{port}",
            advice="another server may be running; choose another port: --port PORT",
        ) from None
    return found


def _raise_file_limit() -> None:
    """As many open files as the system allows, as programs in Go have (``os/rlimit.go``).

    The usual 1,024 would turn connections away long before the server's own bounds do.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _healthz_socket(settings: ServerSettings, log: Log) -> socket.socket | None:
    """``/healthz`` without TLS, on every address and port 21363 as the original; a port that is taken stops nothing."""
    if not settings.healthz_port:
        return None
    try:
        return bound_sockets(settings.healthz_address or every_address(), settings.healthz_port, 1)[0]
    except BindError as error:
        log.warning("no health checks without TLS", where=error.where, error=error.what)
        return None


def _run(options: WorkerOptions) -> None:
    import uvloop

    uvloop.run(run_worker(options))


class _Keeper:
    """Keeps as many workers as were asked for."""

    def __init__(self, options: WorkerOptions, listening: list[socket.socket], files: CertificateFiles) -> None:
        self._options = options
        self._listening = listening
        self._files = files
        self._workers: dict[int, tuple[int, float]] = {}
        self._starts: dict[int, float] = dict.fromkeys(range(len(listening)), 0.0)
        self._pauses: dict[int, float] = dict.fromkeys(range(len(listening)), FIRST_PAUSE)
        self._ready: set[int] = set()
        self._announced = False
        self._stopping = False
        self._code = 0
        self._wake, self._woken = os.pipe()
        self._alive, self._held = os.pipe()
        self._said, self._say = os.pipe()
        for end in (self._wake, self._woken, self._said):
            os.set_blocking(end, False)
        self._figures = Path(tempfile.mkdtemp(prefix="rolecall-metrics-"))

    def run(self) -> int:
        """Keep them until told to stop."""
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            while not self._stopping:
                self._start_due()
                self._wait()
                self._reap()
            self._end()
        finally:
            shutil.rmtree(self._figures, ignore_errors=True)
        return self._code

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _start_due(self) -> None:
        now = time.monotonic()
        running = {place for place, _ in self._workers.values()}
        for place, due in self._starts.items():
            if place not in running and due <= now:
                self._start(place)

    def _start(self, place: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            self._workers[child] = (place, time.monotonic())
            return
        code = 1
        try:
            self._become_worker(place)
            code = 0
        except BaseException as error:
            self._options.log.error("a worker has failed", place=place, error=f"{type(error).__name__}: {error}"[:500])
        finally:
            # The keeper's clean-up is not the worker's: no frame above this one may run.
            os._exit(code)

    def _become_worker(self, place: int) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.close(self._held)
        if len(self._listening) > 1:
            share_between_workers(self._figures, place)
        # A worker's loop closes its socket when it ends; the keeper's stays open.
        own = self._listening[place].dup()
        options = replace(
            self._options,
            listening=own,
            healthz=self._options.healthz.dup() if self._options.healthz else None,
            place=place,
            parent=self._alive,
            ready=lambda: self._tell_ready(place),
        )
        _run(options)

    def _tell_ready(self, place: int) -> None:
        os.write(self._say, bytes([place]))

    def _wait(self) -> None:
        now = time.monotonic()
        running = {place for place, _ in self._workers.values()}
        due = [at - now for place, at in self._starts.items() if place not in running]
        timeout = max(0.0, min(due)) if due else None
        readable, _, _ = select.select([self._wake, self._said], [], [], timeout)
        if self._wake in readable:
            os.read(self._wake, 4096)
        if self._said in readable:
            self._ready.update(os.read(self._said, 4096))
            if not self._announced and len(self._ready) == len(self._listening):
                self._announced = True
                self._options.ready()

    def _reap(self) -> None:
        while self._workers:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not child:
                return
            place, started = self._workers.pop(child)
            if self._stopping:
                continue
            stable = time.monotonic() - started > STABLE_SECONDS
            pause = FIRST_PAUSE if stable else self._pauses[place]
            self._pauses[place] = min(MAX_PAUSE, pause * 2)
            self._starts[place] = time.monotonic() + pause
            code = os.waitstatus_to_exitcode(status)
            if not self._ready:
                # What keeps the first worker from its start keeps all of them: whoever started the server has to know.
                self._options.log.error("the server cannot start", place=place, code=code)
                self._stopping, self._code = True, 1
                return
            self._options.log.error("a worker has ended: another one is started", place=place, code=code)

    def _end(self) -> None:
        for child in self._workers:
            os.kill(child, signal.SIGTERM)
        ends = time.monotonic() + STOP_SECONDS
        while self._workers and time.monotonic() < ends:
            select.select([self._wake], [], [], 0.05)
            self._reap()
        for child in self._workers:
            os.kill(child, signal.SIGKILL)
