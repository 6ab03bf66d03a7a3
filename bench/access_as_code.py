"""Access as code over an organisation: how long reading and understanding it takes, and how much memory.

The organisation lives in a lab of its own process on the same machine; what is measured runs in a process of its own, so
that its peak memory is its own. The floor is what as many of the cheapest calls by the same client cost.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from measure import Report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from organisation import REGION, Organisation
from rolecall.access.effective import EffectiveAccess
from rolecall.access.effects import effects
from rolecall.access.read_world import WORKERS, ClusterAddress, read_world
from rolecall.aws.session import AwsClients
from rolecall.lab import control
from rolecall.lab.environment import shell_environment
from rolecall.lab.home import LabHome

SECONDS, MEGABYTES = 20.0, 400.0
ORGANISATION = Organisation()


def seed(folder: Path) -> tuple[LabHome, dict[str, str]]:
    """A lab with the organisation, and the environment of its shell."""
    home = LabHome(folder)
    control.settle(home, accounts=list(ORGANISATION.accounts), region=REGION)
    endpoint = control.start_detached(home).endpoint
    environment = shell_environment(home, home.settings(), endpoint, os.environ)
    os.environ.clear()
    os.environ.update(environment)
    started = time.perf_counter()
    ORGANISATION.seed(AwsClients(ORGANISATION.accesses()))
    sys.stdout.write(f"seeded in {time.perf_counter() - started:.1f} s\n")
    return home, environment


def measured() -> dict[str, float]:
    """Seconds of reading, of understanding and of comparing, and the peak memory of all that; run in its own process."""
    clients = AwsClients(ORGANISATION.accesses())
    started = time.perf_counter()
    reading = read_world(
        clients, [ClusterAddress(c.account, REGION, c.name) for c in ORGANISATION.clusters], datetime.now(UTC)
    )
    read = time.perf_counter()
    assert not reading.failures
    assert not any(state.unread for state in reading.world.clusters.values())
    access = EffectiveAccess(reading.world)
    understood = time.perf_counter()
    effects(access, EffectiveAccess(reading.world, access))
    compared = time.perf_counter()
    floor = _floor(clients)
    return {
        "reading": read - started,
        "understanding": understood - read,
        "comparing": compared - understood,
        "floor": floor,
        "edges": sum(1 for _ in access.graph.edges()),
        "ways": sum(1 for _ in access.ways()),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _floor(clients: AwsClients) -> float:
    """Seconds of as many GetCallerIdentity as reading needs calls at the least."""
    by_entries = sum(cluster.by_entries for cluster in ORGANISATION.clusters)
    entries = by_entries * (len(ORGANISATION.clusters[0].roles) + 1)
    calls = 3 * len(ORGANISATION.accounts) + 7 * len(ORGANISATION.clusters) + by_entries + 2 * entries
    sts = clients.client(ORGANISATION.accounts[0], "sts")
    started = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(lambda _: sts.get_caller_identity(), range(calls)):
            pass
    return time.perf_counter() - started


def main() -> None:
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        home, environment = seed(Path(folder).resolve() / "lab")
        try:
            done = subprocess.run(
                [sys.executable, __file__, "--measured"], env=environment, capture_output=True, text=True, check=True
            )
        finally:
            control.stop(home)
    found = json.loads(done.stdout)
    report.at_most("read 40 accounts and 200 clusters", found["reading"], SECONDS, "s")
    report.ratio("  against as many GetCallerIdentity", found["reading"], found["floor"])
    report.at_most(
        f"who gets in as whom ({found['edges']:.0f} edges, {found['ways']:.0f} ways)", found["understanding"], 5.0, "s"
    )
    report.at_most("the same again, nothing changed, and the difference", found["comparing"], 1.0, "s")
    report.at_most("peak memory of all that", found["megabytes"], MEGABYTES, "MB")
    report.end()


if __name__ == "__main__":
    if "--measured" in sys.argv:
        sys.stdout.write(json.dumps(measured()))
    else:
        main()
