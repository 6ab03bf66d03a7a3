"""An apply killed with -9 at 50 random moments, each resumed or undone; every moment played back through the rules.

Prints what was done and how many moments were looked at; ends with an error at the first that is not as it should be.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from measure import Report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from killed_apply import ACCOUNT, REGION, KilledApply
from rolecall.lab import control
from rolecall.lab.environment import shell_environment
from rolecall.lab.home import LabHome

KILLS = 50
AWS = Path(__file__).resolve().parent.parent / ".tools/aws/bin"


def main() -> None:
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        home = LabHome(Path(folder).resolve() / "lab")
        control.settle(home, accounts=[ACCOUNT], region=REGION)
        endpoint = control.start_detached(home).endpoint
        try:
            environment = shell_environment(home, home.settings(), endpoint, os.environ)
            environment["PATH"] = f"{AWS}{os.pathsep}{environment['PATH']}"
            os.environ.clear()
            os.environ.update(environment)
            seed = int(sys.argv[1]) if len(sys.argv) > 1 else time.time_ns()
            sys.stdout.write(f"seed {seed}\n")
            killed = KilledApply(environment, Path(folder).resolve(), seed)
            _attempts(killed, report)
        finally:
            control.stop(home)
    report.end()


def _attempts(killed: KilledApply, report: Report) -> None:
    done: Counter[str] = Counter()
    lines = []
    while done.total() - done["finished"] < KILLS:
        attempt = killed.attempt()
        done[attempt.then] += 1
        sys.stderr.write(f"\r{done.total()}")
        if attempt.then != "finished":
            lines.append(attempt.lines)
    report.at_least(
        "kills, then resumed or undone to one of the two states", done.total() - done["finished"], KILLS, ""
    )
    report.at_least("  of them in the middle of the steps", sum(one > 1 for one in lines), KILLS // 2, "")
    sys.stdout.write(f"  {dict(done)}; lines of the journals when killed: {sorted(lines)}\n")
    sys.stdout.write(f"moments played back, nobody with more than before or after: {killed.replay.moments:,}\n")


if __name__ == "__main__":
    main()
