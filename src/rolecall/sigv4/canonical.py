"""The canonical request, the string to sign and the signing key of AWS Signature Version 4.

Source: IAM user guide, "Create a signed AWS API request" (reference_sigv-create-signed-request).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_SPACES = re.compile(rb" +")
# RFC 9112, 5.2: a line that goes on behind white space is read as if there were a space in its place.
_FOLDED = re.compile(rb"\r?\n[ \t]+")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
_ENCODED = [chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in range(256)]


def encode(text: str) -> str:
    """URI-encode as SigV4 does: everything but the unreserved characters of RFC 3986."""
    return "".join([_ENCODED[byte] for byte in text.encode()])


def canonical_path(path: bytes) -> str:
    """The path, its dot segments removed and its already encoded text encoded once more.

    Every service but S3 encodes the path twice; botocore's ``SigV4Auth`` does the same.
    """
    if path in (b"/", b""):
        return "/"
    from urllib.parse import quote_from_bytes

    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    trailing = b"/" if path.endswith(b"/") and kept else b""
    return quote_from_bytes(b"/" + b"/".join(kept) + trailing, safe="/~")


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Encoded names and values, sorted by encoded name and then by value; an empty value keeps its ``=``."""
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def fold(value: bytes) -> str:
    """A header value as it is signed: trimmed, folded lines joined by one space, runs of spaces made one."""
    value = value.strip()
    if b"\n" in value:
        value = _FOLDED.sub(b" ", value)
    return (_SPACES.sub(b" ", value) if b"  " in value else value).decode("latin-1")


def canonical_request(
    method: str,
    path: bytes,
    query: Sequence[tuple[str, str]],
    headers: Sequence[tuple[str, str]],
    payload_sha256: str,
) -> str:
    """The text that is hashed; ``headers`` are lower-case names in order with folded values."""
    lines = "".join(f"{name}:{value}\n" for name, value in headers)
    names = ";".join(name for name, _ in headers)
    return "\n".join((method, canonical_path(path), canonical_query(query), lines, names, payload_sha256))


def string_to_sign(timestamp: str, scope: str, request: str) -> str:
    """What is signed: algorithm, time, scope and the hash of the canonical request."""
    digest = hashlib.sha256(request.encode("latin-1", "replace")).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


# A key is good for one day, region and service; deriving it costs four times what using it costs.
@lru_cache(maxsize=4096)
def signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    """The key derived from a secret for one day (``YYYYMMDD``), region and service."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(secret_access_key: str, scope: str, text: str) -> str:
    """The signature, 64 hexadecimal digits, of a string to sign with the given scope."""
    date, region, service, _ = scope.split("/")
    return hmac.digest(signing_key(secret_access_key, date, region, service), text.encode("latin-1"), "sha256").hex()
