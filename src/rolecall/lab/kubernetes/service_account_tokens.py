"""Tokens of service accounts: JSON Web Tokens signed with the cluster's own key.

Source: Kubernetes documentation, "Managing Service Accounts", bound tokens; RFC 7519.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from rolecall.lab.kubernetes.status import invalid
from rolecall.lab.kubernetes.store import ObjectStore
from rolecall.local_files.private import write_private
from rolecall.model import KubernetesUser

# What EKS's API server expects, and what IAM roles for service accounts are made for.
DEFAULT_AUDIENCE = "https://kubernetes.default.svc"
MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 600, 86_400, 3_600
_ACCOUNTS, _SECRETS = ("", "serviceaccounts"), ("", "secrets")


class ServiceAccountKey:
    """The key in a cluster's folder that its service account tokens are signed with, made if it is not there yet.

    :ivar id: the key id as the real server makes it (``pkg/serviceaccount/jwt.go``, ``keyIDFromPublicKey``).
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "service-account-key.pem"
        self._key = _load_or_make(self.path)
        public = self._key.public_key()
        numbers = public.public_numbers()
        self._public = {"x": _encode(numbers.x.to_bytes(32, "big")), "y": _encode(numbers.y.to_bytes(32, "big"))}
        encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = _encode(hashlib.sha256(encoded).digest())

    def jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set that verifies what this key signs."""
        key = {"use": "sig", "kty": "EC", "kid": self.id, "alg": "ES256", "crv": "P-256", **self._public}
        return {"keys": [key]}

    def public_pem(self) -> str:
        """The public half."""
        public = self._key.public_key()
        pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return public.public_bytes(pem, info).decode()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A JSON Web Token with these claims."""
        header = {"alg": "ES256", "kid": self.id}
        signed = ".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def verified(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that this key has signed, whatever they say; ``None`` for any other."""
        try:
            signed, _, signature = token.rpartition(".")
            raw = _decode(signature)
            header, claims = (json.loads(_decode(part)) for part in signed.split("."))
            if header.get("alg") != "ES256" or header.get("kid") != self.id or len(raw) != 64:
                return None
            r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
            der = utils.encode_dss_signature(r, s)
            self._key.public_key().verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
        except (ValueError, TypeError, AttributeError, binascii.Error, InvalidSignature, RecursionError):
            return None
        return claims if isinstance(claims, dict) else None


class ServiceAccountTokens:
    """Issues and checks the tokens of one cluster.

    :param issuer: the cluster's OpenID Connect issuer URL.
    """

    def __init__(self, folder: Path, issuer: str, store: ObjectStore, clock: Callable[[], datetime]) -> None:
        self.issuer = issuer
        self._store = store
        self._clock = clock
        self._key = ServiceAccountKey(folder)

    def jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set that verifies these tokens."""
        return self._key.jwks()

    def issue(
        self, account: Mapping[str, Any], request: Mapping[str, Any], bound: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Answer a ``TokenRequest`` for a service account. ``bound``: the Secret that the token ends with."""
        spec = request.get("spec") or {}
        seconds = spec.get("expirationSeconds") or DEFAULT_SECONDS
        name, namespace = account["metadata"]["name"], account["metadata"]["namespace"]
        if seconds < MIN_SECONDS:
            cause = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            raise invalid(
                "authentication.k8s.io", "TokenRequest", "", [("FieldValueInvalid", "spec.expirationSeconds", cause)]
            )
        audiences = list(spec.get("audiences") or [DEFAULT_AUDIENCE])
        now = int(self._clock().timestamp())
        ends = now + min(seconds, MAX_SECONDS)
        claims = {
            "aud": audiences,
            "exp": ends,
            "iat": now,
            "nbf": now,
            "iss": self.issuer,
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": _reference(account),
                **({"secret": _reference(bound)} if bound else {}),
            },
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        moment = datetime.fromtimestamp(ends, self._clock().tzinfo).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": None},
            "spec": {
                "audiences": audiences,
                "expirationSeconds": ends - now,
                "boundObjectRef": {"kind": "Secret", "apiVersion": "v1", **_reference(bound)} if bound else None,
            },
            "status": {"token": self._key.sign(claims), "expirationTimestamp": moment},
        }

    def user(self, token: str, audiences: Sequence[str] = (DEFAULT_AUDIENCE,)) -> KubernetesUser | None:
        """Whose token this is; ``None`` for one that is not valid now, or whose account is gone."""
        claims = self._key.verified(token)
        if claims is None:
            return None
        now = self._clock().timestamp()
        own = claims.get("kubernetes.io") or {}
        account, namespace = own.get("serviceaccount") or {}, own.get("namespace", "")
        if claims.get("iss") != self.issuer or not claims.get("nbf", now) <= now < claims.get("exp", 0):
            return None
        if not set(audiences) & set(claims.get("aud") or ()):
            return None
        if not self._is_there(_ACCOUNTS, namespace, account):
            return None
        if "secret" in own and not self._is_there(_SECRETS, namespace, own["secret"]):
            return None
        return KubernetesUser(
            f"system:serviceaccount:{namespace}:{account['name']}",
            account["uid"],
            ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
        )

    def _is_there(self, key: tuple[str, str], namespace: str, reference: Mapping[str, str]) -> bool:
        found = self._store.get(key, namespace, reference.get("name", ""))
        return found is not None and bool(found["metadata"]["uid"] == reference.get("uid"))


def _reference(found: Mapping[str, Any]) -> dict[str, str]:
    return {"name": found["metadata"]["name"], "uid": found["metadata"]["uid"]}


def _load_or_make(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(path, pem.decode())
    return key


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
