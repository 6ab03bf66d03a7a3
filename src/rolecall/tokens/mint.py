"""Make the token that a person's kubectl shows to a cluster: a presigned GetCallerIdentity bound to it.

Standard library only: a credential plugin has to answer in milliseconds. Source of the format: aws-iam-authenticator
v0.7 ``pkg/token/token.go`` and the AWS CLI's ``eks get-token`` (``awscli/customizations/eks/get_token.py``).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from rolecall.sigv4.request import Credentials, HttpRequest
from rolecall.sigv4.sign import presign
from rolecall.tokens.hosts import regional_endpoint

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
# The server takes a token for 15 minutes from its date, whatever X-Amz-Expires says; clients report one minute less.
LIFETIME = timedelta(minutes=15)
REPORTED_LIFETIME = timedelta(minutes=14)
PRESIGNED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and when a client should ask for a new one."""

    value: str = field(repr=False)
    expires_at: datetime


def mint(credentials: Credentials, cluster: str, *, region: str, now: datetime, endpoint: str | None = None) -> Token:
    """A token for ``cluster``, signed for the region's STS or for ``endpoint`` (``AWS_ENDPOINT_URL``)."""
    base = urlsplit(endpoint or regional_endpoint(region))
    signed = presign(
        HttpRequest(
            "GET",
            b"/",
            b"Action=GetCallerIdentity&Version=2011-06-15",
            ((b"host", base.netloc.encode()), (CLUSTER_HEADER.encode(), cluster.encode())),
        ),
        credentials,
        region=region,
        service="sts",
        now=now,
        expires=PRESIGNED_SECONDS,
    )
    url = f"{base.scheme}://{base.netloc}/?{signed.query.decode()}"
    value = PREFIX + base64.urlsafe_b64encode(url.encode()).rstrip(b"=").decode()
    return Token(value, now + REPORTED_LIFETIME)
