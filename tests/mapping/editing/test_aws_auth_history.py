"""The history of aws-auth: bounded, and honest about changes that a crash left out."""

from __future__ import annotations

import base64
import random
import zlib

import pytest

from rolecall.mapping.editing.history import (
    MAX_BYTES,
    MAX_CHANGES,
    History,
    HistoryError,
    Outcome,
    from_config_map,
    last_made,
    others_changes,
    outcomes,
    record,
    to_config_map,
)

A, B, C = {"mapRoles": "a"}, {"mapRoles": "b"}, {"mapRoles": "c"}


def add(history: History, before: dict[str, str], after: dict[str, str], version: str, run: str = "") -> History:
    run = run or f"run{len(history.changes)}"
    return record(history, before, after, run=run, time="t", who="me", what="set", why="", base_version=version)


def test_made_not_made_and_unclear() -> None:
    history = add(add(add(History(), {}, A, ""), A, B, "1"), A, C, "1")
    # The second was recorded and never made: the third starts from the same version.
    assert outcomes(history, C, "2") == (Outcome.MADE, Outcome.NOT_MADE, Outcome.MADE)
    assert outcomes(history, A, "1") == (Outcome.MADE, Outcome.NOT_MADE, Outcome.NOT_MADE)
    assert outcomes(history, {"mapRoles": "other"}, "9") == (Outcome.MADE, Outcome.NOT_MADE, Outcome.UNCLEAR)
    made = last_made(history, outcomes(history, A, "1"))
    assert made is not None
    assert made.number == 1


def test_changes_of_others_are_seen() -> None:
    history = add(add(History(), {}, A, ""), A, B, "1")
    assert not others_changes(history, 1, B)
    assert not others_changes(history, 1, A)  # the second was not made
    assert others_changes(history, 1, C)
    between = add(add(History(), {}, A, ""), C, B, "7")
    assert others_changes(between, 1, B)
    assert not others_changes(between, 2, B)


def test_a_second_try_takes_the_place_of_the_first() -> None:
    history = add(add(add(History(), {}, A, ""), A, B, "1", "again"), C, B, "2", "again")
    assert [(change.number, change.base_version) for change in history.changes] == [(1, ""), (3, "2")]
    assert history.data_before(3) == C


def test_bounded_in_count_and_size() -> None:
    history = History()
    for number in range(MAX_CHANGES + 5):
        history = add(history, {"n": str(number)}, {"n": str(number + 1)}, str(number), f"r{number}")
    assert len(history.changes) == len(history.texts) == MAX_CHANGES
    noise = random.Random(1)
    for number in range(8):
        text = "".join(noise.choices("0123456789abcdef", k=200_000))
        history = add(history, {"mapRoles": text}, {}, "x", f"big{number}")
    data, binary = to_config_map(history)
    assert sum(map(len, (*data.values(), *binary.values()))) < MAX_BYTES
    assert history.data_before(history.changes[-1].number) == {"mapRoles": text}
    with pytest.raises(HistoryError, match="too large"):
        add(history, {"x": "".join(noise.choices("0123456789abcdef", k=1_000_000))}, {}, "")


def test_what_is_written_is_read_back() -> None:
    history = add(add(History(), {}, {"mapRoles": "é\r\n\t"}, ""), {"mapRoles": "é\r\n\t"}, B, "1")
    assert from_config_map(*to_config_map(history)) == history
    with pytest.raises(HistoryError, match="there are: 1, 2"):
        history.data_before(9)


@pytest.mark.parametrize("data", [{"x": "no json"}, {"x": "{}"}, {"x": "[]"}, {"x": '{"number": "1"}'}])
def test_what_others_wrote_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(HistoryError, match="not what rolecall wrote"):
        from_config_map(data, {})


@pytest.mark.parametrize(
    "packed", [b"x", zlib.compress(b"0" * 50_000_000), zlib.compress(b'{"a": 1}'), zlib.compress(b"[]")]
)
def test_texts_that_others_wrote_are_refused(packed: bytes) -> None:
    data, _ = to_config_map(add(History(), A, B, ""))
    history = from_config_map(data, {"00000001.z": base64.b64encode(packed).decode()})
    with pytest.raises(HistoryError, match="cannot be read"):
        history.data_before(1)
