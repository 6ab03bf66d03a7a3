"""Text from files, clusters and AWS as text on a terminal: nothing in it is obeyed, and nothing in it hides.

Written out as ``\\u200b`` are: control characters (C0, C1, DEL), surrogates, line and paragraph separators, spaces
other than U+0020, the characters of Unicode's property ``Default_Ignorable_Code_Point`` (joiners, direction marks,
variation selectors, tags, fillers) and the one blank that is not in it, U+2800.

Source: Unicode 16.0, ``DerivedCoreProperties.txt``, ``Default_Ignorable_Code_Point``; kubectl does the same since
CVE-2021-25743 (kubernetes/kubernetes pull request 112553).
"""

from __future__ import annotations

import re

_DEFAULT_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_OTHER_FORMAT = "\ufff9-\ufffb\u2800"
_SPACES = "\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
_HIDDEN = re.compile(f"[{_CONTROLS}{_DEFAULT_IGNORABLE}{_OTHER_FORMAT}{_SPACES}]")


def hidden_character(text: str) -> str:
    """The first character that does not show or that a terminal obeys, as ``U+200B``; empty if there is none.

    Tabs and line feeds do not count: a text may have several lines.
    """
    found = _HIDDEN.search(text)
    return f"U+{ord(found[0]):04X}" if found else ""


def visible_lines(text: str) -> str:
    """The text with every hidden character written out; tabs and line feeds stay."""
    return _HIDDEN.sub(_escape, text)


def visible(text: str) -> str:
    """The text with every hidden character written out, in one line."""
    return visible_lines(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
