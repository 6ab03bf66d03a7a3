"""Permissions boundaries of users and roles. Source: IAM API reference, PutUserPermissionsBoundary."""

from __future__ import annotations

from sqlite3 import Row

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.iam.owners import ROLE, USER, Owner


def boundary_of(owner: Row) -> dict[str, str] | None:
    """The ``AttachedPermissionsBoundary`` shape, or ``None`` if there is no boundary."""
    arn = owner["boundary"]
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn} if arn else None


def check_boundary(call: Call, arn: str | None) -> None:
    """``NoSuchEntity`` if a boundary names no policy of the account or of AWS."""
    if arn is not None and directory.managed_policy(call.store, arn, call.account) is None:
        raise AwsError("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.", 404)


def _register(owner: Owner) -> None:
    def context(call: Call, params: Params) -> Context:
        return {**owner.tags(call, params), "iam:permissionsboundary": (params["PermissionsBoundary"],)}

    @action("iam", f"Put{owner.kind}PermissionsBoundary", resource=owner.resource, context=context)
    def put(call: Call, params: Params) -> Result:
        found = owner.get(call, params[owner.parameter])
        check_boundary(call, params["PermissionsBoundary"])
        _set(call, owner, found, params["PermissionsBoundary"])
        return {}

    @action("iam", f"Delete{owner.kind}PermissionsBoundary", resource=owner.resource, context=owner.with_boundary)
    def delete(call: Call, params: Params) -> Result:
        found = owner.get(call, params[owner.parameter])
        if not found["boundary"]:
            name = params[owner.parameter]
            raise AwsError("NoSuchEntity", f"{owner.kind} {name} does not have a permissions boundary attached.", 404)
        _set(call, owner, found, None)
        return {}


def _set(call: Call, owner: Owner, found: Row, arn: str | None) -> None:
    call.store.execute(f"UPDATE {owner.table} SET boundary = ? WHERE id = ?", (arn, found["id"]))  # noqa: S608


for _owner in (USER, ROLE):
    _register(_owner)
