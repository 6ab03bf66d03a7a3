"""What a change asks of accounts and clusters: each thing that it changes once, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from counted_lab import CountedLab, Requests
from lab_shell import enter
from organisation import REGION, Organisation
from rolecall.aws.session import AwsClients
from rolecall.lab import control
from rolecall.lab.environment import shell_environment
from rolecall.lab.home import LabHome

ORGANISATION = Organisation(accounts=2, clusters=6, people=6, roles=8, mapped=3)
Rolecall = Callable[..., Requests]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("organisation")


@pytest.fixture(scope="module")
def rolecall(folder: Path) -> Iterator[Rolecall]:
    """Run a command with the organisation's lab; what the lab was asked meanwhile."""
    home = LabHome(folder / "lab")
    control.settle(home, accounts=ORGANISATION.accounts, region=REGION)
    lab = CountedLab(home)
    try:
        with pytest.MonkeyPatch.context() as patch:
            environment = shell_environment(home, home.settings(), lab.endpoint, {})
            enter(environment, patch)
            ORGANISATION.seed(AwsClients(ORGANISATION.accesses()))

            def run(*arguments: str) -> Requests:
                lab.forget()
                done = subprocess.run(
                    [sys.executable, "-m", "rolecall", *arguments], env=environment, cwd=folder,
                    capture_output=True, text=True, timeout=300, check=False,
                )  # fmt: skip
                assert done.returncode in (0, 10), f"{arguments}: {done.stdout}{done.stderr}"
                return lab.requests()

            yield run
    finally:
        control.stop(home)


def test_each_thing_once_and_nothing_else(rolecall: Rolecall, folder: Path) -> None:
    accounts = [word for one in ORGANISATION.accesses() for word in ("--account", one.profile)]
    rolecall("import", *accounts, "--region", REGION)
    file = folder / "access.yaml"
    text = file.read_text()
    # Every role gets another username, which changes its mapping on every cluster that has it, two in one aws-auth.
    file.write_text(text.replace('username: "team-', 'username: "of-team-'))
    rolecall("plan", "--out", "plan.json")
    asked = rolecall("apply", "plan.json", "--yes")
    by_config_map = sum(not cluster.by_entries for cluster in ORGANISATION.clusters)
    entries = sum(len(cluster.roles) for cluster in ORGANISATION.clusters if cluster.by_entries)
    config_maps = {name for name in asked.writes if "configmaps/aws-auth" in name}
    assert len(config_maps) == by_config_map
    assert {name for name in asked.writes if "principalArn" not in name} == config_maps
    assert len(asked.writes) == by_config_map + entries
    # What is changed is read by the guards, which look again before a plan of a file is applied, and before it is written.
    assert asked.most(config_maps) == (2, 1)
    assert asked.most()[1] == 1
    # An access entry is read by two calls: the entry, and its policies.
    assert asked.most()[0] <= 4
    # What is not changed is read once, by the guards, and never written.
    unaffected = set(asked.reads) - set(asked.writes)
    assert asked.most({name for name in unaffected if " of cluster-" in name}) == (1, 0)
    assert asked.most({name for name in unaffected if "principalArn" in name}) == (2, 0)

    asked = rolecall("plan")
    assert not asked.writes
    assert asked.most({name for name in asked.reads if " of cluster-" in name})[0] == 1
