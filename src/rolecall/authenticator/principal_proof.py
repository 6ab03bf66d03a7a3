"""The proof that a user's principal id comes from this authenticator, for ``/authorize``.

EKS grants access policies by the principal's id. A webhook for authorization learns it from the user's extras only, and
somebody who may impersonate ``userextras`` can set each: kube-apiserver turns the header's name into lower case and
decodes ``%49`` to ``I`` afterwards (k8s.io/apiserver v0.36 ``pkg/endpoints/filters/impersonation.go``). So an answer to
a TokenReview carries one extra more: a time and an HMAC over that time, the username, the uid and the extras that
``/authorize`` reads. Its key is derived from the private key by which an API server knows the authenticator: replicas
that share a certificate accept each other's proofs, and nothing has to be set up. docs/adr/0019.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from rolecall.mapping.resolve import EXTRA_PRINCIPAL_ID

EXTRA_PROOF = "rolecall/principal-proof"
# A token's 15 minutes, for which its answer may be remembered here, and as long again for the API server's cache.
LIFETIME_SECONDS = 1800
# Replicas' clocks differ a little.
SKEW_SECONDS = 60
_PROOF = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----(.+?)-----END \1-----", re.DOTALL)


class PrincipalProofs:
    """Makes and checks proofs. They hold until their time has passed, also after one change of the key.

    :param private_key: of the serving certificate, as PEM.
    :param cluster: the cluster's id, so that a proof is for one cluster.
    """

    def __init__(self, private_key: bytes, cluster: str) -> None:
        self._cluster = cluster
        self._keys: tuple[bytes, ...] = (self._derived(private_key),)

    def renew(self, private_key: bytes) -> None:
        """Use another private key from now on."""
        key = self._derived(private_key)
        if key != self._keys[0]:
            self._keys = (key, self._keys[0])

    def prove(self, user: Mapping[str, Any], now: float) -> dict[str, Any]:
        """A ``UserInfo`` of a TokenReview with the proof among its extras; without a principal id, as it is.

        :param now: seconds since 1970.
        """
        extra = user.get("extra") or {}
        if EXTRA_PRINCIPAL_ID not in extra:
            return dict(user)
        ends = str(int(now) + LIFETIME_SECONDS)
        seal = self._seal(self._keys[0], ends, user.get("username"), user.get("uid"), extra)
        return {**user, "extra": {**extra, EXTRA_PROOF: [f"{ends}.{seal}"]}}

    def holds(self, spec: Mapping[str, Any], now: float) -> bool:
        """Whether the user in the spec of a SubjectAccessReview has a proof that is valid at ``now``."""
        extra = spec.get("extra")
        if not isinstance(extra, Mapping):
            return False
        values = extra.get(EXTRA_PROOF)
        if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str):
            return False
        found = _PROOF.fullmatch(values[0])
        if found is None or not now <= int(found[1]) <= now + LIFETIME_SECONDS + SKEW_SECONDS:
            return False
        seals = (self._seal(key, found[1], spec.get("user"), spec.get("uid"), extra) for key in self._keys)
        return any(hmac.compare_digest(found[2], seal) for seal in seals)

    def _derived(self, private_key: bytes) -> bytes:
        found = _PRIVATE_KEY.search(private_key)
        # The key itself and not its file: a line more above it makes no other key.
        secret = base64.b64decode(found[2]) if found else private_key
        return hmac.digest(secret, b"rolecall principal proof 1\0" + self._cluster.encode(), "sha256")

    @staticmethod
    def _seal(key: bytes, ends: str, username: Any, uid: Any, extra: Mapping[str, Any]) -> str:
        bound = [ends, username, uid, extra.get(EXTRA_PRINCIPAL_ID), extra.get("canonicalArn")]
        return hmac.digest(key, json.dumps(bound).encode(), "sha256").hex()
