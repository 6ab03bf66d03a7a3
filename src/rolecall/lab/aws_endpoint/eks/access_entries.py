"""Access entries. Source: EKS API reference, CreateAccessEntry and its neighbours."""

from __future__ import annotations

import json
from sqlite3 import Row
from typing import Any

from rolecall.arn import PrincipalKind
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Permission, Result, action
from rolecall.lab.aws_endpoint.eks import records
from rolecall.lab.aws_endpoint.eks.context import cluster_arn, cluster_tags, resource_tags
from rolecall.lab.aws_endpoint.eks.tags import put_tags
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.moments import from_text, to_text
from rolecall.mapping.access_entries import (
    MAX_ENTRIES,
    EntryError,
    EntryType,
    check_groups,
    check_update,
    check_username,
    default_groups,
    default_username,
    entry_principal,
)
from rolecall.mapping.resolve import AuthenticationMode

_PASSED = (EntryType.EC2_LINUX, EntryType.EC2_WINDOWS, EntryType.EC2)


def entry_resource(call: Call, params: Params) -> str:
    """The ARN of an entry; if there is none, what it could be."""
    row = _named(call, params)
    if row is not None:
        return str(row["arn"])
    return f"arn:{call.partition}:eks:{call.region}:{call.account}:access-entry/{params['clusterName']}/*"


def _named(call: Call, params: Params) -> Row | None:
    cluster = records.find(call, params["clusterName"])
    return find(call, cluster, params["principalArn"]) if cluster is not None else None


def entry_context(call: Call, params: Params) -> Context:
    """``eks:PrincipalArn`` and the tags of an entry."""
    row = _named(call, params)
    tags = resource_tags(call, row["arn"]) if row is not None else {}
    return {**tags, "eks:principalarn": (params["principalArn"],)}


def _new_context(call: Call, params: Params) -> Context:
    return {**cluster_tags(call, params), **_asked(params)}


def _changed_context(call: Call, params: Params) -> Context:
    return {**entry_context(call, params), **_asked(params)}


def _asked(params: Params) -> Context:
    """The condition keys for what a request wants an entry to be."""
    keys: dict[str, tuple[str, ...]] = {"eks:principalarn": (params["principalArn"],)}
    if params.get("username"):
        keys["eks:username"] = (params["username"],)
    if params.get("kubernetesGroups"):
        keys["eks:kubernetesgroups"] = tuple(params["kubernetesGroups"])
    if params.get("type"):
        keys["eks:accessentrytype"] = (params["type"],)
    return keys


def _pass_role(call: Call, params: Params) -> list[Permission]:
    if params.get("type") not in _PASSED:
        return []
    return [Permission("iam:PassRole", params["principalArn"], {"iam:passedtoservice": ("ec2.amazonaws.com",)})]


def find(call: Call, cluster: Row, principal_arn: str) -> Row | None:
    return call.store.one(
        "SELECT * FROM access_entries WHERE cluster = ? AND principal_arn = ?", (cluster["id"], principal_arn)
    )


def get(call: Call, cluster: Row, principal_arn: str) -> Row:
    row = find(call, cluster, principal_arn)
    if row is None:
        raise AwsError(
            "ResourceNotFoundException",
            f"The specified principalArn could not be found. You can view your available access entries with "
            f"'aws eks list-access-entries --cluster-name {cluster['name']}'.",
            404,
        )
    return row


def with_entries(call: Call, name: str) -> Row:
    """A cluster whose authentication mode has access entries."""
    cluster = records.get(call, name)
    if not AuthenticationMode(cluster["mode"]).reads_entries:
        raise AwsError(
            "InvalidRequestException",
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this "
            "operation.",
            400,
        )
    return cluster


def render(call: Call, cluster: Row, row: Row) -> dict[str, Any]:
    """The ``AccessEntry`` shape."""
    return {
        "clusterName": cluster["name"],
        "principalArn": row["principal_arn"],
        "kubernetesGroups": json.loads(row["groups"]),
        "accessEntryArn": row["arn"],
        "createdAt": from_text(row["created"]),
        "modifiedAt": from_text(row["modified"]),
        "tags": directory.tags_of(call.store, row["arn"]),
        "username": row["username"],
        "type": row["type"],
    }


def create_entry(
    call: Call,
    cluster: Row,
    principal_arn: str,
    entry_type: EntryType,
    *,
    username: str | None = None,
    groups: tuple[str, ...] = (),
) -> Row:
    """Make an entry, bound to the unique id that the principal has now."""
    try:
        principal = entry_principal(principal_arn, cluster["account"], entry_type)
        if username is not None:
            check_username(username, entry_type)
        check_groups(groups, entry_type)
    except EntryError as error:
        raise AwsError("InvalidParameterException", error.what, 400) from None
    principal_id = directory.principal_id(call.store, call.partition, principal)
    if principal_id is None:
        raise AwsError("InvalidParameterException", "The specified principalArn is invalid: invalid principal.", 400)
    if find(call, cluster, principal_arn) is not None:
        raise AwsError(
            "ResourceInUseException", "The specified access entry resource is already in use on this cluster.", 409
        )
    count = call.store.one("SELECT count(*) AS n FROM access_entries WHERE cluster = ?", (cluster["id"],))
    if count is not None and count["n"] >= MAX_ENTRIES:
        raise AwsError("ResourceLimitExceededException", f"Limit exceeded: {MAX_ENTRIES} access entries.", 400)
    kind = "user" if principal.kind is PrincipalKind.USER else "role"
    arn = (
        f"arn:{call.partition}:eks:{cluster['region']}:{cluster['account']}:access-entry/{cluster['name']}/{kind}/"
        f"{principal.account}/{principal.name}/{call.ids.uuid()}"
    )
    now = to_text(call.now)
    call.store.execute(
        "INSERT INTO access_entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            cluster["id"],
            principal_arn,
            principal_id,
            entry_type.value,
            username or default_username(principal, entry_type),
            json.dumps(list(groups or default_groups(entry_type))),
            arn,
            now,
            now,
        ),
    )
    return get(call, cluster, principal_arn)


@action("eks", "CreateAccessEntry", resource=cluster_arn, context=_new_context, also=_pass_role)
def create_access_entry(call: Call, params: Params) -> Result:
    cluster = with_entries(call, params["clusterName"])
    try:
        entry_type = EntryType(params.get("type") or EntryType.STANDARD)
    except ValueError:
        raise AwsError("InvalidParameterException", f"The type {params['type'][:80]} is invalid.", 400) from None
    row = create_entry(
        call,
        cluster,
        params["principalArn"],
        entry_type,
        username=params.get("username"),
        groups=tuple(params.get("kubernetesGroups") or ()),
    )
    put_tags(call, row["arn"], params.get("tags"))
    return {"accessEntry": render(call, cluster, row)}


@action("eks", "DescribeAccessEntry", resource=entry_resource, context=entry_context)
def describe_access_entry(call: Call, params: Params) -> Result:
    cluster = with_entries(call, params["clusterName"])
    return {"accessEntry": render(call, cluster, get(call, cluster, params["principalArn"]))}


@action("eks", "ListAccessEntries", resource=cluster_arn, context=cluster_tags)
def list_access_entries(call: Call, params: Params) -> Result:
    cluster, policy = with_entries(call, params["clusterName"]), params.get("associatedPolicyArn")
    rows = call.store.all(
        "SELECT principal_arn FROM access_entries e WHERE cluster = :cluster AND (:policy IS NULL OR EXISTS (SELECT 1 "
        "FROM entry_policies p WHERE p.cluster = e.cluster AND p.principal_arn = e.principal_arn "
        "AND p.policy_arn = :policy)) ORDER BY principal_arn",
        {"cluster": cluster["id"], "policy": policy},
    )
    return {"accessEntries": [row["principal_arn"] for row in rows]}


@action("eks", "UpdateAccessEntry", resource=entry_resource, context=_changed_context)
def update_access_entry(call: Call, params: Params) -> Result:
    cluster = with_entries(call, params["clusterName"])
    row = get(call, cluster, params["principalArn"])
    entry_type, groups = EntryType(row["type"]), params.get("kubernetesGroups")
    # An empty username leaves the entry's own.
    username = params.get("username") or row["username"]
    try:
        check_update(entry_type, params.get("username"), groups)
    except EntryError as error:
        raise AwsError("InvalidParameterException", error.what, 400) from None
    call.store.execute(
        "UPDATE access_entries SET username = ?, groups = ?, modified = ? WHERE arn = ?",
        (
            username,
            json.dumps(groups) if groups is not None else row["groups"],
            to_text(call.now),
            row["arn"],
        ),
    )
    return {"accessEntry": render(call, cluster, get(call, cluster, params["principalArn"]))}


@action("eks", "DeleteAccessEntry", resource=entry_resource, context=entry_context)
def delete_access_entry(call: Call, params: Params) -> Result:
    cluster = with_entries(call, params["clusterName"])
    row = get(call, cluster, params["principalArn"])
    call.store.execute("DELETE FROM tags WHERE owner = ?", (row["arn"],))
    call.store.execute("DELETE FROM access_entries WHERE arn = ?", (row["arn"],))
    return {}
