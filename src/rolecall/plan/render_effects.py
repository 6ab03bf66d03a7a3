"""What a plan does to access, in words: who gains, loses or becomes somebody else, and by which way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rolecall.arn import Arn
from rolecall.iam.policy_model import Doubt
from rolecall.visible import visible as shown

_SHOWN_NAMES, _SHOWN_CLUSTERS = 4, 6


def effect_lines(effects: Mapping[str, Any]) -> Iterator[str]:
    """The effects of a plan, given as :meth:`rolecall.access.effects.Effects.to_json` gives them.

    The same change for the same people on several clusters is told once.
    """
    told: dict[str, list[str]] = {}
    for sign, key in (("+", "gains"), ("-", "losses"), ("~", "changes")):
        for change in effects.get(key, ()):
            told.setdefault("\n".join(_change(sign, change)), []).append(_cluster(change["cluster"]))
    locked_out = effects.get("lockedOut", ())
    perhaps = effects.get("perhapsLockedOut", ())
    if not (told or locked_out or perhaps):
        return
    yield "Effect on access"
    for text, clusters in told.items():
        first, *rest = text.split("\n")
        noun = "cluster" if len(clusters) == 1 else f"{len(clusters)} clusters:"
        yield f"{first} {noun} {_some(clusters, _SHOWN_CLUSTERS)}"
        yield from rest
    for one in locked_out:
        clusters = [_cluster(arn) for arn in one["clusters"]]
        yield f"  ! {shown(one['person'])} would have no way left into {_some(clusters, _SHOWN_CLUSTERS)}"
    for one in perhaps:
        yield f"  ! {shown(one['person'])} may have no way left into {_cluster(one['cluster'])}"
        yield from _doubts(one)


def _doubts(found: Mapping[str, Any]) -> Iterator[str]:
    """What was not understood or not read, as :meth:`rolecall.iam.policy_model.Doubt.to_json` gives it."""
    for one in found.get("doubts", ()):
        doubt = Doubt(
            one.get("policy", ""),
            one.get("statement", ""),
            str(one.get("effect", "")).capitalize(),
            one.get("why", ""),
            account=one.get("account", ""),
        )
        yield f"      not certain: {shown(str(doubt))}"


_VERBS = {"+": ("gains", "gain"), "-": ("loses", "lose"), "~": ("is another on", "are others on")}
_SAME_USER = ("keeps their name and groups on", "keep their name and groups on")


def _change(sign: str, change: Mapping[str, Any]) -> Iterator[str]:
    people = change["people"]
    before, after = change["before"], change["after"]
    same = sign == "~" and _identity(before) == _identity(after)
    verb = (_SAME_USER if same else _VERBS[sign])[len(people) > 1]
    yield f"  {sign} {shown(_some(people, _SHOWN_NAMES))} {verb}"
    seat = after or before
    perhaps = "" if seat.get("certain", True) else " (perhaps)"
    yield f"      {_way(change['principal'], seat)}{perhaps}"
    yield from _doubts(seat)
    if sign == "~":
        yield from _difference(before, after)
    else:
        yield f"      {'as' if sign == '+' else 'until now as'} {_identity(seat)}"
        yield from (f"      with {shown(text)}" for text in _permissions(seat))


def _way(principal: str, seat: Mapping[str, Any]) -> str:
    way = " then ".join(seat["roles"])
    brought = ["MFA" if need == "aws:MultiFactorAuthPresent true" else need for need in seat["needs"]]
    needs = f" (with {', '.join(brought)})" if brought else ""
    alone = "as the role itself" if ":role/" in principal else "as themselves"
    return shown(f"through {way}{needs}" if way else f"{alone}, {principal}")


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = _identity(before), _identity(after)
    if old != new:
        yield f"      was {old}"
        yield f"      now {new}"
    if (before["roles"], before["needs"]) != (after["roles"], after["needs"]):
        yield f"      was {_way('', before)}"
    had, has = _permissions(before), _permissions(after)
    yield from (f"      no longer with {shown(text)}" for text in had if text not in has)
    yield from (f"      now with {shown(text)}" for text in has if text not in had)


def _identity(seat: Mapping[str, Any]) -> str:
    return f"{shown(seat['username'])}{_groups(seat['groups'])}"


def _groups(groups: Sequence[str]) -> str:
    return shown(f" in {', '.join(groups)}") if groups else " in no group"


def _permissions(seat: Mapping[str, Any]) -> list[str]:
    found = [f"{one['text']} ({one['by']})" for one in seat["permissions"]]
    return found or ["no permission: no binding and no policy gives any"]


def _cluster(arn: str) -> str:
    return shown(Arn.parse(arn).resource.partition("/")[2])


def _some(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
