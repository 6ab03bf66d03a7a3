"""A person's home with the AWS CLI's files, and the credential plugin as a process there."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

KEY = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
CREDENTIALS = "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG\n"
ROLE = "arn:aws:iam::111122223333:role/Dev"


@dataclass
class Person:
    """A home of its own; ``run`` starts the plugin there as kubectl would."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, config: str = "", credentials: str = CREDENTIALS) -> None:
        folder = self.home / ".aws"
        folder.mkdir(exist_ok=True)
        (folder / "config").write_text(config)
        (folder / "credentials").write_text(credentials)

    @property
    def cache(self) -> Path:
        return self.home / ".kube" / "cache" / "rolecall"

    def environment(self, **variables: str) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], **self.variables, **variables}

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "rolecall", *arguments],
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **variables)
        output, errors = process.communicate(timeout=300)
        assert not check or process.returncode == 0, errors
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)
