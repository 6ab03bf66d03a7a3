"""aiohttp's HTTP parser in C, used without the rest of aiohttp: for whole messages, each of a bounded size.

The parser tells a protocol to stop reading when a body grows beyond its limit. Here that means that the message is too
long, and it ends its connection; so nothing ever has to be resumed, and bodies are read when they are complete.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.http import HttpRequestParser, HttpResponseParser
from aiohttp.streams import StreamReader

MAX_LINE = 8_190
MAX_HEADERS = 64


class FlowControl:
    """What the parser takes for its protocol.

    :ivar over: whether a body has grown beyond the limit.
    """

    def __init__(self) -> None:
        self.over = False
        self._reading_paused = False

    def pause_reading(self) -> None:
        self.over = True

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Reading is never paused, so there is nothing to resume."""


def request_parser(loop: asyncio.AbstractEventLoop, flow: FlowControl, max_body: int) -> Any:
    """A parser of requests; ``flow.over`` says when a body has more than about ``max_body`` bytes."""
    return HttpRequestParser(flow, loop, max_body // 2, auto_decompress=False, **_BOUNDS)  # type: ignore[arg-type]


def response_parser(loop: asyncio.AbstractEventLoop, flow: FlowControl, max_body: int) -> Any:
    """A parser of responses; one without a length ends with its connection."""
    return HttpResponseParser(
        flow,  # type: ignore[arg-type]
        loop,
        max_body // 2,
        auto_decompress=False,
        read_until_eof=True,
        **_BOUNDS,
    )


_BOUNDS: Any = {"max_line_size": MAX_LINE, "max_headers": MAX_HEADERS, "max_field_size": MAX_LINE}


def body_of(payload: StreamReader) -> bytes:
    """The body of a message that is complete."""
    return payload.read_nowait() if payload.total_bytes else b""
