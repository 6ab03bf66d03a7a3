"""Mappings that change while the server runs: files, the order of backends, certificates, access entries.
Sources: facts/pains.md 1 (lockout by one bad edit); aws-iam-authenticator v0.7 pkg/fileutil and pkg/mapper."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rolecall.authenticator import cluster_sources
from rolecall.authenticator.certificates import make_certificate
from rolecall.authenticator.decision_log import AuditLog
from rolecall.authenticator.metrics import Metrics
from rolecall.authenticator.principal_proof import EXTRA_PROOF
from rolecall.authenticator.private_dns import PrivateDnsNames
from rolecall.authenticator.token_reviews import PrivateDnsError
from rolecall.clusters.errors import ClusterError
from rolecall.mapping.backends.entry_table import MatchOptions
from rolecall.model import KubernetesUser
from sts_stand_in import DEV, OPS, StsStandIn
from webhook_worker import worker

# "a mapping change is in force within two seconds"
REVIEW = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}


@pytest.fixture
async def sts() -> AsyncIterator[StsStandIn]:
    async with StsStandIn() as stand_in:
        yield stand_in


def config(username: str, role: str = "Dev") -> str:
    return (
        "clusterID: prod\nserver:\n  mapRoles:\n"
        f"  - roleARN: arn:aws:iam::111122223333:role/{role}\n    username: {username}\n"
    )


async def test_a_mounted_file_that_changes_breaks_and_goes(tmp_path: Path, sts: StsStandIn) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config("one"))
    async with worker(tmp_path, sts.endpoint, path) as server:
        assert await server.who(DEV) == "one"
        path.write_text(config("two"))
        await server.until(DEV, "two")
        # As a kubelet changes a mounted ConfigMap: by a link to another folder.
        (tmp_path / "new").write_text(config("three"))
        os.replace(tmp_path / "new", path)
        await server.until(DEV, "three")
        path.write_text(config("four").replace("    username: four", "    groups: {a: b}"))
        await server.logged('line="mapRoles line 5"')
        assert await server.who(DEV) == "three"
        log = server.log.getvalue()
        assert 'line="mapRoles line 5"' in log
        assert "the last good mapping stays in force" in log
        _, metrics = await server.get("/metrics")
        assert 'mapping_broken{backend="MountedFile"} 1.0' in metrics
        path.unlink()
        await server.logged("mapping is gone: the last good one stays in force")
        assert await server.who(DEV) == "three"
        path.write_text(config("five"))
        await server.until(DEV, "five")
        _, metrics = await server.get("/metrics")
        assert 'mapping_broken{backend="MountedFile"} 0.0' in metrics
        # A removal is in force at once, also for a token that was verified a moment ago.
        path.write_text(config("six", "Other"))
        await server.until(DEV, "")


async def test_a_file_that_is_being_written_changes_nothing_until_it_is_there(tmp_path: Path, sts: StsStandIn) -> None:
    """open(2), O_TRUNC: a shell's ``>`` and most editors empty a file before they fill it."""
    path = tmp_path / "config.yaml"
    path.write_text(config("one"))
    text = config("two")
    seen = set()
    async with worker(tmp_path, sts.endpoint, path, token_cache_seconds=0) as server:
        with path.open("w") as file:
            # Every line makes another file that could be meant: without mappings, or with a name that is cut off.
            for character in text:
                file.write(character)
                file.flush()
                await asyncio.sleep(0.01)
                seen.add(await server.who(DEV))
        assert seen == {"one"}
        await server.until(DEV, "two")
        path.write_text("")
        await server.logged("mapping is gone: the last good one stays in force")
        assert await server.who(DEV) == "two"
        assert "mapping is gone: the last good one stays in force" in server.log.getvalue()
        path.write_text(text)
        await server.logged("mapping is in force", 3)
        _, metrics = await server.get("/metrics")
        assert 'mapping_broken{backend="MountedFile"} 0.0' in metrics


async def test_what_is_gone_may_be_emptied(tmp_path: Path, sts: StsStandIn) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config("one"))
    async with worker(tmp_path, sts.endpoint, path, missing_map="empty") as server:
        assert await server.who(DEV) == "one"
        path.unlink()
        await server.until(DEV, "")


async def test_the_dynamic_file_and_the_order_of_backends(tmp_path: Path, sts: StsStandIn) -> None:
    mounted, dynamic, order = tmp_path / "config.yaml", tmp_path / "dynamic.json", tmp_path / "order.json"
    mounted.write_text(config("mounted"))
    options: dict[str, Any] = {
        "backend_modes": ("DynamicFile", "MountedFile"),
        "dynamic_file": str(dynamic),
        "user_id_strict": True,
        "dynamic_backend_mode_file": str(order),
    }
    async with worker(tmp_path, sts.endpoint, mounted, **options) as server:
        # It is not there yet: the next backend is asked.
        assert await server.who(DEV) == "mounted"
        entry = {"username": "dynamic", "userid": "AROADEV", "groups": ["g"]}
        dynamic.write_text(json.dumps({"mapRoles": [entry]}))
        await server.until(DEV, "dynamic")
        dynamic.write_text(json.dumps({"mapRoles": [{"username": "x"}]}))
        await server.logged('msg="mapping is broken"')
        assert await server.who(DEV) == "dynamic"
        order.write_text('{"BackendMode": "MountedFile DynamicFile"}')
        await server.until(DEV, "mounted")
        order.write_text('{"BackendMode": "MountedFile CRD"}')
        await server.logged(str(order))
        assert await server.who(DEV) == "mounted"
        order.unlink()
        await server.until(DEV, "dynamic")
        dynamic.write_text(json.dumps({"LastUpdatedDateTime": "1", "mapRoles": []}))
        await server.until(DEV, "mounted")
        _, metrics = await server.get("/metrics")
        assert 'dynamic_e2e_latency_seconds_count{type="dynamic_file"} 1.0' in metrics
        assert "dynamicfile_failures_total 1.0" in metrics


async def test_access_entries_win_and_their_policies_authorise(tmp_path: Path, sts: StsStandIn) -> None:
    mounted, entries = tmp_path / "config.yaml", tmp_path / "entries.yaml"
    mounted.write_text(config("mounted"))
    entries.write_text(
        "accessEntries:\n- principalArn: arn:aws:iam::111122223333:role/team/Dev\n  principalId: AROADEV\n"
        "  username: entry:{{SessionName}}\n  accessPolicies:\n"
        "  - policyArn: arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy\n"
        '    accessScope: {type: namespace, namespaces: ["dev-*"]}\n'
    )
    options: dict[str, Any] = {
        "backend_modes": ("AccessEntries", "MountedFile"),
        "access_entries_file": str(entries),
        "audit_log": str(tmp_path / "audit"),
    }
    async with worker(tmp_path, sts.endpoint, mounted, **options) as server:
        _, answer = await server.review(server.token(DEV))
        user = answer["status"]["user"]
        assert user["username"] == "entry:ann-example.com"

        async def may(verb: str, namespace: str, version: str = "v1", **change: Any) -> dict[str, Any]:
            review = {
                "apiVersion": f"authorization.k8s.io/{version}",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": user["username"],
                    "uid": user["uid"],
                    "groups": user.get("groups", []),
                    "extra": user["extra"],
                    "resourceAttributes": {"verb": verb, "namespace": namespace, "resource": "pods", "version": "v1"},
                    **change,
                },
            }
            status, text = await server.post("/authorize", review)
            assert status == 200
            found = json.loads(text)
            assert found["apiVersion"] == review["apiVersion"]
            assert not found["status"].get("denied")
            return dict(found["status"])

        for version in ("v1", "v1beta1"):
            allowed = await may("list", "dev-1", version)
            assert allowed["allowed"] is True
            assert 'to User "AROADEV"' in allowed["reason"]
        assert not (await may("list", "prod"))["allowed"]
        assert not (await may("delete", "dev-1"))["allowed"]
        assert not (
            await may("list", "dev-1", resourceAttributes=None, nonResourceAttributes={"verb": "get", "path": "/x"})
        )["allowed"]
        # Somebody who may impersonate users, uids and extras can set all of it (kube-apiserver v1.36 decodes %49 in the
        # name of an Impersonate-Extra header after lower-casing it) except the proof.
        proof = user["extra"][EXTRA_PROOF]
        bare = {key: value for key, value in user["extra"].items() if key != EXTRA_PROOF}
        other = {**bare, EXTRA_PROOF: [f"9{proof[0][1:]}"]}
        for change in ({"extra": {}}, {"extra": bare}, {"extra": other}, {"uid": "x"}, {"user": "eve"}):
            assert not (await may("list", "dev-1", **change))["allowed"], change
        assert not (await may("list", "dev-1", uid="aws-iam-authenticator:1:AROAOTHER"))["allowed"]
        extra = {**user["extra"], "sigs.k8s.io/aws-iam-authenticator/principalId": ["AROADEV", "AROAX"]}
        assert not (await may("list", "dev-1", extra=extra))["allowed"]
        assert not (await may("list", "dev-1", extra=[]))["allowed"]
        for nonsense in ({"groups": 5}, {"user": {}}, {"resourceAttributes": []}):
            assert (await server.post("/authorize", {**REVIEW, "spec": {"user": "x", **nonsense}}))[0] == 400
        kinds = [json.loads(line)["kind"] for line in (tmp_path / "audit").read_text().splitlines()]
        assert kinds == ["authentication", "authorization", "authorization"]
        entries.write_text("accessEntries: []\n")
        await server.until(DEV, "mounted")
        assert not (await may("list", "dev-1"))["allowed"]


async def test_a_new_certificate_is_served_without_a_restart(tmp_path: Path, sts: StsStandIn) -> None:
    async with worker(tmp_path, sts.endpoint) as server:
        state = tmp_path / "state"
        assert (state / "key.pem").stat().st_mode & 0o777 == 0o600
        port = int(server.url.rpartition(":")[2])

        def served() -> str:
            return ssl.get_server_certificate(("localhost", port))

        old = await asyncio.to_thread(served)
        assert old == (state / "cert.pem").read_text()
        # A pair that does not fit is not used.
        good, key = make_certificate("localhost", "127.0.0.1", datetime.now(UTC))
        (state / "cert.pem").write_text(good)
        await server.logged("the new certificate is not used")
        assert await asyncio.to_thread(served) == old
        (state / "key.pem").write_text(key)
        await server.logged("loaded a new certificate")
        assert await asyncio.to_thread(served) == good


async def test_the_audit_log_is_opened_anew_after_logrotate(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    audit = AuditLog(str(path))
    audit.write("{1}")
    path.rename(tmp_path / "audit.1")
    audit.reopen()
    audit.write("{2}")
    assert (path.read_text(), (tmp_path / "audit.1").read_text()) == ("{2}\n", "{1}\n")


class Log:
    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


async def test_a_watch_outlives_whatever_goes_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # A library's own mistake over an answer of the cluster is no RolecallError; a thread that it ended would leave the
    # mappings as they are for good.
    monkeypatch.setattr(cluster_sources, "FIRST_PAUSE", 0.01)
    told: asyncio.Queue[str] = asyncio.Queue()

    class Address:
        def connect(self) -> Any:
            raise KeyError("resourceVersion")

    def changed(found: Any) -> None:
        raise AssertionError(found)

    watched = cluster_sources.WatchedObjects(Address(), None, {}, changed, told.put_nowait)  # type: ignore[arg-type]
    task = asyncio.create_task(watched.run())
    async with asyncio.timeout(300):
        assert [await told.get(), await told.get()] == ["KeyError", "KeyError"]
    task.cancel()


class Api:
    """What is written into a cluster; ``refuses`` is a kind that may not be written."""

    name = "c"

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses
        self.written: list[Any] = []
        self.client = self

    def patch(self, kind: Any, name: str, change: Any, **_: Any) -> None:
        self._write("status", (name, change))

    def create(self, found: Any) -> None:
        self._write("event", found.to_dict())

    def _write(self, kind: str, what: Any) -> None:
        if kind == self.refuses:
            raise ClusterError("forbidden")
        self.written.append(what)


def mapping(arn: str, **status: str) -> dict[str, Any]:
    return {"metadata": {"name": "dev", "uid": "u-1"}, "spec": {"arn": arn, "username": "x"}, "status": status}


def test_a_synced_mapping_has_its_status_and_an_event() -> None:
    """aws-iam-authenticator v0.7 pkg/mapper/crd/controller/controller.go, syncHandler; types.go, IAMIdentityMappingStatus."""
    api = Api()
    arn = "arn:aws:sts::111122223333:assumed-role/Dev/x"
    cluster_sources.write_back(api, mapping(arn), Log())  # type: ignore[arg-type]
    (name, change), event = api.written
    canonical = "arn:aws:iam::111122223333:role/dev"
    assert (name, change) == ("dev", {"status": {"canonicalARN": canonical, "userID": ""}})
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Synced", "Identity synced successfully")
    assert event["involvedObject"]["name"] == "dev"
    assert event["involvedObject"]["uid"] == "u-1"
    assert event["metadata"]["namespace"] == "default"
    assert event["source"] == {"component": "aws-iam-authenticator"}
    # Nothing to write: no event either, or a start would make one for each of thousands.
    for found in (mapping(arn, canonicalARN=canonical), mapping("nonsense")):
        api.written.clear()
        cluster_sources.write_back(api, found, Log())  # type: ignore[arg-type]
        assert api.written == []


@pytest.mark.parametrize(("refused", "written"), [("status", 0), ("event", 1)])
def test_a_right_that_is_missing_ends_nothing(refused: str, written: int) -> None:
    api = Api(refused)
    cluster_sources.write_back(api, mapping("arn:aws:iam::111122223333:role/Dev", userID="AROA"), Log())  # type: ignore[arg-type]
    assert len(api.written) == written


async def test_names_of_instances_are_asked_in_batches_once() -> None:
    asked: list[list[str]] = []

    def describe(instances: Any) -> dict[str, str]:
        asked.append(list(instances))
        return {one: f"{one}.internal" for one in instances if not one.endswith("f")}

    names = PrivateDnsNames(describe, rate=1000, burst=5, log=Log(), counted=lambda: None)  # type: ignore[arg-type]
    wanted = [f"i-{number:017x}" for number in range(0x20, 0x2F)]
    found = await asyncio.gather(*(names(one) for one in wanted * 3))
    assert found == [f"{one}.internal" for one in wanted * 3]
    assert asked == [wanted]
    assert await names(wanted[0])
    for _ in range(3):
        with pytest.raises(PrivateDnsError, match="knows no instance"):
            await names("i-0000000000000000f")
    assert len(asked) == 2


async def test_ec2_in_trouble_is_not_remembered() -> None:
    fail = True

    def describe(instances: Any) -> dict[str, str]:
        if fail:
            raise OSError("no network")
        return dict.fromkeys(instances, "name")

    names = PrivateDnsNames(describe, rate=1000, burst=1, log=Log(), counted=lambda: None)  # type: ignore[arg-type]
    with pytest.raises(PrivateDnsError, match="could not be asked"):
        await names("i-1")
    fail = False
    assert await names("i-1") == "name"
    assert KubernetesUser("x").extra == {}
    assert OPS != DEV


async def test_aws_auth_is_read_in_the_thread_that_watches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read_by: list[threading.Thread] = []
    original = cluster_sources.read_config_map

    def read(data: Any, options: Any) -> Any:
        read_by.append(threading.current_thread())
        return original(data, options)

    class Listed(list[Any]):
        resourceVersion = "1"  # noqa: N815 -- the field's name

    class Found:
        def to_dict(self) -> dict[str, Any]:
            return {"metadata": {"name": "aws-auth"}, "data": {"mapRoles": "[]"}}

    class Cluster:
        name = "c"
        client: Any

        def connect(self) -> Any:
            return self

        def close(self) -> None: ...

        def list(self, *_: Any, **__: Any) -> Listed:
            return Listed([Found()])

        def watch(self, *_: Any, **__: Any) -> Any:
            raise ClusterError("that is enough")

    cluster = Cluster()
    cluster.client = cluster
    taken: asyncio.Queue[threading.Thread] = asyncio.Queue()

    class Store:
        def take(self, version: Any) -> None:
            taken.put_nowait(threading.current_thread())

        def unreadable(self, *_: Any) -> None: ...

    monkeypatch.setattr(cluster_sources, "read_config_map", read)
    source = cluster_sources.config_map(cluster, Store(), MatchOptions(), Metrics())  # type: ignore[arg-type]
    task = asyncio.create_task(source.run())
    async with asyncio.timeout(60):
        assert await taken.get() is threading.current_thread()
    assert threading.current_thread() not in read_by[1:]
    task.cancel()
