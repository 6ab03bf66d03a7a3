"""Identity policies, conditions, boundaries."""

from __future__ import annotations

import json
from typing import Any

from probes.world import ACCOUNT, DENIED, OK, OTHER, ROLE_ARN, USER_ARN, Probe, World, allow, deny, may, policy

MFA = {"Bool": {"aws:MultiFactorAuthPresent": "false"}}
MFA_IF_EXISTS = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}


def tagged(world: World) -> Any:
    world.iam.tag_user(UserName="alice", Tags=[{"Key": "team", "Value": "red"}])
    return world.as_alice("iam").get_user(UserName="alice")


def with_boundary(world: World, *statements: dict[str, Any]) -> Any:
    arn = world.iam.create_policy(PolicyName="b", PolicyDocument=policy(*statements))["Policy"]["Arn"]
    world.iam.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=arn)
    return world.as_alice("iam").get_user(UserName="alice")


def by_group(world: World) -> Any:
    world.iam.create_group(GroupName="g")
    world.iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=policy(allow("iam:GetUser")))
    world.iam.add_user_to_group(GroupName="g", UserName="alice")
    return world.as_alice("iam").get_user(UserName="alice")


def by_managed(world: World) -> Any:
    world.iam.attach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    return world.as_alice("iam").get_user(UserName="alice")


def detached(world: World) -> Any:
    by_managed(world)
    world.iam.detach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    return world.as_alice("iam").get_user(UserName="alice")


def by_version(world: World) -> Any:
    arn = world.iam.create_policy(PolicyName="v", PolicyDocument=policy(allow("iam:GetUser")))["Policy"]["Arn"]
    world.iam.attach_user_policy(UserName="alice", PolicyArn=arn)
    world.iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(allow("iam:GetRole")), SetAsDefault=True)
    return world.as_alice("iam").get_user(UserName="alice")


def old_version(world: World) -> Any:
    statement = allow("iam:GetUser", resource=f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}")
    document = json.dumps({"Version": "2008-10-17", "Statement": statement})
    world.iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=document)
    return world.as_alice("iam").get_user(UserName="alice")


READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def attach_to_bob(world: World, *, boundary: bool) -> Any:
    world.iam.create_user(UserName="bob", **({"PermissionsBoundary": READ_ONLY} if boundary else {}))
    return world.as_alice("iam").attach_user_policy(UserName="bob", PolicyArn=READ_ONLY)


def delete_tagged_provider(world: World) -> Any:
    made = world.iam.create_open_id_connect_provider(Url="https://a.example", Tags=[{"Key": "keep", "Value": "yes"}])
    provider = made["OpenIDConnectProviderArn"]
    return world.as_alice("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)


COND = "ug: Condition operators"
LOGIC = "ug: Policy evaluation logic"
POLICIES = (
    may("no policy", LOGIC, (allow("iam:GetRole"),), DENIED),
    may("allowed by name", LOGIC, (allow("iam:GetUser"),), OK),
    may("actions know no case", "ug: IAM JSON policy elements: Action", (allow("IAM:getuser"),), OK),
    may("wildcard in an action", "ug: IAM JSON policy elements: Action", (allow("iam:Get*"),), OK),
    may("one character wildcard", "ug: IAM JSON policy elements: Action", (allow("iam:GetUse?"),), OK),
    may("a wildcard that does not reach", "ug: IAM JSON policy elements: Action", (allow("iam:GetUser?"),), DENIED),
    may("another service's action", LOGIC, (allow("sts:*"),), DENIED),
    may("an explicit deny wins", LOGIC, (allow("*"), deny("iam:GetUser")), DENIED),
    may("order does not matter", LOGIC, (deny("iam:GetUser"), allow("*")), DENIED),
    may("a deny of something else", LOGIC, (allow("*"), deny("iam:GetRole")), OK),
    may("NotAction allows the rest", "ug: IAM JSON policy elements: NotAction", ({"Effect": "Allow", "NotAction": "sts:*", "Resource": "*"},), OK),
    may("NotAction leaves out", "ug: IAM JSON policy elements: NotAction", ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},), DENIED),
    may("NotAction in a deny", "ug: IAM JSON policy elements: NotAction", (allow("*"), {"Effect": "Deny", "NotAction": "iam:GetUser", "Resource": "*"}), OK),
    may("the very resource", "ug: IAM JSON policy elements: Resource", (allow("iam:GetUser", resource=USER_ARN),), OK),
    may("another resource", "ug: IAM JSON policy elements: Resource", (allow("iam:GetUser", resource=USER_ARN + "2"),), DENIED),
    may("a prefix is not the resource", "ug: IAM JSON policy elements: Resource", (allow("iam:GetUser", resource=USER_ARN[:-1]),), DENIED),
    may("resources mind case", "ug: IAM JSON policy elements: Resource", (allow("iam:GetUser", resource=USER_ARN.replace("alice", "Alice")),), DENIED),
    may("wildcard in a resource", "ug: IAM JSON policy elements: Resource", (allow("iam:GetUser", resource=f"arn:aws:iam::{ACCOUNT}:user/a*"),), OK),
    may("another account's resource", "ug: IAM JSON policy elements: Resource", (allow("iam:GetUser", resource=f"arn:aws:iam::{OTHER}:user/*"),), DENIED),
    may("NotResource leaves out", "ug: IAM JSON policy elements: NotResource", ({"Effect": "Allow", "Action": "*", "NotResource": USER_ARN},), DENIED),
    may("NotResource allows the rest", "ug: IAM JSON policy elements: NotResource", ({"Effect": "Allow", "Action": "*", "NotResource": USER_ARN + "2"},), OK),
    may("variable in a resource", "ug: Variables and tags", (allow("iam:GetUser", resource=f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"),), OK),
    may("variable of nobody's", "ug: Variables and tags", (allow("iam:GetUser", resource=f"arn:aws:iam::{ACCOUNT}:user/${{aws:nothing}}"),), DENIED),
    may("variable with a default", "ug: Variables and tags, default values", (allow("iam:GetUser", resource=f"arn:aws:iam::{ACCOUNT}:user/${{aws:nothing, 'alice'}}"),), OK),
    Probe("a variable needs the newer version", "ug: IAM JSON policy elements: Version", old_version, DENIED),
    may("GetCallerIdentity needs nothing", "sts: GetCallerIdentity", (deny("*"),), OK, lambda w: w.as_alice("sts").get_caller_identity()),
    may("StringEquals", COND, (allow("iam:GetUser", Condition={"StringEquals": {"aws:username": "alice"}}),), OK),
    may("StringEquals minds case", COND, (allow("iam:GetUser", Condition={"StringEquals": {"aws:username": "Alice"}}),), DENIED),
    may("StringEqualsIgnoreCase", COND, (allow("iam:GetUser", Condition={"StringEqualsIgnoreCase": {"aws:username": "ALICE"}}),), OK),
    may("StringNotEquals", COND, (allow("iam:GetUser", Condition={"StringNotEquals": {"aws:username": "alice"}}),), DENIED),
    may("StringNotEquals of a missing key", COND, (allow("iam:GetUser", Condition={"StringNotEquals": {"aws:PrincipalTag/x": "1"}}),), OK),
    may("StringEquals of a missing key", COND, (allow("iam:GetUser", Condition={"StringEquals": {"aws:PrincipalTag/x": "1"}}),), DENIED),
    may("StringEqualsIfExists of a missing key", COND, (allow("iam:GetUser", Condition={"StringEqualsIfExists": {"aws:PrincipalTag/x": "1"}}),), OK),
    may("StringLike", COND, (allow("iam:GetUser", Condition={"StringLike": {"aws:username": "a*e"}}),), OK),
    may("StringLike with a question mark", COND, (allow("iam:GetUser", Condition={"StringLike": {"aws:username": "alic?"}}),), OK),
    may("StringNotLike", COND, (allow("iam:GetUser", Condition={"StringNotLike": {"aws:username": "a*"}}),), DENIED),
    may("values are alternatives", "ug: Conditions with multiple values", (allow("iam:GetUser", Condition={"StringEquals": {"aws:username": ["x", "alice"]}}),), OK),
    may("keys are all needed", "ug: Conditions with multiple values", (allow("iam:GetUser", Condition={"StringEquals": {"aws:username": "alice", "aws:PrincipalTag/x": "1"}}),), DENIED),
    may("key names know no case", "ug: Condition", (allow("iam:GetUser", Condition={"StringEquals": {"AWS:UserName": "alice"}}),), OK),
    may("ArnLike of the principal", COND, (allow("iam:GetUser", Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/a*"}}),), OK),
    may("ArnEquals knows wildcards too", COND, (allow("iam:GetUser", Condition={"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}),), OK),
    may("ArnNotLike", COND, (allow("iam:GetUser", Condition={"ArnNotLike": {"aws:PrincipalArn": USER_ARN}}),), DENIED),
    may("IpAddress", COND, (allow("iam:GetUser", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}),), OK),
    may("IpAddress of elsewhere", COND, (allow("iam:GetUser", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),), DENIED),
    may("NotIpAddress", COND, (allow("iam:GetUser", Condition={"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),), OK),
    may("DateGreaterThan", COND, (allow("iam:GetUser", Condition={"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}),), OK),
    may("DateLessThan", COND, (allow("iam:GetUser", Condition={"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}),), DENIED),
    may("NumericLessThan of the epoch", COND, (allow("iam:GetUser", Condition={"NumericLessThan": {"aws:EpochTime": "9999999999"}}),), OK),
    may("Null of a missing key", COND, (allow("iam:GetUser", Condition={"Null": {"aws:TokenIssueTime": "true"}}),), OK),
    may("Null of a present key", COND, (allow("iam:GetUser", Condition={"Null": {"aws:username": "true"}}),), DENIED),
    may("Bool of secure transport", COND, (allow("iam:GetUser", Condition={"Bool": {"aws:SecureTransport": "true"}}),), OK),
    may("ForAnyValue of nothing", "ug: Multivalued context keys", (allow("iam:GetUser", Condition={"ForAnyValue:StringEquals": {"aws:TagKeys": "x"}}),), DENIED),
    may("ForAllValues of nothing", "ug: Multivalued context keys", (allow("iam:GetUser", Condition={"ForAllValues:StringEquals": {"aws:TagKeys": "x"}}),), OK),
    may("Deny with Bool misses long-term keys", "facts/iam 17", (allow("*"), deny("iam:GetUser", Condition=MFA)), OK),
    may("Deny with BoolIfExists catches them", "facts/iam 17", (allow("*"), deny("iam:GetUser", Condition=MFA_IF_EXISTS)), DENIED),
    may("by the principal's tag", "ug: Tags, aws:PrincipalTag", (allow("iam:GetUser", Condition={"StringEquals": {"aws:PrincipalTag/Team": "red"}}),), OK, tagged),
    may("by the resource's tag", "ug: Tags, iam:ResourceTag", (allow("iam:GetUser", Condition={"StringEquals": {"iam:ResourceTag/team": "red"}}),), OK, tagged),
    may("by another tag", "ug: Tags, aws:PrincipalTag", (allow("iam:GetUser", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}}),), DENIED, tagged),
    may("a boundary that allows", "ug: Permissions boundaries", (allow("iam:*"),), OK, lambda w: with_boundary(w, allow("iam:GetUser"))),
    may("a boundary that does not", "ug: Permissions boundaries", (allow("iam:*"),), DENIED, lambda w: with_boundary(w, allow("eks:*"))),
    may("a boundary grants nothing", "ug: Permissions boundaries", (allow("eks:*"),), DENIED, lambda w: with_boundary(w, allow("iam:*"))),
    may("a boundary that denies", "ug: Permissions boundaries", (allow("iam:*"),), DENIED, lambda w: with_boundary(w, allow("*"), deny("iam:GetUser"))),
    Probe("by a group", "ug: IAM user groups", by_group),
    Probe("by a managed policy", "ug: Managed policies", by_managed),
    Probe("after it was detached", "ug: Managed policies", detached, DENIED),
    Probe("the default version counts", "ug: Versioning IAM policies", by_version, DENIED),
    may("PassRole is needed for a cluster", "eks: CreateCluster", (allow("eks:*"),), "AccessDeniedException", lambda w: w.as_alice("eks").create_cluster(name="c", roleArn=ROLE_ARN, resourcesVpcConfig={})),
    may("with PassRole", "eks: CreateCluster", (allow("eks:*"), allow("iam:PassRole", resource=ROLE_ARN)), OK, lambda w: w.as_alice("eks").create_cluster(name="c", roleArn=ROLE_ARN, resourcesVpcConfig={})),
    may("PassRole of another role", "eks: CreateCluster", (allow("eks:*"), allow("iam:PassRole", resource=ROLE_ARN + "2")), "AccessDeniedException", lambda w: w.as_alice("eks").create_cluster(name="c", roleArn=ROLE_ARN, resourcesVpcConfig={})),
    may("PassRole to another service", "ug: PassRole, iam:PassedToService", (allow("eks:*"), allow("iam:PassRole", Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}})), "AccessDeniedException", lambda w: w.as_alice("eks").create_cluster(name="c", roleArn=ROLE_ARN, resourcesVpcConfig={})),
    may("creating without the required tag", "ug: aws:RequestTag", (allow("iam:CreateUser", Condition={"StringEquals": {"aws:RequestTag/owner": "me"}}),), DENIED, lambda w: w.as_alice("iam").create_user(UserName="u")),
    may("creating with a tag needs TagUser too", "openshift/installer issue 1073: iam:TagRole at CreateRole", (allow("iam:CreateUser"),), DENIED, lambda w: w.as_alice("iam").create_user(UserName="u", Tags=[{"Key": "owner", "Value": "me"}])),
    may("creating with the required tag", "ug: aws:RequestTag", (allow("iam:CreateUser", "iam:TagUser", Condition={"StringEquals": {"aws:RequestTag/owner": "me"}}),), OK, lambda w: w.as_alice("iam").create_user(UserName="u", Tags=[{"Key": "owner", "Value": "me"}])),
    may("attaching only a named policy", "ug: iam:PolicyARN", (allow("iam:AttachUserPolicy", Condition={"ArnEquals": {"iam:PolicyARN": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}}),), DENIED, lambda w: w.as_alice("iam").attach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")),
    may("attaching to a user with the boundary", "ug: Permissions boundaries, delegating", (allow("iam:AttachUserPolicy", Condition={"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}}),), OK, lambda w: attach_to_bob(w, boundary=True)),
    may("attaching to a user without the boundary", "ug: Permissions boundaries, delegating", (allow("iam:AttachUserPolicy", Condition={"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}}),), DENIED, lambda w: attach_to_bob(w, boundary=False)),
    may("the last use of one's own key", "ug: manage your own access keys, user/${aws:username}", (allow("iam:GetAccessKeyLastUsed", resource="arn:aws:iam::*:user/${aws:username}"),), OK, lambda w: w.as_alice("iam").get_access_key_last_used(AccessKeyId=w.key["AccessKeyId"])),
    may("by the resource's account", "ug: aws:ResourceAccount", (allow("iam:GetUser", Condition={"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}}),), OK),
    may("by another resource account", "ug: aws:ResourceAccount", (allow("iam:GetUser", Condition={"StringEquals": {"aws:ResourceAccount": OTHER}}),), DENIED),
    may("renaming a user", "iam: UpdateUser, source and target", (allow("iam:UpdateUser", resource=[f"arn:aws:iam::{ACCOUNT}:user/alice", f"arn:aws:iam::{ACCOUNT}:user/alicia"]),), OK, lambda w: w.as_alice("iam").update_user(UserName="alice", NewUserName="alicia")),
    may("renaming a user to a name one has no say in", "iam: UpdateUser, source and target", (allow("iam:UpdateUser", resource=f"arn:aws:iam::{ACCOUNT}:user/alice"),), DENIED, lambda w: w.as_alice("iam").update_user(UserName="alice", NewUserName="boss")),
    may("by the tag of a provider", "ug: aws:ResourceTag", (allow("iam:*"), deny("iam:DeleteOpenIDConnectProvider", Condition={"StringEquals": {"aws:ResourceTag/keep": "yes"}})), DENIED, delete_tagged_provider),
    may("creating a user without the boundary", "ug: iam:PermissionsBoundary", (allow("iam:CreateUser", Condition={"StringEquals": {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}}),), DENIED, lambda w: w.as_alice("iam").create_user(UserName="u")),
)  # fmt: skip
