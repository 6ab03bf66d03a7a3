"""What proves that a principal id comes from the authenticator.
Source: k8s.io/apiserver v0.36.3 pkg/endpoints/filters/impersonation.go: the name of an impersonated extra is put into
lower case first and decoded afterwards, so every key and value can be chosen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.authenticator.certificates import make_certificate
from rolecall.authenticator.principal_proof import EXTRA_PROOF, LIFETIME_SECONDS, PrincipalProofs
from rolecall.mapping.resolve import EXTRA_PRINCIPAL_ID

NOW = 1_790_000_000.5
KEY, OTHER = (
    make_certificate("localhost", "127.0.0.1", datetime(2026, 1, 1, tzinfo=UTC))[1].encode() for _ in range(2)
)
USER: dict[str, Any] = {
    "username": "ann",
    "uid": "aws-iam-authenticator:111122223333:AROADEV",
    "extra": {EXTRA_PRINCIPAL_ID: ["AROADEV"], "canonicalArn": ["arn:aws:iam::111122223333:role/Dev"], "arn": ["x"]},
}


def asked(whose: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The user in the spec of a SubjectAccessReview."""
    return {"user": whose["username"], "uid": whose["uid"], "groups": [], "extra": whose["extra"], **changes}


PROVEN = PrincipalProofs(KEY, "prod").prove(USER, NOW)


@pytest.mark.parametrize("seconds", [0, 60, LIFETIME_SECONDS - 1])
def test_it_holds_for_its_user_while_it_lasts(seconds: float) -> None:
    assert PrincipalProofs(KEY, "prod").holds(asked(PROVEN), NOW + seconds)
    # A copy of the same key, with other lines around it: as a Secret and a file may have it.
    assert PrincipalProofs(b"# key\n" + KEY.replace(b"\n", b"\r\n"), "prod").holds(asked(PROVEN), NOW + seconds)
    assert {**PROVEN, "extra": USER["extra"]} == USER


@pytest.mark.parametrize(
    "change",
    [
        {"user": "eve"},
        {"user": None},
        {"uid": "aws-iam-authenticator:111122223333:AROAOTHER"},
        {"uid": None},
        {"extra": None},
        {"extra": []},
        {"extra": USER["extra"]},
        {"extra": {**PROVEN["extra"], EXTRA_PRINCIPAL_ID: ["AROAOTHER"]}},
        {"extra": {**PROVEN["extra"], EXTRA_PRINCIPAL_ID: ["AROADEV", "AROADEV"]}},
        {"extra": {**PROVEN["extra"], "canonicalArn": ["arn:aws:iam::111122223333:role/Admin"]}},
        {"extra": {**PROVEN["extra"], EXTRA_PROOF: []}},
        {"extra": {**PROVEN["extra"], EXTRA_PROOF: PROVEN["extra"][EXTRA_PROOF] * 2}},
        {"extra": {**PROVEN["extra"], EXTRA_PROOF: PROVEN["extra"][EXTRA_PROOF][0]}},
        {"extra": {**PROVEN["extra"], EXTRA_PROOF: [f"9{PROVEN['extra'][EXTRA_PROOF][0]}"]}},
    ],
)
def test_it_holds_for_nobody_else(change: dict[str, Any]) -> None:
    assert not PrincipalProofs(KEY, "prod").holds(asked(PROVEN, **change), NOW)


@pytest.mark.parametrize("seconds", [-3600, LIFETIME_SECONDS + 1, 10**6])
def test_it_does_not_hold_at_another_time(seconds: float) -> None:
    assert not PrincipalProofs(KEY, "prod").holds(asked(PROVEN), NOW + seconds)


def test_it_is_for_one_cluster_and_one_key() -> None:
    assert not PrincipalProofs(KEY, "dev").holds(asked(PROVEN), NOW)
    assert not PrincipalProofs(OTHER, "prod").holds(asked(PROVEN), NOW)
    changed = PrincipalProofs(KEY, "prod")
    changed.renew(OTHER)
    changed.renew(OTHER)
    # Answers that the API server remembers carry the proofs of the key before.
    assert changed.holds(asked(PROVEN), NOW)
    assert PrincipalProofs(OTHER, "prod").holds(asked(changed.prove(USER, NOW)), NOW)
    changed.renew(b"third")
    assert not changed.holds(asked(PROVEN), NOW)


def test_who_has_no_principal_id_gets_no_proof() -> None:
    scrubbed = {"username": "hidden", "uid": "aws-iam-authenticator:administrative:hidden"}
    assert PrincipalProofs(KEY, "prod").prove(scrubbed, NOW) == scrubbed


@given(st.text(max_size=80) | st.from_regex(r"[0-9]{10}\.[0-9a-f]{64}", fullmatch=True))
def test_a_made_up_proof_never_holds(text: str) -> None:
    extra = {**USER["extra"], EXTRA_PROOF: [text]}
    assert not PrincipalProofs(KEY, "prod").holds(asked(USER, extra=extra), NOW)
