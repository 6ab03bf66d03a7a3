"""Hostile input: thousands of tokens, reviews and configurations, of which none crashes the webhook, is taken for somebody
it is not, or leads to a request to a host that is not STS."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import re
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.authenticator.authorize import authorize
from rolecall.authenticator.decision_log import AuditLog, Log
from rolecall.authenticator.http_server import Request, Response
from rolecall.authenticator.mapping_store import MappingStore, Version
from rolecall.authenticator.metrics import Metrics
from rolecall.authenticator.principal_proof import EXTRA_PROOF, PrincipalProofs
from rolecall.authenticator.rate_limit import RateLimit
from rolecall.authenticator.review import Review, StsRefusedError
from rolecall.authenticator.verified_tokens import VerifiedTokens
from rolecall.authenticator.webhook import Webhook
from rolecall.mapping.access_entries import AccessEntry, AssociatedPolicy, EntryType
from rolecall.mapping.backends.chain import AccessEntryBackend, TableBackend
from rolecall.mapping.backends.config_map import read_config_map
from rolecall.mapping.backends.dynamic_file import parse_dynamic_file
from rolecall.mapping.backends.entry_table import MatchOptions, build_table
from rolecall.mapping.backends.server_config import ServerSettings
from rolecall.mapping.reading.entries import MappedEntry
from rolecall.model import CallerIdentity, Identity
from rolecall.sigv4 import Credentials
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.mint import mint
from rolecall.tokens.parse import PresignedCall

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
GOOD_KEY = "ASIAIOSFODNN7EXAMPLE"
GOOD = mint(Credentials(GOOD_KEY, "s", "t"), "prod", region="eu-west-2", now=NOW).value
GOOD_URL = base64.urlsafe_b64decode(GOOD.removeprefix("k8s-aws-v1.") + "===").decode()
# Names that only AWS can give to a host: a region that does not exist has no address.
STS = re.compile(
    r"sts(-fips)?\.([a-z]{2,4}-[a-z]+-[0-9]{1,2}\.)?amazonaws\.com|sts(-fips)?\.[a-z]{2,4}-[a-z]+-[0-9]{1,2}\.api\.aws"
)
ARN = "arn:aws:sts::111122223333:assumed-role/Dev/ann"


class OnlyGood:
    """STS that knows the untouched call alone, and writes down whom it was asked as."""

    def __init__(self) -> None:
        self.calls: list[PresignedCall] = []

    async def get_caller_identity(self, call: PresignedCall) -> CallerIdentity:
        self.calls.append(call)
        if f"https://{call.host}/?{call.query}" == GOOD_URL and call.cluster == "prod":
            return CallerIdentity(ARN, "111122223333", "AROADEV:ann")
        raise StsRefusedError("STS does not accept the token (403 SignatureDoesNotMatch)")


class Sut:
    """A webhook without a network."""

    def __init__(self) -> None:
        self.sts, self.log = OnlyGood(), io.StringIO()
        log, metrics = Log("text", "info", self.log), Metrics()
        store = MappingStore(ServerSettings(cluster_id="prod"), ("MountedFile",), log, metrics)
        entry = MappedEntry("mapRoles", 1, "arn:aws:iam::111122223333:role/Dev", "dev")
        store.take(Version(TableBackend("MountedFile", build_table([entry], (), MatchOptions())[0]), "x"))
        review = Review("prod", StsHosts(), self.sts, lambda one: store.chain.resolve(one))

        async def ask(token: str) -> tuple[Identity, datetime]:
            return await review.identify(token, now=NOW)

        self.webhook = Webhook(
            cluster="prod",
            tokens=VerifiedTokens(ask, 10),
            store=store,
            private_dns_name=lambda _: self.no_name(),
            log=log,
            audit=AuditLog(""),
            metrics=metrics,
            rate_limit=RateLimit(0),
        )

    async def no_name(self) -> str:
        raise AssertionError

    def ask(self, body: bytes, path: str = "/authenticate") -> Response:
        answer = self.webhook.handle(Request("POST", path, body, "127.0.0.1"))
        return LOOP.run_until_complete(_awaited(answer)) if isinstance(answer, Coroutine) else answer

    def username(self, token: str) -> str:
        question = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        response = self.ask(json.dumps(question).encode())
        assert response.status == 200
        found = json.loads(response.body)["status"]
        assert found["authenticated"] == ("user" in found)
        return str(found["user"]["username"]) if found["authenticated"] else ""


async def _awaited(answer: Any) -> Response:
    response: Response = await answer
    return response


LOOP = asyncio.new_event_loop()
SUT = Sut()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def token_of(url: str) -> str:
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode("utf-8", "surrogatepass")).rstrip(b"=").decode()


@st.composite
def changed_urls(draw: Any) -> str:
    """The good URL with pieces put in, taken out or swapped."""
    url = GOOD_URL
    pieces = [
        "@", "#", "\\", "//", "?", "&", "%00", "%0d%0a", "\r\n", " ", ":443", ":8080", ".", "..", "evil.example",
        "sts.evil.example", "https://evil.example/", "&Action=AssumeRole", "&X-Amz-Date=20990101T000000Z",
        "&X-Amz-Expires=900", "amazonaws.com.evil.example", "[::1]", "\u2024", "\uff0f", "%2e", ";", "x-k8s-aws-id: other",
    ]  # fmt: skip
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(url)))
        end = draw(st.integers(at, min(len(url), at + 8)))
        url = url[:at] + draw(st.sampled_from(pieces) | st.text(max_size=3)) + url[end:]
    return url


@settings(max_examples=400)
@given(changed_urls())
def test_a_changed_token_is_nobody_and_leads_nowhere(url: str) -> None:
    check_url(url)


def test_ten_thousand_more() -> None:
    """The same by plain chance, which is quick: bytes flipped, removed, repeated and moved in URL and token."""
    chance = random.Random(20260131)
    for _ in range(10_000):
        url = list(GOOD_URL)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(url))
            match chance.randrange(4):
                case 0:
                    url[at] = chr(chance.randrange(256))
                case 1:
                    del url[at]
                case 2:
                    url.insert(at, chance.choice(url))
                case _:
                    cut = chance.randrange(len(url))
                    url = url[cut:] + url[:cut]
        check_url("".join(url))
    for _ in range(2_000):
        token = bytearray(GOOD.encode())
        token[chance.randrange(len(token))] = chance.choice(b"ABCxyz019-_.=\x00")
        text = token.decode("latin-1")
        assert text == GOOD or SUT.username(text) == "" or base64_equal(text)


def base64_equal(text: str) -> bool:
    """The last character of base64 may have bits that do not count."""
    return text[:-1] == GOOD[:-1]


def check_url(url: str) -> None:
    before = len(SUT.sts.calls)
    name = SUT.username(token_of(url))
    assert name == ("dev" if url == GOOD_URL else "")
    for call in SUT.sts.calls[before:]:
        assert call.scheme == "https"
        assert STS.fullmatch(call.host)
        assert urlsplit(call.url).hostname == call.host
        assert urlsplit(call.url).path == "/"
        assert not set(call.query) & set("\r\n \x00#")
        assert call.cluster == "prod"


@settings(max_examples=400)
@given(st.text(max_size=200) | st.text("k8s-awv1.ABab09_-=+/", max_size=200).map(lambda text: "k8s-aws-v1." + text))
def test_any_text_is_nobody(text: str) -> None:
    before = len(SUT.sts.calls)
    assert SUT.username(text) == ""
    assert len(SUT.sts.calls) == before


HOSTS = st.sampled_from(
    [
        "sts.amazonaws.com.evil.example", "evil.example", "sts.eu-west-2.amazonaws.com.", "sts.eu-west-2.amazonaws.com:443",
        "sts.eu-west-2.amazonaws.com@evil.example", "evil.example#sts.eu-west-2.amazonaws.com", "127.0.0.1", "[::1]",
        "169.254.169.254", "sts..amazonaws.com", "sts.xx-west-2.amazonaws.com", "s3.eu-west-2.amazonaws.com",
        "sts.cn-north-1.amazonaws.com.cn", "STS.eu-west-2.amazonaws.com", "sts.eu-west-2.amazonaws.com\\@evil.example",
    ]
)  # fmt: skip


@given(HOSTS, st.sampled_from(["https", "http", "ftp", "HTTPS", ""]))
def test_other_hosts_are_never_asked(host: str, scheme: str) -> None:
    before = len(SUT.sts.calls)
    url = GOOD_URL.replace("https://sts.eu-west-2.amazonaws.com", f"{scheme}://{host}")
    assert SUT.username(token_of(url)) == ""
    assert len(SUT.sts.calls) == before


@settings(max_examples=400)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "apiVersion": st.sampled_from(["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1", "v1"]) | JSON,
            "kind": st.sampled_from(["TokenReview", "SubjectAccessReview"]) | JSON,
            "spec": st.fixed_dictionaries({}, optional={"token": st.just(GOOD) | JSON, "audiences": JSON}) | JSON,
            "status": st.just({"authenticated": True, "user": {"username": "root"}}) | JSON,
        },
    )
    | JSON
)
def test_any_review_gets_an_answer(review: Any) -> None:
    for path in ("/authenticate", "/authorize"):
        response = SUT.ask(json.dumps(review).encode(), path)
        if response.status == 400:
            assert response.body.startswith((b"expected a request body to be a ", b"th"))
            continue
        assert response.status == 200
        status = json.loads(response.body)["status"]
        assert not status.get("allowed")
        assert status.get("user", {}).get("username", "dev") == "dev"


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_get_an_answer(body: bytes) -> None:
    response = SUT.ask(body)
    assert response.status in (200, 400)
    assert b'"authenticated":true' not in response.body


ENTRIES = AccessEntryBackend(
    {
        "AROADEV": AccessEntry(
            "arn:aws:iam::111122223333:role/Dev",
            "AROADEV",
            EntryType.STANDARD,
            "dev",
            policies=(AssociatedPolicy("arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"),),
        )
    }
)


PROOFS = PrincipalProofs(b"key", "prod")


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {"resourceAttributes": st.just({"verb": "get", "resource": "pods"})},
        optional={
            "user": st.text(max_size=5) | JSON,
            "uid": st.sampled_from(["aws-iam-authenticator:1:AROADEV", "AROADEV", ""]) | JSON,
            "groups": JSON,
            "extra": st.dictionaries(
                st.sampled_from(["sigs.k8s.io/aws-iam-authenticator/principalId", "principalId", EXTRA_PROOF]),
                st.sampled_from([["AROADEV"], "AROADEV", [], ["AROADEV", "x"]]) | JSON,
            )
            | JSON,
        },
    )
)
def test_only_a_principal_that_uid_and_extras_agree_about_is_allowed(spec: Any) -> None:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    assert not authorize(review, ENTRIES, lambda spec: PROOFS.holds(spec, 1.0)).allowed
    outcome = authorize(review, ENTRIES, lambda spec: True)
    if outcome.allowed:
        assert spec["uid"].endswith(":AROADEV")
        assert spec["extra"]["sigs.k8s.io/aws-iam-authenticator/principalId"] == ["AROADEV"]


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["mapRoles", "mapUsers", "mapAccounts"]), st.text(max_size=120) | JSON.map(json.dumps)
    )
)
def test_any_config_map_and_dynamic_file_is_read(data: dict[str, str]) -> None:
    stranger = Identity("a", "arn:aws:iam::999999999999:role/Evil", "999999999999", "AROAEVIL")
    assert read_config_map(data, MatchOptions(True, True, True)).backend.find(stranger) is None
    for strict in (True, False):
        for text in data.values():
            read = parse_dynamic_file(text, user_id_strict=strict, options=MatchOptions())
            assert read.backend.find(stranger) is None


def test_nothing_of_a_token_is_in_the_log() -> None:
    log = SUT.log.getvalue()
    assert "access denied" in log
    assert GOOD[20:60] not in log
    assert GOOD_URL[-64:] not in log
    assert GOOD_URL[-40:] not in log
