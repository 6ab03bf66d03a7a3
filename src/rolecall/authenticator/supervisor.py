"""Starts the authenticator: settings, certificate, kubeconfig, sockets; then it becomes the keeper of the workers."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sys
import tempfile
from datetime import UTC, datetime
from typing import NoReturn

from rolecall.authenticator.certificates import (
    ensure_certificate,
    load_context,
    webhook_url,
    write_kubeconfig,
)
from rolecall.authenticator.connection_limits import MAX_CONNECTIONS
from rolecall.authenticator.decision_log import AuditLog, Log
from rolecall.authenticator.sts import tls_context
from rolecall.authenticator.sts_connections import proxy_of_environment
from rolecall.authenticator.worker_process import handed_over
from rolecall.errors import RolecallError
from rolecall.mapping.backends.chain import ACCESS_ENTRIES
from rolecall.mapping.backends.server_config import ServerSettings, check_settings, mode_names

# Connections of clients, those in their handshake, those to STS, and everything else.
FILES = 2 * MAX_CONNECTIONS + 4_096


class BindError(RolecallError):
    """The port cannot be listened on."""


def serve(settings: ServerSettings, config_file: str, log: Log) -> NoReturn:
    """Prepare the authenticator, and become the keeper of its workers, which runs until it is stopped.

    What was imported to prepare it would stay in memory; so the keeper takes the place of this program (``execve``),
    with the same process id. It gets the settings in a file that has no name any more.
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
    proxy_of_environment()
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
    handover = {
        "worker": handed_over(settings, config_file, files, modes),
        "listening": [one.fileno() for one in listening],
        "healthz": healthz.fileno() if healthz else None,
        "url": webhook_url(settings, port),
        "logForm": log.form,
        "logLevel": log.level_name,
        # Several workers share their figures, so that each of them can tell all.
        "figures": tempfile.mkdtemp(prefix="rolecall-metrics-") if settings.workers > 1 else "",
        "python": _interpreter(),
    }
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(handover).encode())
        file.flush()
        sockets = [*listening, *([healthz] if healthz else [])]
        for descriptor in (file.fileno(), *(one.fileno() for one in sockets)):
            os.set_inheritable(descriptor, True)
        sys.stdout.flush()
        sys.stderr.flush()
        command = [*_interpreter(), "rolecall.authenticator.keeper", str(file.fileno())]
        os.execv(command[0], command)  # noqa: S606 -- the interpreter that runs this


def _interpreter() -> list[str]:
    """This interpreter, told to run a module; never one from the current directory."""
    return [sys.executable, "-I" if sys.flags.isolated else "-P", "-m"]


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
