"""What a lab's state says, read beside the process that serves it; SQLite lets both at it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from rolecall.lab.home import LabError, LabHome


def clusters_in(home: LabHome) -> list[dict[str, str]]:
    """Every cluster of every account: name, account, region, status, authentication mode and endpoint."""
    if not home.aws_database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{home.aws_database}?mode=ro", uri=True, timeout=2.0)) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute(
                "SELECT name, account, region, status, mode AS authentication_mode, endpoint FROM clusters "
                "ORDER BY account, region, name"
            ).fetchall()
    except sqlite3.Error as error:
        raise LabError(f"the lab's state cannot be read: {error}", where=str(home.aws_database)) from None
    return [dict(row) for row in rows]
