"""Identifiers and secrets as AWS makes them.

Source: IAM user guide, "IAM identifiers" (unique id prefixes).
"""

from __future__ import annotations

import base64
import random
import secrets
import uuid
from typing import Protocol

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TOKEN_START = "IQoJb3JpZ2luX2Vj"  # noqa: S105 -- how those of AWS begin


class Randomness(Protocol):
    """Where random bytes come from: the operating system, or a seed in tests."""

    def token_bytes(self, length: int) -> bytes: ...


class _System:
    def token_bytes(self, length: int) -> bytes:
        return secrets.token_bytes(length)


class Seeded:
    """Repeatable identifiers, for tests."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- repeatable on purpose

    def token_bytes(self, length: int) -> bytes:
        return self._random.randbytes(length)


class Ids:
    """Makes identifiers and secrets."""

    def __init__(self, randomness: Randomness | None = None) -> None:
        self._randomness = randomness or _System()

    def unique_id(self, prefix: str) -> str:
        """A unique id or key id: the prefix (``AIDA``, ``AROA``, ``AKIA``, ``ASIA`` ...) and 17 characters."""
        letters = self._randomness.token_bytes(17)
        return prefix + "".join(_ALPHABET[byte % 32] for byte in letters)

    def secret_key(self) -> str:
        """A secret access key: 40 characters."""
        return base64.b64encode(self._randomness.token_bytes(30)).decode()

    def session_token(self, minimum: int = 0) -> str:
        """A session token: opaque, about as long as the short ones of AWS.

        :param minimum: number of characters that it has at least.
        """
        size = max(255, 3 * -(-(minimum - len(_TOKEN_START)) // 4))
        return _TOKEN_START + base64.b64encode(self._randomness.token_bytes(size)).decode()

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=self._randomness.token_bytes(16), version=4))

    def hex(self, length: int) -> str:
        """``length`` hexadecimal digits."""
        return self._randomness.token_bytes((length + 1) // 2).hex()[:length]

    def bytes(self, length: int) -> bytes:
        return self._randomness.token_bytes(length)
