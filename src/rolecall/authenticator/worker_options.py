"""What a worker of the authenticator is started with."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from rolecall.authenticator.certificates import CertificateFiles
from rolecall.authenticator.decision_log import Log
from rolecall.mapping.backends.server_config import ServerSettings


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker is started with.

    :param listening: bound sockets of the webhook; closing them is the worker's.
    :param healthz: a bound socket that answers ``/healthz`` without TLS, or ``None``.
    :param place: from 0; the one in place 0 writes the status of IAMIdentityMapping objects.
    :param ready: called once requests are answered.
    :param parent: a pipe's end that closes when the process that started the worker is gone, or ``None``.
    """

    settings: ServerSettings
    config_file: str
    files: CertificateFiles
    listening: socket.socket
    log: Log
    healthz: socket.socket | None = None
    place: int = 0
    ready: Callable[[], None] = lambda: None
    parent: int | None = None
    modes: tuple[str, ...] = field(default=())
