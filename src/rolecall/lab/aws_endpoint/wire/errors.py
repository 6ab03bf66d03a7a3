"""Errors on the wire: one error, worded by the protocol of the service that was called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rolecall.lab.aws_endpoint.actions import AwsError

# AWS general reference, "Common error types": the query services' names and those of the JSON services.
_JSON_NAMES = {
    "AccessDenied": "AccessDeniedException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "ExpiredToken": "ExpiredTokenException",
    "InvalidAction": "UnknownOperationException",
    "ValidationError": "InvalidParameterException",
    "MalformedQueryString": "SerializationException",
    "InternalFailure": "ServerException",
    "Throttling": "ThrottlingException",
}
_STATUS = {
    "AccessDenied": 403,
    "MissingAuthenticationToken": 403,
    "IncompleteSignature": 400,
    "SignatureDoesNotMatch": 403,
    "InvalidClientTokenId": 403,
    "ExpiredToken": 403,
    "InternalFailure": 500,
    "RequestEntityTooLarge": 413,
}


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What goes back to the client."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def error_response(error: AwsError, protocol: str, namespace: str, status: int | None, request_id: str) -> HttpResponse:
    """An error in a service's protocol. ``status``: of the service's model, else the common one.

    :param protocol: ``query``, ``rest-json``, or ``query-json`` for STS where JSON was asked for.
    """
    code = error.status or status or _STATUS.get(error.code, 400)
    if protocol == "rest-json":
        return _json(error, code, request_id)
    fault = "Receiver" if code >= 500 else "Sender"
    if protocol == "query-json":
        return _query_json(error, fault, code, request_id)
    xml = (
        f'<ErrorResponse xmlns="{namespace}">\n  <Error>\n    <Type>{fault}</Type>\n'
        f"    <Code>{escape(error.code)}</Code>\n    <Message>{escape(_clean(error.message))}</Message>\n  </Error>\n"
        f"  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n"
    )
    return HttpResponse(code, (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)), xml.encode())


def _query_json(error: AwsError, fault: str, code: int, request_id: str) -> HttpResponse:
    """STS's error for ``Accept: application/json``: what aws-iam-authenticator quotes in its log ("Body: {...}")."""
    body = {"Error": {"Code": error.code, "Message": error.message, "Type": fault}, "RequestId": request_id}
    headers = (("Content-Type", "application/json"), ("x-amzn-RequestId", request_id))
    return HttpResponse(code, headers, json.dumps(body).encode())


def _json(error: AwsError, code: int, request_id: str) -> HttpResponse:
    name = _JSON_NAMES.get(error.code, error.code)
    body = {"message": error.message, **error.members}
    headers = (
        ("Content-Type", "application/json"),
        ("x-amzn-ErrorType", name),
        ("x-amzn-RequestId", request_id),
    )
    return HttpResponse(code, headers, json.dumps({"__type": name, **body}).encode())


def _clean(text: str) -> str:
    """``text`` without the control characters that XML cannot hold."""
    return "".join(
        c if c in "\t\n\r" or " " <= c < "\ud800" or "\ue000" <= c < "\ufffe" or c > "\uffff" else "?" for c in text
    )
