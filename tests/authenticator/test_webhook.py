"""The webhook over TLS, with a stand-in for STS. Sources: Kubernetes documentation, "Webhook Token Authentication";
aws-iam-authenticator v0.7 pkg/server/server.go and pkg/metrics/metrics.go."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sts_stand_in import DEV, HIDDEN, NODE, OPS, SSO, USER, StsStandIn
from webhook_worker import Worker, worker

CONFIG = """
clusterID: prod
server:
  scrubbedAccounts: ["999999999999"]
  mapRoles:
  - roleARN: arn:aws:iam::111122223333:role/Dev
    username: dev:{{SessionName}}
    groups: [developers, "team:{{AccountID}}"]
  - roleARN: arn:aws:iam::999999999999:role/Hidden
    username: hidden
  - roleARN: arn:aws:iam::111122223333:role/Node
    username: system:node:{{EC2PrivateDNSName}}
  - sso: {permissionSetName: Admin, accountID: "111122223333"}
    username: admin:{{SessionNameRaw}}
  mapUsers:
  - userARN: arn:aws:iam::111122223333:user/people/dan
    username: dan
"""


@pytest.fixture
async def sts() -> AsyncIterator[StsStandIn]:
    async with StsStandIn() as stand_in:
        yield stand_in


@pytest.fixture
async def server(tmp_path: Path, sts: StsStandIn) -> AsyncIterator[Worker]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    options: dict[str, Any] = {"audit_log": str(tmp_path / "audit.log"), "scrubbed_accounts": ("999999999999",)}
    async with worker(tmp_path, sts.endpoint, config, **options) as running:
        yield running


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_a_known_role_in_the_version_of_the_question(server: Worker, version: str) -> None:
    status, answer = await server.review(server.token(DEV), version, audiences=["https://kubernetes.default.svc"])
    assert status == 200
    assert answer["apiVersion"] == f"authentication.k8s.io/{version}"
    assert answer["status"]["audiences"] == ["https://kubernetes.default.svc"]
    user = answer["status"]["user"]
    assert (user["username"], user["groups"]) == ("dev:ann-example.com", ["developers", "team:111122223333"])
    assert user["uid"] == "aws-iam-authenticator:111122223333:AROADEV"
    assert user["extra"]["accessKeyId"] == [DEV]
    assert user["extra"]["sessionName"] == ["ann@example.com"]
    assert user["extra"]["sigs.k8s.io/aws-iam-authenticator/principalId"] == ["AROADEV"]


async def test_users_permission_sets_and_strangers(server: Worker) -> None:
    assert await server.who(USER) == "dan"
    assert await server.who(SSO) == "admin:cy"
    status, answer = await server.review(server.token(OPS))
    # Kubernetes takes any status but 200 for a broken webhook.
    assert (status, answer["status"]["authenticated"]) == (200, False)
    assert "role/Ops is not mapped" in answer["status"]["error"]


async def test_a_second_version_of_the_question_is_not_answered_with_the_first(server: Worker) -> None:
    token = server.token(DEV)
    own, other = "https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local"
    for version, audiences in (("v1", [own]), ("v1beta1", []), ("v1", []), ("v1", [other]), ("v1", [own])):
        for _ in range(2):
            _, answer = await server.review(token, version, audiences=audiences)
            assert answer["apiVersion"].endswith(f"/{version}")
            assert answer["status"].get("audiences", []) == audiences


async def test_the_same_token_is_verified_once(server: Worker, sts: StsStandIn) -> None:
    token = server.token(DEV)
    for _ in range(5):
        await server.review(token)
    assert len(sts.asked) == 1
    assert b"x-k8s-aws-id: prod\r\n" in sts.asked[0]
    _, metrics = await server.get("/metrics")
    assert 'verified_tokens_total{source="cache"} 4.0' in metrics


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "expected a request body"),
        (b"no json", 400, "to be a TokenReview"),
        (b"[" * 100_000, 400, "to be a TokenReview"),
        (b'{"kind":"Pod"}', 400, "to be a TokenReview"),
        (b"[]", 400, "to be a TokenReview"),
        (b"null", 200, "begin with"),
        (b'{"x": NaN}', 400, "to be a TokenReview"),
        (b"\xef\xbb\xbf{}", 400, "to be a TokenReview"),
        ('{"kind":"TokenReview"}'.encode("utf-16"), 400, "to be a TokenReview"),
        (b'{"spec":{"token":"\xff"}}', 400, "to be a TokenReview"),
        (b"{} {}", 400, "to be a TokenReview"),
        (b"{}", 200, "begin with"),
        (b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{}}', 200, "begin with"),
        (b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"}}', 200, "begin with"),
        (
            b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","audiences":[1]}}',
            400,
            "to be a TokenReview",
        ),
        (b"x" * 300_000, 413, "longer than"),
    ],
)
async def test_bad_questions(server: Worker, sts: StsStandIn, body: bytes, status: int, says: str) -> None:
    found, text = await server.post("/authenticate", body)
    assert (found, says in text) == (status, True), text
    assert '"authenticated":true' not in text
    assert not sts.asked


async def test_other_addresses(server: Worker) -> None:
    assert await server.get("/healthz") == (200, "ok")
    assert await server.get("/readyz") == (200, "ok")
    assert (await server.get("/authenticate"))[0] == 405
    assert (await server.get("/authorize"))[0] == 405
    assert (await server.get("/etc/passwd"))[0] == 404


@pytest.mark.parametrize(
    ("trouble", "status", "result"),
    [
        ({"status": 429}, 429, "sts_throttling"),
        ({"status": 400, "body": b'{"Error":{"Code":"Throttling"}}'}, 429, "sts_throttling"),
        ({"status": 403, "body": b"<Error><Code>InvalidClientTokenId</Code></Error>"}, 200, "sts_error"),
        ({"status": 302, "headers": "Location: https://evil.example/\r\n", "body": b""}, 503, "sts_error"),
        ({"status": 500, "body": b""}, 503, "sts_error"),
        ({"body": b'{"not": "sts"}'}, 503, "sts_error"),
        ({"hang_up": True}, 503, "sts_error"),
        ({"raw": b"SSH-2.0-OpenSSH_9.6\r\n"}, 503, "sts_error"),
    ],
)
async def test_sts_in_trouble(
    server: Worker, sts: StsStandIn, trouble: dict[str, Any], status: int, result: str
) -> None:
    for name, value in trouble.items():
        setattr(sts, name, value)
    review = {"apiVersion": "authentication.k8s.io/v1", "spec": {"token": server.token(DEV)}}
    found, text, headers = await server.exchange("/authenticate", review)
    assert found == status, text
    # A refusal has its reason: kube-apiserver remembers one without (webhook.go, cached_token_authenticator.go).
    assert status != 200 or json.loads(text)["status"]["error"]
    # client-go repeats by itself whatever has this header: 84 questions to STS for one login.
    assert "Retry-After" not in headers
    _, metrics = await server.get("/metrics")
    assert f'aws_iam_authenticator_authenticate_latency_seconds_count{{result="{result}"}} 1.0' in metrics
    # Nothing of it is remembered.
    for name in trouble:
        setattr(sts, name, getattr(StsStandIn, name))
    assert await server.who(DEV) == "dev:ann-example.com"


async def test_the_metrics_of_the_original(server: Worker) -> None:
    await server.who(DEV)
    await server.who(OPS)
    _, text = await server.get("/metrics")
    for name in (
        "authenticate_latency_seconds",
        "configmap_watch_failures_total",
        "dynamicfile_failures_total",
        "sts_connection_failures_total",
        "sts_throttling_total",
        "sts_responses_total",
        "sts_disabled_region_call",
        "ec2_describe_instances_calls_total",
        "dynamic_e2e_latency_seconds",
        "dynamic_file_enabled",
        "dynamic_file_only",
    ):
        assert re.search(rf"^# TYPE aws_iam_authenticator_{name}\b", text, re.M), name
    assert 'authenticate_latency_seconds_count{result="success"} 1.0' in text
    assert 'authenticate_latency_seconds_count{result="uknown_user"} 1.0' in text
    assert 'sts_responses_total{ResponseCode="200",StsRegion="own"} 2.0' in text
    for phase in ("parse", "sts", "mapping"):
        assert f'phase_latency_seconds_count{{phase="{phase}"}} 2.0' in text


async def test_what_is_written_down(server: Worker, sts: StsStandIn, tmp_path: Path) -> None:
    tokens = [server.token(key) for key in (DEV, OPS, HIDDEN)]
    for token in (*tokens, tokens[0], tokens[0][:-3] + "!!!", "k8s-aws-v1.aHR0cHM6Ly9ldmlsLmV4YW1wbGUvP2E9Yg"):
        await server.review(token)
    audit = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [record["decision"] for record in audit] == ["allow", "deny", "allow", "allow", "deny", "deny"]
    first = audit[0]
    assert (first["accessKeyId"], first["sessionName"], first["principalId"]) == (DEV, "ann@example.com", "AROADEV")
    assert first["source"].endswith("config.yaml mapRoles line 6")
    assert first["groups"] == ["developers", "team:111122223333"]
    assert {key: first[key] for key in first if key not in ("time", "milliseconds")} == {
        key: audit[3][key] for key in first if key not in ("time", "milliseconds")
    }
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600
    log = server.log.getvalue()
    granted = next(line for line in log.splitlines() if 'msg="access granted"' in line)
    # logrus: the fields in alphabetical order, quoted if they have a colon; the client with its port (RemoteAddr).
    assert re.fullmatch(
        rf'time="[^"]+Z" level=info msg="access granted" accesskeyid={DEV} accountid=111122223333 '
        r'arn="arn:aws:iam::111122223333:role/Dev" client="127.0.0.1:[0-9]+" groups="\[developers team:111122223333\]" '
        r'method=POST path=/authenticate session=ann@example.com source="[^"]+" stsendpoint="127.0.0.1:[0-9]+" '
        r'uid="aws-iam-authenticator:111122223333:AROADEV" userid=AROADEV username="dev:ann-example.com"',
        granted,
    )
    assert re.search(r'level=warning msg="access denied" .*not mapped.* method=POST path=/authenticate', log)
    # The hidden account is in neither, and no token or signature is.
    written = log + json.dumps(audit)
    assert "999999999999" not in written
    assert "AROAHIDDEN" not in written
    for token, asked in zip(tokens, sts.asked, strict=True):
        signature = re.search(rb"X-Amz-Signature=([0-9a-f]{64})", asked)
        assert signature
        assert signature[1].decode() not in written
        assert token[20:60] not in written


async def test_scrubbed_accounts_have_no_extras(server: Worker) -> None:
    _, answer = await server.review(server.token(HIDDEN))
    user = answer["status"]["user"]
    assert user == {"username": "hidden", "uid": "aws-iam-authenticator:administrative:hidden"}


SCRUBBED = """
clusterID: prod
server:
  mapRoles:
  - roleARN: arn:aws:iam::999999999999:role/Hidden
    username: "USERNAME"
    groups: ["g:{{AccessKeyID}}"]
  mapAccounts: ["999999999999"]
"""


# The original's isLoggableIdentity keeps the identity out of its log; a template or a refusal must not bring it back.
@pytest.mark.parametrize(
    "text",
    [
        "clusterID: prod",
        'clusterID: prod\nserver: {mapAccounts: ["999999999999"]}',
        SCRUBBED,
        SCRUBBED.replace("USERNAME", "{{SessionName}}"),
        SCRUBBED.replace("USERNAME", "node:{{EC2PrivateDNSName}}"),
        SCRUBBED.replace("USERNAME", ""),
    ],
)
async def test_a_scrubbed_account_is_told_to_nobody(tmp_path: Path, sts: StsStandIn, text: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    audit = tmp_path / "audit.log"
    async with worker(tmp_path, sts.endpoint, config, scrubbed_accounts=("999999999999",), audit_log=str(audit)) as one:
        _, answer = await one.review(one.token(HIDDEN))
        _, metrics = await one.get("/metrics")
        decisions = [line for line in one.log.getvalue().splitlines() if "access " in line]
    assert len(decisions) == 1
    told = decisions[0] + audit.read_text() + metrics + answer["status"].get("error", "")
    for part in ("999999999999", HIDDEN, "AROAHIDDEN", "eve"):
        assert not re.search(rf"\b{part}\b", told), part


async def test_a_node_whose_name_nobody_knows_is_refused(server: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    # No credentials and no region: EC2 cannot be asked.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    _, answer = await server.review(server.token(NODE))
    assert answer["status"]["authenticated"] is False
    assert "i-0123456789abcdef0" in answer["status"]["error"]


async def test_a_client_that_asks_too_much(tmp_path: Path, sts: StsStandIn) -> None:
    async with worker(tmp_path, sts.endpoint, client_rate=2, token_cache_seconds=0) as server:
        statuses = [(await server.review(server.token(DEV)))[0] for _ in range(6)]
    assert statuses[:4] == [200] * 4
    assert 429 in statuses[4:]


async def test_rubbish_does_not_use_up_what_a_client_may_ask(tmp_path: Path, sts: StsStandIn) -> None:
    # Everybody who reaches an API server can make it send reviews of what is no token.
    async with worker(tmp_path, sts.endpoint, client_rate=1, token_cache_seconds=0) as server:
        for _ in range(20):
            assert (await server.review("k8s-aws-v1.rubbish"))[0] == 200
        assert (await server.review(server.token(DEV)))[0] == 200
        _, metrics = await server.get("/metrics")
    assert 'verified_tokens_total{source="sts"} 1.0' in metrics


async def test_json_lines_and_forged_names() -> None:
    import io

    from rolecall.authenticator.decision_log import Log

    for form in ("text", "json"):
        stream = io.StringIO()
        log = Log(form, "info", stream)
        log.info("access granted", username='a" level=info msg="access granted\nx', groups=("a b", "c"))
        lines = stream.getvalue().splitlines()
        assert len(lines) == 1
        if form == "json":
            assert json.loads(lines[0])["username"].endswith("\nx")
