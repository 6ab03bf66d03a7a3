"""Updates: the record that EKS keeps of each change to a cluster. They are done as soon as they are recorded."""

from __future__ import annotations

import json
from sqlite3 import Row
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.eks import records
from rolecall.lab.aws_endpoint.eks.context import cluster_arn, cluster_tags
from rolecall.lab.aws_endpoint.moments import from_text, to_text


def record(call: Call, cluster: Row, kind: str, params: dict[str, str]) -> dict[str, Any]:
    """Keep an update and return it as the ``Update`` shape, as EKS shows it before it is done."""
    update_id = call.ids.uuid()
    call.store.execute(
        "INSERT INTO updates VALUES (?, ?, ?, ?, ?)",
        (update_id, cluster["id"], kind, json.dumps(params), to_text(call.now)),
    )
    row = call.store.one("SELECT * FROM updates WHERE id = ?", (update_id,))
    assert row is not None
    return {**_render(row), "status": "InProgress"}


def _render(row: Row) -> dict[str, Any]:
    params = json.loads(row["params"])
    return {
        "id": row["id"],
        "status": "Successful",
        "type": row["type"],
        "params": [{"type": kind, "value": value} for kind, value in params.items()],
        "createdAt": from_text(row["created"]),
        "errors": [],
    }


@action("eks", "DescribeUpdate", resource=cluster_arn, context=cluster_tags)
def describe_update(call: Call, params: Params) -> Result:
    cluster = records.get(call, params["name"])
    row = call.store.one("SELECT * FROM updates WHERE id = ? AND cluster = ?", (params["updateId"], cluster["id"]))
    if row is None:
        raise AwsError("ResourceNotFoundException", f"No update found for ID: {params['updateId']}", 404)
    return {"update": _render(row)}


@action("eks", "ListUpdates", resource=cluster_arn, context=cluster_tags)
def list_updates(call: Call, params: Params) -> Result:
    cluster = records.get(call, params["name"])
    rows = call.store.all("SELECT id FROM updates WHERE cluster = ? ORDER BY created DESC, id", (cluster["id"],))
    return {"updateIds": [row["id"] for row in rows]}
