"""Whether IAM still has the principal of an entry: one of a deleted principal lets nobody in."""

from __future__ import annotations

from datetime import datetime

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.aws.errors import DENIED, AwsError, explained
from rolecall.aws.session import AwsClients
from rolecall.errors import InvalidArnError

_NONE = "NoSuchEntity"


def principal_exists(
    clients: AwsClients, arn: str, *, with_path: bool, entry_made: datetime | None = None
) -> bool | None:
    """Whether there is a user or role of this ARN; ``None`` if that cannot be asked (another account, not allowed).

    :param with_path: whether the ARN has its path, as in an access entry; in aws-auth it has none.
    :param entry_made: when the access entry was made: it stays bound to the principal of then, and one that was
        created later under the same name is another (EKS user guide, "Create access entries").
    """
    try:
        principal = PrincipalArn.parse(arn)
    except InvalidArnError:
        return False
    if principal.account not in clients.accounts or principal.kind not in (PrincipalKind.USER, PrincipalKind.ROLE):
        return None
    iam = clients.client(principal.account, "iam")
    try:
        with explained(arn):
            if principal.kind is PrincipalKind.USER:
                found = iam.get_user(UserName=principal.name)["User"]
            else:
                found = iam.get_role(RoleName=principal.name)["Role"]
    except AwsError as error:
        if error.code == _NONE:
            return False
        if error.code in DENIED:
            return None
        raise
    if with_path and found["Arn"] != arn:
        return False
    # IAM rounds the time down to the second, so a later one is later beyond doubt.
    return entry_made is None or found["CreateDate"] <= entry_made
