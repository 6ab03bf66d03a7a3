"""kill -9 in the middle of an apply: what is there afterwards is one of the two states. bench/killed_apply.py does it 50 times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from killed_apply import ACCOUNT, REGION, KilledApply


@pytest.mark.timeout(300)
def test_a_killed_apply_resumes_or_is_undone(start_lab: Callable[..., Any], tmp_path: Path) -> None:
    lab = start_lab("--account", ACCOUNT, "--region", REGION)
    killed = KilledApply(lab.environment(), tmp_path, seed=7)
    attempts = [killed.attempt() for _ in range(4)]
    assert any(attempt.lines > 1 for attempt in attempts), attempts
