"""Times as AWS and credential sources write them, read with the fewest imports. No I/O."""

from __future__ import annotations

from rolecall.errors import RolecallError

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


class InvalidMomentError(RolecallError):
    """A text is not a time."""


def read_moment(text: str, where: str) -> float:
    """Seconds since 1970 of a time in ISO 8601; one without an offset is UTC.

    :raises InvalidMomentError: if the text is not one.
    """
    if len(text) == 20 and text[4] == text[7] == "-" and text[10] == "T" and text[13] == text[16] == ":":
        found = _seconds(text[:4], text[5:7], text[8:10], text[11:19]) if text[19] == "Z" else None
        if found is not None:
            return found
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidMomentError(f"{text[:40]!r} is not a time in ISO 8601", where=where) from None


def read_http_date(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date (RFC 9110, 5.6.7: ``Sun, 06 Nov 1994 08:49:37 GMT``); ``None`` for others."""
    words = text.split()
    if len(words) != 6 or words[5] != "GMT" or len(words[2]) != 3 or words[2] not in _MONTHS:
        return None
    return _seconds(words[3], f"{_MONTHS.index(words[2]) // 3 + 1:02}", words[1], words[4])


def _seconds(year: str, month: str, day: str, clock: str) -> float | None:
    texts = (year, month, day, *clock.split(":"))
    if len(texts) != 6 or not all(text.isascii() and text.isdigit() for text in texts):
        return None
    y, m, d, hour, minute, second = map(int, texts)
    if not (1970 <= y <= 9999 and 1 <= m <= 12 and 1 <= d <= _days(y, m) and hour < 24 and minute < 60 and second < 60):
        return None
    before = y - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 + sum(_days(y, n) for n in range(1, m)) + d
    # 719,163 is the number of the day 1970-01-01 in the calendar that begins in the year 1.
    return float((days - 719_163) * 86_400 + hour * 3600 + minute * 60 + second)


def _days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31
