"""Options that the commands for a person's own files share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rolecall.cli.output import Format

DEFAULT_FILE = Path("access.yaml")


class ExecKind(StrEnum):
    """Values of ``--exec``."""

    rolecall = "rolecall"
    aws = "aws"


File = Annotated[
    Path | None, typer.Option("-f", "--file", metavar="FILE", help="Access file (default: access.yaml, if it exists).")
]
Profile = Annotated[
    str, typer.Option("--profile", metavar="PROFILE", help="AWS profile to use (default: from the environment).")
]
Roles = Annotated[
    list[str] | None, typer.Option("--role", metavar="ROLE", help="Only this role, by name or ARN. Repeatable.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change as a diff and write nothing.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="Output format.")]


def access_file(file: Path | None) -> Path | None:
    """The file that was named, or access.yaml if it exists."""
    return file if file is not None or not DEFAULT_FILE.exists() else DEFAULT_FILE
