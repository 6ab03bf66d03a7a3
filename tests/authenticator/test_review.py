"""The TokenReview contract. Source: Kubernetes documentation, "Webhook Token Authentication"; facts/eks.md 3.1."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.authenticator.review import MalformedReviewError, Review, StsRefusedError, StsThrottledError
from rolecall.mapping.resolve import MappingDecision, kubernetes_user
from rolecall.model import CallerIdentity, Identity, Reason
from rolecall.sigv4 import Credentials
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.mint import mint
from rolecall.tokens.parse import PresignedCall

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
TOKEN = mint(Credentials("ASIAIOSFODNN7EXAMPLE", "s", "t"), "prod", region="eu-west-2", now=NOW).value


class Sts:
    """Answers as it is told to, and counts."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[PresignedCall] = []

    async def get_caller_identity(self, call: PresignedCall) -> CallerIdentity:
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        found: CallerIdentity = self.answer
        return found


DEV = CallerIdentity("arn:aws:sts::111111111111:assumed-role/Dev/ann", "111111111111", "AROADEV:ann")


def map_dev(identity: Identity) -> MappingDecision:
    if identity.canonical_arn.endswith("role/Dev"):
        return MappingDecision(kubernetes_user(identity, "dev", ("g",)), ())
    return MappingDecision(None, (Reason("no-mapping", "not mapped"),))


def review(spec: Any, version: str = "authentication.k8s.io/v1", **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": "TokenReview", "spec": spec, **more}


async def answer(question: Any, sts: Sts | None = None) -> dict[str, Any]:
    return await Review("prod", StsHosts(), sts or Sts(DEV), map_dev)(question, now=NOW)


@pytest.mark.parametrize("version", ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"])
async def test_a_good_token_in_the_version_of_the_question(version: str) -> None:
    found = await answer(review({"token": TOKEN, "audiences": ["a", "https://kubernetes.default.svc"]}, version))
    assert found["apiVersion"] == version
    assert found["status"]["authenticated"] is True
    assert found["status"]["audiences"] == ["https://kubernetes.default.svc"]
    assert found["status"]["user"]["username"] == "dev"
    assert found["status"]["user"]["extra"]["accessKeyId"] == ["ASIAIOSFODNN7EXAMPLE"]


async def test_audiences_of_others_are_not_confirmed() -> None:
    # Kubernetes API reference, TokenReviewStatus.audiences: those of the token, too; empty is the API server's own
    found = await answer(review({"token": TOKEN, "audiences": ["vault"]}))
    assert found["status"]["authenticated"] is True
    assert "audiences" not in found["status"]


async def test_the_call_to_sts_carries_the_verifiers_cluster() -> None:
    sts = Sts(DEV)
    await answer(review({"token": TOKEN}), sts)
    assert sts.calls[0].request().header(b"x-k8s-aws-id") == b"prod"


@pytest.mark.parametrize(
    "question",
    [
        review({"token": "nonsense"}),
        review({"token": TOKEN[:-2]}) if len(TOKEN) % 4 == 1 else review({"token": TOKEN + "="}),
        review({"token": None}),
        review({}),
        review(None),
        {},
        None,
        {"spec": {"token": "nonsense"}},
        review({"token": "nonsense", "audiences": [None]}, metadata={"creationTimestamp": None, "generation": 1}),
    ],
)
async def test_anything_else_is_not_authenticated_and_no_error(question: Any) -> None:
    sts = Sts(DEV)
    found = await answer(question, sts)
    assert found["status"]["authenticated"] is False
    # kube-apiserver takes a refusal with a reason for an error, which it does not remember.
    assert found["status"]["error"]
    assert "user" not in found["status"]
    assert sts.calls == []


@pytest.mark.parametrize(
    "question",
    [
        [1],
        "x",
        7,
        True,
        review({"token": 1}),
        review({"token": [TOKEN]}),
        review([TOKEN]),
        review("x"),
        review({"token": TOKEN}, "v2"),
        review({"token": TOKEN}, 1),  # type: ignore[arg-type]
        review({"token": TOKEN, "audiences": "x"}),
        review({"token": TOKEN, "audiences": [1]}),
        review({"token": TOKEN, "audiences": ["x"] * 101}),
        review({"token": TOKEN}, metadata=[]),
        review({"token": TOKEN}, status="x"),
        review({"token": TOKEN}, metadata={"name": 5}),
        review({"token": TOKEN}, metadata={"generation": True}),
        review({"token": TOKEN}, metadata={"generation": 1.5}),
        review({"token": TOKEN}, metadata={"labels": {"a": 1}}),
        review({"token": TOKEN}, metadata={"finalizers": [1]}),
        review({"token": TOKEN}, metadata={"ownerReferences": ["x"]}),
        review({"token": TOKEN}, status={"authenticated": "true"}),
        review({"token": TOKEN}, status={"authenticated": 1}),
        review({"token": TOKEN}, status={"user": {"extra": {"a": "b"}}}),
        review({"token": TOKEN}, status={"user": {"groups": "x"}}),
        {"kind": "Pod", "spec": {"token": TOKEN}},
        {"kind": 1},
    ],
)
async def test_what_is_not_a_review_is_an_error(question: Any) -> None:
    """aws-iam-authenticator ``pkg/server/server.go``: what does not decode into a TokenReview is 400."""
    sts = Sts(DEV)
    with pytest.raises(MalformedReviewError):
        await answer(question, sts)
    assert sts.calls == []


@pytest.mark.parametrize("told", [
    StsRefusedError("no"), CallerIdentity("arn:aws:iam::1:group/x", "1", "x"), CallerIdentity("arn:aws:iam::111111111111:user/x", "111111111111", "AIDA"),
])  # fmt: skip
async def test_refused_unmapped_and_strange_identities(told: Any) -> None:
    assert (await answer(review({"token": TOKEN}), Sts(told)))["status"]["authenticated"] is False


async def test_what_another_attempt_may_cure_is_passed_on() -> None:
    with pytest.raises(StsThrottledError):
        await answer(review({"token": TOKEN}), Sts(StsThrottledError("slow down")))


@given(
    st.dictionaries(
        st.sampled_from(["apiVersion", "kind", "spec", "x"]),
        st.none()
        | st.text(max_size=9)
        | st.dictionaries(st.sampled_from(["token", "audiences"]), st.none() | st.text(max_size=40) | st.integers()),
    )
)
async def test_any_question_gets_an_answer(question: Any) -> None:
    try:
        found = await answer(question)
    except MalformedReviewError:
        return
    assert found["status"]["authenticated"] is False


@pytest.mark.parametrize("user_id", ["", ":ann", "AROADEV:ann:again"])
async def test_a_user_id_of_no_known_shape_is_refused(user_id: str) -> None:
    """aws-iam-authenticator ``pkg/token/token.go``: one part, or a role's id and the session's name."""
    told = CallerIdentity(DEV.arn, DEV.account, user_id)
    assert (await answer(review({"token": TOKEN}), Sts(told)))["status"]["authenticated"] is False
