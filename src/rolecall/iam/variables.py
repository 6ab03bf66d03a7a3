"""Policy variables: ``${aws:username}``, with defaults, and the three that stand for a literal character.

Source: IAM user guide, "IAM policy elements: Variables and tags". Substituted text is literal: a ``*`` in a user's
name is not a wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_VARIABLE = re.compile(r"\$\{(\$|[^{}$]{1,512})\}")
_DEFAULT = re.compile(r"([^,]+?)\s*,\s*'([^']*)'")
_LITERAL = {"*": "*", "?": "?", "$": "$"}
# Stand-ins from a private area of Unicode while a pattern is matched; see `protect`.
_STAR, _QUESTION = "\ue000", "\ue001"


@lru_cache(maxsize=16_384)
def has_variables(text: str) -> bool:
    """Whether ``text`` holds a policy variable."""
    return "${" in text and _VARIABLE.search(text) is not None


def substitute(text: str, context: Mapping[str, tuple[str, ...]]) -> str | None:
    """``text`` with its variables replaced, as a pattern; ``None`` where one has no value and no default.

    Wildcards that come out of a variable are stand-ins: match the result against ``protect(value)``. A key with
    several values cannot be a variable.
    """
    missing = False

    def replace(found: re.Match[str]) -> str:
        nonlocal missing
        name = found[1].strip()
        if name in _LITERAL:
            return protect(_LITERAL[name])
        default = None
        if with_default := _DEFAULT.fullmatch(name):
            name, default = with_default[1], with_default[2]
        values = context.get(name.lower(), ())
        if len(values) == 1:
            return protect(values[0])
        if not values and default is not None:
            return protect(default)
        missing = True
        return ""

    result = _VARIABLE.sub(replace, text)
    return None if missing else result


def needed_keys(text: str) -> tuple[str, ...]:
    """The context keys that the variables of ``text`` need, as written: those without a default."""
    names = (found.strip() for found in _VARIABLE.findall(text))
    return tuple(name for name in names if name not in _LITERAL and not _DEFAULT.fullmatch(name))


def protect(text: str) -> str:
    """``text`` with its wildcard characters replaced by stand-ins, so that they only match themselves."""
    if "*" in text or "?" in text:
        return text.replace("*", _STAR).replace("?", _QUESTION)
    return text


def example_of(pattern: str) -> str:
    """A text that a pattern, as :func:`substitute` gives it, matches: wildcards filled, stand-ins as what they mean."""
    return pattern.replace("*", "xx").replace("?", "x").replace(_STAR, "*").replace(_QUESTION, "?")


def shown(pattern: str) -> str:
    """A pattern, as :func:`substitute` gives it, for people to read."""
    return pattern.replace(_STAR, "*").replace(_QUESTION, "?")
