"""What a source of credentials answered, as a key. No I/O.

Sources: AWS CLI user guide, "Sourcing credentials with an external process"; AWS SDKs and Tools reference guide,
"Container credential provider". An answer is somebody else's text: whatever it holds is a key or one sentence.
"""

from __future__ import annotations

import json

from rolecall.access_keys import Key, check_key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.aws_times import read_moment


class InvalidAnswerError(RolecallError):
    """An answer holds no credentials."""


def read_answer(data: bytes) -> dict[str, object]:
    """The JSON object of an answer.

    :raises InvalidAnswerError: if it is not one.
    """
    if not data.strip():
        raise InvalidAnswerError("its answer is empty")
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InvalidAnswerError("its answer is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise InvalidAnswerError("its answer is not JSON") from None
    if not isinstance(found, dict):
        raise InvalidAnswerError("its answer is not a JSON object")
    return found


def key_of(answer: dict[str, object], names: tuple[str, str, str], now: float) -> Key:
    """The key of an answer that is still valid.

    :param names: the fields of the key id, the secret, and the session token; the end is ``Expiration``.
    :raises RolecallError: naming the field that is not as it should be.
    """
    key_id, secret, token = (answer.get(name) for name in names)
    for name, value in zip(names, (key_id, secret), strict=False):
        if value is None:
            raise InvalidAnswerError(f"its answer has no {name}")
    ends = _end(answer.get("Expiration"))
    # An empty session token means that there is none. Anything else that is not a text is refused by the check.
    found = Key(key_id, secret, None if token == "" else token, ends)  # type: ignore[arg-type]
    check_key(found, names, ("", "", ""))
    if ends is not None and ends <= now:
        raise InvalidAnswerError(f"it gave credentials that have expired (Expiration: {answer['Expiration']})")
    return found


def _end(value: object) -> float | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidAnswerError(f"Expiration in its answer is not a text but {type(value).__name__}")
    return read_moment(value, "Expiration in its answer")
