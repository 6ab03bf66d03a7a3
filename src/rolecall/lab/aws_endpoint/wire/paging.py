"""Pages of a list: actions answer with the whole list, and this cuts out the page that was asked for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError
from rolecall.lab.aws_endpoint.wire.services import Paging

DEFAULT_LIMIT = 100
# What tells an item of a list from the others, whatever else of it changes between two pages.
_NAMES = (
    "UserId", "RoleId", "GroupId", "PolicyId", "AccessKeyId", "SerialNumber", "VersionId", "PolicyArn", "PolicyName",
    "Key", "Arn", "arn", "policyArn", "name",
)  # fmt: skip


def page(paging: Paging, operation: str, params: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``result`` that ``params`` ask for, with the token of the next one.

    Where an operation has several lists they are paged as one after the other, as IAM does.
    """
    items = [(key, item) for key in paging.result_keys for item in result.get(key) or ()]
    start = _start(operation, params.get(paging.input_token), items)
    end = start + (params.get(paging.limit) or DEFAULT_LIMIT)
    chosen = items[start:end]
    answer = dict(result)
    for key in paging.result_keys:
        answer[key] = [item for of, item in chosen if of == key]
    more = end < len(items)
    if paging.more:
        answer[paging.more] = more
    if more:
        answer[paging.output_token] = _token(operation, end, items[end][1])
    return answer


def _token(operation: str, position: int, following: Any) -> str:
    """Names the item that comes next, so that a client that deletes what a page shows does not miss the next page."""
    return base64.urlsafe_b64encode(f"{operation}:{position}:{_mark(following)}".encode()).decode()


def _start(operation: str, token: str | None, items: Sequence[tuple[str, Any]]) -> int:
    if not token:
        return 0
    try:
        name, position, mark = base64.b64decode(token, altchars=b"-_", validate=True).decode().split(":")
    except (binascii.Error, ValueError):
        name, position, mark = "", "", ""
    if name != operation or not (position.isascii() and position.isdigit()) or len(position) > 9:
        raise AwsError("ValidationError", "The pagination token is invalid.", 400)
    found = (index for index, (_, item) in enumerate(items) if _mark(item) == mark)
    # Where that item is gone itself its place is the best there is.
    return next(found, int(position))


def _mark(item: Any) -> str:
    named = next((item[name] for name in _NAMES if name in item), None) if isinstance(item, Mapping) else str(item)
    text = named if isinstance(named, str) else json.dumps(item, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
