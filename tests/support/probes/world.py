"""Accept or refuse: what the endpoint answers to requests, good and bad, as the documentation of AWS has it.

Each probe names its source: a page of the IAM user guide (ug), of the STS, IAM or EKS API reference (sts, iam, eks), of
the AWS general reference (gr), or a line of the project's facts where only users' reports exist.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

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

    def foreign_policy(self) -> str:
        """A managed policy of the other account."""
        made = self.other_iam.create_policy(PolicyName="foreign", PolicyDocument=policy(allow("*")))
        return str(made["Policy"]["Arn"])

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
            options.get("method", "GET"),
            b"/",
            b"Action=GetCallerIdentity&Version=2011-06-15",
            ((b"host", HOST), (b"x-k8s-aws-id", b"c")),
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
            found = json.loads(text)
            return str(found["Error"]["Code"] if "Error" in found else found["__type"])
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
