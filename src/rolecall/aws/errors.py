"""Errors of AWS and of botocore as errors that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError
from botocore.parsers import ResponseParserError

from rolecall.errors import RolecallError

# Codes of the common errors, IAM API reference and EKS API reference, "Common Errors".
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
ABSENT = frozenset({"NoSuchEntity", "ResourceNotFoundException", "NotFoundException"})
# Somebody else was faster (IAM API reference, CreateUser and UpdateAssumeRolePolicy; EKS API reference,
# CreateAccessEntry).
OVERTAKEN = frozenset({"EntityAlreadyExists", "ResourceInUseException", "ConcurrentModification"})
THROTTLED = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
UNKNOWN_KEY = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"})

_ADVICE_BY_CODE = (
    (DENIED, "give these credentials that permission, or name others: a profile or role_arn that reaches the account"),
    (THROTTLED, "AWS throttles this account's API: try again in a minute, or with less at once"),
    (EXPIRED, "the credentials have expired: sign in again"),
    (UNKNOWN_KEY, "AWS does not take this access key: check the profile, and AWS_ENDPOINT_URL if it is set"),
)
_ADVICE_BY_TYPE: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((NoCredentialsError, PartialCredentialsError), "name a profile, or set AWS_PROFILE; see: aws configure list"),
    ((ProfileNotFound, ConfigNotFound, ConfigParseError), "see the profiles there are: aws configure list-profiles"),
    ((NoRegionError,), "name a region, or set AWS_REGION"),
    ((UnauthorizedSSOTokenError, SSOError, TokenRetrievalError), "sign in again: aws sso login"),
    ((CredentialRetrievalError,), "see what the profile runs to get its credentials"),
    ((BotocoreConnectionError, HTTPClientError), "check the network, the proxy, and AWS_ENDPOINT_URL if it is set"),
)


class AwsError(RolecallError):
    """AWS refused a call, or it could not be made.

    :param code: the error code of AWS, such as ``NoSuchEntity``; empty where AWS did not answer.
    """

    def __init__(self, what: str, *, where: str = "", advice: str = "", code: str = "") -> None:
        self.code = code
        super().__init__(what, where=where, advice=advice)


def aws_error(error: ClientError | BotoCoreError, where: str) -> AwsError:
    """What a person reads about ``error``; the texts of botocore and of AWS name no secret."""
    if isinstance(error, ClientError):
        found = error.response.get("Error", {})
        code = str(found.get("Code", ""))
        what = f"{error.operation_name}: {code}: {found.get('Message') or 'no message'}"
        advice = next((text for codes, text in _ADVICE_BY_CODE if code in codes), "")
        return AwsError(what, where=where, advice=advice, code=code)
    advice = next((text for types, text in _ADVICE_BY_TYPE if isinstance(error, types)), "")
    return AwsError(str(error).rstrip("."), where=where, advice=advice)


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raise :class:`AwsError` for whatever AWS or botocore raise inside. ``where``: the account, cluster or ARN."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise aws_error(error, where) from error
    except ResponseParserError:
        # Its text is the answer itself, and an answer of STS may hold a secret.
        raise AwsError(
            "the answer does not follow AWS's protocol",
            where=where,
            advice="see what stands between: AWS_ENDPOINT_URL, a proxy, a gateway",
        ) from None
