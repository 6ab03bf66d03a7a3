"""Log lines as logrus writes them. Source: sirupsen/logrus v1.9 text_formatter.go (needsQuoting, appendValue, sorted
keys) and logrus.go (ParseLevel); Go's strconv.Quote."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.authenticator.decision_log import Log, quoted


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("a.b-c_d/e@f^g+9", "a.b-c_d/e@f^g+9"),
        ("", ""),
        ("dev:ann", '"dev:ann"'),
        ("127.0.0.1:4242", '"127.0.0.1:4242"'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ("{{x}}", '"{{x}}"'),
        ('say "no"', r'"say \"no\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nfeed\ttab\r", r'"line\nfeed\ttab\r"'),
        ("\x00\x1b[2K\x7f", r'"\x00\x1b[2K\x7f"'),
        ("\a\b\f\v", r'"\a\b\f\v"'),
        ("Zoë", '"Zoë"'),
        ("\u202eevil\u200b\u00a0", r'"\u202eevil\u200b\u00a0"'),
        ("\U000e0041", r'"\U000e0041"'),
        ("\ud800", '"\ufffd"'),
        (("system:masters", "a"), '"[system:masters a]"'),
        ((), '"[]"'),
        (7, "7"),
        (True, "True"),
    ],
)
def test_a_value_is_quoted_as_logrus_does(value: Any, written: str) -> None:
    assert quoted(value) == written


def line(form: str, level: str = "info", **fields: Any) -> str:
    stream = io.StringIO()
    Log(form, level, stream).info("access granted", **fields)
    return stream.getvalue()


def test_fields_are_in_alphabetical_order() -> None:
    assert re.fullmatch(
        r'time="[0-9T:-]+Z" level=info msg="access granted" arn="a:b" client="c:1" uid=u\n',
        line("text", uid="u", client="c:1", arn="a:b"),
    )


@pytest.mark.parametrize("fields", [{}, {"a": "1"}, {"z": "1"}, {"a": "1", "z": "2"}])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_client_is_put_among_the_fields(form: str, fields: dict[str, str]) -> None:
    stream = io.StringIO()
    log = Log(form, "info", stream)
    before, after = log.around(20, "m", fields, "client")
    log.emit(before, "[::1]:5", after)
    log.info("m", **fields, client="[::1]:5")
    one, two = stream.getvalue().splitlines()
    if form == "json":
        assert json.loads(one) == json.loads(two)
        assert json.loads(one)["client"] == "[::1]:5"
    else:
        assert one == two


@given(st.text(), st.sampled_from(["text", "json"]))
def test_no_value_begins_another_line_or_field(value: str, form: str) -> None:
    found = line(form, username=value, zone="z")
    assert found.count("\n") == 1
    if form == "text":
        assert re.fullmatch(
            r'time="[^"]+" level=info msg="access granted" username=([^" =]*|"(\\.|[^"\\])*") zone=z\n', found
        )


# logrus: panic, fatal, error, warning (warn), info, debug, trace
@pytest.mark.parametrize(
    ("level", "is_shown"),
    [("trace", True), ("debug", True), ("info", True), ("warn", False), ("warning", False), ("error", False),
     ("fatal", False), ("panic", False)],
)  # fmt: skip
def test_a_line_is_written_at_its_level_and_below(level: str, is_shown: bool) -> None:
    assert bool(line("text", level)) is is_shown
