"""The authenticator against a stand-in for STS over TLS: latency, rate, memory and CPU a request.

Server, stand-in and load share this machine's cores, so every figure is a ratio to a floor of the same run: the same load
on the stand-in itself, one round trip over TLS without any work. A review is two such round trips and the work.
``--url`` sends the same load to another authenticator in the same run, whose tokens name ``--sts-host``: a peer whose
name resolution and trusted authorities lead that host to a stand-in (``--stand-in-port``) is measured beside this one.
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
CONNECTIONS = (1, 16, 128)
MANY = 100_000
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

    def workers(self) -> list[int]:
        """Its processes that answer."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def cpu_seconds(self) -> float:
        ticks = 0
        for pid in self.workers():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def largest(self) -> float:
        """PSS of the largest worker."""
        return max(megabytes(pid) for pid in self.workers())


def megabytes(pid: int) -> float:
    """PSS of a process: what it shares is divided among those that share it."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024


@contextlib.contextmanager
def stand_in(folder: Path, host: str, port: int) -> Iterator[int]:
    """STS's stand-in; its port."""
    certificate, key = make_certificate(host, "127.0.0.1", datetime.now(UTC))
    (folder / "sts.pem").write_text(certificate)
    (folder / "sts.key").write_text(key)
    command = [sys.executable, str(Path(__file__).with_name("sts_stand_in.py")), "--port", str(port)]
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
            yield Server(process, found[1])
        finally:
            process.terminate()
            process.wait()


class Runs:
    """Runs of the same load on several servers, printed beside the floor."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._floors: dict[int, Figures] = {}

    def floor(self, port: int, ca_file: str) -> None:
        """Measure the stand-in itself."""
        url = f"https://localhost:{port}/"
        make = TokenMaker(url, "sts.example", CLUSTER).unique
        for connections in CONNECTIONS:
            self._floors[connections] = self._run("floor", url, make, connections, ca_file, None)

    def of(
        self, name: str, url: str, tokens: TokenMaker, ca_file: str, server: Server | None = None
    ) -> dict[tuple[str, int], Figures]:
        """Measure an authenticator."""
        return {
            (kind, connections): self._run(f"{name} {kind}", url, getattr(tokens, kind), connections, ca_file, server)
            for kind in ("unique", "repeated")
            for connections in CONNECTIONS
        }

    def slower(self, found: Figures, connections: int) -> float:
        """Median latency as a multiple of the floor's."""
        return found.p50 / self._floors[connections].p50

    def share(self, found: Figures, connections: int) -> float:
        """Rate as a part of the floor's."""
        return found.rate / self._floors[connections].rate

    def _run(self, name: str, url: str, make: object, connections: int, ca_file: str, server: Server | None) -> Figures:
        uvloop.run(load(url, make, connections=connections, seconds=0.5, ca_file=ca_file))  # type: ignore[arg-type]
        before = server.cpu_seconds() if server else 0.0
        found = uvloop.run(load(url, make, connections=connections, seconds=self._seconds, ca_file=ca_file))  # type: ignore[arg-type]
        line = f"{name:<18}{connections:>5} connections{found.rate:>10,.0f}/s"
        line += f"{found.p50:>9.2f} ms p50{found.p99:>9.2f} ms p99"
        if floor := self._floors.get(connections):
            line += f"{found.p50 / floor.p50:>7.2f} x floor's p50{found.rate / floor.rate:>7.2f} x its rate"
        if server:
            line += f"{(server.cpu_seconds() - before) / found.requests * 1e6:>7.0f} us CPU"
        if found.refused and name != "floor":
            line += f"  {found.refused} REFUSED"
        sys.stdout.write(line + "\n")
        return found


def measure(options: argparse.Namespace) -> None:
    report, runs = Report(), Runs(options.seconds)
    with (
        tempfile.TemporaryDirectory() as name,
        stand_in(Path(name), options.sts_host if options.url else "localhost", options.stand_in_port) as port,
    ):
        folder = Path(name)
        sys.stdout.write(f"load average {os.getloadavg()[0]:.1f} before\n")
        runs.floor(port, str(folder / "sts.pem"))
        with authenticator(folder, port, 1) as server:
            keeper, one = megabytes(server.process.pid), server.largest()
        with authenticator(folder, port, options.workers) as server:
            ca_file = str(folder / "cert.pem")
            tokens = TokenMaker(server.url, f"127.0.0.1:{port}", CLUSTER)
            own = runs.of("rolecall", server.url, tokens, ca_file, server)
            before = server.largest()
            uvloop.run(load(server.url, tokens.unique, connections=64, most=MANY, ca_file=ca_file))
            after = server.largest()
        if options.url:
            tokens = TokenMaker(options.url, options.sts_host, options.cluster)
            peer = runs.of("peer", options.url, tokens, options.ca_file)
            report.at_most(
                "p50 of one connection, as a multiple of the peer's",
                own["unique", 1].p50 / peer["unique", 1].p50,
                1,
                "x",
            )
        sys.stdout.write(f"load average {os.getloadavg()[0]:.1f} after\n")
    report.at_most("p50 of one connection, unique tokens", runs.slower(own["unique", 1], 1), 8, "x")
    report.at_least("rate of unique tokens at 16 connections", runs.share(own["unique", 16], 16), 0.15, "x")
    report.at_least("rate of repeated tokens at 16 connections", runs.share(own["repeated", 16], 16), 0.5, "x")
    report.at_most("refused", float(sum(one.refused for one in own.values())), 0, "")
    report.at_most("memory of the keeper, idle (PSS)", keeper, 12, "MB")
    report.at_most("memory of one worker with its keeper, idle (PSS)", keeper + one, 45, "MB")
    report.at_most(f"memory of a worker after {MANY:,} unique tokens (PSS)", after, 70, "MB")
    report.at_most("  more than before them", after - before, 3, "MB")
    report.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run")
    parser.add_argument("--url", default="", help="another authenticator's https://HOST:PORT/authenticate")
    parser.add_argument("--ca-file", default="", help="authority of its certificate")
    parser.add_argument("--cluster", default=CLUSTER, help="its cluster id")
    parser.add_argument("--sts-host", default="sts.eu-west-2.amazonaws.com", help="STS host that tokens for it name")
    parser.add_argument("--stand-in-port", type=int, default=0, help="port of the stand-in; a peer asks 443")
    measure(parser.parse_args())
