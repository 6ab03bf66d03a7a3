"""Create, update, patch and delete, as the real server does them: defaults, validation, versions, owners, finalizers.

Everything here is synchronous, from reading the old object to committing the new one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rolecall.lab.kubernetes import apply, crds, decoding, patch, validation
from rolecall.lab.kubernetes.effects import Effects
from rolecall.lab.kubernetes.kinds import Kinds, Resource
from rolecall.lab.kubernetes.schemas import Schema, definitions
from rolecall.lab.kubernetes.status import (
    MODIFIED,
    StatusError,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from rolecall.lab.kubernetes.store import ObjectStore

Object = Mapping[str, Any]
Admit = Callable[[Resource, Object | None, Object], None]

MERGE, STRATEGIC, JSON, APPLY = (
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
)
PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public")
_NAMESPACES = ("", "namespaces")
_FIXED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


def _admit_all(resource: Resource, old: Object | None, new: Object) -> None:
    """For writes of the cluster itself."""


@dataclass(frozen=True, slots=True)
class Write:
    """How a write is to be done.

    :param manager: the field manager's name.
    :param dry_run: do everything but store it.
    :param admit: refuses what the caller may not write, such as a role beyond its own rights.
    :param mode: field validation: Strict, Warn or Ignore.
    :param warnings: what the client is to be warned of; filled while writing.
    """

    manager: str = "rolecall"
    dry_run: bool = False
    admit: Admit = _admit_all
    mode: str = decoding.STRICT
    subresource: str = ""
    force: bool = False
    warnings: list[str] = field(default_factory=list)


class Operations:
    """Writes to one cluster's objects."""

    def __init__(
        self,
        store: ObjectStore,
        kinds: Kinds,
        effects: Effects,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._effects = effects
        self._clock = clock
        self._new_id = new_id

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self._store.get(resource.key, namespace, name)
        if found is None:
            raise not_found(resource.group, resource.plural, name)
        return found

    def create(self, resource: Resource, namespace: str, found: Mapping[str, Any], write: Write) -> Object:
        """Create an object; the namespace of the request is the one that counts."""
        new = self._decoded(resource, found, write)
        metadata = self._own_metadata(resource, namespace, new)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName'][:58]}{self._new_id().replace('-', '')[:5]}"
        if metadata.get("resourceVersion") not in (None, "", "0"):
            raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
        if resource.namespaced:
            self._check_namespace(resource, namespace, metadata.get("name", ""))
        for fixed in (*_FIXED, "resourceVersion", "generation"):
            metadata.pop(fixed, None)
        metadata |= {"uid": self._new_id(), "creationTimestamp": self._now()}
        if resource.is_custom or resource.plural == "customresourcedefinitions":
            metadata["generation"] = 1
        new["metadata"] = metadata
        if "status" in resource.subresources and resource.plural != "namespaces":
            new.pop("status", None)
        new = self._prepared(resource, new, None)
        if self._store.get(resource.key, namespace, metadata["name"]) is not None:
            raise already_exists(resource.group, resource.plural, metadata["name"])
        write.admit(resource, None, new)
        if metadata.get("managedFields") is None:
            new = self._tracked(resource, None, new, write)
        return self._stored(resource, None, new, write)

    def update(self, resource: Resource, namespace: str, name: str, found: Mapping[str, Any], write: Write) -> Object:
        """Replace an object; the caller's resourceVersion, where given, must be the current one."""
        new = self._decoded(resource, found, write)
        metadata = self._own_metadata(resource, namespace, new)
        _check_name(metadata, name)
        new["metadata"] = metadata
        old = self.get(resource, namespace, name)
        if metadata.get("resourceVersion") in (None, "", "0") and not resource.is_updated_blindly:
            cause = (
                "FieldValueInvalid",
                "metadata.resourceVersion",
                "Invalid value: 0: must be specified for an update",
            )
            raise invalid(resource.group, resource.kind, name, [cause])
        return self._replace(resource, old, new, write)

    def patch(
        self, resource: Resource, namespace: str, name: str, media_type: str, body: bytes, write: Write
    ) -> tuple[Object, bool]:
        """Patch an object; what it is now, and whether server-side apply created it."""
        old = self._store.get(resource.key, namespace, name)
        if media_type == APPLY:
            return self._apply(resource, namespace, name, old, body, write), old is None
        if old is None:
            raise not_found(resource.group, resource.plural, name)
        content, doubles = decoding.load_json(body)
        if doubles and write.mode == decoding.STRICT:
            raise bad_request(f'strict decoding error: duplicate field "{doubles[0]}"')
        changed = self._patched(resource, old, media_type, content)
        if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
            raise bad_request("the patch leaves no object")
        try:
            new = self._decoded(resource, changed, write)
        except StatusError as error:
            # The real server says what is wrong with the object that the patch leads to, in these terms.
            cause = ("FieldValueInvalid", "patch", f"Invalid value: {error.message}")
            raise (invalid("", "", "", [cause]) if error.code == 400 else error) from None
        metadata = self._own_metadata(resource, namespace, new)
        _check_name(metadata, name)
        new["metadata"] = metadata
        return self._replace(resource, old, new, write), False

    def delete(self, resource: Resource, namespace: str, name: str, options: Mapping[str, Any], write: Write) -> Object:
        """Delete an object, or mark it where finalizers hold it; the last state of it."""
        old = self.get(resource, namespace, name)
        metadata = old["metadata"]
        wanted = options.get("preconditions") or {}
        for key, what in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            if wanted.get(key) and wanted[key] != metadata.get(key):
                why = f"Precondition failed: {what} in precondition: {wanted[key]}"
                why += f", {what} in object meta: {metadata.get(key)}"
                raise conflict(resource.group, resource.plural, name, why)
        if resource.key == _NAMESPACES and name in PROTECTED_NAMESPACES:
            raise forbidden(resource.group, resource.plural, name, "this namespace may not be deleted")
        if write.dry_run:
            return old
        with self._store.transaction():
            if metadata.get("finalizers"):
                if metadata.get("deletionTimestamp"):
                    return old
                marked = {**metadata, "deletionTimestamp": self._now(), "deletionGracePeriodSeconds": 0}
                return self._store.put(resource.key, {**old, "metadata": marked})
            return self._effects.remove(resource, old)

    def _apply(
        self, resource: Resource, namespace: str, name: str, old: Object | None, body: bytes, write: Write
    ) -> Object:
        config = decoding.load_yaml(body)
        if not isinstance(config, dict):
            raise bad_request("the body of an apply is an object")
        if not config.get("apiVersion") or not config.get("kind"):
            raise bad_request(f"invalid object type: {config.get('apiVersion') or '/'}, Kind={config.get('kind', '')}")
        config = self._decoded(resource, config, write)
        metadata = self._own_metadata(resource, namespace, config)
        if metadata.setdefault("name", name) != name:
            raise bad_request(f'name in URL does not match name in the object: "{name}" and "{metadata["name"]}"')
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        wanted_version = metadata.pop("resourceVersion", None)
        config["metadata"] = metadata
        manager = apply.Manager(write.manager, apply.APPLY, resource.api_version, write.subresource)
        schema = self.schema(resource)
        if old is None:
            new = apply.apply(None, config, schema, manager, force=write.force, time=self._now())
            return self.create(resource, namespace, new, write)
        if wanted_version and wanted_version != old["metadata"]["resourceVersion"]:
            raise conflict(resource.group, resource.plural, name, MODIFIED)
        new = apply.apply(old, config, schema, manager, force=write.force, time=self._now())
        return self._replace(resource, old, new, write, tracked=True)

    def _patched(self, resource: Resource, old: Object, media_type: str, content: Any) -> Any:
        if media_type == JSON:
            return patch.json_patch(dict(old), content)
        if not isinstance(content, dict):
            raise bad_request("the patch is not an object")
        if media_type == MERGE:
            return patch.merge_patch(old, content)
        if media_type == STRATEGIC and not resource.is_custom and resource.definition in definitions():
            return patch.strategic_patch(old, content, self.schema(resource))
        accepted = [JSON, MERGE, *([] if resource.is_custom else [STRATEGIC]), APPLY]
        raise StatusError(
            415,
            "UnsupportedMediaType",
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}",
        )

    def _replace(
        self, resource: Resource, old: Object, new: dict[str, Any], write: Write, *, tracked: bool = False
    ) -> Object:
        before, metadata = old["metadata"], new["metadata"]
        if metadata.get("resourceVersion") not in (None, "", "0", before["resourceVersion"]):
            raise conflict(resource.group, resource.plural, before["name"], MODIFIED)
        if metadata.get("uid") not in (None, "", before["uid"]):
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {before['uid']}"
            raise conflict(resource.group, resource.plural, before["name"], why)
        new = _kept_by_server(resource, old, new, write.subresource)
        new = self._prepared(resource, new, old)
        write.admit(resource, old, new)
        if not tracked:
            if "managedFields" not in new["metadata"] and before.get("managedFields"):
                new["metadata"]["managedFields"] = before["managedFields"]
            elif new["metadata"].get("managedFields") == []:
                # Kubernetes documentation, "Clearing managedFields": an empty list takes all owners away.
                new["metadata"].pop("managedFields")
            new = self._tracked(resource, old, new, write)
        if _same_but_times(old, new):
            return old
        if "generation" in before and _without(old, "metadata", "status") != _without(new, "metadata", "status"):
            new["metadata"]["generation"] = before["generation"] + 1
        return self._stored(resource, old, new, write)

    def _stored(self, resource: Resource, old: Object | None, new: dict[str, Any], write: Write) -> Object:
        if write.dry_run:
            return new
        with self._store.transaction():
            if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
                self._effects.remove(resource, old or new)
                return new
            return self._effects.written(resource, self._store.put(resource.key, new))

    def _decoded(self, resource: Resource, found: Mapping[str, Any], write: Write) -> dict[str, Any]:
        """The object with the fields of its schema alone, of the right kind."""
        if not isinstance(found.get("metadata", {}), Mapping):
            raise bad_request("metadata is not an object")
        if not resource.is_custom and not found.get("apiVersion") and not found.get("kind"):
            # The path says what it is; a real server asks for both in custom resources alone.
            found = {**_type_of(resource), **_without(found, "apiVersion", "kind")}
        if (found.get("apiVersion"), found.get("kind")) != (resource.api_version, resource.kind):
            raise bad_request(
                f"the API version and kind in the data ({found.get('apiVersion')}, {found.get('kind')}) do not match "
                f"the expected ones ({resource.api_version}, {resource.kind})"
            )
        is_custom = resource.is_custom
        checked, warnings = decoding.checked(found, self.schema(resource), write.mode, [], is_custom=is_custom)
        write.warnings.extend(warnings)
        checked["metadata"] = dict(checked.get("metadata") or {})
        return checked

    def _own_metadata(self, resource: Resource, namespace: str, found: Mapping[str, Any]) -> dict[str, Any]:
        metadata = dict(found.get("metadata") or {})
        if not resource.namespaced:
            metadata.pop("namespace", None)
        elif metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        return metadata

    def _prepared(self, resource: Resource, new: dict[str, Any], old: Object | None) -> dict[str, Any]:
        """Defaults filled in and everything validated."""
        if resource.schema is not None:
            new = decoding.with_defaults(new, resource.schema)
            causes = list(decoding.violations(_without(new, "metadata", "apiVersion", "kind"), resource.schema))
            if causes:
                raise validation.refusal(resource, new, causes)
        new = validation.with_defaults(resource, new)
        validation.validate(resource, new, old)
        if resource.plural == "customresourcedefinitions":
            causes = list(crds.problems(new, old))
            if causes:
                raise validation.refusal(resource, new, causes)
            new = crds.established(new, self._now(), old)
        return new

    def _tracked(self, resource: Resource, old: Object | None, new: dict[str, Any], write: Write) -> dict[str, Any]:
        manager = apply.Manager(write.manager, apply.UPDATE, resource.api_version, write.subresource)
        custom = resource.is_custom
        return apply.track_update(old, new, self.schema(resource), manager, self._now(), is_custom=custom)

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self._store.get(_NAMESPACES, "", namespace)
        if found is None:
            raise not_found("", "namespaces", namespace)
        if found["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(resource.group, resource.plural, name, why)

    def schema(self, resource: Resource) -> Schema:
        if resource.schema is not None:
            return resource.schema
        return definitions().get(resource.definition, {})

    def _now(self) -> str:
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _kept_by_server(resource: Resource, old: Object, new: Mapping[str, Any], subresource: str) -> dict[str, Any]:
    """``new`` with what a client cannot change: identity, and either the status or everything else."""
    before = old["metadata"]
    metadata = dict(new["metadata"])
    for fixed in (*_FIXED, "generation", "resourceVersion"):
        metadata.pop(fixed, None)
        if fixed in before:
            metadata[fixed] = before[fixed]
    found = {**new, "metadata": metadata}
    if "status" not in resource.subresources:
        return found
    if subresource == "status":
        return {
            **old,
            "status": new.get("status"),
            "metadata": {**before, "managedFields": metadata.get("managedFields")},
        }
    found.pop("status", None)
    return {**found, **({"status": old["status"]} if "status" in old else {})}


def _check_name(metadata: Mapping[str, Any], name: str) -> None:
    if not metadata.get("name"):
        raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if metadata["name"] != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")


def _same_but_times(old: Object, new: Object) -> bool:
    def plain(found: Object) -> Any:
        metadata = dict(found["metadata"])
        entries = [
            {k: v for k, v in entry.items() if k != "time"} for entry in metadata.pop("managedFields", None) or ()
        ]
        return {**found, "metadata": metadata}, entries

    return bool(plain(old) == plain(new))


def _type_of(resource: Resource) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def _without(found: Object, *names: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in names}


def manager_name(given: str, user_agent: str) -> str:
    """The field manager of a request: as given, else the beginning of the user agent, as the real server does."""
    name = given or user_agent.split("/")[0]
    return re.sub(r"[^\x20-\x7e]", "", name)[:128] or "unknown"
