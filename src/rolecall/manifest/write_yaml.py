"""Plain data as YAML that reads the same for every reader: texts are quoted unless nobody could misread them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rolecall import yaml_scalars
from rolecall.manifest.schema import SCHEMA_ID
from rolecall.manifest.yaml_data import read_yaml

_WIDTH = 110
HEADER = f"# yaml-language-server: $schema={SCHEMA_ID}\n# The schema for your editor: rolecall schema > {SCHEMA_ID}\n"


def scalar(value: Any) -> str:
    """One value; a text in double quotes if it could be taken for something else, in a block or in brackets."""
    return yaml_scalars.scalar(value, flow=True) if isinstance(value, str) else json.dumps(value)


def flow(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    return scalar(value)


def block(value: Any, indent: int = 0) -> str:
    """A mapping or list over several lines; what fits stays in one."""
    pad = " " * indent
    if isinstance(value, Mapping) and value:
        return "".join(f"{pad}{scalar(key)}:{_inner(one, indent + 2, len(scalar(key)))}" for key, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return "".join(f"{pad}-{_item(one, indent + 2)}" for one in value)
    return f"{pad}{flow(value)}\n"


def _inner(value: Any, indent: int, used: int) -> str:
    text = flow(value)
    nested = isinstance(value, (Mapping, list, tuple)) and bool(value)
    if not nested or len(text) + indent + used <= _WIDTH:
        return f" {text}\n"
    return f"\n{block(value, indent)}"


def _item(value: Any, indent: int) -> str:
    text = flow(value)
    if not isinstance(value, Mapping) or not value or len(text) + indent <= _WIDTH:
        return f" {text}\n"
    return f" {block(value, indent).lstrip()}"


def readable(value: Any) -> bool:
    """Whether a value survives being written and read again: no text in it that a file may not hold."""
    found = read_yaml(block({"value": value}), "")
    return not found.problems and found.data == {"value": value}


def comment(text: str) -> str:
    """A text as a comment, whatever it holds; one line for each of its lines."""
    clean = re.sub(r"[^\x20-\x7e\xa1-\uffff\n]", "?", text)
    return "".join(f"# {line}\n" if line else "#\n" for line in clean.split("\n"))
