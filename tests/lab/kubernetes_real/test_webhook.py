"""What the lab answers an API server that asks it. Source: Kubernetes documentation, "Webhook Mode"."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rolecall.authenticator.principal_proof import PrincipalProofs
from rolecall.lab.cluster_access import AccessConfig, ClusterAccess, ClusterSpec
from rolecall.lab.kubernetes_real.files import ControlPlaneFiles
from rolecall.lab.kubernetes_real.webhook import MAX_BODY, WebhookServer
from rolecall.mapping.access_entries import AccessEntry, AssociatedPolicy, EntryType, ScopeType
from rolecall.mapping.resolve import EXTRA_PRINCIPAL_ID, AuthenticationMode
from rolecall.tokens.hosts import StsHosts

VIEW = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
ENTRY = AccessEntry(
    "arn:aws:iam::111122223333:role/Dev",
    "AROADEV",
    EntryType.STANDARD,
    "dev",
    (),
    (AssociatedPolicy(VIEW, ScopeType.NAMESPACE, ("team",)),),
)
GET = {"verb": "get", "resource": "configmaps", "version": "v1", "namespace": "team"}


class NoSts:
    async def get_caller_identity(self, call: Any) -> Any:
        raise AssertionError("nobody is to be asked")


class Asked:
    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        self.url, self.context, self.mode = url, context, AuthenticationMode.API

    async def ask(self, path: str, body: Any, token: str = "secret", method: str = "POST") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, headers=headers, ssl=self.context, **data) as answer,
        ):
            return answer.status, await answer.json()


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[Asked]:
    files = ControlPlaneFiles.ensure(tmp_path / "cluster", datetime.now(UTC))
    asked = Asked("", ssl.create_default_context(cafile=files.ca))
    spec = ClusterSpec(
        "c",
        "https://issuer",
        lambda: "1.36",
        NoSts(),
        StsHosts("aws"),
        lambda: AccessConfig(asked.mode, {"AROADEV": ENTRY}),
        lambda: 0,
        lambda: datetime.now(UTC),
    )
    server = WebhookServer(ClusterAccess(spec, lambda: None, list), "secret")
    asked.url = await server.start(files.serving)
    yield asked
    await server.stop()


def review(
    principal: str = "AROADEV", uid: str = "AROADEV", secret: bytes = b"secret", proven: bool = True, **changes: Any
) -> dict[str, Any]:
    uid = f"aws-iam-authenticator:111122223333:{uid}"
    user: dict[str, Any] = {"username": "dev", "uid": uid, "extra": {EXTRA_PRINCIPAL_ID: [principal]}}
    if proven:
        user = PrincipalProofs(secret, "").prove(user, time.time())
    spec = {"user": "dev", "uid": uid, "extra": user["extra"], "resourceAttributes": {**GET, **changes}}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


@pytest.mark.parametrize("token", ["", "other", "secret2", "secre"])
async def test_who_does_not_show_the_token_is_told_nothing(webhook: Asked, token: str) -> None:
    status, found = await webhook.ask("/authorize", review(), token)
    assert (status, found["reason"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("question", "allowed"),
    [
        (review(), True),
        (review(namespace="other"), False),
        (review(verb="delete"), False),
        (review(resource="secrets"), False),
        (review("AROAOTHER"), False),
        # Both the uid and the extra come from the authenticator, and agree.
        (review(uid="AROAOTHER"), False),
        # An impersonator can set both (Impersonate-Extra-...%2fprincipal%49d), but cannot prove them.
        (review(proven=False), False),
        (review(secret=b"other"), False),
    ],
)
async def test_access_policies_allow_and_never_deny(webhook: Asked, question: Any, allowed: bool) -> None:
    status, found = await webhook.ask("/authorize", question)
    assert (status, found["status"]["allowed"]) == (200, allowed)
    assert "denied" not in found["status"]
    assert ("EKS Access Policy" in found["status"].get("reason", "")) is allowed


async def test_without_an_api_mode_entries_do_not_count(webhook: Asked) -> None:
    webhook.mode = AuthenticationMode.CONFIG_MAP
    assert (await webhook.ask("/authorize", review()))[1]["status"]["allowed"] is False


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/authorize", b"{", 400),
        ("POST", "/authorize", b"[]", 400),
        ("POST", "/authorize", b"[" * 100_000, 400),
        ("POST", "/authorize", b'{"kind": "TokenReview"}', 400),
        ("POST", "/authorize", review() | {"apiVersion": "authorization.k8s.io/v9"}, 400),
        ("POST", "/authorize", review() | {"spec": {"user": "dev"}}, 400),
        ("POST", "/authorize", b" " * (MAX_BODY + 1), 413),
        ("POST", "/other", b"{}", 404),
        ("GET", "/authorize", b"", 404),
    ],
)
async def test_what_is_no_review_is_refused(webhook: Asked, method: str, path: str, body: Any, expected: int) -> None:
    status, found = await webhook.ask(path, body, method=method)
    assert (status, found["kind"]) == (expected, "Status"), found


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_a_token_that_is_none_is_an_answer(webhook: Asked, version: str) -> None:
    """A refusal is HTTP 200: for anything else kube-apiserver takes the webhook for broken."""
    question = {"apiVersion": f"authentication.k8s.io/{version}", "kind": "TokenReview", "spec": {"token": "x"}}
    status, found = await webhook.ask("/authenticate", question)
    assert (status, found["status"]["authenticated"]) == (200, False)
    assert found["apiVersion"] == question["apiVersion"]
