"""Managed policies and their versions. Source: IAM API reference, CreatePolicy and its neighbours."""

from __future__ import annotations

from sqlite3 import Row
from typing import Any
from urllib.parse import quote

from rolecall.iam.documents import PolicyKind
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.iam.owners import (
    below,
    check_policy,
    new_arn,
    put_tags,
    request_tags,
    resource_tags,
    tag_list,
    tag_pairs,
    tagging,
)
from rolecall.lab.aws_endpoint.moments import from_text, to_text

AWS = directory.AWS
MAX_DOCUMENT = 6_144
MAX_VERSIONS = 5


# How often an account uses a policy: one of AWS is used by other accounts too.
_USED = """
SELECT (SELECT count(*) FROM attachments a WHERE a.arn = :arn AND (
           EXISTS (SELECT 1 FROM users o WHERE o.id = a.owner AND o.account = :account)
        OR EXISTS (SELECT 1 FROM roles o WHERE o.id = a.owner AND o.account = :account)
        OR EXISTS (SELECT 1 FROM groups o WHERE o.id = a.owner AND o.account = :account))) AS attached,
       (SELECT count(*) FROM users WHERE boundary = :arn AND account = :account)
     + (SELECT count(*) FROM roles WHERE boundary = :arn AND account = :account) AS boundaries
"""


def get(call: Call, arn: str) -> Row:
    """A policy that the caller's account may see; ``NoSuchEntity`` if there is none."""
    row = directory.managed_policy(call.store, arn, call.account)
    if row is None:
        raise AwsError("NoSuchEntity", f"Policy {arn} was not found.", 404)
    return row


def render(call: Call, policy: Row, *, whole: bool = True) -> dict[str, Any]:
    """The ``Policy`` shape.

    :param whole: with the description and all tags, as GetPolicy answers and ListPolicies does not.
    """
    arn = policy["arn"]
    used = call.store.one(_USED, {"arn": arn, "account": call.account})
    assert used is not None
    found: dict[str, Any] = {
        "PolicyName": policy["name"],
        "PolicyId": policy["id"],
        "Arn": arn,
        "Path": policy["path"],
        "DefaultVersionId": policy["default_version"],
        "AttachmentCount": used["attached"],
        "PermissionsBoundaryUsageCount": used["boundaries"],
        "IsAttachable": True,
        "CreateDate": from_text(policy["created"]),
        "UpdateDate": from_text(policy["updated"]),
    }
    if whole:
        if policy["description"]:
            found["Description"] = policy["description"]
        found["Tags"] = tag_list(directory.tags_of(call.store, arn))
    return found


def _resource(call: Call, params: Params) -> str:
    arn: str = params.get("PolicyArn") or new_arn(call, "policy", params.get("Path", "/"), params.get("PolicyName", ""))
    return arn


def tags(call: Call, params: Params) -> Context:
    """``aws:ResourceTag`` and ``iam:ResourceTag`` of the policy that is named."""
    return resource_tags(directory.tags_of(call.store, params["PolicyArn"]))


@action("iam", "CreatePolicy", resource=_resource, context=request_tags, also=tagging("Policy", _resource))
def create_policy(call: Call, params: Params) -> Result:
    arn, name, pairs = _resource(call, params), params["PolicyName"], tag_pairs(params, ignore_case=False)
    check_policy(params["PolicyDocument"], PolicyKind.IDENTITY, MAX_DOCUMENT, "PolicySize", managed=True)
    if call.store.one("SELECT 1 FROM policies WHERE account = ? AND name = ? COLLATE NOCASE", (call.account, name)):
        raise AwsError(
            "EntityAlreadyExists", f"A policy called {name} already exists. Duplicate names are not allowed.", 409
        )
    now = to_text(call.now)
    call.store.execute(
        "INSERT INTO policies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (arn, call.ids.unique_id("ANPA"), call.account, name, params.get("Path", "/"), params.get("Description", ""),
         now, now, "v1", 1),
    )  # fmt: skip
    call.store.execute("INSERT INTO policy_versions VALUES (?, ?, ?, ?)", (arn, "v1", params["PolicyDocument"], now))
    put_tags(call, arn, pairs, ignore_case=False)
    created = render(call, get(call, arn), whole=False)
    return {"Policy": {**created, "Tags": tag_list(pairs)} if pairs else created}


@action("iam", "GetPolicy", resource=_resource, context=tags)
def get_policy(call: Call, params: Params) -> Result:
    return {"Policy": render(call, get(call, params["PolicyArn"]))}


@action("iam", "ListPolicies", resource=lambda call, params: new_arn(call, "policy", params.get("PathPrefix", "/"), ""))
def list_policies(call: Call, params: Params) -> Result:
    accounts = {"AWS": (AWS,), "Local": (call.account,)}.get(params.get("Scope", "All"), (call.account, AWS))
    rows = [
        row
        for account in accounts
        for row in call.store.all("SELECT * FROM policies WHERE account = ? ORDER BY name", (account,))
    ]
    found = [render(call, row, whole=False) for row in below(rows, params.get("PathPrefix"))]
    if params.get("OnlyAttached"):
        found = [policy for policy in found if policy["AttachmentCount"]]
    if params.get("PolicyUsageFilter") == "PermissionsBoundary":
        found = [policy for policy in found if policy["PermissionsBoundaryUsageCount"]]
    return {"Policies": found}


@action("iam", "DeletePolicy", resource=_resource, context=tags)
def delete_policy(call: Call, params: Params) -> Result:
    policy = _own(call, params)
    shown = render(call, policy)
    if shown["AttachmentCount"] or shown["PermissionsBoundaryUsageCount"]:
        raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.", 409)
    if len(_versions(call, policy)) > 1:
        raise AwsError(
            "DeleteConflict",
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions.",
            409,
        )
    for table, column in (("policy_versions", "arn"), ("tags", "owner"), ("policies", "arn")):
        call.store.execute(f"DELETE FROM {table} WHERE {column} = ?", (policy["arn"],))  # noqa: S608 -- constants
    return {}


@action("iam", "CreatePolicyVersion", resource=_resource, context=tags)
def create_policy_version(call: Call, params: Params) -> Result:
    policy, text = _own(call, params), params["PolicyDocument"]
    check_policy(text, PolicyKind.IDENTITY, MAX_DOCUMENT, "PolicySize", managed=True)
    if len(_versions(call, policy)) >= MAX_VERSIONS:
        raise AwsError(
            "LimitExceeded",
            f"A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you must "
            "delete an existing version.",
            409,
        )
    number = policy["last_version"] + 1
    version, now = f"v{number}", to_text(call.now)
    call.store.execute("INSERT INTO policy_versions VALUES (?, ?, ?, ?)", (policy["arn"], version, text, now))
    call.store.execute("UPDATE policies SET last_version = ?, updated = ? WHERE arn = ?", (number, now, policy["arn"]))
    if params.get("SetAsDefault"):
        _set_default(call, policy["arn"], version)
    return {"PolicyVersion": _version(get(call, policy["arn"]), _version_row(call, policy, version))}


@action("iam", "GetPolicyVersion", resource=_resource, context=tags)
def get_policy_version(call: Call, params: Params) -> Result:
    policy = get(call, params["PolicyArn"])
    return {"PolicyVersion": _version(policy, _version_row(call, policy, params["VersionId"]), document=True)}


@action("iam", "ListPolicyVersions", resource=_resource, context=tags)
def list_policy_versions(call: Call, params: Params) -> Result:
    policy = get(call, params["PolicyArn"])
    return {"Versions": [_version(policy, row) for row in _versions(call, policy)]}


@action("iam", "SetDefaultPolicyVersion", resource=_resource, context=tags)
def set_default_policy_version(call: Call, params: Params) -> Result:
    policy = _own(call, params)
    _version_row(call, policy, params["VersionId"])
    _set_default(call, policy["arn"], params["VersionId"])
    return {}


@action("iam", "DeletePolicyVersion", resource=_resource, context=tags)
def delete_policy_version(call: Call, params: Params) -> Result:
    policy, version = _own(call, params), params["VersionId"]
    _version_row(call, policy, version)
    if version == policy["default_version"]:
        raise AwsError("DeleteConflict", "Cannot delete the default version of a policy.", 409)
    call.store.execute("DELETE FROM policy_versions WHERE arn = ? AND version = ?", (policy["arn"], version))
    return {}


def _own(call: Call, params: Params) -> Row:
    policy = get(call, params["PolicyArn"])
    if policy["account"] == AWS:
        raise AwsError("AccessDenied", "Cannot perform the operation on an AWS managed policy.", 403)
    return policy


def _versions(call: Call, policy: Row) -> list[Row]:
    rows = call.store.all("SELECT * FROM policy_versions WHERE arn = ?", (policy["arn"],))
    return sorted(rows, key=lambda row: -int(row["version"][1:]))


def _version_row(call: Call, policy: Row, version: str) -> Row:
    row = call.store.one("SELECT * FROM policy_versions WHERE arn = ? AND version = ?", (policy["arn"], version))
    if row is None:
        raise AwsError(
            "NoSuchEntity", f"Policy {policy['arn']} version {version} does not exist or is not attachable.", 404
        )
    return row


def _version(policy: Row, row: Row, *, document: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "VersionId": row["version"],
        "IsDefaultVersion": row["version"] == policy["default_version"],
        "CreateDate": from_text(row["created"]),
    }
    if document:
        found["Document"] = quote(row["document"], safe="-_.~")
    return found


def _set_default(call: Call, arn: str, version: str) -> None:
    call.store.execute(
        "UPDATE policies SET default_version = ?, updated = ? WHERE arn = ?", (version, to_text(call.now), arn)
    )
