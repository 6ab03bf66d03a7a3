"""OpenID Connect providers for the users of a cluster: refused, because the lab's clusters authenticate nobody by them.

Source: EKS API reference, AssociateIdentityProviderConfig and its neighbours; EKS user guide, "Grant users access to
Kubernetes with an external OIDC provider" (a public issuer, no self-signed certificate, no prefix ``system:``).
"""

from __future__ import annotations

from ipaddress import ip_address
from sqlite3 import Row
from urllib.parse import urlsplit

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Result, action
from rolecall.lab.aws_endpoint.eks import records
from rolecall.lab.aws_endpoint.eks.context import cluster_arn, cluster_tags

_RESERVED_PREFIX = "system:"
# RFC 6761, RFC 6762 and ICANN's .internal: names that no public resolver answers.
_NOT_PUBLIC = (".localhost", ".local", ".internal", ".test", ".invalid")


def _config_arn(call: Call, params: Params) -> str:
    wanted = params["identityProviderConfig"]
    kind = f"identityproviderconfig/{params['clusterName']}/{wanted.get('type')}/{wanted.get('name')}"
    return f"arn:{call.partition}:eks:{call.region}:{call.account}:{kind}/*"


def _new_context(call: Call, params: Params) -> Context:
    config = params["oidc"]
    keys = {"eks:clientid": (config["clientId"],), "eks:issuerurl": (config["issuerUrl"],)}
    return {**cluster_tags(call, params), **keys}


@action("eks", "AssociateIdentityProviderConfig", resource=cluster_arn, context=_new_context)
def associate(call: Call, params: Params) -> Result:
    cluster, config = records.active(call, params["clusterName"]), params["oidc"]
    if problem := _problem(cluster, config):
        raise AwsError("InvalidParameterException", problem, 400, clusterName=cluster["name"])
    raise AwsError(
        "InvalidRequestException",
        "The lab's clusters do not authenticate users by OpenID Connect: for the keys of "
        f"{config['issuerUrl'][:200]} the lab would have to use the network, and it never does. "
        "Use IAM roles with access entries or aws-auth.",
        400,
        clusterName=cluster["name"],
    )


@action("eks", "DescribeIdentityProviderConfig", resource=_config_arn, context=cluster_tags)
def describe(call: Call, params: Params) -> Result:
    raise _not_associated(records.get(call, params["clusterName"]))


@action("eks", "ListIdentityProviderConfigs", resource=cluster_arn, context=cluster_tags)
def list_(call: Call, params: Params) -> Result:
    records.get(call, params["clusterName"])
    return {"identityProviderConfigs": []}


@action("eks", "DisassociateIdentityProviderConfig", resource=_config_arn, context=cluster_tags)
def disassociate(call: Call, params: Params) -> Result:
    raise _not_associated(records.active(call, params["clusterName"]))


def _problem(cluster: Row, config: Params) -> str | None:
    """What EKS does not accept in a configuration, or ``None``."""
    issuer = config["issuerUrl"]
    try:
        host = urlsplit(issuer).hostname if issuer.startswith("https://") else None
    except ValueError:
        host = None
    if not host:
        return "issuerUrl must be an https URL."
    if issuer.rstrip("/") == cluster["issuer"].rstrip("/"):
        # As users report it (terraform-aws-modules/terraform-aws-eks issue 3328).
        return (
            "Incorrect Identity Provider URL configuration. The Identity Provider URL cannot be same as OpenID Connect "
            "(OIDC) issuer URL"
        )
    if not _is_public(host):
        return f"issuerUrl must be publicly accessible, with a certificate of a public authority: {host[:100]} is not."
    for name in ("usernamePrefix", "groupsPrefix"):
        prefix = config.get(name) or ""
        if (prefix and _RESERVED_PREFIX.startswith(prefix.rstrip("-"))) or prefix.startswith(_RESERVED_PREFIX):
            return f"{name} cannot be {_RESERVED_PREFIX} or any part of it."
    return None


def _is_public(host: str) -> bool:
    try:
        return ip_address(host).is_global
    except ValueError:
        name = host.rstrip(".").lower()
        return "." in name and not name.endswith(_NOT_PUBLIC)


def _not_associated(cluster: Row) -> AwsError:
    message = "Identity provider config is not associated with cluster."
    return AwsError("ResourceNotFoundException", message, 404, clusterName=cluster["name"])
