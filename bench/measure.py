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


def paired(
    work: Callable[[], object], floor: Callable[[], object], *, batch: int, rounds: int = 15
) -> tuple[float, float]:
    """Calls of ``work`` a second, and how many of them go into one call of ``floor``: the median of short rounds.

    Both are measured by turns and in this process's own processor time, so that a slow day and a busy machine slow both
    alike. A ratio of 0.25 means that ``work`` takes as long as four calls of ``floor``.
    """
    ratios, rates = [], []
    for _ in range(rounds):
        took = [_processor_seconds(one, batch) for one in (work, floor)]
        ratios.append(took[1] / took[0])
        rates.append(batch / took[0])
    return sorted(rates)[rounds // 2], sorted(ratios)[rounds // 2]


def _processor_seconds(work: Callable[[], object], count: int) -> float:
    started = time.process_time()
    for _ in range(count):
        work()
    return time.process_time() - started


class Report:
    """Collects figures; ends with 1 if one is beyond its limit.

    A bar is a ratio to a floor that is measured in the same run, because an absolute figure changes with the day. Sizes
    do not, and have absolute bars.
    """

    def __init__(self) -> None:
        self._failed = False

    def at_least(self, name: str, figure: float, floor: float, unit: str = "/s") -> None:
        self._say(name, figure, floor, unit, figure >= floor, "at least")

    def at_most(self, name: str, figure: float, limit: float, unit: str) -> None:
        self._say(name, figure, limit, unit, figure <= limit, "at most")

    def ratio_at_least(self, name: str, ratio: float, floor: float) -> None:
        self._say(name, ratio, floor, "x", ratio >= floor, "at least")

    def ratio_at_most(self, name: str, ratio: float, limit: float) -> None:
        self._say(name, ratio, limit, "x", ratio <= limit, "at most")

    def figure(self, name: str, figure: float, unit: str = "/s") -> None:
        """A figure of this day, without a bar."""
        sys.stdout.write(f"{name:<58}{figure:>10,.1f} {unit}\n")

    def ratio(self, name: str, figure: float, base: float) -> None:
        sys.stdout.write(f"{name:<58}{figure / base:>10.2f} x\n")

    def end(self) -> None:
        sys.exit(1 if self._failed else 0)

    def _say(self, name: str, figure: float, limit: float, unit: str, ok: bool, words: str) -> None:
        self._failed |= not ok
        mark = "ok" if ok else "MISSED"
        digits = 2 if unit == "x" else 1
        sys.stdout.write(f"{name:<58}{figure:>10,.{digits}f} {unit:<5} {words} {limit:,.{digits}f}  {mark}\n")
