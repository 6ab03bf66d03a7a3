"""How many reviews one client address may ask for: a bucket of tokens each, and a bound on the buckets."""

from __future__ import annotations

from collections import OrderedDict

MAX_CLIENTS = 4_096
# A burst of two seconds: API servers come back all at once after a restart.
BURST_SECONDS = 2.0


class RateLimit:
    """Counts by client.

    :param rate: a second; 0 for any number.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate * BURST_SECONDS)
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, client: str, now: float) -> bool:
        """Whether ``client`` may ask now (seconds on any steady clock), and counts it where it may."""
        if not self._rate:
            return True
        left, since = self._clients.get(client, (self._most, now))
        left = min(self._most, left + (now - since) * self._rate)
        allowed = left >= 1.0
        self._clients[client] = (left - 1.0 if allowed else left, now)
        self._clients.move_to_end(client)
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return allowed

    def give_back(self, client: str) -> None:
        """What :meth:`allows` counted led to nothing."""
        if client in self._clients:
            left, since = self._clients[client]
            self._clients[client] = (min(self._most, left + 1.0), since)
