"""AssumeRole and GetSessionToken."""

from __future__ import annotations

from typing import Any

from probes.policies import LOGIC
from probes.world import (
    ACCOUNT,
    DENIED,
    OK,
    OTHER,
    ROLE_ARN,
    USER_ARN,
    Probe,
    World,
    allow,
    deny,
    policy,
    trust,
    trusts,
)
from rolecall.lab.aws_endpoint.iam.mfa import code_at


def mfa_device(world: World) -> tuple[str, str]:
    made = world.iam.create_virtual_mfa_device(VirtualMFADeviceName="alice")["VirtualMFADevice"]
    seed = made["Base32StringSeed"].decode()
    step = int(world.lab.now.timestamp()) // 30
    world.iam.enable_mfa_device(
        UserName="alice",
        SerialNumber=made["SerialNumber"],
        AuthenticationCode1=code_at(seed, step - 3),
        AuthenticationCode2=code_at(seed, step - 2),
    )
    return made["SerialNumber"], seed


def with_mfa(world: World, code: str | None = None, serial: str | None = None, times: int = 1) -> Any:
    own, seed = mfa_device(world)
    good = code_at(seed, int(world.lab.now.timestamp()) // 30)
    for _ in range(times):
        answer = world.assume(SerialNumber=serial or own, TokenCode=code or good)
    return answer


def mfa_session_token(world: World) -> Any:
    serial, seed = mfa_device(world)
    code = code_at(seed, int(world.lab.now.timestamp()) // 30)
    key = world.as_alice("sts").get_session_token(SerialNumber=serial, TokenCode=code)["Credentials"]
    return world.assume(world.lab.client("sts", key))


def session_token(world: World) -> Any:
    return world.as_alice("sts").get_session_token()["Credentials"]


def other_accounts_user(world: World, *, may_assume: bool, name: str = "mallory") -> Any:
    world.other_iam.create_user(UserName=name)
    if may_assume:
        world.other_iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(allow("sts:AssumeRole")))
    return world.lab.client("sts", world.other_iam.create_access_key(UserName=name)["AccessKey"])


def cross_account(world: World, trusted: Any, *, may_assume: bool) -> Any:
    client = other_accounts_user(world, may_assume=may_assume)
    world.set_trust(trust({"AWS": trusted}))
    return world.assume(client)


def remade_user(world: World) -> Any:
    world.iam.delete_access_key(UserName="alice", AccessKeyId=world.key["AccessKeyId"])
    world.iam.delete_user(UserName="alice")
    world.iam.create_user(UserName="alice")
    key = world.iam.create_access_key(UserName="alice")["AccessKey"]
    return world.assume(world.lab.client("sts", key))


def remade_and_saved_again(world: World) -> Any:
    world.iam.delete_access_key(UserName="alice", AccessKeyId=world.key["AccessKeyId"])
    world.iam.delete_user(UserName="alice")
    world.iam.create_user(UserName="alice")
    world.set_trust(trust({"AWS": USER_ARN}))
    key = world.iam.create_access_key(UserName="alice")["AccessKey"]
    return world.assume(world.lab.client("sts", key))


def new_under_old_name(world: World) -> Any:
    world.iam.update_user(UserName="alice", NewUserName="alicia")
    world.iam.create_user(UserName="alice")
    key = world.iam.create_access_key(UserName="alice")["AccessKey"]
    return world.assume(world.lab.client("sts", key))


def chained(
    world: World,
    trusted: Any = ROLE_ARN,
    actions: tuple[str, ...] = ("sts:AssumeRole",),
    first: Any = None,
    **second: Any,
) -> Any:
    """From Dev to a second role."""
    condition = {"Condition": second.pop("condition")} if "condition" in second else {}
    world.set_trust(trust({"AWS": USER_ARN}, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"))
    world.iam.create_role(
        RoleName="Second",
        AssumeRolePolicyDocument=trust({"AWS": trusted}, *actions, **condition),
        MaxSessionDuration=43_200,
    )
    client = world.session(**(first or {}))
    return client.assume_role(RoleArn=ROLE_ARN.replace("Dev", "Second"), RoleSessionName="two", **second)


def second_hop_with_mfa(world: World) -> Any:
    serial, seed = mfa_device(world)
    code = code_at(seed, int(world.lab.now.timestamp()) // 30)
    return chained(
        world,
        first={"SerialNumber": serial, "TokenCode": code},
        condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    )


def delegated(world: World, principal: Any, *statements: dict[str, Any]) -> Any:
    world.set_trust(trust(principal))
    if statements:
        world.grant(*statements)
    return world.assume()


STS = "sts: AssumeRole"
ASSUME = (
    Probe("trusted by name", STS, World.assume),
    Probe("the account's root cannot be had in the lab, and no other user is trusted", STS, lambda w: w.assume(w.sts), DENIED),
    trusts("a trust policy that only denies", STS, trust({"AWS": USER_ARN}, effect="Deny"), DENIED),
    trusts("trust of the account without a permission", "ug: Roles, delegate to the account", trust({"AWS": ACCOUNT}), DENIED),
    trusts("trust of the account, in its ARN form", "ug: Principal, account", trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}), DENIED),
    Probe("trust of the account with a permission", "ug: Roles, delegate to the account", lambda w: delegated(w, {"AWS": ACCOUNT}, allow("sts:AssumeRole", resource=ROLE_ARN))),
    Probe("trust of the account, permission for another role", "ug: Roles", lambda w: delegated(w, {"AWS": ACCOUNT}, allow("sts:AssumeRole", resource=ROLE_ARN + "2")), DENIED),
    Probe("trust by name and a deny of one's own", LOGIC, lambda w: delegated(w, {"AWS": USER_ARN}, deny("sts:AssumeRole")), DENIED),
    trusts("trust of another user", STS, trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/lab-admin"}), DENIED),
    trusts("trust of another account", STS, trust({"AWS": OTHER}), DENIED),
    trusts("trust of everybody", "ug: Principal, everyone", trust("*"), OK),
    trusts("trust of everybody in the long form", "ug: Principal, everyone", trust({"AWS": "*"}), OK),
    trusts("trust of a service", "ug: Principal, services", trust({"Service": "ec2.amazonaws.com"}), DENIED),
    trusts("another action", STS, trust({"AWS": USER_ARN}, "sts:AssumeRoleWithSAML"), DENIED),
    trusts("every action of STS", STS, trust({"AWS": USER_ARN}, "sts:*"), OK),
    Probe("a role that does not exist", "facts/iam 30", lambda w: w.assume(RoleArn=ROLE_ARN + "2"), DENIED),
    Probe("a prefix of the role's name", "facts/iam 30", lambda w: w.assume(RoleArn=ROLE_ARN[:-1]), DENIED),
    Probe("the role under another path", "facts/iam 12", lambda w: w.assume(RoleArn=ROLE_ARN.replace("role/", "role/x/")), DENIED),
    Probe("the role in another partition", "gr: ARNs, partition", lambda w: w.assume(RoleArn=ROLE_ARN.replace("arn:aws:", "arn:aws-cn:")), DENIED),
    Probe("a user who has another name now", "ug: Rename an IAM user", lambda w: (w.iam.update_user(UserName="alice", NewUserName="alicia"), w.assume())),
    Probe("a user who has another path now", "ug: Rename an IAM user", lambda w: (w.iam.update_user(UserName="alice", NewPath="/team/"), w.assume())),
    Probe("a new user under the old name", "ug: Rename an IAM user", new_under_old_name, DENIED),
    Probe("a managed session policy of the role's account", "sts: PolicyArns", lambda w: w.assume(PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}])),
    Probe("a managed session policy of another account", "sts: PolicyArns", lambda w: w.assume(PolicyArns=[{"arn": w.foreign_policy()}]), "ValidationError"),
    Probe("an ARN of a user", "sts: RoleArn", lambda w: w.assume(RoleArn=USER_ARN), "ValidationError"),
    Probe("no ARN at all", "sts: RoleArn", lambda w: w.assume(RoleArn="role-by-name-that-is-no-arn"), "ValidationError"),
    Probe("a session name of one letter", "sts: RoleSessionName, minimum 2", lambda w: w.assume(RoleSessionName="a"), "ValidationError"),
    Probe("a session name of 64 letters", "sts: RoleSessionName, maximum 64", lambda w: w.assume(RoleSessionName="a" * 64)),
    Probe("a session name of 65 letters", "sts: RoleSessionName, maximum 64", lambda w: w.assume(RoleSessionName="a" * 65), "ValidationError"),
    Probe("a session name with a slash", "sts: RoleSessionName, pattern", lambda w: w.assume(RoleSessionName="a/b"), "ValidationError"),
    Probe("no session name", "sts: RoleSessionName is required", lambda w: w.as_alice("sts").assume_role(RoleArn=ROLE_ARN), "ValidationError"),
    Probe("900 seconds", "sts: DurationSeconds, minimum 900", lambda w: w.assume(DurationSeconds=900)),
    Probe("899 seconds", "sts: DurationSeconds, minimum 900", lambda w: w.assume(DurationSeconds=899), "ValidationError"),
    Probe("more than the role's maximum", "sts: DurationSeconds", lambda w: w.assume(DurationSeconds=7_200), "ValidationError"),
    Probe("as much as the role's maximum", "sts: DurationSeconds", lambda w: (w.iam.update_role(RoleName="Dev", MaxSessionDuration=7_200), w.assume(DurationSeconds=7_200))),
    trusts("external id as asked for", "ug: External ID", trust({"AWS": USER_ARN}, Condition={"StringEquals": {"sts:ExternalId": "secret"}}), OK, lambda w: w.assume(ExternalId="secret")),
    trusts("another external id", "ug: External ID", trust({"AWS": USER_ARN}, Condition={"StringEquals": {"sts:ExternalId": "secret"}}), DENIED, lambda w: w.assume(ExternalId="Secret")),
    trusts("no external id", "ug: External ID", trust({"AWS": USER_ARN}, Condition={"StringEquals": {"sts:ExternalId": "secret"}}), DENIED),
    trusts("the session name must be the user's", "ug: sts:RoleSessionName", trust({"AWS": USER_ARN}, Condition={"StringLike": {"sts:RoleSessionName": "${aws:username}"}}), OK, lambda w: w.assume(RoleSessionName="alice")),
    trusts("the session name of somebody else", "ug: sts:RoleSessionName", trust({"AWS": USER_ARN}, Condition={"StringLike": {"sts:RoleSessionName": "${aws:username}"}}), DENIED, lambda w: w.assume(RoleSessionName="bob")),
    trusts("by source address", "ug: aws:SourceIp", trust({"AWS": USER_ARN}, Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}), DENIED),
    trusts("by the principal's ARN", "ug: aws:PrincipalArn", trust({"AWS": "*"}, Condition={"ArnEquals": {"aws:PrincipalArn": USER_ARN}}), OK),
    trusts("by another principal's ARN", "ug: aws:PrincipalArn", trust({"AWS": "*"}, Condition={"ArnEquals": {"aws:PrincipalArn": USER_ARN + "2"}}), DENIED),
    trusts("MFA asked for, none given", "ug: MFA-protected API access", trust({"AWS": USER_ARN}, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}), DENIED),
    trusts("MFA asked for and given", "ug: MFA-protected API access", trust({"AWS": USER_ARN}, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}), OK, with_mfa),
    trusts("MFA given by GetSessionToken", "facts/iam 28", trust({"AWS": USER_ARN}, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}), OK, mfa_session_token),
    Probe("a wrong MFA code", "sts: TokenCode", lambda w: with_mfa(w, code="000000"), DENIED),
    Probe("an MFA code used twice", "RFC 6238, 5.2", lambda w: with_mfa(w, times=2), DENIED),
    Probe("an MFA device that is not one's own", "sts: SerialNumber", lambda w: with_mfa(w, serial=f"arn:aws:iam::{ACCOUNT}:mfa/bob"), DENIED),
    Probe("a serial number without a code", "sts: TokenCode", lambda w: w.assume(SerialNumber=f"arn:aws:iam::{ACCOUNT}:mfa/alice"), DENIED),
    Probe("an MFA code of five digits", "sts: TokenCode, length 6", lambda w: with_mfa(w, code="12345"), "ValidationError"),
    Probe("session tags without TagSession", "ug: Pass session tags", lambda w: w.assume(Tags=[{"Key": "a", "Value": "b"}]), DENIED),
    trusts("session tags with TagSession", "ug: Pass session tags", trust({"AWS": USER_ARN}, "sts:AssumeRole", "sts:TagSession"), OK, lambda w: w.assume(Tags=[{"Key": "a", "Value": "b"}])),
    trusts("a tag given twice in another case", "facts/iam 27", trust({"AWS": USER_ARN}, "sts:*"), "InvalidParameterValue", lambda w: w.assume(Tags=[{"Key": "a", "Value": "b"}, {"Key": "A", "Value": "b"}])),
    trusts("a transitive tag that is not there", "facts/iam 27", trust({"AWS": USER_ARN}, "sts:*"), "InvalidParameterValue", lambda w: w.assume(TransitiveTagKeys=["a"])),
    trusts("a tag that the trust policy wants", "ug: Pass session tags", trust({"AWS": USER_ARN}, "sts:*", Condition={"StringEquals": {"aws:RequestTag/team": "red"}}), DENIED, lambda w: w.assume(Tags=[{"Key": "team", "Value": "blue"}])),
    Probe("a source identity without SetSourceIdentity", "ug: Source identity", lambda w: w.assume(SourceIdentity="alice"), DENIED),
    trusts("a source identity with SetSourceIdentity", "ug: Source identity", trust({"AWS": USER_ARN}, "sts:AssumeRole", "sts:SetSourceIdentity"), OK, lambda w: w.assume(SourceIdentity="alice")),
    Probe("a session policy", "sts: Policy", lambda w: w.assume(Policy=policy(allow("eks:*")))),
    Probe("a session policy that is no JSON", "sts: MalformedPolicyDocument", lambda w: w.assume(Policy="{"), "MalformedPolicyDocument"),
    Probe("a session policy with a principal", "sts: MalformedPolicyDocument", lambda w: w.assume(Policy=trust({"AWS": "*"})), "MalformedPolicyDocument"),
    Probe("a session policy that is too long", "sts: Policy, 2,048 characters", lambda w: w.assume(Policy=policy(allow(*["eks:" + "x" * 90 for _ in range(30)]))), "PackedPolicyTooLarge"),
    Probe("a session does only what its policy allows", "ug: Session policies", lambda w: (w.iam.put_role_policy(RoleName="Dev", PolicyName="p", PolicyDocument=policy(allow("iam:*"))), w.session("iam", Policy=policy(allow("eks:*"))).list_users()), DENIED),
    Probe("a session has its role's permissions", "ug: Session policies", lambda w: (w.iam.put_role_policy(RoleName="Dev", PolicyName="p", PolicyDocument=policy(allow("iam:*"))), w.session("iam").list_users())),
    Probe("a session has no permission of its user", LOGIC, lambda w: (w.grant(allow("iam:*")), w.session("iam").list_users()), DENIED),
    Probe("another account, both sides allow", "ug: Cross-account evaluation", lambda w: cross_account(w, OTHER, may_assume=True)),
    Probe("another account, only the role trusts", "ug: Cross-account evaluation", lambda w: cross_account(w, OTHER, may_assume=False), DENIED),
    Probe("another account, only the user may", "ug: Cross-account evaluation", lambda w: w.assume(other_accounts_user(w, may_assume=True)), DENIED),
    Probe("another account, everybody is trusted, the user may not", "facts/iam 6", lambda w: cross_account(w, "*", may_assume=False), DENIED),
    Probe("a user made anew under the trusted name", "facts/iam 11", remade_user, DENIED),
    Probe("and trusted again by name", "facts/iam 11", remade_and_saved_again),
    Probe("from one role to another", "ug: Role chaining", chained),
    Probe("from one role to another that does not trust it", "ug: Role chaining", lambda w: chained(w, trusted=USER_ARN), DENIED),
    Probe("from the very session", "facts/iam 5", lambda w: chained(w, trusted=f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/session")),
    Probe("from another session of the role", "facts/iam 5", lambda w: chained(w, trusted=f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/other"), DENIED),
    Probe("chained for an hour", "ug: Role chaining, 1 hour", lambda w: chained(w, DurationSeconds=3_600)),
    Probe("chained for longer", "ug: Role chaining, 1 hour", lambda w: chained(w, DurationSeconds=3_601), "ValidationError"),
    Probe("a transitive tag needs TagSession further on", "facts/iam 26", lambda w: chained(w, first={"Tags": [{"Key": "t", "Value": "1"}], "TransitiveTagKeys": ["t"]}), DENIED),
    Probe("a transitive tag goes on", "facts/iam 27", lambda w: chained(w, actions=("sts:AssumeRole", "sts:TagSession"), first={"Tags": [{"Key": "t", "Value": "1"}], "TransitiveTagKeys": ["t"]})),
    Probe("a transitive tag cannot be set anew", "facts/iam 27", lambda w: chained(w, actions=("sts:*",), first={"Tags": [{"Key": "t", "Value": "1"}], "TransitiveTagKeys": ["t"]}, Tags=[{"Key": "T", "Value": "2"}]), "InvalidParameterValue"),
    Probe("a source identity cannot be changed", "ug: Source identity", lambda w: chained(w, actions=("sts:*",), first={"SourceIdentity": "alice"}, SourceIdentity="mallory"), DENIED),
    Probe("MFA does not reach the second hop", "facts/iam 28", second_hop_with_mfa, DENIED),
    Probe("GetSessionToken's credentials may assume", "sts: GetSessionToken", lambda w: w.assume(w.lab.client("sts", session_token(w)))),
    Probe("GetSessionToken's credentials may say who they are", "sts: GetSessionToken", lambda w: w.lab.client("sts", session_token(w)).get_caller_identity()),
    Probe("GetSessionToken's credentials get no further ones", "sts: GetSessionToken", lambda w: w.lab.client("sts", session_token(w)).get_session_token(), DENIED),
    Probe("GetSessionToken's credentials without MFA call no IAM", "sts: GetSessionToken", lambda w: (w.grant(allow("iam:*")), w.lab.client("iam", session_token(w)).list_users()), "InvalidClientTokenId"),
    Probe("a role session gets no session token", "sts: GetSessionToken", lambda w: w.session().get_session_token(), DENIED),
)  # fmt: skip
