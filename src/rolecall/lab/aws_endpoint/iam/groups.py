"""Groups and who is in them. Source: IAM API reference, CreateGroup and its neighbours."""

from __future__ import annotations

from sqlite3 import Row
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory, users
from rolecall.lab.aws_endpoint.iam.owners import GROUP, USER, below, new_arn, refuse_taken, renaming
from rolecall.lab.aws_endpoint.moments import from_text, to_text

MAX_GROUPS_OF_USER = 10


def render(call: Call, group: Row) -> dict[str, Any]:
    """The ``Group`` shape."""
    return {
        "Path": group["path"],
        "GroupName": group["name"],
        "GroupId": group["id"],
        "Arn": directory.group_arn(call.partition, group),
        "CreateDate": from_text(group["created"]),
    }


@action("iam", "CreateGroup", resource=GROUP.resource)
def create_group(call: Call, params: Params) -> Result:
    name = params["GroupName"]
    refuse_taken(call, GROUP, name)
    call.store.execute(
        "INSERT INTO groups VALUES (?, ?, ?, ?, ?)",
        (call.ids.unique_id("AGPA"), call.account, name, params.get("Path", "/"), to_text(call.now)),
    )
    return {"Group": render(call, GROUP.get(call, name))}


@action("iam", "GetGroup", resource=GROUP.resource)
def get_group(call: Call, params: Params) -> Result:
    group = GROUP.get(call, params["GroupName"])
    members = call.store.all(
        "SELECT u.* FROM users u JOIN memberships m ON m.user_id = u.id WHERE m.group_id = ? ORDER BY u.name",
        (group["id"],),
    )
    return {"Group": render(call, group), "Users": [users.render(call, member, tags=False) for member in members]}


@action("iam", "ListGroups", resource=lambda call, params: new_arn(call, "group", params.get("PathPrefix", "/"), ""))
def list_groups(call: Call, params: Params) -> Result:
    rows = call.store.all("SELECT * FROM groups WHERE account = ? ORDER BY name", (call.account,))
    return {"Groups": [render(call, row) for row in below(rows, params.get("PathPrefix"))]}


@action("iam", "UpdateGroup", resource=GROUP.resource, also=renaming(GROUP))
def update_group(call: Call, params: Params) -> Result:
    group = GROUP.get(call, params["GroupName"])
    name, path = params.get("NewGroupName") or group["name"], params.get("NewPath") or group["path"]
    if name.lower() != group["name"].lower():
        refuse_taken(call, GROUP, name)
    call.store.execute("UPDATE groups SET name = ?, path = ? WHERE id = ?", (name, path, group["id"]))
    return {}


@action("iam", "DeleteGroup", resource=GROUP.resource)
def delete_group(call: Call, params: Params) -> Result:
    group = GROUP.get(call, params["GroupName"])
    for sql, what in (
        ("SELECT 1 FROM memberships WHERE group_id = ?", "must remove users from group first."),
        ("SELECT 1 FROM inline_policies WHERE owner = ?", "must delete policies first."),
        ("SELECT 1 FROM attachments WHERE owner = ?", "must detach all policies first."),
    ):
        if call.store.one(sql, (group["id"],)) is not None:
            raise AwsError("DeleteConflict", f"Cannot delete entity, {what}", 409)
    call.store.execute("DELETE FROM groups WHERE id = ?", (group["id"],))
    return {}


@action("iam", "AddUserToGroup", resource=GROUP.resource)
def add_user_to_group(call: Call, params: Params) -> Result:
    group, user = GROUP.get(call, params["GroupName"]), USER.get(call, params["UserName"])
    call.store.execute("INSERT OR IGNORE INTO memberships VALUES (?, ?)", (group["id"], user["id"]))
    if len(_groups_of(call, user)) > MAX_GROUPS_OF_USER:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for GroupsPerUser: {MAX_GROUPS_OF_USER}", 409)
    return {}


@action("iam", "RemoveUserFromGroup", resource=GROUP.resource)
def remove_user_from_group(call: Call, params: Params) -> Result:
    group, user = GROUP.get(call, params["GroupName"]), USER.get(call, params["UserName"])
    call.store.execute("DELETE FROM memberships WHERE group_id = ? AND user_id = ?", (group["id"], user["id"]))
    return {}


@action("iam", "ListGroupsForUser", resource=USER.resource, context=USER.tags)
def list_groups_for_user(call: Call, params: Params) -> Result:
    return {"Groups": [render(call, group) for group in _groups_of(call, USER.get(call, params["UserName"]))]}


def _groups_of(call: Call, user: Row) -> list[Row]:
    return call.store.all(
        "SELECT g.* FROM groups g JOIN memberships m ON m.group_id = g.id WHERE m.user_id = ? ORDER BY g.name",
        (user["id"],),
    )
