"""Lists of one resource: selected, in pages, at a version that the history still knows."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from rolecall.lab.kubernetes.kinds import Resource
from rolecall.lab.kubernetes.requests import ApiRequest
from rolecall.lab.kubernetes.selectors import field_selector, label_selector
from rolecall.lab.kubernetes.status import bad_request, expired, invalid_options, version_too_large
from rolecall.lab.kubernetes.store import ObjectStore

MAX_LIMIT = 10_000


class Lists:
    """Reads lists from a cluster's store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read(self, resource: Resource, asked: ApiRequest) -> tuple[list[Any], dict[str, Any]]:
        """The objects of a list and the list's metadata."""
        labels = label_selector(asked.parameters.get("labelSelector", ""))
        fields = field_selector(asked.parameters.get("fieldSelector", ""), resource)
        self.check_version(resource, asked)
        found = [
            one
            for one in self._store.listed(resource.key, asked.namespace)
            if (labels is None or labels(one)) and (fields is None or fields(one))
        ]
        limit = min(asked.number("limit") or MAX_LIMIT, MAX_LIMIT)
        version, after = self._continued(resource, asked)
        if after is not None:
            found = [one for one in found if place(one) > after]
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if len(found) > limit:
            last = place(found[limit - 1])
            metadata["continue"] = base64.urlsafe_b64encode(json.dumps([version, *last]).encode()).decode()
            if labels is None and fields is None:
                metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        return found, metadata

    def _continued(self, resource: Resource, asked: ApiRequest) -> tuple[int, tuple[str, str] | None]:
        """The version of the list's beginning and the place after which it goes on.

        A page shows what is there now. Who watches from the list's version afterwards hears of every change since, so
        that version must still be in the history.
        """
        token = asked.parameters.get("continue", "")
        if not token:
            return self._store.version, None
        if asked.parameters.get("resourceVersion", "") not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        try:
            version, namespace, name = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
            begun, after = int(version), (str(namespace), str(name))
        except (binascii.Error, ValueError, TypeError):
            raise bad_request("invalid continue token: continue key is not valid") from None
        if self._store.since(begun, resource.key) is None:
            raise expired("The provided continue parameter is too old to display a consistent list result")
        return begun, after

    def check_version(self, resource: Resource, asked: ApiRequest) -> None:
        """Source: Kubernetes documentation, "Kubernetes API Concepts", semantics for get and list."""
        wanted, match = asked.number("resourceVersion"), asked.parameters.get("resourceVersionMatch", "")
        if match and wanted is None:
            why = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            raise invalid_options("ListOptions", ("FieldValueForbidden", "resourceVersionMatch", why))
        if match not in ("", "Exact", "NotOlderThan"):
            why = f'Unsupported value: "{match[:40]}": supported values: "Exact", "NotOlderThan"'
            raise invalid_options("ListOptions", ("FieldValueNotSupported", "resourceVersionMatch", why))
        if (wanted or 0) > self._store.version:
            raise version_too_large(wanted or 0, self._store.version)
        if match == "Exact" and self._store.since(wanted or 0, resource.key) != []:
            raise expired(f"The resourceVersion for the provided list is too old: {wanted}")


def place(found: Mapping[str, Any]) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]
