"""Condition operators: one test for one value of the request against one value of the policy.

Source: IAM user guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys or
values" (``IfExists``, ``ForAnyValue``, ``ForAllValues``, negated operators).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from rolecall.iam.matching import arn_matcher, matcher

Test = Callable[[str, str], bool]  # (value of the policy, value of the request)

_DATE = re.compile(
    r"(?P<y>\d{4})(?:-(?P<mo>\d\d)(?:-(?P<d>\d\d)(?:[Tt](?P<h>\d\d?):(?P<mi>\d\d)"
    r"(?::(?P<s>\d\d)(?:\.(?P<f>\d{1,9}))?)?(?P<tz>[Zz]|[+-]\d\d(?::?\d\d)?)?)?)?)?",
    re.ASCII,
)
_EPOCH = re.compile(r"-?[0-9]{5,15}(?:\.[0-9]{1,9})?", re.ASCII)


class Quantifier(Enum):
    """How the values of a key with several values are combined; NONE for a key with one."""

    NONE = ""
    ANY = "ForAnyValue"
    ALL = "ForAllValues"


@dataclass(frozen=True, slots=True)
class Operator:
    """A condition operator with its prefix and suffix taken apart.

    :param base: the operator's name, lower-case, ``Not`` included.
    :param negated: whether none of the policy's values may match.
    """

    base: str
    negated: bool
    if_exists: bool
    quantifier: Quantifier

    @property
    def takes_variables(self) -> bool:
        """String, ARN and Boolean operators take policy variables (user guide, "IAM policy elements: Variables")."""
        return self.base.startswith(("string", "arn", "bool"))

    @property
    def has_wildcards(self) -> bool:
        """Whether ``*`` and ``?`` of the policy's value are wildcards; for every other operator they are letters."""
        return self.base.startswith("arn") or self.base.endswith("like")

    def test(self, wanted: str, value: str) -> bool:
        """Whether one value of the request satisfies one value of the policy, negation left out."""
        return _TESTS[self.base](wanted, value)

    def reads(self, value: str) -> bool:
        """Whether this operator understands a value of a policy."""
        read = _READERS.get(self.base)
        return read is None or read(value) is not None


@lru_cache(maxsize=1024)
def parse_operator(name: str) -> Operator | None:
    """The operator that a policy names, case left aside; ``None`` if there is no such operator."""
    prefix, colon, rest = name.rpartition(":")
    quantifiers = {q.value.lower(): q for q in Quantifier}
    quantifier = quantifiers.get(prefix.lower())
    if quantifier is None or (colon and quantifier is Quantifier.NONE):
        return None
    base = rest.lower()
    if_exists = base.endswith("ifexists")
    base = base.removesuffix("ifexists")
    if base not in _TESTS or (base == "null" and (if_exists or quantifier is not Quantifier.NONE)):
        return None
    return Operator(base, "not" in base, if_exists, quantifier)


@lru_cache(maxsize=4096)
def read_date(text: str) -> datetime | None:
    """ISO 8601 as the W3C subset allows it, or seconds since 1970; ``None`` if it is neither."""
    if _EPOCH.fullmatch(text):
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except (ValueError, OverflowError, OSError):
            return None
    found = _DATE.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second = (
        int(found[k] or d) for k, d in zip(["y", "mo", "d", "h", "mi", "s"], "011000", strict=True)
    )
    zone = found["tz"] or "Z"
    offset = "+00:00" if zone in ("Z", "z") else f"{zone[:3]}:{zone[3:].removeprefix(':') or '00'}"
    fraction = (found["f"] or "0").ljust(6, "0")[:6]
    try:
        return datetime.fromisoformat(
            f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction}{offset}"
        )
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _read_number(text: str) -> Decimal | None:
    try:
        number = Decimal(text) if len(text) <= 40 and re.fullmatch(r"[0-9eE+.\-]+", text, re.ASCII) else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


@lru_cache(maxsize=4096)
def _read_network(text: str) -> Any:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _read_address(text: str) -> Any:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _read_bool(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _read_bool_or_variable(text: str) -> bool | str | None:
    return text if "${" in text else _read_bool(text)


def _read_binary(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _compared(read: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Test:
    def test(wanted: str, value: str) -> bool:
        left, right = read(value), read(wanted)
        return left is not None and right is not None and compare(left, right)

    return test


def _in_network(wanted: str, value: str) -> bool:
    network, address = _read_network(wanted), _read_address(value)
    return network is not None and address is not None and network.version == address.version and address in network


def _equal_ignoring_case(wanted: str, value: str) -> bool:
    return wanted.lower() == value.lower()


def _like(wanted: str, value: str) -> bool:
    return matcher(wanted)(value)


def _arn_like(wanted: str, value: str) -> bool:
    return arn_matcher(wanted)(value)


def _equal(wanted: str, value: str) -> bool:
    return wanted == value


def _six(kind: str, read: Callable[[str], Any]) -> dict[str, Test]:
    equals = _compared(read, lambda a, b: bool(a == b))
    return {
        f"{kind}equals": equals,
        f"{kind}notequals": equals,
        f"{kind}lessthan": _compared(read, lambda a, b: bool(a < b)),
        f"{kind}lessthanequals": _compared(read, lambda a, b: bool(a <= b)),
        f"{kind}greaterthan": _compared(read, lambda a, b: bool(a > b)),
        f"{kind}greaterthanequals": _compared(read, lambda a, b: bool(a >= b)),
    }


_TESTS: dict[str, Test] = {
    "stringequals": _equal,
    "stringnotequals": _equal,
    "stringequalsignorecase": _equal_ignoring_case,
    "stringnotequalsignorecase": _equal_ignoring_case,
    "stringlike": _like,
    "stringnotlike": _like,
    "bool": _compared(_read_bool, lambda a, b: a is b),
    "binaryequals": _compared(_read_binary, lambda a, b: bool(a == b)),
    "ipaddress": _in_network,
    "notipaddress": _in_network,
    # ArnEquals and ArnLike behave identically (user guide, ARN condition operators).
    "arnequals": _arn_like,
    "arnlike": _arn_like,
    "arnnotequals": _arn_like,
    "arnnotlike": _arn_like,
    "null": _equal,
    **_six("numeric", _read_number),
    **_six("date", read_date),
}
_READERS: dict[str, Callable[[str], Any]] = {
    **{name: read_date for name in _TESTS if name.startswith("date")},
    **{name: _read_number for name in _TESTS if name.startswith("numeric")},
    "ipaddress": _read_network,
    "notipaddress": _read_network,
    "bool": _read_bool_or_variable,
    "null": _read_bool,
    "binaryequals": _read_binary,
}
