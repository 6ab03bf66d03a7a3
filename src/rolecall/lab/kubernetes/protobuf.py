"""Reads the protobuf bodies that kubectl 1.32 and later sends; answers are always JSON.

Source: Kubernetes documentation, "Kubernetes API Concepts", protobuf encoding: the magic ``k8s\\0`` and a
``runtime.Unknown`` around the message.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rolecall.lab.kubernetes.schemas import messages
from rolecall.lab.kubernetes.status import StatusError, bad_request

MAGIC = b"k8s\x00"
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAX_DEPTH = 20
MAX_FIELDS = 50_000
_GROUPS = {
    "v1": "core.v1",
    "rbac.authorization.k8s.io/v1": "rbac.v1",
    "authentication.k8s.io/v1": "authentication.v1",
    "authorization.k8s.io/v1": "authorization.v1",
}
# Set to zero by clients that mean nothing by it: no pointer in the Go types.
_ZERO_MEANS_UNSET = {"generation", "observedGeneration"}


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body, as its JSON would be; ``BadRequest`` if it is none that is known."""
    if not body.startswith(MAGIC):
        raise bad_request("the body is not Kubernetes protobuf")
    try:
        return _envelope(body[len(MAGIC) :])
    except (IndexError, UnicodeDecodeError, OverflowError, ValueError):
        raise bad_request("the protobuf body cannot be read") from None


def _envelope(data: bytes) -> dict[str, Any]:
    api_version = kind = ""
    raw = b""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            for inner, text in _fields(value):
                if isinstance(text, bytes):
                    api_version, kind = (text.decode(), kind) if inner == 1 else (api_version, text.decode())
        elif number == 2 and isinstance(value, bytes):
            raw = value
    name = "meta.v1.DeleteOptions" if kind == "DeleteOptions" else f"{_GROUPS.get(api_version, '?')}.{kind}"
    if name not in messages():
        raise StatusError(
            415, "UnsupportedMediaType", f"the lab reads no protobuf of {api_version[:60]} {kind[:60]}: send JSON"
        )
    return {"apiVersion": api_version, "kind": kind, **_message(name, raw, 0)}


def _message(name: str, data: bytes, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise ValueError(name)
    table = messages()[name]
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        row = table.get(str(number))
        if row is None:
            continue
        field, label, kind = row
        if label == "r":
            found.setdefault(field, []).append(_value(kind, value, depth))
        elif label == "m":
            key, item = _entry(kind, value, depth)
            found.setdefault(field, {})[key] = item
        else:
            item = _value(kind, value, depth)
            if not _is_unset(name, field, item):
                found[field] = item
    return found


def _is_unset(message: str, field: str, value: Any) -> bool:
    if value in ("", None) or value == {}:
        return True
    if value is False:
        return message.endswith("Status")
    return value == 0 and field in _ZERO_MEANS_UNSET


def _entry(kind: str, value: Any, depth: int) -> tuple[str, Any]:
    key, item = "", _value(kind, b"", depth) if kind in ("string", "bytes") else None
    for number, part in _fields(_as_bytes(value)):
        if number == 1:
            key = _as_bytes(part).decode()
        elif number == 2:
            item = _value(kind, part, depth)
    return key, item


def _value(kind: str, value: Any, depth: int) -> Any:
    if kind == "string":
        return _as_bytes(value).decode()
    if kind == "bytes":
        return base64.b64encode(_as_bytes(value)).decode()
    if kind in ("int64", "int32", "bool"):
        if not isinstance(value, int):
            raise ValueError(kind)
        if kind == "bool":
            return bool(value)
        return value - (1 << 64) if value >= 1 << 63 else value
    if kind == "meta.v1.Time":
        return _time(_as_bytes(value))
    if kind == "meta.v1.FieldsV1":
        raw = next((part for number, part in _fields(_as_bytes(value)) if number == 1), b"{}")
        return json.loads(_as_bytes(raw))
    message = _message(kind, _as_bytes(value), depth + 1)
    return message.get("items", []) if kind.endswith(".ExtraValue") else message


def _time(data: bytes) -> str | None:
    seconds = dict(_fields(data)).get(1)
    if not isinstance(seconds, int):
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field has the wrong wire type")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a message: varints as integers, everything else as bytes."""
    position = count = 0
    while position < len(data):
        count += 1
        if count > MAX_FIELDS:
            raise ValueError("too many fields")
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(data):
            raise ValueError("a field is cut off")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
