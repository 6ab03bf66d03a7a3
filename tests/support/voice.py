"""Wordings that no text of rolecall has, because readers had to read them twice, each with what is written instead."""

from __future__ import annotations

import re

_WORDS = {
    r"\banew\b": "again",
    r"\bmend(?:ed|s)?\b": "fix",
    r"\bwhoever\b": "anyone who",
    r"\bspeaks against\b": "objects to",
    r"\bno moment\b": "not a date or time",
    r"\bnobody can be asked\b": "cannot ask for confirmation",
    r"\bwhat there is\b": "what exists",
    r"\bby name is\b": "name it with --allow",
    r"\bonly told\b|\btold without refusing\b|\bis told\b": "is a warning",
    r"\bto do it all the same\b": "to do it anyway",
    r"\bafterwards it would be so\b": "what they would still have afterwards",
    r"\bis so already\b": "already",
    r"\bno longer with\b": "loses",
    r"\buntil now as\b": "was",
    r"\bare others on\b|\bis another on\b": "gets a different username or groups on",
    r"\bkeeps their name\b": "same username and groups",
    r"\bnothing to change; \d": "cannot plan",
    r"\brefusals?: it is not applied\b": "this plan will not be applied",
    r"\bnothing in the file gives\b": "has no access through the file",
    r"\bstill working for\b": "existing sessions keep working",
    r"\bremembers an answer\b": "caches the answer",
    r"\bis of all its clusters\b": "a role applies to all of its clusters",
    r"\bthen say --yes\b": "then run again with --yes",
    r"\bsee that it can be read\b": "fix access to it",
    r"\bwould not do what it says\b|\bdoes not do what it says\b": "has no effect as written",
    r"\byou would lock yourself out\b": "this would lock you out",
    r"\bthere is no such file\b": "not found",
    r"\bnames neither a person nor a role\b": "no person or role in this file",
    r"\ba run as any other\b": "an undo is itself a run",
    r"\bwith the world\b": "with what exists",
    r"\bthe trail cannot say\b|\bnothing records who\b": "unknown",
    r"\bends with 0\b": "exit codes",
    r"\btaken without effect\b": "accepted and ignored",
    r"\bthis is `get-token` only\b": "only get-token is supported",
    r"\bwhose credentials\.": "AWS profile to use",
    r"\bits region; default\b": "region (default: from the profile)",
    r"\bagain for more\b": "repeatable",
    r"\ball of them together\b": "replaces all existing groups",
    r"\bnothing to take away is no error\b": "not an error if there is nothing to remove",
    r"\bnobody reads the key\b": "unknown key",
    r"\bthat are no text\b": "not quoted",
    r"\bthat means what it says\b": "without errors",
    r"\bwho loses a mapping is out\b": "someone who loses a mapping is locked out",
}
_ANY = re.compile("|".join(f"(?:{pattern})" for pattern in _WORDS), re.IGNORECASE)


def found_in(text: str) -> list[str]:
    """The wordings in ``text``, each with some of what is around it."""
    return [text[max(0, one.start() - 30) : one.end() + 30] for one in _ANY.finditer(text)]


def better(text: str) -> str:
    """What is written in place of the first such wording in ``text``; empty if there is none."""
    return next((instead for pattern, instead in _WORDS.items() if re.search(pattern, text, re.IGNORECASE)), "")
