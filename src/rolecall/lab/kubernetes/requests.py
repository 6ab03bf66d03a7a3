"""What a request is about: resource or path, verb, namespace, name; as the real server's RequestInfo.

Source: kubernetes ``staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from rolecall.lab.kubernetes.selectors import field_requirements
from rolecall.lab.kubernetes.status import bad_request, method_not_allowed, no_such_path

MAX_PARAMETERS = 100
_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NON_RESOURCE_VERBS = {"POST": "post", "GET": "get", "HEAD": "get", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request taken apart. Without a ``resource`` it is about ``path``.

    :param parameters: the query's, each given once.
    """

    method: str
    path: str
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_watch(self) -> bool:
        return self.verb == "watch"

    def flag(self, name: str) -> bool:
        """A boolean parameter; ``BadRequest`` for anything but true or false."""
        value = self.parameters.get(name, "")
        if value not in ("", "true", "false", "1", "0"):
            raise bad_request(f"invalid value for {name}: {value[:40]!r}")
        return value in ("true", "1")

    def number(self, name: str) -> int | None:
        """An integer parameter of at least 0, or ``None``."""
        value = self.parameters.get(name, "")
        if not value:
            return None
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            raise bad_request(f"invalid value for {name}: {value[:40]!r}")
        return int(value)


def parse_request(method: str, raw_path: str) -> ApiRequest:
    """Take a request apart; ``NotFound`` or ``BadRequest`` where its path or query is none."""
    if method not in _VERBS:
        raise method_not_allowed()
    encoded, _, query = raw_path.partition("?")
    parameters = _parameters(query)
    path = unquote(encoded)
    parts = [unquote(part) for part in encoded.strip("/").split("/")]
    if any("/" in part or "\0" in part for part in parts):
        raise no_such_path()
    if parts[0] == "api" and len(parts) > 2:
        return _resource(method, path, "", parts[1], parts[2:], parameters)
    if parts[0] == "apis" and len(parts) > 3:
        return _resource(method, path, parts[1], parts[2], parts[3:], parameters)
    return ApiRequest(method, path, _NON_RESOURCE_VERBS[method], parameters=parameters)


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict")
    except ValueError:
        raise bad_request("the query string cannot be read") from None
    found: dict[str, str] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _resource(
    method: str, path: str, group: str, version: str, parts: list[str], parameters: dict[str, str]
) -> ApiRequest:
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        # /namespaces/NAME/status is about the namespace itself, /namespaces/NAME/configmaps is not.
        if len(parts) > 2 and parts[2] not in ("status", "finalize"):
            parts = parts[2:]
    if len(parts) > 3 or not all(parts):
        raise no_such_path()
    resource, name, subresource = (*parts, "", "")[:3]
    verb = _VERBS[method]
    if verb == "get" and not name:
        verb = "watch" if parameters.get("watch") in ("true", "1") else "list"
        name = _selected_name(parameters)
    elif verb == "delete" and not name:
        verb = "deletecollection"
    elif verb == "create" and name and not subresource:
        raise method_not_allowed()
    return ApiRequest(method, path, verb, group, version, resource, subresource, namespace, name, parameters)


def _selected_name(parameters: Mapping[str, str]) -> str:
    """The one name that a list or watch is limited to, which RBAC's resourceNames may allow."""
    for path, value, wanted in field_requirements(parameters.get("fieldSelector", "")):
        if path == "metadata.name" and wanted:
            return value
    return ""
