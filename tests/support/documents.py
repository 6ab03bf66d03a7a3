"""Every document that a command prints is held against its published schema, in whichever test it is printed."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema

from rolecall.cli.schema import schema_of


@cache
def _validator(kind: str) -> Any:
    schema = schema_of(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_document(text: str) -> None:
    """Validate ``text`` if it is a document of rolecall's; anything else is left alone.

    :raises AssertionError: if it is not as ``rolecall schema KIND`` says
    """
    if not text.startswith("{"):
        return
    try:
        found = json.loads(text)
    except ValueError:
        return
    if isinstance(found, dict) and found.get("apiVersion") == "rolecall/v1":
        problems = [f"{error.json_path}: {error.message}" for error in _validator(found["kind"]).iter_errors(found)]
        assert not problems, f"{found['kind']}: {problems[:5]}"
