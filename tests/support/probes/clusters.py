"""Clusters, access entries and access policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from probes.world import ACCOUNT, OK, OTHER, ROLE_ARN, USER_ARN, Probe, World, allow, deny


def entry(world: World, **more: Any) -> Any:
    world.cluster(accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
    return world.eks.create_access_entry(**{"clusterName": "c", "principalArn": ROLE_ARN, **more})


def mode(world: World, first: str, *then: str) -> Any:
    world.cluster(accessConfig={"authenticationMode": first})
    for one in then:
        answer = world.eks.update_cluster_config(name="c", accessConfig={"authenticationMode": one})
    return answer


def associate(world: World, name: str = "AmazonEKSViewPolicy", partition: str = "aws", **scope: Any) -> Any:
    entry(world)
    arn = f"arn:{partition}:eks::aws:cluster-access-policy/{name}"
    return world.eks.associate_access_policy(
        clusterName="c", principalArn=ROLE_ARN, policyArn=arn, accessScope=scope or {"type": "cluster"}
    )


def creator_gone(world: World) -> Any:
    """A cluster of alice's, who leaves before it gets access entries."""
    world.grant(allow("eks:*", "iam:PassRole"))
    world.as_alice("eks").create_cluster(name="c", roleArn=ROLE_ARN, resourcesVpcConfig={})
    world.lab.backend.work()
    world.iam.delete_access_key(UserName="alice", AccessKeyId=world.key["AccessKeyId"])
    world.iam.delete_user_policy(UserName="alice", PolicyName="p")
    world.iam.delete_user(UserName="alice")
    world.eks.update_cluster_config(name="c", accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
    assert world.eks.list_access_entries(clusterName="c")["accessEntries"] == []
    return OK


def by_cluster_tag(world: World, call: Callable[[Any], Any]) -> Any:
    """What alice may not do with a cluster because of its tag."""
    world.cluster(tags={"team": "red"}, accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
    condition = {"StringEquals": {"aws:ResourceTag/team": "red"}}
    world.grant(allow("*"), deny("eks:*", Condition=condition))
    return call(world.as_alice("eks"))


CLUSTER_ARN = f"arn:aws:eks:eu-west-2:{ACCOUNT}:cluster/c"
BY_CLUSTER_TAG: dict[str, Callable[[Any], Any]] = {
    "a new entry": lambda eks: eks.create_access_entry(clusterName="c", principalArn=ROLE_ARN),
    "the list of entries": lambda eks: eks.list_access_entries(clusterName="c"),
    "a change of its config": lambda eks: eks.update_cluster_config(name="c", deletionProtection=True),
    "its tags": lambda eks: eks.untag_resource(resourceArn=CLUSTER_ARN, tagKeys=["team"]),
    "its updates": lambda eks: eks.list_updates(name="c"),
    "its identity providers": lambda eks: eks.list_identity_provider_configs(clusterName="c"),
}


def by_entry_tag(world: World) -> Any:
    entry(world, tags={"team": "red"})
    world.grant(allow("*"), deny("eks:*", Condition={"StringEquals": {"aws:ResourceTag/team": "red"}}))
    return world.as_alice("eks").delete_access_entry(clusterName="c", principalArn=ROLE_ARN)


def by_issuer(world: World) -> Any:
    world.cluster()
    world.grant(allow("*"), deny("eks:*", Condition={"StringLike": {"eks:issuerUrl": "https://evil.*"}}))
    oidc = {"identityProviderConfigName": "x", "issuerUrl": "https://evil.example", "clientId": "k8s"}
    return world.as_alice("eks").associate_identity_provider_config(clusterName="c", oidc=oidc)


INVALID = "InvalidParameterException"
EKS = "eks: CreateAccessEntry"
CLUSTERS = (
    Probe("a second cluster of the same name", "eks: CreateCluster", lambda w: [w.cluster() for _ in range(2)], "ResourceInUseException"),
    Probe("a cluster that is not there", "eks: DescribeCluster", lambda w: w.eks.describe_cluster(name="x"), "ResourceNotFoundException"),
    Probe("a cluster of another account", "eks: DescribeCluster", lambda w: (w.cluster(), w.lab.client("eks", account=OTHER).describe_cluster(name="c")), "ResourceNotFoundException"),
    Probe("a cluster of another region", "eks: DescribeCluster", lambda w: (w.cluster(), w.lab.client("eks", region="eu-west-1").describe_cluster(name="c")), "ResourceNotFoundException"),
    Probe("a version that is none", "eks: CreateCluster", lambda w: w.cluster(version="1.99"), INVALID),
    Probe("a name with a blank", "eks: name, pattern", lambda w: w.eks.create_cluster(name="a b", roleArn=ROLE_ARN, resourcesVpcConfig={}), INVALID),
    Probe("a role of another account", "eks: roleArn", lambda w: w.eks.create_cluster(name="a", roleArn=ROLE_ARN.replace(ACCOUNT, OTHER), resourcesVpcConfig={}), "AccessDeniedException"),
    Probe("the first step of the mode", "facts/eks 3.2", lambda w: mode(w, "CONFIG_MAP", "API_AND_CONFIG_MAP")),
    Probe("both steps of the mode", "facts/eks 3.2", lambda w: mode(w, "CONFIG_MAP", "API_AND_CONFIG_MAP", "API")),
    Probe("both steps at once", "facts/eks 3.2", lambda w: mode(w, "CONFIG_MAP", "API"), INVALID),
    Probe("no way back from API", "facts/eks 3.2", lambda w: mode(w, "API", "API_AND_CONFIG_MAP"), INVALID),
    Probe("no way back to CONFIG_MAP", "facts/eks 3.2", lambda w: mode(w, "API_AND_CONFIG_MAP", "CONFIG_MAP"), INVALID),
    Probe("the mode that it has", "aws/aws-cdk issue 31032", lambda w: mode(w, "API_AND_CONFIG_MAP", "API_AND_CONFIG_MAP"), INVALID),
    Probe("a step of the mode after its creator is gone", "eks: UpdateClusterConfig", creator_gone),
    Probe("no creator with CONFIG_MAP", "facts/eks 3.2", lambda w: w.cluster(accessConfig={"authenticationMode": "CONFIG_MAP", "bootstrapClusterCreatorAdminPermissions": False}), INVALID),
    Probe("no creator with API", "facts/eks 3.2", lambda w: w.cluster(accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False})),
    Probe("entries need an API mode", "facts/eks 3.2", lambda w: (w.cluster(), w.eks.list_access_entries(clusterName="c")), "InvalidRequestException"),
    Probe("an entry", EKS, entry),
    Probe("one entry a principal", "facts/eks 3.3", lambda w: (entry(w), w.eks.create_access_entry(clusterName="c", principalArn=ROLE_ARN)), "ResourceInUseException"),
    Probe("an entry for a session", "facts/eks 3.3", lambda w: entry(w, principalArn=f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/s"), INVALID),
    Probe("an entry for a role of another partition", "gr: ARNs, partition", lambda w: entry(w, principalArn=ROLE_ARN.replace("arn:aws:", "arn:aws-cn:")), INVALID),
    Probe("an entry for root", "facts/eks 3.3", lambda w: entry(w, principalArn=f"arn:aws:iam::{ACCOUNT}:root"), INVALID),
    Probe("an entry for nobody", "facts/eks 3.3", lambda w: entry(w, principalArn=ROLE_ARN + "2"), INVALID),
    Probe("an entry for a user", EKS, lambda w: entry(w, principalArn=USER_ARN)),
    Probe("an entry for another account's user", "facts/eks 3.3", lambda w: entry(w, principalArn=f"arn:aws:iam::{OTHER}:user/lab-admin")),
    Probe("a node's entry for another account", "facts/eks 3.3", lambda w: entry(w, principalArn=f"arn:aws:iam::{OTHER}:user/lab-admin", type="EC2_LINUX"), INVALID),
    Probe("groups", EKS, lambda w: entry(w, kubernetesGroups=["viewers"])),
    Probe("groups of the system", "facts/eks 3.3", lambda w: entry(w, kubernetesGroups=["system:masters"]), INVALID),
    Probe("groups for a node", "facts/eks 3.3", lambda w: entry(w, type="EC2_LINUX", kubernetesGroups=["x"]), INVALID),
    Probe("a username for a node", "facts/eks 3.3", lambda w: entry(w, type="EC2_LINUX", username="x"), INVALID),
    Probe("a type that is none", EKS, lambda w: entry(w, type="ALIEN"), INVALID),
    *(Probe(f"a username of {name!r}", "facts/eks 3.3", lambda w, name=name: entry(w, username=name), INVALID)
      for name in ("system:x", "eks:x", "aws:x", "amazon:x", "iam:x", "{{SessionName}}", "x{{SessionName}}", "a:{{AccountID}}")),
    Probe("a username with a template", "facts/eks 3.3", lambda w: entry(w, username="dev:{{SessionName}}")),
    Probe("a policy for the cluster", "eks: AssociateAccessPolicy", associate),
    Probe("a policy for namespaces", "eks: AssociateAccessPolicy", lambda w: associate(w, type="namespace", namespaces=["dev-*"])),
    Probe("a namespace scope without namespaces", "eks: AccessScope", lambda w: associate(w, type="namespace"), INVALID),
    Probe("a cluster scope with namespaces", "eks: AccessScope", lambda w: associate(w, type="cluster", namespaces=["x"]), INVALID),
    Probe("a policy of another partition", "gr: ARNs, partition", lambda w: associate(w, partition="aws-cn"), INVALID),
    Probe("tags that differ in case", "eks: TagResource, keys mind case", lambda w: entry(w, tags={"a": "1", "A": "2"})),
    *(Probe(f"{name}, denied by the cluster's tag", "eks: service authorization reference, aws:ResourceTag", lambda w, call=call: by_cluster_tag(w, call), "AccessDeniedException")
      for name, call in BY_CLUSTER_TAG.items()),
    Probe("an entry by its own tag", "eks: service authorization reference, access-entry", by_entry_tag, "AccessDeniedException"),
    Probe("an identity provider by its issuer", "eks: service authorization reference, eks:issuerUrl", by_issuer, "AccessDeniedException"),
    Probe("a policy that is none", "eks: AssociateAccessPolicy", lambda w: associate(w, "MyOwnPolicy"), INVALID),
)  # fmt: skip
