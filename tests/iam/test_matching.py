"""Wildcards, against a matcher that is slow and obvious. Source: IAM user guide, "Resource", "Condition operators"."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.iam.matching import arn_matcher, matcher, resource_matcher


def slow(pattern: str, text: str) -> bool:
    """One row of the table for each character of the pattern: no cleverness."""
    row = [True] + [False] * len(text)
    for wanted in pattern:
        if wanted == "*":
            reached, new = False, []
            for value in row:
                reached = reached or value
                new.append(reached)
        else:
            new = [False] + [row[i] and (wanted in ("?", text[i])) for i in range(len(text))]
        row = new
    return row[-1]


@settings(max_examples=1_500)
@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
def test_matches_as_the_obvious_matcher(pattern: str, text: str) -> None:
    assert matcher(pattern)(text) == slow(pattern, text)


@pytest.mark.parametrize("pattern", ["*a" * 12 + "b", "*a*a?" * 8 + "b", "*" * 200 + "b", "?" * 50 + "*b"])
def test_time_is_linear(pattern: str) -> None:
    """A regular expression of the same meaning takes more than ten seconds (facts/iam.md 39)."""
    started = time.process_time()
    assert not matcher(pattern)("a" * 4_000)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("arn:aws:iam::*:user/a", "arn:aws:iam::1:user/a", True),
        ("arn:aws:iam::*:user/a", "arn:aws:iam::1:2:user/a", False),
        ("arn:aws:iam::1:*", "arn:aws:iam::1:user/a", True),
        ("arn:*", "arn:aws:iam::1:user/a", False),
        ("*", "arn:aws:iam::1:user/a", False),
        ("arn:aws:iam::1:user/[a]", "arn:aws:iam::1:user/a", False),
    ],
)
def test_arn_conditions_match_part_by_part(pattern: str, text: str, expected: bool) -> None:
    """IAM user guide, ARN condition operators: each of the six parts on its own."""
    assert arn_matcher(pattern)(text) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "*", True),
        ("*", "arn:aws:eks:r:1:cluster/c", True),
        ("arn:aws:eks:*:1:cluster/*", "arn:aws:eks:r:1:cluster/c", True),
        ("arn:aws:eks:r:1:cluster/c", "arn:aws:eks:r:1:cluster/c", True),
        ("arn:aws:eks:r:1:cluster/c", "arn:aws:eks:r:1:cluster/C", False),
        ("arn:aws:eks:r:1:cluster/c", "*", False),
        ("arn:aws:eks:r:1:*", "arn:aws:eks:r:1:a:b", True),
        ("arn:aws:eks:r:*:c", "arn:aws:eks:r:1:b:c", False),
    ],
)
def test_resources(pattern: str, text: str, expected: bool) -> None:
    assert resource_matcher(pattern)(text) is expected
