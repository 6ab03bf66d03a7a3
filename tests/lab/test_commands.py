"""The lab's commands as a person types them: wrong input, folders of others, ports in use, what is left behind.

Source: the project's own promises in README and docs/quick-start.md; exit codes as sysexits-free tools have them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from cryptography import x509

from rolecall.cli.lab import app as lab_app
from rolecall.cli.schema import schema_of
from rolecall.lab.shell import with_rolecall

# A command takes a second at most; this is against one that hangs, also on a loaded machine.
HANGS = 300


def rolecall(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rolecall", *arguments],
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
        env={**os.environ, **variables},
    )


@pytest.fixture(scope="module")
def lab(start_lab: Callable[..., Any]) -> Any:
    return start_lab("--account", "111122223333", "--account", "444455556666", "--region", "us-gov-west-1")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--account", "12"), "12 digits"),
        (("--region", "mars"), "reads like eu-west-2"),
        (("--region", ""), "reads like eu-west-2"),
        (("--port", "99999"), "1 to 65535"),
        (("--port", "-1"), "1 to 65535"),
    ],
)
def test_wrong_input_is_explained_and_leaves_nothing(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    home = tmp_path / "lab"
    done = rolecall("lab", "up", "--detach", "--home", str(home), *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert not home.exists()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_text("x"), "exists"),
        (lambda path: path.symlink_to("/dev/null/nowhere"), "not a directory"),
        (lambda path: (path.mkdir(), (path / "thesis.tex").write_text("x")), "not a lab"),
        (lambda path: (path.mkdir(), (path / "lab.json").write_text("[")), "delete the lab's folder"),
        (lambda path: (path.mkdir(), (path / "lab.json").write_text('{"accounts": 5}')), "delete the lab's folder"),
        (
            lambda path: (path.mkdir(), (path / "lab.json").write_text('{"accounts":["1"],"region":"x","port":0}')),
            "not an AWS account id",
        ),
    ],
)
def test_a_folder_that_cannot_be_a_lab(tmp_path: Path, make: Callable[[Path], Any], says: str) -> None:
    home = tmp_path / "lab"
    make(home)
    done = rolecall("lab", "up", "--detach", "--home", str(home))
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert str(home) in done.stderr or "/dev/null" in done.stderr


def test_a_lab_killed_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    for name in ("clusters", "home/.aws"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".lab.json.4711").write_text("{")
    assert rolecall("lab", "up", "--detach", "--home", str(tmp_path)).returncode == 0
    assert rolecall("lab", "down", "--home", str(tmp_path)).returncode == 0


def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "lab"
    home.mkdir()
    home.chmod(0o777)
    assert rolecall("lab", "up", "--detach", "--home", str(home)).returncode == 0
    rolecall("lab", "down", "--home", str(home))
    assert home.stat().st_mode & 0o077 == 0
    open_to_others = [path for path in (home / "aws.db", home / "home/.aws/credentials") if path.stat().st_mode & 0o077]
    assert open_to_others == []


def test_a_port_in_use(tmp_path: Path, lab: Any) -> None:
    port = json.loads((lab.home / "lab.json").read_text())["port"]
    done = rolecall("lab", "up", "--detach", "--home", str(tmp_path), "--port", str(port))
    assert done.returncode == 1
    assert f"port {port} cannot be used" in done.stderr
    assert "--port PORT" in done.stderr
    assert rolecall("lab", "up", "--detach", "--home", str(tmp_path), "--port", "0").returncode == 0
    assert rolecall("lab", "down", "--home", str(tmp_path)).returncode == 0


def test_a_lab_stays_in_its_partition_and_can_change_its_region(start_lab: Callable[..., Any]) -> None:
    """ARNs carry the partition (IAM user guide, "Amazon Resource Names"): one account is in one."""
    lab = start_lab("--region", "us-gov-west-1")
    own = lab.home / "home" / ".aws" / "config"
    own.write_text(own.read_text() + "cli_pager =\n\n[profile mine]\nregion = us-gov-west-1\n")
    lab.rolecall("lab", "down")
    refused = rolecall("lab", "up", "--detach", "--home", str(lab.home), "--region", "cn-north-1")
    assert refused.returncode == 1
    assert "partition aws-us-gov" in refused.stderr
    lab.rolecall("lab", "up", "--detach", "--region", "us-gov-east-1")
    assert own.read_text() == (
        "[profile lab-admin]\nregion = us-gov-east-1\noutput = json\ncli_pager =\n\n"
        "[profile mine]\nregion = us-gov-west-1\n"
    )


PROFILES = {"111122223333": "lab-admin", "444455556666": "lab-admin-444455556666"}


def test_every_account_has_a_profile_that_is_named(lab: Any) -> None:
    text = (lab.home / "home" / ".aws" / "credentials").read_text()
    for arguments in (("up",), ("status",)):
        shown = rolecall("lab", *arguments, "--home", str(lab.home)).stdout
        assert all(re.search(rf"{account} +(profile )?{name}\n", shown) for account, name in PROFILES.items()), shown
    assert all(f"[{name}]\n" in text for name in PROFILES.values())
    found = json.loads(rolecall("lab", "status", "--home", str(lab.home), "-o", "json").stdout)
    assert {account["id"]: account["profile"] for account in found["accounts"]} == PROFILES


def test_the_document_of_a_lab_with_a_cluster(lab: Any) -> None:
    create_cluster(lab.home, "c1")
    found = json.loads(rolecall("lab", "status", "--home", str(lab.home), "-o", "json").stdout)
    jsonschema.validate(found, schema_of("Lab"))
    assert (found["kind"], found["apiVersion"], found["status"]) == ("Lab", "rolecall/v1", "running")
    shown = [(one["name"], one["account"], one["authenticationMode"]) for one in found["clusters"]]
    assert ("c1", "111122223333", "CONFIG_MAP") in shown


def variables_of(home: Path, *arguments: str) -> dict[str, str]:
    lines = rolecall("lab", "env", "--home", str(home), *arguments).stdout.splitlines()
    return dict(line.removeprefix("export ").split("=", 1) for line in lines)


def create_cluster(home: Path, name: str, **tags: str) -> str:
    """By botocore alone, with nothing but the variables of ``lab env --keys``; its certificate authority as PEM."""
    code = (
        "import base64, botocore.session\n"
        "eks = botocore.session.get_session().create_client('eks')\n"
        f"eks.create_cluster(name={name!r}, roleArn='arn:aws-us-gov:iam::111122223333:role/eks', "
        f"resourcesVpcConfig={{'subnetIds': ['s']}}, tags={ {'owner': 'test', **tags}!r})\n"
        f"eks.get_waiter('cluster_active').wait(name={name!r})\n"
        f"data = eks.describe_cluster(name={name!r})['cluster']['certificateAuthority']['data']\n"
        "print(base64.b64decode(data).decode())\n"
    )
    only = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables_of(home, "--keys")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=only, check=False, timeout=HANGS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_key_and_the_files_come_with_one_set_of_variables(lab: Any) -> None:
    """botocore and the AWS CLI 1 read AWS_DEFAULT_REGION alone (botocore, configprovider.py), others AWS_REGION."""
    keys, files = variables_of(lab.home, "--keys"), variables_of(lab.home)
    common = {name: value for name, value in keys.items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    assert common.keys() == {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"}
    assert common.items() <= files.items()
    assert keys["AWS_DEFAULT_REGION"] == "us-gov-west-1"


def test_a_cluster_can_have_the_authority_of_an_old_one(lab: Any) -> None:
    """EKS clusters first created on Kubernetes 1.17 or earlier: no key identifiers (aws/containers-roadmap 2638)."""
    old, new = (
        x509.load_pem_x509_certificate(create_cluster(lab.home, name, **tags).encode()).extensions
        for name, tags in (("old", {"rolecall-lab/certificate-authority": "old"}), ("new", {}))
    )
    kinds = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    assert [any(isinstance(one.value, kinds) for one in found) for found in (old, new)] == [False, True]
    assert old.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize("name", ["AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL_EKS"])
def test_what_would_spoil_the_key_is_a_warning(lab: Any, name: str) -> None:
    assert f"unset {name}" in rolecall("lab", "env", "--keys", "--home", str(lab.home), **{name: "x"}).stderr


def test_a_running_lab_does_not_change_under_its_users(lab: Any) -> None:
    done = rolecall("lab", "up", "--home", str(lab.home), "--account", "777788889999")
    assert done.returncode == 1
    assert "rolecall lab down" in done.stderr


def test_exit_codes_of_shell_are_the_commands(lab: Any) -> None:
    for command, code in ((["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137), (["no-such-command"], 127)):
        assert rolecall("lab", "shell", "--home", str(lab.home), "--", *command).returncode == code


def test_data_of_a_stopped_lab(tmp_path: Path) -> None:
    rolecall("lab", "up", "--detach", "--home", str(tmp_path))
    rolecall("lab", "down", "--home", str(tmp_path))
    done = rolecall("lab", "status", "--home", str(tmp_path), "-o", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"], found["accounts"]) == (
        3, "stopped", [{"id": "231144931069", "profile": "lab-admin"}]
    )  # fmt: skip
    assert found.keys().isdisjoint({"pid", "endpoint"})
    jsonschema.validate(found, schema_of("Lab"))


def test_down_where_there_is_nothing_says_so(tmp_path: Path) -> None:
    done = rolecall("lab", "down", "--home", str(tmp_path / "typo"))
    assert done.returncode == 0
    assert "no lab" in done.stdout


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_lab_in_the_foreground_stops_when_asked(tmp_path: Path, signal_number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "rolecall", "lab", "up", "--home", str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "Ctrl-C stops it" in process.stdout.readline()
        process.send_signal(signal_number)
        assert process.wait(HANGS) == 0
    assert not (tmp_path / "run.json").exists()


def test_help_is_plain_where_it_is_piped() -> None:
    done = rolecall("lab", "up", "--help")
    assert done.stdout.isascii()
    assert "rolecall lab up --kubernetes real" in done.stdout
    assert done.stderr == ""


def test_the_next_command_is_one_that_can_be_typed(lab: Any) -> None:
    """Who runs it from a virtual environment that is not active has no ``rolecall`` on the PATH."""
    done = rolecall("lab", "up", "--home", str(lab.home), PATH="/usr/bin:/bin")
    assert f"python -m rolecall lab shell --home {lab.home}" in done.stdout
    on_path = str(Path(sys.executable).parent)
    assert "  try           rolecall lab" in rolecall("lab", "up", "--home", str(lab.home), PATH=on_path).stdout


def test_what_takes_a_while_says_so_on_a_terminal_alone(tmp_path: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "rolecall", "lab", "up", "--detach", "--home", str(tmp_path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=follower, text=True, timeout=HANGS, check=True)
    shown = os.read(leader, 65_536).decode()
    os.close(leader)
    os.close(follower)
    rolecall("lab", "down", "--home", str(tmp_path))
    assert "starting the lab" in shown
    assert done.stdout.startswith(f"lab {tmp_path} is up\n")


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_shell_says_where_it_is_and_has_rolecall_on_its_path(lab: Any, shell: str) -> None:
    """README, "Do it by hand": the commands after `rolecall lab shell` are typed as they stand."""
    found = shutil.which(shell)
    assert found is not None
    variables = {"SHELL": found, "PATH": "/usr/bin:/bin", "TERM": "dumb"}
    shown = typed(["lab", "shell", "--home", str(lab.home)], 'rolecall --version; echo "<$AWS_PROFILE>"\n', variables)
    assert "(rolecall lab) " in shown
    assert "rolecall 0." in shown
    assert "<lab-admin>" in shown
    assert "Account 444455556666: --profile lab-admin-444455556666" in shown


def typed(arguments: list[str], text: str, variables: dict[str, str]) -> str:
    """What a terminal shows when a person types ``text`` and leaves."""
    import pty

    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "rolecall", *arguments],
        stdin=follower, stdout=follower, stderr=follower, env={**os.environ, **variables}, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(follower)
        os.write(leader, f"{text}exit\n".encode())
        shown = b""
        while True:
            try:
                chunk = os.read(leader, 65_536)
            except OSError:  # Linux: the other side is closed
                break
            if not chunk:
                break
            shown += chunk
        assert process.wait(HANGS) == 0
    os.close(leader)
    return shown.decode()


def test_another_rolecall_on_the_path_is_not_taken(tmp_path: Path) -> None:
    """The lab's shell has the rolecall that runs the lab, at the end of the PATH if no other one is there."""
    own = str(Path(sys.executable).parent)
    assert with_rolecall("/usr/bin:/bin") == f"/usr/bin:/bin:{own}"
    assert with_rolecall(f"/usr/bin:{own}") == f"/usr/bin:{own}"
    other = tmp_path / "rolecall"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert with_rolecall(f"{tmp_path}:/bin") == f"{own}:{tmp_path}:/bin"


COMMANDS = ("up", "down", "status", "reset", "env", "shell", "tour", "build-kubernetes")


def test_help_of_each_command_has_examples_and_exit_codes() -> None:
    """STYLE: a summary of at most 50 characters, two examples, exit codes."""
    group = typer.main.get_command(lab_app)
    assert set(group.commands) == set(COMMANDS)
    for name, command in group.commands.items():
        text = command.help or ""
        summary = text.splitlines()[0]
        assert len(summary) <= 50, summary
        assert text.count(f"rolecall lab {name}") >= 2, name
        assert "Exit codes: " in text, name
