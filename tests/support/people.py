"""People and roles in a lab, and what a cluster says to their tokens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from raw_cluster import Cluster, client, keys
from rolecall.sigv4 import Credentials
from rolecall.tokens.mint import mint

ACCOUNT = "231144931069"
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
SELF_REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
AWS_AUTH = "/api/v1/namespaces/kube-system/configmaps/aws-auth"
_used: set[tuple[str, str, datetime]] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Login:
    """Credentials of a person or of a role session, with which tokens for a cluster are made."""

    credentials: Credentials
    cluster: str
    region: str
    endpoint: str

    def token(self) -> str:
        """Another token every time: those of one second are the same, and an API server remembers a good one."""
        moment = datetime.now(UTC).replace(microsecond=0)
        with _lock:
            while (self.credentials.access_key_id, self.cluster, moment) in _used:
                moment -= timedelta(seconds=1)
            _used.add((self.credentials.access_key_id, self.cluster, moment))
        return mint(self.credentials, self.cluster, region=self.region, now=moment, endpoint=self.endpoint).value


class People:
    """IAM of a lab, by its administrator, around one cluster."""

    def __init__(self, home: Any, cluster: Cluster | None, name: str) -> None:
        self.found = keys(home)
        self._cluster = cluster
        self.name = name
        self.iam, self.sts, self.eks = (client(service, self.found) for service in ("iam", "sts", "eks"))

    @property
    def cluster(self) -> Cluster:
        assert self._cluster is not None, "the cluster is another one than the lab's"
        return self._cluster

    def role(self, name: str) -> str:
        """A role that the account may assume; its ARN."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "sts:AssumeRole",
        }
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        arn: str = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        return arn

    def assume(self, role: str, session: str = "rita") -> Login:
        found = self.sts.assume_role(RoleArn=role, RoleSessionName=session)["Credentials"]
        return self._login(Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]))

    def user(self, name: str) -> Login:
        self.iam.create_user(UserName=name)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return self._login(Credentials(key["AccessKeyId"], key["SecretAccessKey"]))

    def _login(self, credentials: Credentials) -> Login:
        return Login(credentials, self.name, self.found["AWS_REGION"], self.found["AWS_ENDPOINT_URL"])

    def whoami(self, login: Login, **headers: str) -> tuple[int, dict[str, Any]]:
        """Status, and the user where there is one."""
        sent = {"Authorization": f"Bearer {login.token()}", **headers}
        status, found = self.cluster.send("POST", WHOAMI, SELF_REVIEW, headers=sent)
        return status, found["status"]["userInfo"] if status == 201 else found

    def may(self, login: Login, method: str, path: str, **headers: str) -> int:
        return self.cluster.send(method, path, headers={"Authorization": f"Bearer {login.token()}", **headers})[0]

    def write_aws_auth(self, **sections: str) -> None:
        """Replace the ConfigMap, or make it."""
        metadata = {"name": "aws-auth", "namespace": "kube-system"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": sections}
        status, found = self.cluster.send("PUT", AWS_AUTH, body)
        if status == 404:
            status, found = self.cluster.send("POST", AWS_AUTH.removesuffix("/aws-auth"), body)
        assert status in (200, 201), found


def within(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the limit is for hangs alone."""
    ends = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < ends, "not so within 300 s"
        time.sleep(0.02)
