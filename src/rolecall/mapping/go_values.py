"""Values as Go reads them from a flag or a file: its ``strconv.ParseBool`` and ``strconv.ParseInt``."""

from __future__ import annotations

import re

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_INTEGER = re.compile(r"([+-]?)(0[xX]_?[0-9a-fA-F_]+|0[bB]_?[01_]+|0[oO]?_?[0-7_]*|[1-9][0-9_]*)", re.ASCII)
MAX_DIGITS = 40


def parse_bool(value: str) -> bool | None:
    """The truth value that Go's ``strconv.ParseBool`` reads; ``None`` if it reads none."""
    return True if value in _TRUE else False if value in _FALSE else None


def parse_int(value: str) -> int | None:
    """The number that Go's ``strconv.ParseInt`` reads with base 0 and 64 bits: ``21362``, ``0x5372``, ``1_000``."""
    found = _INTEGER.fullmatch(value)
    if found is None or len(value) > MAX_DIGITS:
        return None
    sign, digits = found.groups()
    if re.fullmatch(r"0[0-7_]+", digits):
        digits = f"0o{digits[1:]}"
    try:
        # Underscores may stand between digits and behind the base in both languages.
        number = int(sign + digits, 0)
    except ValueError:
        return None
    return number if -(2**63) <= number < 2**63 else None
