"""What a plain scalar means to the YAML readers of the Go programs beside us.

Kubernetes, kubectl and the ConfigMap aws-auth are read by go-yaml v2 (YAML 1.1: ``y``, ``no`` and ``on`` are truth
values, a date is text), the authenticator's configuration file by go-yaml v3 (``y`` is text, a date is a time). Both
take ``0x1f``, ``1_000`` and ``1e3`` for numbers and know no sexagesimal numbers. Source: ``resolve.go`` and
``decode.go`` of go.yaml.in/yaml v2.4 and v3.0.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import date
from enum import Enum
from typing import Protocol

from rolecall.errors import RolecallError

_PREFIX = "tag:yaml.org,2002:"
MERGE = f"{_PREFIX}merge"
NULL_WORDS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_TRUE_V2 = _TRUE | {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"}
_FALSE_V2 = _FALSE | {"n", "N", "no", "No", "NO", "off", "Off", "OFF"}
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_INF = frozenset({".inf", ".Inf", ".INF"})
_INT = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2}))"
    r"|(?: +([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?))?",
    re.ASCII,
)
# Longer ones are no number of 64 bits, and Python refuses to read them.
_LONGEST = 4000
_MOST = 1 << 64
_RESOLVED = frozenset(f"{_PREFIX}{name}" for name in ("str", "bool", "int", "float", "null", "timestamp"))


class GoYaml(Enum):
    """A version of go-yaml."""

    V2 = 2
    V3 = 3


class Timestamp(str):
    """A time, as go-yaml v3 takes it; its characters are those that were written."""


class BadScalarError(RolecallError):
    """A value does not fit its tag; go-yaml then refuses the whole document."""


class _Scalar(Protocol):
    value: str
    tag: str
    is_plain: bool


Value = str | bool | int | float | None


def scalar_value(node: _Scalar, rules: GoYaml, *, strict: bool = True) -> Value:
    """The value of a scalar.

    :param strict: ``False`` takes a value that does not fit its tag as text.
    :raises BadScalarError: it does not fit its tag.
    """
    tag = node.tag
    if not tag:
        return _resolved(node.value, rules, with_time=True) if node.is_plain else node.value
    try:
        return _tagged(node.value, tag, rules)
    except BadScalarError:
        if strict:
            raise
        return node.value


def _tagged(text: str, tag: str, rules: GoYaml) -> Value:
    if tag == f"{_PREFIX}binary":
        return _binary(text)
    if tag == f"{_PREFIX}str" or tag not in _RESOLVED:
        return text
    value = _resolved(text, rules, with_time=tag == f"{_PREFIX}timestamp")
    found = _tag_of(value)
    if tag == f"{_PREFIX}timestamp" and _is_time(text):
        return text if rules is GoYaml.V2 else Timestamp(text)
    if tag == f"{_PREFIX}float" and found == "int":
        return float(value or 0)
    if tag != f"{_PREFIX}{found}":
        raise BadScalarError(f"{text[:40]!r} is not a !!{tag.removeprefix(_PREFIX)}")
    return value


def _tag_of(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return {int: "int", float: "float"}.get(type(value), "str")


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split("\n")), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        raise BadScalarError("a !!binary value is not base64") from None


def _resolved(text: str, rules: GoYaml, *, with_time: bool) -> Value:
    first = text[:1]
    if first.isalpha() or first in ("~", ""):
        return _word(text, rules)
    if first not in "+-.0123456789":
        return text
    return _number(text, rules, with_time)


def _word(text: str, rules: GoYaml) -> Value:
    if len(text) > 5:
        return text
    if text in NULL_WORDS:
        return None
    is_v2 = rules is GoYaml.V2
    if text in (_TRUE_V2 if is_v2 else _TRUE):
        return True
    return False if text in (_FALSE_V2 if is_v2 else _FALSE) else text


def _number(text: str, rules: GoYaml, with_time: bool) -> Value:
    if len(text) > _LONGEST:
        return text
    if text in _NAN:
        return float("nan")
    if text[text[0] in "+-" :] in _INF:
        return float("-inf" if text[0] == "-" else "inf")
    if text[0] == ".":
        return text if (number := _float(text)) is None else number
    if rules is GoYaml.V3 and with_time and _is_time(text):
        return Timestamp(text)
    plain = text.replace("_", "")
    if _INT.fullmatch(plain):
        whole = _int(plain)
        if -_MOST // 2 <= whole < (_MOST if plain[0] not in "+-" else _MOST // 2):
            return whole
    found = _float(plain)
    return text if found is None else found


def _int(plain: str) -> int:
    sign, digits = (plain[0], plain[1:]) if plain[0] in "+-" else ("", plain)
    base = {"x": 16, "b": 2, "o": 8}.get(digits[1:2].lower(), 8 if digits[0] == "0" else 10)
    number = int(digits[2:] if base != 10 and digits[1:2].isalpha() else digits, base)
    return -number if sign == "-" else number


def _float(text: str) -> float | None:
    if not _FLOAT.fullmatch(text):
        return None
    number = float(text)
    # Go's ParseFloat refuses what is out of range.
    return None if number in (float("inf"), float("-inf")) else number


def _is_time(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if not found:
        return False
    year, month, day, *clock = (int(part) if part else 0 for part in found.groups())
    try:
        # Go's years begin with 0, Python's with 1.
        date(year or 4, month, day)
    except ValueError:
        return False
    return all(hour < 24 and minute < 60 and second < 60 for hour, minute, second in (clock[:3], clock[3:]))
