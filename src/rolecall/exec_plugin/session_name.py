"""A role session's name says who the person is: it is what the cluster's audit log and CloudTrail show.

Source: AWS STS API reference, AssumeRole, ``RoleSessionName``: ``[\\w+=,.@-]*``, 2 to 64 characters.
"""

from __future__ import annotations

import os

from rolecall.errors import RolecallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_LENGTH, MAX_LENGTH = 2, 64
# Accounts that images of AWS, of distributions and of build servers come with.
_SHARED_LOGINS = frozenset(
    (
        "admin", "administrator", "bitnami", "build", "centos", "circleci", "cloud-user", "cloudshell-user", "core",
        "debian", "ec2-user", "fedora", "gitlab-runner", "jenkins", "jovyan", "node", "opc", "rocky", "root", "runner",
        "ssm-user", "ubuntu", "user", "vagrant", "vscode",
    )
)  # fmt: skip
_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-")


def sanitise(name: str) -> str:
    """The nearest name that STS accepts."""
    kept: list[str] = []
    for character in name:
        if character in _ALLOWED:
            kept.append(character)
        elif kept[-1:] != ["-"]:
            kept.append("-")
    return "".join(kept)[:MAX_LENGTH].ljust(MIN_LENGTH, "-")


def check_given(name: str, where: str) -> str:
    """A name that a person gave, as it is: trust policies compare it, so it is refused rather than changed."""
    if not (MIN_LENGTH <= len(name) <= MAX_LENGTH and _ALLOWED.issuperset(name)):
        raise RolecallError(
            f"the role session name {name[:80]!r} is not one that STS accepts",
            where=where,
            advice=f"2 to 64 of A-Z a-z 0-9 _ + = , . @ -; for example {sanitise(name)}",
        )
    return name


def derived(environ: Mapping[str, str], profile: str = "") -> str:
    """``PERSON@HOST`` of this machine: the account that is logged in, whatever the environment says of it.

    An account that many people share, such as ``ubuntu``, names no person: there it is ``PROFILE+ubuntu@HOST``.
    """
    login = _login(environ)
    if login in _SHARED_LOGINS and profile not in ("", "default"):
        login = f"{profile}+{login}"
    return sanitise(f"{login}@{os.uname().nodename.partition('.')[0]}")


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
