"""A container of ``deploy/`` as a process: its arguments, environment, files and probes, with a folder as its root."""

from __future__ import annotations

import copy
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy_files import Objects, container, of_kind, pod_spec

WEBHOOK_KUBECONFIG = "/etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml"
SERVICE_HOST = "rolecall.kube-system.svc"


def with_cluster_id(objects: Objects, cluster_id: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The objects as an overlay with a cluster ID makes them."""
    found = copy.deepcopy(dict(objects))
    of_kind(found, "ConfigMap")["data"]["clusterID"] = cluster_id
    return found


class DeployedAuthenticator:
    """The container of the only workload.

    Mounted folders are below ``root``; addresses are the loopback's and ports free ones, for nothing else is to be
    listened on here. Everything else is as it is rendered.

    :param sts: the endpoint that it trusts as STS.
    """

    def __init__(self, objects: Objects, root: Path, sts: str) -> None:
        self.root = root
        self.port = free_port()
        self.log = root / "container.log"
        self._container = container(objects)
        self._sts = sts
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            one["name"]: of_kind(objects, "ConfigMap")["data"][one["valueFrom"]["configMapKeyRef"]["key"]]
            for one in self._container["env"]
        }
        for mount in self._container["volumeMounts"]:
            self.path(mount["mountPath"]).mkdir(parents=True, exist_ok=True)
        volumes = {volume["name"]: volume for volume in pod_spec(objects)["volumes"]}
        for mount in self._container["volumeMounts"]:
            for item in volumes[mount["name"]].get("configMap", {}).get("items", ()):
                text = of_kind(objects, "ConfigMap")["data"][item["key"]]
                (self.path(mount["mountPath"]) / item["path"]).write_text(text)

    def path(self, mounted: str) -> Path:
        """Where a path of the container is."""
        return self.root / mounted.lstrip("/")

    def init(self, *arguments: str, state: str, kubeconfig: str) -> None:
        """``rolecall init`` as docs/deploy.md has it, before the API server is started."""
        command = [sys.executable, "-m", "rolecall", "init", "--port", str(self.port), *arguments]
        command += ["--state-dir", str(self.path(state)), "--generate-kubeconfig", str(self.path(kubeconfig))]
        environment = {"PATH": os.environ["PATH"], **self._environment}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)

    def arguments(self) -> list[str]:
        mounts = sorted((mount["mountPath"] for mount in self._container["volumeMounts"]), key=len, reverse=True)
        own = {"--address": "127.0.0.1", "--port": str(self.port)}
        found = []
        for argument in self._container["args"]:
            name, equals, value = argument.partition("=")
            if any(value.startswith(f"{mount}/") or value == mount for mount in mounts):
                value = str(self.path(value))
            elif name == "--healthz-port" and value != "0":
                value = str(free_port())
            found.append(f"{name}{equals}{own.get(name, value)}")
        return found

    def start(self, *arguments: str) -> None:
        """Start it; return once its startup probe and its readiness probe succeed."""
        environment = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.path("/tmp")),
            "no_proxy": "127.0.0.1",
            **self._environment,
        }
        command = [sys.executable, "-m", "rolecall", *self.arguments(), "--sts-endpoint", self._sts, *arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + 300
        while not all(self.probe(name) for name in ("startupProbe", "readinessProbe")):
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def probe(self, name: str) -> bool:
        """Ask as a kubelet does: any certificate is good, 200 to 399 is a success."""
        asked = self._container[name]["httpGet"]
        (port,) = (one["containerPort"] for one in self._container["ports"] if one["name"] == asked["port"])
        assert f"--port={port}" in self._container["args"]
        url = f"{asked['scheme'].lower()}://127.0.0.1:{self.port}{asked['path']}"
        try:
            with urllib.request.urlopen(url, timeout=2, context=ssl._create_unverified_context()) as answer:
                return 200 <= answer.status < 400
        except OSError:
            return False

    def said(self) -> str:
        """Logs and audit records."""
        return self.log.read_text()

    def decisions(self) -> list[dict[str, Any]]:
        """The audit records."""
        lines = [json.loads(line) for line in self.said().splitlines()]
        return [line for line in lines if "decision" in line]

    def stop(self) -> int:
        """Ask it to end, as a kubelet does; its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        return process.wait(300)


def send(url: str, body: Any = None, *, token: str = "", context: ssl.SSLContext | None = None) -> tuple[int, Any]:
    """Status and JSON of a request."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def service_account_kubeconfig(path: Path, server: str, cluster: Mapping[str, str], token: str) -> None:
    """A kubeconfig that shows a service account's token, for its owner alone.

    :param cluster: the member that says which authority to trust.
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "pod", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "pod"}}],
        "current-context": "c",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
