"""Who is behind an answer of STS, by kind of principal.

Sources: IAM user guide, "Unique identifiers" and the table of ``aws:userid`` values in "IAM policy elements: variables";
STS API, ``GetCallerIdentity``; aws-iam-authenticator v0.7 ``pkg/token/token_test.go``, ``TestGetIdentityFromSTSResponse``.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.errors import InvalidArnError, RolecallError
from rolecall.mapping.resolve import EXTRA_PRINCIPAL_ID, kubernetes_user
from rolecall.mapping.templates import render
from rolecall.model import CallerIdentity
from rolecall.tokens.identity import InvalidCallerError, identity_of

A = "111122223333"
ROOT, USER, PATH_USER = f"arn:aws:iam::{A}:root", f"arn:aws:iam::{A}:user/ann", f"arn:aws:iam::{A}:user/team/x/ann"
SESSION, FEDERATED = f"arn:aws:sts::{A}:assumed-role/Dev/ann", f"arn:aws:sts::{A}:federated-user/fred"
GOV = f"arn:aws-us-gov:sts::{A}:assumed-role/Dev/ann"


@pytest.mark.parametrize(
    ("arn", "user_id", "canonical", "found", "session"),
    [
        (ROOT, A, ROOT, A, ""),
        (USER, "AIDADAN", USER, "AIDADAN", ""),
        (PATH_USER, "AIDADAN", PATH_USER, "AIDADAN", ""),
        (SESSION, "AROADEV:ann", f"arn:aws:iam::{A}:role/Dev", "AROADEV", "ann"),
        (GOV, "AROADEV:ann", f"arn:aws-us-gov:iam::{A}:role/Dev", "AROADEV", "ann"),
        (FEDERATED, f"{A}:fred", FEDERATED, f"{A}:fred", ""),
    ],
)
def test_what_each_kind_of_principal_gets(arn: str, user_id: str, canonical: str, found: str, session: str) -> None:
    identity = identity_of(CallerIdentity(arn, A, user_id), "AKIAX", "sts.amazonaws.com")
    assert (identity.canonical_arn, identity.user_id, identity.session_name) == (canonical, found, session)
    assert (identity.access_key_id, identity.sts_endpoint) == ("AKIAX", "sts.amazonaws.com")
    user = kubernetes_user(identity, "u", ())
    assert user.uid == f"aws-iam-authenticator:{A}:{found}"
    assert user.extra["principalId"] == user.extra[EXTRA_PRINCIPAL_ID] == (found,)
    assert user.extra["sessionName"] == (session,)
    assert render("x:{{SessionName}}:{{SessionNameRaw}}", identity) == f"x:{session}:{session}"


@pytest.mark.parametrize(
    ("arn", "user_id"),
    [
        (ROOT, "AIDADAN"),
        (ROOT, f"{A}:fred"),
        (ROOT, "444455556666"),
        (USER, "AIDADAN:x"),
        (USER, ":x"),
        (USER, A),
        (SESSION, "AROADEV"),
        (SESSION, "AROADEV:"),
        (SESSION, ":ann"),
        (SESSION, "AROADEV:ann:again"),
        (FEDERATED, A),
        (FEDERATED, "fred"),
        (FEDERATED, f"{A}:eve"),
        (FEDERATED, f"{A}:fred:x"),
        (FEDERATED, "444455556666:fred"),
        (FEDERATED, "AROADEV:fred"),
        *((arn, "") for arn in (ROOT, USER, SESSION, FEDERATED)),
    ],
)
def test_a_user_id_that_does_not_fit_its_principal_is_malformed(arn: str, user_id: str) -> None:
    with pytest.raises(InvalidCallerError):
        identity_of(CallerIdentity(arn, A, user_id))


@pytest.mark.parametrize(
    ("arn", "user_id"), [(ROOT, A), (USER, "AIDADAN"), (SESSION, "AROADEV:ann"), (FEDERATED, f"{A}:fred")]
)
def test_the_account_is_that_of_the_arn(arn: str, user_id: str) -> None:
    with pytest.raises(InvalidCallerError):
        identity_of(CallerIdentity(arn, "444455556666", user_id))


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{A}:group/x",
        f"arn:aws:iam::{A}:user/",
        f"arn:aws:iam::{A}:rootx",
        f"arn:aws:sts::{A}:assumed-role/Dev",
        f"arn:aws:sts::{A}:federated-user/",
        f"arn:aws:sts::{A}:session/x",
        f"arn:other:iam::{A}:root",
        "arn:aws:iam::1:root",
        "",
    ],
)
def test_an_arn_that_names_nobody_is_nobody(arn: str) -> None:
    with pytest.raises(InvalidArnError):
        identity_of(CallerIdentity(arn, A, "AROADEV:ann"))


@given(
    st.sampled_from([ROOT, USER, PATH_USER, SESSION, FEDERATED]), st.text("A1:fred ", max_size=8) | st.just(f"{A}:fred")
)
def test_the_id_of_the_root_user_is_the_root_users_alone(arn: str, user_id: str) -> None:
    try:
        identity = identity_of(CallerIdentity(arn, A, user_id))
    except RolecallError:
        return
    assert (identity.user_id == A) == (arn == ROOT)
