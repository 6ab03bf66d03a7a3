"""The lab as a process: how fast it is there, what it holds, what a cluster costs, how much it answers.

The load comes from this process by raw sockets; the lab is one process on the other core.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.session import Session

from measure import Report
from rolecall.lab import control
from rolecall.lab.environment import administrator_key
from rolecall.lab.home import LabHome
from rolecall.sigv4 import Credentials, HttpRequest, presign
from rolecall.tokens.mint import mint

CONNECTIONS = 8
SECONDS = 3.0
PIPELINE = 8
CLUSTERS = 10


def start_times(rounds: int = 5) -> tuple[float, float]:
    """Best seconds until a detached lab with one cluster answers, and of an interpreter that imports the same HTTP server."""
    best = peer = 9.0
    with tempfile.TemporaryDirectory() as folder:
        home = LabHome(Path(folder).resolve())
        control.settle(home)
        endpoint = control.start_detached(home).endpoint
        make_cluster(home, endpoint, "first")
        control.stop(home)
        for _ in range(rounds):
            started = time.perf_counter()
            control.start_detached(home)
            best = min(best, time.perf_counter() - started)
            control.stop(home)
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import aiohttp.web, botocore.session"], check=True)
            peer = min(peer, time.perf_counter() - started)
    return best, peer


def clients(home: LabHome, endpoint: str) -> Any:
    key = administrator_key(home, home.settings())
    return Session().create_client(
        "eks",
        region_name="eu-west-2",
        endpoint_url=endpoint,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )


def make_cluster(home: LabHome, endpoint: str, name: str) -> tuple[float, dict[str, Any]]:
    """Seconds from create-cluster to the first answer of the cluster, and its description."""
    eks = clients(home, endpoint)
    role = "arn:aws:iam::231144931069:role/eks"
    eks.list_clusters()
    started = time.perf_counter()
    eks.create_cluster(name=name, roleArn=role, resourcesVpcConfig={"subnetIds": ["s"]})
    while (found := eks.describe_cluster(name=name)["cluster"])["status"] != "ACTIVE":
        time.sleep(0.001)
    return time.perf_counter() - started, found


def memory(pid: int) -> float:
    """Resident megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def load(host: str, port: int, request: bytes, tls: ssl.SSLContext | None) -> float:
    """Answers a second over several connections, several requests in flight on each."""
    counts = [0] * CONNECTIONS
    ends = time.perf_counter() + SECONDS

    def work(index: int) -> None:
        import socket

        raw = socket.create_connection((host, port))
        connection = tls.wrap_socket(raw, server_hostname="localhost") if tls else raw
        buffer = b""
        while time.perf_counter() < ends:
            connection.sendall(request * PIPELINE)
            done = 0
            while done < PIPELINE:
                buffer += connection.recv(65_536)
                while (end := buffer.find(b"\r\n\r\n")) >= 0:
                    head = buffer[:end].lower()
                    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                    if len(buffer) < end + 4 + length:
                        break
                    assert head.startswith(b"http/1.1 200"), buffer[:400]
                    buffer = buffer[end + 4 + length :]
                    done += 1
            counts[index] += done
        connection.close()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(CONNECTIONS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


def identity_request(home: LabHome, endpoint: str) -> bytes:
    key = administrator_key(home, home.settings())
    host = urlsplit(endpoint).netloc.encode()
    unsigned = HttpRequest(
        "GET", b"/", b"Action=GetCallerIdentity&Version=2011-06-15", ((b"host", host), (b"x-k8s-aws-id", b"c"))
    )
    signed = presign(
        unsigned,
        Credentials(key.access_key_id, key.secret_access_key),
        region="eu-west-2",
        service="sts",
        now=datetime.now(UTC),
        expires=60,
    )
    return (
        b"GET /?"
        + signed.query
        + b" HTTP/1.1\r\nHost: "
        + host
        + b"\r\nx-k8s-aws-id: c\r\nAccept: application/json\r\n\r\n"
    )


def cluster_request(home: LabHome, endpoint: str, cluster: dict[str, Any]) -> tuple[str, int, bytes]:
    key = administrator_key(home, home.settings())
    token = mint(
        Credentials(key.access_key_id, key.secret_access_key),
        cluster["name"],
        region="eu-west-2",
        now=datetime.now(UTC),
        endpoint=endpoint,
    )
    url = urlsplit(cluster["endpoint"])
    path = b"/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt"
    head = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token.value.encode()
    return url.hostname or "", url.port or 0, head + b"\r\nAccept: application/json\r\n\r\n"


def main() -> None:
    report = Report()
    start, peer = start_times()
    report.at_most("lab with one cluster answers", start, 0.6, "s")
    report.ratio("  over an interpreter that imports aiohttp and botocore", start, peer)
    with tempfile.TemporaryDirectory() as folder:
        home = LabHome(Path(folder).resolve())
        control.settle(home)
        running = control.start_detached(home)
        try:
            _, cluster = make_cluster(home, running.endpoint, "first")
            first = memory(running.pid)
            report.at_most("memory with one cluster", first, 80, "MB")
            times = [make_cluster(home, running.endpoint, f"c{index}")[0] for index in range(CLUSTERS)]
            report.at_most("a further cluster, time (median)", sorted(times)[CLUSTERS // 2] * 1000, 50, "ms")
            report.at_most("a further cluster, memory", (memory(running.pid) - first) / CLUSTERS, 5, "MB")
            url = urlsplit(running.endpoint)
            request = identity_request(home, running.endpoint)
            identities = load(url.hostname or "", url.port or 0, request, None)
            report.at_least("GetCallerIdentity", identities, 4_000)
            host, port, request = cluster_request(home, running.endpoint, cluster)
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            gets = load(host, port, request, tls)
            report.at_least("embedded GET of an object over TLS", gets, 1_500)
            report.ratio("  over GetCallerIdentity", gets, identities)
            report.at_most("memory after that", memory(running.pid), 200, "MB")
        finally:
            control.stop(home)
    report.end()


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    main()
