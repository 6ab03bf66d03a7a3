"""Roles and their trust policies. Source: IAM API reference, CreateRole and its neighbours.

A trust policy is bound to the unique ids of the users and roles that it names when it is saved. A user who is deleted
and created again under the same name is another principal, and the policy then shows the old one's id (IAM user guide,
"AWS JSON policy elements: Principal").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from sqlite3 import Row
from typing import Any
from urllib.parse import quote

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.documents import PolicyKind
from rolecall.iam.grammar.policies import aws_principals
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.iam.boundaries import boundary_of, check_boundary
from rolecall.lab.aws_endpoint.iam.owners import (
    ROLE,
    below,
    check_policy,
    new_arn,
    put_tags,
    refuse_reserved,
    refuse_taken,
    tag_list,
    tag_pairs,
    tagging,
    with_boundary,
)
from rolecall.lab.aws_endpoint.moments import from_text, to_text

DEFAULT_MAX_SESSION = 3_600
# IAM user guide, "IAM and AWS STS quotas": the trust policy's default quota.
MAX_TRUST, QUOTA = 2_048, "ACLSizePerRole"


def render(call: Call, role: Row, *, tags: bool = True) -> dict[str, Any]:
    """The ``Role`` shape."""
    found: dict[str, Any] = {
        "Path": role["path"],
        "RoleName": role["name"],
        "RoleId": role["id"],
        "Arn": directory.role_arn(call.partition, role),
        "CreateDate": from_text(role["created"]),
        "AssumeRolePolicyDocument": quote(trust_as_shown(call, role), safe="-_.~"),
        "MaxSessionDuration": role["max_session"],
    }
    if role["description"]:
        found["Description"] = role["description"]
    if boundary := boundary_of(role):
        found["PermissionsBoundary"] = boundary
    if tags:
        found["RoleLastUsed"] = {}
        if pairs := directory.tags_of(call.store, role["id"]):
            found["Tags"] = tag_list(pairs)
    return found


@action("iam", "CreateRole", resource=ROLE.resource, context=with_boundary, also=tagging("Role", ROLE.resource))
def create_role(call: Call, params: Params) -> Result:
    name, text, tags = params["RoleName"], params["AssumeRolePolicyDocument"], tag_pairs(params)
    refuse_reserved(params)
    refuse_taken(call, ROLE, name)
    check_boundary(call, params.get("PermissionsBoundary"))
    check_policy(text, PolicyKind.TRUST, MAX_TRUST, QUOTA)
    ids = _bind(call, text)
    role_id = call.ids.unique_id("AROA")
    call.store.execute(
        "INSERT INTO roles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            role_id,
            call.account,
            name,
            params.get("Path", "/"),
            to_text(call.now),
            params.get("PermissionsBoundary"),
            text,
            json.dumps(ids),
            params.get("Description", ""),
            params.get("MaxSessionDuration") or DEFAULT_MAX_SESSION,
        ),
    )
    put_tags(call, role_id, tags)
    return {"Role": render(call, ROLE.get(call, name))}


@action("iam", "GetRole", resource=ROLE.resource, context=ROLE.tags)
def get_role(call: Call, params: Params) -> Result:
    return {"Role": render(call, ROLE.get(call, params["RoleName"]))}


@action("iam", "ListRoles", resource=lambda call, params: new_arn(call, "role", params.get("PathPrefix", "/"), ""))
def list_roles(call: Call, params: Params) -> Result:
    rows = call.store.all("SELECT * FROM roles WHERE account = ? ORDER BY name", (call.account,))
    return {"Roles": [render(call, row, tags=False) for row in below(rows, params.get("PathPrefix"))]}


@action("iam", "UpdateRole", resource=ROLE.resource, context=ROLE.tags)
def update_role(call: Call, params: Params) -> Result:
    role = ROLE.get(call, params["RoleName"])
    call.store.execute(
        "UPDATE roles SET description = ?, max_session = ? WHERE id = ?",
        (
            params.get("Description", role["description"]),
            params.get("MaxSessionDuration") or role["max_session"],
            role["id"],
        ),
    )
    return {}


@action("iam", "UpdateAssumeRolePolicy", resource=ROLE.resource, context=ROLE.tags)
def update_assume_role_policy(call: Call, params: Params) -> Result:
    role, text = ROLE.get(call, params["RoleName"]), params["PolicyDocument"]
    check_policy(text, PolicyKind.TRUST, MAX_TRUST, QUOTA)
    ids = _bind(call, text)
    call.store.execute("UPDATE roles SET trust = ?, trust_ids = ? WHERE id = ?", (text, json.dumps(ids), role["id"]))
    return {}


@action("iam", "DeleteRole", resource=ROLE.resource, context=ROLE.tags)
def delete_role(call: Call, params: Params) -> Result:
    role = ROLE.get(call, params["RoleName"])
    for sql, what in (
        ("SELECT 1 FROM inline_policies WHERE owner = ?", "must delete policies first."),
        ("SELECT 1 FROM attachments WHERE owner = ?", "must detach all policies first."),
    ):
        if call.store.one(sql, (role["id"],)) is not None:
            raise AwsError("DeleteConflict", f"Cannot delete entity, {what}", 409)
    call.store.execute("DELETE FROM tags WHERE owner = ?", (role["id"],))
    call.store.execute("DELETE FROM roles WHERE id = ?", (role["id"],))
    return {}


def trust_as_shown(call: Call, role: Row) -> str:
    """The trust policy with the id in place of every principal that is deleted, or was deleted and created again."""
    gone = {arn: one for arn, one in json.loads(role["trust_ids"]).items() if _current_id(call, arn) != one}
    text: str = role["trust"]
    return _with_principals(text, gone) if gone else text


def follow_principal(call: Call, principal_id: str, old_arn: str, new_arn: str) -> None:
    """Trust policies of every account that name a user go on naming it under its new name.

    Source: IAM user guide, "Rename an IAM user": policies that refer to the user as the principal are updated.
    """
    if old_arn == new_arn:
        return
    for role in call.store.all("SELECT id, trust, trust_ids FROM roles WHERE instr(trust_ids, ?)", (principal_id,)):
        ids = json.loads(role["trust_ids"])
        if ids.pop(old_arn, None) == principal_id:
            call.store.execute(
                "UPDATE roles SET trust = ?, trust_ids = ? WHERE id = ?",
                (
                    _with_principals(role["trust"], {old_arn: new_arn}),
                    json.dumps({**ids, new_arn: principal_id}),
                    role["id"],
                ),
            )


def _with_principals(text: str, changed: Mapping[str, str]) -> str:
    """A trust policy with some of its AWS principals exchanged."""
    document = json.loads(text)
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    for statement in statements:
        principal = statement.get("Principal")
        if isinstance(principal, dict) and "AWS" in principal:
            names = principal["AWS"]
            shown = [changed.get(name, name) for name in (names if isinstance(names, list) else [names])]
            principal["AWS"] = shown if isinstance(names, list) else shown[0]
    return json.dumps(document)


def _bind(call: Call, trust: str) -> dict[str, str]:
    """The unique ids of the users and roles that a trust policy names; one that does not exist is refused."""
    found: dict[str, str] = {}
    for name in aws_principals(trust):
        # An id stands where a principal was deleted; saving it again is refused, as AWS does.
        principal_id = "" if name.startswith(("AIDA", "AROA")) else _current_id(call, name)
        if principal_id == "":
            raise _invalid_principal(name)
        if principal_id is not None:
            found[name] = principal_id
    return found


def _current_id(call: Call, name: str) -> str | None:
    """The unique id behind a principal's ARN now; empty if it is gone; ``None`` if it has none of its own."""
    try:
        arn = PrincipalArn.parse(name)
    except InvalidArnError:
        return None
    if arn.partition != call.partition:
        return ""
    if arn.kind not in (PrincipalKind.USER, PrincipalKind.ROLE):
        return None
    return directory.principal_id(call.store, call.partition, arn) or ""


def _invalid_principal(name: str) -> AwsError:
    return AwsError("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{name}"', 400)
