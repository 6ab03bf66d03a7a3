"""When each access key was used last. Kept in memory and written now and then: it is a hint, as in AWS."""

from __future__ import annotations

from datetime import datetime

from rolecall.lab.aws_endpoint.moments import to_text
from rolecall.lab.aws_endpoint.store import Store

MAX_PENDING = 10_000


class KeyUsage:
    """Collects uses, and writes them with :meth:`flush`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: dict[str, tuple[datetime, str, str]] = {}

    def record(self, key_id: str, service: str, region: str, now: datetime) -> None:
        if key_id.startswith("AKIA"):
            self._pending[key_id] = (now, service, region)
            if len(self._pending) > MAX_PENDING:
                self.flush()

    def flush(self) -> None:
        """Write what was collected; outside of any transaction."""
        if not self._pending:
            return
        rows = [(key, to_text(used), service, region) for key, (used, service, region) in self._pending.items()]
        self._pending.clear()
        with self._store.transaction():
            for row in rows:
                self._store.execute("INSERT OR REPLACE INTO key_usage VALUES (?, ?, ?, ?)", row)
