"""Access policies associated with access entries, as they are stored."""

from __future__ import annotations

import json
from sqlite3 import Row
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError, Call
from rolecall.lab.aws_endpoint.moments import from_text, to_text
from rolecall.mapping.access_entries import AssociatedPolicy, EntryError, EntryType, check_policy
from rolecall.rbac.access_policies import ACCESS_POLICIES

_KNOWN = frozenset(ACCESS_POLICIES)


def associate(call: Call, cluster: Row, entry: Row, policy: AssociatedPolicy) -> Row:
    """Associate a policy with an entry, or change its scope."""
    try:
        check_policy(policy, EntryType(entry["type"]), _KNOWN, call.partition)
    except EntryError as error:
        raise AwsError("InvalidParameterException", error.what, 400) from None
    now = to_text(call.now)
    call.store.execute(
        "INSERT INTO entry_policies VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (cluster, principal_arn, policy_arn) "
        "DO UPDATE SET scope = excluded.scope, namespaces = excluded.namespaces, modified = excluded.modified",
        (
            cluster["id"],
            entry["principal_arn"],
            policy.policy_arn,
            policy.scope.value,
            json.dumps(list(policy.namespaces)),
            now,
            now,
        ),
    )
    row = call.store.one(
        "SELECT * FROM entry_policies WHERE cluster = ? AND principal_arn = ? AND policy_arn = ?",
        (cluster["id"], entry["principal_arn"], policy.policy_arn),
    )
    assert row is not None
    return row


def render(row: Row) -> dict[str, Any]:
    """The ``AssociatedAccessPolicy`` shape."""
    return {
        "policyArn": row["policy_arn"],
        "accessScope": {"type": row["scope"], "namespaces": json.loads(row["namespaces"])},
        "associatedAt": from_text(row["associated"]),
        "modifiedAt": from_text(row["modified"]),
    }
