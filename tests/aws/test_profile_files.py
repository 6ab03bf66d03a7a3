"""Files and profiles that are not as they should be, for every command that reaches AWS: one sentence, with the place.

Pains: aws-mfa pull request 18 (a left-over AWS_PROFILE), aws-xray-daemon #37 (a byte order mark).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rolecall.aws.profile_files import check_profile_files
from rolecall.errors import RolecallError

GOOD = "[profile ann]\nregion = eu-west-2\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = s\n"
# what the config file holds, and what is said of it
FILES = {
    "broken": ("[profile ann\nregion = eu-west-2\n", "config:1: "),
    "half": (f"{GOOD}[profile b]\nregion\n", "config:6: "),
    "marked": (f"\ufeff{GOOD}", "byte order mark"),
    "doubled": (f"{GOOD}[profile ann]\nregion = eu-west-1\n", "config:5: section [profile ann] is given twice, first in line 1"),
    "missing": ("[profile bob]\nregion = eu-west-2\n", "there is no profile 'ann'"),
    "no text": ("\x00\n", "config:1: "),
}  # fmt: skip
COMMANDS = {
    "token": ["token", "-i", "prod"],
    "eks": ["eks", "get-token", "--cluster-name", "prod"],
    "kubeconfig": ["kubeconfig"],
    "profiles": ["profiles"],
    "access-entry": ["access-entry", "list", "--cluster", "prod", "--region", "eu-west-2"],
    "aws-auth": ["aws-auth", "get", "--cluster", "prod"],
    "new": ["new", "--person", "ann", "--role", "Dev", "--cluster", "prod"],
}


def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {
        "HOME": str(home), "PATH": "/usr/bin:/bin", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true", **variables,
    }  # fmt: skip
    command = [sys.executable, "-m", "rolecall", *arguments]
    return subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, check=False)


def write(home: Path, text: str) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(text)


@pytest.mark.parametrize("kind", FILES)
def test_the_place_is_named(tmp_path: Path, kind: str) -> None:
    text, words = FILES[kind]
    write(tmp_path, text)
    for profile, environ in (("ann", {}), ("", {"AWS_PROFILE": "ann"}), ("", {"AWS_DEFAULT_PROFILE": "ann"})):
        with pytest.raises(RolecallError) as error:
            check_profile_files(profile, {"HOME": str(tmp_path), **environ})
        assert words in f"{error.value.where}: {error.value.what}"
        assert str(tmp_path / ".aws" / "config") in error.value.where


@pytest.mark.parametrize("stain", ["\n", " ", '"', "\u200b"])
def test_a_key_that_cannot_be_one_is_named(tmp_path: Path, stain: str) -> None:
    home = {"HOME": str(tmp_path)}
    key = {"AWS_ACCESS_KEY_ID": f"AKIAIOSFODNN7EXAMPLE{stain}", "AWS_SECRET_ACCESS_KEY": "s"}
    with pytest.raises(RolecallError, match="AWS_ACCESS_KEY_ID has"):
        check_profile_files("", {**home, **key})
    write(
        tmp_path, GOOD + "[profile dev]\nrole_arn = r\nsource_profile = ann\n[profile round]\nsource_profile = round\n"
    )
    for profile in ("ann", "dev", "round"):
        check_profile_files(profile, {**home, **key})
    if stain.strip():
        (tmp_path / ".aws" / "credentials").write_text(
            f"[ann]\naws_access_key_id = AKIA{stain}\naws_secret_access_key = s\n"
        )
        for profile in ("ann", "dev"):
            with pytest.raises(RolecallError) as error:
                check_profile_files(profile, home)
            assert error.value.where.endswith("credentials:2")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_ends_in_a_traceback(tmp_path: Path, command: str) -> None:
    # One file for each command, so that the suite stays short: all kinds are tested above, on what they all call.
    own = list(FILES)[list(COMMANDS).index(command) % len(FILES)]
    for number, kind in enumerate((own, "marked")):
        home = tmp_path / str(number)
        home.mkdir()
        write(home, FILES[kind][0])
        done = run(home, *COMMANDS[command], "--profile", "ann")
        assert "Traceback" not in done.stderr
        if kind == "marked" and command in ("token", "eks"):
            assert done.returncode == 0, "these read it themselves"
            continue
        assert done.returncode == 1, done.stderr
        assert FILES[kind][1] in done.stderr


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("token", "eks")])
def test_a_left_over_variable_is_no_trouble_beside_a_profile_that_is_given(tmp_path: Path, command: str) -> None:
    write(tmp_path, GOOD)
    done = run(tmp_path, *COMMANDS[command], "--profile", "ann", AWS_PROFILE="gone")
    assert "gone" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "could not connect" in done.stderr.lower() or "127.0.0.1:1" in done.stderr, "it got as far as AWS"
    lost = run(tmp_path, *COMMANDS[command], AWS_PROFILE="gone")
    assert (lost.returncode, "there is no profile 'gone'" in lost.stderr) == (1, True), lost.stderr
