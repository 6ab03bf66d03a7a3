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
    Path | None, typer.Option("-f", "--file", metavar="FILE", help="Default: access.yaml, if it is there.")
]
Profile = Annotated[str, typer.Option("--profile", metavar="P", help="Profile of the AWS CLI's files: who you are.")]
Roles = Annotated[list[str] | None, typer.Option("--role", metavar="NAME|ARN", help="Only this role; repeatable.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change as a diff, and write nothing.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to say what was done.")]


def access_file(file: Path | None) -> Path | None:
    return file if file is not None or not DEFAULT_FILE.exists() else DEFAULT_FILE
