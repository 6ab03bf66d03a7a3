"""Addresses of host names, looked up so that a name which does not resolve delays nobody who asks for another one.

The event loop looks names up on four threads that all hosts share: four names whose server does not answer stop every
other look-up. Here each name has a thread of its own while it is looked up, one at a time. The last good addresses of
a name serve for a while, and longer if no newer ones can be had.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

FRESH_SECONDS = 30.0
# A name server that fails must not lock out a host whose address was good a moment ago.
KEPT_SECONDS = 3_600.0

Lookup = Callable[[str, int], list[str]]


def system_lookup(name: str, port: int) -> list[str]:
    """The addresses that the system has for a name; ``OSError`` if it has none."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(slots=True)
class _Known:
    addresses: tuple[str, ...]
    since: float


class HostNames:
    """Remembers addresses. The number of names is the caller's to bound.

    :param look_up: blocks, and is called on a thread.
    """

    def __init__(self, look_up: Lookup = system_lookup) -> None:
        self._look_up = look_up
        self._known: dict[tuple[str, int], _Known] = {}
        self._asked: dict[tuple[str, int], asyncio.Future[tuple[str, ...]]] = {}

    async def addresses(self, name: str, port: int) -> tuple[str, ...]:
        """The addresses of a name, the preferred first; ``OSError`` if it has none."""
        key = (name, port)
        known, now = self._known.get(key), asyncio.get_running_loop().time()
        if known is not None and now < known.since + FRESH_SECONDS:
            return known.addresses
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = self._ask(key)
        if known is not None and now < known.since + KEPT_SECONDS:
            # The newer ones come in time for the next connection.
            return known.addresses
        # Others wait for the same answer: one who goes away does not take it along.
        return await asyncio.shield(asked)

    def _ask(self, key: tuple[str, int]) -> asyncio.Future[tuple[str, ...]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

        def done(found: tuple[str, ...], error: OSError | None) -> None:
            self._asked.pop(key, None)
            if found:
                self._known[key] = _Known(found, loop.time())
            if answer.done():
                return
            if error is not None or not found:
                answer.set_exception(error or OSError(f"{key[0]} has no address"))
                # Nobody may wait for it any more, which asyncio would report.
                answer.exception()
            else:
                answer.set_result(found)

        def work() -> None:
            found: tuple[str, ...] = ()
            error: OSError | None = None
            try:
                found = tuple(self._look_up(*key))
            except (OSError, UnicodeError) as trouble:
                error = trouble if isinstance(trouble, OSError) else OSError(str(trouble))
            try:
                loop.call_soon_threadsafe(done, found, error)
            except RuntimeError:
                # The loop has ended meanwhile.
                return

        threading.Thread(target=work, name=f"look up {key[0]}", daemon=True).start()
        return answer
