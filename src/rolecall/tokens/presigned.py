"""The text of a token from plain values, with the fewest imports; :mod:`rolecall.tokens.mint` is its face for programs.

Source of the format: aws-iam-authenticator v0.7 ``pkg/token/token.go`` and the AWS CLI's ``eks get-token``
(``awscli/customizations/eks/get_token.py``).
"""

from __future__ import annotations

from binascii import b2a_base64

from rolecall.sigv4.canonical import fold
from rolecall.sigv4.presigned import presigned_query
from rolecall.tokens import PREFIX

CLUSTER_HEADER = "x-k8s-aws-id"
PRESIGNED_SECONDS = 60


def token_text(key: tuple[str, str, str | None], cluster: str, *, region: str, timestamp: str, endpoint: str) -> str:
    """A token for ``cluster``.

    :param key: access key id, secret access key, and the session token of temporary credentials.
    :param region: the region to sign for.
    :param timestamp: ``20260131T235959Z``.
    :param endpoint: ``https://HOST`` of STS; a path is not part of a token.
    """
    scheme, _, rest = endpoint.partition("://")
    host = rest.split("/", 1)[0]
    query = presigned_query(
        "GET",
        b"/",
        "Action=GetCallerIdentity&Version=2011-06-15",
        (("host", host), (CLUSTER_HEADER, fold(cluster.encode()))),
        key,
        region=region,
        service="sts",
        timestamp=timestamp,
        expires=PRESIGNED_SECONDS,
    )
    encoded = b2a_base64(f"{scheme}://{host}/?{query}".encode(), newline=False).decode()
    return PREFIX + encoded.rstrip("=").replace("+", "-").replace("/", "_")
