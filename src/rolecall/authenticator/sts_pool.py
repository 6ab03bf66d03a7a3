"""Who may ask STS when: every host has connections of its own, so that a region that does not answer delays no other.

Anybody can write tokens that name a region, and only STS finds out that a signature is made up. So such tokens take the
places of the region that they name. A host that has failed several times in a row gets a few connections to find out
when it is back, and a caller beyond a short queue is turned away at once.
"""

from __future__ import annotations

import asyncio
from collections import deque

from rolecall.authenticator.sts_connections import Answer, Connection, Route

# STS closes an idle connection after a minute or so; one that is about to be closed is not used any more.
IDLE_SECONDS = 45.0
# Idle connections of all hosts together, as a multiple of what one host may have in use.
IDLE_AT_ONCE = 2
# After so many failures in a row a host counts as one that does not answer; the next answer ends that.
FAILURES = 3
# Connections to a host that does not answer, and requests that may wait for one.
PROBES, WAITING = 8, 64

Address = tuple[str, str]  # scheme, host with its port where it is not the scheme's own


class CrowdedError(ConnectionError):
    """Too many wait for this host already."""


class _Host:
    """One host's connections.

    :ivar out: connections that are in use or being opened.
    :ivar failures: in a row, up to now.
    """

    __slots__ = ("failures", "idle", "out", "queue")

    def __init__(self) -> None:
        # With the time since which it is idle; the one used last is the last.
        self.idle: dict[Connection, float] = {}
        self.out = 0
        self.failures = 0
        self.queue: deque[asyncio.Future[None]] = deque()


class StsPool:
    """A pool.

    :param most: connections at once to one host.
    """

    def __init__(self, route: Route, most: int) -> None:
        self._route = route
        self._most = most
        self._hosts: dict[Address, _Host] = {}
        # Of all hosts, idle for the longest time first.
        self._idle: dict[Connection, _Host] = {}
        self._closed = False

    async def ask(self, scheme: str, host: str, request: bytes) -> Answer:
        """Send a request to ``host``; ``OSError`` (``ssl.SSLError`` is one) if no answer comes back."""
        address = (scheme, host)
        mine = self._hosts.get(address)
        if mine is None:
            mine = self._hosts[address] = _Host()
        await self._enter(mine)
        try:
            answer = await self._ask(address, mine, request)
        except BaseException:
            # That the time is over is a cancellation.
            mine.failures += 1
            raise
        else:
            mine.failures = 0
            return answer
        finally:
            self._leave(mine)

    async def _ask(self, address: Address, mine: _Host, request: bytes) -> Answer:
        while True:
            connection = self._take(mine) or await self._route.connect(*address)
            was_used = connection.used
            try:
                answer = await connection.ask(request)
            except ConnectionError:
                connection.close()
                if was_used and not connection.received:
                    # Closed by STS while it was idle: that says nothing about STS, and a GET may be sent again.
                    continue
                raise
            self._give_back(mine, connection)
            return answer

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        for connection in tuple(self._idle):
            self._forget(connection)
            connection.close()

    def _has_room(self, mine: _Host) -> bool:
        return mine.out < (self._most if mine.failures < FAILURES else min(PROBES, self._most))

    async def _enter(self, mine: _Host) -> None:
        if self._has_room(mine):
            mine.out += 1
            return
        if mine.failures >= FAILURES and len(mine.queue) >= WAITING:
            raise CrowdedError("it does not answer, and too many wait for it")
        turn = asyncio.get_running_loop().create_future()
        mine.queue.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # The place was given in the moment in which the one who waited went away.
                self._leave(mine)
            raise

    def _leave(self, mine: _Host) -> None:
        mine.out -= 1
        while mine.queue and self._has_room(mine):
            turn = mine.queue.popleft()
            if not turn.done():
                mine.out += 1
                turn.set_result(None)

    def _take(self, mine: _Host) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while mine.idle:
            # The one used last is the least likely to be closed; the others may grow old.
            connection, since = mine.idle.popitem()
            del self._idle[connection]
            if connection.usable and since > oldest:
                return connection
            connection.close()
        return None

    def _give_back(self, mine: _Host, connection: Connection) -> None:
        if not connection.usable or self._closed:
            connection.close()
            return
        mine.idle[connection] = asyncio.get_running_loop().time()
        self._idle[connection] = mine
        connection.on_lost = self._forget
        if len(self._idle) > self._most * IDLE_AT_ONCE:
            longest = next(iter(self._idle))
            self._forget(longest)
            longest.close()

    def _forget(self, connection: Connection) -> None:
        mine = self._idle.pop(connection, None)
        if mine is not None:
            del mine.idle[connection]
