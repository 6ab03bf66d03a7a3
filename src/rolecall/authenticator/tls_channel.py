"""TLS over bytes: what arrives becomes plain text, what is said becomes records. No I/O.

The event loop's own TLS keeps a buffer of 256 KiB for each connection, whose pages stay once a client has filled them,
and tells nobody about connections whose handshake is under way. Here a connection keeps what OpenSSL itself needs, and
the connection's owner counts it from its first byte.
"""

from __future__ import annotations

import contextlib
import ssl

# A record holds at most 16 KiB; OpenSSL keeps a buffer as large as the largest piece that it was given at once.
_PIECE = 16_384


class TlsChannel:
    """One side of a TLS connection.

    :param server_name: of the server that a client means to reach; ``None`` on the server's side.
    :ivar established: whether the handshake is done.
    :ivar ended: whether the peer has said that it sends no more.
    """

    __slots__ = ("_incoming", "_outgoing", "_tls", "ended", "established")

    def __init__(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        self.established = False
        self.ended = False

    def start(self) -> None:
        """Begin the handshake, as the client does; :meth:`outgoing` has the first record then."""
        self._handshake()

    def receive(self, data: bytes) -> bytes:
        """The plain text in the records that arrived; :class:`ssl.SSLError` if they are not TLS, or not trusted."""
        if len(data) <= _PIECE:
            return self._take(data)
        return b"".join(self._take(data[at : at + _PIECE]) for at in range(0, len(data), _PIECE))

    def send(self, data: bytes) -> bytes:
        """The records to send for ``data``, after the handshake."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """Records that the protocol itself has to send: of a handshake, of an alert."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def end(self) -> bytes:
        """The records that end the connection."""
        # It raises because the peer has not ended its side yet; nobody waits for that.
        with contextlib.suppress(OSError):
            self._tls.unwrap()
        return self.outgoing()

    def _take(self, data: bytes) -> bytes:
        self._incoming.write(data)
        if not self.established and not self._handshake():
            return b""
        found = b""
        # Reading what is not there raises, which costs more than to look.
        while self._incoming.pending or self._tls.pending():
            try:
                piece = self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.ended = True
                break
            found = found + piece if found else piece
        return found

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.established = True
        return True
