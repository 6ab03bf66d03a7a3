"""Make the token that a person's kubectl shows to a cluster: a presigned GetCallerIdentity bound to it.

Standard library only; :mod:`rolecall.tokens.presigned` makes the text. Source of the format: aws-iam-authenticator
v0.7 ``pkg/token/token.go`` and the AWS CLI's ``eks get-token`` (``awscli/customizations/eks/get_token.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rolecall.sigv4.request import Credentials
from rolecall.tokens import LIFETIME_SECONDS, PREFIX, REPORTED_SECONDS
from rolecall.tokens.endpoints import regional_endpoint
from rolecall.tokens.presigned import CLUSTER_HEADER, PRESIGNED_SECONDS, token_text

__all__ = [
    "CLUSTER_HEADER",
    "LIFETIME",
    "PREFIX",
    "PRESIGNED_SECONDS",
    "REPORTED_LIFETIME",
    "Token",
    "mint",
]

LIFETIME = timedelta(seconds=LIFETIME_SECONDS)
REPORTED_LIFETIME = timedelta(seconds=REPORTED_SECONDS)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and when a client should ask for a new one."""

    value: str = field(repr=False)
    expires_at: datetime


def mint(credentials: Credentials, cluster: str, *, region: str, now: datetime, endpoint: str | None = None) -> Token:
    """A token for ``cluster``, signed for the region's STS or for ``endpoint`` (``AWS_ENDPOINT_URL``)."""
    value = token_text(
        (credentials.access_key_id, credentials.secret_access_key, credentials.session_token),
        cluster,
        region=region,
        timestamp=now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"),
        endpoint=endpoint or regional_endpoint(region),
    )
    return Token(value, now + REPORTED_LIFETIME)
