"""A lab from outside: its administrator's keys, botocore clients, and the bare HTTP of a cluster."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from rolecall.sigv4 import Credentials
from rolecall.tokens.mint import mint

SESSION = botocore.session.Session()
ROLE = "arn:aws:iam::231144931069:role/eks"


def keys(home: Path) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "rolecall", "lab", "env", "--keys", "--home", str(home)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    found = dict(re.fullmatch(r"export (\w+)=(.*)", line).groups() for line in done.stdout.splitlines())  # type: ignore[union-attr]
    assert {
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
    } <= set(found)
    return {name: value.strip("'") for name, value in found.items()}


def client(service: str, found: dict[str, str]) -> Any:
    return SESSION.create_client(
        service,
        region_name=found["AWS_REGION"],
        endpoint_url=found["AWS_ENDPOINT_URL"],
        aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 0, "mode": "standard"}, connect_timeout=2, read_timeout=10),
    )


class Cluster:
    """The API of a cluster, asked with the administrator's token."""

    def __init__(self, home: Path, name: str = "c") -> None:
        found = keys(home)
        eks = client("eks", found)
        if name not in eks.list_clusters()["clusters"]:
            eks.create_cluster(name=name, roleArn=ROLE, resourcesVpcConfig={"subnetIds": ["s"]})
        eks.get_waiter("cluster_active").wait(name=name, WaiterConfig={"Delay": 0, "MaxAttempts": 500})
        self.url = eks.describe_cluster(name=name)["cluster"]["endpoint"]
        credentials = Credentials(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])
        self.token = mint(
            credentials, name, region=found["AWS_REGION"], now=datetime.now(UTC), endpoint=found["AWS_ENDPOINT_URL"]
        ).value

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and body: JSON as it is meant, other text as it is. ``headers`` may bring another Authorization."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type, **(headers or {})}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        context = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                return answer.status, _body(answer)
        except urllib.error.HTTPError as error:
            return error.code, _body(error)


def _body(answer: Any) -> Any:
    text = answer.read().decode()
    return json.loads(text) if answer.headers.get_content_type() == "application/json" else text
