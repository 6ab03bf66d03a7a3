"""What signs a token: an access key, and what a text must be like to be one. No I/O.

Sources: IAM API reference, ``AccessKey`` (``AccessKeyId``: ``[\\w]+``); STS API reference, ``Credentials``. The AWS CLI
does not check: it signs, and the cluster says 401.
"""

from __future__ import annotations

from rolecall.errors import RolecallError

MAX_ID, MAX_SECRET, MAX_TOKEN = 128, 512, 65_536
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
# A quotation mark is never part of a secret or a session token; a shell or an editor left it there.
_VISIBLE = frozenset(map(chr, range(0x21, 0x7F))) - frozenset("\"'`")
_QUOTES = frozenset("\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb")


class InvalidKeyError(RolecallError):
    """A text is not an access key id, a secret access key, or a session token."""


class Key:
    """What signs: a key id, its secret, the session token of temporary credentials, and when they end if known.

    :ivar expires: seconds since 1970.
    """

    __slots__ = ("access_key_id", "expires", "secret_access_key", "session_token")

    def __init__(
        self, access_key_id: str, secret_access_key: str, session_token: str | None = None, expires: float | None = None
    ) -> None:
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.session_token = session_token
        self.expires = expires

    def __repr__(self) -> str:
        return f"Key({self.access_key_id!r})"


def check_key(key: Key, names: tuple[str, str, str], where: tuple[str, str, str], advice: str = "") -> None:
    """Refuse a key that nothing can be signed with.

    :param names: what the id, the secret and the session token are called where they come from.
    :param where: for a person: the variable, file and line, or source of each.
    :raises InvalidKeyError: with the name of what is wrong and how, never with the secret.
    """
    rows = (
        (key.access_key_id, _WORD, MAX_ID),
        (key.secret_access_key, _VISIBLE, MAX_SECRET),
        (key.session_token, _VISIBLE, MAX_TOKEN),
    )
    for (text, allowed, longest), name, place in zip(rows, names, where, strict=True):
        if text is not None and (trouble := _trouble(text, allowed, longest)):
            raise InvalidKeyError(f"{name} {trouble}", where=place, advice=advice)


def _trouble(text: object, allowed: frozenset[str], longest: int) -> str:
    """How a text cannot be (a part of) a key; empty if it can."""
    if not isinstance(text, str):
        return f"is not a text but {type(text).__name__}"
    if not text:
        return "is empty"
    if len(text) > longest:
        return f"has {len(text)} characters; it cannot have more than {longest}"
    if allowed.issuperset(text):
        return ""
    place = next(number for number, character in enumerate(text) if character not in allowed)
    if text[place] in _QUOTES:
        return "has a quotation mark in it: quotation marks are not removed, they would be part of the key"
    if "\udc80" <= text[place] <= "\udcff":
        return "is not UTF-8 text"
    end = " at its end" if not text[place:].strip() else f" (character {place + 1})"
    if text[place] in "\r\n":
        return f"has a line break{end}"
    if text[place].isspace():
        return f"has a space or tab{end}"
    if not text[place].isprintable() or not text[place].isascii():
        return f"has a character that no key has (character {place + 1}: U+{ord(text[place]):04X})"
    return f"has a character that no key has (character {place + 1})"
