"""What the actions do, beside being allowed. Source: the IAM, STS and EKS API references, page of each action."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rolecall.lab.aws_endpoint.actions import ACTIONS
from rolecall.lab.kubernetes.service_account_tokens import ServiceAccountTokens
from rolecall.lab.kubernetes.store import ObjectStore

ACCOUNT = "231144931069"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Dev"
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:Get*", "Resource": "*"}]})
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
    }
)

# facts/aws-endpoint.md: what the procedure, the peers' tools and offboarding need.
NEEDED = {
    "iam": """CreateUser GetUser ListUsers UpdateUser DeleteUser TagUser UntagUser ListUserTags CreateAccessKey ListAccessKeys
        UpdateAccessKey DeleteAccessKey GetAccessKeyLastUsed CreateRole GetRole ListRoles UpdateRole DeleteRole
        UpdateAssumeRolePolicy TagRole UntagRole ListRoleTags PutRolePolicy GetRolePolicy ListRolePolicies DeleteRolePolicy
        PutUserPolicy GetUserPolicy ListUserPolicies DeleteUserPolicy CreatePolicy GetPolicy ListPolicies DeletePolicy
        CreatePolicyVersion GetPolicyVersion ListPolicyVersions DeletePolicyVersion SetDefaultPolicyVersion AttachUserPolicy
        DetachUserPolicy ListAttachedUserPolicies AttachRolePolicy DetachRolePolicy ListAttachedRolePolicies AttachGroupPolicy
        DetachGroupPolicy ListAttachedGroupPolicies CreateGroup GetGroup ListGroups DeleteGroup AddUserToGroup
        RemoveUserFromGroup ListGroupsForUser PutGroupPolicy GetGroupPolicy ListGroupPolicies DeleteGroupPolicy
        PutRolePermissionsBoundary DeleteRolePermissionsBoundary PutUserPermissionsBoundary DeleteUserPermissionsBoundary
        GetAccountAuthorizationDetails SimulatePrincipalPolicy CreateOpenIDConnectProvider GetOpenIDConnectProvider
        ListOpenIDConnectProviders DeleteOpenIDConnectProvider CreateVirtualMFADevice EnableMFADevice DeactivateMFADevice
        ListMFADevices ListVirtualMFADevices ListEntitiesForPolicy GetAccountSummary CreateAccountAlias ListAccountAliases
        DeleteAccountAlias""",
    "sts": """GetCallerIdentity AssumeRole AssumeRoleWithWebIdentity GetSessionToken GetAccessKeyInfo
        DecodeAuthorizationMessage""",
    "eks": """CreateCluster DescribeCluster ListClusters UpdateClusterConfig DeleteCluster CreateAccessEntry
        DescribeAccessEntry ListAccessEntries UpdateAccessEntry DeleteAccessEntry ListAccessPolicies AssociateAccessPolicy
        DisassociateAccessPolicy ListAssociatedAccessPolicies AssociateIdentityProviderConfig DescribeIdentityProviderConfig
        ListIdentityProviderConfigs DisassociateIdentityProviderConfig TagResource UntagResource ListTagsForResource
        DescribeUpdate ListUpdates""",
}


@pytest.mark.parametrize("service", NEEDED)
def test_every_needed_action_is_there(lab: Any, service: str) -> None:
    assert [name for name in NEEDED[service].split() if (service, name) not in ACTIONS] == []


def test_what_nobody_has_in_a_lab_is_absent_and_not_unknown(lab: Any) -> None:
    """Whoever deletes a user asks for each kind of credentials first (IAM API reference, DeleteUser)."""
    iam = lab.client("iam")
    iam.create_user(UserName="leaver")
    iam.create_role(RoleName="Nodes", AssumeRolePolicyDocument=TRUST)
    for call in (iam.get_login_profile, iam.delete_login_profile):
        with pytest.raises(ClientError, match=r"NoSuchEntity.*Login Profile for User leaver cannot be found"):
            call(UserName="leaver")
    assert iam.list_ssh_public_keys(UserName="leaver")["SSHPublicKeys"] == []
    assert iam.list_signing_certificates(UserName="leaver")["Certificates"] == []
    assert iam.list_service_specific_credentials(UserName="leaver")["ServiceSpecificCredentials"] == []
    assert iam.list_instance_profiles_for_role(RoleName="Nodes")["InstanceProfiles"] == []
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.list_ssh_public_keys(UserName="nobody")


def test_users(lab: Any) -> None:
    iam = lab.client("iam")
    made = iam.create_user(UserName="ann", Path="/team/", Tags=[{"Key": "a", "Value": "1"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/ann"
    assert iam.get_user(UserName="ann")["User"] == made
    iam.tag_user(UserName="ann", Tags=[{"Key": "A", "Value": "2"}, {"Key": "b", "Value": "3"}])
    assert iam.list_user_tags(UserName="ann")["Tags"] == [{"Key": "A", "Value": "2"}, {"Key": "b", "Value": "3"}]
    iam.untag_user(UserName="ann", TagKeys=["b"])
    iam.update_user(UserName="ann", NewUserName="anna", NewPath="/")
    assert iam.get_user(UserName="anna")["User"]["UserId"] == made["UserId"]
    assert [u["UserName"] for u in iam.list_users(PathPrefix="/team/")["Users"]] == []
    key = iam.create_access_key(UserName="anna")["AccessKey"]
    lab.client("sts", key).get_caller_identity()
    lab.endpoint.usage.flush()
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert (used["UserName"], used["AccessKeyLastUsed"]["ServiceName"]) == ("anna", "sts")
    assert lab.client("sts").get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"] == ACCOUNT


@pytest.mark.parametrize("kind", ["user", "role", "group"])
def test_policies_of_each_kind(lab: Any, kind: str) -> None:
    iam = lab.client("iam")
    name = {f"{kind.title()}Name": "x"}
    getattr(iam, f"create_{kind}")(**name, **({"AssumeRolePolicyDocument": TRUST} if kind == "role" else {}))
    getattr(iam, f"put_{kind}_policy")(**name, PolicyName="p", PolicyDocument=ALLOW)
    assert getattr(iam, f"list_{kind}_policies")(**name)["PolicyNames"] == ["p"]
    assert getattr(iam, f"get_{kind}_policy")(**name, PolicyName="p")["PolicyDocument"] == json.loads(ALLOW)
    getattr(iam, f"delete_{kind}_policy")(**name, PolicyName="p")
    arn = iam.create_policy(PolicyName="m", PolicyDocument=ALLOW)["Policy"]["Arn"]
    getattr(iam, f"attach_{kind}_policy")(**name, PolicyArn=arn)
    attached = getattr(iam, f"list_attached_{kind}_policies")(**name)["AttachedPolicies"]
    assert attached == [{"PolicyName": "m", "PolicyArn": arn}]
    found = iam.list_entities_for_policy(PolicyArn=arn)
    assert [one[f"{kind.title()}Name"] for one in found[f"Policy{kind.title()}s"]] == ["x"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    getattr(iam, f"detach_{kind}_policy")(**name, PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    getattr(iam, f"delete_{kind}")(**name)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        getattr(iam, f"get_{kind}")(**name)


def test_each_account_counts_its_own_use_of_a_policy_of_aws(lab: Any) -> None:
    """IAM API reference, Policy: AttachmentCount, PermissionsBoundaryUsageCount; ListEntitiesForPolicy without a filter."""
    iam, other = lab.client("iam"), lab.client("iam", account="444455556666")
    arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    iam.create_user(UserName="ann", PermissionsBoundary=arn)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    iam.attach_role_policy(RoleName="r", PolicyArn=arn)
    for client, count in ((iam, 1), (other, 0)):
        found = client.get_policy(PolicyArn=arn)["Policy"]
        assert (found["AttachmentCount"], found["PermissionsBoundaryUsageCount"]) == (count, count)
        assert arn in [one["Arn"] for one in client.list_policies(OnlyAttached=True)["Policies"]] or not count
        shown = client.get_account_authorization_details(Filter=["AWSManagedPolicy"])["Policies"]
        assert (arn in [one["Arn"] for one in shown]) is bool(count)
    boundaries = iam.list_policies(PolicyUsageFilter="PermissionsBoundary")["Policies"]
    assert [one["Arn"] for one in boundaries] == [arn]

    def entities(**more: str) -> Any:
        answer = iam.list_entities_for_policy(PolicyArn=arn, **more)
        return [one["UserName"] for one in answer["PolicyUsers"]], [one["RoleName"] for one in answer["PolicyRoles"]]

    assert entities() == (["ann"], ["r"])
    assert entities(PolicyUsageFilter="PermissionsPolicy") == ([], ["r"])
    assert entities(PolicyUsageFilter="PermissionsBoundary") == (["ann"], [])
    assert entities(EntityFilter="Role") == ([], ["r"])


def test_versions_of_a_policy(lab: Any) -> None:
    iam = lab.client("iam")
    arn = iam.create_policy(PolicyName="m", PolicyDocument=ALLOW)["Policy"]["Arn"]
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=ALLOW)["PolicyVersion"]["VersionId"] == "v2"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=ALLOW)["PolicyVersion"]["VersionId"] == "v3"
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v3", "v2"]
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"] == json.loads(ALLOW)


def test_a_trust_policy_shows_the_id_of_a_principal_that_is_gone(lab: Any) -> None:
    """IAM user guide, "AWS JSON policy elements: Principal"."""
    iam = lab.client("iam")
    user = iam.create_user(UserName="ann")["User"]
    trust = TRUST.replace(f'"{ACCOUNT}"', json.dumps(user["Arn"]))
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)
    iam.delete_user(UserName="ann")
    iam.create_user(UserName="ann")
    shown = iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]
    assert shown["Statement"][0]["Principal"]["AWS"] == user["UserId"]


def test_a_trust_policy_follows_a_user_to_a_new_name(lab: Any) -> None:
    """IAM user guide, "Rename an IAM user"."""
    iam = lab.client("iam")
    user = iam.create_user(UserName="ann")["User"]
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST.replace(f'"{ACCOUNT}"', json.dumps(user["Arn"])))
    iam.update_user(UserName="ann", NewUserName="anna", NewPath="/x/")
    shown = iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"]
    assert shown["Statement"][0]["Principal"]["AWS"] == f"arn:aws:iam::{ACCOUNT}:user/x/anna"


DENY = {"Effect": "Deny", "Action": ["sts:AssumeRole", "iam:ListUsers"], "Resource": "*"}
DENIED = "User: arn:aws:iam::231144931069:user/ann is not authorized to perform: {} on resource: arn:aws:iam::231144931069:{} "


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        # IAM user guide, "Troubleshoot access denied error messages": a sentence for each kind of policy.
        ("user", "an identity-based policy"),
        ("boundary", "a permissions boundary"),
        ("trust", "the role trust policy"),
    ],
)
def test_a_refusal_says_where_the_deny_stands(lab: Any, place: str, kind: str) -> None:
    iam = lab.client("iam")
    iam.create_user(UserName="ann")
    text = json.dumps({"Version": "2012-10-17", "Statement": [DENY, {**DENY, "Effect": "Allow", "Action": "*"}]})
    trust = json.loads(TRUST)
    if place == "trust":
        trust["Statement"].append({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"})
    elif place == "user":
        iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=text)
    else:
        arn = iam.create_policy(PolicyName="b", PolicyDocument=text)["Policy"]["Arn"]
        iam.put_user_permissions_boundary(UserName="ann", PermissionsBoundary=arn)
    iam.create_role(RoleName="Dev", AssumeRolePolicyDocument=json.dumps(trust))
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    with pytest.raises(ClientError) as refused:
        lab.client("sts", key).assume_role(RoleArn=ROLE, RoleSessionName="ann")
    message = DENIED.format("sts:AssumeRole", "role/Dev") + f"with an explicit deny in {kind}"
    assert refused.value.response["Error"]["Message"] == message
    if place != "trust":
        with pytest.raises(ClientError) as refused:
            lab.client("iam", key).list_users()
        message = DENIED.format("iam:ListUsers", "user/") + f"with an explicit deny in {kind}"
        assert refused.value.response["Error"]["Message"] == message


def test_conflicts_and_quotas_in_the_words_of_aws(lab: Any) -> None:
    """As users quote them: "Cannot delete entity, must delete access keys first."; IAM user guide, quotas."""
    iam = lab.client("iam")
    iam.create_user(UserName="ann")
    long = json.dumps({"Version": "2012-10-17", "Statement": [json.loads(ALLOW)["Statement"][0]] * 200})
    for call, message in (
        (lambda: iam.delete_user(UserName="lab-admin"), "Cannot delete entity, must delete access keys first."),
        (lambda: iam.create_policy(PolicyName="x", PolicyDocument=long), "Cannot exceed quota for PolicySize: 6144"),
        (lambda: iam.put_user_policy(UserName="ann", PolicyName="x", PolicyDocument=long),
         "Maximum policy size of 2048 bytes exceeded for user ann"),
    ):  # fmt: skip
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Message"] == message


def test_groups_aliases_boundaries_and_summary(lab: Any) -> None:
    iam = lab.client("iam")
    iam.create_group(GroupName="g")
    iam.create_user(UserName="ann")
    iam.add_user_to_group(GroupName="g", UserName="ann")
    assert [u["UserName"] for u in iam.get_group(GroupName="g")["Users"]] == ["ann"]
    assert [g["GroupName"] for g in iam.list_groups_for_user(UserName="ann")["Groups"]] == ["g"]
    iam.remove_user_from_group(GroupName="g", UserName="ann")
    iam.delete_group(GroupName="g")
    iam.create_account_alias(AccountAlias="house")
    assert iam.list_account_aliases()["AccountAliases"] == ["house"]
    iam.delete_account_alias(AccountAlias="house")
    boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    iam.put_user_permissions_boundary(UserName="ann", PermissionsBoundary=boundary)
    assert iam.get_user(UserName="ann")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    iam.delete_user_permissions_boundary(UserName="ann")
    assert iam.get_account_summary()["SummaryMap"]["Users"] == 2


def test_simulation_gives_the_evaluators_answer(lab: Any) -> None:
    iam = lab.client("iam")
    arn = iam.create_user(UserName="ann")["User"]["Arn"]
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=ALLOW)
    found = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["iam:GetUser", "iam:DeleteUser"])
    assert [one["EvalDecision"] for one in found["EvaluationResults"]] == ["allowed", "implicitDeny"]


def test_simulation_of_a_group_and_what_it_was_not_told(lab: Any) -> None:
    """IAM API reference, SimulatePrincipalPolicy: PolicySourceArn, ContextEntries, MissingContextValues."""
    iam = lab.client("iam")
    group = iam.create_group(GroupName="g")["Group"]["Arn"]
    statement = {
        **json.loads(ALLOW)["Statement"][0],
        "Condition": {"StringEquals": {"aws:RequestTag/Team": "${aws:PrincipalTag/team}", "iam:ResourceTag/x": "y"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=document)

    def simulate(**context: str) -> Any:
        entries = [
            {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
            for key, value in context.items()
        ]
        answer = iam.simulate_principal_policy(
            PolicySourceArn=group, ActionNames=["iam:GetUser"], ContextEntries=entries
        )
        found = answer["EvaluationResults"][0]
        return found["EvalDecision"], found["MissingContextValues"]

    assert simulate() == ("implicitDeny", ["aws:PrincipalTag/team", "aws:RequestTag/Team", "iam:ResourceTag/x"])
    told = {"aws:requesttag/team": "red", "aws:PrincipalTag/team": "red"}
    assert simulate(**told) == ("implicitDeny", ["iam:ResourceTag/x"])
    assert simulate(**told, **{"iam:ResourceTag/x": "y"}) == ("allowed", [])
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.simulate_principal_policy(PolicySourceArn=f"{group}2", ActionNames=["iam:GetUser"])


def test_mfa_devices(lab: Any) -> None:
    iam = lab.client("iam")
    serial = iam.create_virtual_mfa_device(VirtualMFADeviceName="d")["VirtualMFADevice"]["SerialNumber"]
    assert iam.list_virtual_mfa_devices(AssignmentStatus="Unassigned")["VirtualMFADevices"][0]["SerialNumber"] == serial
    with pytest.raises(ClientError, match="InvalidAuthenticationCode"):
        iam.enable_mfa_device(
            UserName="lab-admin", SerialNumber=serial, AuthenticationCode1="000000", AuthenticationCode2="000000"
        )
    assert iam.list_mfa_devices(UserName="lab-admin")["MFADevices"] == []
    iam.delete_virtual_mfa_device(SerialNumber=serial)


def test_a_service_account_assumes_a_role_by_its_token(lab: Any, tmp_path: Path) -> None:
    """IAM roles for service accounts: EKS user guide; sts: AssumeRoleWithWebIdentity."""
    issuer = "https://oidc.eks.eu-west-2.amazonaws.com/id/ABC"
    store = ObjectStore(tmp_path / "objects.db")
    account = {"metadata": {"name": "robot", "namespace": "dev", "uid": "u-1"}}
    tokens = ServiceAccountTokens(tmp_path, issuer, store, lambda: datetime.now(UTC))
    lab.backend.keys[issuer] = tokens.jwks()
    token = tokens.issue(account, {"spec": {"audiences": ["sts.amazonaws.com"]}})["status"]["token"]
    iam, sts = lab.client("iam"), lab.client("sts")
    provider = iam.create_open_id_connect_provider(Url=issuer, ClientIDList=["sts.amazonaws.com"])[
        "OpenIDConnectProviderArn"
    ]
    host = issuer.removeprefix("https://")
    condition = {"StringEquals": {f"{host}:sub": "system:serviceaccount:dev:robot", f"{host}:aud": "sts.amazonaws.com"}}
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
    }
    iam.create_role(
        RoleName="Dev", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )

    def assume(value: str, role: str = ROLE) -> Any:
        return sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="robot", WebIdentityToken=value)

    found = assume(token)
    assert found["SubjectFromWebIdentityToken"] == "system:serviceaccount:dev:robot"
    assert lab.client("sts", found["Credentials"]).get_caller_identity()["Arn"].endswith("assumed-role/Dev/robot")
    other = tokens.issue(
        {"metadata": {"name": "other", "namespace": "dev", "uid": "u"}}, {"spec": {"audiences": ["sts.amazonaws.com"]}}
    )["status"]["token"]
    wrong_audience = tokens.issue(account, {"spec": {"audiences": ["x"]}})["status"]["token"]
    unsigned = f"{token.rpartition('.')[0]}.{'A' * 86}"
    for bad, code in (
        (other, "AccessDenied"),
        (wrong_audience, "InvalidIdentityToken"),
        (unsigned, "InvalidIdentityToken"),
        ("a.b.c", "InvalidIdentityToken"),
    ):
        with pytest.raises(ClientError, match=code):
            assume(bad)
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": provider}]
    lab.forward(4_000)
    with pytest.raises(ClientError, match="ExpiredToken"):
        assume(token)


@pytest.fixture
def cluster(lab: Any) -> Any:
    eks = lab.client("eks")
    eks.create_cluster(
        name="c",
        roleArn=ROLE,
        resourcesVpcConfig={"subnetIds": ["s"]},
        tags={"a": "1"},
        accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"},
    )
    lab.backend.work()
    return eks


def test_the_creator_gets_an_entry_that_can_be_seen(lab: Any, cluster: Any) -> None:
    creator = f"arn:aws:iam::{ACCOUNT}:user/lab-admin"
    assert cluster.list_access_entries(clusterName="c")["accessEntries"] == [creator]
    found = cluster.list_associated_access_policies(clusterName="c", principalArn=creator)["associatedAccessPolicies"]
    assert [one["policyArn"].rpartition("/")[2] for one in found] == ["AmazonEKSClusterAdminPolicy"]


def test_access_entries_and_their_policies(lab: Any, cluster: Any) -> None:
    lab.client("iam").create_role(RoleName="Dev", Path="/team/", AssumeRolePolicyDocument=TRUST)
    arn = f"arn:aws:iam::{ACCOUNT}:role/team/Dev"
    made = cluster.create_access_entry(clusterName="c", principalArn=arn, tags={"x": "y"})["accessEntry"]
    assert made["username"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/{{{{SessionName}}}}"
    assert made["type"] == "STANDARD"
    updated = cluster.update_access_entry(clusterName="c", principalArn=arn, kubernetesGroups=["g"])["accessEntry"]
    assert updated["kubernetesGroups"] == ["g"]
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    cluster.associate_access_policy(
        clusterName="c", principalArn=arn, policyArn=policy, accessScope={"type": "namespace", "namespaces": ["a"]}
    )
    assert cluster.list_access_entries(clusterName="c", associatedPolicyArn=policy)["accessEntries"] == [arn]
    cluster.disassociate_access_policy(clusterName="c", principalArn=arn, policyArn=policy)
    cluster.delete_access_entry(clusterName="c", principalArn=arn)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        cluster.describe_access_entry(clusterName="c", principalArn=arn)
    assert len(cluster.list_access_policies()["accessPolicies"]) > 10


def test_updates_and_tags(cluster: Any) -> None:
    logging = {"clusterLogging": [{"types": ["audit"], "enabled": True}]}
    update = cluster.update_cluster_config(name="c", logging=logging)["update"]
    assert cluster.describe_update(name="c", updateId=update["id"])["update"]["status"] == "Successful"
    assert cluster.list_updates(name="c")["updateIds"] == [update["id"]]
    arn = cluster.describe_cluster(name="c")["cluster"]["arn"]
    cluster.tag_resource(resourceArn=arn, tags={"b": "2"})
    cluster.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert cluster.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
