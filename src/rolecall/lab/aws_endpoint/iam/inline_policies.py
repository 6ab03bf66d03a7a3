"""Inline policies of users, roles and groups. Source: IAM API reference, PutUserPolicy and its neighbours."""

from __future__ import annotations

from urllib.parse import quote

from rolecall.iam.documents import PolicyKind
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam.owners import GROUP, OWNERS, ROLE, USER, Owner, check_policy, policy_size

# IAM user guide, "IAM and AWS STS quotas": the sum of all inline policies, white space left out.
LIMITS = {USER.kind: 2_048, ROLE.kind: 10_240, GROUP.kind: 5_120}


def _register(owner: Owner) -> None:
    @action("iam", f"Put{owner.kind}Policy", resource=owner.resource, context=owner.with_boundary)
    def put(call: Call, params: Params) -> Result:
        found, text = owner.get(call, params[owner.parameter]), params["PolicyDocument"]
        check_policy(text, PolicyKind.IDENTITY)
        call.store.execute(
            "INSERT OR REPLACE INTO inline_policies VALUES (?, ?, ?)", (found["id"], params["PolicyName"], text)
        )
        rows = call.store.all("SELECT document FROM inline_policies WHERE owner = ?", (found["id"],))
        name, limit = params[owner.parameter], LIMITS[owner.kind]
        if sum(policy_size(row["document"]) for row in rows) > limit:
            raise AwsError(
                "LimitExceeded", f"Maximum policy size of {limit} bytes exceeded for {owner.kind.lower()} {name}", 409
            )
        return {}

    @action("iam", f"Get{owner.kind}Policy", resource=owner.resource, context=owner.tags)
    def get(call: Call, params: Params) -> Result:
        found, name = owner.get(call, params[owner.parameter]), params["PolicyName"]
        row = call.store.one("SELECT * FROM inline_policies WHERE owner = ? AND name = ?", (found["id"], name))
        if row is None:
            raise _no_policy(owner, name)
        return {
            owner.parameter: found["name"],
            "PolicyName": name,
            "PolicyDocument": quote(row["document"], safe="-_.~"),
        }

    @action("iam", f"List{owner.kind}Policies", resource=owner.resource, context=owner.tags)
    def list_(call: Call, params: Params) -> Result:
        found = owner.get(call, params[owner.parameter])
        rows = call.store.all("SELECT name FROM inline_policies WHERE owner = ? ORDER BY name", (found["id"],))
        return {"PolicyNames": [row["name"] for row in rows]}

    @action("iam", f"Delete{owner.kind}Policy", resource=owner.resource, context=owner.with_boundary)
    def delete(call: Call, params: Params) -> Result:
        found, name = owner.get(call, params[owner.parameter]), params["PolicyName"]
        deleted = call.store.execute("DELETE FROM inline_policies WHERE owner = ? AND name = ?", (found["id"], name))
        if not deleted.rowcount:
            raise _no_policy(owner, name)
        return {}


def _no_policy(owner: Owner, name: str) -> AwsError:
    return AwsError("NoSuchEntity", f"The {owner.kind.lower()} policy with name {name} cannot be found.", 404)


for _owner in OWNERS:
    _register(_owner)
