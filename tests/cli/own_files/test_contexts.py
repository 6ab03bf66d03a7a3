"""What is written into contexts, and how it is said."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from rolecall.cli.main import app
from rolecall.cli.output import Format
from rolecall.cli.own_files.contexts import file_variables, plugin_command
from rolecall.cli.own_files.endpoints import Failed
from rolecall.cli.own_files.outcome import Outcome, finish
from rolecall.errors import RolecallError
from unusual_files import make_device


@pytest.mark.parametrize("in_environment", [False, True])
def test_the_name_alone_is_written_only_if_every_shell_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_environment: bool
) -> None:
    """lens issues 878 and 2290: a program with windows has not the PATH of a shell with a virtual environment."""
    program = tmp_path / "bin" / "rolecall"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    if in_environment:
        (tmp_path / "pyvenv.cfg").write_text("home = /usr\n")
    monkeypatch.setenv("PATH", str(program.parent))
    assert plugin_command() == (str(program) if in_environment else "rolecall", ())


def test_a_program_that_pipx_links_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pipx and uv link the program of their environment into a folder that is on PATH for good."""
    environment, folder = tmp_path / "environment", tmp_path / "local" / "bin"
    (environment / "bin").mkdir(parents=True)
    folder.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("")
    (environment / "bin" / "rolecall").write_text("#!/bin/sh\n")
    (environment / "bin" / "rolecall").chmod(0o755)
    (folder / "rolecall").symlink_to(environment / "bin" / "rolecall")
    monkeypatch.setenv("PATH", str(folder))
    assert plugin_command() == ("rolecall", ())


def test_only_paths_that_were_given_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    home = {"HOME": "/home/ann"}
    assert file_variables(home) == {}
    assert file_variables(home | {"AWS_CONFIG_FILE": ""}) == {}
    assert file_variables(home | {"AWS_CONFIG_FILE": "~/x"}) == {"AWS_CONFIG_FILE": "/home/ann/x"}
    assert file_variables(home | {"AWS_SHARED_CREDENTIALS_FILE": "x"}) == {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "x")
    }


def test_one_cause_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    why = RolecallError("the role asks for an MFA code", advice="write a profile for it first: rolecall profiles")
    failed = [Failed(f"cluster {name} as role", name, "role", why) for name in ("a", "b\x1b[2J", "c")]
    outcome = Outcome("context", [Path("config")], {"added": ["x"]}, failed, ["note\x07"], {}, None, "next")
    with pytest.raises(typer.Exit):
        finish(outcome, Format.table)
    shown = capsys.readouterr()
    assert shown.out == "CONTEXT   CHANGE\nx         added\n"
    assert shown.err == (
        "note: note\\u0007\n"
        "error: 3 contexts were not written: the role asks for an MFA code\n"
        "         cluster a as role\n"
        "         cluster b\\u001b[2J as role\n"
        "         cluster c as role\n"
        "       write a profile for it first: rolecall profiles\n"
        "1 written to config\n"
        "next\n"
    )


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (["kubeconfig"], "KUBECONFIG"),
        (["kubeconfig", "--kubeconfig"], ""),
        (["profiles"], "AWS_CONFIG_FILE"),
        (["profiles", "--config"], ""),
    ],
)
def test_what_is_no_file_is_refused_before_aws_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], variable: str
) -> None:
    """OSC/ood_core issue 292: `KUBECONFIG=/dev/null`."""
    make_device(tmp_path / "null")
    (tmp_path / "link").symlink_to("/dev/stdout")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("rolecall.cli.own_files.callers.find_reach", lambda *_: pytest.fail("AWS was asked"))
    for path in (tmp_path / "null", tmp_path / "link", tmp_path / "pipe", Path("/dev/fd/1")):
        if variable:
            monkeypatch.setenv(variable, str(path))
        refused = CliRunner().invoke(app, [*command, *([] if variable else [str(path)])]).exception
        assert isinstance(refused, RolecallError)
        assert refused.where == str(path)
        assert re.fullmatch("is (a device|a pipe|an open stream), not a file; nothing was written", refused.what)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "null", "pipe"]
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)


@pytest.mark.parametrize(("command", "flag"), [("kubeconfig", "--kubeconfig"), ("profiles", "--config")])
def test_without_a_home_folder_the_file_has_to_be_named(
    monkeypatch: pytest.MonkeyPatch, command: str, flag: str
) -> None:
    """openshift/origin issue 23369: no HOME, and a user id without a name."""
    for name in ("HOME", "KUBECONFIG", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    refused = CliRunner().invoke(app, [command]).exception
    assert isinstance(refused, RolecallError)
    assert "there is no home folder" in refused.what
    assert f"{flag} FILE" in refused.advice


@pytest.mark.parametrize("command", ["kubeconfig", "profiles"])
def test_help_has_two_examples_and_the_exit_codes(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"]).output
    assert shown.count(f"rolecall {command}") >= 3
    assert "Exit codes: 0 done, 1 a " in shown
