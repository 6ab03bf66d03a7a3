"""Users. Source: IAM API reference, CreateUser and its neighbours."""

from __future__ import annotations

from sqlite3 import Row
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory, roles
from rolecall.lab.aws_endpoint.iam.boundaries import boundary_of, check_boundary
from rolecall.lab.aws_endpoint.iam.owners import (
    USER,
    below,
    new_arn,
    put_tags,
    refuse_taken,
    renaming,
    tag_list,
    tag_pairs,
    tagging,
    the_user,
    with_boundary,
)
from rolecall.lab.aws_endpoint.moments import from_text, to_text


def render(call: Call, user: Row, *, tags: bool = True) -> dict[str, Any]:
    """The ``User`` shape."""
    found: dict[str, Any] = {
        "Path": user["path"],
        "UserName": user["name"],
        "UserId": user["id"],
        "Arn": directory.user_arn(call.partition, user),
        "CreateDate": from_text(user["created"]),
    }
    if boundary := boundary_of(user):
        found["PermissionsBoundary"] = boundary
    if tags and (pairs := directory.tags_of(call.store, user["id"])):
        found["Tags"] = tag_list(pairs)
    return found


@action("iam", "CreateUser", resource=USER.resource, context=with_boundary, also=tagging("User", USER.resource))
def create_user(call: Call, params: Params) -> Result:
    name, tags = params["UserName"], tag_pairs(params)
    refuse_taken(call, USER, name)
    check_boundary(call, params.get("PermissionsBoundary"))
    user_id = call.ids.unique_id("AIDA")
    call.store.execute(
        "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?)",
        (user_id, call.account, name, params.get("Path", "/"), to_text(call.now), params.get("PermissionsBoundary")),
    )
    put_tags(call, user_id, tags)
    return {"User": render(call, USER.get(call, name))}


@action("iam", "GetUser", resource=USER.resource, context=USER.tags)
def get_user(call: Call, params: Params) -> Result:
    return {"User": render(call, the_user(call, params))}


@action("iam", "ListUsers", resource=lambda call, params: new_arn(call, "user", params.get("PathPrefix", "/"), ""))
def list_users(call: Call, params: Params) -> Result:
    rows = call.store.all("SELECT * FROM users WHERE account = ? ORDER BY name", (call.account,))
    return {"Users": [render(call, row, tags=False) for row in below(rows, params.get("PathPrefix"))]}


@action("iam", "UpdateUser", resource=USER.resource, context=USER.tags, also=renaming(USER))
def update_user(call: Call, params: Params) -> Result:
    user = USER.get(call, params["UserName"])
    name, path = params.get("NewUserName") or user["name"], params.get("NewPath") or user["path"]
    if name.lower() != user["name"].lower():
        refuse_taken(call, USER, name)
    call.store.execute("UPDATE users SET name = ?, path = ? WHERE id = ?", (name, path, user["id"]))
    roles.follow_principal(
        call, user["id"], directory.user_arn(call.partition, user), new_arn(call, "user", path, name)
    )
    return {}


@action("iam", "DeleteUser", resource=USER.resource, context=USER.tags)
def delete_user(call: Call, params: Params) -> Result:
    user = USER.get(call, params["UserName"])
    # IAM API reference, DeleteUser: everything attached has to be removed first.
    for sql, what in (
        ("SELECT 1 FROM access_keys WHERE user_id = ?", "must delete access keys first."),
        ("SELECT 1 FROM inline_policies WHERE owner = ?", "must delete policies first."),
        ("SELECT 1 FROM attachments WHERE owner = ?", "must detach all policies first."),
        ("SELECT 1 FROM memberships WHERE user_id = ?", "must remove users from group first."),
        ("SELECT 1 FROM mfa_devices WHERE user_id = ?", "must delete MFA device first."),
    ):
        if call.store.one(sql, (user["id"],)) is not None:
            raise AwsError("DeleteConflict", f"Cannot delete entity, {what}", 409)
    call.store.execute("DELETE FROM tags WHERE owner = ?", (user["id"],))
    call.store.execute("DELETE FROM users WHERE id = ?", (user["id"],))
    return {}
