"""Waiting for what AWS has agreed to and does not show everywhere yet.

Source: IAM user guide, "Changes that I make are not always immediately visible".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from rolecall.aws.errors import AwsError

CONSISTENT_AFTER = 30.0
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0


def code(error: ClientError) -> str:
    """The code of AWS in an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def offer(call: Callable[[], Any], refusal: str, words: str) -> None:
    """Make a call again while it is refused because it names something so new that it is not known everywhere.

    :param refusal: the error code of such a refusal.
    :param words: what its message has in it; compared without case.
    :raises ClientError: any other refusal at once, and this one after :data:`CONSISTENT_AFTER` seconds.
    """
    for pause in _pauses():
        try:
            call()
            return
        except ClientError as error:
            message = str(error.response.get("Error", {}).get("Message", ""))
            if code(error) != refusal or words not in message.lower() or pause is None:
                raise
            time.sleep(pause)


def settles(there: Callable[[], bool]) -> bool:
    """Wait until AWS shows what was made; whether it came to that."""
    for pause in _pauses():
        if there():
            return True
        if pause is not None:
            time.sleep(pause)
    return False


def wait_until(there: Callable[[], bool], what: str) -> None:
    """Wait until AWS shows what was made; :class:`AwsError` where that takes too long."""
    if not settles(there):
        raise AwsError(
            f"{what} was made, but AWS does not show it after {CONSISTENT_AFTER:.0f} s",
            where=what,
            advice="look again in a minute",
        )


def _pauses() -> Iterator[float | None]:
    """Growing pauses in seconds; ``None`` once there is no time for another one."""
    deadline, pause = time.monotonic() + CONSISTENT_AFTER, _FIRST_PAUSE
    while time.monotonic() + pause < deadline:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE)
    yield None
