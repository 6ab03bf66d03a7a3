"""A presigned query from plain values, with few imports: kubectl starts the credential plugin for each command."""

from __future__ import annotations

from rolecall.sigv4.canonical import ALGORITHM, EMPTY_SHA256, canonical_request, encode, signature, string_to_sign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def presigned_query(
    method: str,
    path: bytes,
    query: str,
    headers: Sequence[tuple[str, str]],
    key: tuple[str, str, str | None],
    *,
    region: str,
    service: str,
    timestamp: str,
    expires: int,
) -> str:
    """The query with its signature, valid for ``expires`` seconds; the payload counts as empty.

    :param query: the request's own query, encoded, or empty.
    :param headers: lower-case names in order with folded values; all of them are signed.
    :param key: access key id, secret access key, and the session token of temporary credentials.
    :param timestamp: ``20260131T235959Z``.
    """
    access_key_id, secret_access_key, session_token = key
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    parameters = [
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{access_key_id}/{scope}"),
        ("X-Amz-Date", timestamp),
        ("X-Amz-Expires", str(expires)),
        ("X-Amz-SignedHeaders", ";".join(name for name, _ in headers)),
    ]
    if session_token:
        parameters.append(("X-Amz-Security-Token", session_token))
    added = "&".join(f"{name}={encode(value)}" for name, value in parameters)
    whole = f"{query}&{added}" if query else added
    text = canonical_request(method, path, query_pairs(whole), headers, EMPTY_SHA256)
    return f"{whole}&X-Amz-Signature={signature(secret_access_key, scope, string_to_sign(timestamp, scope, text))}"


def query_pairs(query: str) -> list[tuple[str, str]]:
    """Names and values of an encoded query, still encoded."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(name, value) for name, _, value in pairs]
