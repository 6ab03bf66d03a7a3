"""The canonical request, the string to sign and the signing key of AWS Signature Version 4.

Source: IAM user guide, "Create a signed AWS API request" (reference_sigv-create-signed-request).
"""

from __future__ import annotations

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_BLOCK = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
# A key is valid for one day, region and service; deriving it costs four times what using it costs.
_MAX_KEYS = 4096
_keys: dict[tuple[str, str, str, str], bytes] = {}
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
    if b"\n" in value or b"  " in value:
        import re

        # RFC 9112, 5.2: a line that goes on behind white space is read as if there were a space in its place.
        value = re.sub(rb" +", b" ", re.sub(rb"\r?\n[ \t]+", b" ", value))
    return value.decode("latin-1")


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
    digest = sha256_hex(request.encode("latin-1", "replace"))
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of a payload, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC with SHA-256 (RFC 2104); :mod:`hmac` imports more than this takes, and is no faster."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    key = key.ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(key.translate(_INNER_PAD) + message).digest()
    return hashlib.sha256(key.translate(_OUTER_PAD) + inner).digest()


def signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    """The key derived from a secret for one day (``YYYYMMDD``), region and service."""
    name = (secret_access_key, date, region, service)
    found = _keys.get(name)
    if found is None:
        found = f"AWS4{secret_access_key}".encode()
        for part in (date, region, service, "aws4_request"):
            found = hmac_sha256(found, part.encode())
        if len(_keys) >= _MAX_KEYS:
            _keys.clear()
        _keys[name] = found
    return found


def signature(secret_access_key: str, scope: str, text: str) -> str:
    """The signature, 64 hexadecimal digits, of a string to sign with the given scope."""
    date, region, service, _ = scope.split("/")
    return hmac_sha256(signing_key(secret_access_key, date, region, service), text.encode("latin-1")).hex()
