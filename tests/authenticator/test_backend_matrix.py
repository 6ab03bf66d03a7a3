"""The server's settings with every backend, in every set and order: a setting is the server's, not one backend's.
Sources: aws-iam-authenticator v0.7 pkg/mapper/*/mapper.go (each takes its own reserved prefixes from the configuration),
pkg/server/server.go (doMapping, CallBackForFileLoad)."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import pytest

from rolecall.authenticator import file_sources
from rolecall.authenticator.decision_log import Log
from rolecall.authenticator.mapping_store import MappingStore, Version
from rolecall.authenticator.metrics import Metrics
from rolecall.mapping.backends.access_entry_file import parse_access_entry_file
from rolecall.mapping.backends.chain import (
    ACCESS_ENTRIES,
    BACKEND_MODES,
    CRD,
    DYNAMIC_FILE,
    EKS_CONFIG_MAP,
    MOUNTED_FILE,
    Backend,
    IdentityMappingBackend,
)
from rolecall.mapping.backends.config_map import read_config_map
from rolecall.mapping.backends.dynamic_file import parse_dynamic_file
from rolecall.mapping.backends.entry_table import MatchOptions
from rolecall.mapping.backends.server_config import ServerSettings, read_server_config
from rolecall.mapping.identity_mappings import IdentityMapping
from rolecall.model import Identity
from sts_stand_in import DEV as DEV_KEY
from sts_stand_in import OPS, StsStandIn
from webhook_worker import worker

A = "111122223333"
ARN = f"arn:aws:iam::{A}:role/Dev"
DEV = Identity(f"arn:aws:sts::{A}:assumed-role/Dev/ann", ARN, A, "AROADEV", "ann", "ASIAKEY")
ORDERS = [order for count in range(1, 6) for order in permutations(BACKEND_MODES, count)]


def backend(mode: str, arn: str = ARN, options: MatchOptions = MatchOptions()) -> Backend:  # noqa: B008 -- frozen
    """A backend that maps Dev to a name of its own."""
    name = f"team:{mode}"
    entry = {"rolearn": arn, "username": name, "groups": ["system:masters"]}
    match mode:
        case "MountedFile":
            return read_server_config(json.dumps({"server": {"mapRoles": [entry]}}), options).backend
        case "EKSConfigMap":
            return read_config_map({"mapRoles": json.dumps([entry])}, options).backend
        case "CRD":
            return IdentityMappingBackend.of([IdentityMapping("dev", arn.lower(), name, ())], options)
        case "DynamicFile":
            text = json.dumps({"mapRoles": [entry]})
            return parse_dynamic_file(text, user_id_strict=False, options=options).backend
        case _:
            listed = [{"principalArn": arn, "principalId": "AROADEV", "username": name}]
            return parse_access_entry_file(json.dumps({"accessEntries": listed})).backend


BACKENDS = {mode: backend(mode) for mode in BACKEND_MODES}


def store(order: tuple[str, ...], **settings: object) -> MappingStore:
    made = MappingStore(ServerSettings(**settings), order, Log(stream=io.StringIO()), METRICS)  # type: ignore[arg-type]
    for mode in order:
        made.take(Version(BACKENDS[mode], mode))
    return made


METRICS = Metrics()


@pytest.mark.parametrize("reserved", BACKEND_MODES)
def test_each_backend_has_its_reserved_prefixes_in_every_order(reserved: str) -> None:
    for order in ORDERS:
        decision = store(order, reserved={reserved: ("eks:", "team:")}).chain.resolve(DEV)
        # The first that knows an identity speaks, and a name that it must not give ends the search.
        expected = None if order[0] == reserved else f"team:{order[0]}"
        assert (decision.user.username if decision.user else None) == expected, order
        assert decision.reasons[0].code == ("reserved" if expected is None else "mapped")


PATH, WILD = f"arn:aws:iam::{A}:role/team/Dev", f"arn:aws:iam::{A}:role/D*"


@pytest.mark.parametrize("arn", [PATH, WILD])
@pytest.mark.parametrize("mode", [MOUNTED_FILE, EKS_CONFIG_MAP, CRD, DYNAMIC_FILE])
@pytest.mark.parametrize("is_on", [True, False])
def test_paths_and_wildcards_match_in_every_backend_or_in_none(mode: str, arn: str, is_on: bool) -> None:
    found = backend(mode, arn, MatchOptions(role_paths=is_on, wildcards=is_on))
    assert (found.find(DEV) is not None) is is_on


def test_scrubbed_accounts_are_scrubbed_by_every_backend() -> None:
    for order in ORDERS:
        user = store(order, scrubbed_accounts=(A,)).chain.resolve(DEV).user
        assert user is not None
        assert (user.uid, dict(user.extra)) == (f"aws-iam-authenticator:administrative:team:{order[0]}", {})


@pytest.mark.parametrize("mode", BACKEND_MODES)
@pytest.mark.parametrize("missing", ["keep", "empty"])
def test_what_is_gone_is_treated_the_same_in_every_backend(mode: str, missing: str) -> None:
    made = store((mode,), missing_map=missing)
    made.missing(EMPTY[mode], mode)
    assert (made.chain.resolve(DEV).user is not None) is (missing == "keep")


EMPTY: dict[str, Backend] = {
    MOUNTED_FILE: read_server_config("{}", MatchOptions()).backend,
    EKS_CONFIG_MAP: read_config_map({}, MatchOptions()).backend,
    CRD: IdentityMappingBackend({}),
    DYNAMIC_FILE: parse_dynamic_file("{}", user_id_strict=False, options=MatchOptions()).backend,
    ACCESS_ENTRIES: parse_access_entry_file("accessEntries: []").backend,
}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at often: what is tested is what counts, not how soon."""
    monkeypatch.setattr(file_sources, "SECONDS", 0.02)
    monkeypatch.setattr(file_sources, "SETTLE_SECONDS", 0.02)


@pytest.fixture
async def sts() -> AsyncIterator[StsStandIn]:
    async with StsStandIn() as stand_in:
        yield stand_in


def config(*prefixes: str, backend: str = DYNAMIC_FILE, **server: object) -> str:
    reserved = [{"backendMode": backend, "usernamePrefixReserveList": list(prefixes)}]
    return json.dumps({"clusterID": "prod", "server": {"reservedPrefixConfig": reserved, **server}})


def entry(role: str, username: str) -> dict[str, object]:
    return {"rolearn": f"arn:aws:iam::{A}:role/{role}", "username": username, "groups": []}


@pytest.mark.parametrize(
    "modes", [("DynamicFile",), ("DynamicFile", "MountedFile"), ("MountedFile", "DynamicFile"), ("CRD", "DynamicFile")]
)
async def test_a_dynamic_file_never_makes_reserved_names(
    tmp_path: Path, sts: StsStandIn, modes: tuple[str, ...]
) -> None:
    path, dynamic = tmp_path / "config.yaml", tmp_path / "dynamic.json"
    path.write_text(config("system:"))
    dynamic.write_text(json.dumps({"mapRoles": [entry("Dev", "system:admin"), entry("Ops", "ops")]}))
    options: dict[str, object] = {"kubeconfig": str(tmp_path / "none")}
    async with worker(
        tmp_path, sts.endpoint, path, backend_modes=modes, dynamic_file=str(dynamic), **options
    ) as server:
        assert (await server.who(DEV_KEY), await server.who(OPS)) == ("", "ops")
        # A change is in force, whatever backends there are: more prefixes, none, and a file that nobody can read.
        path.write_text(config("system:", "ops"))
        await server.until(OPS, "")
        path.write_text(config())
        await server.until(DEV_KEY, "system:admin")
        path.write_text(config("system:"))
        await server.until(DEV_KEY, "")
        path.write_text('{"server": {"reservedPrefixConfig": [{"backendMode": 5}]')
        if "MountedFile" in modes:
            await server.logged("mapping is broken")
        assert await server.who(DEV_KEY) == ""
        path.unlink()
        if "MountedFile" in modes:
            await server.logged("mapping is gone")
        assert await server.who(DEV_KEY) == ""


async def test_files_are_in_force_from_the_first_answer(
    tmp_path: Path, sts: StsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read later that an answer depends on: not the maps, not the prefixes, not the order."""
    monkeypatch.setattr(file_sources.WatchedFile, "run", lambda _: asyncio.Event().wait())
    path, order, dynamic, entries = (tmp_path / name for name in ("config", "order", "dynamic", "entries"))
    path.write_text(config("system:", mapRoles=[entry("Ops", "file")]))
    dynamic.write_text(json.dumps({"mapRoles": [entry("Dev", "system:x"), entry("Ops", "dynamic")]}))
    entries.write_text(json.dumps({"accessEntries": []}))
    order.write_text('{"BackendMode": "AccessEntries MountedFile DynamicFile"}')
    options: dict[str, object] = {"dynamic_file": str(dynamic), "access_entries_file": str(entries)}
    modes = ("DynamicFile", "MountedFile", "AccessEntries")
    async with worker(
        tmp_path, sts.endpoint, path, backend_modes=modes, dynamic_backend_mode_file=str(order), **options
    ) as server:
        assert (await server.who(DEV_KEY), await server.who(OPS)) == ("", "file")


@pytest.mark.parametrize("broken", [{"prt": 1, "mapUsers": [{"username": "x"}]}, {"mapRoles": 7}])
async def test_prefixes_outlive_a_file_of_which_only_a_part_counts(
    tmp_path: Path, sts: StsStandIn, broken: dict[str, object]
) -> None:
    path = tmp_path / "config.yaml"
    roles = {"mapRoles": [entry("Dev", "system:admin")]}
    path.write_text(config("system:", backend="MountedFile", **roles))
    async with worker(tmp_path, sts.endpoint, path, broken_map="partial") as server:
        assert await server.who(DEV_KEY) == ""
        path.write_text(config("ops", backend="MountedFile", **{**roles, **broken}))
        await server.logged("only what can be read of it is in force")
        assert await server.who(DEV_KEY) == ""


async def test_a_setting_that_changes_is_named(tmp_path: Path, sts: StsStandIn) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config(scrubbedAccounts=[]))
    async with worker(tmp_path, sts.endpoint, path) as server:
        path.write_text(config(scrubbedAccounts=["999999999999"], port=1))
        await server.logged('msg="a setting has changed: restart the server to use it" names="port, scrubbed_accounts"')


async def test_the_order_may_name_backends_that_were_not_asked_before(tmp_path: Path, sts: StsStandIn) -> None:
    path, order, dynamic = (tmp_path / name for name in ("config.yaml", "order.json", "dynamic.json"))
    path.write_text(config("system:", backend="MountedFile", mapRoles=[entry("Dev", "system:x"), entry("Ops", "file")]))
    dynamic.write_text(json.dumps({"mapRoles": [entry("Dev", "dynamic"), entry("Ops", "dynamic")]}))
    options: dict[str, object] = {"backend_modes": ("DynamicFile",), "dynamic_file": str(dynamic)}
    async with worker(
        tmp_path, sts.endpoint, path, dynamic_backend_mode_file=str(order), missing_map="empty", **options
    ) as server:
        assert await server.who(OPS) == "dynamic"
        order.write_text('{"backendmode": "MountedFile DynamicFile"}')
        await server.until(OPS, "file")
        # Prefixes count for a backend that came later, too.
        assert await server.who(DEV_KEY) == ""
        for number, nonsense in enumerate(
            (
                "BackendMode: DynamicFile",
                '{"BackendMode": "DynamicFile,MountedFile"}',
                '{"BackendMode": "DynamicFile  MountedFile"}',
                '{"BackendMode": ["DynamicFile"]}',
                '{"BackendMode": ""}',
                '{"BackendMode": "DynamicFile AccessEntries"}',
                '{"BackendMode": "EKSConfigMap DynamicFile"}',
                "[]",
            )
        ):
            order.write_text(nonsense)
            await server.logged("backend=BackendMode", number + 1)
            assert await server.who(OPS) == "file"
        order.unlink()
        await server.until(OPS, "dynamic")
        order.write_text('{"BackendMode": "MountedFile", "LastUpdatedDateTime": "1"}')
        await server.until(OPS, "file")
        _, metrics = await server.get("/metrics")
        assert 'dynamic_e2e_latency_seconds_count{type="dynamic_backend_mode"} 1.0' in metrics
