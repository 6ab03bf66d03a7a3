"""What a write makes of an object before it is stored: decoded, defaulted, validated, patched, its fields owned.

All of it is plain data in and plain data out; the store is asked by ``operations`` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rolecall.lab.kubernetes import apply, crds, decoding, patch, validation
from rolecall.lab.kubernetes.kinds import Resource
from rolecall.lab.kubernetes.schemas import Schema, definitions
from rolecall.lab.kubernetes.status import MODIFIED, StatusError, bad_request, conflict, invalid

Object = Mapping[str, Any]
Admit = Callable[[Resource, Object | None, Object], None]

MERGE, STRATEGIC, JSON, APPLY = (
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
)
NO_VERSION = ("FieldValueInvalid", "metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
FIXED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


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


def schema_of(resource: Resource) -> Schema:
    """The schema of a resource's objects; an empty one if it has none."""
    if resource.schema is not None:
        return resource.schema
    return definitions().get(resource.definition, {})


def decoded(resource: Resource, found: Mapping[str, Any], write: Write) -> dict[str, Any]:
    """The object with the fields of its schema alone, of the right kind."""
    if not isinstance(found.get("metadata", {}), Mapping):
        raise bad_request("metadata is not an object")
    if not resource.is_custom and not found.get("apiVersion") and not found.get("kind"):
        # The path says what it is; a real server asks for both in custom resources alone.
        found = {**type_of(resource), **without(found, "apiVersion", "kind")}
    if (found.get("apiVersion"), found.get("kind")) != (resource.api_version, resource.kind):
        raise bad_request(
            f"the API version and kind in the data ({found.get('apiVersion')}, {found.get('kind')}) do not match "
            f"the expected ones ({resource.api_version}, {resource.kind})"
        )
    is_custom = resource.is_custom
    checked, warnings = decoding.checked(found, schema_of(resource), write.mode, [], is_custom=is_custom)
    write.warnings.extend(warnings)
    checked["metadata"] = dict(checked.get("metadata") or {})
    return checked


def own_metadata(resource: Resource, namespace: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The object's metadata, in the namespace of the request."""
    metadata = dict(found.get("metadata") or {})
    if not resource.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    return metadata


def prepared(resource: Resource, new: dict[str, Any], old: Object | None, now: str) -> dict[str, Any]:
    """Defaults filled in and everything validated."""
    if resource.schema is not None:
        new = decoding.with_defaults(new, resource.schema)
        causes = list(decoding.violations(without(new, "metadata", "apiVersion", "kind"), resource.schema))
        if causes:
            raise validation.refusal(resource, new, causes)
    new = validation.with_defaults(resource, new)
    validation.validate(resource, new, old)
    if resource.plural == "customresourcedefinitions":
        causes = list(crds.problems(new, old))
        if causes:
            raise validation.refusal(resource, new, causes)
        new = crds.established(new, now, old)
    return new


def tracked(resource: Resource, old: Object | None, new: dict[str, Any], write: Write, now: str) -> dict[str, Any]:
    """The object with the fields that the write's manager owns now."""
    manager = apply.Manager(write.manager, apply.UPDATE, resource.api_version, write.subresource)
    custom = resource.is_custom
    return apply.track_update(old, new, schema_of(resource), manager, now, is_custom=custom)


def patched(resource: Resource, old: Object, media_type: str, content: Any) -> Any:
    """The object that a patch of some media type leads to."""
    if media_type == JSON:
        return patch.json_patch(dict(old), content)
    if not isinstance(content, dict):
        raise bad_request("the patch is not an object")
    if media_type == MERGE:
        return patch.merge_patch(old, content)
    if media_type == STRATEGIC and not resource.is_custom and resource.definition in definitions():
        return patch.strategic_patch(old, content, schema_of(resource))
    accepted = [JSON, MERGE, *([] if resource.is_custom else [STRATEGIC]), APPLY]
    raise StatusError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}",
    )


def kept_by_server(resource: Resource, old: Object, new: Mapping[str, Any], subresource: str) -> dict[str, Any]:
    """``new`` with what a client cannot change: identity, and either the status or everything else."""
    before = old["metadata"]
    metadata = dict(new["metadata"])
    for fixed in (*FIXED, "generation", "resourceVersion"):
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


def check_name(metadata: Mapping[str, Any], name: str) -> None:
    """``BadRequest`` if the object has no name, or another one than the path."""
    if not metadata.get("name"):
        raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if metadata["name"] != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")


def same_but_times(old: Object, new: Object) -> bool:
    """Whether two objects differ in the times of their managed fields alone."""

    def plain(found: Object) -> Any:
        metadata = dict(found["metadata"])
        entries = [
            {k: v for k, v in entry.items() if k != "time"} for entry in metadata.pop("managedFields", None) or ()
        ]
        return {**found, "metadata": metadata}, entries

    return bool(plain(old) == plain(new))


def type_of(resource: Resource) -> dict[str, Any]:
    """The members that say what an object is."""
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def without(found: Object, *names: str) -> dict[str, Any]:
    """An object without some of its members."""
    return {key: value for key, value in found.items() if key not in names}


def manager_name(given: str, user_agent: str) -> str:
    """The field manager of a request: as given, else the beginning of the user agent, as the real server does."""
    name = given or user_agent.split("/")[0]
    return re.sub(r"[^\x20-\x7e]", "", name)[:128] or "unknown"


def check_preconditions(resource: Resource, metadata: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """``Conflict`` if an object is not the one that a delete is for."""
    for key, what in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        if wanted.get(key) and wanted[key] != metadata.get(key):
            why = f"Precondition failed: {what} in precondition: {wanted[key]}"
            why += f", {what} in object meta: {metadata.get(key)}"
            raise conflict(resource.group, resource.plural, metadata["name"], why)


def check_identity(resource: Resource, before: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """``Conflict`` if an update is of another version, or of another object, than the stored one."""
    if metadata.get("resourceVersion") not in (None, "", "0", before["resourceVersion"]):
        raise conflict(resource.group, resource.plural, before["name"], MODIFIED)
    if metadata.get("uid") not in (None, "", before["uid"]):
        why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {before['uid']}"
        raise conflict(resource.group, resource.plural, before["name"], why)


def apply_config(
    resource: Resource, namespace: str, name: str, body: bytes, write: Write
) -> tuple[dict[str, Any], str | None]:
    """The configuration in the body of a server-side apply, and the resourceVersion that it asks for."""
    config = decoding.load_yaml(body)
    if not isinstance(config, dict):
        raise bad_request("the body of an apply is an object")
    if not config.get("apiVersion") or not config.get("kind"):
        raise bad_request(f"invalid object type: {config.get('apiVersion') or '/'}, Kind={config.get('kind', '')}")
    config = decoded(resource, config, write)
    metadata = own_metadata(resource, namespace, config)
    if metadata.setdefault("name", name) != name:
        raise bad_request(f'name in URL does not match name in the object: "{name}" and "{metadata["name"]}"')
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    wanted_version = metadata.pop("resourceVersion", None)
    config["metadata"] = metadata
    return config, wanted_version


def decoded_patch(resource: Resource, changed: Any, write: Write) -> dict[str, Any]:
    """The object that a patch leads to, decoded; ``Invalid`` if it is not one that the resource can have."""
    if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
        raise bad_request("the patch leaves no object")
    try:
        return decoded(resource, changed, write)
    except StatusError as error:
        # The real server says what is wrong with the object that the patch leads to, in these terms.
        cause = ("FieldValueInvalid", "patch", f"Invalid value: {error.message}")
        raise (invalid("", "", "", [cause]) if error.code == 400 else error) from None
