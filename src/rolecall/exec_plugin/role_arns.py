"""Whether a text is the ARN of a role: looked at before STS is asked, which says AccessDenied to every other text.

Source: STS API reference, AssumeRole, ``RoleArn``; IAM user guide, "IAM identifiers". No I/O.
"""

from __future__ import annotations

from rolecall.errors import RolecallError
from rolecall.partitions import PARTITIONS

_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-")
_PATH = frozenset(map(chr, range(0x21, 0x7F)))
_MAX_NAME, _MAX_PATH = 64, 512


def check_role_arn(text: str, where: str) -> None:
    """Refuse a text that is not the ARN of a role.

    :raises RolecallError: with what it is instead, as far as that can be said.
    """
    parts = text.split(":", 5)
    arn, partition, service, region, account, resource = parts if len(parts) == 6 else ("", "", "", "", "", "")
    before, _, name = resource.rpartition("/")
    is_role = before == "role" or (before.startswith("role/") and len(before) <= _MAX_PATH and _PATH.issuperset(before))
    if (
        (arn, service, region) == ("arn", "iam", "")
        and partition in PARTITIONS
        and len(account) == 12
        and account.isascii()
        and account.isdigit()
        and is_role
        and 0 < len(name) <= _MAX_NAME
        and _NAME.issuperset(name)
    ):
        return
    raise RolecallError(f"{text[:200]!r} is not the ARN of a role", where=where, advice=_advice(text, parts))


def _advice(text: str, parts: list[str]) -> str:
    if text != text.strip() or any(character.isspace() for character in text):
        return "there is a space, tab or line break in it"
    if len(parts) == 6 and parts[2] == "sts" and parts[5].startswith("assumed-role/"):
        role = parts[5].split("/")[1]
        return f"this is the ARN of a session; its role is arn:{parts[1]}:iam::{parts[4]}:role/{role}"
    if len(parts) == 6 and parts[2] == "iam" and not parts[5].startswith("role/"):
        return f"this is the ARN of a {parts[5].partition('/')[0] or 'resource'}; only a role can be assumed"
    return "it looks like arn:aws:iam::111122223333:role/NAME"
