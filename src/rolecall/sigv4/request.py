"""An HTTP request as it travels: raw bytes, because a signature is over what was sent and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request before or after signing.

    :param path: the path as sent, percent-encoding untouched, without the query.
    :param query: what follows ``?``, as sent; empty where there is none.
    :param headers: names and values in the order sent; names in any case.
    """

    method: str
    path: bytes
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name."""
        for found, value in self.headers:
            if found.lower() == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs: a key id, its secret, and the session token of temporary credentials."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
