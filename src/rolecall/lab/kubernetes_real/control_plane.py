"""etcd and kube-apiserver as processes on the loopback interface: started, watched over, stopped.

No nodes, no scheduler, no controller-manager. The flags and what they are for: Kubernetes documentation,
"kube-apiserver"; etcd documentation, "Configuration options".
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from rolecall.lab.home import LabError
from rolecall.lab.kubernetes_real import supervise
from rolecall.lab.kubernetes_real.binaries import Binaries
from rolecall.lab.kubernetes_real.files import ControlPlaneFiles
from rolecall.local_files.private import write_private

HOST = "127.0.0.1"
READY_SECONDS = 90.0
STOP_SECONDS = 20.0
# Another process may take a port between its choice and its use.
ATTEMPTS = 3
_TAIL_LINES, _TAIL_BYTES = 6, 20_000


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Whom the API server asks.

    :param authentication: kubeconfig of the webhook that token reviews go to.
    :param authorization: kubeconfig of the webhook that is asked if RBAC does not allow, or ``None``.
    """

    authentication: Path
    authorization: Path | None = None


class ControlPlane:
    """One etcd and one kube-apiserver with their data in ``files.folder``.

    :param issuer: the issuer of service account tokens.
    """

    def __init__(self, binaries: Binaries, files: ControlPlaneFiles, issuer: str, webhooks: Webhooks) -> None:
        self._binaries = binaries
        self._files = files
        self._issuer = issuer
        self._webhooks = webhooks
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"https://{HOST}:{self.port}"

    async def start(self) -> None:
        """Start both, on the port of the last time if it is free, and return once the API server is ready."""
        await self._earlier_run_is_gone()
        remembered = self._files.folder / "port"
        self.port = int(remembered.read_text()) if remembered.exists() else 0
        for attempt in range(ATTEMPTS):
            if attempt or not _is_free(self.port):
                self.port = 0
            self.port, etcd_client, etcd_peer = _choose_ports(self.port)
            await self._launch(etcd_client, etcd_peer)
            if await self._becomes_ready():
                remembered.write_text(str(self.port))
                return
            words = self._last_words()
            await self.stop()
            if "address already in use" not in words:
                break
        raise LabError(f"the control plane did not start:\n{words}", where=str(self._files.folder))

    async def ended(self) -> None:
        """Return when the processes have ended, for any reason."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """End both in order and return once they are gone."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            # The kernel ends the programs with their supervisor.
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _earlier_run_is_gone(self) -> None:
        """Wait for what a killed lab has left to end: it holds the port that this start wants to have again."""
        deadline = time.monotonic() + STOP_SECONDS
        lock = os.open(self._files.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                await asyncio.sleep(0.05)
        finally:
            os.close(lock)

    def api_server_command(self, etcd: int) -> list[str]:
        """The command line of kube-apiserver.

        :param etcd: the port on which etcd answers clients.
        """
        return _apiserver(self._binaries.apiserver, self._files, self._webhooks, self._issuer, self.port, etcd)

    async def _launch(self, etcd_client: int, etcd_peer: int) -> None:
        folder = self._files.folder
        etcd = _etcd(self._binaries.etcd, self._files, etcd_client, etcd_peer)
        apiserver = self.api_server_command(etcd_client)
        programs: list[dict[str, Any]] = [
            {"command": etcd, "log": str(folder / "etcd.log"), "port": etcd_client},
            {"command": apiserver, "log": str(folder / "kube-apiserver.log")},
        ]
        for one in programs:
            # The log of this start alone, so that its end says why a start failed.
            write_private(Path(one["log"]), "")
        # Isolated and without site-packages: the supervisor is as small as Python can be.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", supervise.__file__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            # Not the terminal's: Ctrl-C is for the lab, which then stops its clusters in order.
            start_new_session=True,
            cwd=folder,
        )
        assert self._process.stdin is not None
        plan = {"lock": str(folder / "lock"), "programs": programs}
        self._process.stdin.write(json.dumps(plan).encode() + b"\n")

    async def _becomes_ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + READY_SECONDS
        connector = aiohttp.TCPConnector(ssl=self._files.client_context(), force_close=True)
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
            while self._process.returncode is None and time.monotonic() < deadline:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{self.endpoint}/readyz") as answer:
                        if answer.status == 200:
                            return True
                await asyncio.sleep(0.05)
        return False

    def _last_words(self) -> str:
        words = []
        for name in ("etcd", "kube-apiserver"):
            with contextlib.suppress(OSError), open(self._files.folder / f"{name}.log", "rb") as log:
                log.seek(max(0, log.seek(0, 2) - _TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
                words += [f"{name}: {line[:300]}" for line in lines]
        return "\n".join(words)


def _etcd(program: Path, files: ControlPlaneFiles, client: int, peer: int) -> list[str]:
    clients, peers = f"https://{HOST}:{client}", f"https://{HOST}:{peer}"
    return [
        str(program),
        *_flags(
            name="cluster",
            data_dir=files.folder / "etcd",
            listen_client_urls=clients,
            advertise_client_urls=clients,
            cert_file=files.etcd_serving,
            key_file=files.etcd_serving,
            trusted_ca_file=files.etcd_ca,
            client_cert_auth="true",
            # A cluster of one has no peers, and accepts none.
            listen_peer_urls=peers,
            initial_advertise_peer_urls=peers,
            initial_cluster=f"cluster={peers}",
            peer_cert_file=files.etcd_serving,
            peer_key_file=files.etcd_serving,
            peer_trusted_ca_file=files.etcd_ca,
            peer_client_cert_auth="true",
            # The gateway would call etcd itself with the server's certificate, which is none for clients.
            enable_grpc_gateway="false",
            log_level="warn",
        ),
    ]


def _apiserver(
    program: Path, files: ControlPlaneFiles, webhooks: Webhooks, issuer: str, port: int, etcd: int
) -> list[str]:
    authorization: dict[str, object] = {"authorization_mode": "RBAC"}
    if webhooks.authorization is not None:
        authorization = {
            "authorization_mode": "RBAC,Webhook",
            "authorization_webhook_config_file": webhooks.authorization,
            "authorization_webhook_version": "v1",
            # A change of access in EKS is in force with the next request.
            "authorization_webhook_cache_authorized_ttl": "0s",
            "authorization_webhook_cache_unauthorized_ttl": "0s",
        }
    return [
        str(program),
        *_flags(
            etcd_servers=f"https://{HOST}:{etcd}",
            etcd_cafile=files.etcd_ca,
            etcd_certfile=files.etcd_client,
            etcd_keyfile=files.etcd_client,
            bind_address=HOST,
            advertise_address=HOST,
            secure_port=port,
            cert_dir=files.folder,
            tls_cert_file=files.serving,
            tls_private_key_file=files.serving,
            client_ca_file=files.ca,
            service_account_issuer=issuer,
            service_account_key_file=files.service_account_public_key,
            service_account_signing_key_file=files.service_account_key.path,
            # What the embedded server and EKS expect of a token that names no audience.
            api_audiences="https://kubernetes.default.svc",
            service_cluster_ip_range="10.100.0.0/16",
            endpoint_reconciler_type="none",
            # There are no pods that a service account could be put into.
            disable_admission_plugins="ServiceAccount",
            authentication_token_webhook_config_file=webhooks.authentication,
            authentication_token_webhook_version="v1",  # noqa: S106
            # The API server keeps every token that was good for ten seconds in any case; nothing is kept longer.
            authentication_token_webhook_cache_ttl="0s",  # noqa: S106
            profiling="false",
            **authorization,
        ),
    ]


def _flags(**values: Any) -> Sequence[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def _choose_ports(wanted: int) -> tuple[int, int, int]:
    """The wanted port, or any if it is 0, and two more free ones."""
    with contextlib.ExitStack() as stack:
        found = [wanted] if wanted else []
        while len(found) < 3:
            listener = stack.enter_context(socket.socket())
            listener.bind((HOST, 0))
            found.append(listener.getsockname()[1])
        return found[0], found[1], found[2]


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True
