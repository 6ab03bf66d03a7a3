"""What form the answer is to have, from ``Accept``: an object, a table, or metadata alone; in JSON or YAML."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rolecall.lab.kubernetes.status import StatusError

MAX_ACCEPT = 2_048
_YAML = "application/yaml"


class Form(Enum):
    """The form of an answer."""

    OBJECT = "object"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"
    DISCOVERY = "APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class _Range:
    type: str
    parameters: dict[str, str]


def negotiate(accept: str) -> Form:
    """The first form that the client names and the server has; 406 if there is none."""
    if not accept:
        return Form.OBJECT
    for wanted in _ranges(accept[:MAX_ACCEPT]):
        if wanted.type not in ("application/json", _YAML, "*/*", "application/*"):
            continue
        target = wanted.parameters.get("as", "")
        version, group = wanted.parameters.get("v", ""), wanted.parameters.get("g", "")
        if not target:
            return Form.OBJECT
        if target == "Table" and (group, version) == ("meta.k8s.io", "v1"):
            return Form.TABLE
        if target.startswith("PartialObjectMetadata") and (group, version) == ("meta.k8s.io", "v1"):
            return Form.METADATA
        # v2beta1 is another document: an old kubectl that gets v2 for it silently sees no resources.
        if target == "APIGroupDiscoveryList" and (group, version) == ("apidiscovery.k8s.io", "v2"):
            return Form.DISCOVERY
    raise StatusError(
        406, "NotAcceptable", "only the following media types are accepted: application/json, application/yaml"
    )


def wants_yaml(accept: str) -> bool:
    """Whether the client would have YAML rather than JSON."""
    known = [one.type for one in _ranges(accept[:MAX_ACCEPT]) if one.type in ("application/json", _YAML, "*/*")]
    return known[:1] == [_YAML]


def _ranges(accept: str) -> list[_Range]:
    found = []
    for part in accept.split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        pairs = (piece.partition("=") for piece in parameters)
        found.append(_Range(media_type.lower(), {key.strip(): value.strip() for key, _, value in pairs}))
    return found
