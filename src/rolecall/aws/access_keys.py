"""The access keys of an IAM user: what still signs requests after access was taken away."""

from __future__ import annotations

from rolecall.arn import PrincipalArn
from rolecall.aws.errors import explained
from rolecall.aws.session import AwsClients


def active_keys(clients: AwsClients, user: PrincipalArn) -> tuple[str, ...]:
    """Ids of the user's active access keys.

    :raises AwsError: if they cannot be listed
    """
    iam = clients.client(user.account, "iam")
    with explained(f"account {user.account}"):
        # A user has two keys at most (IAM quotas), which is one page.
        keys = iam.list_access_keys(UserName=user.name)["AccessKeyMetadata"]
    return tuple(str(key["AccessKeyId"]) for key in keys if key["Status"] == "Active")
