"""Every check of a token that needs no network: what is left is one safe call to STS.

Source: aws-iam-authenticator v0.7 ``pkg/token/token.go``, ``tokenVerifier.Verify``. The cluster's id comes from the
verifier, never from the token: STS then finds that the signature does not fit another cluster's token.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

from rolecall.errors import RolecallError
from rolecall.sigv4.request import HttpRequest
from rolecall.tokens import LONGEST_TOKEN, MAX_TOKEN_LENGTH
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.mint import CLUSTER_HEADER, LIFETIME, PREFIX

MAX_EXPIRES = 900
MAX_SKEW = timedelta(minutes=5)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_TIMESTAMP = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)
_CREDENTIAL = re.compile(r"[A-Z0-9]{16,128}/[0-9]{8}/[a-z0-9-]{1,40}/sts/aws4_request")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_ALLOWED = {
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
    "x-amz-user-agent",
}
# Parameters whose values are looked at; of the others it matters only that they are there.
_READ = frozenset(("action", "version", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders"))
_NEEDED = (
    "action",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signature",
    "x-amz-signedheaders",
)


class TokenError(RolecallError):
    """A token is not one, or not one for this verifier. ``code`` is stable, for programs and for tests."""

    def __init__(self, code: str, what: str, *, advice: str = "") -> None:
        self.code = code
        super().__init__(what, advice=advice)


@dataclass(frozen=True, slots=True)
class PresignedCall:
    """The call to STS that a token stands for, checked and bound to the verifier's cluster.

    :param access_key_id: the key id the token claims to be signed with; true once STS has answered.
    :param expires_at: the end of the token's 15 minutes.
    """

    url: str = field(repr=False)
    scheme: str
    host: str
    query: str = field(repr=False)
    cluster: str
    access_key_id: str
    expires_at: datetime

    def request(self) -> HttpRequest:
        """The HTTP request to send, with the verifier's own cluster id in the signed header."""
        return HttpRequest(
            "GET",
            b"/",
            self.query.encode(),
            (
                (b"host", self.host.encode()),
                (CLUSTER_HEADER.encode(), self.cluster.encode()),
                (b"accept", b"application/json"),
            ),
        )


def parse_token(
    text: str, cluster: str, *, now: datetime, hosts: StsHosts, max_length: int = MAX_TOKEN_LENGTH
) -> PresignedCall:
    """The call that a token stands for; :class:`TokenError` if any check fails.

    :param max_length: of the token, in characters.
    """
    url = _decode(text, max_length)
    parts = urlsplit(url)
    if "#" in url or parts.username is not None or parts.password is not None:
        raise TokenError("url", "the token's URL has a user, a password or a fragment")
    if not hosts.allows(parts.netloc, parts.scheme):
        if parts.scheme != "https" and parts.netloc not in hosts.own:
            raise TokenError("scheme", f"unexpected scheme {parts.scheme[:20]!r} in the token's URL")
        raise TokenError(
            "host",
            f"{parts.netloc[:100]!r} is not an STS host of partition {hosts.partition}",
            advice="the token was made for another endpoint: check AWS_ENDPOINT_URL and the region of the client; "
            "if the region is newer than this release, add it with --sts-regions of rolecall server",
        )
    if parts.path != "/":
        raise TokenError("path", "the token's URL has a path")
    parameters = _parameters(parts.query)
    signed_at = _check_parameters(parameters)
    if signed_at > now + MAX_SKEW:
        raise TokenError("future", "the token is from the future", advice="compare the clocks of client and server")
    if now > signed_at + LIFETIME:
        raise TokenError("expired", "the token has expired", advice="the client should ask for a new one")
    return PresignedCall(
        url,
        parts.scheme,
        parts.netloc,
        parts.query,
        cluster,
        parameters["x-amz-credential"].split("/")[0],
        signed_at + LIFETIME,
    )


def _decode(text: str, max_length: int) -> str:
    if len(text) > max_length:
        raise TokenError(
            "too-long",
            f"the token has {len(text)} characters, {max_length} are allowed",
            advice="long session tokens (many session tags or policies) make long tokens; rolecall server allows up to "
            f"{LONGEST_TOKEN} with --max-token-length",
        )
    if not text.startswith(PREFIX):
        raise TokenError("prefix", f"the token does not begin with {PREFIX!r}")
    encoded = text[len(PREFIX) :]
    if not _BASE64URL.fullmatch(encoded):
        raise TokenError("base64", "the token is not base64url without padding")
    try:
        url = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise TokenError("base64", "the token is not base64url of an ASCII URL") from None
    if _NOT_IN_URL.search(url):
        raise TokenError("url", "the token's URL has characters that no URL has")
    if url.count("?") != 1 or url.count("//") != 1:
        raise TokenError("url", "the token is not the URL of a GetCallerIdentity call")
    try:
        urlsplit(url).port  # noqa: B018 -- raises where the port is not a number
    except ValueError:
        raise TokenError("url", "the token's URL is malformed") from None
    return url


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        key = (unquote(name) if "%" in name else name).lower()
        if not equals or key not in _ALLOWED:
            raise TokenError("parameter", f"non-whitelisted query parameter {name[:60]!r}")
        if key in found:
            raise TokenError("duplicate", f"query parameter with multiple values: {name[:60]!r}")
        # A session token has many escapes, and nobody reads it here.
        found[key] = unquote(value) if "%" in value and key in _READ else value
    for name in _NEEDED:
        if not found.get(name):
            raise TokenError("missing", f"the token's URL lacks {name}")
    return found


def _check_parameters(parameters: dict[str, str]) -> datetime:
    if parameters["action"] != "GetCallerIdentity":
        raise TokenError("action", f"unexpected action {parameters['action'][:60]!r}")
    if parameters.get("version", "2011-06-15") != "2011-06-15":
        raise TokenError("version", f"unexpected API version {parameters['version'][:60]!r}")
    if CLUSTER_HEADER not in parameters["x-amz-signedheaders"].split(";"):
        raise TokenError(
            "cluster-header",
            f"client did not sign the {CLUSTER_HEADER} header in the request",
            advice="this is a presigned call, but not one that was made for a cluster",
        )
    expires = parameters["x-amz-expires"]
    if not _NUMBER.fullmatch(expires) or int(expires) > MAX_EXPIRES:
        raise TokenError("expires", f"X-Amz-Expires is not a number from 0 to {MAX_EXPIRES}")
    if not _CREDENTIAL.fullmatch(parameters["x-amz-credential"]):
        raise TokenError("credential", "X-Amz-Credential is not a key id with a scope of STS")
    stamp = _TIMESTAMP.fullmatch(parameters["x-amz-date"])
    if not stamp:
        raise TokenError("date", "X-Amz-Date is not of the form 20260131T235959Z")
    try:
        # strptime takes twenty times as long, and this is done for every token.
        year, month, day, hour, minute, second = map(int, stamp.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise TokenError("date", "X-Amz-Date is not a date") from None
