"""Keys as the environment and the AWS CLI's files have them, refused if nothing can be signed with them."""

from __future__ import annotations

from rolecall.access_keys import Key, check_key
from rolecall.local_files.aws_config import AwsConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rolecall.local_files.aws_config import Section

ENVIRONMENT = "the environment"
_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
_SETTINGS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token")


def environment_key(environ: Mapping[str, str]) -> Key:
    """The key in the environment (AWS CLI user guide, "Environment variables to configure the AWS CLI").

    :raises RolecallError: if it is half a key, or not a key.
    """
    key_id, secret = environ.get(_VARIABLES[0]), environ.get(_VARIABLES[1])
    if not key_id or not secret:
        missing = _VARIABLES[1] if key_id else _VARIABLES[0]
        raise AwsConfigError(
            f"{missing} is not set", where=ENVIRONMENT, advice="set both halves of the key, or neither"
        )
    named = next((name for name in _VARIABLES[2:] if environ.get(name)), _VARIABLES[2])
    key = Key(key_id, secret, environ.get(named) or None)
    check_key(key, (*_VARIABLES[:2], named), (ENVIRONMENT,) * 3, "set it again, without anything around it")
    return key


def section_key(section: Section, profile: str) -> Key:
    """The key in a section of a file; both halves have to be in the same file.

    :raises RolecallError: with file and line, if it is half a key, or not a key.
    """
    texts = {}
    for name in _SETTINGS:
        value = section.values.get(name)
        if isinstance(value, dict):
            raise AwsConfigError(f"{name} of profile {profile!r} is a block of keys", where=section.where(name))
        texts[name] = value or ""
    if not texts[_SETTINGS[0]] or not texts[_SETTINGS[1]]:
        missing = _SETTINGS[1] if texts[_SETTINGS[0]] else _SETTINGS[0]
        raise AwsConfigError(f"profile {profile!r} has no {missing}", where=section.where(_SETTINGS[0]))
    named = _SETTINGS[3] if texts[_SETTINGS[3]] else _SETTINGS[2]
    key = Key(texts[_SETTINGS[0]], texts[_SETTINGS[1]], texts[named] or None)
    names = (_SETTINGS[0], _SETTINGS[1], named)
    places = (section.where(names[0]), section.where(names[1]), section.where(names[2]))
    check_key(key, names, places, "write it without quotation marks or anything else around it")
    return key
