"""An account's IAM, read by one paged call for all that it holds and one for what that call leaves out.

``GetAccountAuthorizationDetails`` gives users, groups, roles and policies at once, but of a role neither its
description nor its maximum session duration: ``ListRoles`` does (IAM API reference, RoleDetail and ListRoles).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rolecall.arn import Arn
from rolecall.aws.errors import ABSENT, AwsError, explained
from rolecall.aws.session import AwsClients
from rolecall.iam.account import NONE, Account, IamGroup, IamRole, IamUser, canonical_document
from rolecall.iam.assume_role import DEFAULT_DURATION

PAGE = 1_000
# IAM's largest quotas (5,000 users, 10,000 roles, 10,000 policies by request) fit many times.
MAX_PAGES = 1_000


def read_account(clients: AwsClients, account: str) -> Account:
    """Everything that the rules need of an account's IAM; :class:`AwsError` where it may not be read."""
    iam = clients.client(account, "iam")
    partition = Arn.parse(clients.caller(account).arn).partition
    with explained(f"account {account}"):
        durations = {role["RoleId"]: role for page in _pages(iam.list_roles, account) for role in page["Roles"]}
        users: dict[str, IamUser] = {}
        groups: dict[str, IamGroup] = {}
        roles: dict[str, IamRole] = {}
        managed: dict[str, str] = {}
        for page in _pages(iam.get_account_authorization_details, account):
            users |= {user["UserName"]: _user(user) for user in page["UserDetailList"]}
            groups |= {group["GroupName"]: _group(group) for group in page["GroupDetailList"]}
            managed |= dict(_managed(page["Policies"]))
            for detail in page["RoleDetailList"]:
                rest = durations.get(detail["RoleId"]) or _one_role(iam, detail["RoleName"])
                if rest is not None:
                    roles[detail["RoleName"]] = _role(detail, rest)
    return Account(account, partition, users, roles, groups, managed)


def _pages(operation: Any, account: str) -> Iterator[Mapping[str, Any]]:
    page = operation(MaxItems=PAGE)
    for _ in range(MAX_PAGES):
        yield page
        if not page.get("IsTruncated"):
            return
        page = operation(MaxItems=PAGE, Marker=page["Marker"])
    raise AwsError(f"IAM gave more than {MAX_PAGES} pages", where=f"account {account}")


def _one_role(iam: Any, name: str) -> Mapping[str, Any] | None:
    """A role that was made between the two calls; ``None`` where it is gone again."""
    try:
        found: Mapping[str, Any] = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ABSENT:
            return None
        raise
    return found


def _user(found: Mapping[str, Any]) -> IamUser:
    return IamUser(
        found["UserName"],
        found["Arn"],
        found["UserId"],
        found.get("Path", "/"),
        _tags(found),
        _inline(found.get("UserPolicyList")),
        _attached(found),
        tuple(found.get("GroupList") or ()),
        _boundary(found),
        found.get("CreateDate"),
    )


def _group(found: Mapping[str, Any]) -> IamGroup:
    return IamGroup(found["GroupName"], _inline(found.get("GroupPolicyList")), _attached(found))


def _role(found: Mapping[str, Any], rest: Mapping[str, Any]) -> IamRole:
    return IamRole(
        found["RoleName"],
        found["Arn"],
        _document(found["AssumeRolePolicyDocument"]),
        found["RoleId"],
        found.get("Path", "/"),
        rest.get("Description", ""),
        rest.get("MaxSessionDuration", DEFAULT_DURATION),
        _tags(found),
        _inline(found.get("RolePolicyList")),
        _attached(found),
        _boundary(found),
        found.get("CreateDate"),
    )


def _managed(policies: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for policy in policies:
        for version in policy.get("PolicyVersionList") or ():
            if version["IsDefaultVersion"]:
                yield policy["Arn"], _document(version["Document"])


def _inline(found: Iterable[Mapping[str, Any]] | None) -> Mapping[str, str]:
    if not found:
        return NONE
    return {policy["PolicyName"]: _document(policy["PolicyDocument"]) for policy in found}


def _document(found: str | Mapping[str, Any]) -> str:
    """A policy as JSON text; botocore has decoded it already, unless it is not the JSON that IAM promises.

    Such a document is kept within one that is not understood: it is a doubt wherever it has a say (ADR 14), and it
    does not stop the reading of the account.
    """
    try:
        text = canonical_document(found)
    except (ValueError, RecursionError):
        text = ""
    if text.startswith("{"):
        return text
    return canonical_document({"Version": "2012-10-17", "Statement": [{"not JSON": str(found)}]})


def _attached(found: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(policy["PolicyArn"] for policy in found.get("AttachedManagedPolicies") or ())


def _boundary(found: Mapping[str, Any]) -> str:
    return str((found.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn", ""))


def _tags(found: Mapping[str, Any]) -> Mapping[str, str]:
    tags = found.get("Tags")
    return {tag["Key"]: tag["Value"] for tag in tags} if tags else NONE
