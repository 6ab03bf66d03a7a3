"""What a line is, one answer for each kind of text: code that counts lines and code that cuts them mean the same.

``str.splitlines`` is neither of the two: it also ends a line at VT, FF, FS, GS, RS, and, in any text, at NEL, LS and PS
(Python's documentation, ``str.splitlines``), which are ordinary characters of a person's comment.
"""

from __future__ import annotations

import re

_TEXT = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
# YAML 1.1, "Line Break Characters" (b-char), as libyaml and Go's yaml count them. A reader of YAML 1.2 knows the first
# two alone; if that makes a difference, a text is refused before it is edited.
_YAML = re.compile(r"[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029])|[^\r\n\x85\u2028\u2029]+")
_BREAKS = "\r\n\x85\u2028\u2029"


def text_lines(text: str, *, ends: bool = False) -> list[str]:
    """The lines of a text file: they end at LF, CRLF or CR, as when Python or the AWS CLI opens it as text.

    :param ends: keep the line breaks, so that the lines put together are the text.
    """
    found: list[str] = _TEXT.findall(text)
    return found if ends else [line.rstrip("\r\n") for line in found]


def yaml_lines(text: str, *, ends: bool = False) -> list[str]:
    """The lines of a YAML text as the line numbers of PyYAML's marks count them."""
    found: list[str] = _YAML.findall(text)
    return found if ends else [line.rstrip(_BREAKS) for line in found]


def text_break(text: str) -> str:
    """The line break of a text's first line; LF if it has none."""
    found = _TEXT.match(text)
    line = found[0] if found else ""
    return line[len(line.rstrip("\r\n")) :] or "\n"
