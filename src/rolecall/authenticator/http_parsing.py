"""HTTP/1.1 messages from bytes as they arrive, each bounded in lines, headers and body while it arrives.

llhttp, the parser of Node.js, does the reading (package ``httptools``); it refuses everything that two readers could
take for different messages. Here are the bounds, which it does not have. No I/O.
Sources: RFC 9112 (HTTP/1.1), sections 2 to 7; RFC 9110, section 10.1.1 (``Expect``).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

MAX_LINE = 8_190
MAX_HEADERS = 64
# Of one message. The parser keeps the pieces of a header until it is complete.
MAX_HEAD = 32_768


class MessageError(Exception):
    """The bytes are not an acceptable message.

    :ivar status: of the answer to a request.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class ParsedRequest:
    """A request, complete or on its way.

    :ivar target: as in the request line, with the query.
    :ivar expects_continue: whether the client waits for ``100 Continue`` before it sends the body.
    """

    __slots__ = ("body", "expects_continue", "has_body", "keep_alive", "method", "target", "user_agent")

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.user_agent = ""
        self.body = bytearray()
        self.keep_alive = True
        self.expects_continue = False
        self.has_body = False


class _Reader:
    """What the two directions share: the bounds of head and body."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._parser: Any = None
        self._trouble: MessageError | None = None
        self._headers = 0
        self._head = 0
        self._in_head = False

    def feed(self, data: bytes) -> None:
        """Take bytes; :class:`MessageError` if they are not acceptable, and then nothing more may be fed."""
        self._head += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self.upgraded()
            raise MessageError(400, "an upgrade is not possible") from None
        except HttpParserError as error:
            if self._trouble is not None:
                raise self._trouble from None
            raise MessageError(400, str(error)[:200] or "the message cannot be read") from None
        if not self._in_head:
            self._head = 0
        elif self._head > MAX_HEAD:
            raise MessageError(400, f"the headers are longer than {MAX_HEAD} bytes")

    def close(self) -> None:
        """Let go of the parser, which refers to this object."""
        self._parser = None

    def on_message_begin(self) -> None:
        self._in_head = True
        self._headers = 0
        self.begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        if self._headers > MAX_HEADERS:
            self.refuse(400, f"more than {MAX_HEADERS} headers")
        if len(name) + len(value) > MAX_LINE:
            self.refuse(400, f"a header is longer than {MAX_LINE} bytes")
        self.header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.headers_complete()

    def refuse(self, status: int, text: str) -> None:
        """Stop the parser, from inside one of its callbacks."""
        self._trouble = MessageError(status, text)
        raise self._trouble

    def add(self, body: bytearray, data: bytes) -> None:
        """Add a piece to a body."""
        if len(body) + len(data) > self._max_body:
            self.refuse(413, f"the body is longer than {self._max_body} bytes")
        body += data

    def upgraded(self) -> None: ...

    def begin(self) -> None: ...

    def header(self, name: bytes, value: bytes) -> None: ...

    def headers_complete(self) -> None: ...


class RequestReader(_Reader):
    """Reads the requests of one connection.

    :ivar complete: requests that are ready to be answered, oldest first; the one who answers takes them out.
    :ivar partial: the request that is arriving, or ``None`` between requests.
    """

    def __init__(self, max_body: int, max_waiting: int) -> None:
        super().__init__(max_body)
        self._max_waiting = max_waiting
        self._parser = HttpRequestParser(self)
        self.complete: deque[ParsedRequest] = deque()
        self.partial: ParsedRequest | None = None

    @property
    def held(self) -> int:
        """Bytes kept: of the request that is arriving and of those that wait for their answer."""
        if self.partial is None and not self.complete:
            return 0
        found = self._head
        for request in (*self.complete, *((self.partial,) if self.partial else ())):
            found += len(request.body) + len(request.target) + 500
        return found

    def begin(self) -> None:
        self.partial = ParsedRequest()

    def upgraded(self) -> None:
        # A client that asks for another protocol gets a refusal and not an answer.
        self.complete.pop()

    def on_url(self, url: bytes) -> None:
        request = self._request
        request.target += url
        if len(request.target) > MAX_LINE:
            self.refuse(400, f"the request line is longer than {MAX_LINE} bytes")

    def header(self, name: bytes, value: bytes) -> None:
        kind = _WANTED.get(len(name))
        if kind is None or name.lower() != kind:
            return
        request = self._request
        if kind == b"user-agent":
            request.user_agent = value.decode("latin-1")
        elif kind == b"content-length":
            # The parser has refused what is not a number.
            length = int(value) if len(value) <= 20 else self._max_body + 1
            request.has_body = length > 0
            if length > self._max_body:
                self.refuse(413, f"the request is longer than {self._max_body} bytes")
        elif kind == b"transfer-encoding":
            request.has_body = True
        elif value.lower() == b"100-continue":
            request.expects_continue = True
        else:
            self.refuse(417, "only 100-continue can be expected")

    def headers_complete(self) -> None:
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self.refuse(400, "only HTTP/1.1 is spoken here")
        # RFC 9110, 10.1.1: a server ignores the expectation in a request of HTTP/1.0 or without content.
        request.expects_continue = request.expects_continue and version == "1.1" and request.has_body

    def on_body(self, data: bytes) -> None:
        request = self._request
        # The client has not waited.
        request.expects_continue = False
        self.add(request.body, data)

    def on_message_complete(self) -> None:
        request = self._request
        request.keep_alive = self._parser.should_keep_alive()
        self.partial = None
        self._head = 0
        self.complete.append(request)
        if len(self.complete) > self._max_waiting:
            self.refuse(400, "too many requests at once")

    @property
    def _request(self) -> ParsedRequest:
        assert self.partial is not None
        return self.partial


# By their length, so that most headers cost one look-up.
_WANTED = {len(name): name for name in (b"user-agent", b"content-length", b"transfer-encoding", b"expect")}


class ResponseReader(_Reader):
    """Reads the one answer to a request that was sent.

    :ivar status: of the answer.
    :ivar begun: whether its head is complete; ``complete``: whether all of it is.
    :ivar keep_alive: whether the connection may be used again; known once it is complete.
    """

    def __init__(self, max_body: int) -> None:
        super().__init__(max_body)
        self._parser = HttpResponseParser(self)
        self.status = 0
        self.body = bytearray()
        self.begun = self.complete = self.keep_alive = False
        self._framed = False

    def finish(self) -> bool:
        """The connection has ended: whether that completes an answer without a length."""
        if self.begun and not self.complete and not self._framed:
            self.complete, self.keep_alive = True, False
        return self.complete

    def begin(self) -> None:
        if self.complete:
            self.refuse(502, "more than one answer")
        self._framed = False

    def header(self, name: bytes, value: bytes) -> None:
        self._framed = self._framed or name.lower() in (b"content-length", b"transfer-encoding")

    def headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.begun = self.status >= 200

    def on_body(self, data: bytes) -> None:
        self.add(self.body, data)

    def on_message_complete(self) -> None:
        # An interim answer (1xx) is followed by the one that counts.
        if self.begun:
            self.complete, self.keep_alive = True, self._parser.should_keep_alive()
