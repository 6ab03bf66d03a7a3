"""Tokens: what we mint, what we refuse before any network call."""

import base64
from datetime import UTC, datetime, timedelta
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.model import ServiceId
from botocore.signers import RequestSigner
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.sigv4 import Credentials, parse_signature, verify_signature
from rolecall.tokens.hosts import StsHosts, regional_endpoint
from rolecall.tokens.mint import PREFIX, mint
from rolecall.tokens.parse import TokenError, parse_token

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOSTS = StsHosts()


def url_of(token: str) -> str:
    encoded = token.removeprefix(PREFIX)
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()


def token_of(url: str) -> str:
    return PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


@pytest.mark.parametrize("session_token", [None, "IQoJb3JpZ2luX2VjE/+=="])
@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:4566"])
def test_mints_what_the_aws_cli_mints(session_token: str | None, endpoint: str | None) -> None:
    # awscli/customizations/eks/get_token.py, TokenGenerator: RequestSigner.generate_presigned_url with the cluster
    # id as a header.
    import botocore.credentials
    import botocore.hooks

    credentials = botocore.credentials.Credentials(KEY.access_key_id, KEY.secret_access_key, session_token)
    emitter = botocore.hooks.HierarchicalEmitter()
    signer = RequestSigner(ServiceId("sts"), "eu-west-2", "sts", "v4", credentials, emitter)
    request = {
        "method": "GET",
        "url": f"{endpoint or 'https://sts.eu-west-2.amazonaws.com'}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": "kubedemy"},
        "context": {},
    }
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        theirs = signer.generate_presigned_url(
            request, region_name="eu-west-2", expires_in=60, operation_name="", signing_name="sts"
        )
    ours = mint(
        Credentials(KEY.access_key_id, KEY.secret_access_key, session_token),
        "kubedemy",
        region="eu-west-2",
        now=NOW,
        endpoint=endpoint,
    )
    assert url_of(ours.value) == theirs
    assert ours.expires_at == NOW + timedelta(minutes=14)
    assert ours.value not in repr(ours)


def test_a_token_becomes_a_call_bound_to_the_verifiers_cluster() -> None:
    token = mint(KEY, "prod", region="eu-west-2", now=NOW)
    call = parse_token(token.value, "prod", now=NOW, hosts=HOSTS)
    assert (call.host, call.access_key_id) == ("sts.eu-west-2.amazonaws.com", KEY.access_key_id)
    request = call.request()
    verify_signature(request, parse_signature(request), KEY.secret_access_key, region=None, service="sts", now=NOW)
    other = parse_token(token.value, "dev", now=NOW, hosts=HOSTS).request()
    from rolecall.sigv4 import SignatureError

    with pytest.raises(SignatureError):
        verify_signature(other, parse_signature(other), KEY.secret_access_key, region=None, service="sts", now=NOW)


# aws-iam-authenticator v0.7 pkg/token/token_test.go (host tables), as own rows; AWS General Reference, STS endpoints.
ALLOWED_HOSTS = {
    "aws": [
        "sts.amazonaws.com",
        *(f"sts.{r}.amazonaws.com" for r in ("us-east-1", "us-west-2", "eu-west-2", "eu-central-1", "ap-south-1")),
        *(f"sts.{r}.amazonaws.com" for r in ("sa-east-1", "ca-west-1", "me-central-1", "af-south-1", "il-central-1")),
        *(f"sts.{r}.amazonaws.com" for r in ("mx-central-1", "ap-southeast-7", "eu-north-1", "ap-northeast-3")),
        *(f"sts-fips.{r}.amazonaws.com" for r in ("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1")),
        *(f"sts.{r}.api.aws" for r in ("us-east-1", "eu-west-2", "ap-southeast-2")),
    ],
    "aws-cn": [
        "sts.cn-north-1.amazonaws.com.cn",
        "sts.cn-northwest-1.amazonaws.com.cn",
        "sts.cn-north-1.api.amazonwebservices.com.cn",
    ],
    "aws-us-gov": ["sts.us-gov-east-1.amazonaws.com", "sts.us-gov-west-1.amazonaws.com", "sts.us-gov-west-1.api.aws"],
    "aws-iso": ["sts.us-iso-east-1.c2s.ic.gov", "sts.us-iso-west-1.c2s.ic.gov"],
    "aws-iso-b": ["sts.us-isob-east-1.sc2s.sgov.gov"],
    "aws-iso-e": ["sts.eu-isoe-west-1.cloud.adc-e.uk"],
    "aws-iso-f": ["sts.us-isof-south-1.csp.hci.ic.gov", "sts.us-isof-east-1.csp.hci.ic.gov"],
}
REFUSED_HOSTS = [
    "example.com",
    "sts.amazonaws.com.example.com",
    "sts.evil.amazonaws.com",
    "sts.us-east-1.amazonaws.com.evil.com",
    "stsXus-east-1.amazonaws.com",
    "sts.us-east-1.amazonaws.com.cn",
    "sts.cn-north-1.amazonaws.com.cn",
    "sts.us-gov-west-1.amazonaws.com",
    "s3.us-east-1.amazonaws.com",
    "evil.sts.us-east-1.amazonaws.com",
    "sts.us-east-1.evil.api.aws",
    "sts.us-east-1.amazonaws.com:8443",
    "STS.us-east-1.amazonaws.com",
    "sts.us-east-1.amazonaws.com.",
    "sts..amazonaws.com",
    "sts.us-east-1",
    "127.0.0.1:4566",
    "localhost",
    "",
]


@pytest.mark.parametrize(("partition", "host"), [(p, h) for p, hosts in ALLOWED_HOSTS.items() for h in hosts])
def test_hosts_of_sts(partition: str, host: str) -> None:
    assert StsHosts(partition).allows(host, "https")
    assert not StsHosts(partition).allows(host, "http")


@pytest.mark.parametrize("host", REFUSED_HOSTS)
def test_hosts_that_are_not_sts(host: str) -> None:
    assert not HOSTS.allows(host, "https")


@pytest.mark.parametrize(
    ("partition", "host"),
    [(p, h) for p in ("aws-cn", "aws-us-gov") for h in ("sts.amazonaws.com", "sts.us-east-1.amazonaws.com")],
)
def test_the_global_endpoint_is_of_one_partition(partition: str, host: str) -> None:
    assert not StsHosts(partition).allows(host, "https")


def test_a_lab_accepts_itself_and_nobody_else_does() -> None:
    lab = StsHosts("aws", frozenset({"127.0.0.1:4566"}))
    token = mint(KEY, "c", region="eu-west-2", now=NOW, endpoint="http://127.0.0.1:4566").value
    assert parse_token(token, "c", now=NOW, hosts=lab).scheme == "http"
    with pytest.raises(TokenError):
        parse_token(token, "c", now=NOW, hosts=HOSTS)


GOOD = url_of(mint(KEY, "c", region="us-east-1", now=NOW).value)
# aws-iam-authenticator v0.7 pkg/token/token_test.go (TestVerifyTokenPreSTSValidations and neighbours), own rows.
REJECTED = {
    "prefix": ("prefix", "k8s-aws-v2." + token_of(GOOD).removeprefix(PREFIX)),
    "empty": ("prefix", ""),
    "nothing behind the prefix": ("base64", PREFIX),
    "padding": ("base64", token_of(GOOD) + "="),
    "not base64": ("base64", PREFIX + "decodingerror!"),
    "standard alphabet": ("base64", PREFIX + "aGVsbG8/"),
    "too long": ("too-long", PREFIX + "a" * 4096),
    "bytes": ("base64", PREFIX + base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode()),
    "no url": ("url", token_of("hello")),
    "scheme": ("scheme", token_of(GOOD.replace("https:", "http:"))),
    "file scheme": ("scheme", token_of(GOOD.replace("https:", "file:"))),
    "host": ("host", token_of(GOOD.replace("sts.us-east-1.amazonaws.com", "google.com"))),
    "host behind a user": ("url", token_of(GOOD.replace("sts.us", "sts.amazonaws.com@sts.us"))),
    "port": ("host", token_of(GOOD.replace("amazonaws.com/", "amazonaws.com:99/"))),
    "bad port": ("url", token_of(GOOD.replace("amazonaws.com/", "amazonaws.com:x/"))),
    "path": ("path", token_of(GOOD.replace("/?", "/x?"))),
    "no path": ("path", token_of(GOOD.replace("/?", "?"))),
    "fragment": ("url", token_of(GOOD + "#x")),
    "new line": ("url", token_of(GOOD + "\n")),
    "second question mark": ("url", token_of(GOOD + "?x=1")),
    "unknown parameter": ("parameter", token_of(GOOD + "&NoInjection=1")),
    "encoded unknown parameter": ("parameter", token_of(GOOD + "&Polic%79=1")),
    "bare parameter": ("parameter", token_of(GOOD + "&Action")),
    "twice": ("duplicate", token_of(GOOD + "&Action=GetCallerIdentity")),
    "twice in another case": ("duplicate", token_of(GOOD + "&action=GetCallerIdentity")),
    "other action": ("action", token_of(GOOD.replace("GetCallerIdentity", "AssumeRole"))),
    "other version": ("version", token_of(GOOD.replace("2011-06-15", "2010-01-01"))),
    "no action": ("missing", token_of(GOOD.replace("Action=GetCallerIdentity&", ""))),
    "cluster not signed": ("cluster-header", token_of(GOOD.replace("host%3Bx-k8s-aws-id", "host"))),
    "cluster as part of a name": ("cluster-header", token_of(GOOD.replace("x-k8s-aws-id", "x-k8s-aws-idx"))),
    "expires left out": ("missing", token_of(GOOD.replace("&X-Amz-Expires=60", ""))),
    "expires too large": ("expires", token_of(GOOD.replace("Expires=60", "Expires=901"))),
    "expires negative": ("expires", token_of(GOOD.replace("Expires=60", "Expires=-1"))),
    "expires no number": ("expires", token_of(GOOD.replace("Expires=60", "Expires=6e1"))),
    "expires in other digits": ("expires", token_of(GOOD.replace("Expires=60", "Expires=%D9%A6"))),
    "date": ("date", token_of(GOOD.replace("Date=2026", "Date=xxxx"))),
    "date that is none": ("date", token_of(GOOD.replace("Date=20260304", "Date=20261399"))),
    "other service": ("credential", token_of(GOOD.replace("%2Fsts%2F", "%2Fs3%2F"))),
}


@pytest.mark.parametrize(("code", "token"), REJECTED.values(), ids=REJECTED.keys())
def test_rejected_before_the_network(code: str, token: str) -> None:
    with pytest.raises(TokenError) as refusal:
        parse_token(token, "c", now=NOW, hosts=HOSTS)
    assert refusal.value.code == code
    assert "Signature=" not in str(refusal.value)


@pytest.mark.parametrize(
    ("minutes", "code"), [(0, None), (14, None), (15, None), (16, "expired"), (-4, None), (-6, "future")]
)
def test_fifteen_minutes(minutes: int, code: str | None) -> None:
    token = token_of(GOOD)
    moment = NOW + timedelta(minutes=minutes)
    if code is None:
        parse_token(token, "c", now=moment, hosts=HOSTS)
    else:
        with pytest.raises(TokenError) as refusal:
            parse_token(token, "c", now=moment, hosts=HOSTS)
        assert refusal.value.code == code


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=120), wrapped=st.booleans())
def test_anything_else_is_refused(text: str, wrapped: bool) -> None:
    token = PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=") if wrapped else text
    with pytest.raises(TokenError):
        parse_token(token, "c", now=NOW, hosts=HOSTS)


def test_every_region_has_an_endpoint_that_the_verifier_takes() -> None:
    for region, partition in (("eu-west-2", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")):
        parts = urlsplit(regional_endpoint(region))
        assert StsHosts(partition).allows(parts.netloc, parts.scheme)
    with pytest.raises(ValueError):
        regional_endpoint("nowhere")
    assert parse_qs(urlsplit(GOOD).query)["X-Amz-Expires"] == ["60"]
