"""Pages of a list: actions answer with the whole list, and this cuts out the page that was asked for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError
from rolecall.lab.aws_endpoint.wire.services import Paging

DEFAULT_LIMIT = 100


def page(paging: Paging, operation: str, params: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``result`` that ``params`` ask for, with the token of the next one.

    Where an operation has several lists they are paged as one after the other, as IAM does.
    """
    start = _start(operation, params.get(paging.input_token))
    limit = params.get(paging.limit) or DEFAULT_LIMIT
    answer = dict(result)
    position, taken = 0, 0
    for key in paging.result_keys:
        items = list(result.get(key) or ())
        begin = max(0, start - position)
        chosen = items[begin : begin + limit - taken]
        position += len(items)
        taken += len(chosen)
        answer[key] = chosen
    more = start + taken < position
    if paging.more:
        answer[paging.more] = more
    if more:
        answer[paging.output_token] = _token(operation, start + taken)
    return answer


def _token(operation: str, position: int) -> str:
    return base64.urlsafe_b64encode(f"{operation}:{position}".encode()).decode()


def _start(operation: str, token: str | None) -> int:
    if not token:
        return 0
    try:
        name, _, position = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        name, position = "", ""
    if name != operation or not position.isdigit() or len(position) > 9:
        raise AwsError("ValidationError", "The pagination token is invalid.", 400)
    return int(position)
