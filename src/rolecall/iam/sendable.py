"""What can be sent in a call of AssumeRole: lengths and letters, as the STS service model and IAM's tags have them."""

from __future__ import annotations

import re
import string

_NAME = string.ascii_letters + string.digits + "_+=,.@-"
_NAMES = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_SOURCE_IDENTITY = re.compile(r"(?!aws:)[\w+=,.@-]{2,64}", re.ASCII)
_TAG_KEY = re.compile(r"(?!aws:)[\w .:/=+@-]{1,128}", re.IGNORECASE)
_TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
# AWS STS API reference, AssumeRole.
_SENDABLE = {
    "sts:rolesessionname": _NAMES,
    "sts:externalid": re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII),
    "sts:sourceidentity": _SOURCE_IDENTITY,
    "aws:sourceidentity": _SOURCE_IDENTITY,
    "aws:userid": re.compile(r"[^:]+:[\w+=,.@-]{2,64}", re.ASCII),
    "aws:tagkeys": _TAG_KEY,
    "sts:transitivetagkeys": _TAG_KEY,
}
_TAGS = ("aws:requesttag/", "aws:principaltag/")
# Of the keys above, the letters that a value may have, and how many at least.
LETTERS = {
    **dict.fromkeys(("sts:rolesessionname", "sts:sourceidentity", "aws:sourceidentity", "aws:userid"), _NAME),
    "sts:externalid": _NAME + ":/",
}
LEAST = {**dict.fromkeys(LETTERS, 2), "aws:tagkeys": 1, "sts:transitivetagkeys": 1}


def can_be_sent(key: str, value: str) -> bool:
    """Whether a caller can have ``value`` for a condition key, lower-case."""
    allowed = _TAG_VALUE if key.startswith(_TAGS) else _SENDABLE.get(key)
    return allowed is None or allowed.fullmatch(value) is not None
