"""Who is signed in, as the files of SSO, ``aws login`` and web identity say: looked at before anything kept is used.

A kept session is good as long as the sign-in that it came from is there, the same, and not over. Sources: botocore
``SSOTokenLoader`` and ``LoginTokenLoader`` (names and fields of the files); RFC 7519, 4.1.4 (``exp``).
"""

from __future__ import annotations

import json
import os
from hashlib import sha1, sha256
from typing import Any

from rolecall.access_keys import Key, check_key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.aws_times import read_moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rolecall.exec_plugin.credential_plan import Source

_MAX_FILE = 1_048_576
# A sign-in that ends sooner is not relied on.
_MARGIN = 30.0


def proof_of_sign_in(source: Source, environ: Mapping[str, str], now: float) -> str:
    """What says who is signed in: a digest that changes with the sign-in.

    :returns: empty if there is no sign-in, it is over, or the file is not understood; then the source has to be asked.
    """
    if source.kind == "sso":
        found = _object(_sso_file(source, environ))
        token = found.get("accessToken")
        return _digest(token) if isinstance(token, str) and token and _lasts(found.get("expiresAt"), now) else ""
    if source.kind == "web-identity":
        data = _read(source.details.get("file", ""))
        return _digest(data.decode("latin-1")) if data and _lasts_jwt(data, now) else ""
    return ""


def login_key(source: Source, environ: Mapping[str, str], now: float) -> Key | None:
    """The credentials of ``aws login`` as they stand in its file; ``None`` if they have ended or are not there."""
    name = f"{sha256(source.details.get('login_session', '').encode()).hexdigest()}.json"
    found = _object(os.path.join(_login_folder(environ), name)).get("accessToken")
    if not isinstance(found, dict) or not _lasts(found.get("expiresAt"), now):
        return None
    names = ("accessKeyId", "secretAccessKey", "sessionToken")
    key_id, secret, token = (found.get(name) for name in names)
    key = Key(key_id, secret, token, read_moment(found["expiresAt"], ""))  # type: ignore[arg-type]
    try:
        check_key(key, names, ("", "", ""))
    except RolecallError:
        return None
    return key


def _sso_file(source: Source, environ: Mapping[str, str]) -> str:
    # The session's name, or without one the URL of the portal.
    name = source.details.get("sso_session") or source.details.get("sso_start_url") or ""
    return os.path.join(
        _home(environ), ".aws", "sso", "cache", f"{sha1(name.encode(), usedforsecurity=False).hexdigest()}.json"
    )


def _login_folder(environ: Mapping[str, str]) -> str:
    given = environ.get("AWS_LOGIN_CACHE_DIRECTORY")
    if given:
        return os.path.expanduser(os.path.expandvars(given))
    return os.path.join(_home(environ), ".aws", "login", "cache")


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def _read(path: str) -> bytes:
    """A file's bytes; none if it cannot be read, or has more than such a file can have."""
    try:
        # A pipe without a writer must not make kubectl wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            data = file.read(_MAX_FILE + 1)
    except (OSError, ValueError):
        return b""
    return data if data is not None and len(data) <= _MAX_FILE else b""


def _object(path: str) -> dict[str, Any]:
    try:
        found = json.loads(_read(path))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _lasts(value: object, now: float) -> bool:
    """Whether a time in a file is still to come; old versions of the AWS CLI write ``...UTC``."""
    if not isinstance(value, str):
        return False
    try:
        return read_moment(value.replace("UTC", "Z"), "") > now + _MARGIN
    except RolecallError:
        return False


def _lasts_jwt(data: bytes, now: float) -> bool:
    """Whether a token does not say that it has ended. One that is not a JWT says nothing: STS decides."""
    from binascii import Error, a2b_base64

    parts = data.strip().split(b".")
    if len(parts) != 3:
        return True
    try:
        text = parts[1].replace(b"-", b"+").replace(b"_", b"/")
        claims = json.loads(a2b_base64(text + b"=" * (-len(text) % 4)))
    except (Error, ValueError, RecursionError):
        return True
    ends = claims.get("exp") if isinstance(claims, dict) else None
    return not isinstance(ends, int | float) or ends > now


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
