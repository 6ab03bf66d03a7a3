"""Reading and writing resources for a caller: bodies, parameters, paging, and what goes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rolecall.lab.kubernetes import decoding, protobuf, writing
from rolecall.lab.kubernetes.authentication import Caller
from rolecall.lab.kubernetes.authorization import Authorization
from rolecall.lab.kubernetes.kinds import AUTHENTICATION, AUTHORIZATION, Resource
from rolecall.lab.kubernetes.lists import Lists
from rolecall.lab.kubernetes.operations import Operations
from rolecall.lab.kubernetes.requests import ApiRequest
from rolecall.lab.kubernetes.reviews import Reviews
from rolecall.lab.kubernetes.schemas import definitions
from rolecall.lab.kubernetes.service_account_tokens import ServiceAccountTokens
from rolecall.lab.kubernetes.status import (
    StatusError,
    bad_request,
    conflict,
    invalid_options,
    no_such_path,
    not_found,
    unsupported_media_type,
)
from rolecall.lab.kubernetes.store import ObjectStore
from rolecall.lab.kubernetes.writing import Write, manager_name

MAX_MANAGER = 128
_JSON, _YAML = "application/json", "application/yaml"
_PATCHES = (writing.APPLY, writing.JSON, writing.MERGE, writing.STRATEGIC)


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
        self._lists = Lists(store)

    def get(self, resource: Resource, asked: ApiRequest) -> Mapping[str, Any]:
        if asked.subresource not in ("", "status"):
            raise no_such_path()
        self._lists.check_version(resource, asked)
        return self._operations.get(resource, _namespace(resource, asked), asked.name)

    def list(self, resource: Resource, asked: ApiRequest) -> tuple[list[Any], dict[str, Any]]:
        """The objects of a list and the list's metadata."""
        return self._lists.read(resource, asked)

    async def write(
        self, resource: Resource, asked: ApiRequest, body: bytes, content_type: str, agent: str, caller: Caller
    ) -> Answer:
        """Carry out a create, update, patch or delete."""
        media_type = content_type.split(";")[0].strip().lower()
        if resource.group in (AUTHENTICATION, AUTHORIZATION):
            return await self._review(resource, asked, body, media_type, caller)
        if asked.subresource == "token":
            return self._token(resource, asked, body, media_type)
        write = self._write_options(asked, media_type, agent, caller)
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
            {
                "kind": f"{resource.kind}List",
                "apiVersion": resource.api_version,
                "metadata": metadata,
                "items": items_of(resource, found),
            },
        )

    async def _review(
        self, resource: Resource, asked: ApiRequest, body: bytes, media_type: str, caller: Caller
    ) -> Answer:
        found, doubles = _decoded(body, media_type, decoding.IGNORE)
        if not found.get("apiVersion") and not found.get("kind"):
            found |= {"apiVersion": resource.api_version, "kind": resource.kind}
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
        bound = (found.get("spec") or {}).get("boundObjectRef")
        return Answer(201, self._tokens.issue(account, found, self._bound(asked.namespace, bound)), is_review=True)

    def _bound(self, namespace: str, reference: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The object that a token is to live no longer than; only Secrets can be there in a cluster without pods."""
        if not reference:
            return None
        kind, name = reference.get("kind", ""), reference.get("name", "")
        if (reference.get("apiVersion"), kind) not in (("v1", "Secret"), ("v1", "Pod"), ("v1", "Node")):
            raise bad_request(f"cannot bind token for serviceaccount to object of type {kind[:100]!r}")
        found = self._store.get(("", "secrets"), namespace, name) if kind == "Secret" else None
        if found is None:
            raise not_found("", f"{kind.lower()}s", name)
        if reference.get("uid") not in (None, "", found["metadata"]["uid"]):
            why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record"
            raise conflict("", f"{kind.lower()}s", name, f"{why} ({found['metadata']['uid']})")
        return found

    def _write_options(self, asked: ApiRequest, media_type: str, agent: str, caller: Caller) -> Write:
        _check_options(asked, media_type)
        mode, dry_run = asked.parameters.get("fieldValidation") or decoding.WARN, asked.parameters.get("dryRun", "")
        return Write(
            manager_name(asked.parameters.get("fieldManager", ""), agent),
            dry_run == "All",
            self._authorization.admit(caller),
            mode,
            asked.subresource,
            asked.flag("force"),
        )


def _check_options(asked: ApiRequest, media_type: str) -> None:
    """Source: kubernetes ``staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/validation/validation.go``."""
    kinds = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
    kind, given = kinds.get(asked.verb, "DeleteOptions"), asked.parameters.get
    supported = {
        "dryRun": ("All",),
        "fieldValidation": (decoding.IGNORE, decoding.STRICT, decoding.WARN),
        "propagationPolicy": ("Foreground", "Background", "Orphan", "nil"),
    }
    for name, values in supported.items():
        if given(name) and given(name) not in values:
            listed = ", ".join(f'"{value}"' for value in values)
            why = f'Unsupported value: "{asked.parameters[name][:40]}": supported values: {listed}'
            raise invalid_options(kind, ("FieldValueNotSupported", name, why))
    manager = given("fieldManager", "")
    if len(manager) > MAX_MANAGER:
        why = f"Too long: may not be more than {MAX_MANAGER} bytes"
        raise invalid_options(kind, ("FieldValueTooLong", "fieldManager", why))
    if asked.verb == "patch" and media_type == writing.APPLY and not manager:
        raise invalid_options(
            kind, ("FieldValueRequired", "fieldManager", "Required value: is required for apply patch")
        )
    if asked.verb == "patch" and media_type != writing.APPLY and given("force"):
        raise invalid_options(
            kind, ("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch")
        )


def _namespace(resource: Resource, asked: ApiRequest) -> str:
    if not resource.namespaced:
        return ""
    if not asked.namespace:
        raise bad_request("an empty namespace may not be set when an object is written")
    return asked.namespace


def items_of(resource: Resource, found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Objects as items of their list, which says their type once; custom resources keep theirs."""
    if resource.is_custom:
        return list(found)
    return [{key: value for key, value in one.items() if key not in ("apiVersion", "kind")} for one in found]


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
    if found is None:
        found = {}
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
