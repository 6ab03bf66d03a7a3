"""The credential plugin beside `aws eks get-token` and the bare interpreter, in turns, against a lab.

A round runs every command once, so that whatever else the machine does falls on all of them; the best of the rounds
counts, since noise only slows. Every bar is a ratio to the bare interpreter of the same run.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.session import Session

from measure import Report
from rolecall.lab import control
from rolecall.lab.environment import administrator_key, shell_environment
from rolecall.lab.home import LabHome

ROUNDS = 15
# Times the bare interpreter. (The authenticator's own client, a program in Go, takes 1.8 with static keys and 2.4 with
# a role and nothing kept.)
BARS = {
    "static": ("static keys, nothing kept", 1.8),
    "token": ("a kept token", 2.0),
    "session": ("a new token of a kept role session", 2.0),
    "eks": ("eks get-token, a kept token", 2.0),
    "role": ("a role, nothing kept", 4.0),
}
ACCOUNT = "231144931069"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Dev"
ROLECALL = Path(sys.executable).parent / "rolecall"
AWS = Path(__file__).resolve().parent.parent / ".tools" / "aws" / "bin" / "aws"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/lab-admin"}, "Action": "sts:AssumeRole"}
    ],
}


def prepare(home: LabHome, endpoint: str) -> dict[str, str]:
    """A role and a profile for it; gives the environment of the lab's shell."""
    settings = home.settings()
    key = administrator_key(home, settings)
    iam: Any = Session().create_client(
        "iam",
        region_name=settings.region,
        endpoint_url=endpoint,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )
    iam.create_role(RoleName="Dev", AssumeRolePolicyDocument=json.dumps(TRUST))
    with (home.user_home / ".aws" / "config").open("a") as file:
        file.write(f"\n[profile dev]\nrole_arn = {ROLE}\nsource_profile = lab-admin\nregion = {settings.region}\n")
    return {**shell_environment(home, settings, endpoint, os.environ), "AWS_PROFILE": "dev"}


def milliseconds(command: Sequence[str], variables: Mapping[str, str]) -> float:
    """How long one run takes."""
    # A role with nothing kept asks the lab, which works on the same processors: what it does counts too.
    started = time.perf_counter()
    subprocess.run(command, env=variables, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - started) * 1000


# A process that is forked counts its parent's memory as its own peak: so the parent is a small one.
WAIT = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
print(os.wait4(process, 0)[2].ru_maxrss)
"""


def megabytes(command: Sequence[str], variables: Mapping[str, str]) -> float:
    """The peak memory of one run."""
    small = [sys.executable, "-S", "-E", "-c", WAIT, *command]
    return int(subprocess.run(small, env=variables, capture_output=True, text=True, check=True).stdout) / 1024


def side_by_side(variables: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Best milliseconds, and megabytes, by command."""
    measured: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    for number in range(ROUNDS + 1):
        commands = {
            "bare": [sys.executable, "-c", "pass"],
            "static": [str(ROLECALL), "token", "-i", "kubedemy", "--profile", "lab-admin", "--no-cache"],
            "role": [str(ROLECALL), "token", "-i", "kubedemy", "--no-cache"],
            "token": [str(ROLECALL), "token", "-i", "kubedemy"],
            # A cluster that was not asked for before: the role session is kept, the token is not.
            "session": [str(ROLECALL), "token", "-i", f"cluster-{number}"],
            "eks": [str(ROLECALL), "eks", "get-token", "--cluster-name", "kubedemy"],
            "aws": [str(AWS), "eks", "get-token", "--cluster-name", "kubedemy"],
        }
        for name, command in commands.items():
            measured.setdefault(name, []).append(milliseconds(command, variables))
        if number == 1:
            commands["session"][-1] = "cluster-for-memory"
            peaks = {name: megabytes(command, variables) for name, command in commands.items()}
    # The first round fills the caches of all of them.
    return {name: (min(values[1:]), peaks[name]) for name, values in measured.items()}


def ten_at_once(variables: Mapping[str, str], name: str) -> tuple[float, int]:
    """Seconds until ten of them have a token for a role whose session is not kept, and how many sessions that took."""
    command = [str(ROLECALL), "token", "-i", "kubedemy", "-r", ROLE, "-s", name, "--token-only"]
    started = time.perf_counter()
    processes = [subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) for _ in range(10)]
    tokens = [process.communicate()[0].strip() for process in processes]
    passed = time.perf_counter() - started
    urls = [base64.urlsafe_b64decode(token.removeprefix("k8s-aws-v1.") + "==").decode() for token in tokens]
    return passed, len({re.findall("X-Amz-Credential=([A-Z0-9]+)", url)[0] for url in urls})


def main() -> None:
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        home = LabHome(Path(folder).resolve())
        control.settle(home)
        running = control.start_detached(home)
        try:
            variables = prepare(home, running.endpoint)
            found = side_by_side(variables)
            source = {**variables, "AWS_PROFILE": "lab-admin"}
            seconds, sessions = ten_at_once(source, "ten")
        finally:
            control.stop(home)
    bare = found["bare"][0]
    sys.stdout.write(f"the bare interpreter: {bare:.1f} ms\n")
    for name, (words, bar) in BARS.items():
        ms, megabytes = found[name]
        report.at_most(f"{words}, times the bare interpreter", ms / bare, bar, "x")
        sys.stdout.write(f"  as measured here: {ms:.1f} ms\n")
        report.at_most("  memory", megabytes, 25, "MB")
        report.at_least(
            "  times faster than aws eks get-token", found["aws"][0] / ms, 10 if name == "role" else 15, "x"
        )
    sys.stdout.write(f"aws eks get-token: {found['aws'][0]:.0f} ms, {found['aws'][1]:.0f} MB\n")
    report.at_most("ten at once, role sessions asked of STS", sessions, 1, "")
    sys.stdout.write(f"  in {seconds:.2f} s\n")
    report.end()


if __name__ == "__main__":
    main()
