"""Where the world is not as the file says, both ways, and what is there besides that the file does not speak about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rolecall.drift.authors import Author
from rolecall.moments import write_moment
from rolecall.plan.actual import Scope, mappings, scope_of
from rolecall.plan.plan import Planned
from rolecall.plan.render import change_lines, counted, place_label
from rolecall.plan.resources import Change, ResourceId, Value
from rolecall.visible import visible as shown

FORMAT = 1


class Difference(StrEnum):
    """How something differs: the file has it and the world not, the other way round, or both have it otherwise."""

    MISSING = "missing"
    UNEXPECTED = "unexpected"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Drifted:
    """One thing that is not as the file says.

    :param change: from what it is to what the file says.
    :param source: ``file:line:column`` of what says so, or empty.
    :param author: who made it so; a text where nobody can say, with the reason.
    """

    change: Change
    source: str
    author: Author | str = ""

    @property
    def difference(self) -> Difference:
        if self.change.before is None:
            return Difference.MISSING
        return Difference.UNEXPECTED if self.change.after is None else Difference.DIFFERENT

    def to_json(self) -> dict[str, Any]:
        resource, author = self.change.resource, self.author
        return {
            "difference": self.difference.value,
            "kind": resource.kind.value,
            "place": resource.place,
            "name": resource.name,
            "world": self.change.before,
            "file": self.change.after,
            "source": self.source or None,
            "author": author.to_json() if isinstance(author, Author) else None,
            "authorUnknown": author if isinstance(author, str) and author else None,
        }


def drift(planned: Planned) -> tuple[Drifted, ...]:
    """Every difference between a file and its world, nobody named yet."""
    loaded = planned.names.loaded
    sources = planned.want.sources
    return tuple(
        Drifted(change, str(loaded.place(*sources[change.resource])) if change.resource in sources else "")
        for change in planned.changes
    )


def unlisted(planned: Planned) -> dict[ResourceId, Value]:
    """Mappings of principals that the file does not name, on clusters where it leaves those alone."""
    scope: Scope = scope_of(planned.names)
    found: dict[ResourceId, Value] = {}
    for arn in scope.clusters:
        state = planned.world.clusters.get(arn)
        if state is not None and arn not in scope.whole_clusters and arn not in planned.unread:
            named = mappings(state, scope, everybody=False)
            found |= {r: v for r, v in mappings(state, scope, everybody=True).items() if r not in named}
    return found


def report_json(planned: Planned, found: tuple[Drifted, ...]) -> dict[str, Any]:
    """The report for programs."""
    world = planned.world
    return {
        "format": FORMAT,
        "checkedAt": write_moment(world.read_at),
        "caller": world.caller,
        "files": [str(path) for path in planned.names.loaded.files],
        "drift": [one.to_json() for one in found],
        "unlisted": [
            {"kind": resource.kind.value, "place": resource.place, "name": resource.name, "value": value}
            for resource, value in sorted(unlisted(planned).items())
        ],
        "unread": dict(planned.unread),
    }


def report_lines(planned: Planned, found: tuple[Drifted, ...]) -> Iterator[str]:
    """The report for people. Inside a difference ``-`` is what is, and ``+`` what the file says."""
    by_place: dict[str, list[Drifted]] = {}
    for one in found:
        by_place.setdefault(one.change.resource.place, []).append(one)
    for place, those in sorted(by_place.items(), key=lambda item: (item[0].startswith("arn:"), item[0])):
        yield place_label(place)
        for one in those:
            yield from _lines(one)
        yield ""
    yield from _unlisted_lines(unlisted(planned))
    for place, why in planned.unread.items():
        yield f"! not looked at: {place_label(place)}: {shown(why)}"
    yield _summary(planned, found)


def _lines(one: Drifted) -> Iterator[str]:
    first, *rest = change_lines(one.change)
    yield f"  ! {one.difference.value}:{first[3:]}{f' ({one.source})' if one.source else ''}"
    yield from rest
    author = one.author
    if isinstance(author, Author):
        yield f"      by {shown(author.who)} at {author.when}: {shown(author.how)}"
    elif author:
        yield f"      by whom is not known: {shown(author)}"


def _unlisted_lines(found: Mapping[ResourceId, Value]) -> Iterator[str]:
    if found:
        yield "Besides, of principals that the file does not name (left alone; `unlisted: remove` takes them away)"
        for resource, value in sorted(found.items()):
            name = str(value.get("arn") or resource.name)
            yield f"    {place_label(resource.place)}: {shown(name)} is {shown(value['username'])}"
        yield ""


def _summary(planned: Planned, found: tuple[Drifted, ...]) -> str:
    counts = {kind: sum(one.difference is kind for one in found) for kind in Difference}
    words = ", ".join(f"{count} {kind.value}" for kind, count in counts.items() if count)
    clusters = sum(
        arn in planned.world.clusters and arn not in planned.unread for arn in planned.names.clusters.values()
    )
    where = f"{counted(len(planned.world.accounts), 'account')}, {counted(clusters, 'cluster')}"
    return f"{f'Drift: {words}' if found else 'No drift'}, in {where}."
