"""A lab that writes down what it is asked: every call of AWS and every request to a cluster, one JSON line each.

Run as a program it is ``python -m rolecall.lab.serve`` with a pen in its hand; nothing of the lab is replaced.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolecall.lab.home import LabHome

_READS = ("Get", "List", "Describe")
# Who one is, and where a cluster is: asked once to connect, not about a resource.
_CONNECTING = frozenset({"GetCallerIdentity", "DescribeCluster", "AssumeRole"})


@dataclass
class Requests:
    """Requests by what they were about, such as ``role r in 111122223333``."""

    reads: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    connecting: int = 0

    def most(self, resources: set[str] | None = None) -> tuple[int, int]:
        """Reads and writes of the resource that has most, of these or of all."""
        return tuple(  # type: ignore[return-value]
            max((count for name, count in counts.items() if resources is None or name in resources), default=0)
            for counts in (self.reads, self.writes)
        )


class CountedLab:
    """A lab in a process of its own, and its list of requests."""

    def __init__(self, home: LabHome) -> None:
        self.home = home
        self.list = home.folder.with_name("requests.jsonl")
        reading, writing = os.pipe()
        command = [sys.executable, __file__, str(self.list), "--home", str(home.folder), "--ready-fd", str(writing)]
        with open(home.log, "ab") as log:
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(writing,))
        os.close(writing)
        with os.fdopen(reading) as said:
            ready, _, self.endpoint = said.readline().strip().partition(" ")
        assert ready == "ready", self.endpoint

    def forget(self) -> None:
        """Begin to count anew."""
        os.truncate(self.list, 0)

    def requests(self) -> Requests:
        """What was asked since."""
        found = Requests()
        for line in self.list.read_text().splitlines():
            _count(found, json.loads(line))
        return found


def _count(found: Requests, one: dict[str, Any]) -> None:
    if "path" in one:
        read, name = one["method"] == "GET", f"{one['path']} of {one['cluster']}"
        if one["method"] == "POST":
            name = f"{one['path']}/{one['name']} of {one['cluster']}"
    elif one["operation"] in _CONNECTING:
        found.connecting += 1
        return
    else:
        read, name = one["operation"].startswith(_READS), " ".join(_about(one["parameters"], one["account"]))
    (found.reads if read else found.writes)[name] += 1


def _about(parameters: dict[str, Any], account: str) -> Iterator[str]:
    names = {key[0].lower() + key[1:]: value for key, value in parameters.items()}
    for key in ("userName", "roleName", "policyName", "clusterName", "principalArn"):
        if key in names:
            yield f"{key} {names[key]}"
    yield f"in {account}"


def _serve(path: Path) -> None:
    from rolecall.lab import serve
    from rolecall.lab.aws_endpoint.actions import Action, Call
    from rolecall.lab.aws_endpoint.server import AwsEndpoint
    from rolecall.lab.kubernetes.server import KubernetesApi

    out = path.open("a", buffering=1)
    run, handle = AwsEndpoint._run, KubernetesApi.handle

    def counted_run(self: AwsEndpoint, action: Action, call: Call, params: dict[str, Any]) -> dict[str, Any]:
        named = {key: value for key, value in params.items() if isinstance(value, str) and len(value) < 2_000}
        one = {"operation": action.operation, "account": call.account, "parameters": named}
        out.write(json.dumps(one) + "\n")
        return run(self, action, call, params)

    async def counted_handle(self: KubernetesApi, request: Any) -> Any:
        one = {"cluster": self._name, "method": request.method, "path": request.raw_path.partition("?")[0]}
        response = await handle(self, request)
        if request.method == "POST":
            # What was made says what it is called; the request's body can be read once only.
            one["name"] = json.loads(response.body).get("metadata", {}).get("name", "")
        out.write(json.dumps(one) + "\n")
        return response

    AwsEndpoint._run, KubernetesApi.handle = counted_run, counted_handle  # type: ignore[method-assign]
    serve.main()


if __name__ == "__main__":
    listed = Path(sys.argv.pop(1))
    _serve(listed)
