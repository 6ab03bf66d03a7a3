"""The lab as a process: how fast it starts, how much memory it takes, what a cluster costs, how much it answers.

The load comes from this process by raw sockets; the lab is one process on the other core. The floors are measured in the
same run, by turns: an interpreter that imports the lab's HTTP library and botocore, and a server of that library which
answers every request with the same text.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
SECONDS = 1.0
ROUNDS = 5
PIPELINE = 8
CLUSTERS = 10
IDENTITY_BAR, GET_BAR = 12.0, 6.0


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


PLAIN_SERVER = """
import sys, uvloop
from aiohttp import web
async def answer(request):
    return web.Response(text="x" * 300, content_type="application/json")
async def start():
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    import asyncio
    await asyncio.Event().wait()
uvloop.run(start())
"""


@contextmanager
def plain_server() -> Iterator[tuple[int, int]]:
    """The port and the process of a server that answers every request with the same text."""
    with subprocess.Popen([sys.executable, "-c", PLAIN_SERVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.terminate()


def processor_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def by_turns(work: Callable[[], float], pid: int, floor: Callable[[], float], plain: int) -> tuple[float, float]:
    """Answers a second, and processor time of one over that of the floor's: medians of several turns.

    :param pid: the process that answers ``work``; ``plain`` the one that answers ``floor``.
    """
    rates, ratios = [], []
    for _ in range(ROUNDS):
        costs = []
        for ask, process in ((work, pid), (floor, plain)):
            before, answered = processor_seconds(process), ask()
            costs.append((processor_seconds(process) - before) / (answered * SECONDS))
            rates.append(answered)
        ratios.append(costs[0] / costs[1])
    return sorted(rates[::2])[ROUNDS // 2], sorted(ratios)[ROUNDS // 2]


def clients(home: LabHome, endpoint: str) -> Any:
    key = administrator_key(home, home.settings())
    return Session().create_client(
        "eks",
        region_name="eu-west-2",
        endpoint_url=endpoint,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )


def make_cluster(home: LabHome, endpoint: str, name: str) -> tuple[float, dict[str, Any], float]:
    """Seconds from create-cluster to the first answer of the cluster, its description, and seconds of asking for that."""
    eks = clients(home, endpoint)
    role = "arn:aws:iam::231144931069:role/eks"
    eks.list_clusters()
    started = time.perf_counter()
    eks.create_cluster(name=name, roleArn=role, resourcesVpcConfig={"subnetIds": ["s"]})
    while (found := eks.describe_cluster(name=name)["cluster"])["status"] != "ACTIVE":
        time.sleep(0.001)
    took, started = time.perf_counter() - started, time.perf_counter()
    for _ in range(5):
        eks.describe_cluster(name=name)
    return took, found, (time.perf_counter() - started) / 5


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
    report.figure("lab with one cluster answers", start, "s")
    report.ratio_at_most("  over an interpreter that imports aiohttp and botocore", start / peer, 1.8)
    with tempfile.TemporaryDirectory() as folder, plain_server() as (plain, plain_pid):
        home = LabHome(Path(folder).resolve())
        control.settle(home)
        running = control.start_detached(home)
        try:
            _, cluster, _ = make_cluster(home, running.endpoint, "first")
            first = memory(running.pid)
            report.at_most("memory with one cluster", first, 80, "MB")
            times = [make_cluster(home, running.endpoint, f"c{index}") for index in range(CLUSTERS)]
            middle = CLUSTERS // 2
            report.figure("a further cluster, time (median)", sorted(took for took, *_ in times)[middle] * 1000, "ms")
            asked = sorted(took / one for took, _, one in times)[middle]
            report.ratio_at_most("  over one DescribeCluster by botocore", asked, 20)
            report.at_most("a further cluster, memory", (memory(running.pid) - first) / CLUSTERS, 5, "MB")
            url = urlsplit(running.endpoint)
            host, port = url.hostname or "", url.port or 0
            request = identity_request(home, running.endpoint)
            constant = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

            def floor() -> float:
                return load("127.0.0.1", plain, constant, None)

            rate, ratio = by_turns(lambda: load(host, port, request, None), running.pid, floor, plain_pid)
            report.figure("GetCallerIdentity", rate)
            report.ratio_at_most("  processor time over aiohttp answering a constant", ratio, IDENTITY_BAR)
            where, at, read = cluster_request(home, running.endpoint, cluster)
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            rate, ratio = by_turns(lambda: load(where, at, read, tls), running.pid, floor, plain_pid)
            report.figure("embedded GET of an object over TLS", rate)
            report.ratio_at_most("  processor time over aiohttp answering a constant", ratio, GET_BAR)
            report.at_most("memory after that", memory(running.pid), 200, "MB")
        finally:
            control.stop(home)
    report.end()


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    main()
