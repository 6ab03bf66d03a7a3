"""Accept or refuse: what the endpoint answers to requests, good and bad, as the documentation of AWS has it.

Each probe names its source: a page of the IAM user guide (ug), of the STS, IAM or EKS API reference (sts, iam, eks), of
the AWS general reference (gr), or a line of the project's facts where only users' reports exist.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rolecall.lab.aws_endpoint.iam.mfa import code_at
from rolecall.sigv4 import Credentials, HttpRequest, presign, sign
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.mint import mint
from rolecall.tokens.parse import TokenError, parse_token

ACCOUNT, OTHER = "231144931069", "444455556666"
REGION, HOST = "eu-west-2", b"127.0.0.1:4566"
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/alice"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/Dev"
FORM = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")
OK = "ok"
DENIED = "AccessDenied"


def allow(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def deny(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": list(actions), "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: Any, *actions: str, effect: str = "Allow", **more: Any) -> str:
    statement = {"Effect": effect, "Principal": principal, "Action": list(actions) or "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class World:
    """Two accounts; in the first a user alice with a key, and a role Dev that trusts her."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self.iam, self.sts, self.eks = (lab.client(service) for service in ("iam", "sts", "eks"))
        self.other_iam = lab.client("iam", account=OTHER)
        self.iam.create_user(UserName="alice")
        self.key = self.iam.create_access_key(UserName="alice")["AccessKey"]
        self.iam.create_role(RoleName="Dev", AssumeRolePolicyDocument=trust({"AWS": USER_ARN}))

    def as_alice(self, service: str) -> Any:
        return self.lab.client(service, self.key)

    def grant(self, *statements: dict[str, Any]) -> None:
        self.iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=policy(*statements))

    def set_trust(self, document: str) -> None:
        self.iam.update_assume_role_policy(RoleName="Dev", PolicyDocument=document)

    def assume(self, client: Any = None, **more: Any) -> Any:
        client = client or self.as_alice("sts")
        return client.assume_role(**{"RoleArn": ROLE_ARN, "RoleSessionName": "session", **more})

    def session(self, service: str = "sts", **more: Any) -> Any:
        return self.lab.client(service, self.assume(**more)["Credentials"])

    def cluster(self, **more: Any) -> None:
        self.eks.create_cluster(
            name="c", roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks", resourcesVpcConfig={"subnetIds": ["s"]}, **more
        )
        self.lab.backend.work()

    def credentials(self, key: dict[str, str] | None = None) -> Credentials:
        key = key or self.key
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"))

    def raw(self, change: Callable[[HttpRequest], HttpRequest] = lambda request: request, **options: Any) -> str:
        """A GetCallerIdentity signed by hand and changed on its way; ``ok`` or the error's code."""
        request = HttpRequest(
            options.get("method", "POST"),
            b"/",
            options.get("query", b""),
            ((b"host", HOST), FORM),
            options.get("body", b"Action=GetCallerIdentity&Version=2011-06-15"),
        )
        credentials = options.get("credentials") or self.credentials()
        signed = sign(
            request,
            credentials,
            region=options.get("region", REGION),
            service=options.get("service", "sts"),
            now=options.get("now", self.lab.now),
        )
        return self.send(change(signed))

    def presigned(self, change: Callable[[HttpRequest], HttpRequest] = lambda request: request, **options: Any) -> str:
        request = HttpRequest(
            "GET", b"/", b"Action=GetCallerIdentity&Version=2011-06-15", ((b"host", HOST), (b"x-k8s-aws-id", b"c"))
        )
        signed = presign(
            request,
            options.get("credentials") or self.credentials(),
            region=REGION,
            service="sts",
            now=options.get("now", self.lab.now),
            expires=options.get("expires", 60),
        )
        return self.send(change(signed))

    def send(self, request: HttpRequest) -> str:
        answer = self.lab.send(request)
        if answer.status == 200:
            return OK
        text = answer.body.decode()
        assert "Traceback" not in text
        assert "<html" not in text.lower()
        if text.startswith("{"):
            return str(json.loads(text)["__type"])
        return text.partition("<Code>")[2].partition("</Code>")[0]

    def token(self, cluster: str = "c", **options: Any) -> str:
        """A token for ``cluster`` shown to cluster ``c``: ``ok``, STS's refusal, or the code of the parser."""
        now = options.get("now", self.lab.now)
        made = mint(
            self.credentials(options.get("key")), cluster, region=REGION, now=now, endpoint=f"http://{HOST.decode()}"
        )
        text = options.get("change", lambda value: value)(made.value)
        try:
            call = parse_token(text, "c", now=self.lab.now, hosts=StsHosts(own=frozenset({HOST.decode()})))
        except TokenError as error:
            return error.code
        return self.send(call.request())


def with_header(name: bytes, value: bytes | None) -> Callable[[HttpRequest], HttpRequest]:
    """Replace a header, or take it away."""

    def change(request: HttpRequest) -> HttpRequest:
        kept = tuple(pair for pair in request.headers if pair[0].lower() != name)
        return replace(request, headers=(*kept, (name, value)) if value is not None else kept)

    return change


def in_authorization(old: bytes, new: bytes) -> Callable[[HttpRequest], HttpRequest]:
    def change(request: HttpRequest) -> HttpRequest:
        value = request.header(b"authorization") or b""
        assert old in value
        return with_header(b"authorization", value.replace(old, new))(request)

    return change


def in_query(old: bytes, new: bytes) -> Callable[[HttpRequest], HttpRequest]:
    def change(request: HttpRequest) -> HttpRequest:
        assert old in request.query
        return replace(request, query=request.query.replace(old, new))

    return change


def flipped(request: HttpRequest) -> HttpRequest:
    value = request.header(b"authorization") or b""
    last = b"0" if value[-1:] != b"0" else b"1"
    return with_header(b"authorization", value[:-1] + last)(request)


@dataclass(frozen=True)
class Probe:
    """What is done, what the answer must be, and why: ``act`` returns ``ok`` or a code, or raises."""

    name: str
    source: str
    act: Callable[[World], Any]
    expect: str = OK


def may(
    name: str, source: str, statements: tuple[Any, ...], expect: str, call: Callable[[World], Any] | None = None
) -> Probe:
    """Alice with these statements calls ``iam:GetUser`` on herself, or something else."""

    def act(world: World) -> Any:
        world.grant(*statements)
        return (call or (lambda world: world.as_alice("iam").get_user(UserName="alice")))(world)

    return Probe(name, source, act, expect)


def trusts(name: str, source: str, document: str, expect: str, call: Callable[[World], Any] | None = None) -> Probe:
    """Alice assumes the role under this trust policy."""

    def act(world: World) -> Any:
        world.set_trust(document)
        return (call or World.assume)(world)

    return Probe(name, source, act, expect)


def unknown_key(world: World) -> Any:
    return world.raw(credentials=Credentials("AKIAAAAAAAAAAAAAAAAA", "x" * 40))


def wrong_secret(world: World) -> Any:
    return world.raw(credentials=Credentials(world.key["AccessKeyId"], "x" * 40))


def inactive_key(world: World) -> Any:
    world.iam.update_access_key(UserName="alice", AccessKeyId=world.key["AccessKeyId"], Status="Inactive")
    return world.raw()


def reactivated_key(world: World) -> Any:
    inactive_key(world)
    world.iam.update_access_key(UserName="alice", AccessKeyId=world.key["AccessKeyId"], Status="Active")
    return world.raw()


def deleted_key(world: World) -> Any:
    world.iam.delete_access_key(UserName="alice", AccessKeyId=world.key["AccessKeyId"])
    return world.raw()


def session_raw(world: World, **options: Any) -> Any:
    found = world.assume()["Credentials"]
    found |= options.get("changed", {})
    if options.get("without_token"):
        found = {key: value for key, value in found.items() if key != "SessionToken"}
    world.lab.forward(options.get("later", 0))
    return world.raw(credentials=world.credentials(found))


def foreign_token(world: World) -> Any:
    """The key of one session with the session token of another."""
    other = world.assume()["Credentials"]["SessionToken"]
    return session_raw(world, changed={"SessionToken": other})


def deleted_role(world: World) -> Any:
    found = world.assume()["Credentials"]
    world.iam.delete_role(RoleName="Dev")
    return world.raw(credentials=world.credentials(found))


SIGNATURES = (
    Probe("signed in headers", "gr: Signature Version 4", World.raw),
    Probe("signed in the query", "gr: Signature Version 4, query parameters", World.presigned),
    Probe("GET with the action in the query", "sts: Making query requests", lambda w: w.raw(method="GET", query=b"Action=GetCallerIdentity&Version=2011-06-15", body=b"")),
    Probe("no signature", "gr: Common errors, MissingAuthenticationToken", lambda w: w.raw(with_header(b"authorization", None)), "MissingAuthenticationToken"),
    Probe("one flipped digit", "gr: SignatureDoesNotMatch", lambda w: w.raw(flipped), "SignatureDoesNotMatch"),
    Probe("another body than was signed", "facts/iam 35", lambda w: w.raw(lambda r: replace(r, body=r.body + b"&x=1")), "SignatureDoesNotMatch"),
    Probe("another path than was signed", "facts/iam 35", lambda w: w.raw(lambda r: replace(r, path=b"/x")), "SignatureDoesNotMatch"),
    Probe("another method than was signed", "facts/iam 35", lambda w: w.raw(lambda r: replace(r, method="PUT")), "SignatureDoesNotMatch"),
    Probe("another query than was signed", "facts/iam 35", lambda w: w.raw(lambda r: replace(r, query=b"a=b")), "SignatureDoesNotMatch"),
    Probe("another host than was signed", "facts/iam 36", lambda w: w.raw(with_header(b"host", b"evil.example")), "SignatureDoesNotMatch"),
    Probe("another date than was signed", "facts/iam 35", lambda w: w.raw(with_header(b"x-amz-date", b"20200101T000000Z")), "SignatureDoesNotMatch"),
    Probe("a signed header taken away", "facts/iam 36", lambda w: w.raw(with_header(b"content-type", None)), "IncompleteSignature"),
    Probe("an x-amz- header slipped in", "gr: Signature Version 4, signed headers", lambda w: w.raw(with_header(b"x-amz-target", b"x")), "IncompleteSignature"),
    Probe("host not signed", "gr: Signature Version 4, signed headers", lambda w: w.raw(in_authorization(b"host;", b"")), "IncompleteSignature"),
    Probe("Authorization given twice", "facts/iam 35", lambda w: w.raw(lambda r: replace(r, headers=(*r.headers, r.headers[-1]))), "IncompleteSignature"),
    Probe("headers and query both", "facts/iam 35", lambda w: w.raw(lambda r: replace(r, query=b"X-Amz-Signature=00")), "IncompleteSignature"),
    Probe("unknown algorithm", "gr: IncompleteSignature", lambda w: w.raw(in_authorization(b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA1")), "IncompleteSignature"),
    Probe("no SignedHeaders", "gr: IncompleteSignature", lambda w: w.raw(in_authorization(b"SignedHeaders=", b"Signed=")), "IncompleteSignature"),
    Probe("four parts of a credential", "gr: IncompleteSignature", lambda w: w.raw(in_authorization(b"/aws4_request", b"")), "IncompleteSignature"),
    Probe("another service's scope", "ug: Troubleshoot SigV4, credential scope", lambda w: w.raw(service="iam"), "InvalidAction"),
    Probe("a service that the lab has not", "gr: Common errors", lambda w: w.raw(service="s3"), "InvalidAction"),
    Probe("a region that is none", "ug: Troubleshoot SigV4, credential scope", lambda w: w.raw(region="mars-1"), "SignatureDoesNotMatch"),
    Probe("a region of another partition", "ug: Troubleshoot SigV4, credential scope", lambda w: w.raw(region="cn-north-1"), "SignatureDoesNotMatch"),
    Probe("the scope's region exchanged", "ug: Troubleshoot SigV4, credential scope", lambda w: w.raw(in_authorization(b"/eu-west-2/", b"/us-east-1/")), "SignatureDoesNotMatch"),
    Probe("the scope's date is not the request's", "ug: Troubleshoot SigV4, date", lambda w: w.raw(in_authorization(w.lab.now.strftime("/%Y%m%d/").encode(), b"/20200101/")), "SignatureDoesNotMatch"),
    Probe("four minutes old", "ug: Troubleshoot SigV4, timestamps", lambda w: w.raw(now=w.lab.now - timedelta(minutes=4))),
    Probe("replayed after six minutes", "ug: Troubleshoot SigV4, timestamps", lambda w: w.raw(now=w.lab.now - timedelta(minutes=6)), "SignatureDoesNotMatch"),
    Probe("six minutes from the future", "ug: Troubleshoot SigV4, timestamps", lambda w: w.raw(now=w.lab.now + timedelta(minutes=6)), "SignatureDoesNotMatch"),
    Probe("presigned, replayed within 15 minutes", "facts/eks 3.1", lambda w: w.presigned(now=w.lab.now - timedelta(minutes=14))),
    Probe("presigned, replayed after 16 minutes", "facts/eks 3.1", lambda w: w.presigned(now=w.lab.now - timedelta(minutes=16)), "SignatureDoesNotMatch"),
    Probe("presigned, one digit of the signature", "gr: SignatureDoesNotMatch", lambda w: w.presigned(lambda r: replace(r, query=r.query[:-1] + (b"0" if r.query[-1:] != b"0" else b"1"))), "SignatureDoesNotMatch"),
    Probe("presigned, longer life written in", "facts/iam 36", lambda w: w.presigned(in_query(b"X-Amz-Expires=60", b"X-Amz-Expires=900")), "SignatureDoesNotMatch"),
    Probe("presigned, no signature", "gr: IncompleteSignature", lambda w: w.presigned(in_query(b"X-Amz-Signature", b"X-Amz-Signatur")), "IncompleteSignature"),
    Probe("presigned, a signed header taken away", "facts/iam 36", lambda w: w.presigned(with_header(b"x-k8s-aws-id", None)), "IncompleteSignature"),
    Probe("presigned, a signed header changed", "facts/iam 36", lambda w: w.presigned(with_header(b"x-k8s-aws-id", b"other")), "SignatureDoesNotMatch"),
    Probe("presigned, another action", "facts/iam 36", lambda w: w.presigned(in_query(b"Action=GetCallerIdentity", b"Action=GetSessionToken")), "SignatureDoesNotMatch"),
    Probe("presigned, with a body", "facts/iam 36", lambda w: w.presigned(lambda r: replace(r, body=b"x")), "SignatureDoesNotMatch"),
    Probe("presigned, expires of a year", "gr: Signature Version 4, query parameters", lambda w: w.presigned(expires=31_536_000), "IncompleteSignature"),
)  # fmt: skip

KEYS = (
    Probe("unknown key id", "gr: InvalidClientTokenId", unknown_key, "InvalidClientTokenId"),
    Probe("wrong secret", "gr: SignatureDoesNotMatch", wrong_secret, "SignatureDoesNotMatch"),
    Probe("inactive key", "iam: UpdateAccessKey", inactive_key, "InvalidClientTokenId"),
    Probe("a key made active again", "iam: UpdateAccessKey", reactivated_key),
    Probe("deleted key", "iam: DeleteAccessKey", deleted_key, "InvalidClientTokenId"),
    Probe("a long-term key with a session token", "gr: InvalidClientTokenId", lambda w: w.raw(credentials=replace(w.credentials(), session_token="x" * 60)), "InvalidClientTokenId"),
    Probe("a session", "ug: Using temporary credentials", session_raw),
    Probe("a session without its token", "ug: Using temporary credentials", lambda w: session_raw(w, without_token=True), "InvalidClientTokenId"),
    Probe("a session with another token", "ug: Using temporary credentials", lambda w: session_raw(w, changed={"SessionToken": "x" * 300}), "InvalidClientTokenId"),
    Probe("a session with the token of another session", "ug: Using temporary credentials", foreign_token, "InvalidClientTokenId"),
    Probe("a session just before its end", "gr: ExpiredToken", lambda w: session_raw(w, later=3_599)),
    Probe("a session after its end", "gr: ExpiredToken", lambda w: session_raw(w, later=3_601), "ExpiredToken"),
    Probe("a session whose role is deleted", "facts/eks 3.5", deleted_role, "InvalidClientTokenId"),
    Probe("two keys a user", "ug: IAM quotas", lambda w: w.iam.create_access_key(UserName="alice")),
    Probe("three keys a user", "ug: IAM quotas", lambda w: [w.iam.create_access_key(UserName="alice") for _ in range(2)], "LimitExceeded"),
)  # fmt: skip

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
    may("creating with the required tag", "ug: aws:RequestTag", (allow("iam:CreateUser", Condition={"StringEquals": {"aws:RequestTag/owner": "me"}}),), OK, lambda w: w.as_alice("iam").create_user(UserName="u", Tags=[{"Key": "owner", "Value": "me"}])),
    may("attaching only a named policy", "ug: iam:PolicyARN", (allow("iam:AttachUserPolicy", Condition={"ArnEquals": {"iam:PolicyARN": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}}),), DENIED, lambda w: w.as_alice("iam").attach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")),
    may("creating a user without the boundary", "ug: iam:PermissionsBoundary", (allow("iam:CreateUser", Condition={"StringEquals": {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}}),), DENIED, lambda w: w.as_alice("iam").create_user(UserName="u")),
)  # fmt: skip


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

TOKENS = (
    Probe("a token for this cluster", "facts/eks 3.1", World.token),
    Probe("a token of a role session", "facts/eks 3.1", lambda w: w.token(key=w.assume()["Credentials"])),
    Probe("a token for another cluster", "facts/eks 3.1", lambda w: w.token("other"), "SignatureDoesNotMatch"),
    Probe("a token of 14 minutes", "facts/eks 3.1", lambda w: w.token(now=w.lab.now - timedelta(minutes=14))),
    Probe("a token of 16 minutes", "facts/eks 3.1", lambda w: w.token(now=w.lab.now - timedelta(minutes=16)), "expired"),
    Probe("a token without its prefix", "facts/eks 3.1", lambda w: w.token(change=lambda value: value[11:]), "prefix"),
    Probe("a token with padding", "facts/eks 3.1", lambda w: w.token(change=lambda value: value + "="), "base64"),
    Probe("a token that is too long", "facts/eks 3.1", lambda w: w.token(change=lambda value: value + "A" * 4_096), "too-long"),
    Probe("a token of a deleted key", "iam: DeleteAccessKey", lambda w: (w.iam.delete_access_key(UserName="alice", AccessKeyId=w.key["AccessKeyId"]), w.token())[1], "InvalidClientTokenId"),
)  # fmt: skip


def entry(world: World, **more: Any) -> Any:
    world.cluster(accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
    return world.eks.create_access_entry(**{"clusterName": "c", "principalArn": ROLE_ARN, **more})


def mode(world: World, first: str, *then: str) -> Any:
    world.cluster(accessConfig={"authenticationMode": first})
    for one in then:
        answer = world.eks.update_cluster_config(name="c", accessConfig={"authenticationMode": one})
    return answer


def associate(world: World, name: str = "AmazonEKSViewPolicy", **scope: Any) -> Any:
    entry(world)
    arn = f"arn:aws:eks::aws:cluster-access-policy/{name}"
    return world.eks.associate_access_policy(
        clusterName="c", principalArn=ROLE_ARN, policyArn=arn, accessScope=scope or {"type": "cluster"}
    )


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
    Probe("both steps at once", "facts/eks 3.2", lambda w: mode(w, "CONFIG_MAP", "API"), "InvalidRequestException"),
    Probe("no way back from API", "facts/eks 3.2", lambda w: mode(w, "API", "API_AND_CONFIG_MAP"), "InvalidRequestException"),
    Probe("no way back to CONFIG_MAP", "facts/eks 3.2", lambda w: mode(w, "API_AND_CONFIG_MAP", "CONFIG_MAP"), "InvalidRequestException"),
    Probe("no creator with CONFIG_MAP", "facts/eks 3.2", lambda w: w.cluster(accessConfig={"authenticationMode": "CONFIG_MAP", "bootstrapClusterCreatorAdminPermissions": False}), INVALID),
    Probe("no creator with API", "facts/eks 3.2", lambda w: w.cluster(accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False})),
    Probe("entries need an API mode", "facts/eks 3.2", lambda w: (w.cluster(), w.eks.list_access_entries(clusterName="c")), "InvalidRequestException"),
    Probe("an entry", EKS, entry),
    Probe("one entry a principal", "facts/eks 3.3", lambda w: (entry(w), w.eks.create_access_entry(clusterName="c", principalArn=ROLE_ARN)), "ResourceInUseException"),
    Probe("an entry for a session", "facts/eks 3.3", lambda w: entry(w, principalArn=f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/s"), INVALID),
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
    Probe("a policy that is none", "eks: AssociateAccessPolicy", lambda w: associate(w, "MyOwnPolicy"), INVALID),
)  # fmt: skip


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
    Probe("six versions of a policy", "ug: IAM quotas", lambda w: [w.iam.create_policy(PolicyName="x", PolicyDocument=policy(allow("*"))), *(w.iam.create_policy_version(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/x", PolicyDocument=policy(allow("*"))) for _ in range(5))], "LimitExceeded"),
    Probe("an operation that is none", "gr: InvalidAction", lambda w: w.raw(body=b"Action=DeleteEverything&Version=2011-06-15"), "InvalidAction"),
    Probe("another API version", "gr: InvalidAction", lambda w: w.raw(body=b"Action=GetCallerIdentity&Version=1999-01-01"), "InvalidAction"),
    Probe("no action", "gr: MissingAction", lambda w: w.raw(body=b"Version=2011-06-15"), "MissingAction"),
    Probe("a parameter given twice", "gr: MalformedQueryString", lambda w: w.raw(body=b"Action=GetCallerIdentity&Action=GetSessionToken&Version=2011-06-15"), "MalformedQueryString"),
    Probe("another account's user", FORMS, lambda w: w.other_iam.get_user(UserName="alice"), "NoSuchEntity"),
)  # fmt: skip

PROBES = (*SIGNATURES, *KEYS, *POLICIES, *ASSUME, *TOKENS, *CLUSTERS, *OBJECTS)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_probe(lab: Any, probe: Probe) -> None:
    world = World(lab)
    try:
        answer = probe.act(world)
    except ClientError as error:
        answer = error.response["Error"]["Code"]
    if not isinstance(answer, str):
        answer = OK
    assert answer == probe.expect, probe.source


def test_there_are_at_least_150_probes_each_with_a_source() -> None:
    assert len(PROBES) >= 150
    assert len({probe.name for probe in PROBES}) == len(PROBES)
    assert all(probe.source for probe in PROBES)
