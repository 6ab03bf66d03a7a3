"""What differs between access.yaml and what exists, in both directions, and what that does to access."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rolecall.access.effective import EffectiveAccess
from rolecall.access.effects import Effects, effects
from rolecall.drift.authors import Author
from rolecall.errors import RolecallError
from rolecall.manifest.names import Unresolved
from rolecall.moments import write_moment
from rolecall.plan.actual import Scope, mappings, scope_of
from rolecall.plan.plan import Planned
from rolecall.plan.render import counted, facts_of, headline, place_label, two_sides
from rolecall.plan.render_effects import effect_lines
from rolecall.plan.resources import MAPPING_KINDS, Change, ResourceId, Value
from rolecall.plan.simulate import with_changes
from rolecall.rbac.rules import MASTERS
from rolecall.visible import visible as shown


class Difference(StrEnum):
    """How something differs: only the file has it, only the account or cluster has it, or both have it differently."""

    MISSING = "missing"
    UNEXPECTED = "unexpected"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Drifted:
    """One thing that is not as the file says.

    :param change: from what it is now to what the file says.
    :param source: ``file:line:column`` of what says so, or empty.
    :param author: who changed it; a text if that is not known, with the reason.
    """

    change: Change
    source: str
    author: Author | str = ""

    @property
    def difference(self) -> Difference:
        if self.change.before is None:
            return Difference.MISSING
        return Difference.UNEXPECTED if self.change.after is None else Difference.DIFFERENT

    @property
    def now(self) -> list[str]:
        """What exists; of a mapping all of it, else what the file does not say."""
        return facts_of(self.change.resource.kind, self.change.before) if self._whole else two_sides(self.change)[0]

    @property
    def file(self) -> list[str]:
        """What the file says, likewise."""
        return facts_of(self.change.resource.kind, self.change.after) if self._whole else two_sides(self.change)[1]

    @property
    def _whole(self) -> bool:
        return self.change.resource.kind in MAPPING_KINDS

    def to_json(self) -> dict[str, Any]:
        resource, author = self.change.resource, self.author
        return {
            "difference": self.difference.value,
            "kind": resource.kind.value,
            "place": resource.place,
            "name": _name(resource, self.change.after or self.change.before or {}),
            "now": self.change.before,
            "file": self.change.after,
            "source": self.source or None,
            "changedBy": author.to_json() if isinstance(author, Author) else None,
            "changedByUnknown": author if isinstance(author, str) and author else None,
        }


def drift(planned: Planned) -> tuple[Drifted, ...]:
    """Every difference between a file and what exists, the gravest first; who changed it is not known yet."""
    loaded = planned.names.loaded
    sources = planned.want.sources
    found = (
        Drifted(change, str(loaded.place(*sources[change.resource])) if change.resource in sources else "")
        for change in planned.changes
    )
    return tuple(sorted(found, key=lambda one: (_gravity(one.change), one.change.resource)))


def _gravity(change: Change) -> int:
    """0: there is more than the file says, and it makes administrators; 1: there is more; 2: something is missing."""
    more, _ = two_sides(change)
    if not more:
        return 2
    return 0 if any(word in fact for fact in more for word in _OF_ADMINISTRATORS) else 1


_OF_ADMINISTRATORS = (MASTERS, "cluster-admin", "AmazonEKSClusterAdminPolicy")


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


def without_drift(planned: Planned) -> Effects | str:
    """Who has which access now that the file does not give, or the other way round; a text if that cannot be known."""
    now = EffectiveAccess(planned.world)
    try:
        as_the_file_says = EffectiveAccess(with_changes(planned.world, planned.changes), now)
    except RolecallError as error:
        return f"{error}"
    return effects(as_the_file_says, now)


def report_json(planned: Planned, found: Sequence[Drifted], effect: Effects | str) -> dict[str, Any]:
    """The report for programs, as ``rolecall schema Drift`` describes it."""
    world = planned.world
    return {
        "checkedAt": write_moment(world.read_at),
        "caller": world.caller or None,
        "files": [str(path) for path in planned.names.loaded.files],
        "drift": [one.to_json() for one in found],
        "effects": effect.to_json() if isinstance(effect, Effects) else None,
        "effectsUnknown": effect if isinstance(effect, str) else None,
        "unlisted": [
            {"kind": resource.kind.value, "place": resource.place, "name": _name(resource, value), "value": value}
            for resource, value in sorted(unlisted(planned).items())
        ],
        "unresolved": [
            {"name": one.name, "why": one.what, "source": _source(planned, one)} for one in planned.unresolved
        ],
        "notRead": [{"place": place, "why": why} for place, why in planned.unread.items()],
    }


def _name(resource: ResourceId, value: Value) -> str:
    """The name as AWS or the cluster writes it: aws-auth's keys are in lower case."""
    return str(value.get("arn") or resource.name)


def _source(planned: Planned, one: Unresolved) -> str:
    return str(planned.names.loaded.place(*one.path))


COLUMNS = ("difference", "place", "what", "now", "file", "changed by")


def report_rows(found: Sequence[Drifted]) -> list[tuple[str, ...]]:
    """The report as rows of :data:`COLUMNS`, the gravest first."""
    return [
        (
            one.difference.value,
            place_label(one.change.resource.place),
            headline(one.change),
            "; ".join(one.now),
            "; ".join(one.file),
            one.author.who if isinstance(one.author, Author) else "",
        )
        for one in found
    ]


def report_lines(planned: Planned, found: Sequence[Drifted], effect: Effects | str) -> Iterator[str]:
    """The report for people: what exists beside what the file says, the gravest first."""
    yield from _effect_lines(effect)
    by_place: dict[str, list[Drifted]] = {}
    for one in found:
        by_place.setdefault(one.change.resource.place, []).append(one)
    for place, those in by_place.items():
        yield place_label(place)
        for one in those:
            yield from _lines(one)
        yield ""
    yield from _unlisted_lines(unlisted(planned))
    for name in planned.unresolved:
        yield f"! {_source(planned, name)}: {shown(name.name)} cannot be compared: {shown(name.what)}"
    for why, places in by_cause(planned.unread).items():
        yield f"! not read: {', '.join(map(place_label, places))}: {shown(why)}"
    yield _summary(planned, found)


def by_cause(unread: Mapping[str, str]) -> dict[str, list[str]]:
    """Places by the reason why they could not be read: one cause is one message."""
    found: dict[str, list[str]] = {}
    for place, why in unread.items():
        found.setdefault(why, []).append(place)
    return found


def _effect_lines(effect: Effects | str) -> Iterator[str]:
    if isinstance(effect, str):
        yield from (f"! What this does to access is not known: {shown(effect)}", "")
        return
    lines = [*effect_lines(effect.to_json())]
    if lines:
        yield "Effect on access: what people have now, compared with the file"
        yield from (*lines[1:], "")


def _lines(one: Drifted) -> Iterator[str]:
    yield f"  ! {_WORDS[one.difference]}: {headline(one.change)}{f' ({one.source})' if one.source else ''}"
    sides = {"now": one.now, "file": one.file}
    for side, facts in sides.items():
        if facts or one.difference is Difference.DIFFERENT:
            first, *rest = facts or ["(nothing)"]
            yield f"      {side + ':':<6}{shown(first)}"
            yield from (f"            {shown(fact)}" for fact in rest)
    author = one.author
    if isinstance(author, Author):
        yield f"      changed by: {shown(author.who)} at {author.when}: {shown(author.how)}"
    elif author:
        yield f"      changed by: unknown ({shown(author)})"


_WORDS = {
    Difference.MISSING: "missing",
    Difference.UNEXPECTED: "not in the file",
    Difference.DIFFERENT: "different",
}


def _unlisted_lines(found: Mapping[ResourceId, Value]) -> Iterator[str]:
    if found:
        yield "Mappings of principals that the file does not name (left alone; `unlisted: remove` removes them)"
        for resource, value in sorted(found.items()):
            user = shown(str(value["username"]))
            yield f"    {place_label(resource.place)}: {shown(_name(resource, value))} has username {user}"
        yield ""


def _summary(planned: Planned, found: Sequence[Drifted]) -> str:
    counts = {kind: sum(one.difference is kind for one in found) for kind in Difference}
    words = ", ".join(f"{count} {_WORDS[kind]}" for kind, count in counts.items() if count)
    clusters = sum(
        arn in planned.world.clusters and arn not in planned.unread for arn in planned.names.clusters.values()
    )
    accounts = sum(account not in planned.unread for account in planned.world.accounts)
    where = f"{counted(accounts, 'account')}, {counted(clusters, 'cluster')}"
    not_compared = len(planned.unread) + len(planned.unresolved)
    rest = f" {counted(not_compared, 'thing')} could not be compared." if not_compared else ""
    if words:
        return f"Drift: {words}, in {where}.{rest}"
    return f"No drift found in {where}.{rest}" if rest else f"No drift, in {where}."
