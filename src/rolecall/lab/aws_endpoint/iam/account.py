"""What is asked about a whole account, and how an account of the lab begins."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from typing import Any
from urllib.parse import quote

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory, groups, policies, roles, users
from rolecall.lab.aws_endpoint.iam.attachments import attached
from rolecall.lab.aws_endpoint.iam.managed import MANAGED_POLICIES
from rolecall.lab.aws_endpoint.ids import Ids
from rolecall.lab.aws_endpoint.moments import from_text, to_text
from rolecall.lab.aws_endpoint.store import Store

ADMINISTRATOR_POLICY = "/AdministratorAccess"
_FILTERS = ("User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy")


def seed_managed_policies(store: Store, partition: str, ids: Ids, now: datetime) -> None:
    """Bring the AWS managed policies in, if they are not there yet."""
    for full_name, text in MANAGED_POLICIES.items():
        arn = f"arn:{partition}:iam::aws:policy{full_name}"
        path, _, name = full_name.rpartition("/")
        moment = to_text(now)
        store.execute(
            "INSERT OR IGNORE INTO policies VALUES (?, ?, ?, ?, ?, '', ?, ?, 'v1', 1)",
            (arn, ids.unique_id("ANPA"), policies.AWS, name, path + "/", moment, moment),
        )
        store.execute("INSERT OR IGNORE INTO policy_versions VALUES (?, 'v1', ?, ?)", (arn, text, moment))


def seed_account(
    store: Store, partition: str, account: str, administrator: str, ids: Ids, now: datetime
) -> tuple[str, str]:
    """A new account with its administrator; the key id and secret of the administrator's access key."""
    moment, user_id = to_text(now), ids.unique_id("AIDA")
    key_id, secret = ids.unique_id("AKIA")[:20], ids.secret_key()
    store.execute("INSERT INTO accounts VALUES (?, ?, NULL)", (account, moment))
    store.execute("INSERT INTO users VALUES (?, ?, ?, '/', ?, NULL)", (user_id, account, administrator, moment))
    store.execute(
        "INSERT INTO attachments VALUES (?, ?)", (user_id, f"arn:{partition}:iam::aws:policy{ADMINISTRATOR_POLICY}")
    )
    store.execute("INSERT INTO access_keys VALUES (?, ?, ?, ?, ?)", (key_id, user_id, secret, directory.ACTIVE, moment))
    return key_id, secret


def administrator_keys(store: Store, administrator: str) -> dict[str, tuple[str, str]]:
    """By account, the first active access key of its administrator: key id and secret."""
    rows = store.all(
        "SELECT u.account, k.id, k.secret FROM users u JOIN access_keys k ON k.user_id = u.id "
        "WHERE u.name = ? AND k.status = ? ORDER BY k.created DESC, k.id DESC",
        (administrator, directory.ACTIVE),
    )
    return {row["account"]: (row["id"], row["secret"]) for row in rows}


@action("iam", "GetAccountAuthorizationDetails")
def get_account_authorization_details(call: Call, params: Params) -> Result:
    wanted = params.get("Filter") or _FILTERS

    def rows(table: str, kind: str) -> list[Row]:
        sql = f"SELECT * FROM {table} WHERE account = ? ORDER BY name"  # noqa: S608 -- constant names
        return call.store.all(sql, (call.account,)) if kind in wanted else []

    scopes = [
        *([call.account] if "LocalManagedPolicy" in wanted else []),
        *([policies.AWS] if "AWSManagedPolicy" in wanted else []),
    ]
    managed = [
        row
        for scope in scopes
        for row in call.store.all("SELECT * FROM policies WHERE account = ? ORDER BY name", (scope,))
    ]
    return {
        "UserDetailList": [_user(call, row) for row in rows("users", "User")],
        "GroupDetailList": [_group(call, row) for row in rows("groups", "Group")],
        "RoleDetailList": [_role(call, row) for row in rows("roles", "Role")],
        # Of the policies of AWS those that the account uses.
        "Policies": [
            shown
            for shown in (_policy(call, row) for row in managed)
            if shown["Arn"].split(":")[4] == call.account or shown["AttachmentCount"]
        ],
    }


def _user(call: Call, row: Row) -> dict[str, Any]:
    member_of = call.store.all(
        "SELECT g.name FROM groups g JOIN memberships m ON m.group_id = g.id WHERE m.user_id = ? ORDER BY g.name",
        (row["id"],),
    )
    return {
        **users.render(call, row),
        "UserPolicyList": _inline(call, row),
        "GroupList": [group["name"] for group in member_of],
        "AttachedManagedPolicies": attached(call, row["id"]),
    }


def _group(call: Call, row: Row) -> dict[str, Any]:
    return {
        **groups.render(call, row),
        "GroupPolicyList": _inline(call, row),
        "AttachedManagedPolicies": attached(call, row["id"]),
    }


def _role(call: Call, row: Row) -> dict[str, Any]:
    return {
        **roles.render(call, row),
        "InstanceProfileList": [],
        "RolePolicyList": _inline(call, row),
        "AttachedManagedPolicies": attached(call, row["id"]),
    }


def _policy(call: Call, row: Row) -> dict[str, Any]:
    versions = call.store.all("SELECT * FROM policy_versions WHERE arn = ? ORDER BY created, version", (row["arn"],))
    return {
        **policies.render(call, row),
        "PolicyVersionList": [
            {
                "Document": quote(version["document"], safe="-_.~"),
                "VersionId": version["version"],
                "IsDefaultVersion": version["version"] == row["default_version"],
                "CreateDate": from_text(version["created"]),
            }
            for version in versions
        ],
    }


def _inline(call: Call, row: Row) -> list[dict[str, str]]:
    rows = call.store.all("SELECT * FROM inline_policies WHERE owner = ? ORDER BY name", (row["id"],))
    return [{"PolicyName": one["name"], "PolicyDocument": quote(one["document"], safe="-_.~")} for one in rows]


@action("iam", "GetAccountSummary")
def get_account_summary(call: Call, params: Params) -> Result:
    def count(table: str) -> int:
        row = call.store.one(f"SELECT count(*) AS n FROM {table} WHERE account = ?", (call.account,))  # noqa: S608
        return int(row["n"]) if row is not None else 0

    in_use = call.store.one(
        "SELECT count(*) AS n FROM mfa_devices WHERE account = ? AND user_id IS NOT NULL", (call.account,)
    )
    return {
        "SummaryMap": {
            "Users": count("users"),
            "UsersQuota": 5_000,
            "Groups": count("groups"),
            "GroupsQuota": 300,
            "Roles": count("roles"),
            "RolesQuota": 1_000,
            "Policies": count("policies"),
            "PoliciesQuota": 1_500,
            "Providers": count("oidc_providers"),
            "MFADevices": count("mfa_devices"),
            "MFADevicesInUse": in_use["n"] if in_use is not None else 0,
            "AccessKeysPerUserQuota": 2,
            "AttachedPoliciesPerUserQuota": 10,
            "AttachedPoliciesPerRoleQuota": 10,
            "AttachedPoliciesPerGroupQuota": 10,
            "GroupsPerUserQuota": 10,
            "VersionsPerPolicyQuota": 5,
            "PolicySizeQuota": 6_144,
            "AccountAccessKeysPresent": 0,
            "AccountMFAEnabled": 0,
        }
    }


@action("iam", "CreateAccountAlias")
def create_account_alias(call: Call, params: Params) -> Result:
    alias = params["AccountAlias"]
    taken = call.store.one("SELECT account FROM accounts WHERE alias = ?", (alias,))
    if taken is not None and taken["account"] != call.account:
        raise AwsError("EntityAlreadyExists", f"The account alias {alias} already exists.", 409)
    call.store.execute("UPDATE accounts SET alias = ? WHERE account = ?", (alias, call.account))
    return {}


@action("iam", "ListAccountAliases")
def list_account_aliases(call: Call, params: Params) -> Result:
    row = call.store.one("SELECT alias FROM accounts WHERE account = ?", (call.account,))
    return {"AccountAliases": [row["alias"]] if row is not None and row["alias"] else []}


@action("iam", "DeleteAccountAlias")
def delete_account_alias(call: Call, params: Params) -> Result:
    changed = call.store.execute(
        "UPDATE accounts SET alias = NULL WHERE account = ? AND alias = ?", (call.account, params["AccountAlias"])
    )
    if not changed.rowcount:
        raise AwsError("NoSuchEntity", f"The account alias {params['AccountAlias']} cannot be found.", 404)
    return {}
