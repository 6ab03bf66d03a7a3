"""Create, update, patch and delete, as the real server does them: defaults, validation, versions, owners, finalizers.

Everything here is synchronous, from reading the old object to committing the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rolecall.lab.kubernetes import apply, decoding
from rolecall.lab.kubernetes.effects import Effects
from rolecall.lab.kubernetes.kinds import Kinds, Resource
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
from rolecall.lab.kubernetes.writing import (
    APPLY,
    FIXED,
    NO_VERSION,
    Object,
    Write,
    apply_config,
    check_identity,
    check_name,
    check_preconditions,
    decoded,
    decoded_patch,
    kept_by_server,
    own_metadata,
    patched,
    prepared,
    same_but_times,
    schema_of,
    tracked,
    without,
)

PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public")
_NAMESPACES = ("", "namespaces")


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
        new = decoded(resource, found, write)
        metadata = own_metadata(resource, namespace, new)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName'][:58]}{self._new_id().replace('-', '')[:5]}"
        if metadata.get("resourceVersion") not in (None, "", "0"):
            raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
        if resource.namespaced:
            self._check_namespace(resource, namespace, metadata.get("name", ""))
        for fixed in (*FIXED, "resourceVersion", "generation"):
            metadata.pop(fixed, None)
        metadata |= {"uid": self._new_id(), "creationTimestamp": self._now()}
        if resource.is_custom or resource.plural == "customresourcedefinitions":
            metadata["generation"] = 1
        new["metadata"] = metadata
        if "status" in resource.subresources and resource.plural != "namespaces":
            new.pop("status", None)
        new = prepared(resource, new, None, self._now())
        if self._store.get(resource.key, namespace, metadata["name"]) is not None:
            raise already_exists(resource.group, resource.plural, metadata["name"])
        write.admit(resource, None, new)
        if metadata.get("managedFields") is None:
            new = tracked(resource, None, new, write, self._now())
        return self._stored(resource, None, new, write)

    def update(self, resource: Resource, namespace: str, name: str, found: Mapping[str, Any], write: Write) -> Object:
        """Replace an object; the caller's resourceVersion, where given, must be the current one."""
        new = decoded(resource, found, write)
        metadata = own_metadata(resource, namespace, new)
        check_name(metadata, name)
        new["metadata"] = metadata
        old = self.get(resource, namespace, name)
        if metadata.get("resourceVersion") in (None, "", "0") and not resource.is_updated_blindly:
            raise invalid(resource.group, resource.kind, name, [NO_VERSION])
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
        changed = patched(resource, old, media_type, content)
        new = decoded_patch(resource, changed, write)
        new["metadata"] = metadata = own_metadata(resource, namespace, new)
        check_name(metadata, name)
        return self._replace(resource, old, new, write), False

    def delete(self, resource: Resource, namespace: str, name: str, options: Mapping[str, Any], write: Write) -> Object:
        """Delete an object, or mark it if finalizers hold it; its last state."""
        old = self.get(resource, namespace, name)
        metadata = old["metadata"]
        check_preconditions(resource, metadata, options.get("preconditions") or {})
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
        config, wanted_version = apply_config(resource, namespace, name, body, write)
        manager = apply.Manager(write.manager, apply.APPLY, resource.api_version, write.subresource)
        schema = schema_of(resource)
        if old is None:
            new = apply.apply(None, config, schema, manager, force=write.force, time=self._now())
            return self.create(resource, namespace, new, write)
        if wanted_version and wanted_version != old["metadata"]["resourceVersion"]:
            raise conflict(resource.group, resource.plural, name, MODIFIED)
        new = apply.apply(old, config, schema, manager, force=write.force, time=self._now())
        return self._replace(resource, old, new, write, applied=True)

    def _replace(
        self, resource: Resource, old: Object, new: dict[str, Any], write: Write, *, applied: bool = False
    ) -> Object:
        before, metadata = old["metadata"], new["metadata"]
        check_identity(resource, before, metadata)
        new = kept_by_server(resource, old, new, write.subresource)
        new = prepared(resource, new, old, self._now())
        write.admit(resource, old, new)
        if not applied:
            if "managedFields" not in new["metadata"] and before.get("managedFields"):
                new["metadata"]["managedFields"] = before["managedFields"]
            elif new["metadata"].get("managedFields") == []:
                # Kubernetes documentation, "Clearing managedFields": an empty list takes all owners away.
                new["metadata"].pop("managedFields")
            new = tracked(resource, old, new, write, self._now())
        if same_but_times(old, new):
            return old
        if "generation" in before and without(old, "metadata", "status") != without(new, "metadata", "status"):
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

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self._store.get(_NAMESPACES, "", namespace)
        if found is None:
            raise not_found("", "namespaces", namespace)
        if found["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(resource.group, resource.plural, name, why)

    def _now(self) -> str:
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
