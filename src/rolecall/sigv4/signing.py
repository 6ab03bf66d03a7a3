"""Sign a request, in its headers or as a presigned URL.

The query of the signed request is encoded as it was signed, whatever characters it was given with: a server computes
the signature over the encoded names and values (IAM user guide, "Create a signed AWS API request", canonical query).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote_from_bytes, unquote_to_bytes

from rolecall.sigv4.authorization import authorization
from rolecall.sigv4.canonical import fold
from rolecall.sigv4.presigned import presigned_query, query_pairs
from rolecall.sigv4.request import Credentials, HttpRequest

TIMESTAMP = "%Y%m%dT%H%M%SZ"
_ENCODED = re.compile(rb"(?:[A-Za-z0-9\-_.~=&]|%[0-9A-F]{2})*")


def sign(request: HttpRequest, credentials: Credentials, *, region: str, service: str, now: datetime) -> HttpRequest:
    """The request with ``Authorization``, ``X-Amz-Date`` and, for temporary credentials, the session token added.

    ``Host`` must be among the headers; every header given is signed.
    """
    timestamp = now.astimezone(UTC).strftime(TIMESTAMP)
    added = [(b"X-Amz-Date", timestamp.encode())]
    if credentials.session_token:
        added.append((b"X-Amz-Security-Token", credentials.session_token.encode()))
    headers = (*request.headers, *added)
    query = encoded_query(request.query)
    value = authorization(
        request.method,
        request.path,
        query_pairs(query),
        _signed_headers(headers),
        request.body,
        (credentials.access_key_id, credentials.secret_access_key),
        region=region,
        service=service,
        timestamp=timestamp,
    )
    return HttpRequest(
        request.method,
        request.path,
        query.encode(),
        (*headers, (b"Authorization", value.encode())),
        request.body,
    )


def presign(
    request: HttpRequest, credentials: Credentials, *, region: str, service: str, now: datetime, expires: int
) -> HttpRequest:
    """The request with its signature in the query, valid for ``expires`` seconds; its payload counts as empty."""
    query = presigned_query(
        request.method,
        request.path,
        encoded_query(request.query),
        _signed_headers(request.headers),
        (credentials.access_key_id, credentials.secret_access_key, credentials.session_token),
        region=region,
        service=service,
        timestamp=now.astimezone(UTC).strftime(TIMESTAMP),
        expires=expires,
    )
    return HttpRequest(request.method, request.path, query.encode(), request.headers, request.body)


def encoded_query(query: bytes) -> str:
    """A query whose names and values are encoded as SigV4 does; what is encoded already stays as it is."""
    if not _ENCODED.fullmatch(query):
        pairs = (part.partition(b"=") for part in query.split(b"&"))
        query = b"&".join(_encoded(name) + equals + _encoded(value) for name, equals, value in pairs)
    return query.decode("ascii")


def _encoded(text: bytes) -> bytes:
    return quote_from_bytes(unquote_to_bytes(text), safe="-_.~").encode()


def _signed_headers(headers: tuple[tuple[bytes, bytes], ...]) -> list[tuple[str, str]]:
    folded: dict[str, str] = {}
    for name, value in headers:
        key = name.decode("latin-1").lower()
        folded[key] = f"{folded[key]},{fold(value)}" if key in folded else fold(value)
    return sorted(folded.items())
