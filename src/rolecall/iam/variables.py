"""Policy variables: ``${aws:username}``, with defaults, and the three that stand for a literal character.

Source: IAM user guide, "IAM policy elements: Variables and tags". Substituted text is literal: a ``*`` in a user's
name is not a wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from rolecall.iam.context_keys import has_several_values

_VARIABLE = re.compile(r"\$\{(\$|[^{}$]{1,512})\}")
# The guide separates a default by a comma and a space; what is written otherwise is a key that no request has.
_DEFAULT = re.compile(r"([^,]*[^,\s]), '([^']*)'")
_LITERAL = {"*": "*", "?": "?", "$": "$"}
# Stand-ins from a private area of Unicode while a pattern is matched; see `protect`.
_STAR, _QUESTION = "\ue000", "\ue001"


@lru_cache(maxsize=16_384)
def has_variables(text: str) -> bool:
    """Whether ``text`` holds a policy variable."""
    return "${" in text and _VARIABLE.search(text) is not None


def substitute(text: str, context: Mapping[str, tuple[str, ...]]) -> str | None:
    """``text`` with its variables replaced, as a pattern; ``None`` where one has no value and no default.

    Wildcards that come out of a variable are stand-ins: match the result against ``protect(value)``. A key that can
    have several values cannot be a variable, also while it has one (IAM user guide, "Policy variables").
    """
    missing = False

    def replace(found: re.Match[str]) -> str:
        nonlocal missing
        name = found[1].strip()
        if name in _LITERAL:
            return protect(_LITERAL[name])
        name, default = _key_and_default(name)
        if not has_several_values(name):
            values = context.get(name.lower(), ())
            if len(values) == 1:
                return protect(values[0])
            if not values and default is not None:
                return protect(default)
        missing = True
        return ""

    result = _VARIABLE.sub(replace, text)
    return None if missing else result


def _key_and_default(name: str) -> tuple[str, str | None]:
    found = _DEFAULT.fullmatch(name)
    return (found[1], found[2]) if found else (name, None)


def variable_keys(text: str) -> tuple[str, ...]:
    """The context keys of all variables of ``text``, as written, also of those that have a default."""
    names = (found.strip() for found in _VARIABLE.findall(text))
    return tuple(_key_and_default(name)[0] for name in names if name not in _LITERAL)


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
