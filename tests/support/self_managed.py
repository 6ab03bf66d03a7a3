"""A cluster that nobody manages: the real kube-apiserver, and the webhook that its owner gives it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rolecall.lab.kubernetes_real.binaries import Binaries
from rolecall.lab.kubernetes_real.control_plane import ControlPlane, Webhooks
from rolecall.lab.kubernetes_real.files import ControlPlaneFiles

ISSUER = "https://kubernetes.default.svc"


class SelfManagedCluster:
    """A control plane for as long as the ``with`` block lasts.

    :param webhook: kubeconfig of the webhook that token reviews go to; it need not answer yet.
    """

    def __init__(self, binaries: Binaries, folder: Path, webhook: Path) -> None:
        self.files = ControlPlaneFiles.ensure(folder, datetime.now(UTC))
        self._plane = ControlPlane(binaries, self.files, ISSUER, Webhooks(webhook))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> SelfManagedCluster:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._plane.start(), self._loop).result(120)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._plane.stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def endpoint(self) -> str:
        return self._plane.endpoint

    def send(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """Status and object; as the cluster's administrator where no token is shown."""
        parts = urlsplit(self.endpoint)
        assert parts.hostname is not None
        context = self.files.client_context()
        if token:
            context = ssl.create_default_context(cafile=self.files.ca)
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=300)
        try:
            headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def write_kubeconfig(self, path: Path) -> None:
        """The administrator's kubeconfig: kubectl's, and that of an authenticator's backends."""
        own = str(self.files.administrator)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "c", "cluster": {"server": self.endpoint, "certificate-authority": str(self.files.ca)}}
            ],
            "users": [{"name": "a", "user": {"client-certificate": own, "client-key": own}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "a"}}],
            "current-context": "c",
        }
        path.write_text(json.dumps(config))
        path.chmod(0o600)


class AuthenticatorProcess:
    """``rolecall server`` as a process of its own.

    :param sts: the endpoint that it trusts as STS.
    """

    def __init__(self, folder: Path, cluster_id: str, sts: str) -> None:
        self.folder = folder
        self.cluster_id = cluster_id
        self.sts = sts
        self.port = _free_port()
        self.webhook = folder / "webhook.yaml"
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        # Certificate and kubeconfig are there before the server is: kube-apiserver reads them when it starts.
        self._run(
            "init", "--state-dir", str(folder), "--generate-kubeconfig", str(self.webhook), "--port", str(self.port)
        )

    def _run(self, command: str, *arguments: str) -> None:
        words = [sys.executable, "-m", "rolecall", command, "-i", self.cluster_id, *arguments]
        subprocess.run(words, check=True, capture_output=True, timeout=300)

    def start(self, *arguments: str) -> None:
        """Start it and return once it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "rolecall", "server", "-i", self.cluster_id),
                    *("--state-dir", str(self.folder), "--kubeconfig-pregenerated"),
                    *("--port", str(self.port), "--healthz-port", "0", "--sts-endpoint", self.sts),
                    *arguments,
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"},
            )
        deadline = time.monotonic() + 300
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(self.said())
            time.sleep(0.02)

    def is_ready(self) -> bool:
        context = ssl._create_unverified_context()
        try:
            url = f"https://127.0.0.1:{self.port}/readyz"
            with urllib.request.urlopen(url, timeout=2, context=context) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def said(self) -> str:
        """Everything that it has logged."""
        return self.log.read_text()

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(300)
        self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(300)
        self._process = None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
