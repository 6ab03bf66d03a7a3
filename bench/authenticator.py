"""The authenticator against a stand-in for STS over TLS: rate, latency, memory and CPU a request.

Server, stand-in and load share this machine's cores. ``--url`` sends the same load to another authenticator, whose tokens
name ``--sts-host``: a peer whose name resolution and trusted authorities lead that host to a stand-in is measured beside
this one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from measure import Report
from rolecall.authenticator.certificates import make_certificate
from webhook_load import Figures, TokenMaker, load

CLUSTER = "bench"
SECONDS = 4.0
CONNECTIONS = (1, 16, 128)
MANY = 200_000
CONFIG = f"""clusterID: {CLUSTER}
server:
  mapRoles:
  - roleARN: arn:aws:iam::111122223333:role/Dev
    username: dev:{{{{SessionName}}}}
    groups: [developers]
"""


@dataclass
class Server:
    """A running authenticator."""

    process: subprocess.Popen[bytes]
    url: str
    workers: int

    def pids(self) -> list[int]:
        """Its processes that answer."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def cpu_seconds(self) -> float:
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Resident memory of the largest."""
        found = [re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for pid in self.pids()]
        return max(int(one[1]) for one in found if one) / 1024


@contextlib.contextmanager
def stand_in(folder: Path) -> Iterator[int]:
    """STS's stand-in; its port."""
    certificate, key = make_certificate("localhost", "127.0.0.1", datetime.now(UTC))
    (folder / "sts.pem").write_text(certificate)
    (folder / "sts.key").write_text(key)
    command = [sys.executable, str(Path(__file__).with_name("sts_stand_in.py"))]
    command += ["--certificate", str(folder / "sts.pem"), "--key", str(folder / "sts.key")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextlib.contextmanager
def authenticator(folder: Path, sts_port: int, workers: int) -> Iterator[Server]:
    """The authenticator with everything on that is on in production: log, audit records, metrics, TLS."""
    (folder / "config.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "rolecall", "server", "-c", str(folder / "config.yaml"), "--port", "0"]
    command += ["--healthz-port", "0", "--state-dir", str(folder), "--workers", str(workers), "--client-rate", "0"]
    command += ["--generate-kubeconfig", str(folder / "kubeconfig"), "--audit-log", str(folder / "audit.log")]
    command += ["--sts-endpoint", f"https://127.0.0.1:{sts_port}", "--sts-ca-file", str(folder / "sts.pem")]
    log = folder / "log"
    with log.open("w") as stream, subprocess.Popen(command, stderr=stream) as process:
        while not (found := re.search(r"listening on (https://\S+?)\"", log.read_text())):
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        try:
            yield Server(process, found[1], workers)
        finally:
            process.terminate()
            process.wait()


def run(url: str, tokens: TokenMaker, kind: str, connections: int, ca_file: str, server: Server | None) -> Figures:
    """One run, printed as a line."""
    make = tokens.unique if kind == "unique" else tokens.repeated
    uvloop.run(load(url, make, connections=connections, seconds=0.5, ca_file=ca_file))
    before = server.cpu_seconds() if server else 0.0
    found = uvloop.run(load(url, make, connections=connections, seconds=SECONDS, ca_file=ca_file))
    cost = ""
    if server:
        cost = f"{(server.cpu_seconds() - before) / found.requests * 1e6:8.0f} us CPU {server.megabytes():7.1f} MB"
    refused = f"  {found.refused} REFUSED" if found.refused else ""
    sys.stdout.write(
        f"{kind:<9}{connections:>5} connections{found.rate:>10,.0f}/s"
        f"{found.p50:>9.2f} ms p50{found.p99:>9.2f} ms p99{cost}{refused}\n"
    )
    return found


def peer(options: argparse.Namespace) -> None:
    tokens = TokenMaker(options.url, options.sts_host, options.cluster)
    for kind in ("unique", "repeated"):
        for connections in CONNECTIONS:
            run(options.url, tokens, kind, connections, options.ca_file, None)


def own(workers: int) -> None:
    report = Report()
    with tempfile.TemporaryDirectory() as name, stand_in(Path(name)) as port:
        folder = Path(name)
        with authenticator(folder, port, workers) as server:
            ca_file, host = str(folder / "cert.pem"), f"127.0.0.1:{port}"
            tokens = TokenMaker(server.url, host, CLUSTER)
            sys.stdout.write(f"{workers} workers, load average {os.getloadavg()[0]:.1f} before\n")
            found = {
                (kind, connections): run(server.url, tokens, kind, connections, ca_file, server)
                for kind in ("unique", "repeated")
                for connections in CONNECTIONS
            }
            rates = {kind: max(found[kind, n].rate for n in CONNECTIONS) for kind in ("unique", "repeated")}
            report.at_least("unique tokens", rates["unique"], 4_000)
            report.at_least("repeated tokens", rates["repeated"], 10_000)
            report.at_most("p99 of unique tokens at 16 connections", found["unique", 16].p99, 15, "ms")
            report.at_most("refused", float(sum(one.refused for one in found.values())), 0, "")
            before = server.megabytes()
            started = time.perf_counter()
            uvloop.run(load(server.url, tokens.unique, connections=64, most=MANY, ca_file=ca_file))
            after = server.megabytes()
            seconds = time.perf_counter() - started
            sys.stdout.write(f"{MANY:,} unique tokens in a row, {MANY / seconds:,.0f}/s\n")
            report.at_most("memory of a worker after them", after, 70, "MB")
            report.at_most("  more than before them", after - before, 3, "MB")
            sys.stdout.write(f"load average {os.getloadavg()[0]:.1f} after\n")
    report.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--url", default="", help="another authenticator's https://HOST:PORT/authenticate")
    parser.add_argument("--ca-file", default="", help="authority of its certificate")
    parser.add_argument("--cluster", default=CLUSTER, help="its cluster id")
    parser.add_argument("--sts-host", default="sts.eu-west-2.amazonaws.com", help="STS host that tokens for it name")
    chosen = parser.parse_args()
    if chosen.url:
        peer(chosen)
    else:
        own(chosen.workers)
