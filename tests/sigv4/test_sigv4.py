"""Our signer and verifier against botocore's, and against what AWS's documentation prescribes."""

import hmac
from datetime import UTC, datetime, timedelta
from unittest import mock
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.sigv4 import (
    Credentials,
    HttpRequest,
    SignatureError,
    SignatureProblem,
    parse_signature,
    presign,
    sign,
    verify_signature,
)
from rolecall.sigv4.canonical import fold, hmac_sha256, signing_key

# The example key of the IAM user guide.
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = Credentials("AKIDEXAMPLE", SECRET)
NOW = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)
SCOPE = {"region": "us-east-1", "service": "iam"}


def verify(request: HttpRequest, *, now: datetime = NOW, secret: str = SECRET, **scope: str) -> None:
    verify_signature(request, parse_signature(request), secret, now=now, **(SCOPE | scope))


def test_documented_signing_key() -> None:
    # AWS General Reference, "Examples of how to derive a signing key for Signature Version 4".
    key = signing_key(SECRET, "20120215", "us-east-1", "iam")
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def test_documented_signature() -> None:
    # AWS General Reference, "Signature Version 4 signing process", the ListUsers example.
    request = HttpRequest(
        "GET",
        b"/",
        b"Action=ListUsers&Version=2010-05-08",
        (
            (b"Host", b"iam.amazonaws.com"),
            (b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8"),
        ),
    )
    signed = sign(request, KEY, now=NOW, **SCOPE)
    assert (signed.header(b"authorization") or b"").endswith(
        b"SignedHeaders=content-type;host;x-amz-date, "
        b"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )
    verify(signed)


def by_botocore(
    auth: type, url: str, headers: dict[str, str], body: bytes, method: str, token: str | None
) -> AWSRequest:
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    frozen = NOW.replace(tzinfo=None)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=frozen):
        auth(BotocoreCredentials("AKIDEXAMPLE", SECRET, token), "iam", "us-east-1").add_auth(request)
    return request


text = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs", "S")), max_size=20)
# The signature's own parameters make another request, which the verifier refuses as signed twice.
names = text.filter(lambda name: bool(name) and not name.lower().startswith("x-amz-"))
pairs = st.lists(st.tuples(names, text), max_size=5)
header_values = st.text("abcXYZ019-_/ =;,", max_size=20)


@settings(max_examples=150, deadline=None)
@given(
    path=st.lists(st.text("abc-_.~ %/:+@", max_size=8), max_size=4),
    query=pairs,
    header=header_values,
    body=st.binary(max_size=40),
    token=st.none() | st.text("abc/+=", min_size=1, max_size=20),
)
def test_signs_as_botocore_does(
    path: list[str], query: list[tuple[str, str]], header: str, body: bytes, token: str | None
) -> None:
    raw_path = "/" + "/".join(quote(part, safe="") for part in path)
    raw_query = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in query)
    url = f"https://iam.amazonaws.com{raw_path}" + (f"?{raw_query}" if raw_query else "")
    theirs = by_botocore(botocore.auth.SigV4Auth, url, {"X-Custom": header}, body, "POST", token)
    request = HttpRequest(
        "POST",
        raw_path.encode(),
        raw_query.encode(),
        ((b"Host", b"iam.amazonaws.com"), (b"X-Custom", header.encode())),
        body,
    )
    ours = sign(request, Credentials(KEY.access_key_id, SECRET, token), now=NOW, **SCOPE)
    assert (ours.header(b"authorization") or b"").decode() == theirs.headers["Authorization"]
    verify(ours)


@settings(max_examples=60, deadline=None)
@given(query=pairs, token=st.none() | st.text("abc/+=", min_size=1, max_size=20))
def test_verifies_what_botocore_presigns(query: list[tuple[str, str]], token: str | None) -> None:
    raw_query = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in dict(query).items())
    url = "https://iam.amazonaws.com/" + (f"?{raw_query}" if raw_query else "")

    def auth(credentials: BotocoreCredentials, service: str, region: str) -> botocore.auth.SigV4QueryAuth:
        return botocore.auth.SigV4QueryAuth(credentials, service, region, expires=60)

    theirs = by_botocore(auth, url, {}, b"", "GET", token)  # type: ignore[arg-type]
    parts = urlsplit(theirs.url)
    verify(HttpRequest("GET", b"/", parts.query.encode(), ((b"host", b"iam.amazonaws.com"),)))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("UserName=zo\u00e9&Path=/t/", b"UserName=zo%C3%A9&Path=%2Ft%2F"),
        ("a=\U0001f511 b&=x&c", b"a=%F0%9F%94%91%20b&=x&c"),
        ("a=%c3%a9&b=%2B+", b"a=%C3%A9&b=%2B%2B"),
        ("a=b%20c&d=", b"a=b%20c&d="),
    ],
)
def test_a_query_is_sent_as_it_was_signed(given: str, sent: bytes) -> None:
    """Names and values are encoded before they are signed (botocore: ``SigV4Auth.canonical_query_string``)."""
    request = HttpRequest("GET", b"/", given.encode(), ((b"Host", b"iam.amazonaws.com"),))
    signed = sign(request, KEY, now=NOW, **SCOPE)
    assert signed.query == sent
    verify(signed)
    theirs = by_botocore(botocore.auth.SigV4Auth, f"https://iam.amazonaws.com/?{sent.decode()}", {}, b"", "GET", None)
    assert (signed.header(b"authorization") or b"").decode() == theirs.headers["Authorization"]
    before = presign(request, KEY, now=NOW, expires=60, **SCOPE)
    assert before.query.startswith(sent + b"&X-Amz-Algorithm=")
    verify(before)


@given(st.binary(max_size=40))
def test_any_query_can_be_signed(query: bytes) -> None:
    request = HttpRequest("GET", b"/", query.replace(b"X-Amz", b""), ((b"Host", b"iam.amazonaws.com"),))
    if not any(name.lower().startswith(b"x-amz") for name in query.split(b"&")):
        verify(sign(request, KEY, now=NOW, **SCOPE))
        verify(presign(request, KEY, now=NOW, expires=60, **SCOPE))


def presigned(**changes: object) -> HttpRequest:
    request = HttpRequest(
        "GET",
        b"/",
        b"Action=GetCallerIdentity&Version=2011-06-15",
        ((b"host", b"sts.amazonaws.com"), (b"x-k8s-aws-id", b"prod")),
    )
    return presign(request, KEY, now=NOW, expires=60, **(SCOPE | changes))  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_is_refused(data: st.DataObject) -> None:
    signed = sign(
        HttpRequest("POST", b"/a/b", b"x=1&y=2", ((b"host", b"iam.amazonaws.com"),), b"Action=ListUsers"),
        Credentials("AKIDEXAMPLE", SECRET, "token"),
        now=NOW,
        **SCOPE,
    )
    part = data.draw(
        st.sampled_from(["path", "query", "body", "host", "x-amz-date", "x-amz-security-token", "signature"])
    )

    def flip(value: bytes, start: int = 0) -> bytes:
        at = data.draw(st.integers(start, len(value) - 1))
        return value[:at] + bytes([value[at] ^ (1 << data.draw(st.integers(0, 4)))]) + value[at + 1 :]

    changed = {"path": signed.path, "query": signed.query, "body": signed.body}
    headers = list(signed.headers)
    if part in changed:
        changed[part] = flip(changed[part])
    else:
        for index, (name, value) in enumerate(headers):
            if part == "signature" and name == b"Authorization":
                headers[index] = (name, flip(value, len(value) - 64))
            elif name.lower().decode() == part:
                headers[index] = (name, flip(value))
    request = HttpRequest("POST", changed["path"], changed["query"], tuple(headers), changed["body"])
    if (request.path, request.query, request.body, tuple(v.strip() for _, v in headers)) == (
        signed.path,
        signed.query,
        signed.body,
        tuple(v for _, v in signed.headers),
    ):
        return
    with pytest.raises(SignatureError):
        verify(request)


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(0, True), (59, True), (61, False), (-299, True), (-301, False), (86400, False)]
)
def test_life_of_a_presigned_request(seconds: int, accepted: bool) -> None:
    # IAM user guide, "Create a signed AWS API request": X-Amz-Expires is the life in seconds.
    moment = NOW + timedelta(seconds=seconds)
    if accepted:
        verify(presigned(), now=moment)
    else:
        with pytest.raises(SignatureError):
            verify(presigned(), now=moment)


# IAM user guide, "Troubleshoot Signature Version 4 requests for AWS APIs", each row one cause.
def header_signed(**scope: str) -> HttpRequest:
    return sign(HttpRequest("GET", b"/", b"", ((b"host", b"iam.amazonaws.com"),)), KEY, now=NOW, **(SCOPE | scope))


def with_authorization(value: bytes) -> HttpRequest:
    return HttpRequest(
        "GET", b"/", b"", ((b"host", b"h"), (b"x-amz-date", b"20150830T123600Z"), (b"authorization", value))
    )


REFUSED = {
    "no signature": (HttpRequest("GET", b"/", b"", ((b"host", b"h"),)), SignatureProblem.MISSING),
    "other algorithm": (with_authorization(b"AWS3 Credential=a"), SignatureProblem.INCOMPLETE),
    "no credential": (
        with_authorization(b"AWS4-HMAC-SHA256 SignedHeaders=host, Signature=0"),
        SignatureProblem.INCOMPLETE,
    ),
    "short scope": (
        with_authorization(b"AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0"),
        SignatureProblem.INCOMPLETE,
    ),
    "host not signed": (
        with_authorization(
            b"AWS4-HMAC-SHA256 Credential=a/20150830/us-east-1/iam/aws4_request, SignedHeaders=x-amz-date, Signature=0"
        ),
        SignatureProblem.INCOMPLETE,
    ),
    "other region": (header_signed(region="eu-west-1"), SignatureProblem.MISMATCH),
    "other service": (header_signed(service="sts"), SignatureProblem.MISMATCH),
    "both places": (
        HttpRequest("GET", b"/", presigned().query, header_signed().headers),
        SignatureProblem.INCOMPLETE,
    ),
    "given twice": (
        HttpRequest("GET", b"/", presigned().query + b"&X-Amz-Expires=60", presigned().headers),
        SignatureProblem.INCOMPLETE,
    ),
    "given twice in another case": (
        HttpRequest("GET", b"/", presigned().query + b"&x-amz-expires=60", presigned().headers),
        SignatureProblem.INCOMPLETE,
    ),
    "presigned with a body": (
        HttpRequest("GET", b"/", presigned().query, presigned().headers, b"Action=CreateUser"),
        SignatureProblem.MISMATCH,
    ),
    "x-amz header behind the signature": (
        HttpRequest("GET", b"/", presigned().query, (*presigned().headers, (b"x-amz-target", b"x"))),
        SignatureProblem.INCOMPLETE,
    ),
    "signed header missing": (
        HttpRequest("GET", b"/", presigned().query, presigned().headers[:1]),
        SignatureProblem.INCOMPLETE,
    ),
    "another cluster": (
        HttpRequest("GET", b"/", presigned().query, (presigned().headers[0], (b"x-k8s-aws-id", b"dev"))),
        SignatureProblem.MISMATCH,
    ),
}


@pytest.mark.parametrize(("request_", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals(request_: HttpRequest, problem: SignatureProblem) -> None:
    with pytest.raises(SignatureError) as refusal:
        verify(request_)
    assert refusal.value.problem is problem


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        # AWS, "Create a signed AWS API request": trim, and make runs of spaces one; RFC 9112, 5.2: folded lines.
        (b"  a   b  ", "a b"),
        (b"a\r\n  b", "a b"),
        (b"a \r\n\tb\n c", "a b c"),
        (b"", ""),
    ],
)
def test_values_of_headers(sent: bytes, signed: str) -> None:
    assert fold(sent) == signed


def test_wrong_secret_and_no_secret_in_repr() -> None:
    with pytest.raises(SignatureError):
        verify(header_signed(), secret="x" * 40)
    assert SECRET not in repr(KEY)


@settings(max_examples=200, deadline=None)
@given(query=st.binary(max_size=200), authorization=st.binary(max_size=200))
def test_any_bytes_are_refused_in_order(query: bytes, authorization: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(HttpRequest("GET", b"/", query, ((b"host", b"h"), (b"authorization", authorization))))


@given(key=st.binary(max_size=200), message=st.binary(max_size=300))
def test_hmac_is_that_of_the_standard_library(key: bytes, message: bytes) -> None:
    assert hmac_sha256(key, message) == hmac.digest(key, message, "sha256")
