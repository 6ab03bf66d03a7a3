"""Who signed this request? SigV4 checked against the keys of the store, with AWS's own refusals.

Source: IAM user guide, "Troubleshoot Signature Version 4"; AWS general reference, "Common error types".
"""

from __future__ import annotations

import hmac
from datetime import datetime

from rolecall.iam.principals import Principal
from rolecall.lab.aws_endpoint.actions import AwsError
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.store import Store
from rolecall.lab.aws_endpoint.sts.sessions import TemporaryKey, temporary_key
from rolecall.sigv4 import HttpRequest, Signature, SignatureError, SignatureProblem, verify_signature

_CODES = {
    SignatureProblem.MISSING: "MissingAuthenticationToken",
    SignatureProblem.INCOMPLETE: "IncompleteSignature",
    SignatureProblem.MISMATCH: "SignatureDoesNotMatch",
    SignatureProblem.EXPIRED: "SignatureDoesNotMatch",
}
_INVALID = "The security token included in the request is invalid."
MAX_CACHED_KEYS = 10_000


def signature_error(error: SignatureError) -> AwsError:
    """AWS's error for a signature that is missing, malformed or wrong."""
    return AwsError(_CODES[error.problem], error.what)


class Authenticator:
    """Checks signatures; keys are remembered while the store is unchanged."""

    def __init__(self, store: Store, partition: str) -> None:
        self._store = store
        self._partition = partition
        self._keys: dict[str, directory.UserKey | TemporaryKey | None] = {}
        self._version = -1

    def caller(self, request: HttpRequest, found: Signature, *, now: datetime) -> Principal:
        """The principal whose key signed ``request``; :class:`AwsError` if none did."""
        key = self._key(found.access_key_id)
        if key is None:
            raise AwsError("InvalidClientTokenId", _INVALID)
        token = key.token if isinstance(key, TemporaryKey) else None
        if not _same(found.session_token, token):
            raise AwsError("InvalidClientTokenId", _INVALID)
        try:
            verify_signature(request, found, key.secret, region=None, service=found.service, now=now)
        except SignatureError as error:
            raise signature_error(error) from None
        if isinstance(key, TemporaryKey):
            if key.expires <= now:
                raise AwsError("ExpiredToken", "The security token included in the request is expired")
            if key.principal is None:
                raise AwsError("InvalidClientTokenId", _INVALID)
            return key.principal
        if key.status != directory.ACTIVE:
            raise AwsError("InvalidClientTokenId", _INVALID)
        return key.principal

    def _key(self, access_key_id: str) -> directory.UserKey | TemporaryKey | None:
        if self._version != self._store.version or len(self._keys) > MAX_CACHED_KEYS:
            self._keys.clear()
            self._version = self._store.version
        if access_key_id not in self._keys:
            self._keys[access_key_id] = directory.user_key(
                self._store, self._partition, access_key_id
            ) or temporary_key(self._store, self._partition, access_key_id)
        return self._keys[access_key_id]


def _same(given: str | None, stored: str | None) -> bool:
    if given is None or stored is None:
        return given is stored
    return hmac.compare_digest(given.encode("latin-1", "replace"), stored.encode())
