"""OpenID Connect tokens: read and checked against the account's provider and the issuer's keys.

The lab knows the keys of its own clusters' service account issuers; another issuer would have to be asked over the
network, which the lab never does. Source: AWS STS API reference, AssumeRoleWithWebIdentity.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rolecall.iam.assume_role import WebIdentity
from rolecall.lab.aws_endpoint.actions import AwsError, Call


def read_token(call: Call, account: str, token: str) -> WebIdentity:
    """The identity in a token that the account's provider vouches for; :class:`AwsError` if none does."""
    parts = token.split(".")
    if len(parts) != 3:
        raise _invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
    header, claims = _json(parts[0]), _json(parts[1])
    issuer = str(claims.get("iss", ""))
    url = issuer.removeprefix("https://").rstrip("/")
    provider = call.store.one("SELECT * FROM oidc_providers WHERE account = ? AND url = ?", (account, url))
    if not issuer.startswith("https://") or provider is None:
        raise _invalid("No OpenIDConnect provider found in your account for " + issuer[:200])
    keys = call.clusters.signing_keys(issuer)
    if keys is None:
        raise AwsError("IDPCommunicationError", "The lab can only verify tokens of its own clusters' issuers.", 400)
    _check_signature(header, f"{parts[0]}.{parts[1]}".encode(), _decode(parts[2]), keys)
    _check_times(claims, call.now)
    audiences = claims.get("aud", [])
    audiences = audiences if isinstance(audiences, list) else [audiences]
    allowed = json.loads(provider["clients"])
    found = next((audience for audience in audiences if audience in allowed), None)
    if found is None:
        raise _invalid("Incorrect token audience")
    plain = {key: value for key, value in claims.items() if isinstance(value, str) and key not in ("iss", "sub", "aud")}
    return WebIdentity(provider["arn"], url, str(claims.get("sub", "")), found, plain)


def _check_signature(header: Mapping[str, Any], signed: bytes, signature: bytes, keys: Mapping[str, Any]) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    key = next((key for key in keys["keys"] if key["kid"] == header.get("kid")), None)
    if key is None or header.get("alg") != "ES256" or len(signature) != 64:
        raise _invalid("Couldn't retrieve verification key from your identity provider")
    x, y = (int.from_bytes(_decode(key[name]), "big") for name in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        public.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise _invalid("The signature of the token is not valid") from None


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    times = {name: claims.get(name) for name in ("exp", "iat", "nbf")}
    if any(value is not None and not isinstance(value, int) for value in times.values()) or times["exp"] is None:
        raise _invalid("Missing or malformed claims: exp, iat")
    moment = int(now.astimezone(UTC).timestamp())
    if times["exp"] <= moment:
        raise AwsError("ExpiredTokenException", f"Token expired: current date/time {moment} is after exp", 400)
    if (times["nbf"] or 0) > moment + 300:
        raise _invalid("Token is not yet valid")


def _json(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_decode(part))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _invalid("The ID Token provided is not a valid JWT.")
    return found


def _decode(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("The ID Token provided is not a valid JWT.") from None


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidIdentityToken", message, 400)
