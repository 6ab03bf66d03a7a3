"""The runs that this person made before, as the journals of this machine have them."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rolecall.errors import RolecallError
from rolecall.visible import visible

if TYPE_CHECKING:
    from rolecall.changes.earlier import Earlier


def earlier_runs() -> list[Earlier]:
    """Every run that is young enough for a session of before to live; one that cannot be read is named on stderr."""
    from rolecall.changes.earlier import LONGEST, Earlier
    from rolecall.runs.journal import read_run, run_names, runs_folder

    folder, now = runs_folder(os.environ), datetime.now(UTC)
    found: list[Earlier] = []
    for name in reversed(run_names(folder)):
        try:
            ended = datetime.fromtimestamp((folder / f"{name}.jsonl").stat().st_mtime, UTC)
            if ended + LONGEST < now:
                break
            found.append(Earlier(name, ended, read_run(folder, name).made()))
        except (OSError, RolecallError) as error:
            sys.stderr.write(f"warning: what run {name} took away is not known: {visible(str(error))}\n")
    return found
