"""docs/deploy.md: its commands take the flags that it gives them, its files are there."""

from __future__ import annotations

import re
import shlex

import pytest

from deploy_files import ROOT, parsed

PAGE = (ROOT / "docs" / "deploy.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


@pytest.mark.parametrize("command", [line.strip() for line in COMMANDS if line.strip().startswith("rolecall ")])
def test_commands(command: str) -> None:
    words = shlex.split(command)
    assert words[1] in ("init", "server")
    parsed(words[1:])


def test_the_server_s_flags_in_the_text() -> None:
    """Also those that are named in passing; kube-apiserver's are tested with kube-apiserver."""
    import click
    import typer

    from rolecall.cli.main import app

    group = typer.main.get_command(app)
    server = group.get_command(click.Context(group), "server")  # type: ignore[attr-defined]
    known = {name for one in server.params for name in (*one.opts, *one.secondary_opts)}
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    named = set(re.findall(r"`(--[a-z-]+)", prose))
    others = {"--set", "--user", "--authorization-mode", "--authentication-token-webhook-cache-ttl"}
    assert named - others <= known
    assert len(named - others) >= 5


def test_files_and_folders() -> None:
    paths = set(re.findall(r"\]\(\.\./([^)#]+)\)", PAGE)) | set(re.findall(r"(?<![\w.])deploy/[\w./-]+\w", PAGE))
    assert len(paths) > 8
    for path in paths:
        assert (ROOT / path).exists(), path
