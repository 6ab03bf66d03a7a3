"""Wildcards of policies: ``*`` any run of characters, ``?`` exactly one, in linear time.

A pattern never becomes a regular expression: ``*a*a*a...b`` against a long text would take an attacker's time, not
ours. Source: IAM user guide, "IAM JSON policy elements: Resource", "Condition operators".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

Matcher = Callable[[str], bool]
ANY = "*"


# Patterns repeat over documents; closures are small, and a bound keeps hostile policies from filling memory.
@lru_cache(maxsize=16_384)
def matcher(pattern: str) -> Matcher:
    """A function that tells whether a whole text matches ``pattern``; case matters."""
    if pattern.strip("*") == "" and pattern:
        return _anything
    if "?" in pattern:
        return _general(pattern)
    chunks = pattern.split("*")
    if len(chunks) == 1:
        return pattern.__eq__
    head, tail = chunks[0], chunks[-1]
    middle = tuple(chunk for chunk in chunks[1:-1] if chunk)
    if not middle:
        if not tail:
            return lambda text: text.startswith(head)
        least = len(head) + len(tail)
        return lambda text: len(text) >= least and text.startswith(head) and text.endswith(tail)
    return _chunks(head, middle, tail)


def _anything(text: str) -> bool:
    return True


def _chunks(head: str, middle: tuple[str, ...], tail: str) -> Matcher:
    def matches(text: str) -> bool:
        end = len(text) - len(tail)
        if end < len(head) or not text.startswith(head) or not text.endswith(tail):
            return False
        position = len(head)
        for chunk in middle:
            # The leftmost place is always good enough: what follows has the most room.
            found = text.find(chunk, position, end)
            if found < 0:
                return False
            position = found + len(chunk)
        return True

    return matches


def _general(pattern: str) -> Matcher:
    """Patterns with ``?``: the leftmost place for each chunk between stars, compared character by character."""
    chunks = pattern.split("*")

    def fits(chunk: str, text: str, at: int) -> bool:
        return all(wanted in ("?", text[at + index]) for index, wanted in enumerate(chunk))

    def matches(text: str) -> bool:
        if len(chunks) == 1:
            return len(text) == len(pattern) and fits(pattern, text, 0)
        head, *middle, tail = chunks
        end = len(text) - len(tail)
        if end < len(head) or not fits(head, text, 0) or not fits(tail, text, end):
            return False
        position = len(head)
        for chunk in middle:
            while position + len(chunk) <= end and not fits(chunk, text, position):
                position += 1
            if position + len(chunk) > end:
                return False
            position += len(chunk)
        return True

    return matches


@lru_cache(maxsize=16_384)
def arn_matcher(pattern: str) -> Matcher:
    """``ArnLike`` and ``ArnEquals``: six parts, each matched on its own, so that no wildcard crosses a colon.

    Source: IAM user guide, "Condition operators", ARN condition operators. A text that is not an ARN never matches.
    """
    parts = pattern.split(":", 5)
    if len(parts) != 6:
        return _nothing
    matchers = [matcher(part) for part in parts]

    def matches(text: str) -> bool:
        found = text.split(":", 5)
        return len(found) == 6 and all(match(part) for match, part in zip(matchers, found, strict=True))

    return matches


def _nothing(text: str) -> bool:
    return False


@lru_cache(maxsize=16_384)
def resource_matcher(pattern: str) -> Matcher:
    """The ``Resource`` element: wildcards stay within one of the six parts; a shorter ARN is padded with ``*``.

    A request without a resource has ``*`` as its resource, which only a pattern that matches everything covers.
    Source: IAM user guide, "IAM JSON policy elements: Resource".
    """
    if pattern.strip("*") == "":
        return _anything
    parts = pattern.split(":", 5)
    if len(parts) == 6 and "*" not in pattern and "?" not in pattern:
        return pattern.__eq__
    parts += ["*"] * (6 - len(parts))
    matchers = [matcher(part) for part in parts]
    prefix = ":".join(parts[:5]) + ":"
    if "*" not in prefix and "?" not in prefix:
        rest, length = matchers[5], len(prefix)
        return lambda text: text.startswith(prefix) and rest(text[length:])

    def matches(text: str) -> bool:
        found = text.split(":", 5)
        return len(found) == 6 and all(match(part) for match, part in zip(matchers, found, strict=True))

    return matches


def overlap(one: str, other: str) -> bool:
    """Whether some text matches two patterns; in time proportional to the product of their lengths."""
    # The places in `other` that can be reached when as much of `one` is used up, stars taken as nothing first.
    front = _past_stars({0}, other)
    for letter in one:
        if letter == ANY:
            front = set(range(min(front), len(other) + 1)) if front else front
            continue
        following = {at + 1 for at in front if at < len(other) and (other[at] in ("?", letter) or letter == "?")}
        following |= {at for at in front if at < len(other) and other[at] == ANY}
        front = _past_stars(following, other)
    return len(other) in front


def _past_stars(places: set[int], pattern: str) -> set[int]:
    found = set(places)
    for place in places:
        while place < len(pattern) and pattern[place] == ANY:
            place += 1
            found.add(place)
    return found


def resources_overlap(one: str, other: str) -> bool:
    """Whether some resource matches two patterns of Resource elements, each part of the ARNs for itself."""
    if one.strip(ANY) == "" or other.strip(ANY) == "":
        return True
    sides = ([*parts, *[ANY] * (6 - len(parts))] for parts in (one.split(":", 5), other.split(":", 5)))
    return all(overlap(left, right) for left, right in zip(*sides, strict=True))
