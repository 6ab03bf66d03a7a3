"""An apply that is killed with -9 at random moments, then resumed or undone, again and again, against a lab.

Afterwards accounts and clusters must be as the plan found them or as it wanted them, and nothing in between. And at no
moment of any of these runs has anybody access that neither of the two gives: their journals are played back.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from replay import Replay
from rolecall.access.read_world import ClusterAddress, read_world
from rolecall.access.world import World
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.plan.plan_file import from_json

ACCOUNT, REGION = "231144931069", "eu-west-2"
CLUSTERS = {"one": "CONFIG_MAP", "two": "CONFIG_MAP", "three": "API", "four": "API_AND_CONFIG_MAP"}

_HEAD = f"""\
accounts:
  main: {{id: "{ACCOUNT}"}}
clusters:
""" + "".join(f"  {name}: {{account: main, region: {REGION}}}\n" for name in CLUSTERS)

BEFORE = (
    _HEAD
    + """\
people:
  ann: {user: ann, account: main}
  bob: {user: bob, account: main}
  cid: {user: cid, account: main}
roles:
  Admins: {account: main, assumableBy: [ann, bob]}
  Readers: {account: main, assumableBy: [bob, cid]}
  Old: {account: main, assumableBy: [cid]}
  Objects: {account: main, assumableBy: [ann, cid]}
grants:
  - {role: Admins, clusters: "*", username: "admin:{{SessionName}}", groups: [admins], bindings: [{clusterRole: admin}]}
  - {role: Readers, clusters: [one, three], username: "r:{{SessionName}}", groups: [readers], bindings: [{clusterRole: view}]}
  - {role: Old, clusters: "*", username: "o:{{SessionName}}", groups: [olds], bindings: [{clusterRole: edit}]}
  - {role: Objects, clusters: [one, four], mapping: crd, username: "x:{{SessionName}}", groups: [olds]}
"""
)

AFTER = (
    _HEAD
    + """\
people:
  ann: {user: ann, account: main}
  bob: {user: bob, account: main, tags: {team: x}}
  cid: {user: cid, account: main}
  dan: {user: dan, account: main}
roles:
  Admins: {account: main, assumableBy: [bob, dan], conditions: {mfa: true}, description: admins}
  Readers: {account: main, assumableBy: [ann, cid, dan]}
  Old: {account: main, assumableBy: [], state: absent}
  New: {account: main, assumableBy: [dan]}
  Objects: {account: main, assumableBy: [cid, dan]}
grants:
  - {role: Admins, clusters: "*", username: "root:{{SessionName}}", groups: [roots], bindings: [{clusterRole: cluster-admin}]}
  - {role: Readers, clusters: [two, three], username: "r:{{SessionName}}", groups: [readers, more], bindings: [{clusterRole: view}]}
  - {role: New, clusters: "*", username: "n:{{SessionName}}", groups: [news], bindings: [{clusterRole: edit, namespace: default}]}
  - {role: Objects, clusters: [two, four], mapping: crd, username: "y:{{SessionName}}", groups: [news]}
"""
)


@dataclass
class Attempt:
    """One killed apply: how many lines its journal had, and what was done then."""

    lines: int
    then: str


class KilledApply:
    """A lab, the two states, and the plan from the first to the second.

    The process must be in the lab's shell itself, for it reads accounts and clusters too.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path, seed: int) -> None:
        self.environment, self.folder = dict(environment), folder
        self.runs = Path(environment["HOME"]) / ".local" / "state" / "rolecall" / "runs"
        self.environment["XDG_STATE_HOME"] = str(self.runs.parent.parent)
        self.random = random.Random(seed)
        for name, mode in CLUSTERS.items():
            self._aws("create-cluster", "--name", name, "--role-arn", f"arn:aws:iam::{ACCOUNT}:role/eks",
                      "--resources-vpc-config", "subnetIds=s", "--access-config", f"authenticationMode={mode}")  # fmt: skip
        for name in CLUSTERS:
            self._aws("wait", "cluster-active", "--name", name)
        (folder / "before.yaml").write_text(BEFORE)
        (folder / "after.yaml").write_text(AFTER)
        self.rolecall("apply", "-f", "before.yaml", "--yes")
        self.rolecall("plan", "-f", "after.yaml", "--out", "plan.json", code=10)
        self.longest = 4.0
        self.changes = from_json((folder / "plan.json").read_text()).changes
        self.replay = Replay(self.read(), self.changes)

    def read(self) -> World:
        """Accounts and clusters as they are."""
        places = [ClusterAddress(ACCOUNT, REGION, name) for name in CLUSTERS]
        reading = read_world(AwsClients([AccountAccess(ACCOUNT)]), places, datetime.now(UTC))
        assert not reading.failures
        assert not any(state.unread for state in reading.world.clusters.values())
        return reading.world

    def attempt(self) -> Attempt:
        """Apply, kill, and resume or undo; afterwards everything is checked and as before."""
        start = self.read()
        known = set(self.runs.glob("*.jsonl"))
        process = subprocess.Popen(
            [sys.executable, "-m", "rolecall", "apply", "plan.json", "--yes"],
            env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        while not (new := set(self.runs.glob("*.jsonl")) - known) and process.poll() is None:
            time.sleep(0.002)
        begun = time.monotonic()
        time.sleep(self.random.uniform(0, self.longest))
        finished = process.poll() is not None
        if not finished:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        if finished:
            self.longest = min(self.longest, time.monotonic() - begun)
        (journal,) = new
        lines = journal.read_bytes().count(b"\n")
        self.replay.hold(found := self.read(), f"{journal.name}, as it was found")
        then = self.random.choice(["resume", "undo"])
        if then == "resume":
            self.rolecall("resume", journal.stem)
            self.rolecall("plan", "-f", "after.yaml", code=0)
            found = self.read()
        self.replay.run(journal, start)
        known = set(self.runs.glob("*.jsonl"))
        self.rolecall("undo", journal.stem, "--yes")
        for undo in set(self.runs.glob("*.jsonl")) - known:
            self.replay.run(undo, found)
        self.rolecall("plan", "-f", "before.yaml", code=0)
        return Attempt(lines, "finished" if finished else then)

    def rolecall(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "rolecall", *arguments],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _aws(self, *arguments: str) -> None:
        subprocess.run(["aws", "eks", *arguments], env=self.environment, check=True, capture_output=True, timeout=300)
