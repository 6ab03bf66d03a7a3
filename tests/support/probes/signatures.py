"""Signatures and keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from probes.world import Probe, World, flipped, in_authorization, in_query, with_header
from rolecall.sigv4 import Credentials


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
    Probe("a signature that is no ASCII", "gr: SignatureDoesNotMatch", lambda w: w.raw(in_authorization(b"Signature=", b"Signature=\xe9")), "SignatureDoesNotMatch"),
    Probe("a presigned signature that is no ASCII", "gr: SignatureDoesNotMatch", lambda w: w.presigned(in_query(b"X-Amz-Signature=", b"X-Amz-Signature=%E6%97%A5")), "SignatureDoesNotMatch"),
    Probe("a region that is no ASCII", "gr: IncompleteSignature", lambda w: w.presigned(in_query(b"eu-west-2", b"eu-%E6%97%A5-2")), "IncompleteSignature"),
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
    Probe("presigned for POST", "sts: Making query requests", lambda w: w.presigned(method="POST")),
    Probe("presigned for GET, sent as POST", "facts/iam 35", lambda w: w.presigned(lambda r: replace(r, method="POST")), "SignatureDoesNotMatch"),
    Probe("POST with the action in the query", "sts: Making query requests", lambda w: w.raw(query=b"Action=GetCallerIdentity&Version=2011-06-15", body=b"")),
    Probe("POST with the action in the query and in the body", "facts/iam 35", lambda w: w.raw(query=b"Action=GetCallerIdentity"), "MalformedQueryString"),
    Probe("a number with underscores", "sts: DurationSeconds is an integer", lambda w: w.raw(body=b"Action=GetSessionToken&Version=2011-06-15&DurationSeconds=1_000"), "MalformedInput"),
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
