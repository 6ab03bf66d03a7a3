"""The clusters of a lab, read from its state, which SQLite allows while the lab runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from rolecall.lab.home import LabError, LabHome


def clusters_in(home: LabHome) -> list[dict[str, str]]:
    """Every cluster of every account, with camelCase keys; a member without a value is absent."""
    if not home.aws_database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{home.aws_database}?mode=ro", uri=True, timeout=2.0)) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute(
                "SELECT name, account, region, status, mode AS authenticationMode, endpoint FROM clusters "
                "ORDER BY account, region, name"
            ).fetchall()
    except sqlite3.Error as error:
        raise LabError(f"the lab's state cannot be read: {error}", where=str(home.aws_database)) from None
    return [{key: row[key] for key in row.keys() if row[key]} for row in rows]  # noqa: SIM118 -- a row, no dict
