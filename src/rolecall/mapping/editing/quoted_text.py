"""A text in single or double quotes, as YAML writes it, changed where it changes and nowhere else.

Quotes, escapes and folded lines around the change stay as they are. Source: YAML 1.1, "Flow Scalar Styles".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rolecall.yaml_scalars import quoted

_BREAKS = r"[ \t]*\r?\n(?:[ \t]*\r?\n)*[ \t]*"
_SINGLE = re.compile(rf"(?P<verbatim>[^' \t\r\n]+)|(?P<escape>'')|(?P<breaks>{_BREAKS})|(?P<space>[ \t])")
_DOUBLE = re.compile(
    r"(?P<verbatim>[^\"\\ \t\r\n]+)|"
    r"(?P<escape>\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r?\n[ \t]*|[^\r\n]))|"
    rf"(?P<breaks>{_BREAKS})|(?P<space>[ \t])"
)
_ESCAPES = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "t": "\t",
    "\t": "\t",
    "n": "\n",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "e": "\x1b",
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
}


@dataclass(frozen=True, slots=True)
class _Piece:
    """Characters of a text as they are written from ``start`` on; ``value`` is what they mean."""

    start: int
    end: int
    value: str
    is_verbatim: bool


def replaced_in_quotes(written: str, new: str) -> str | None:
    """A quoted scalar with another value; ``None`` if the change cannot be written in its quotes.

    :param written: the scalar with its quotes.
    """
    pieces = list(_pieces(written))
    old = "".join(piece.value for piece in pieces)
    if pieces and pieces[-1].end != len(written) - 1:
        return None  # not read to its end
    shorter = min(len(old), len(new))
    head = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    tail = next((n for n in range(shorter - head) if old[-1 - n] != new[-1 - n]), shorter - head)
    begin, kept = _place(pieces, head, before=True)
    finish, after = _place(pieces, len(old) - tail, before=False)
    piece = new[kept : len(new) - (len(old) - after)]
    encoded = _encoded(piece, written[0])
    if encoded is None:
        return None
    return written[: begin or 1] + encoded + written[finish or 1 :]


def _pieces(written: str) -> Iterator[_Piece]:
    pattern = _SINGLE if written[0] == "'" else _DOUBLE
    at = 1
    while at < len(written) - 1 and (found := pattern.match(written, at, len(written) - 1)):
        yield _Piece(at, found.end(), _meant(found), found.lastgroup == "verbatim")
        at = found.end()


def _meant(found: re.Match[str]) -> str:
    text = found[0]
    if found.lastgroup == "breaks":
        # One line break is a space, more of them are one less.
        return "\n" * (text.count("\n") - 1) or " "
    if found.lastgroup != "escape":
        return text
    if text == "''":
        return "'"
    if text[1] in "xuU":
        return chr(int(text[2:], 16))
    return "" if text[1] in "\r\n" else _ESCAPES.get(text[1], text[1])


def _place(pieces: list[_Piece], index: int, *, before: bool) -> tuple[int, int]:
    """Where the character number ``index`` of the value is written, and its number.

    What stands for several characters is not cut: then it is the place before or behind it.
    """
    at = 0
    for piece in pieces:
        if index < at + len(piece.value) or (not before and index == at + len(piece.value) and index > at):
            inside = index - at
            if piece.is_verbatim:
                return piece.start + inside, index
            if inside == 0 or before:
                return piece.start, at
            return piece.end, at + len(piece.value)
        at += len(piece.value)
    return (pieces[-1].end, at) if pieces else (0, 0)


def _encoded(text: str, quote: str) -> str | None:
    if quote == '"':
        return quoted(text)[1:-1]
    if "\n" in text or "\r" in text or not text.replace("\t", " ").isprintable():
        return None
    return text.replace("'", "''")
