"""Every command line of README, docs and help is one that the program takes; the pages' blocks are run in a lab."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raw_cluster import client, keys
from rolecall.cli.commands import COMMANDS
from rolecall.cli.lazy import load_command
from rolecall.exec_plugin.arguments import command_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ACCOUNT, REGION = "111122223333", "eu-west-2"


def blocks(page: Path) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)


def lines(text: str) -> Iterator[str]:
    """The commands of a block, each whole; what is shown as optional is left out."""
    for line in text.replace("\\\n", " ").split("\n"):
        words = re.sub(r"\s\[[A-Z]+\]", "", line.strip().removeprefix(".venv/bin/"))
        if words.startswith("rolecall ") and "|delete|" not in words and not words.endswith("..."):
            yield words


def written() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in blocks(page):
            yield from ((page.name, line) for line in lines(block))
    for name, command in COMMANDS.items():
        pending = [] if command.pass_on else [load_command(command, None)]
        while pending:
            one = pending.pop()
            pending += getattr(one, "commands", {}).values()
            yield from ((name, line) for line in lines(one.help or ""))


@pytest.mark.parametrize("place_and_line", sorted(set(written())), ids=lambda one: f"{one[0]}: {one[1][:60]}")
def test_the_program_takes_it(place_and_line: tuple[str, str]) -> None:
    """Its options and arguments are read as the command itself reads them; nothing is carried out."""
    for part in re.split(r" \|\|? | && | > | < ", place_and_line[1]):
        words = shlex.split(part, comments=True)
        if not words or words[0] != "rolecall" or {"--help", "--version"} & set(words):
            continue
        if command_of(words[1:]):
            continue
        command = load_command(COMMANDS[words[1]], None)
        rest, context = words[2:], None
        while True:
            with command.make_context(words[1], list(rest), parent=context) as made:
                if not hasattr(command, "commands"):
                    break
                _, command, rest = command.resolve_command(made, list(rest))
                context = made


@pytest.fixture(scope="module")
def page(start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Types the blocks of a page, line by line, in a lab with the names that the pages use."""
    running = start_lab("--account", ACCOUNT, "--region", REGION)
    found = keys(running.home)
    folder = tmp_path_factory.mktemp("reader")
    environment = {**running.environment(), "KUBECONFIG": str(folder / "kubeconfig"), "XDG_STATE_HOME": str(folder)}
    eks, iam = client("eks", found), client("iam", found)
    allow = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    for path, name in (("/", "Dev"), ("/team/", "Dev2"), ("/", "Admins")):
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust)
    for name in ("prod", "prod-2"):
        eks.create_cluster(
            name=name, roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks", resourcesVpcConfig={"subnetIds": ["subnet-1"]},
            accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"},
        )  # fmt: skip
        eks.get_waiter("cluster_active").wait(name=name, WaiterConfig={"Delay": 1})
        subprocess.run(["aws", "eks", "update-kubeconfig", "--name", name, "--alias", name], env=environment, check=True, capture_output=True)  # fmt: skip

    def typed(*commands: str, codes: tuple[int, ...] = (0,)) -> list[str]:
        shown = []
        for command in commands:
            done = subprocess.run(["bash", "-c", command], env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
            assert done.returncode in codes, f"{command}: {done.returncode} {done.stdout}{done.stderr}"
            assert "Traceback" not in done.stderr
            shown.append(done.stdout)
        return shown

    return typed


def of(name: str, number: int) -> list[str]:
    return list(lines(blocks(ROOT / "docs" / name)[number]))


def test_the_page_about_aws_auth(page: Callable[..., list[str]]) -> None:
    # The file and the entries that the page speaks of.
    page("kubectl config use-context prod")
    page("rolecall aws-auth set arn:aws:iam::111122223333:user/ann --username ann --group developers")
    page(
        "kubectl -n kube-system get configmap aws-auth -o yaml > aws-auth.yaml; rolecall aws-auth fmt -f aws-auth.yaml"
    )
    page(*of("aws-auth.md", 0), codes=(0, 1))
    entries = [line.replace("role/team/Dev ", "role/team/Dev2 ") for line in of("aws-auth.md", 1)]
    page("kubectl config rename-context prod-2 spare", *entries)


def test_the_pages_about_ones_own_files_and_rights(page: Callable[..., list[str]]) -> None:
    page(*of("client-side.md", 0), *of("client-side.md", 1), codes=(0, 1))
    page(*of("permissions.md", 0))


def test_the_page_about_access_as_code(page: Callable[..., list[str]]) -> None:
    new, _import, *rest = of("access-as-code.md", 0)
    page(new, *rest[:2], codes=(0, 10))
    page("rolecall apply --yes", "rolecall plan --out plan.json", "rolecall apply plan.json --yes", "rolecall runs")
    grants = of("access-as-code.md", 2)
    page("rolecall grant bob --user --role ClusterAdmins --yes")
    page(*(f"{line.replace('Viewers', 'ClusterAdmins').replace('prod-2', 'prod').partition('#')[0]} --dry-run" for line in grants[:2]), codes=(0, 10))  # fmt: skip
    page("rolecall revoke bob --everywhere --yes", "rolecall undo --yes", *of("access-as-code.md", 3), codes=(0, 10))
