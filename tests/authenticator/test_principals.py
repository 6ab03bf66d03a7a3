"""Each kind of principal through the whole server: mapping by id, uid, extras, {{SessionName}}, audit record.
Sources: IAM user guide, "Unique identifiers"; aws-iam-authenticator v0.7 pkg/token/token.go and pkg/server/server.go."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sts_stand_in import DEV, FEDERATED, MALFORMED, ROOT, USER, StsStandIn
from webhook_worker import Worker, worker

A = "111122223333"
ENTRIES = {
    "mapRoles": [{"userid": "AROADEV", "username": "dev:{{SessionName}}"}],
    "mapUsers": [
        {"userid": "AIDADAN", "username": "dan:{{SessionName}}"},
        # The root user's id is the account's, and a federated user's begins with it.
        {"userid": A, "username": "root-admin", "groups": ["system:masters"]},
    ],
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Worker]:
    (tmp_path / "dynamic.json").write_text(json.dumps(ENTRIES))
    async with (
        StsStandIn() as sts,
        worker(
            tmp_path,
            sts.endpoint,
            backend_modes=("DynamicFile",),
            dynamic_file=str(tmp_path / "dynamic.json"),
            user_id_strict=True,
            audit_log=str(tmp_path / "audit.log"),
        ) as running,
    ):
        yield running


async def test_the_entry_of_the_root_user_is_for_the_root_user_alone(server: Worker, tmp_path: Path) -> None:
    found = {key: await server.who(key) for key in (DEV, USER, ROOT, FEDERATED, MALFORMED)}
    assert found == {DEV: "dev:ann-example.com", USER: "dan:", ROOT: "root-admin", FEDERATED: "", MALFORMED: ""}
    records = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [(one["principalId"], one["sessionName"], one["uid"]) for one in records] == [
        ("AROADEV", "ann@example.com", f"aws-iam-authenticator:{A}:AROADEV"),
        ("AIDADAN", "", f"aws-iam-authenticator:{A}:AIDADAN"),
        (A, "", f"aws-iam-authenticator:{A}:{A}"),
        (f"{A}:fred", "", ""),
        ("", "", ""),
    ]
    assert [one["code"] for one in records][-2:] == ["no-mapping", "sts-refused"]


async def test_a_federated_user_keeps_the_whole_id(server: Worker, tmp_path: Path) -> None:
    entry = {"userid": f"{A}:fred", "username": "fred:{{SessionName}}"}
    (tmp_path / "dynamic.json").write_text(json.dumps({"mapUsers": [entry]}))
    await server.until(FEDERATED, "fred:")
    _, answer = await server.review(server.token(FEDERATED))
    user = answer["status"]["user"]
    assert user["uid"] == f"aws-iam-authenticator:{A}:{A}:fred"
    assert user["extra"]["sessionName"] == [""]
    assert user["extra"]["principalId"] == [f"{A}:fred"]
