"""A role session's name says who the person is: it is what the cluster's audit log and CloudTrail show.

Source: AWS STS API reference, AssumeRole, ``RoleSessionName``: ``[\\w+=,.@-]*``, 2 to 64 characters.
"""

from __future__ import annotations

import os
import re

from rolecall.errors import RolecallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_LENGTH, MAX_LENGTH = 2, 64
# Compiled when they are used: a kept token needs one of them at most.
_ALLOWED = r"[\w+=,.@-]{2,64}"
_OTHER = r"[^\w+=,.@-]+"


def sanitise(name: str) -> str:
    """The nearest name that STS accepts."""
    return re.sub(_OTHER, "-", name, flags=re.ASCII)[:MAX_LENGTH].ljust(MIN_LENGTH, "-")


def check_given(name: str, where: str) -> str:
    """A name that a person gave, as it is: trust policies compare it, so it is refused rather than changed."""
    if not re.fullmatch(_ALLOWED, name, re.ASCII):
        raise RolecallError(
            f"the role session name {name[:80]!r} is not one that STS accepts",
            where=where,
            advice=f"2 to 64 of A-Z a-z 0-9 _ + = , . @ -; for example {sanitise(name)}",
        )
    return name


def derived(environ: Mapping[str, str]) -> str:
    """``PERSON@HOST`` of this machine: the account that is logged in, whatever the environment says of it."""
    return sanitise(f"{_login(environ)}@{os.uname().nodename.partition('.')[0]}")


def _login(environ: Mapping[str, str]) -> str:
    user = os.getuid()
    if user == 0 and environ.get("SUDO_USER"):
        return environ["SUDO_USER"]
    try:
        import pwd

        return pwd.getpwuid(user).pw_name
    except (ImportError, KeyError):
        # A container may run with a number that has no name.
        return environ.get("USER") or environ.get("LOGNAME") or str(user)
