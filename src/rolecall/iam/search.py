"""Does some call of AssumeRole succeed, if the caller brings the right things along, and what are the fewest?

Choices are made key by key. After each, the policies at their kindest (:mod:`rolecall.iam.kindest`) say whether
anything can come of it; after the last, the rules of AssumeRole are the judge. So what is found is certain, and if
nothing is found and nothing was left out, there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rolecall.iam.assume_role import AssumeRoleRequest, TrustedRole, assume_role_context, may_assume_role
from rolecall.iam.choices import choices_of
from rolecall.iam.comparisons import Question, question, session_names
from rolecall.iam.kindest import Sides
from rolecall.iam.needs import (
    DEFAULT_SESSION,
    MFA,
    PRINCIPAL_TAG,
    REQUEST_TAG,
    RESOURCE_TAGS,
    TAG_LISTS,
    TIME,
    Choice,
    brought,
    is_free,
)
from rolecall.iam.principals import Principal

# How many sets of choices are looked at for one caller and one role.
MAX_TRIES = 4_000
_FEW = (1, 2)


@dataclass(frozen=True, slots=True)
class Found:
    """What a caller must bring along; ``certain``: whether that was tried and does."""

    offer: tuple[Choice, ...] = ()
    certain: bool = True


def find_offer(role: TrustedRole, principal: Principal, sides: Sides, now: datetime) -> Found | None:
    """The fewest things that ``principal`` must bring along to assume ``role``; ``None`` if nothing helps."""
    plain = AssumeRoleRequest(role.arn, DEFAULT_SESSION, now)
    context = assume_role_context(plain, principal, role)
    if may_assume_role(plain, principal, role, sides.kindest(frozenset()), context):
        return Found()
    tags = frozenset(key.lower() for key in role.tags)

    def free(key: str) -> bool:
        return is_free(key, principal.kind, tags)

    open_keys = sides.open_keys(principal.kind, free)
    names = session_names(role.trust, principal)
    if not names and not may_assume_role(plain, principal, role, sides.kindest(open_keys), context):
        return None
    asked = question(role, principal, sides, context, free)
    return _Search(asked, sides, open_keys, now).run() if asked.comparisons or names else None


@dataclass(slots=True)
class _Search:
    _question: Question
    _sides: Sides
    _open: frozenset[str]
    _now: datetime
    _tries: int = 0
    _options: dict[str, tuple[Choice, ...]] = field(default_factory=dict)

    def run(self) -> Found | None:
        choices = choices_of(self._question, self._now)
        # Session names first: a trust policy may name sessions, which no condition says.
        order = sorted(choices.options, key=lambda key: (key != "aws:userid", len(choices.options[key]), key))
        if not order:
            return None
        self._options = {key: choices.options[key] for key in order}
        open_after = [self._open & _open_keys(order[index:]) for index in range(len(order) + 1)]
        for most in (*(few for few in _FEW if few < len(order)), len(order)):
            for offer in self._offers((), 0, most, open_after):
                return Found(self._fewest(offer) if most > _FEW[-1] else offer)
            if self._tries > MAX_TRIES:
                break
        else:
            if choices.complete:
                return None
        # Too many to try them all: rather an edge too many, that says so, than one too few.
        return Found(tuple(options[0] for options in self._options.values() if options), certain=False)

    def _offers(
        self, offer: tuple[Choice, ...], index: int, most: int, open_after: list[frozenset[str]]
    ) -> Iterator[tuple[Choice, ...]]:
        """The offers of at most so many choices that succeed."""
        if index == len(self._options):
            yield offer
            return
        options = tuple(self._options.values())[index]
        for choice in (None, *(options if len(offer) < most else ())):
            more = offer if choice is None else (*offer, choice)
            # Nothing was added and nothing is known that was not: no need to ask again.
            if self._may(more, open_after[index + 1]):
                yield from self._offers(more, index + 1, most, open_after)
            if self._tries > MAX_TRIES:
                return

    def _may(self, offer: tuple[Choice, ...], open_keys: frozenset[str]) -> bool:
        self._tries += 1
        caller, request = brought(offer, self._question.principal, self._question.role.arn, self._now)
        return may_assume_role(request, caller, self._question.role, self._sides.kindest(open_keys))

    def _fewest(self, offer: tuple[Choice, ...]) -> tuple[Choice, ...]:
        """The offer without what it does not need."""
        for choice in offer:
            without = tuple(one for one in offer if one is not choice)
            if self._may(without, frozenset()):
                offer = without
        return offer


# Which keys hang on a choice that was not made yet.
_TOGETHER: Mapping[str, tuple[str, ...]] = {
    "sts:sourceidentity": ("sts:sourceidentity",),
    "aws:sourceidentity": ("aws:sourceidentity", "sts:sourceidentity"),
    "aws:tokenissuetime": ("aws:tokenissuetime",),
    TIME[0]: (*TIME, "aws:tokenissuetime", *MFA),
    MFA[0]: MFA,
    MFA[1]: MFA,
}


def _open_keys(choices: list[str]) -> frozenset[str]:
    found: set[str] = set()
    for key in choices:
        found |= {key, *_TOGETHER.get(key, ())}
        if key.startswith(REQUEST_TAG):
            found |= set(TAG_LISTS)
        elif key.startswith(PRINCIPAL_TAG):
            found |= {tags + key.removeprefix(PRINCIPAL_TAG) for tags in RESOURCE_TAGS}
    return frozenset(found)
