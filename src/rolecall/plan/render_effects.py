"""What a plan does to access, in words: who gains, loses or gets a different username or groups, and by which way.

Every name is shown: a reviewer reads here who gets in.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rolecall.arn import Arn
from rolecall.iam.policy_model import Doubt
from rolecall.visible import visible as shown

_IN_A_LINE = 4
_WIDTH = 112


def effect_lines(effects: Mapping[str, Any]) -> Iterator[str]:
    """The effects of a plan, given as :meth:`rolecall.access.effects.Effects.to_json` gives them.

    The same change for the same people on several clusters is shown once.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for sign, key in (("+", "gains"), ("-", "losses"), ("~", "changes")):
        for change in effects.get(key, ()):
            found.setdefault(tuple(_change(sign, change)), []).append(_cluster(change["cluster"]))
    locked_out, perhaps = effects.get("lockedOut", ()), effects.get("perhapsLockedOut", ())
    if not (found or locked_out or perhaps or effects.get("canTakeMore")):
        return
    yield "Effect on access"
    for (first, end, *rest), clusters in found.items():
        noun = "cluster" if len(clusters) == 1 else f"{len(clusters)} clusters:"
        yield f"{first} {noun} {', '.join(clusters)}{end}"
        yield from rest
    for one in locked_out:
        clusters = [_cluster(arn) for arn in one["clusters"]]
        yield f"  ! {shown(one['person'])} would have no way left into {', '.join(clusters)}"
    for one in perhaps:
        yield f"  ! {shown(one['person'])} may have no way left into {_cluster(one['cluster'])}"
        yield from _doubts(one)
    for one in effects.get("canTakeMore", ()):
        may = "lets it" if one["certain"] else "may let it"
        yield f"  ! {shown(one['principal'])} can take more than it is granted"
        yield f"      {shown(one['policy'])} {may} {shown(', '.join(one['actions']))}"


_VERBS = {"+": ("gains", "gain"), "-": ("loses", "lose")}


def _change(sign: str, change: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one change; the first two are what stands before and after the clusters."""
    people: Sequence[str] = change["people"]
    before, after = change["before"], change["after"]
    few = len(people) <= _IN_A_LINE
    who = shown(_and(people)) if few else f"{len(people)} people"
    if sign != "~":
        yield f"  {sign} {who} {_VERBS[sign][len(people) > 1]}"
        yield ""
    elif _identity(before) == _identity(after):
        yield f"  ~ {who} {'has' if len(people) == 1 else 'have'} the same username and groups on"
        yield "; permissions or the way change"
    else:
        yield f"  ~ {who} {'gets' if len(people) == 1 else 'get'} a different username or groups on"
        yield ""
    if not few:
        yield from textwrap.wrap(shown(", ".join(people)), _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6,
                                 break_long_words=False, break_on_hyphens=False)  # fmt: skip
    seat = after or before
    perhaps = "" if seat.get("certain", True) else " (perhaps)"
    yield f"      {_way(change['principal'], seat)}{perhaps}"
    yield from _doubts(seat)
    if sign == "~":
        yield from _difference(before, after)
    else:
        yield f"      {'as' if sign == '+' else 'was'} {_identity(seat)}"
        has = "with" if sign == "+" else "had"
        none = "no permissions: no binding and no access policy gives any"
        yield from (f"      {has} {shown(text)}" for text in _permissions(seat) or [none])


def _way(principal: str, seat: Mapping[str, Any]) -> str:
    way = " then ".join(seat["roles"])
    brought = ["MFA" if need == "aws:MultiFactorAuthPresent true" else need for need in seat["needs"]]
    needs = f" (with {', '.join(brought)})" if brought else ""
    alone = "as the role itself" if ":role/" in principal else "as themselves"
    return shown(f"through {way}{needs}" if way else f"{alone}, {principal}")


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


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = _identity(before), _identity(after)
    if old != new:
        yield f"      was {old}"
        yield f"      now {new}"
    if (before["roles"], before["needs"]) != (after["roles"], after["needs"]):
        yield f"      was {_way('', before)}"
    had, has = _permissions(before), _permissions(after)
    if not had and has:
        yield "      had no permissions before"
    yield from (f"      loses {shown(text)}" for text in had if text not in has)
    yield from (f"      gets {shown(text)}" for text in has if text not in had)
    if had and not has:
        yield "      has no permissions any more"


def _identity(seat: Mapping[str, Any]) -> str:
    return f"{shown(quoted(seat['username']))}{_groups(seat['groups'])}"


def _groups(groups: Sequence[str]) -> str:
    noun = "group" if len(groups) == 1 else "groups"
    return shown(f" in {noun} {', '.join(quoted(one) for one in groups)}") if groups else " in no group"


def quoted(name: str) -> str:
    """A name as it is, or in quotes if it could be taken for another one, or for two: ``"a, b"``, ``"admins "``."""
    return f'"{name}"' if name != name.strip() or not name or ", " in name or '"' in name else name


def _permissions(seat: Mapping[str, Any]) -> list[str]:
    return [f"{one['text']} ({one['by']})" for one in seat["permissions"]]


def _cluster(arn: str) -> str:
    return shown(Arn.parse(arn).resource.partition("/")[2])


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
