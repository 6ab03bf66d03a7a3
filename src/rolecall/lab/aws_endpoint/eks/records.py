"""The tables of EKS, and what the rest of the lab reads from them and writes to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from sqlite3 import Row

from rolecall.lab.aws_endpoint.actions import AwsError, Call
from rolecall.lab.aws_endpoint.store import Store
from rolecall.mapping.access_entries import AccessEntry, AssociatedPolicy, EntryType, ScopeType

SCHEMA = """
CREATE TABLE IF NOT EXISTS clusters (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    status TEXT NOT NULL, mode TEXT NOT NULL, creator TEXT NOT NULL, created TEXT NOT NULL, endpoint TEXT NOT NULL,
    ca TEXT NOT NULL, issuer TEXT NOT NULL, settings TEXT NOT NULL, UNIQUE (account, region, name));
CREATE TABLE IF NOT EXISTS access_entries (
    cluster TEXT NOT NULL REFERENCES clusters (id), principal_arn TEXT NOT NULL, principal_id TEXT NOT NULL,
    type TEXT NOT NULL, username TEXT NOT NULL, groups TEXT NOT NULL, arn TEXT NOT NULL, created TEXT NOT NULL,
    modified TEXT NOT NULL, PRIMARY KEY (cluster, principal_arn));
CREATE TABLE IF NOT EXISTS entry_policies (
    cluster TEXT NOT NULL, principal_arn TEXT NOT NULL, policy_arn TEXT NOT NULL, scope TEXT NOT NULL,
    namespaces TEXT NOT NULL, associated TEXT NOT NULL, modified TEXT NOT NULL,
    PRIMARY KEY (cluster, principal_arn, policy_arn),
    FOREIGN KEY (cluster, principal_arn) REFERENCES access_entries ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS updates (
    id TEXT PRIMARY KEY, cluster TEXT NOT NULL REFERENCES clusters (id), type TEXT NOT NULL, params TEXT NOT NULL,
    created TEXT NOT NULL);
"""


def arn_of(partition: str, cluster: Row) -> str:
    return f"arn:{partition}:eks:{cluster['region']}:{cluster['account']}:cluster/{cluster['name']}"


def find(call: Call, name: str) -> Row | None:
    """A cluster of the caller's account and region."""
    return call.store.one(
        "SELECT * FROM clusters WHERE account = ? AND region = ? AND name = ?", (call.account, call.region, name)
    )


def get(call: Call, name: str) -> Row:
    """The cluster with this name; ``ResourceNotFoundException`` if there is none."""
    found = find(call, name)
    if found is None:
        raise AwsError("ResourceNotFoundException", f"No cluster found for name: {name}.", 404, clusterName=name)
    return found


def active(call: Call, name: str) -> Row:
    """The cluster with this name, once it can be changed."""
    found = get(call, name)
    if found["status"] != "ACTIVE":
        raise AwsError("ResourceInUseException", f"Cluster status is {found['status']}", 409, clusterName=name)
    return found


def by_id(store: Store, cluster_id: str) -> Row | None:
    return store.one("SELECT * FROM clusters WHERE id = ?", (cluster_id,))


def every(store: Store) -> list[Row]:
    """Every cluster of every account."""
    return store.all("SELECT * FROM clusters ORDER BY account, region, name")


def mark_active(store: Store, cluster_id: str, endpoint: str, ca_pem: str) -> None:
    """A cluster answers at ``endpoint`` now, also one that did not when the lab was started before."""
    with store.transaction():
        store.execute(
            "UPDATE clusters SET endpoint = ?, ca = ?, "
            "status = CASE WHEN status IN ('CREATING', 'FAILED') THEN 'ACTIVE' ELSE status END WHERE id = ?",
            (endpoint, ca_pem, cluster_id),
        )


def mark_failed(store: Store, cluster_id: str) -> None:
    """A cluster could not be brought up."""
    with store.transaction():
        store.execute("UPDATE clusters SET status = 'FAILED' WHERE id = ?", (cluster_id,))


def forget(store: Store, cluster_id: str) -> None:
    """A cluster is gone: remove everything about it."""
    with store.transaction():
        store.execute("DELETE FROM tags WHERE owner = ?", (cluster_id,))
        for row in store.all("SELECT arn FROM access_entries WHERE cluster = ?", (cluster_id,)):
            store.execute("DELETE FROM tags WHERE owner = ?", (row["arn"],))
        for table in ("entry_policies", "access_entries", "updates"):
            store.execute(f"DELETE FROM {table} WHERE cluster = ?", (cluster_id,))  # noqa: S608 -- constant names
        store.execute("DELETE FROM clusters WHERE id = ?", (cluster_id,))


def entries_by_principal(store: Store, cluster_id: str) -> Mapping[str, AccessEntry]:
    """The access entries of a cluster by principal id, as the rules of mapping need them."""
    policies: dict[str, list[AssociatedPolicy]] = {}
    for row in store.all("SELECT * FROM entry_policies WHERE cluster = ? ORDER BY policy_arn", (cluster_id,)):
        policies.setdefault(row["principal_arn"], []).append(associated_policy(row))
    return {
        row["principal_id"]: AccessEntry(
            row["principal_arn"],
            row["principal_id"],
            EntryType(row["type"]),
            row["username"],
            tuple(json.loads(row["groups"])),
            tuple(policies.get(row["principal_arn"], ())),
        )
        for row in store.all("SELECT * FROM access_entries WHERE cluster = ?", (cluster_id,))
    }


def associated_policy(row: Row) -> AssociatedPolicy:
    return AssociatedPolicy(row["policy_arn"], ScopeType(row["scope"]), tuple(json.loads(row["namespaces"])))
