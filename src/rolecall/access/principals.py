"""Which user or role an ARN names, among the accounts that were read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.account import Account, IamRole, IamUser

# The id of an access entry whose principal is there no more: the entry matches nobody.
GONE = "gone"


def find_principal(accounts: Mapping[str, Account], arn: str) -> IamUser | IamRole | None:
    """The user or role that an ARN names, its path and case minded; ``None`` where no account that was read has it."""
    try:
        principal = PrincipalArn.parse(arn)
    except InvalidArnError:
        return None
    account = accounts.get(principal.account)
    if account is None:
        return None
    found: IamUser | IamRole | None = None
    if principal.kind is PrincipalKind.USER:
        found = account.users.get(principal.name)
    elif principal.kind is PrincipalKind.ROLE:
        found = account.roles.get(principal.name)
    return found if found is not None and found.arn == arn else None


def entry_principal_id(accounts: Mapping[str, Account], arn: str, entry_made: datetime | None = None) -> str:
    """The unique id that an access entry for ``arn`` is bound to.

    Empty if the account was not read. :data:`GONE` if there is no such principal any more, or if it was made
    after the entry: an entry stays bound to the principal of its day (EKS user guide, "Create access entries").

    :param entry_made: when the entry was made; ``None`` for one that is yet to be.
    """
    try:
        account = accounts.get(PrincipalArn.parse(arn).account)
    except InvalidArnError:
        return GONE
    if account is None:
        return ""
    found = find_principal(accounts, arn)
    # IAM tells the second in which a principal was made, rounded down, so a later one is later beyond doubt.
    if found is None or (entry_made is not None and found.created is not None and found.created > entry_made):
        return GONE
    return account.principal(found).principal_id
