"""The services of the endpoint as botocore's models describe them: operations, shapes, errors, paging."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

SERVICES = ("iam", "sts", "eks")


@dataclass(frozen=True, slots=True)
class Paging:
    """How a list operation is cut into pages (botocore's ``paginators-1``)."""

    input_token: str
    output_token: str
    limit: str
    result_keys: tuple[str, ...]
    more: str


@dataclass(frozen=True, slots=True)
class Route:
    """An operation of a rest-json service: method and path with labels."""

    method: str
    pattern: re.Pattern[bytes]
    labels: tuple[str, ...]
    operation: OperationModel


class Service:
    """One service's model, indexed for requests."""

    def __init__(self, name: str, loader: Loader) -> None:
        self.name = name
        self.model = ServiceModel(loader.load_service_model(name, "service-2"), service_name=name)
        self.protocol: str = self.model.metadata["protocol"]
        self.namespace: str = self.model.metadata.get("xmlNamespace", "")
        self.api_version: str = self.model.api_version
        self.operations = frozenset(self.model.operation_names)
        self._paging = _paging(loader, name)
        self._errors = _error_statuses(self.model)
        self._operations: dict[str, OperationModel] = {}
        self._routes: list[Route] | None = None

    def operation(self, name: str) -> OperationModel:
        found = self._operations.get(name)
        if found is None:
            found = self._operations[name] = self.model.operation_model(name)
        return found

    def paging(self, operation: str) -> Paging | None:
        return self._paging.get(operation)

    def error_status(self, code: str) -> int | None:
        """The HTTP status of an error code that the model knows."""
        return self._errors.get(code)

    def route(self, method: str, path: bytes) -> tuple[OperationModel, dict[str, bytes]] | None:
        """The operation at a raw path, with its labels still percent-encoded."""
        if self._routes is None:
            self._routes = [_route(self.operation(name)) for name in sorted(self.operations)]
        for route in self._routes:
            if route.method == method and (found := route.pattern.fullmatch(path)):
                return route.operation, dict(zip(route.labels, found.groups(), strict=True))
        return None


@cache
def service(name: str) -> Service:
    """A service by its signing name; loaded at its first use."""
    return Service(name, _loader())


@cache
def _loader() -> Loader:
    # The files that come with botocore and nothing from a person's ~/.aws/models.
    return Loader(include_default_search_paths=True)


def _paging(loader: Loader, name: str) -> dict[str, Paging]:
    if name == "sts":
        return {}
    found: dict[str, Any] = loader.load_service_model(name, "paginators-1")["pagination"]
    return {
        operation: Paging(
            page["input_token"],
            page["output_token"],
            page["limit_key"],
            tuple(keys) if isinstance(keys := page["result_key"], list) else (keys,),
            page.get("more_results", ""),
        )
        for operation, page in found.items()
    }


def _error_statuses(model: ServiceModel) -> dict[str, int]:
    found = {}
    for shape in model.error_shapes:
        error = shape.metadata.get("error", {})
        status = error.get("httpStatusCode", 500 if shape.metadata.get("fault") else 400)
        found[shape.name] = found[error.get("code", shape.name)] = status
    return found


def _route(operation: OperationModel) -> Route:
    labels = []

    def label(found: re.Match[str]) -> str:
        name, greedy = found[1].rstrip("+"), found[1].endswith("+")
        labels.append(name)
        return "(.+)" if greedy else "([^/]+)"

    uri = operation.http["requestUri"].split("?")[0]
    pattern = "".join(
        label(part) if (part := re.fullmatch(r"\{([^}]+)\}", piece)) else re.escape(piece)
        for piece in re.split(r"(\{[^}]+\})", uri)
    )
    return Route(operation.http["method"], re.compile(pattern.encode()), tuple(labels), operation)
