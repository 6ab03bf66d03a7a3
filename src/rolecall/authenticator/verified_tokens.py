"""What STS said about a token, for a short while: bounded, keyed by digest, and never longer than the token lives.

Two clocks decide about it. The wall clock ends a token's life and may be set; a steady one measures how long an answer
has been remembered. A token that was verified later than it is now is not remembered: the wall clock was set back.

Identical tokens that arrive while STS is being asked wait for the one answer. Refusals are not remembered: a token that
was refused once may be good when STS has caught up with a new key.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from rolecall.model import Identity

MAX_TOKENS = 4_096

Ask = Callable[[str], Awaitable[tuple[Identity, datetime]]]


class Verified:
    """An identity that STS confirmed.

    :ivar since: when, in seconds since 1970; ``ends``: when the token's life ends.
    :ivar until: how long it is remembered, on the steady clock.
    :ivar answer: what its user of this module last made of it; forgotten together with it.
    """

    __slots__ = ("answer", "ends", "identity", "since", "until")

    def __init__(self, identity: Identity, since: float, ends: float, until: float) -> None:
        self.identity = identity
        self.since = since
        self.ends = ends
        self.until = until
        self.answer: Any = None


class VerifiedTokens:
    """Remembers identities by the digest of their token.

    :param steady: a clock that nobody sets, in seconds.

    :param ask: verifies a token with STS; the identity and the end of the token's life.
    :param seconds: how long an answer counts; 0 remembers nothing, and still joins what is in flight.
    """

    def __init__(
        self, ask: Ask, seconds: float, max_tokens: int = MAX_TOKENS, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._steady = steady
        self._ask = ask
        self._seconds = seconds
        self._max_tokens = max_tokens
        self._known: OrderedDict[bytes, Verified] = OrderedDict()
        self._asked: dict[bytes, asyncio.Future[Identity]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def known(self, token: str, now: float) -> Verified | None:
        """Who is behind a token, where it was verified just now.

        :param now: seconds since 1970.
        """
        if not self._seconds:
            return None
        digest = _digest(token)
        found = self._known.get(digest)
        if found is None:
            return None
        # Both clocks have to agree that it still counts; the wall clock in both directions.
        if not found.since <= now < min(found.ends, found.since + self._seconds) or self._steady() >= found.until:
            del self._known[digest]
            return None
        return found

    def is_asked(self, token: str) -> bool:
        """Whether STS is being asked about this very token."""
        return _digest(token) in self._asked

    async def verify(self, token: str, now: float) -> Identity:
        """Ask STS about a token, or wait for the caller that has asked already. Raises what asking raises."""
        digest = _digest(token)
        while (waiting := self._asked.get(digest)) is not None:
            try:
                return await asyncio.shield(waiting)
            except asyncio.CancelledError:
                # The one who asked has gone away, and somebody else has to; or it is this caller who goes.
                if not waiting.cancelled():
                    raise
        waiting = self._asked[digest] = asyncio.get_running_loop().create_future()
        began = self._steady()
        try:
            identity, ends = await self._ask(token)
        except Exception as error:
            waiting.set_exception(error)
            # Nobody else may have waited for it, which asyncio would report.
            waiting.exception()
            raise
        except BaseException:
            waiting.cancel()
            raise
        finally:
            del self._asked[digest]
        waiting.set_result(identity)
        if self._seconds:
            self._known[digest] = Verified(identity, now, ends.timestamp(), began + self._seconds)
            if len(self._known) > self._max_tokens:
                self._known.popitem(last=False)
        return identity


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
