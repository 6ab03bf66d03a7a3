"""Managed policies attached to users, roles and groups. Source: IAM API reference, AttachUserPolicy and neighbours."""

from __future__ import annotations

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Result, action
from rolecall.lab.aws_endpoint.iam import policies
from rolecall.lab.aws_endpoint.iam.owners import GROUP, OWNERS, Owner

MAX_ATTACHED = 10


def _register(owner: Owner) -> None:
    def context(call: Call, params: Params) -> Context:
        return {**owner.with_boundary(call, params), "iam:policyarn": (params["PolicyArn"],)}

    @action("iam", f"Attach{owner.kind}Policy", resource=owner.resource, context=context)
    def attach(call: Call, params: Params) -> Result:
        found, arn = owner.get(call, params[owner.parameter]), params["PolicyArn"]
        try:
            policies.get(call, arn)
        except AwsError:
            raise AwsError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", 404) from None
        call.store.execute("INSERT OR IGNORE INTO attachments VALUES (?, ?)", (found["id"], arn))
        count = call.store.one("SELECT count(*) AS n FROM attachments WHERE owner = ?", (found["id"],))
        if count is not None and count["n"] > MAX_ATTACHED:
            raise AwsError("LimitExceeded", f"Cannot exceed quota for PoliciesPer{owner.kind}: {MAX_ATTACHED}", 409)
        return {}

    @action("iam", f"Detach{owner.kind}Policy", resource=owner.resource, context=context)
    def detach(call: Call, params: Params) -> Result:
        found, arn = owner.get(call, params[owner.parameter]), params["PolicyArn"]
        gone = call.store.execute("DELETE FROM attachments WHERE owner = ? AND arn = ?", (found["id"], arn))
        if not gone.rowcount:
            raise AwsError("NoSuchEntity", f"Policy {arn} was not found.", 404)
        return {}

    @action("iam", f"ListAttached{owner.kind}Policies", resource=owner.resource, context=owner.tags)
    def list_(call: Call, params: Params) -> Result:
        found = owner.get(call, params[owner.parameter])
        return {"AttachedPolicies": attached(call, found["id"], params.get("PathPrefix"))}


def attached(call: Call, owner_id: str, prefix: str | None = None) -> list[dict[str, str]]:
    """The managed policies of one owner, as the ``AttachedPolicies`` shape."""
    rows = call.store.all(
        "SELECT p.* FROM attachments a JOIN policies p ON p.arn = a.arn WHERE a.owner = ? ORDER BY p.name", (owner_id,)
    )
    return [
        {"PolicyName": row["name"], "PolicyArn": row["arn"]} for row in rows if row["path"].startswith(prefix or "/")
    ]


@action("iam", "ListEntitiesForPolicy", resource=lambda call, params: params["PolicyArn"], context=policies.tags)
def list_entities_for_policy(call: Call, params: Params) -> Result:
    policy, wanted = policies.get(call, params["PolicyArn"]), params.get("EntityFilter")
    usage, prefix = params.get("PolicyUsageFilter"), params.get("PathPrefix", "/")
    answer: dict[str, list[dict[str, str]]] = {}
    for owner in OWNERS:
        found: dict[str, str] = {}
        for kind, sql in _USED_BY.items():
            # Groups have no boundary. Without a filter both uses count.
            if (
                wanted in (None, owner.kind)
                and usage in (None, kind)
                and (kind == "PermissionsPolicy" or owner is not GROUP)
            ):
                rows = call.store.all(sql.format(owner.table), (policy["arn"], call.account))
                found |= {row["name"]: row["id"] for row in rows if row["path"].startswith(prefix)}
        answer[f"Policy{owner.kind}s"] = [
            {f"{owner.kind}Name": name, f"{owner.kind}Id": found[name]} for name in sorted(found)
        ]
    return answer


_USED_BY = {
    "PermissionsPolicy": "SELECT o.* FROM {} o JOIN attachments a ON a.owner = o.id WHERE a.arn = ? AND o.account = ?",
    "PermissionsBoundary": "SELECT * FROM {} WHERE boundary = ? AND account = ?",
}

for _owner in OWNERS:
    _register(_owner)
