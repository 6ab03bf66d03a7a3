"""The rest-json protocol of EKS: labels of the path, query and a JSON body in, JSON out.

Source: AWS's Smithy documentation, "AWS restJson1 protocol"; botocore's ``RestJSONSerializer`` and ``RestJSONParser``
are what the tests hold it against.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from botocore.model import OperationModel, Shape

from rolecall.iam.operators import read_date
from rolecall.lab.aws_endpoint.actions import AwsError
from rolecall.lab.aws_endpoint.wire.errors import HttpResponse

MAX_DEPTH = 20
MAX_QUERY_FIELDS = 200


def parse_parameters(
    operation: OperationModel, labels: Mapping[str, bytes], query: bytes, body: bytes
) -> dict[str, Any]:
    """The parameters of an operation, from where the model puts each."""
    shape = operation.input_shape
    if shape is None:
        return {}
    document = _document(body)
    fields = _query(query)
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire = member.serialization.get("name", name)
        location = member.serialization.get("location")
        if location == "uri":
            if wire in labels:
                found[name] = _from_text(member, [_utf8(unquote_to_bytes(labels[wire]))], name)
        elif location == "querystring":
            if member.type_name == "map":
                continue
            if wire in fields:
                found[name] = _from_text(member, fields[wire], name)
        elif location is None and document.get(wire) is not None:
            found[name] = _value(member, document[wire], name, 0)
    return found


def _document(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        document = json.loads(body, parse_constant=_no_constant)
        # Half a surrogate pair, such as "\ud800", is JSON but no text that could be stored.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise AwsError("SerializationException", "The request body is not JSON.", 400) from None
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "The request body is not a JSON object.", 400)
    return document


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _query(query: bytes) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS, errors="strict"
        )
    except (ValueError, UnicodeDecodeError):
        raise AwsError("SerializationException", "The query string cannot be read.", 400) from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise AwsError("SerializationException", "The path is not UTF-8.", 400) from None


def _from_text(shape: Shape, texts: list[str], name: str) -> Any:
    kind = shape.type_name
    if kind == "list":
        return texts
    if len(texts) != 1:
        raise AwsError("SerializationException", f"{name} is given more than once.", 400)
    text = texts[0]
    if kind in ("integer", "long"):
        if not (text.lstrip("-").isdigit() and text.isascii() and len(text) < 12):
            raise _wrong(name, kind)
        return int(text)
    if kind == "boolean":
        if text not in ("true", "false"):
            raise _wrong(name, kind)
        return text == "true"
    return text


def _value(shape: Shape, value: Any, name: str, depth: int) -> Any:
    kind = shape.type_name
    if depth > MAX_DEPTH:
        raise AwsError("SerializationException", "The request body is nested too deeply.", 400)
    if kind == "structure" and isinstance(value, dict):
        return {
            member: _value(inner, item, member, depth + 1)
            for member, inner in shape.members.items()
            if (item := value.get(inner.serialization.get("name", member))) is not None
        }
    if kind == "list" and isinstance(value, list):
        return [_value(shape.member, item, name, depth + 1) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _value(shape.value, item, name, depth + 1) for key, item in value.items()}
    if kind == "timestamp" and isinstance(value, int | float | str) and not isinstance(value, bool):
        found = read_date(f"{value:.3f}" if isinstance(value, float) else str(value))
        if found is not None:
            return found
    plain = {"string": str, "integer": int, "long": int, "boolean": bool}.get(kind)
    if plain is not None and isinstance(value, plain) and (plain is bool or not isinstance(value, bool)):
        return value
    if kind in ("double", "float") and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise _wrong(name, kind)


def _wrong(name: str, kind: str) -> AwsError:
    return AwsError("SerializationException", f"{name} is not of type {kind}.", 400)


def success(operation: OperationModel, result: Mapping[str, Any], request_id: str) -> HttpResponse:
    """The answer of an operation."""
    shape = operation.output_shape
    body = _members(shape, result) if shape is not None else {}
    headers = (("Content-Type", "application/json"), ("x-amzn-RequestId", request_id))
    return HttpResponse(operation.http.get("responseCode", 200), headers, json.dumps(body).encode())


def _members(shape: Shape, value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        member.serialization.get("name", name): _out(member, value[name])
        for name, member in shape.members.items()
        if value.get(name) is not None
    }


def _out(shape: Shape, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _members(shape, value)
    if kind == "list":
        return [_out(shape.member, item) for item in value]
    if kind == "map":
        return {key: _out(shape.value, item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).timestamp()
    return value
