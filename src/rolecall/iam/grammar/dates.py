"""The dates that IAM accepts in a condition when a document is saved.

They are those of Joda-Time's ``dateOptionalTimeParser``, whose range of years and whose nine digits of a fraction the
recorded answers show, and whole numbers of 64 bits (seconds or milliseconds since 1970).
"""

from __future__ import annotations

import re
from calendar import monthrange

_YEARS = range(-292_275_054, 292_278_993 + 1)
_SECONDS = range(-(2**63), 2**63)
_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_FRACTION = r"(?:[.,][0-9]{1,9})?"
_DATE = re.compile(
    r"(?P<year>[+-]?[0-9]{1,9})"
    r"(?:-(?P<month>[0-9]{1,2})(?:-(?P<day>[0-9]{1,2}))?|-(?P<ordinal>[0-9]{3})|-w(?P<week>[0-9]{1,2})(?:-[1-7])?)?"
    rf"(?:t(?:(?P<hour>[0-9]{{1,2}}){_FRACTION}(?::(?P<minute>[0-9]{{1,2}}){_FRACTION}"
    rf"(?::(?P<second>[0-9]{{1,2}}){_FRACTION})?)?)?"
    r"(?:z|[+-](?P<zone>[0-9]{2})(?::?(?P<zone_minute>[0-9]{2}))?)?)?",
    re.ASCII | re.IGNORECASE,
)
# The part of a date, and the numbers that it may have.
_BOUNDS = {
    "year": _YEARS,
    "month": range(1, 13),
    "ordinal": range(1, 367),
    "week": range(1, 54),
    "hour": range(24),
    "minute": range(60),
    "second": range(60),
    "zone": range(24),
    "zone_minute": range(60),
}
# The calendar repeats itself after this many years, and the library's begins with year 1.
_CYCLE = 400


def is_date(text: str) -> bool:
    """Whether IAM saves ``text`` as the value of a date operator."""
    if _NUMBER.fullmatch(text) and int(text) in _SECONDS:
        return True
    found = _DATE.fullmatch(text)
    if found is None or any(found[part] and int(found[part]) not in bounds for part, bounds in _BOUNDS.items()):
        return False
    if found["day"] is None:
        return True
    return 1 <= int(found["day"]) <= monthrange(int(found["year"]) % _CYCLE + _CYCLE, int(found["month"]))[1]
