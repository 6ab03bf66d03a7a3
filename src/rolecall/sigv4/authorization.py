"""The ``Authorization`` header from plain values, with few imports; :mod:`rolecall.sigv4.signing` is its face."""

from __future__ import annotations

from rolecall.sigv4.canonical import ALGORITHM, canonical_request, sha256_hex, signature, string_to_sign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def authorization(
    method: str,
    path: bytes,
    query: Sequence[tuple[str, str]],
    headers: Sequence[tuple[str, str]],
    payload: bytes,
    key: tuple[str, str],
    *,
    region: str,
    service: str,
    timestamp: str,
) -> str:
    """The value of the header.

    :param query: encoded names and values.
    :param headers: lower-case names in order with folded values, ``host`` and ``x-amz-date`` among them.
    :param key: access key id and secret access key.
    :param timestamp: ``20260131T235959Z``, the same as in ``x-amz-date``.
    """
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    text = canonical_request(method, path, query, headers, sha256_hex(payload))
    value = signature(key[1], scope, string_to_sign(timestamp, scope, text))
    names = ";".join(name for name, _ in headers)
    return f"{ALGORITHM} Credential={key[0]}/{scope}, SignedHeaders={names}, Signature={value}"
