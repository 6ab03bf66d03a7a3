"""The values worth trying for each key that a caller can choose, so that some call succeeds if any call does.

For one key the values that its policies name divide all values into kinds; one of each kind is enough. A variable ties
two keys together: the values of each are worth trying for the other, taken apart or put together as the pattern says.
If there are too many to try, the result says so, and the caller must not take "found none" for "there is none".
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import islice, product

from rolecall.iam.comparisons import Comparison, Question
from rolecall.iam.needs import (
    MFA,
    PRINCIPAL_TAG,
    REQUEST_TAG,
    RESOURCE_TAGS,
    TAG_LISTS,
    TIME,
    Choice,
    Need,
    NeedKind,
    kind_of_need,
)
from rolecall.iam.operators import Quantifier, read_date
from rolecall.iam.sendable import LEAST, LETTERS, can_be_sent
from rolecall.iam.variables import example_of, protect, shown, substitute
from rolecall.iam.witnesses import parts_between, witnesses

# Two texts that no policy names: equal to nothing, and different from one another.
FRESH = ("rolecall-any", "rolecall-other")
MAX_VALUES = 40
MAX_COMBINATIONS = 200
_ROUNDS = 3
_PRINTABLE = string.ascii_letters + string.digits + "-_./:@=+, "
_VARIABLE, _OTHER = "\x00", "\x01"


@dataclass(slots=True)
class Choices:
    """By key, what a caller could bring.

    :param complete: whether these are all values that could make a difference.
    """

    options: dict[str, tuple[Choice, ...]] = field(default_factory=dict)
    complete: bool = True


def choices_of(question: Question, now: datetime) -> Choices:
    """The choices that a question leaves to a caller; ``now``: nobody can choose an earlier time."""
    pools = _Pools(question, now)
    pools.fill()
    return Choices(dict(_options(question, pools)), pools.complete)


def _alias(key: str) -> str:
    """The key whose values a key shares: tags of the role by a transitive tag of the session, and the one time."""
    if key.startswith(RESOURCE_TAGS):
        return PRINCIPAL_TAG + key.partition("/")[2]
    return TIME[0] if key in TIME else key


class _Pools:
    """Collects the values worth trying, by key."""

    def __init__(self, question: Question, now: datetime) -> None:
        self._question, self._now = question, now
        self.values: dict[str, dict[str, None]] = {}
        self.complete = True
        self._patterns: dict[str, dict[str, None]] = {}
        self._linked: set[str] = set()

    def fill(self) -> None:
        """Take every comparison into account."""
        links = [one for one in self._question.comparisons if one.free]
        for name in self._question.sessions:
            self._add("aws:userid", f"{self._question.principal.principal_id}:{name}")
            self._add("aws:userid", f"{self._question.principal.principal_id}:{FRESH[0]}")
        for one in self._question.comparisons:
            if not one.free:
                pattern = substitute(one.pattern, self._question.context) if one.variables else one.pattern
                if pattern is not None:
                    self._examples(one, pattern)
        for one in links:
            for key in (*one.free, *([one.key] if self._is_free(one.key) else [])):
                self._linked.add(_alias(key.lower()))
        self._add_fresh()
        self._match_patterns(links)
        for _ in range(_ROUNDS):
            for one in links:
                self._forward(one)
                self._backward(one)
        self._match_patterns(links)

    def _is_free(self, key: str) -> bool:
        return bool(key) and self._question.is_free(key)

    def _add(self, key: str, value: str) -> None:
        key = _alias(key)
        if not can_be_sent(key, value):
            return
        if key == "aws:userid" and not value.startswith(f"{self._question.principal.principal_id}:"):
            return
        if key == "aws:tokenissuetime":
            # A session that begins later is used later.
            self._add(TIME[0], value)
        pool = self.values.setdefault(key, {})
        if len(pool) >= MAX_VALUES and value not in pool:
            self.complete = False
        else:
            pool[value] = None

    def _add_fresh(self) -> None:
        """To each key that is compared as a text: what equals nothing; to one that is tied to another, two of them."""
        texts = {_alias(one.key) for one in self._question.comparisons if _is_text(one) and self._is_free(one.key)}
        for key in sorted(texts | self._linked):
            for fresh in FRESH if key in self._linked else FRESH[:1]:
                prefix = f"{self._question.principal.principal_id}:" if key == "aws:userid" else ""
                self._add(key, prefix + fresh)

    def _examples(self, one: Comparison, pattern: str) -> None:
        """Values on both sides of a comparison with a pattern, as :func:`substitute` gives it."""
        if not self._is_free(one.key) or one.operator is None:
            return
        base = one.operator.base
        if _is_text(one):
            if not one.has_wildcards:
                self._add(one.key, shown(pattern))
                if base.endswith("ignorecase") and not shown(pattern).endswith(FRESH):
                    self._add(one.key, shown(pattern).swapcase())
            elif base.startswith("arn"):
                self._add(one.key, example_of(pattern))
            elif "*" in pattern or "?" in pattern:
                self._patterns.setdefault(_alias(one.key), {})[pattern] = None
            else:
                self._add(one.key, shown(pattern))
            return
        for value in _of_kind(one.key, base, pattern, self._now):
            self._add(one.key, value)

    def _match_patterns(self, links: Iterable[Comparison]) -> None:
        """For keys with wildcards: a text for each way in which the patterns can match, those of tied keys included."""
        patterns = {key: dict(found) for key, found in self._patterns.items()}
        for one in links:
            if one.pattern == f"${{{one.free[0]}}}" and self._is_free(one.key):
                left, right = _alias(one.key), _alias(one.free[0].lower())
                both = {**patterns.get(left, {}), **patterns.get(right, {})}
                if both:
                    patterns[left] = patterns[right] = both
        for key, found in patterns.items():
            self._witnesses(key, found)

    def _witnesses(self, key: str, patterns: Iterable[str]) -> None:
        prefix = f"{self._question.principal.principal_id}:" if key == "aws:userid" else ""
        letters = LETTERS.get(key, _PRINTABLE) + "\ue000\ue001"
        texts, whole = witnesses(patterns, letters=letters, least=LEAST.get(key, 0), prefix=prefix)
        self.complete = self.complete and whole
        for text in texts:
            self._add(key, shown(text))

    def _forward(self, one: Comparison) -> None:
        """What a pattern becomes with each value that its variables could have."""
        if not self._is_free(one.key):
            return
        keys = tuple(dict.fromkeys(key.lower() for key in one.free))
        pools = [(None, *self.values.get(_alias(key), {})) for key in keys]
        combinations = list(islice(product(*pools), MAX_COMBINATIONS + 1))
        if len(combinations) > MAX_COMBINATIONS:
            self.complete = False
        for values in combinations[:MAX_COMBINATIONS]:
            chosen = {key: (value,) for key, value in zip(keys, values, strict=True) if value is not None}
            pattern = substitute(one.pattern, {**self._question.context, **chosen})
            if pattern is None:
                continue
            if _is_text(one) and one.has_wildcards and ("*" in pattern or "?" in pattern):
                self._witnesses(_alias(one.key), (pattern,))
            else:
                self._examples(one, pattern)

    def _backward(self, one: Comparison) -> None:
        """What each variable must be, so that a pattern becomes what it is compared with."""
        targets = dict.fromkeys(self._fixed(one))
        if self._is_free(one.key):
            targets |= self.values.get(_alias(one.key), {})
        keys = tuple(dict.fromkeys(key.lower() for key in one.free))
        for key in keys:
            others = {other: (_OTHER,) for other in keys if other != key}
            pattern = substitute(one.pattern, {**self._question.context, **others, key: (_VARIABLE,)})
            if pattern is None:
                continue
            if not one.has_wildcards:
                pattern = protect(pattern)
            before, found, after = pattern.replace(_OTHER, "*").partition(_VARIABLE)
            for target in targets if found else ():
                # A variable that occurs again is the same both times; the evaluator is the judge of that.
                parts, whole = parts_between(protect(target), before, after.replace(_VARIABLE, "*"), MAX_VALUES // 2)
                self.complete = self.complete and whole
                for part in parts:
                    self._add(key, shown(part))

    def _fixed(self, one: Comparison) -> tuple[str, ...]:
        if not one.key:
            return (self._question.role.arn.split(":", 5)[5],)
        return self._question.context.get(one.key, ())


def _is_text(one: Comparison) -> bool:
    return one.operator is not None and one.operator.base.startswith(("string", "arn", "binary"))


def _options(question: Question, pools: _Pools) -> Iterator[tuple[str, tuple[Choice, ...]]]:
    compared = {one.key for one in question.comparisons} | {
        key.lower() for one in question.comparisons for key in one.free
    }
    for key in sorted(pools.values):
        # What no policy names comes last.
        values = sorted(pools.values[key], key=lambda value: value.endswith(FRESH))
        if key.startswith(PRINCIPAL_TAG):
            name = key.removeprefix(PRINCIPAL_TAG)
            passed = (False, True) if any(f"{tags}{name}" in compared for tags in RESOURCE_TAGS) else (False,)
            yield (
                key,
                tuple(
                    Choice(key, (value,), _need(question, key, value), _spelling(question, key), transitive)
                    for value in values
                    for transitive in passed
                ),
            )
        elif key not in TAG_LISTS and not key.startswith(REQUEST_TAG):
            yield (
                key,
                tuple(
                    Choice(key, found, _need(question, key, found[0], len(found) > 1 and ", ".join(found)))
                    for found in _lists(question, key, tuple(values))
                ),
            )
    yield from _request_tags(question, pools)


def _lists(question: Question, key: str, values: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Each value by itself, and of a key that can have several, pairs of them and all that a condition names."""
    yield from ((value,) for value in values)
    several = [one for one in question.comparisons if one.key == key and one.operator is not None]
    if any(one.operator and one.operator.quantifier is not Quantifier.NONE for one in several):
        named = tuple(dict.fromkeys(one.pattern for one in several if one.pattern in values))
        yield ("",)
        if len(named) > 2:
            yield named
        yield from ((left, right) for left, right in product(values[:6], repeat=2) if left < right)


def _request_tags(question: Question, pools: _Pools) -> Iterator[tuple[str, tuple[Choice, ...]]]:
    """By tag: the values that it could be sent with, its spellings, and whether it is passed on."""
    spellings: dict[str, dict[str, None]] = {}
    listed = {name: None for key in TAG_LISTS for name in pools.values.get(key, {})}
    for key in (*pools.values, *(f"{REQUEST_TAG}{name.lower()}" for name in listed)):
        if key.startswith(REQUEST_TAG):
            spellings.setdefault(key, {})
    for name in listed:
        spellings[f"{REQUEST_TAG}{name.lower()}"][name] = None
    passed = (False, True) if any(one.key == TAG_LISTS[1] for one in question.comparisons) else (False,)
    for key, names in sorted(spellings.items()):
        values = pools.values.get(key) or {"x": None}
        yield (
            key,
            tuple(
                Choice(key, (value,), _need_of_tag(question, key, value, name), name, transitive)
                for name in (names or {_spelling(question, key): None})
                for value in values
                for transitive in passed
            ),
        )


def _spelling(question: Question, key: str) -> str:
    """A tag's key as a policy writes it."""
    for one in question.comparisons:
        for written in (one.written, *one.free):
            if written.lower() == key:
                return written.partition("/")[2]
    return key.partition("/")[2]


def _need_of_tag(question: Question, key: str, value: str, name: str) -> Need:
    asked = any(key in (one.key, *(free.lower() for free in one.free)) for one in question.comparisons)
    return _need(question, key, value) if asked else Need(NeedKind.TAGS, "aws:TagKeys", name)


def _need(question: Question, key: str, value: str, listed: str | bool = "") -> Need:
    """What a value is to people: as the policy asks for it, where one does."""
    kind, written = kind_of_need(key), key
    if key == "aws:userid":
        return Need(kind, "session", value.partition(":")[2])
    avoided = present = ""
    for one in question.comparisons:
        written = next((free for free in one.free if free.lower() == key), written)
        if _alias(one.key) != key or one.operator is None or one.free:
            continue
        if one.key == key or written == key:
            written = one.written
        pattern = substitute(one.pattern, question.context) if one.variables else one.pattern
        if pattern is None:
            continue
        if one.operator.base == "null":
            present = "present"
        elif one.operator.test(pattern, value):
            if not one.operator.negated:
                return Need(kind, written, str(listed) if listed else _asked(one.operator.base, pattern))
        else:
            avoided = avoided or f"other than {shown(pattern)}"
    return Need(kind, written, avoided or present or ("any" if value in FRESH else value))


def _asked(base: str, pattern: str) -> str:
    for ending, sign in (
        ("lessthanequals", "<="),
        ("lessthan", "<"),
        ("greaterthanequals", ">="),
        ("greaterthan", ">"),
    ):
        if base.endswith(ending):
            return f"{sign} {shown(pattern)}"
    return shown(pattern)


def _of_kind(key: str, base: str, pattern: str, now: datetime) -> Iterator[str]:
    """Values on both sides of a comparison that is not of texts."""
    if key in (*TIME, "aws:tokenissuetime") and base.startswith(("date", "numeric")):
        yield from _dates(pattern, now)
    elif base.startswith("numeric"):
        yield from _numbers(pattern, whole=key in MFA)
    elif base.startswith("date"):
        yield from _dates(pattern, None)
    elif base in ("ipaddress", "notipaddress"):
        yield from _addresses(pattern)
    elif base == "bool":
        yield from ("true", "false")
    elif base == "null":
        yield "true" if key == MFA[0] else "0" if key == MFA[1] else "xx"


def _numbers(text: str, *, whole: bool) -> Iterator[str]:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return
    for value in (Decimal(0), number, number - 1, number + 1):
        if abs(value) >= 10**12:
            continue
        if value == value.to_integral_value():
            if not whole or value >= 0:
                yield str(int(value))
        elif not whole:
            yield str(value)


def _dates(text: str, now: datetime | None) -> Iterator[str]:
    moment = read_date(text)
    if moment is None:
        return
    for shift in (0, 1, -1):
        try:
            other = moment + timedelta(seconds=shift)
        except OverflowError:
            continue
        if now is None or other >= now:
            yield other.strftime("%Y-%m-%dT%H:%M:%SZ")


def _addresses(text: str) -> Iterator[str]:
    """Networks divide the addresses at their beginnings and behind their ends."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return
    yield str(network.network_address)
    behind = int(network.broadcast_address) + 1
    family: type[IPv4Address | IPv6Address] = IPv4Address if network.version == 4 else IPv6Address
    if behind < 2**network.max_prefixlen:
        yield str(family(behind))
    for outside in ("192.0.2.1", "0.0.0.1", "2001:db8::1"):
        if ip_address(outside) not in network:
            yield outside
