"""Access keys. Source: IAM API reference, CreateAccessKey and its neighbours."""

from __future__ import annotations

from sqlite3 import Row
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.iam.owners import USER, the_user
from rolecall.lab.aws_endpoint.moments import from_text, to_text

MAX_KEYS = 2


@action("iam", "CreateAccessKey", resource=USER.resource, context=USER.tags)
def create_access_key(call: Call, params: Params) -> Result:
    user = the_user(call, params)
    if len(_keys(call, user)) >= MAX_KEYS:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {MAX_KEYS}", 409)
    key_id, secret = call.ids.unique_id("AKIA")[:20], call.ids.secret_key()
    call.store.execute(
        "INSERT INTO access_keys VALUES (?, ?, ?, ?, ?)",
        (key_id, user["id"], secret, directory.ACTIVE, to_text(call.now)),
    )
    return {
        "AccessKey": {
            "UserName": user["name"],
            "AccessKeyId": key_id,
            "Status": directory.ACTIVE,
            "SecretAccessKey": secret,
            "CreateDate": call.now,
        }
    }


@action("iam", "ListAccessKeys", resource=USER.resource, context=USER.tags)
def list_access_keys(call: Call, params: Params) -> Result:
    user = the_user(call, params)
    keys = [
        {
            "UserName": user["name"],
            "AccessKeyId": key["id"],
            "Status": key["status"],
            "CreateDate": from_text(key["created"]),
        }
        for key in _keys(call, user)
    ]
    return {"AccessKeyMetadata": keys}


@action("iam", "UpdateAccessKey", resource=USER.resource, context=USER.tags)
def update_access_key(call: Call, params: Params) -> Result:
    user, key_id = the_user(call, params), params["AccessKeyId"]
    if params["Status"] not in (directory.ACTIVE, directory.INACTIVE):
        raise AwsError("ValidationError", "The status of an access key is Active or Inactive.", 400)
    changed = call.store.execute(
        "UPDATE access_keys SET status = ? WHERE id = ? AND user_id = ?", (params["Status"], key_id, user["id"])
    )
    if not changed.rowcount:
        raise _no_key(key_id)
    return {}


@action("iam", "DeleteAccessKey", resource=USER.resource, context=USER.tags)
def delete_access_key(call: Call, params: Params) -> Result:
    user, key_id = the_user(call, params), params["AccessKeyId"]
    deleted = call.store.execute("DELETE FROM access_keys WHERE id = ? AND user_id = ?", (key_id, user["id"]))
    if not deleted.rowcount:
        raise _no_key(key_id)
    call.store.execute("DELETE FROM key_usage WHERE key_id = ?", (key_id,))
    return {}


def _holder(call: Call, params: Params) -> Row | None:
    """The user of the account who has a key."""
    return call.store.one(
        "SELECT u.* FROM access_keys k JOIN users u ON u.id = k.user_id WHERE k.id = ? AND u.account = ?",
        (params["AccessKeyId"], call.account),
    )


def _holder_arn(call: Call, params: Params) -> str:
    user = _holder(call, params)
    return directory.user_arn(call.partition, user) if user is not None else "*"


@action("iam", "GetAccessKeyLastUsed", resource=_holder_arn)
def get_access_key_last_used(call: Call, params: Params) -> Result:
    key_id, user = params["AccessKeyId"], _holder(call, params)
    if user is None:
        # As IAM does: an unknown key is an access that is denied, so that keys cannot be searched for.
        raise AwsError(
            "AccessDenied",
            f"User: {call.caller.arn} is not authorized to perform: iam:GetAccessKeyLastUsed "
            f"on resource: access key {key_id}",
            403,
        )
    used = call.store.one("SELECT * FROM key_usage WHERE key_id = ?", (key_id,))
    last: dict[str, Any] = {"Region": "N/A", "ServiceName": "N/A"}
    if used is not None:
        last = {
            "LastUsedDate": from_text(used["used"]),
            "Region": used["region"],
            "ServiceName": used["service"],
        }
    return {"UserName": user["name"], "AccessKeyLastUsed": last}


def _keys(call: Call, user: Row) -> list[Row]:
    return call.store.all("SELECT * FROM access_keys WHERE user_id = ? ORDER BY created, id", (user["id"],))


def _no_key(key_id: str) -> AwsError:
    return AwsError("NoSuchEntity", f"The Access Key with id {key_id} cannot be found.", 404)
