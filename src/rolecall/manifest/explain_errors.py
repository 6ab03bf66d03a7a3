"""What pydantic found wrong, in the words of the file: place, what is expected there, the nearest valid name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from rolecall.manifest.schema import json_schema
from rolecall.manifest.yaml_data import PathKey, Place, Problem

_SHAPES = {
    "id": "an account id is 12 digits in quotes",
    "path": "an IAM path begins and ends with a slash, such as /team/",
    "region": "a region is written as in eu-west-2",
    "arn": "an ARN reads arn:PARTITION:iam::ACCOUNT:user/NAME or role/NAME",
    "roleArn": "an ARN reads arn:PARTITION:iam::ACCOUNT:role/NAME",
    "user": "a name in IAM has 1 to 64 letters, digits and _+=,.@-",
    "namespace": "a namespace has lower-case letters, digits and -",
}
_TYPES = {
    "string_type": "a text", "int_type": "a whole number", "bool_type": "true or false", "list_type": "a list",
    "dict_type": "a mapping", "model_type": "a mapping", "model_attributes_type": "a mapping",
}  # fmt: skip


def nearest(name: str, known: Sequence[str], *, many: int = 12) -> str:
    """Advice for a name that is not known: the nearest that is, or all of them where they are few."""
    if match := get_close_matches(name[:128], known, n=1, cutoff=0.6):
        return f"did you mean {match[0]}?"
    if not known:
        return ""
    return f"known: {', '.join(sorted(known)[:many])}{', ...' if len(known) > many else ''}"


def explain(error: Mapping[str, Any], data: Any, place: Callable[[PathKey], Place]) -> Problem:
    """One of pydantic's errors about ``data``."""
    path = _real_path(error["loc"], data)
    kind, value, last = error["type"], error.get("input"), str(error["loc"][-1]) if error["loc"] else ""
    where = place(path)
    name = ".".join(str(part) for part in path)
    if kind == "extra_forbidden":
        return Problem(where, f"unknown key {last!r} in {'.'.join(str(p) for p in path[:-1]) or 'the file'}",
                       nearest(last, _keys_at(path[:-1])))  # fmt: skip
    if kind == "missing":
        return Problem(where, f"{name} has no {last}")
    if kind in _TYPES:
        advice = f'put it in quotes: "{value}"' if kind == "string_type" and isinstance(value, int | float) else ""
        return Problem(where, f"{name} must be {_TYPES[kind]}, this is {_said(value)}", advice)
    if kind in ("enum", "literal_error"):
        expected = [one.strip("' ") for one in str(error["ctx"]["expected"]).replace(" or ", ",").split(",")]
        return Problem(where, f"{name} cannot be {_said(value)}", nearest(str(value), expected))
    if kind == "string_pattern_mismatch":
        advice = _SHAPES.get(last, f"it must match {error['ctx']['pattern']}")
        return Problem(where, f"{name} cannot be {_said(value)}", advice)
    if kind == "value_error":
        return Problem(where, f"{name}: {error['ctx']['error']}")
    message = str(error["msg"])
    return Problem(where, f"{name}: {message[:1].lower()}{message[1:]}")


def _real_path(loc: Sequence[str | int], data: Any) -> PathKey:
    """pydantic's location without the parts that are names of alternatives, and not of the file."""
    path: list[str | int] = []
    for position, part in enumerate(loc):
        if isinstance(data, Mapping) and part in data:
            data = data[str(part)]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif position < len(loc) - 1 or part in ("name", "member", "[key]"):
            continue
        else:
            break
        path.append(part)
    return tuple(path)


def _said(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return "a list" if isinstance(value, list) else "a mapping"


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def _keys_at(path: PathKey) -> list[str]:
    """The keys that the schema knows at a path."""
    options = [_schema()]
    for part in path:
        options = [inner for option in options for inner in _inside(option, part)]
    return sorted({key for option in options for key in option.get("properties", ())})


def _inside(option: Mapping[str, Any], part: str | int) -> list[dict[str, Any]]:
    if isinstance(part, int):
        found = option.get("items")
    else:
        members = [*option.get("patternProperties", {}).values(), option.get("additionalProperties")]
        found = option.get("properties", {}).get(part) or members[0]
    return _alternatives(found) if isinstance(found, dict) else []


def _alternatives(option: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in option:
        option = _schema()["$defs"][option["$ref"].rpartition("/")[2]]
    inner = [*option.get("anyOf", ()), *option.get("oneOf", ())]
    return [option, *(found for one in inner for found in _alternatives(one))]
