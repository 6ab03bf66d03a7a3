"""Names, documents, limits and forms."""

from __future__ import annotations

import json

from probes.policies import COND, by_group
from probes.world import ACCOUNT, DENIED, USER_ARN, Probe, allow, policy, trust

FORMS = "iam: common rules"
OBJECTS = (
    Probe("a user that is there already, in another case", "ug: IAM names", lambda w: w.iam.create_user(UserName="ALICE"), "EntityAlreadyExists"),
    Probe("a user that is not there", "iam: GetUser", lambda w: w.iam.get_user(UserName="nobody"), "NoSuchEntity"),
    Probe("a user's name with a blank", "iam: UserName, pattern", lambda w: w.iam.create_user(UserName="a b"), "ValidationError"),
    Probe("a path without slashes", "iam: Path, pattern", lambda w: w.iam.create_user(UserName="x", Path="a"), "ValidationError"),
    Probe("a user with keys is not deleted", "iam: DeleteUser", lambda w: w.iam.delete_user(UserName="alice"), "DeleteConflict"),
    Probe("a role with a policy is not deleted", "iam: DeleteRole", lambda w: (w.iam.put_role_policy(RoleName="Dev", PolicyName="p", PolicyDocument=policy(allow("*"))), w.iam.delete_role(RoleName="Dev")), "DeleteConflict"),
    Probe("a group with members is not deleted", "iam: DeleteGroup", lambda w: (by_group(w), w.iam.delete_group(GroupName="g")), "DeleteConflict"),
    Probe("a policy in use is not deleted", "iam: DeletePolicy", lambda w: (w.iam.attach_role_policy(RoleName="Dev", PolicyArn=w.iam.create_policy(PolicyName="x", PolicyDocument=policy(allow("*")))["Policy"]["Arn"]), w.iam.delete_policy(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/x")), "DeleteConflict"),
    Probe("an AWS policy is not deleted", "ug: Managed policies", lambda w: w.iam.delete_policy(PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"), DENIED),
    Probe("a policy with an unknown element", "ug: Grammar", lambda w: w.grant({"Effect": "Allow", "Action": "*", "Resource": "*", "Actoin": "x"}), "MalformedPolicyDocument"),
    Probe("a policy without an effect", "ug: Grammar", lambda w: w.grant({"Action": "*", "Resource": "*"}), "MalformedPolicyDocument"),
    Probe("a policy with a principal", "ug: Grammar", lambda w: w.grant(allow("*", Principal="*")), "MalformedPolicyDocument"),
    Probe("an action without a service", "ug: Action", lambda w: w.grant(allow("GetUser")), "MalformedPolicyDocument"),
    Probe("a resource that is no ARN", "ug: Resource", lambda w: w.grant(allow("*", resource="mybucket")), "MalformedPolicyDocument"),
    Probe("an operator that is none", COND, lambda w: w.grant(allow("*", Condition={"StringEqual": {"aws:username": "x"}})), "MalformedPolicyDocument"),
    Probe("a policy of more than 2,048 characters for a user", "ug: IAM quotas", lambda w: w.grant(*(allow(f"eks:{'x' * 80}") for _ in range(20))), "LimitExceeded"),
    Probe("a trust policy with a resource", "ug: Trust policies", lambda w: w.set_trust(trust({"AWS": USER_ARN}, Resource="*")), "MalformedPolicyDocument"),
    Probe("a trust policy with NotPrincipal", "facts/iam 14", lambda w: w.set_trust(json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "NotPrincipal": {"AWS": USER_ARN}, "Action": "sts:AssumeRole"}]})), "MalformedPolicyDocument"),
    Probe("a trust policy that names nobody", "ug: Principal", lambda w: w.set_trust(trust({"AWS": USER_ARN + "2"})), "MalformedPolicyDocument"),
    Probe("a trust policy with a wildcard in a name", "facts/iam 13", lambda w: w.set_trust(trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/*"})), "MalformedPolicyDocument"),
    Probe("a trust policy for a group", "facts/iam 13", lambda w: w.set_trust(trust({"AWS": f"arn:aws:iam::{ACCOUNT}:group/g"})), "MalformedPolicyDocument"),
    Probe("a trust policy for a user of another partition", "gr: ARNs, partition", lambda w: w.set_trust(trust({"AWS": USER_ARN.replace("arn:aws:", "arn:aws-cn:")})), "MalformedPolicyDocument"),
    Probe("a trust policy for an account of another partition", "gr: ARNs, partition", lambda w: w.set_trust(trust({"AWS": f"arn:aws-cn:iam::{ACCOUNT}:root"})), "MalformedPolicyDocument"),
    Probe("a trust policy about another service", "sts: service authorization reference", lambda w: w.set_trust(trust({"AWS": USER_ARN}, "iam:GetUser")), "MalformedPolicyDocument"),
    Probe("a statement's id with a dash", "ug: Sid", lambda w: w.grant(allow("iam:GetUser", Sid="a-b")), "MalformedPolicyDocument"),
    Probe("a trust policy of more than 2,048 characters", "ug: IAM quotas, ACLSizePerRole", lambda w: w.set_trust(trust({"AWS": [USER_ARN] * 60})), "LimitExceeded"),
    Probe("another account's policy as a boundary", "iam: PutUserPermissionsBoundary", lambda w: w.iam.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=w.foreign_policy()), "NoSuchEntity"),
    Probe("another account's policy attached", "iam: AttachUserPolicy", lambda w: w.iam.attach_user_policy(UserName="alice", PolicyArn=w.foreign_policy()), "NoSuchEntity"),
    Probe("six versions of a policy", "ug: IAM quotas", lambda w: [w.iam.create_policy(PolicyName="x", PolicyDocument=policy(allow("*"))), *(w.iam.create_policy_version(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/x", PolicyDocument=policy(allow("*"))) for _ in range(5))], "LimitExceeded"),
    Probe("an operation that is none", "gr: InvalidAction", lambda w: w.raw(body=b"Action=DeleteEverything&Version=2011-06-15"), "InvalidAction"),
    Probe("another API version", "gr: InvalidAction", lambda w: w.raw(body=b"Action=GetCallerIdentity&Version=1999-01-01"), "InvalidAction"),
    Probe("no action", "gr: MissingAction", lambda w: w.raw(body=b"Version=2011-06-15"), "MissingAction"),
    Probe("a parameter given twice", "gr: MalformedQueryString", lambda w: w.raw(body=b"Action=GetCallerIdentity&Action=GetSessionToken&Version=2011-06-15"), "MalformedQueryString"),
    Probe("another account's user", FORMS, lambda w: w.other_iam.get_user(UserName="alice"), "NoSuchEntity"),
)  # fmt: skip
