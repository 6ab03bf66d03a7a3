"""Sign a request, in its headers or as a presigned URL."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from rolecall.sigv4.canonical import (
    ALGORITHM,
    EMPTY_SHA256,
    canonical_request,
    encode,
    fold,
    signature,
    string_to_sign,
)
from rolecall.sigv4.request import Credentials, HttpRequest

TIMESTAMP = "%Y%m%dT%H%M%SZ"


def sign(request: HttpRequest, credentials: Credentials, *, region: str, service: str, now: datetime) -> HttpRequest:
    """The request with ``Authorization``, ``X-Amz-Date`` and, for temporary credentials, the session token added.

    ``Host`` must be among the headers; every header given is signed.
    """
    timestamp = now.astimezone(UTC).strftime(TIMESTAMP)
    added = [(b"X-Amz-Date", timestamp.encode())]
    if credentials.session_token:
        added.append((b"X-Amz-Security-Token", credentials.session_token.encode()))
    headers = (*request.headers, *added)
    signed = _signed_headers(headers)
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    text = canonical_request(
        request.method,
        request.path,
        _query_pairs(request.query),
        signed,
        hashlib.sha256(request.body).hexdigest(),
    )
    value = signature(credentials.secret_access_key, scope, string_to_sign(timestamp, scope, text))
    authorization = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(name for name, _ in signed)}, Signature={value}"
    )
    return HttpRequest(
        request.method,
        request.path,
        request.query,
        (*headers, (b"Authorization", authorization.encode())),
        request.body,
    )


def presign(
    request: HttpRequest, credentials: Credentials, *, region: str, service: str, now: datetime, expires: int
) -> HttpRequest:
    """The request with its signature in the query, good for ``expires`` seconds; its payload counts as empty."""
    timestamp = now.astimezone(UTC).strftime(TIMESTAMP)
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    signed = _signed_headers(request.headers)
    parameters = [
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{credentials.access_key_id}/{scope}"),
        ("X-Amz-Date", timestamp),
        ("X-Amz-Expires", str(expires)),
        ("X-Amz-SignedHeaders", ";".join(name for name, _ in signed)),
    ]
    if credentials.session_token:
        parameters.append(("X-Amz-Security-Token", credentials.session_token))
    added = "&".join(f"{name}={encode(value)}" for name, value in parameters)
    query = f"{request.query.decode()}&{added}" if request.query else added
    text = canonical_request(request.method, request.path, _query_pairs(query.encode()), signed, EMPTY_SHA256)
    value = signature(credentials.secret_access_key, scope, string_to_sign(timestamp, scope, text))
    return HttpRequest(
        request.method, request.path, f"{query}&X-Amz-Signature={value}".encode(), request.headers, request.body
    )


def _signed_headers(headers: tuple[tuple[bytes, bytes], ...]) -> list[tuple[str, str]]:
    folded: dict[str, str] = {}
    for name, value in headers:
        key = name.decode("latin-1").lower()
        folded[key] = f"{folded[key]},{fold(value)}" if key in folded else fold(value)
    return sorted(folded.items())


def _query_pairs(query: bytes) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in query.decode("ascii").split("&") if part)
    return [(name, value) for name, _, value in pairs]
