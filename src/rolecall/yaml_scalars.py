"""A text as a scalar of YAML that every reader reads as this text: of YAML 1.1 as kubectl's, and of YAML 1.2.

The two differ in what an unquoted word is: ``no``, ``y`` and ``1:20`` are texts to one and a boolean and a number to
the other; ``1e3``, ``0o17`` and ``089`` the other way round. What is written here without quotes is a text to both.

Sources: YAML 1.1, "Tag Repository" (bool, int, float, null, timestamp, merge, value); YAML 1.2.2, "Core Schema"; Go's
``yaml.v2`` ``resolve.go``, which takes ``y`` and ``n`` for booleans as well.
"""

from __future__ import annotations

import json
import re

# Begins with a letter, or with dashes and a letter as a flag does: so it is no number, no date and no mark of syntax.
_PLAIN = re.compile(r"-{0,2}[A-Za-z](?:[A-Za-z0-9_:/.@{}=+,*-]*[A-Za-z0-9_/.@}=+*-])?", re.ASCII)
_NOT_PLAIN_IN_FLOW = re.compile(r"[:,\[\]{}]")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# JSON leaves them as they are, and YAML does not allow them, or takes them for line breaks.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def is_plain(text: str, *, flow: bool = False) -> bool:
    """Whether a text without quotes is this text to every reader of YAML.

    :param flow: inside ``[]`` or ``{}``, where more characters have a meaning.
    """
    if not _PLAIN.fullmatch(text) or text.lower() in _WORDS:
        return False
    return not (flow and _NOT_PLAIN_IN_FLOW.search(text))


def quoted(text: str) -> str:
    """A text in double quotes on one line, readable by every reader of YAML, and of JSON."""
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def scalar(text: str, *, flow: bool = False) -> str:
    """A text, quoted if a reader could take it for something else."""
    return text if is_plain(text, flow=flow) else quoted(text)
