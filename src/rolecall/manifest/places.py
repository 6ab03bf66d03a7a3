"""A principal may be mapped in several places of one cluster, of which the cluster reads one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rolecall.manifest.links import mapped_principal
from rolecall.manifest.resources import MAPPING_KINDS, Change, Kind, ResourceId, Value

# Which one it reads: access entries before aws-auth, in it roles before users (:mod:`rolecall.mapping.resolve`); of
# several IAMIdentityMappings the first that is found, which are listed by name.
_FIRST_READ = (Kind.ACCESS_ENTRY, Kind.AWS_AUTH_ROLE, Kind.AWS_AUTH_USER, Kind.IDENTITY_MAPPING)
_Principal = tuple[str, str]


@dataclass(slots=True)
class Places:
    """The mappings of each principal on each cluster, as they are and as they shall be."""

    _before: dict[_Principal, set[ResourceId]] = field(default_factory=dict)
    _after: dict[_Principal, set[ResourceId]] = field(default_factory=dict)

    @classmethod
    def of(cls, changes: Iterable[Change], actual: Mapping[ResourceId, Value]) -> Places:
        """``actual``: every mapping as it is, changed or not."""
        found = cls()
        before, after = dict(actual), dict(actual)
        for change in changes:
            for state, value in ((before, change.before), (after, change.after)):
                if value is None:
                    state.pop(change.resource, None)
                else:
                    state[change.resource] = value
        for state, known in ((before, found._before), (after, found._after)):
            for resource, value in state.items():
                if resource.kind in MAPPING_KINDS:
                    known.setdefault((resource.place, mapped_principal(resource, value)), set()).add(resource)
        return found

    def mapped_before(self, change: Change) -> bool:
        """Whether the principal of a mapping is mapped on its cluster already, there or elsewhere."""
        return bool(self._before.get(principal_on(change)))

    def mapped_after(self, change: Change) -> bool:
        """Whether the principal of a mapping stays mapped on its cluster, there or elsewhere."""
        return bool(self._after.get(principal_on(change)))


def principal_on(change: Change) -> _Principal:
    """The cluster of a mapping, and the principal that it is of."""
    return change.resource.place, mapped_principal(change.resource, change.after or change.before)


def reading_order(resource: ResourceId) -> tuple[int, str]:
    """Where a mapping stands among those of its principal: the least is the one that the cluster reads."""
    return _FIRST_READ.index(resource.kind), resource.name
