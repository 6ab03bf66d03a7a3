"""An operation of the lab that is done has done what was asked; what the lab cannot do, it refuses and says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import rolecall.lab.aws_endpoint
from rolecall.lab.aws_endpoint.actions import ACTIONS
from rolecall.lab.aws_endpoint.left_out import left_out

ACCOUNT = "231144931069"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
    }
)
# Paging is one place for all operations. The others change nothing in AWS either, for what the lab has.
HARMLESS = {
    "Marker", "MaxItems", "nextToken", "maxResults", "clientRequestToken", "bootstrapSelfManagedAddons", "includeAll",
    "include", "force", "AllUsers", "EncodedMessage",
}  # fmt: skip


def test_every_parameter_is_used_or_refused(lab: Any) -> None:
    """By name: a member of an operation's input that no file of the endpoint mentions is ignored without a word."""
    folder = Path(rolecall.lab.aws_endpoint.__file__).parent
    source = "".join(path.read_text() for path in folder.rglob("*.py") if path.name != "left_out.py")
    ignored = []
    for service, operation in ACTIONS:
        shape = lab.client(service).meta.service_model.operation_model(operation).input_shape
        for name in shape.members if shape is not None else ():
            if f'"{name}"' not in source and name not in HARMLESS and name not in left_out(service, operation):
                ignored.append(f"{service}:{operation} {name}")
    assert ignored == []


@pytest.fixture
def cluster(lab: Any) -> Any:
    eks = lab.client("eks")
    eks.create_cluster(
        name="c", roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks", resourcesVpcConfig={"subnetIds": ["subnet-1"]}
    )
    lab.backend.work()
    return eks


INVALID, REQUEST = "InvalidParameterException", "InvalidRequestException"


@pytest.mark.parametrize(
    ("config", "code", "said"),
    [
        ({"issuerUrl": "https://localhost:1/realm"}, INVALID, "publicly accessible"),
        ({"issuerUrl": "https://10.0.0.7/realm"}, INVALID, "publicly accessible"),
        ({"issuerUrl": "https://[::1]/"}, INVALID, "publicly accessible"),
        ({"issuerUrl": "https://keycloak/realm"}, INVALID, "publicly accessible"),
        ({"issuerUrl": "https://idp.corp.internal"}, INVALID, "publicly accessible"),
        ({"issuerUrl": "http://idp.example.com"}, INVALID, "https"),
        ({"issuerUrl": "https://[/"}, INVALID, "https"),
        ({"usernamePrefix": "system:"}, INVALID, "usernamePrefix cannot be system: or any part of it"),
        ({"usernamePrefix": "system:node:"}, INVALID, "usernamePrefix"),
        ({"groupsPrefix": "sys"}, INVALID, "groupsPrefix"),
        ({}, REQUEST, "do not authenticate users by OpenID Connect"),
        ({"usernamePrefix": "oidc:", "groupsPrefix": "oidc:"}, REQUEST, "access entries or aws-auth"),
    ],
)
def test_an_oidc_provider_is_refused_with_the_reason(cluster: Any, config: Any, code: str, said: str) -> None:
    """EKS user guide, "Grant users access to Kubernetes with an external OIDC provider", and what the lab lacks."""
    oidc = {
        "identityProviderConfigName": "p",
        "issuerUrl": "https://idp.example.com",
        "clientId": "kubernetes",
        **config,
    }
    with pytest.raises(ClientError) as raised:
        cluster.associate_identity_provider_config(clusterName="c", oidc=oidc)
    assert raised.value.response["Error"]["Code"] == code
    assert said in raised.value.response["Error"]["Message"]
    assert cluster.list_identity_provider_configs(clusterName="c")["identityProviderConfigs"] == []
    named = {"type": "oidc", "name": "p"}
    for call in (cluster.describe_identity_provider_config, cluster.disassociate_identity_provider_config):
        with pytest.raises(ClientError, match=r"ResourceNotFoundException.*not associated"):
            call(clusterName="c", identityProviderConfig=named)


def test_the_clusters_own_issuer_is_no_identity_provider(cluster: Any) -> None:
    issuer = cluster.describe_cluster(name="c")["cluster"]["identity"]["oidc"]["issuer"]
    oidc = {"identityProviderConfigName": "p", "issuerUrl": issuer, "clientId": "sts.amazonaws.com"}
    with pytest.raises(ClientError, match="cannot be same as OpenID Connect"):
        cluster.associate_identity_provider_config(clusterName="c", oidc=oidc)


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("/aws-service-role/x.amazonaws.com/", "Mine", "Path prefix '/aws-service-role/' can only be used for AWS Service linked Roles"),
        ("/aws-reserved/sso.amazonaws.com/", "Mine", "Path prefix '/aws-reserved/' can only be used for AWS Reserved Roles"),
        ("/", "AWSServiceRoleForMine", "Name prefix 'AWSServiceRoleFor' can only be used for AWS Service linked Roles"),
        ("/", "AWSReservedSSO_Admin_0123456789abcdef", "Name prefix 'AWSReservedSSO_' can only be used for AWS Reserved Roles"),
    ],
)  # fmt: skip
def test_roles_that_aws_alone_creates(lab: Any, path: str, name: str, message: str) -> None:
    with pytest.raises(ClientError) as raised:
        lab.client("iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUST)
    assert raised.value.response["Error"] == {"Type": "Sender", "Code": "InvalidInput", "Message": message}


def test_paths_of_other_names_are_free(lab: Any) -> None:
    """Anybody may use ``/service-role/`` (salesforce/cloudsplaining issue 41)."""
    made = lab.client("iam").create_role(RoleName="R", Path="/service-role/", AssumeRolePolicyDocument=TRUST)
    assert made["Role"]["Path"] == "/service-role/"


@pytest.mark.parametrize(
    ("params", "refused"),
    [
        ({"computeConfig": {"enabled": True}}, True),
        ({"computeConfig": {"enabled": False}, "storageConfig": {"blockStorage": {"enabled": False}}}, False),
        ({"outpostConfig": {"outpostArns": ["a"], "controlPlaneInstanceType": "m5.large"}}, True),
        ({"bootstrapSelfManagedAddons": False}, False),
    ],
)
def test_clusters_with_more_than_the_lab_has(lab: Any, params: Any, refused: bool) -> None:
    settings = {"roleArn": f"arn:aws:iam::{ACCOUNT}:role/eks", "resourcesVpcConfig": {"subnetIds": ["subnet-1"]}}
    eks = lab.client("eks")
    if refused:
        with pytest.raises(ClientError, match=f"InvalidParameterException.*{next(iter(params))}: The lab"):
            eks.create_cluster(name="c", **settings, **params)
    else:
        eks.create_cluster(name="c", **settings, **params)
    assert eks.list_clusters()["clusters"] == ([] if refused else ["c"])


def test_context_assertions_are_refused(lab: Any) -> None:
    lab.client("iam").create_role(RoleName="R", AssumeRolePolicyDocument=TRUST)
    with pytest.raises(ClientError, match=r"ValidationError.*ProvidedContexts"):
        lab.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/R",
            RoleSessionName="ann",
            ProvidedContexts=[
                {"ProviderArn": "arn:aws:iam::aws:contextProvider/IdentityCenter", "ContextAssertion": "abcd"}
            ],
        )


def test_session_tokens_are_as_long_as_asked(lab: Any) -> None:
    """AWS STS API reference, AssumeRole, MinimumSessionTokenSize."""
    lab.client("iam").create_role(RoleName="R", AssumeRolePolicyDocument=TRUST)
    wanted = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/R", "RoleSessionName": "ann"}
    for size in (0, 1000, 4096):
        found = lab.client("sts").assume_role(**wanted, MinimumSessionTokenSize=size)["Credentials"]
        assert len(found["SessionToken"]) >= size
        assert lab.client("sts", found).get_caller_identity()["Arn"].endswith("assumed-role/R/ann")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"username": "system:node:{{EC2PrivateDNSName}}"}, "The username must not begin with system:"),
        ({"username": "ann"}, 'This operation can only be performed on Access Entries with a type of "STANDARD".'),
        ({"kubernetesGroups": []}, 'This operation can only be performed on Access Entries with a type of "STANDARD".'),
        ({}, ""),
    ],
)
def test_an_entry_of_nodes_cannot_be_changed(lab: Any, change: Any, message: str) -> None:
    """aws-ia/terraform-aws-eks-blueprints issue 2004; aws-controllers-k8s/community issue 2144."""
    eks = lab.client("eks")
    eks.create_cluster(
        name="c",
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks",
        resourcesVpcConfig={"subnetIds": ["subnet-1"]},
        accessConfig={"authenticationMode": "API"},
    )
    arn = lab.client("iam").create_role(RoleName="Nodes", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    made = eks.create_access_entry(clusterName="c", principalArn=arn, type="EC2_LINUX")["accessEntry"]
    if message:
        with pytest.raises(ClientError) as raised:
            eks.update_access_entry(clusterName="c", principalArn=arn, **change)
        assert raised.value.response["Error"]["Code"] == "InvalidParameterException"
        assert raised.value.response["Error"]["Message"] == message
    else:
        changed = eks.update_access_entry(clusterName="c", principalArn=arn)["accessEntry"]
        assert {**changed, "modifiedAt": 0} == {**made, "modifiedAt": 0}
