"""Refusals of the Kubernetes API: ``metav1.Status`` with the reasons and sentences of the real server.

Source: kubernetes ``staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class StatusError(Exception):
    """An answer that is a refusal.

    :param details: ``StatusDetails``: name, group, kind, causes.
    """

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        self.details = None if details is None else dict(details)
        super().__init__(message)

    def to_status(self) -> dict[str, Any]:
        """The ``Status`` object."""
        found: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            **({"reason": self.reason} if self.reason else {}),
            "code": self.code,
        }
        if self.details is not None:
            found["details"] = self.details
        return found


def _qualified(group: str, resource: str) -> str:
    return f"{resource}.{group}" if group else resource


def _about(group: str, resource: str, name: str) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", resource)) if value}


def not_found(group: str, resource: str, name: str) -> StatusError:
    return StatusError(
        404, "NotFound", f'{_qualified(group, resource)} "{name}" not found', _about(group, resource, name)
    )


def no_such_path() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, resource: str, name: str) -> StatusError:
    message = f'{_qualified(group, resource)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _about(group, resource, name))


def conflict(group: str, resource: str, name: str, why: str) -> StatusError:
    message = f'Operation cannot be fulfilled on {_qualified(group, resource)} "{name}": {why}'
    return StatusError(409, "Conflict", message, _about(group, resource, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(group: str, kind: str, name: str, causes: Sequence[tuple[str, str, str]]) -> StatusError:
    """``causes``: reason such as ``FieldValueInvalid``, field path, and sentence."""
    sentences = [f"{field}: {text}" for _, field, text in causes]
    listed = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
    details = _about(group, kind, name)
    details["causes"] = [{"reason": reason, "message": text, "field": field} for reason, field, text in causes]
    return StatusError(422, "Invalid", f'{_qualified(group, kind)} "{name}" is invalid: {listed}', details)


def invalid_options(kind: str, cause: tuple[str, str, str]) -> StatusError:
    """Parameters of a request that cannot be; ``kind`` such as ``PatchOptions``."""
    return invalid("meta.k8s.io", kind, "", [cause])


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def forbidden(group: str, resource: str, name: str, why: str) -> StatusError:
    subject = f'{_qualified(group, resource)} "{name}"' if name else _qualified(group, resource)
    return StatusError(403, "Forbidden", f"{subject} is forbidden: {why}", _about(group, resource, name))


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> StatusError:
    why = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", why, {})


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def version_too_large(asked: int, current: int) -> StatusError:
    """A version that the cluster has not come to yet; a real server waits a moment for it and gives up."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return StatusError(504, "Timeout", f"Too large resource version: {asked}, current: {current}", details)


def unsupported_media_type(media_type: str, accepted: str) -> StatusError:
    return StatusError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        + (f" (got {media_type[:80]})" if media_type else ""),
    )


def too_large(limit: int) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")
