"""Texts that match some patterns and not others: one for each way in which a set of patterns can divide all texts.

Whether a caller can choose a name that one policy asks for (``ops-*``) and another does not forbid (``*-prod``) is
answered by trying, and trying is only as good as the texts that are tried. The patterns are run beside each other as
automata over the letters that occur in them and two more, so that for each combination of patterns that some text
matches, the shortest such text is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rolecall.iam.matching import matcher

# States of all patterns together that are looked at; some texts more than that are not found, which is said.
MAX_STATES = 2_000
_State = tuple[frozenset[int], ...]


def witnesses(
    patterns: Iterable[str], *, letters: str, least: int = 0, prefix: str = ""
) -> tuple[tuple[str, ...], bool]:
    """One text for each combination of patterns that a text can match, and whether none was left out.

    :param patterns: with ``*`` and ``?``.
    :param letters: that a text may have; two of those that no pattern has stand for all others.
    :param least: the least length of what follows the prefix.
    :param prefix: with which each text begins.
    """
    return _witnesses(tuple(dict.fromkeys(patterns)), letters, least, prefix)


# The same few patterns are asked about for each of thousands of callers.
@lru_cache(maxsize=4_096)
def _witnesses(patterns: tuple[str, ...], letters: str, least: int, prefix: str) -> tuple[tuple[str, ...], bool]:
    named = set("".join(patterns)) - {"*", "?"}
    others = [letter for letter in letters if letter not in named][:2]
    alphabet = [*others, *sorted(named.intersection(letters))]
    start: _State = tuple(_past_stars({0}, pattern) for pattern in patterns)
    for letter in prefix:
        start = _next(start, patterns, letter)
    found: dict[tuple[tuple[bool, ...], bool], str] = {}
    seen = {(start, 0, False)}
    front = [(start, "", False)]
    while front:
        following = []
        for state, text, other in front:
            if len(text) >= least:
                found.setdefault((_matched(state, patterns), other), prefix + text)
            for letter in alphabet:
                reached = _next(state, patterns, letter)
                strange = other or letter in others
                key = (reached, min(len(text) + 1, least), strange)
                if key not in seen:
                    if len(seen) >= MAX_STATES:
                        return tuple(dict.fromkeys(found.values())), False
                    seen.add(key)
                    following.append((reached, text + letter, strange))
        front = following
    return tuple(dict.fromkeys(found.values())), bool(others)


def _matched(state: _State, patterns: tuple[str, ...]) -> tuple[bool, ...]:
    return tuple(len(pattern) in places for places, pattern in zip(state, patterns, strict=True))


def _next(state: _State, patterns: tuple[str, ...], letter: str) -> _State:
    following = []
    for places, pattern in zip(state, patterns, strict=True):
        reached = set()
        for place in places:
            if place < len(pattern):
                if pattern[place] == "*":
                    reached.add(place)
                elif pattern[place] in ("?", letter):
                    reached.add(place + 1)
        following.append(_past_stars(reached, pattern))
    return tuple(following)


def _past_stars(places: set[int], pattern: str) -> frozenset[int]:
    found = set(places)
    for place in places:
        while place < len(pattern) and pattern[place] == "*":
            place += 1
            found.add(place)
    return frozenset(found)


def parts_between(text: str, before: str, after: str, most: int) -> tuple[list[str], bool]:
    """What of ``text`` can stand between two patterns that match its beginning and its end, and whether that is all.

    :param most: how many are given; the longest and the shortest come first.
    """
    starts = [at for at in range(len(text) + 1) if _fits(before, text[:at])]
    ends = [at for at in range(len(text) + 1) if _fits(after, text[at:])]
    found = {text[start:end] for start in starts for end in ends if start <= end}
    ordered = sorted(found, key=lambda part: (-len(part), part))
    if len(ordered) <= most:
        return ordered, True
    half = most // 2
    return [*ordered[:half], *ordered[-half:]], False


def _fits(pattern: str, text: str) -> bool:
    return matcher(pattern)(text) if pattern else not text
