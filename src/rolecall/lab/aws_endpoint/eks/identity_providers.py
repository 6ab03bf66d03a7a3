"""OpenID Connect providers that a cluster takes users from. Kept and shown; the embedded cluster asks none of them.

Source: EKS API reference, AssociateIdentityProviderConfig and its neighbours.
"""

from __future__ import annotations

import json
from sqlite3 import Row
from typing import Any

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Result, action
from rolecall.lab.aws_endpoint.eks import records, updates
from rolecall.lab.aws_endpoint.eks.context import cluster_arn, cluster_tags, resource_tags
from rolecall.lab.aws_endpoint.eks.tags import put_tags
from rolecall.lab.aws_endpoint.iam import directory


def _config_arn(call: Call, params: Params) -> str:
    """The ARN of the config that is named; where there is none, what it could be."""
    wanted, cluster = params["identityProviderConfig"], records.find(call, params["clusterName"])
    row = _find(call, cluster) if cluster is not None else None
    if row is not None and (wanted.get("type"), wanted.get("name")) == ("oidc", row["name"]):
        return str(row["arn"])
    kind = f"identityproviderconfig/{params['clusterName']}/{wanted.get('type')}/{wanted.get('name')}"
    return f"arn:{call.partition}:eks:{call.region}:{call.account}:{kind}/*"


def _config_tags(call: Call, params: Params) -> Context:
    return resource_tags(call, _config_arn(call, params))


def _new_context(call: Call, params: Params) -> Context:
    config = params["oidc"]
    keys = {"eks:clientid": (config["clientId"],), "eks:issuerurl": (config["issuerUrl"],)}
    return {**cluster_tags(call, params), **keys}


@action("eks", "AssociateIdentityProviderConfig", resource=cluster_arn, context=_new_context)
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
    put_tags(call, arn, params.get("tags"))
    update = updates.record(call, cluster, "AssociateIdentityProviderConfig", {"IdentityProviderConfig": name})
    return {"update": update, "tags": params.get("tags") or {}}


@action("eks", "DescribeIdentityProviderConfig", resource=_config_arn, context=_config_tags)
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


@action("eks", "ListIdentityProviderConfigs", resource=cluster_arn, context=cluster_tags)
def list_(call: Call, params: Params) -> Result:
    row = _find(call, records.get(call, params["clusterName"]))
    return {"identityProviderConfigs": [{"type": "oidc", "name": row["name"]}] if row is not None else []}


@action("eks", "DisassociateIdentityProviderConfig", resource=_config_arn, context=_config_tags)
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
