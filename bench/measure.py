"""How benchmarks measure and what they print: a figure, a floor, and ratios within one run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def rate(work: Callable[[], object], *, batch: int, seconds: float = 1.0, rounds: int = 3) -> float:
    """Calls per second of ``work``, the best of several rounds: machines are noisy, and noise only slows."""
    best = 0.0
    for _ in range(rounds):
        count, started = 0, time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds / rounds:
            for _ in range(batch):
                work()
            count += batch
        best = max(best, count / passed)
    return best


class Report:
    """Collects figures; ends with 1 where one is beyond its limit."""

    def __init__(self) -> None:
        self._failed = False

    def at_least(self, name: str, figure: float, floor: float, unit: str = "/s") -> None:
        self._say(name, figure, floor, unit, figure >= floor, "at least")

    def at_most(self, name: str, figure: float, limit: float, unit: str) -> None:
        self._say(name, figure, limit, unit, figure <= limit, "at most")

    def ratio(self, name: str, figure: float, base: float) -> None:
        sys.stdout.write(f"{name:<58}{figure / base:>10.2f} x\n")

    def end(self) -> None:
        sys.exit(1 if self._failed else 0)

    def _say(self, name: str, figure: float, limit: float, unit: str, ok: bool, words: str) -> None:
        self._failed |= not ok
        mark = "ok" if ok else "MISSED"
        sys.stdout.write(f"{name:<58}{figure:>10,.1f} {unit:<5} {words} {limit:,.1f}  {mark}\n")
