"""Roles of IAM Identity Center, mapped by the name of their permission set: ``sso: {permissionSetName, accountID}``.

Identity Center makes a role ``AWSReservedSSO_NAME_SUFFIX`` in each account, whose suffix of 16 hexadecimal digits
changes if the permission set is assigned again. aws-iam-authenticator v0.7 (``pkg/config/mapper.go``) matches
``AWSReservedSSO_NAME_*``, which ``NAME_OTHER`` fits too, and loses a partition that is given; here the suffix is
matched as what it is, and the partition is kept. Source of the shape: IAM Identity Center user guide, "Referencing
permission sets in resource policies".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rolecall.arn import PARTITIONS
from rolecall.errors import RolecallError

_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
# IAM Identity Center API reference, PermissionSet: the pattern of Name.
_NAME = re.compile(r"[\w+=,.@-]{1,32}", re.ASCII)
_ROLE = re.compile(r"arn:([a-z-]+):iam::([0-9]{12}):role/awsreservedsso_([\w+=,.@-]{1,32})_[0-9a-f]{16}", re.ASCII)

Key = tuple[str, str, str]


class SsoRoleError(RolecallError):
    """An ``sso`` mapping names no permission set."""


@dataclass(frozen=True, slots=True)
class SsoRole:
    """A permission set in an account."""

    permission_set: str
    account: str
    partition: str = "aws"

    @property
    def key(self) -> Key:
        """What a role of the permission set has in common, in lower case."""
        return self.partition, self.account, self.permission_set.lower()

    def __str__(self) -> str:
        return f"permission set {self.permission_set} in account {self.account}"


def permission_set_of(canonical_arn: str) -> Key | None:
    """The :attr:`SsoRole.key` of a role that Identity Center made, in lower case; ``None`` for every other ARN."""
    found = _ROLE.fullmatch(canonical_arn.lower())
    return (found[1], found[2], found[3]) if found else None


def parse_sso(fields: Mapping[str, str]) -> SsoRole:
    """The mapping in plain texts; :class:`SsoRoleError` where one is missing or is not of its form."""
    account, name = fields.get("accountID", ""), fields.get("permissionSetName", "")
    partition = fields.get("partition") or "aws"
    if unknown := set(fields) - {"permissionSetName", "accountID", "partition"}:
        raise SsoRoleError(f"sso has no member {sorted(unknown)[0][:40]!r}")
    if not _ACCOUNT.fullmatch(account):
        raise SsoRoleError(f"sso.accountID is not an account id of 12 digits: {account[:40]!r}")
    if not _NAME.fullmatch(name):
        raise SsoRoleError(f"sso.permissionSetName is not the name of a permission set: {name[:40]!r}")
    if partition not in PARTITIONS:
        raise SsoRoleError(f"sso.partition is not an AWS partition: {partition[:40]!r}")
    return SsoRole(name, account, partition)
