"""Accounts and clusters read together, from a lab with a small organisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lab_shell import enter
from organisation import REGION, VIEW, Organisation, aws_auth_text
from rolecall.access.read_world import ClusterAddress, Reading, find_clusters, read_world
from rolecall.aws.session import AccountAccess, AwsClients
from rolecall.mapping.resolve import AuthenticationMode

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ORGANISATION = Organisation(accounts=3, clusters=4, people=9, roles=6, mapped=2)
ADDRESSES = tuple(ClusterAddress(c.account, REGION, c.name) for c in ORGANISATION.clusters)


@pytest.fixture(scope="module")
def clients(start_lab: Callable[..., Any]) -> Iterator[AwsClients]:
    with pytest.MonkeyPatch.context() as patch:
        enter(start_lab(*ORGANISATION.lab_flags).environment(), patch)
        clients = AwsClients(ORGANISATION.accesses())
        ORGANISATION.seed(clients)
        yield clients


@pytest.fixture(scope="module")
def reading(clients: AwsClients) -> Reading:
    return read_world(clients, ADDRESSES, NOW)


def test_the_clusters_there_are(clients: AwsClients) -> None:
    places = [(account, REGION) for account in ORGANISATION.accounts]
    assert find_clusters(clients, places) == (tuple(sorted(ADDRESSES)), ())
    found, failures = find_clusters(clients, [*places, ("999999999999", REGION)])
    assert found == tuple(sorted(ADDRESSES))
    assert [failure.place for failure in failures] == [f"999999999999 {REGION}"]


def test_everything_is_there(reading: Reading) -> None:
    world = reading.world
    assert reading.failures == ()
    assert world.read_at is NOW
    first = ORGANISATION.accounts[0]
    assert world.caller == f"arn:aws:iam::{first}:user/lab-admin"
    assert world.callers == {a: f"arn:aws:iam::{a}:user/lab-admin" for a in ORGANISATION.accounts}
    assert {p.arn for p in ORGANISATION.people} <= {u.arn for a in world.accounts.values() for u in a.users.values()}
    assert set(world.clusters) == {cluster.arn for cluster in ORGANISATION.clusters} == set(reading.clusters)
    for cluster in ORGANISATION.clusters:
        state = world.clusters[cluster.arn]
        assert (state.name, state.account, state.region) == (cluster.name, cluster.account, REGION)
        assert (state.mode, state.unread) == (AuthenticationMode(cluster.mode), ())
        if cluster.mode == "API":
            assert (state.aws_auth, state.aws_auth_version) == (None, "")
        else:
            assert state.aws_auth == {"mapRoles": aws_auth_text(cluster)}
            assert state.aws_auth_version
        assert ("", "cluster-admin") in state.roles
        assert any(binding.name == "cluster-admin" for binding in state.bindings)


def test_entries_know_their_principals(reading: Reading) -> None:
    accounts = reading.world.accounts
    for cluster in ORGANISATION.clusters:
        entries = {entry.principal_arn: entry for entry in reading.world.clusters[cluster.arn].entries}
        if not cluster.by_entries:
            assert entries == {}
            continue
        for role in cluster.roles:
            entry = entries[role.arn]
            assert entry.principal_id == accounts[role.account].roles[role.name].role_id
            assert entry.groups == (role.name,)
        assert [p.policy_arn for p in entries[cluster.roles[0].arn].policies] == [VIEW]


def test_without_rbac_there_is_none_and_the_rest_is_the_same(clients: AwsClients, reading: Reading) -> None:
    world = read_world(clients, ADDRESSES, NOW, with_rbac=False).world
    for arn, state in world.clusters.items():
        assert (state.roles, state.bindings) == ({}, ())
        full = reading.world.clusters[arn]
        assert (state.aws_auth, state.entries) == (full.aws_auth, full.entries)


def test_progress_counts_to_the_end(clients: AwsClients) -> None:
    said: list[tuple[int, int, str]] = []
    read_world(clients, ADDRESSES, NOW, with_rbac=False, progress=lambda *what: said.append(what))
    total = len(ADDRESSES) + len(ORGANISATION.accounts)
    assert [done for done, _, _ in said] == list(range(1, total + 1))
    assert {of for _, of, _ in said} == {total}
    assert f"cluster {ADDRESSES[0].name}" in {text for _, _, text in said}


def test_one_account_that_is_not_reached_does_not_stop_the_others() -> None:
    """The third account by the first one's profile: it and its clusters are told, with what to do; the rest is read."""
    first, second, third = ORGANISATION.accesses()
    wrong = AccountAccess(third.account, first.profile)
    found = read_world(AwsClients([first, second, wrong]), ADDRESSES, NOW)
    assert set(found.world.accounts) == {first.account, second.account}
    assert [failure.place for failure in found.failures] == [third.account]
    assert f"are of account {first.account}" in str(found.failures[0].error)
    for state in found.world.clusters.values():
        if state.account == third.account:
            assert "are of account" in state.unread[0]
        else:
            assert state.unread == ()
    # An entry for a principal of an account that nobody read has no id, rather than a wrong one.
    ids = {
        entry.principal_id
        for state in found.world.clusters.values()
        for entry in state.entries
        if f"::{third.account}:" in entry.principal_arn
    }
    assert ids == {""}


def test_a_cluster_that_is_not_there(clients: AwsClients) -> None:
    nowhere = ClusterAddress(ORGANISATION.accounts[0], REGION, "nowhere")
    found = read_world(clients, [nowhere, ADDRESSES[0]], NOW, with_rbac=False)
    assert "No cluster found" in found.world.clusters[nowhere.arn].unread[0]
    assert nowhere.arn not in found.clusters
    assert found.world.clusters[ADDRESSES[0].arn].unread == ()


def test_a_cluster_whose_api_does_not_answer(clients: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
    """What EKS knows is kept, what the cluster would say is missing and named."""
    from rolecall.access import read_world as module

    real = module.connect_eks
    away = next(c for c in ORGANISATION.clusters if c.mode == "API_AND_CONFIG_MAP")

    def elsewhere(name: str, endpoint: str, *rest: Any, **options: Any) -> Any:
        return real(name, "https://127.0.0.1:9" if name == away.name else endpoint, *rest, **options)

    monkeypatch.setattr(module, "connect_eks", elsewhere)
    world = read_world(clients, ADDRESSES, NOW).world
    state = world.clusters[away.arn]
    assert state.aws_auth is None
    assert len(state.unread) == 1
    assert state.unread[0].startswith(f"aws-auth of {away.arn}: ")
    assert {entry.principal_arn for entry in state.entries} >= {role.arn for role in away.roles}
    assert all(other.unread == () for arn, other in world.clusters.items() if arn != away.arn)


def test_the_arn_of_a_cluster_is_of_its_regions_partition() -> None:
    assert ClusterAddress("111122223333", "cn-north-1", "c").arn.startswith("arn:aws-cn:eks:")
    assert ClusterAddress("111122223333", "us-gov-west-1", "c").arn.startswith("arn:aws-us-gov:eks:")
    assert ClusterAddress("111122223333", "eu-west-2", "c").arn.startswith(
        "arn:aws:eks:eu-west-2:111122223333:cluster/"
    )
