"""A throw-away lab for the tour, used with the person's tools or the tour's own, and deleted at the end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rolecall.lab import control
from rolecall.lab.environment import shell_environment
from rolecall.lab.home import LabHome
from rolecall.lab.tour.commands import Done, Tool, find_tool, run_tool
from rolecall.lab.tour.own_aws import OwnAws
from rolecall.lab.tour.own_kubectl import OwnKubectl
from rolecall.lab.tour.stage import Stage
from rolecall.lab.tour.story import Story


@dataclass(frozen=True, slots=True)
class Tour:
    """A tour that can begin.

    :param tools: for ``aws`` and ``kubectl``, what runs the commands.
    """

    story: Story
    tools: dict[str, str]
    endpoint: str


@contextmanager
def tour() -> Iterator[Tour]:
    """A tour in a lab of its own; the lab and its folder are deleted at the end, however it ends."""
    with tempfile.TemporaryDirectory(prefix="rolecall-tour-") as temporary:
        home = LabHome(Path(temporary).resolve() / "lab")
        folder = Path(temporary).resolve() / "work"
        folder.mkdir()
        control.settle(home)
        before = os.environ.get("AWS_ENDPOINT_URL")
        running = control.start_detached(home)
        try:
            environment = shell_environment(home, home.settings(), running.endpoint, os.environ)
            commands = _Commands(environment, folder)
            yield Tour(Story(Stage(commands.run, folder, home.user_home)), commands.names, running.endpoint)
        finally:
            control.stop(home)
            if before is None:
                os.environ.pop("AWS_ENDPOINT_URL", None)
            else:
                os.environ["AWS_ENDPOINT_URL"] = before


class _Commands:
    """Runs ``aws`` and ``kubectl`` with the person's tools, or both with the tour's own if one is missing.

    The two belong together: the installed kubectl gets its tokens from the installed AWS CLI.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        aws = find_tool("aws", ["--version"], environment)
        kubectl = find_tool("kubectl", ["version", "--client"], environment)
        self._tools: dict[str, Tool] = {"aws": aws, "kubectl": kubectl} if aws and kubectl else {}
        self._own_aws = OwnAws(environment)
        self._own_kubectl = OwnKubectl(self._own_aws, environment)
        own = "rolecall's own client"
        self.names = {name: self._tools[name].version if name in self._tools else own for name in ("aws", "kubectl")}

    def run(self, command: Sequence[str], variables: Mapping[str, str]) -> Done:
        name, *arguments = command
        if name in self._tools:
            environment = {**self._environment, **variables}
            return run_tool(self._tools[name], arguments, environment, str(self._folder))
        arguments = [self._absolute(argument) for argument in arguments]
        own = self._own_aws if name == "aws" else self._own_kubectl
        return own.run(arguments, variables)

    def _absolute(self, argument: str) -> str:
        if argument.startswith("file://"):
            return f"file://{self._folder / argument.removeprefix('file://')}"
        return str(self._folder / argument) if argument.endswith(".yaml") else argument
