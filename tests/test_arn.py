"""ARNs. Sources beside each table."""

import pytest

from rolecall.arn import Arn, PrincipalArn, PrincipalKind, canonicalize
from rolecall.errors import InvalidArnError

# aws-iam-authenticator v0.7 pkg/arn/arn_test.go, the same behaviours on our own values.
CANONICAL = [
    ("arn:aws:iam::123456789012:user/Alice", "arn:aws:iam::123456789012:user/Alice"),
    ("arn:aws:iam::123456789012:role/Users", "arn:aws:iam::123456789012:role/Users"),
    ("arn:aws:iam::123456789012:role/a/path/Users", "arn:aws:iam::123456789012:role/a/path/Users"),
    ("arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root"),
    ("arn:aws:sts::123456789012:assumed-role/Admin/Session", "arn:aws:iam::123456789012:role/Admin"),
    ("arn:aws:sts::123456789012:assumed-role/a/b/Admin/S", "arn:aws:iam::123456789012:role/a/b/Admin"),
    ("arn:aws:sts::123456789012:federated-user/Bob", "arn:aws:sts::123456789012:federated-user/Bob"),
    ("arn:aws-cn:sts::123456789012:assumed-role/Admin/S", "arn:aws-cn:iam::123456789012:role/Admin"),
    ("arn:aws-us-gov:sts::123456789012:assumed-role/Admin/S", "arn:aws-us-gov:iam::123456789012:role/Admin"),
    ("arn:aws-iso:sts::123456789012:assumed-role/Admin/S", "arn:aws-iso:iam::123456789012:role/Admin"),
]
NOT_CANONICAL = [
    "NOT AN ARN",
    "arn:aws:iam",
    "arn:aws:iam::123456789012:group/Admins",
    "arn:aws:s3:::bucket",
    "arn:aws:sts::123456789012:assumed-role/Admin",
    "arn:aws:sts::123456789012:something/else",
    "arn:nowhere:iam::123456789012:user/Alice",
    "",
]


@pytest.mark.parametrize(("given", "expected"), CANONICAL)
def test_canonical_identity(given: str, expected: str) -> None:
    assert canonicalize(given) == expected


@pytest.mark.parametrize("given", NOT_CANONICAL)
def test_what_has_no_canonical_identity(given: str) -> None:
    with pytest.raises(InvalidArnError):
        canonicalize(given)


# IAM user guide, "IAM identifiers": friendly names and paths, and the ARNs of principals.
PRINCIPALS = [
    ("arn:aws:iam::123456789012:root", PrincipalKind.ROOT, "/", "root", ""),
    ("arn:aws:iam::123456789012:user/division/x/Zhang", PrincipalKind.USER, "/division/x/", "Zhang", ""),
    ("arn:aws:iam::123456789012:role/S3Access", PrincipalKind.ROLE, "/", "S3Access", ""),
    ("arn:aws:sts::123456789012:assumed-role/R/Mary", PrincipalKind.ASSUMED_ROLE, "/", "R", "Mary"),
    ("arn:aws:sts::123456789012:federated-user/J", PrincipalKind.FEDERATED_USER, "/", "J", ""),
]


@pytest.mark.parametrize(("text", "kind", "path", "name", "session"), PRINCIPALS)
def test_principals(text: str, kind: PrincipalKind, path: str, name: str, session: str) -> None:
    found = PrincipalArn.parse(text)
    assert (found.kind, found.path, found.name, found.session) == (kind, path, name, session)


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::123456789012:group/Admins",
        "arn:aws:iam::12345:user/A",
        "arn:aws:iam:eu-west-2:123456789012:user/A",
        "arn:aws:iam::123456789012:user/",
        "arn:aws:iam::123456789012:role",
        "arn:aws:sts::123456789012:assumed-role/R",
        "arn:other:iam::123456789012:user/A",
    ],
)
def test_what_is_no_principal(text: str) -> None:
    with pytest.raises(InvalidArnError):
        PrincipalArn.parse(text)


def test_arn_round_trip_and_bounds() -> None:
    text = "arn:aws:eks:eu-west-2:123456789012:access-entry/c/role/123456789012/n/uuid:with:colons"
    assert str(Arn.parse(text)) == text
    with pytest.raises(InvalidArnError):
        Arn.parse("arn:aws:iam::1:" + "x" * 3000)
