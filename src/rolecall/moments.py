"""Dates and times as policies, files and the command line write them: ISO 8601, always in UTC once read."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhdw])", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def parse_moment(found: object) -> datetime:
    """A date or a date with a time, read into UTC; a date without a time means its beginning.

    :param found: a text such as ``2026-03-31`` or ``2026-03-31T18:00:00Z``, or a datetime
    :raises ValueError: if it is neither, or has no time zone
    """
    if isinstance(found, datetime):
        return found.astimezone(UTC)
    if not isinstance(found, str):
        raise ValueError("a date or a time is needed, such as 2026-03-31 or 2026-03-31T18:00:00Z")
    try:
        if len(found) == 10:
            return datetime.combine(date.fromisoformat(found), time(), UTC)
        moment = datetime.fromisoformat(found)
    except ValueError:
        raise ValueError(f"{found[:40]!r} is not a date or time; use 2026-03-31 or 2026-03-31T18:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{found[:40]!r} has no time zone: add Z for UTC, or an offset such as +01:00")
    return moment.astimezone(UTC)


def parse_duration(text: str) -> timedelta:
    """How long something lasts: a whole number of minutes, hours, days or weeks, such as ``90m`` or ``4h``.

    :raises ValueError: if it is not that
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a duration; use 90m, 4h, 3d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def write_moment(moment: datetime) -> str:
    """A moment as policies and files write it: ``2026-03-31T18:00:00Z``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
