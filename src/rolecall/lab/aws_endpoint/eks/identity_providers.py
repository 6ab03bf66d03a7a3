"""OpenID Connect providers that a cluster takes users from. Kept and shown; the embedded cluster asks none of them.

Source: EKS API reference, AssociateIdentityProviderConfig and its neighbours.
"""

from __future__ import annotations

import json
from sqlite3 import Row
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.eks import records, updates
from rolecall.lab.aws_endpoint.eks.access_entries import cluster_resource
from rolecall.lab.aws_endpoint.iam import directory


@action("eks", "AssociateIdentityProviderConfig", resource=cluster_resource)
def associate(call: Call, params: Params) -> Result:
    cluster, config = records.active(call, params["clusterName"]), params["oidc"]
    if _find(call, cluster) is not None:
        raise AwsError("ResourceInUseException", "The cluster already has an identity provider config.", 409)
    if not config["issuerUrl"].startswith("https://"):
        raise AwsError("InvalidParameterException", "issuerUrl must be an https URL.", 400)
    name = config["identityProviderConfigName"]
    arn = (
        f"arn:{call.partition}:eks:{cluster['region']}:{cluster['account']}:identityproviderconfig/"
        f"{cluster['name']}/oidc/{name}/{call.ids.uuid()}"
    )
    call.store.execute(
        "INSERT INTO identity_providers VALUES (?, ?, ?, ?)", (cluster["id"], name, arn, json.dumps(dict(config)))
    )
    tags = params.get("tags") or {}
    for key, value in tags.items():
        call.store.execute("INSERT INTO tags VALUES (?, ?, ?)", (arn, key, value))
    update = updates.record(call, cluster, "AssociateIdentityProviderConfig", {"IdentityProviderConfig": name})
    return {"update": update, "tags": tags}


@action("eks", "DescribeIdentityProviderConfig", resource=cluster_resource)
def describe(call: Call, params: Params) -> Result:
    cluster = records.get(call, params["clusterName"])
    row = _get(call, cluster, params["identityProviderConfig"])
    found: dict[str, Any] = {
        **json.loads(row["config"]),
        "identityProviderConfigArn": row["arn"],
        "clusterName": cluster["name"],
        "tags": directory.tags_of(call.store, row["arn"]),
        "status": "ACTIVE",
    }
    return {"identityProviderConfig": {"oidc": found}}


@action("eks", "ListIdentityProviderConfigs", resource=cluster_resource)
def list_(call: Call, params: Params) -> Result:
    row = _find(call, records.get(call, params["clusterName"]))
    return {"identityProviderConfigs": [{"type": "oidc", "name": row["name"]}] if row is not None else []}


@action("eks", "DisassociateIdentityProviderConfig", resource=cluster_resource)
def disassociate(call: Call, params: Params) -> Result:
    cluster = records.active(call, params["clusterName"])
    row = _get(call, cluster, params["identityProviderConfig"])
    call.store.execute("DELETE FROM tags WHERE owner = ?", (row["arn"],))
    call.store.execute("DELETE FROM identity_providers WHERE cluster = ?", (cluster["id"],))
    kind = "DisassociateIdentityProviderConfig"
    return {"update": updates.record(call, cluster, kind, {"IdentityProviderConfig": row["name"]})}


def _find(call: Call, cluster: Row) -> Row | None:
    return call.store.one("SELECT * FROM identity_providers WHERE cluster = ?", (cluster["id"],))


def _get(call: Call, cluster: Row, wanted: Params) -> Row:
    row = _find(call, cluster)
    if row is None or wanted.get("type") != "oidc" or wanted.get("name") != row["name"]:
        raise AwsError("ResourceNotFoundException", "Identity provider config is not associated with cluster.", 404)
    return row
