"""Clusters. Source: EKS API reference, CreateCluster and its neighbours; texts of errors not compared with live EKS."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from sqlite3 import Row
from typing import Any

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Permission, Result, action
from rolecall.lab.aws_endpoint.eks import records, updates
from rolecall.lab.aws_endpoint.eks.access_entries import create_entry
from rolecall.lab.aws_endpoint.eks.context import cluster_arn, cluster_tags
from rolecall.lab.aws_endpoint.eks.entry_policies import associate
from rolecall.lab.aws_endpoint.eks.tags import put_tags
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.moments import from_text, to_text
from rolecall.mapping.access_entries import AssociatedPolicy, EntryType
from rolecall.mapping.resolve import AuthenticationMode, ModeChangeError, check_mode_change

VERSIONS = tuple(f"1.{minor}" for minor in range(29, 38))
DEFAULT_VERSION = "1.36"
MAX_CLUSTERS = 100
CLUSTER_ADMIN = "arn:{}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
_LOG_TYPES = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
# What an embedded cluster has nothing of; it is kept and shown as it was given.
_ECHOED = ("resourcesVpcConfig", "kubernetesNetworkConfig", "logging", "encryptionConfig", "upgradePolicy")


def _context(call: Call, params: Params) -> Context:
    keys = dict(cluster_tags(call, params))
    access = params.get("accessConfig") or {}
    if "authenticationMode" in access:
        keys["eks:authenticationmode"] = (access["authenticationMode"],)
    if "bootstrapClusterCreatorAdminPermissions" in access:
        keys["eks:bootstrapclustercreatoradminpermissions"] = (
            str(access["bootstrapClusterCreatorAdminPermissions"]).lower(),
        )
    return keys


def _pass_role(call: Call, params: Params) -> Iterable[Permission]:
    yield Permission("iam:PassRole", params.get("roleArn", "*"), {"iam:passedtoservice": ("eks.amazonaws.com",)})


def render(call: Call, cluster: Row) -> dict[str, Any]:
    """The ``Cluster`` shape."""
    settings = json.loads(cluster["settings"])
    found: dict[str, Any] = {
        "name": cluster["name"],
        "arn": records.arn_of(call.partition, cluster),
        "createdAt": from_text(cluster["created"]),
        "version": cluster["version"],
        "roleArn": settings["roleArn"],
        "resourcesVpcConfig": settings["resourcesVpcConfig"],
        "kubernetesNetworkConfig": settings["kubernetesNetworkConfig"],
        "logging": settings["logging"],
        "identity": {"oidc": {"issuer": cluster["issuer"]}},
        "status": cluster["status"],
        "platformVersion": "eks.1",
        "tags": directory.tags_of(call.store, cluster["id"]),
        "certificateAuthority": {},
        "accessConfig": {"authenticationMode": cluster["mode"]},
        "deletionProtection": settings.get("deletionProtection", False),
    }
    for name in ("encryptionConfig", "upgradePolicy"):
        if name in settings:
            found[name] = settings[name]
    if cluster["endpoint"]:
        found["endpoint"] = cluster["endpoint"]
        found["certificateAuthority"] = {"data": base64.b64encode(cluster["ca"].encode()).decode()}
    return found


@action("eks", "CreateCluster", resource=cluster_arn, context=_context, also=_pass_role)
def create_cluster(call: Call, params: Params) -> Result:
    name, version = params["name"], params.get("version") or DEFAULT_VERSION
    if records.find(call, name) is not None:
        raise AwsError("ResourceInUseException", f"Cluster already exists with name: {name}", 409, clusterName=name)
    if version not in VERSIONS:
        raise _invalid(f"unsupported Kubernetes version {version}: the lab has {', '.join(VERSIONS)}")
    count = call.store.one(
        "SELECT count(*) AS n FROM clusters WHERE account = ? AND region = ?", (call.account, call.region)
    )
    if count is not None and count["n"] >= MAX_CLUSTERS:
        raise AwsError("ResourceLimitExceededException", f"Limit exceeded: {MAX_CLUSTERS} clusters per region.", 400)
    _check_role(call, params["roleArn"])
    access = params.get("accessConfig") or {}
    mode = AuthenticationMode(access.get("authenticationMode") or AuthenticationMode.CONFIG_MAP)
    bootstrap = access.get("bootstrapClusterCreatorAdminPermissions", True)
    if mode is AuthenticationMode.CONFIG_MAP and not bootstrap:
        raise _invalid(
            "bootstrapClusterCreatorAdminPermissions must be true if cluster authentication mode is set to CONFIG_MAP"
        )
    if call.caller.kind is PrincipalKind.ROOT and bootstrap and mode.reads_entries:
        raise _invalid("the root user cannot have an access entry")
    cluster_id = call.ids.hex(32).upper()
    call.store.execute(
        "INSERT INTO clusters VALUES (?, ?, ?, ?, ?, 'CREATING', ?, ?, ?, '', '', ?, ?)",
        (
            cluster_id,
            call.account,
            call.region,
            name,
            version,
            mode.value,
            # Before access entries, and in CONFIG_MAP mode still, the creator is an administrator that nothing shows.
            call.caller.principal_arn if bootstrap and mode is AuthenticationMode.CONFIG_MAP else "",
            to_text(call.now),
            f"https://oidc.eks.{call.region}.amazonaws.com/id/{cluster_id}",
            json.dumps(_settings(params)),
        ),
    )
    put_tags(call, cluster_id, params.get("tags"))
    cluster = records.get(call, name)
    if bootstrap and mode.reads_entries:
        _admit_creator(call, cluster, call.caller.principal_arn)
    call.clusters.bring_up(cluster_id)
    return {"cluster": render(call, cluster)}


@action("eks", "DescribeCluster", resource=cluster_arn, context=cluster_tags)
def describe_cluster(call: Call, params: Params) -> Result:
    return {"cluster": render(call, records.get(call, params["name"]))}


@action("eks", "ListClusters")
def list_clusters(call: Call, params: Params) -> Result:
    rows = call.store.all(
        "SELECT name FROM clusters WHERE account = ? AND region = ? ORDER BY name", (call.account, call.region)
    )
    return {"clusters": [row["name"] for row in rows]}


@action("eks", "DescribeClusterVersions")
def describe_cluster_versions(call: Call, params: Params) -> Result:
    wanted = params.get("clusterVersions") or VERSIONS
    return {
        "clusterVersions": [
            {
                "clusterVersion": version,
                "clusterType": "eks",
                "defaultVersion": version == DEFAULT_VERSION,
                "status": "standard-support",
                "versionStatus": "STANDARD_SUPPORT",
            }
            for version in reversed(VERSIONS)
            if version in wanted and (not params.get("defaultOnly") or version == DEFAULT_VERSION)
        ]
    }


@action("eks", "UpdateClusterConfig", resource=cluster_arn, context=_context)
def update_cluster_config(call: Call, params: Params) -> Result:
    cluster = records.active(call, params["name"])
    settings = json.loads(cluster["settings"])
    changes = [name for name in (*_ECHOED, "accessConfig", "deletionProtection") if params.get(name) is not None]
    if len(changes) != 1:
        raise _invalid("exactly one of accessConfig, logging, resourcesVpcConfig or another setting can be updated")
    changed = changes[0]
    if changed == "accessConfig":
        return {"update": _update_mode(call, cluster, params["accessConfig"])}
    value = params[changed]
    if changed == "logging":
        value = _logging(value)
    settings[changed] = {**settings.get(changed, {}), **value} if isinstance(value, dict) else value
    call.store.execute("UPDATE clusters SET settings = ? WHERE id = ?", (json.dumps(settings), cluster["id"]))
    kind = {"logging": "LoggingUpdate", "resourcesVpcConfig": "VpcConfigUpdate"}.get(changed, "ConfigUpdate")
    return {"update": updates.record(call, cluster, kind, {changed: json.dumps(value)})}


def _update_mode(call: Call, cluster: Row, access: Params) -> dict[str, Any]:
    mode = AuthenticationMode(access.get("authenticationMode") or cluster["mode"])
    try:
        check_mode_change(AuthenticationMode(cluster["mode"]), mode)
    except ModeChangeError as error:
        # As users quote it (pulumi/pulumi-eks issue 1493).
        raise AwsError("InvalidParameterException", error.what, 400, clusterName=cluster["name"]) from None
    creator = cluster["creator"]
    # From the first API mode on the creator's access is an access entry that can be seen and removed. A creator who is
    # gone from IAM gets none, and does not keep the cluster from changing.
    if creator and directory.principal_id(call.store, call.partition, PrincipalArn.parse(creator)) is not None:
        _admit_creator(call, cluster, creator)
    call.store.execute("UPDATE clusters SET mode = ?, creator = '' WHERE id = ?", (mode.value, cluster["id"]))
    return updates.record(call, cluster, "AccessConfigUpdate", {"AuthenticationMode": mode.value})


def _admit_creator(call: Call, cluster: Row, principal_arn: str) -> None:
    entry = create_entry(call, cluster, principal_arn, EntryType.STANDARD)
    associate(call, cluster, entry, AssociatedPolicy(CLUSTER_ADMIN.format(call.partition)))


@action("eks", "UpdateClusterVersion", resource=cluster_arn, context=cluster_tags)
def update_cluster_version(call: Call, params: Params) -> Result:
    cluster, version = records.active(call, params["name"]), params["version"]
    if version not in VERSIONS or VERSIONS.index(version) - VERSIONS.index(cluster["version"]) != 1:
        raise _invalid(f"Unsupported Kubernetes minor version update from {cluster['version']} to {version}")
    call.store.execute("UPDATE clusters SET version = ? WHERE id = ?", (version, cluster["id"]))
    return {"update": updates.record(call, cluster, "VersionUpdate", {"Version": version})}


@action("eks", "DeleteCluster", resource=cluster_arn, context=cluster_tags)
def delete_cluster(call: Call, params: Params) -> Result:
    cluster = records.get(call, params["name"])
    if json.loads(cluster["settings"]).get("deletionProtection"):
        raise AwsError("InvalidRequestException", "Cluster has deletion protection enabled.", 400)
    call.store.execute("UPDATE clusters SET status = 'DELETING' WHERE id = ?", (cluster["id"],))
    call.clusters.tear_down(cluster["id"])
    return {"cluster": render(call, records.get(call, params["name"]))}


def _check_role(call: Call, arn: str) -> None:
    """The cluster's role must be one of the account; that it exists is not asked, since no node ever uses it."""
    try:
        role = PrincipalArn.parse(arn)
    except InvalidArnError:
        role = None
    if role is None or role.kind is not PrincipalKind.ROLE:
        raise _invalid("Role with arn: " + arn[:200] + ", could not be assumed because it is not a role's ARN")
    if role.account != call.account:
        raise AwsError("AccessDenied", "Cross-account pass role is not allowed.", 403)


def _settings(params: Params) -> dict[str, Any]:
    vpc = dict(params.get("resourcesVpcConfig") or {})
    network = dict(params.get("kubernetesNetworkConfig") or {})
    found: dict[str, Any] = {
        "roleArn": params["roleArn"],
        "resourcesVpcConfig": {
            "subnetIds": [],
            "securityGroupIds": [],
            "endpointPublicAccess": True,
            "endpointPrivateAccess": False,
            "publicAccessCidrs": ["0.0.0.0/0"],
            **vpc,
        },
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.100.0.0/16", "ipFamily": "ipv4", **network},
        "logging": _logging(params.get("logging") or {}),
        "deletionProtection": params.get("deletionProtection", False),
    }
    return found | {name: params[name] for name in ("encryptionConfig", "upgradePolicy") if params.get(name)}


def _logging(asked: Params) -> dict[str, Any]:
    enabled = [
        kind for setup in asked.get("clusterLogging") or () if setup.get("enabled") for kind in setup.get("types") or ()
    ]
    setups = [(enabled, True), ([kind for kind in _LOG_TYPES if kind not in enabled], False)]
    return {"clusterLogging": [{"types": types, "enabled": on} for types, on in setups if types]}


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message, 400)
