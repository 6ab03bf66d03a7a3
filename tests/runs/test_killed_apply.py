"""kill -9 in the middle of an apply: what is there afterwards is one of the two states, and nothing on the way
was more than both. bench/killed_apply.py does it 50 times."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from killed_apply import ACCOUNT, REGION, KilledApply
from lab_shell import enter


def test_a_killed_apply_resumes_or_is_undone(
    start_lab: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = start_lab("--account", ACCOUNT, "--region", REGION)
    environment = lab.environment()
    enter(environment, monkeypatch)
    killed = KilledApply(environment, tmp_path, seed=7)
    attempts = [killed.attempt() for _ in range(3)]
    assert killed.replay.moments > 50
    assert any(attempt.lines > 1 for attempt in attempts), attempts
    # The same steps in another order are found out.
    run = killed.changes
    turned = tmp_path / "turned.jsonl"
    lines = [{"changes": [asdict(change) for change in run]}, *({"steps": [c.key], "state": "done"} for c in run[::-1])]
    turned.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(AssertionError, match=r"turned\.jsonl moment"):
        killed.replay.run(turned, killed.read())
