"""Access as code over an organisation: how long its commands take, how much memory, and how often they ask.

40 accounts, 200 clusters, 2,000 people and 300 roles live in a lab of its own process on the same machine. Every figure
of a command is that of its own process: import, plan, apply, revoke and undo as a person types them. The floor of reading
is what as many of the cheapest calls by the same client cost.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from measure import Report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from counted_lab import CountedLab, Requests
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
AUDITORS = ("person-0000", "person-0001", "person-0002")


def seed(lab: CountedLab) -> dict[str, str]:
    """Fill a lab with the organisation; the environment of its shell."""
    home = lab.home
    environment = shell_environment(home, home.settings(), lab.endpoint, os.environ)
    os.environ.clear()
    os.environ.update(environment)
    started = time.perf_counter()
    ORGANISATION.seed(AwsClients(ORGANISATION.accesses()))
    sys.stdout.write(f"seeded in {time.perf_counter() - started:.1f} s\n")
    return environment


@dataclass(frozen=True)
class Ran:
    """A command's seconds on the clock and of CPU, its peak memory in megabytes, what it was asked and what it said."""

    wall: float
    cpu: float
    megabytes: float
    requests: Requests
    output: str


class Shell:
    """Runs ``rolecall`` as a person would, in a folder, and measures it."""

    def __init__(self, lab: CountedLab, environment: Mapping[str, str], folder: Path, report: Report) -> None:
        self._lab, self._folder, self._report = lab, folder, report
        self._environment = {**environment, "XDG_STATE_HOME": str(folder / "state")}

    def run(self, *arguments: str, code: int = 0, seconds: float = SECONDS) -> Ran:
        """One command, which must end with ``code``; its figures are held to ``seconds`` and :data:`MEGABYTES`."""
        self._lab.forget()
        out, err = self._folder / "out", self._folder / "err"
        started = time.perf_counter()
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "rolecall", *arguments],
                env=self._environment, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            )  # fmt: skip
            _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        assert os.waitstatus_to_exitcode(status) == code, f"{arguments}: {status}\n{out.read_text()}{err.read_text()}"
        ran = Ran(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, self._lab.requests(), out.read_text())
        words = " ".join(arguments[:2])
        self._report.at_most(f"rolecall {words[:40]}", ran.wall, seconds, "s")
        self._report.at_most(f"  CPU {ran.cpu:.1f} s; peak memory", ran.megabytes, MEGABYTES, "MB")
        return ran


def changed(text: str) -> str:
    """The file with one more role, for three people, on every cluster."""
    role = f"roles:\n  Auditors: {{account: lab-admin, assumableBy: [{', '.join(AUDITORS)}]}}\n"
    grant = (
        'grants:\n  - {role: Auditors, clusters: "*", username: "audit:{{SessionName}}", groups: [auditors], '
        "bindings: [{clusterRole: view}]}\n"
    )
    return text.replace("roles:\n", role, 1).replace("\ngrants:\n", f"\n{grant}", 1)


def commands(lab: CountedLab, environment: Mapping[str, str], folder: Path, report: Report) -> None:
    """Import, plan, change, plan, apply, revoke, undo."""
    shell = Shell(lab, environment, folder, report)
    accounts = [word for one in ORGANISATION.accesses() for word in ("--account", one.profile)]
    shell.run("import", "-o", "access.yaml", "--region", REGION, *accounts)
    file = folder / "access.yaml"
    text = file.read_text()
    sys.stdout.write(f"access.yaml has {len(text.splitlines()):,} lines\n")
    assert shell.run("plan").output == "Nothing to change.\n"
    file.write_text(changed(text))
    shell.run("plan", "--out", "plan.json", code=10)
    steps = json.loads((folder / "plan.json").read_text())["changes"]
    sys.stdout.write(
        f"the plan has {len(steps)} steps, its file {(folder / 'plan.json').stat().st_size / 1e6:.1f} MB\n"
    )
    applied = shell.run("apply", "plan.json", "--yes", seconds=60)
    told(report, applied.requests, len(ORGANISATION.clusters))
    assert shell.run("plan").output == "Nothing to change.\n"
    revoked = shell.run("revoke", AUDITORS[0], "--everywhere", "--yes", seconds=60)
    shell.run("undo", run_of(revoked.output), "--yes", seconds=60)
    assert "Done: " in shell.run("undo", run_of(applied.output), "--yes", seconds=60).output
    file.write_text(text)
    assert shell.run("plan").output == "Nothing to change.\n"


def run_of(output: str) -> str:
    """The run that an apply names at its end."""
    return re.search(r"steps\. Run (\S+)\.", output)[1]  # type: ignore[index]


def told(report: Report, asked: Requests, clusters: int) -> None:
    """How often each resource was read and written, and what was asked that the plan does not change."""
    ours = ("aws-auth", "rolecall:", "Auditors", "clusterrolebindings/")
    foreign = [name for name in asked.writes if not any(word in name for word in ours)]
    report.at_most(f"apply: writes to what it does not change ({clusters} clusters)", len(foreign), 0, "")
    unaffected = {name for name in asked.reads if name not in asked.writes}
    objects = {name for name in unaffected if " of " in name}
    report.at_most("apply: most reads of one object that it does not change", asked.most(objects)[0], 1, "")
    # EKS tells an entry by two calls: the entry, and its policies.
    entries = {name for name in unaffected if "principalArn" in name}
    report.at_most("apply: most calls to read one entry that it does not change", asked.most(entries)[0], 2, "")
    # By the guards, which look again before a plan's file is applied, and before the write.
    reads, writes = asked.most({name for name in asked.writes if " of " in name})
    report.at_most("apply: most reads of one object that it changes", reads, 2, "")
    report.at_most("apply: most writes of one object that it changes", writes, 1, "")
    reads, writes = asked.most()
    sys.stdout.write(
        f"  in all {asked.reads.total()} reads, {asked.writes.total()} writes, {asked.connecting} calls to connect; "
        f"of one resource of IAM at most {reads} reads (a new one is waited for), {writes} writes\n"
    )


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


def understood(report: Report, environment: Mapping[str, str]) -> None:
    """Reading and understanding alone, without the commands around them."""
    done = subprocess.run(
        [sys.executable, __file__, "--measured"], env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    report.at_most("read 40 accounts and 200 clusters", found["reading"], SECONDS, "s")
    report.ratio("  against as many GetCallerIdentity", found["reading"], found["floor"])
    report.at_most(
        f"who gets in as whom ({found['edges']:.0f} edges, {found['ways']:.0f} ways)", found["understanding"], 5.0, "s"
    )
    report.at_most("the same again, nothing changed, and the difference", found["comparing"], 1.0, "s")
    report.at_most("peak memory of all that", found["megabytes"], MEGABYTES, "MB")


def main() -> None:
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        home = LabHome(Path(folder).resolve() / "lab")
        control.settle(home, accounts=list(ORGANISATION.accounts), region=REGION)
        lab = CountedLab(home)
        try:
            environment = seed(lab)
            understood(report, environment)
            commands(lab, environment, Path(folder).resolve(), report)
        finally:
            control.stop(home)
    report.end()


if __name__ == "__main__":
    if "--measured" in sys.argv:
        sys.stdout.write(json.dumps(measured()))
    else:
        main()
