"""Take the signature out of a request, and check it: over the raw bytes as received, never over a re-encoding.

The two steps are separate because the secret is looked up by the key id in between. Source of the rules and of the
error texts: IAM user guide, "Troubleshoot Signature Version 4 requests for AWS APIs"; ``facts/iam.md`` 35 to 37.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from urllib.parse import unquote

from rolecall.errors import RolecallError
from rolecall.sigv4.canonical import (
    ALGORITHM,
    EMPTY_SHA256,
    canonical_request,
    encode,
    fold,
    signature,
    string_to_sign,
)
from rolecall.sigv4.request import HttpRequest
from rolecall.sigv4.signing import TIMESTAMP

MAX_SKEW = timedelta(minutes=5)
MAX_EXPIRES = 604_800
MAX_QUERY = 16_384
MAX_PAIRS = 200

_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_HEX64 = re.compile(rb"[0-9a-fA-F]{64}")
_ENCODED = re.compile(r"(?:[A-Za-z0-9\-_.~]|%[0-9A-Fa-f]{2})*", re.ASCII)
_QUERY_NAMES = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
)
_QUERY_NAMES_LOWER = {name.lower() for name in _QUERY_NAMES}


class SignatureProblem(Enum):
    """Why a signature was refused; the endpoint turns it into the error code of its protocol."""

    MISSING = "missing"
    INCOMPLETE = "incomplete"
    MISMATCH = "mismatch"
    EXPIRED = "expired"


class SignatureError(RolecallError):
    """A request is not signed, or not as AWS demands."""

    def __init__(self, problem: SignatureProblem, message: str) -> None:
        self.problem = problem
        super().__init__(message)


MISMATCH_TEXT = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
    "Key and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a request says about its own signature; nothing of it has been checked yet.

    :param timestamp: ``X-Amz-Date`` as sent, ``YYYYMMDDTHHMMSSZ``.
    :param expires: seconds of a presigned request, ``None`` for one signed in its headers.
    """

    access_key_id: str
    timestamp: str
    signed_at: datetime
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    expires: int | None = None
    session_token: str | None = None

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def parse_signature(request: HttpRequest) -> Signature:
    """The signature that a request carries in its ``Authorization`` header or its query.

    Raises :class:`SignatureError`: MISSING where there is none, INCOMPLETE where it is malformed, given twice, or
    given in both places.
    """
    names = [name.lower() for name, _ in request.headers]
    in_header = names.count(b"authorization")
    pairs = split_query(request.query) if request.query else []
    auth = [(name, value) for name, value in pairs if name.lower() in _QUERY_NAMES_LOWER]
    if in_header and any(name.lower() in ("x-amz-signature", "x-amz-credential") for name, _ in auth):
        raise _incomplete("a request is signed in its headers or in its query, not in both")
    if in_header > 1 or names.count(b"x-amz-date") > 1 or names.count(b"x-amz-security-token") > 1:
        raise _incomplete("Authorization, X-Amz-Date and X-Amz-Security-Token may be given once")
    if in_header:
        return _from_headers(request)
    if auth:
        return _from_query(auth)
    raise SignatureError(SignatureProblem.MISSING, "Request is missing Authentication Token")


def verify_signature(
    request: HttpRequest,
    found: Signature,
    secret_access_key: str,
    *,
    region: str | None,
    service: str,
    now: datetime,
    max_skew: timedelta = MAX_SKEW,
) -> None:
    """Check ``found`` against the request and the key's secret; :class:`SignatureError` where it does not hold.

    :param region: the only region that the endpoint accepts, or ``None`` where any will do.
    :param now: the endpoint's time, aware.
    """
    _check_scope(found, region, service)
    _check_time(found, now, max_skew)
    headers = _headers_to_sign(request, found)
    if found.expires is None:
        payload = _payload_hash(request)
        query = split_query(request.query)
    elif request.body:
        raise SignatureError(SignatureProblem.MISMATCH, "a presigned request has no body: nothing signs it")
    else:
        payload = EMPTY_SHA256
        query = [pair for pair in split_query(request.query) if pair[0] != "X-Amz-Signature"]
    text = canonical_request(request.method, request.path, [_encoded(pair) for pair in query], headers, payload)
    expected = signature(secret_access_key, found.scope, string_to_sign(found.timestamp, found.scope, text))
    if not hmac.compare_digest(expected.encode(), found.value.encode("utf-8", "replace")):
        raise SignatureError(SignatureProblem.MISMATCH, MISMATCH_TEXT)


def split_query(query: bytes) -> list[tuple[str, str]]:
    """Names and values as sent, still encoded; INCOMPLETE where the query is too long or not ASCII."""
    if not query:
        return []
    if len(query) > MAX_QUERY or query.count(b"&") >= MAX_PAIRS:
        raise _incomplete("the query string is too long")
    try:
        text = query.decode("ascii")
    except UnicodeDecodeError:
        raise _incomplete("the query string has characters that are not ASCII") from None
    return [(name, value) for name, _, value in (part.partition("=") for part in text.split("&") if part)]


def _encoded(pair: tuple[str, str]) -> tuple[str, str]:
    # A client may have sent characters that it signed in their encoded form, such as `:` or `/`.
    name, value = pair
    if not (_ENCODED.fullmatch(name) and _ENCODED.fullmatch(value)):
        return encode(unquote(name)), encode(unquote(value))
    return pair


def _from_headers(request: HttpRequest) -> Signature:
    text = (request.header(b"authorization") or b"").decode("latin-1")
    algorithm, _, rest = text.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'.")
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in parts or len(parts) > 3:
            raise _incomplete("the Authorization header is malformed")
        parts[name] = value
    for needed in ("Credential", "Signature", "SignedHeaders"):
        if not parts.get(needed):
            raise _incomplete(f"Authorization header requires '{needed}' parameter.")
    timestamp = (request.header(b"x-amz-date") or b"").decode("latin-1")
    if not timestamp:
        raise _incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    token = request.header(b"x-amz-security-token")
    return _signature(
        parts["Credential"],
        timestamp,
        parts["SignedHeaders"],
        parts["Signature"],
        None,
        token.decode("latin-1") if token is not None else None,
    )


def _from_query(pairs: list[tuple[str, str]]) -> Signature:
    parts: dict[str, str] = {}
    for name, value in pairs:
        if name not in _QUERY_NAMES or name in parts:
            raise _incomplete(f"the query parameter '{name[:64]}' is given twice or in another case")
        parts[name] = unquote(value)
    for needed in _QUERY_NAMES[:-1]:
        if not parts.get(needed) and needed != "X-Amz-Expires":
            raise _incomplete(f"AWS query-string parameters must include '{needed}'.")
    if parts["X-Amz-Algorithm"] != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{parts['X-Amz-Algorithm'][:64]}'.")
    # STS takes a presigned request without X-Amz-Expires for one of 15 minutes.
    expires = parts.get("X-Amz-Expires", "900")
    if not re.fullmatch(r"[0-9]{1,6}", expires, re.ASCII) or int(expires) > MAX_EXPIRES:
        raise _incomplete("X-Amz-Expires must be a number of seconds from 0 to 604800")
    return _signature(
        parts["X-Amz-Credential"],
        parts["X-Amz-Date"],
        parts["X-Amz-SignedHeaders"],
        parts["X-Amz-Signature"],
        int(expires),
        parts.get("X-Amz-Security-Token"),
    )


def _signature(
    credential: str, timestamp: str, signed: str, value: str, expires: int | None, token: str | None
) -> Signature:
    scope = credential.split("/")
    if len(scope) != 5 or not all(scope) or scope[4] != "aws4_request" or not credential.isascii():
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential[:200]}'"
        )
    if not _TIMESTAMP.fullmatch(timestamp):
        raise _incomplete("Date must be in ISO-8601 'basic format', as in 20260131T235959Z")
    t = timestamp
    try:
        # By hand: strptime takes a tenth of the whole verification.
        date, hour = (int(t[:4]), int(t[4:6]), int(t[6:8])), (int(t[9:11]), int(t[11:13]), int(t[13:15]))
        signed_at = datetime(*date, *hour, tzinfo=UTC)
    except ValueError:
        raise _incomplete("Date must be in ISO-8601 'basic format', as in 20260131T235959Z") from None
    names = tuple(signed.split(";"))
    if list(names) != sorted(set(names)) or signed != signed.lower() or not all(names) or len(names) > 100:
        raise _incomplete("SignedHeaders must be lower-case header names in order, each once")
    return Signature(scope[0], timestamp, signed_at, scope[1], scope[2], scope[3], names, value, expires, token)


def _check_scope(found: Signature, region: str | None, service: str) -> None:
    if found.date != found.timestamp[:8]:
        raise SignatureError(
            SignatureProblem.MISMATCH,
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{found.date}' != '{found.timestamp[:8]}', from '{found.timestamp}'.",
        )
    if region is not None and found.region != region:
        raise SignatureError(
            SignatureProblem.MISMATCH, f"Credential should be scoped to a valid region, not '{found.region}'."
        )
    if found.service != service:
        raise SignatureError(SignatureProblem.MISMATCH, f"Credential should be scoped to correct service: '{service}'.")


def _check_time(found: Signature, now: datetime, max_skew: timedelta) -> None:
    clock = now.astimezone(UTC).strftime(TIMESTAMP)
    if found.signed_at > now + max_skew:
        raise SignatureError(
            SignatureProblem.MISMATCH,
            f"Signature not yet current: {found.timestamp} is still later than {clock} "
            f"({clock} + {int(max_skew.total_seconds()) // 60} min.)",
        )
    lifetime = max_skew if found.expires is None else timedelta(seconds=found.expires)
    if found.signed_at < now - lifetime:
        earliest = (now - lifetime).astimezone(UTC).strftime(TIMESTAMP)
        raise SignatureError(
            SignatureProblem.EXPIRED,
            f"Signature expired: {found.timestamp} is now earlier than {earliest} "
            f"({clock} - {lifetime.total_seconds() / 60:g} min.)",
        )


def _headers_to_sign(request: HttpRequest, found: Signature) -> list[tuple[str, str]]:
    sent: dict[str, str] = {}
    for raw, value in request.headers:
        name = raw.decode("latin-1").lower()
        sent[name] = f"{sent[name]},{fold(value)}" if name in sent else fold(value)
    # Every x-amz- header that was sent must be signed, so that nothing is slipped in behind the signature.
    for name in ("host", *(name for name in sent if name.startswith("x-amz-"))):
        if name not in found.signed_headers and name != "x-amz-content-sha256":
            raise _incomplete(f"'Host' and every 'X-Amz-' header must be a 'SignedHeader': '{name}' is not.")
    missing = [name for name in found.signed_headers if name not in sent]
    if missing:
        raise _incomplete(f"the request lacks signed headers: {', '.join(missing)[:200]}")
    return [(name, sent[name]) for name in found.signed_headers]


def _payload_hash(request: HttpRequest) -> str:
    actual = hashlib.sha256(request.body).hexdigest()
    declared = request.header(b"x-amz-content-sha256")
    if declared is not None and (not _HEX64.fullmatch(declared) or declared.decode().lower() != actual):
        raise SignatureError(
            SignatureProblem.MISMATCH, "The provided 'x-amz-content-sha256' header does not match what was computed."
        )
    return actual


def _incomplete(message: str) -> SignatureError:
    return SignatureError(SignatureProblem.INCOMPLETE, message)
