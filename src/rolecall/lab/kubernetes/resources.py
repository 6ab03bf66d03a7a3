"""Reading and writing resources for a caller: bodies, parameters, paging, and what goes back."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.lab.kubernetes import decoding, operations, protobuf
from rolecall.lab.kubernetes.authentication import Caller
from rolecall.lab.kubernetes.authorization import Authorization
from rolecall.lab.kubernetes.kinds import AUTHENTICATION, AUTHORIZATION, Resource
from rolecall.lab.kubernetes.operations import Operations, Write, manager_name
from rolecall.lab.kubernetes.requests import ApiRequest
from rolecall.lab.kubernetes.reviews import Reviews
from rolecall.lab.kubernetes.schemas import definitions
from rolecall.lab.kubernetes.selectors import field_selector, label_selector
from rolecall.lab.kubernetes.service_account_tokens import ServiceAccountTokens
from rolecall.lab.kubernetes.status import StatusError, bad_request, expired, no_such_path, unsupported_media_type
from rolecall.lab.kubernetes.store import ObjectStore

MAX_LIMIT = 10_000
_JSON, _YAML = "application/json", "application/yaml"
_PATCHES = (operations.APPLY, operations.JSON, operations.MERGE, operations.STRATEGIC)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write answers with."""

    status: int
    body: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    is_review: bool = False


class Resources:
    """The resources of one cluster."""

    def __init__(
        self,
        store: ObjectStore,
        writes: Operations,
        reviews: Reviews,
        tokens: ServiceAccountTokens,
        authorization: Authorization,
    ) -> None:
        self._store = store
        self._operations = writes
        self._reviews = reviews
        self._tokens = tokens
        self._authorization = authorization

    def get(self, resource: Resource, asked: ApiRequest) -> Mapping[str, Any]:
        if asked.subresource not in ("", "status"):
            raise no_such_path()
        return self._operations.get(resource, _namespace(resource, asked), asked.name)

    def list(self, resource: Resource, asked: ApiRequest) -> tuple[list[Any], dict[str, Any]]:
        """The objects of a list and the list's metadata."""
        labels = label_selector(asked.parameters.get("labelSelector", ""))
        fields = field_selector(asked.parameters.get("fieldSelector", ""), resource.namespaced, resource.kind)
        found = [
            one
            for one in self._store.listed(resource.key, asked.namespace)
            if (labels is None or labels(one)) and (fields is None or fields(one))
        ]
        limit = min(asked.number("limit") or MAX_LIMIT, MAX_LIMIT)
        version, after = self._continued(asked.parameters.get("continue", ""))
        if after is not None:
            found = [one for one in found if _place(one) > after]
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if len(found) > limit:
            last = _place(found[limit - 1])
            metadata["continue"] = base64.urlsafe_b64encode(json.dumps([version, *last]).encode()).decode()
            metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        return found, metadata

    async def write(
        self, resource: Resource, asked: ApiRequest, body: bytes, content_type: str, agent: str, caller: Caller
    ) -> Answer:
        """Carry out a create, update, patch or delete."""
        media_type = content_type.split(";")[0].strip().lower()
        if resource.group in (AUTHENTICATION, AUTHORIZATION):
            return await self._review(resource, asked, body, media_type, caller)
        if asked.subresource == "token":
            return self._token(resource, asked, body, media_type)
        write = self._write_options(asked, agent, caller)
        namespace = _namespace(resource, asked)
        match asked.verb:
            case "create":
                if asked.subresource:
                    raise no_such_path()
                found, warnings = _decoded(body, media_type, write.mode)
                created = self._operations.create(resource, namespace, found, write)
                return Answer(201, created, (*warnings, *write.warnings))
            case "update":
                found, warnings = _decoded(body, media_type, write.mode)
                updated = self._operations.update(resource, namespace, asked.name, found, write)
                return Answer(200, updated, (*warnings, *write.warnings))
            case "patch":
                if media_type not in _PATCHES:
                    raise unsupported_media_type(media_type, ", ".join(_PATCHES))
                patched, is_new = self._operations.patch(resource, namespace, asked.name, media_type, body, write)
                return Answer(201 if is_new else 200, patched, tuple(write.warnings))
            case "delete":
                return self._delete(resource, asked, namespace, _options(body, media_type), write)
        return self._delete_all(resource, asked, namespace, _options(body, media_type), write)

    def _delete(
        self, resource: Resource, asked: ApiRequest, namespace: str, options: Mapping[str, Any], write: Write
    ) -> Answer:
        gone = self._operations.delete(resource, namespace, asked.name, options, _dry(write, options))
        metadata = gone["metadata"]
        if metadata.get("deletionTimestamp") or resource.plural == "namespaces":
            return Answer(200, gone)
        details = {"name": metadata["name"], "kind": resource.plural, "uid": metadata["uid"]}
        if resource.group:
            details["group"] = resource.group
        return Answer(
            200,
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details},
        )

    def _delete_all(
        self, resource: Resource, asked: ApiRequest, namespace: str, options: Mapping[str, Any], write: Write
    ) -> Answer:
        found, metadata = self.list(resource, asked)
        for one in found:
            where = one["metadata"].get("namespace", "")
            self._operations.delete(resource, where, one["metadata"]["name"], {}, _dry(write, options))
        return Answer(
            200,
            {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata, "items": found},
        )

    async def _review(
        self, resource: Resource, asked: ApiRequest, body: bytes, media_type: str, caller: Caller
    ) -> Answer:
        found, doubles = _decoded(body, media_type, decoding.IGNORE)
        if (found.get("apiVersion"), found.get("kind")) != (resource.api_version, resource.kind):
            raise bad_request(f"this is not a {resource.kind} of {resource.api_version}")
        found, _ = decoding.checked(found, definitions()[resource.definition], decoding.IGNORE, list(doubles))
        answer = await self._reviews.answer(resource, asked.namespace, found, caller)
        return Answer(201, answer, is_review=True)

    def _token(self, resource: Resource, asked: ApiRequest, body: bytes, media_type: str) -> Answer:
        found, _ = _decoded(body, media_type, decoding.IGNORE)
        if found.get("kind") != "TokenRequest":
            raise bad_request("this is not a TokenRequest")
        found, _ = decoding.checked(found, definitions()["authentication.v1.TokenRequest"], decoding.IGNORE, [])
        account = self._operations.get(resource, asked.namespace, asked.name)
        return Answer(201, self._tokens.issue(account, found), is_review=True)

    def _write_options(self, asked: ApiRequest, agent: str, caller: Caller) -> Write:
        mode = asked.parameters.get("fieldValidation") or decoding.WARN
        if mode not in (decoding.STRICT, decoding.WARN, decoding.IGNORE):
            raise bad_request(f"fieldValidation has no value {mode[:40]!r}: it is Strict, Warn or Ignore")
        dry_run = asked.parameters.get("dryRun", "")
        if dry_run not in ("", "All"):
            raise bad_request(f"dryRun has no value {dry_run[:40]!r}: it is All")
        return Write(
            manager_name(asked.parameters.get("fieldManager", ""), agent),
            dry_run == "All",
            self._authorization.admit(caller),
            mode,
            asked.subresource,
            asked.flag("force"),
        )

    def _continued(self, token: str) -> tuple[int, tuple[str, str] | None]:
        if not token:
            return self._store.version, None
        try:
            version, namespace, name = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
            return int(version), (str(namespace), str(name))
        except (binascii.Error, ValueError, TypeError):
            raise expired("The provided continue parameter is not valid: start the list again") from None


def _namespace(resource: Resource, asked: ApiRequest) -> str:
    if not resource.namespaced:
        return ""
    if not asked.namespace:
        raise bad_request("an empty namespace may not be set when an object is written")
    return asked.namespace


def _place(found: Mapping[str, Any]) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]


def _decoded(body: bytes, media_type: str, mode: str) -> tuple[dict[str, Any], list[str]]:
    doubles: list[str] = []
    if media_type == protobuf.MEDIA_TYPE:
        found: Any = protobuf.decode(body)
    elif media_type in (_JSON, ""):
        found, doubles = decoding.load_json(body)
    elif media_type == _YAML:
        found = decoding.load_yaml(body)
    else:
        raise unsupported_media_type(media_type, f"{_JSON}, {_YAML}, {protobuf.MEDIA_TYPE}")
    if not isinstance(found, dict):
        raise bad_request("the body is not an object")
    problems = [f'duplicate field "{key}"' for key in doubles]
    if problems and mode == decoding.STRICT:
        raise bad_request("strict decoding error: " + ", ".join(problems[:10]))
    return found, problems if mode == decoding.WARN else []


def _options(body: bytes, media_type: str) -> Mapping[str, Any]:
    """``DeleteOptions``, in the body of a delete."""
    if not body:
        return {}
    found, _ = _decoded(body, media_type, decoding.IGNORE)
    if found.get("kind", "DeleteOptions") != "DeleteOptions":
        raise StatusError(400, "BadRequest", "the body of a delete is a DeleteOptions")
    found, _ = decoding.checked(
        {key: value for key, value in found.items() if key not in ("kind", "apiVersion")},
        definitions()["meta.v1.DeleteOptions"],
        decoding.IGNORE,
        [],
    )
    return found


def _dry(write: Write, options: Mapping[str, Any]) -> Write:
    if write.dry_run or not options.get("dryRun"):
        return write
    return Write(write.manager, True, write.admit, write.mode)
