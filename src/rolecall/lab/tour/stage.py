"""Where the tour's steps happen: commands that are run and judged, files that are written."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolecall.lab.tour.commands import Done
from rolecall.lab.tour.files import REGION, ROLE_ARN

Run = Callable[[Sequence[str], Mapping[str, str]], Done]


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it happened.

    :param command: what a person would type; empty for a file that is written.
    :param changed: what it changed in the world.
    :param result: what came of it, in a sentence.
    """

    number: int
    title: str
    command: str
    changed: str
    result: str
    ok: bool
    output: str = field(default="", repr=False)
    seconds: float = 0.0


class Stage:
    """A lab that runs, the folder of the person, and the number of the last step.

    :param run: runs ``aws ...`` or ``kubectl ...``, with variables added to the lab shell's environment.
    :param folder: where the files of the procedure are written.
    :param home: HOME of the lab shell.
    :ivar whoami: what the cluster said of the person.
    """

    def __init__(self, run: Run, folder: Path, home: Path) -> None:
        self.run = run
        self.whoami = ""
        self._folder = folder
        self._home = home
        self._number = 0

    def key(self, user: str, profile: str) -> Step:
        """An access key, put into the lab's credentials file; its secret is not shown."""

        def keep(done: Done) -> tuple[bool, str]:
            key = read_json(done)["AccessKey"]
            file = self._home / ".aws" / "credentials"
            section = (
                f"\n[{profile}]\naws_access_key_id = {key['AccessKeyId']}\n"
                f"aws_secret_access_key = {key['SecretAccessKey']}\n"
            )
            file.write_text(file.read_text() + section)
            return True, f"{key['AccessKeyId']} is profile {profile} in the lab's ~/.aws/credentials"

        return self.do(
            f"An access key for {user}",
            f"aws iam create-access-key --user-name {user}",
            f"access key of {user}",
            keep,
            hide=True,
        )

    def profile(self, name: str, source: str) -> Step:
        file = self._home / ".aws" / "config"
        section = f"\n[profile {name}]\nrole_arn = {ROLE_ARN}\nsource_profile = {source}\n"
        section += f"region = {REGION}\noutput = json\n"
        file.write_text(file.read_text() + section)
        self._number += 1
        return Step(self._number, "5. A profile for the role", "", "~/.aws/config of the lab", section.strip(), True)

    def write(self, title: str, name: str, text: str, what: str) -> Step:
        (self._folder / name).write_text(text)
        self._number += 1
        return Step(self._number, title, "", f"{name} is written", what, True, text)

    def do(
        self,
        title: str,
        command: str,
        changed: str,
        judge: Callable[[Done], tuple[bool, str]],
        variables: Mapping[str, str] | None = None,
        *,
        hide: bool = False,
    ) -> Step:
        """Run a command and judge what it printed. ``hide``: the output holds a secret and is not shown."""
        self._number += 1
        started = time.monotonic()
        done = self.run(shlex.split(command), variables or {})
        seconds = time.monotonic() - started
        try:
            ok, result = judge(done)
        except (ValueError, KeyError):
            ok, result = False, "the answer was not what the procedure expects"
        if not ok:
            result = f"{result}\n{(done.errors or done.output).strip()[:800]}"
        shown = " ".join([*(f"{name}={_masked(name, value)}" for name, value in (variables or {}).items()), command])
        return Step(self._number, title, shown, changed, result, ok, done.output if ok or not hide else "", seconds)


def read_json(done: Done) -> Any:
    return json.loads(done.output)


def _masked(name: str, value: str) -> str:
    return value if name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID") else "***"
