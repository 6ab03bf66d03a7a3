"""The API of one cluster over HTTPS: who is it, may they, then what was asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse

from rolecall.authenticator.review import StsThrottledError, StsUnavailableError
from rolecall.lab.http_server import read_body
from rolecall.lab.kubernetes import watch
from rolecall.lab.kubernetes.authentication import Authenticator, Caller, impersonated
from rolecall.lab.kubernetes.authorization import Authorization, attributes, refusal
from rolecall.lab.kubernetes.kinds import Kinds, Resource
from rolecall.lab.kubernetes.negotiation import Form, negotiate, wants_yaml
from rolecall.lab.kubernetes.paths import Paths
from rolecall.lab.kubernetes.requests import ApiRequest, parse_request
from rolecall.lab.kubernetes.resources import Answer, Resources, items_of
from rolecall.lab.kubernetes.selectors import field_selector, label_selector
from rolecall.lab.kubernetes.status import StatusError, invalid_options, method_not_allowed, no_such_path, too_large
from rolecall.lab.kubernetes.store import ObjectStore
from rolecall.lab.kubernetes.tables import table

log = logging.getLogger(__name__)

# kube-apiserver takes objects of up to 3 MiB and refuses longer bodies.
MAX_BODY = 3 * 1024 * 1024
_PLURAL_OF_WRITES = ("create", "update", "patch", "delete", "deletecollection")


class KubernetesApi:
    """Answers the requests to one cluster."""

    def __init__(
        self,
        name: str,
        store: ObjectStore,
        kinds: Kinds,
        authenticator: Authenticator,
        authorization: Authorization,
        resources: Resources,
        paths: Paths,
        clock: Callable[[], datetime],
    ) -> None:
        self._name = name
        self._store = store
        self._kinds = kinds
        self._authenticator = authenticator
        self._authorization = authorization
        self._resources = resources
        self._paths = paths
        self._clock = clock

    async def handle(self, request: BaseRequest) -> StreamResponse:
        """The answer to a request; every refusal is a ``Status``."""
        caller: Caller | None = None
        try:
            asked = parse_request(request.method, request.raw_path)
            caller = await self._authenticator.caller(request.headers.getall("Authorization", []))
            caller = impersonated(caller, list(request.headers.items()), self._authorization.allows)
            question = attributes(asked, caller.user)
            if not self._authorization.allows(question, caller):
                raise refusal(question)
            if not asked.resource:
                return self._paths.answer(asked, request.headers.get("Accept", ""))
            response = await self._answer(request, asked, caller)
        except StatusError as error:
            response = status_response(error)
        except StsThrottledError as error:
            response = status_response(StatusError(429, "TooManyRequests", error.what))
        except StsUnavailableError as error:
            response = status_response(StatusError(503, "ServiceUnavailable", error.what))
        if isinstance(response, Response) and wants_yaml(request.headers.get("Accept", "")):
            response = _as_yaml(response)
        if request.method != "GET" or response.status in (401, 403):
            who = caller.user.username if caller else "nobody"
            path = request.raw_path.partition("?")[0]
            log.info("cluster %s: %s %s by %r: %d", self._name, request.method, path, who, response.status)
        return response

    async def _answer(self, request: BaseRequest, asked: ApiRequest, caller: Caller) -> StreamResponse:
        resource = self._kinds.find(asked.group, asked.version, asked.resource)
        if resource is None:
            raise no_such_path()
        _check_verb(resource, asked)
        form = negotiate(request.headers.get("Accept", ""))
        if asked.is_watch:
            return await self._watch(request, resource, asked, form)
        if asked.verb == "list":
            return self._json(self._list(resource, asked, form))
        if asked.verb == "get":
            found = self._resources.get(resource, asked)
            return self._json(self._shown(found, resource, asked, form))
        if (request.content_length or 0) > MAX_BODY:
            raise too_large(MAX_BODY)
        body = await read_body(request, MAX_BODY) if request.body_exists else b""
        answer = await self._resources.write(
            resource,
            asked,
            body,
            request.headers.get("Content-Type", "application/json"),
            request.headers.get("User-Agent", ""),
            caller,
        )
        return self._written(answer, resource, asked, form)

    def _written(self, answer: Answer, resource: Resource, asked: ApiRequest, form: Form) -> Response:
        found = answer.body
        if form is not Form.OBJECT and found.get("kind") == resource.kind and not answer.is_review:
            found = self._shown(found, resource, asked, form)
        response = self._json(found, answer.status)
        for warning in answer.warnings:
            quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{quoted}"')
        return response

    def _list(self, resource: Resource, asked: ApiRequest, form: Form) -> Mapping[str, Any]:
        items, metadata = self._resources.list(resource, asked)
        if form is Form.TABLE:
            include = asked.parameters.get("includeObject", "Metadata")
            return table(resource, items, metadata, include, self._clock())
        if form is Form.METADATA:
            items = [_partial(one) for one in items]
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        else:
            kind, version = f"{resource.kind}List", resource.api_version
            items = items_of(resource, items)
        return {"kind": kind, "apiVersion": version, "metadata": metadata, "items": items}

    def _shown(self, found: Mapping[str, Any], resource: Resource, asked: ApiRequest, form: Form) -> Mapping[str, Any]:
        if form is Form.TABLE:
            metadata = {"resourceVersion": found["metadata"].get("resourceVersion", "")}
            include = asked.parameters.get("includeObject", "Metadata")
            return table(resource, [found], metadata, include, self._clock())
        return _partial(found) if form is Form.METADATA else found

    async def _watch(self, request: BaseRequest, resource: Resource, asked: ApiRequest, form: Form) -> StreamResponse:
        labels = label_selector(asked.parameters.get("labelSelector", ""))
        fields = field_selector(asked.parameters.get("fieldSelector", ""), resource)

        def selects(found: Mapping[str, Any]) -> bool:
            return (labels is None or labels(found)) and (fields is None or fields(found))

        watched = watch.Watched(resource, asked.namespace, selects)
        changes = watch.events(self._store, watched, asked, lambda found: self._shown(found, resource, asked, form))
        _check_list_options(asked)
        asked.number("timeoutSeconds")
        asked.number("resourceVersion")
        response = StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async for event in changes:
                await response.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
            await response.write_eof()
        except ConnectionError:
            # The watcher went away, as watchers do.
            log.debug("cluster %s: a watch of %s ended", self._name, resource.plural)
        finally:
            await changes.aclose()  # type: ignore[attr-defined]
        return response

    def _json(self, found: Mapping[str, Any], status: int = 200) -> Response:
        return json_response(found, status)


def json_response(found: Mapping[str, Any], status: int = 200) -> Response:
    """An answer in JSON."""
    body = json.dumps(found, separators=(",", ":")).encode() + b"\n"
    return Response(body=body, status=status, headers={"Content-Type": "application/json"})


def status_response(error: StatusError) -> Response:
    """A refusal."""
    return json_response(error.to_status(), error.code)


def _as_yaml(response: Response) -> Response:
    from rolecall.local_files.yaml_dump import dump_yaml

    if response.content_type != "application/json" or not isinstance(response.body, bytes):
        return response
    text = dump_yaml(json.loads(response.body))
    headers = [(name, value) for name, value in response.headers.items() if name == "Warning"]
    return Response(
        body=text.encode(), status=response.status, headers=[*headers, ("Content-Type", "application/yaml")]
    )


def error_page(status: int, what: str) -> Response:
    """A refusal of HTTP itself, as a ``Status``."""
    reasons = {400: "BadRequest", 408: "Timeout", 413: "RequestEntityTooLarge", 500: "InternalError"}
    return status_response(StatusError(status, reasons.get(status, "Unknown"), what))


def _partial(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": found["metadata"]}


def _check_list_options(asked: ApiRequest) -> None:
    if asked.flag("sendInitialEvents") and asked.parameters.get("resourceVersionMatch") != "NotOlderThan":
        why = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise invalid_options("ListOptions", ("FieldValueForbidden", "resourceVersionMatch", why))


def _check_verb(resource: Resource, asked: ApiRequest) -> None:
    if asked.method == "HEAD" or (asked.verb in ("update", "patch") and not asked.name):
        raise method_not_allowed()
    if asked.subresource:
        if asked.subresource not in resource.subresources:
            raise no_such_path()
        return
    if asked.verb not in resource.verbs:
        if asked.verb in _PLURAL_OF_WRITES and "list" in resource.verbs and not resource.is_stored:
            why = f"{resource.plural} cannot be written: a cluster of the lab runs no workloads"
            raise StatusError(405, "MethodNotAllowed", why, {"group": resource.group, "kind": resource.plural})
        raise method_not_allowed()
    if resource.namespaced and not asked.namespace and asked.verb not in ("list", "watch", "create"):
        raise no_such_path()
    if not resource.namespaced and asked.namespace and resource.plural != "namespaces":
        raise no_such_path()
