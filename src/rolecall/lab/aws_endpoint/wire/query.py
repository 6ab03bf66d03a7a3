"""The query protocol of IAM and STS: form fields in, XML (or for STS JSON) out.

Source: AWS's Smithy documentation, "AWS query protocol"; botocore's ``QuerySerializer`` and ``QueryParser`` are what
the tests hold it against.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import OperationModel, Shape

from rolecall.iam.operators import read_date
from rolecall.lab.aws_endpoint.actions import AwsError
from rolecall.lab.aws_endpoint.wire.errors import HttpResponse

MAX_FIELDS = 5_000
MAX_DEPTH = 12
MAX_INDEX = 2_000
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def read_fields(text: bytes) -> dict[str, str]:
    """The fields of a form or query; a field given twice is refused, not guessed at."""
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MAX_FIELDS,
            errors="strict",
        )  # fmt: skip
    except (ValueError, UnicodeDecodeError):
        raise AwsError("MalformedQueryString", "The query string contains a syntax error.", 400) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise AwsError("MalformedQueryString", "A parameter is given more than once.", 400)
    return fields


def parse_parameters(operation: OperationModel, fields: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of an operation, keyed as the model names them; unknown fields are ignored, as AWS does."""
    shape = operation.input_shape
    if shape is None or not shape.members:
        return {}
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        _plant(tree, name.split("."), value)
    found: dict[str, Any] = _structure(shape, tree)
    return found


def _plant(tree: dict[str, Any], names: list[str], value: str) -> None:
    if len(names) > MAX_DEPTH:
        raise AwsError("MalformedQueryString", "A parameter name is nested too deeply.", 400)
    for name in names[:-1]:
        node = tree.setdefault(name, {})
        if not isinstance(node, dict):
            node = tree[name] = {"": node}
        tree = node
    last = tree.get(names[-1])
    if isinstance(last, dict):
        last[""] = value
    else:
        tree[names[-1]] = value


def _value(shape: Shape, node: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, node if isinstance(node, dict) else {})
    if kind == "list":
        return _list(shape, node)
    if kind == "map":
        return _map(shape, node)
    text = node.get("") if isinstance(node, dict) else node
    if not isinstance(text, str):
        raise _malformed(shape)
    return _scalar(shape, text)


def _structure(shape: Shape, tree: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        wire = member.serialization.get("name", name)
        if wire in tree:
            found[name] = _value(member, tree[wire])
    return found


def _list(shape: Shape, node: Any) -> list[Any]:
    if not isinstance(node, dict):
        if node == "":
            return []
        raise _malformed(shape)
    if not shape.serialization.get("flattened"):
        node = node.get(shape.member.serialization.get("name", "member"), {})
    return [_value(shape.member, item) for item in _in_order(shape, node)]


def _map(shape: Shape, node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise _malformed(shape)
    if not shape.serialization.get("flattened"):
        node = node.get("entry", {})
    key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
    found = {}
    for item in _in_order(shape, node):
        if not isinstance(item, dict) or not isinstance(item.get(key), str) or value not in item:
            raise _malformed(shape)
        found[item[key]] = _value(shape.value, item[value])
    return found


def _in_order(shape: Shape, node: Any) -> list[Any]:
    if not isinstance(node, dict):
        raise _malformed(shape)
    indexes = [name for name in node if name]
    if not all(name.isascii() and name.isdigit() and len(name) < 6 for name in indexes) or len(indexes) > MAX_INDEX:
        raise _malformed(shape)
    return [node[name] for name in sorted(indexes, key=int)]


def _scalar(shape: Shape, text: str) -> Any:
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(text) if _INTEGER.fullmatch(text) else _refuse(shape)
        if kind in ("float", "double"):
            return float(text) if len(text) < 40 else _refuse(shape)
        if kind == "blob":
            return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise _malformed(shape) from None
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise _malformed(shape)
        return text.lower() == "true"
    if kind == "timestamp":
        return read_date(text) or _refuse(shape)
    return text


def _refuse(shape: Shape) -> Any:
    raise _malformed(shape)


def _malformed(shape: Shape) -> AwsError:
    return AwsError("MalformedInput", f"Could not read a value of type {shape.type_name} ({shape.name}).", 400)


def success(
    operation: OperationModel, result: Mapping[str, Any], namespace: str, request_id: str, as_json: bool
) -> HttpResponse:
    """The answer of an operation."""
    if as_json:
        return _json(operation, result, request_id)
    shape = operation.output_shape
    inner = ""
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{operation.name}Result")
        inner = f"<{wrapper}>{_xml_members(shape, result)}</{wrapper}>"
    body = (
        f'<{operation.name}Response xmlns="{namespace}">{inner}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
    )
    return HttpResponse(200, (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)), body.encode())


def _xml_members(shape: Shape, value: Mapping[str, Any]) -> str:
    parts = []
    for name, member in shape.members.items():
        item = value.get(name)
        if item is not None:
            parts.append(_xml(member, member.serialization.get("name", name), item))
    return "".join(parts)


def _xml(shape: Shape, name: str, value: Any) -> str:
    kind = shape.type_name
    if kind == "structure":
        return f"<{name}>{_xml_members(shape, value)}</{name}>"
    if kind == "list":
        member = shape.member.serialization.get("name", "member")
        if shape.serialization.get("flattened"):
            return "".join(_xml(shape.member, name, item) for item in value)
        return f"<{name}>{''.join(_xml(shape.member, member, item) for item in value)}</{name}>"
    if kind == "map":
        key, item_name = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        entries = "".join(
            f"<entry>{_xml(shape.key, key, k)}{_xml(shape.value, item_name, v)}</entry>" for k, v in value.items()
        )
        return f"<{name}>{entries}</{name}>"
    return f"<{name}>{escape(_text(shape, value), {chr(13): '&#xD;'})}</{name}>"


def _text(shape: Shape, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if shape.type_name == "blob":
        return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode()
    return str(value)


def _json(operation: OperationModel, result: Mapping[str, Any], request_id: str) -> HttpResponse:
    """What STS answers to ``Accept: application/json``; dates are seconds since 1970, as AWS writes them there."""

    def plain(value: Any) -> Any:
        return value.timestamp() if isinstance(value, datetime) else base64.b64encode(value).decode()

    body = {
        f"{operation.name}Response": {
            f"{operation.name}Result": result,
            "ResponseMetadata": {"RequestId": request_id},
        }
    }
    headers = (("Content-Type", "application/json"), ("x-amzn-RequestId", request_id))
    return HttpResponse(200, headers, json.dumps(body, default=plain).encode())
