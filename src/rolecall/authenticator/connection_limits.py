"""How many connections there may be and what they may hold together, and who has to go for whom.

A place is never refused to a newcomer while somebody less deserving has one: first goes who has been idle longest among
those whose requests never led to an identity that STS confirmed, then the longest idle of the others, then a stranger
whose answer is still owed. If all of them hold too many bytes together, the one that holds most goes.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

MAX_CONNECTIONS = 2_048
# Of requests that are arriving or waiting and of answers that are not read, over all connections. A review has 2 KiB.
MAX_HELD = 24 * 1024 * 1024


class Member(Protocol):
    """A connection as this module sees it."""

    @property
    def busy(self) -> bool:
        """Whether an answer is owed."""

    def evict(self) -> None:
        """Close at once; :meth:`ConnectionLimits.leave` may be called later."""


M = TypeVar("M", bound=Member)


class ConnectionLimits(Generic[M]):
    """The connections of one server.

    :param most: connections at once.
    :param max_held: bytes that they may hold together.
    :ivar evicted: how many had to go; ``refused``: how many found no place.
    """

    def __init__(self, most: int = MAX_CONNECTIONS, max_held: int = MAX_HELD) -> None:
        self._most = most
        self._max_held = max_held
        # Each in the order of use, longest idle first.
        self._strangers: dict[M, None] = {}
        self._trusted: dict[M, None] = {}
        self._held: dict[M, int] = {}
        self._total = 0
        self.evicted = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._strangers) + len(self._trusted)

    def members(self) -> tuple[M, ...]:
        """All of them, as of now."""
        return (*self._strangers, *self._trusted)

    @property
    def held(self) -> int:
        """Bytes that all of them hold."""
        return self._total

    def enter(self, one: M) -> bool:
        """A new connection; whether there is a place for it."""
        if len(self) >= self._most:
            leaving = self._least_deserving()
            if leaving is None:
                self.refused += 1
                return False
            self._evict(leaving)
        self._strangers[one] = None
        return True

    def leave(self, one: M) -> None:
        """A connection is gone; nothing if that is known already."""
        self._strangers.pop(one, None)
        self._trusted.pop(one, None)
        self._total -= self._held.pop(one, 0)

    def answered(self, one: M, *, trusted: bool) -> None:
        """A connection got an answer.

        :param trusted: whether STS has confirmed an identity for it.
        """
        if one in self._trusted:
            del self._trusted[one]
            self._trusted[one] = None
        elif one in self._strangers:
            del self._strangers[one]
            (self._trusted if trusted else self._strangers)[one] = None

    def holds(self, one: M, count: int) -> None:
        """A connection now holds ``count`` bytes."""
        before = self._held.get(one, 0)
        if count == before:
            return
        if count:
            self._held[one] = count
        else:
            del self._held[one]
        self._total += count - before
        while self._total > self._max_held:
            self._evict(max(self._held, key=self._held.__getitem__))

    def _evict(self, one: M) -> None:
        self.evicted += 1
        self.leave(one)
        one.evict()

    def _least_deserving(self) -> M | None:
        for group in (self._strangers, self._trusted):
            for one in group:
                if not one.busy:
                    return one
        return next(iter(self._strangers), None)
