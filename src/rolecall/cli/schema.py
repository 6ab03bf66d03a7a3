"""``rolecall schema``: the JSON Schemas of access.yaml and of every document that ``-o json`` prints."""

from __future__ import annotations

import json
import sys
from importlib import resources
from typing import Annotated, Any

import typer

from rolecall.errors import RolecallError

ACCESS_FILE = "AccessFile"


def kinds() -> list[str]:
    """Every kind of document that has a schema, access.yaml first."""
    folder = resources.files("rolecall.cli").joinpath("schemas")
    found = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    return [ACCESS_FILE, *sorted(name.removesuffix(".json") for name in found if name.endswith(".json"))]


def schema_of(kind: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one kind.

    :raises RolecallError: if there is no such kind
    """
    known = {one.lower(): one for one in kinds()}
    name = known.get(kind.lower())
    if name is None:
        raise RolecallError(f"there is no document of kind {kind}", advice=f"kinds: {', '.join(kinds())}")
    if name == ACCESS_FILE:
        from rolecall.manifest.schema import json_schema

        return json_schema()
    text = resources.files("rolecall.cli").joinpath("schemas", f"{name}.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def schema(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="Kind of the document (default: AccessFile, which is access.yaml).")
    ] = ACCESS_FILE,
    list_kinds: Annotated[bool, typer.Option("--list", help="List the kinds.")] = False,
) -> None:
    """Print the JSON Schema of access.yaml, or of a document that -o json prints.

    \b
    rolecall schema > access.schema.json
    rolecall schema Plan
    rolecall schema --list

    Exit codes: 0 done, 1 there is no such kind, 2 usage.
    """
    if list_kinds:
        sys.stdout.write("".join(f"{one}\n" for one in kinds()))
    else:
        sys.stdout.write(json.dumps(schema_of(kind), indent=2) + "\n")
