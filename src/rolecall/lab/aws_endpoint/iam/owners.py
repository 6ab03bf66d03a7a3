"""Users, roles and groups: what the operations that exist three times share.

Texts of errors as AWS words them (recorded by users and tools; not compared with live AWS).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from sqlite3 import Row

from rolecall.arn import PrincipalKind
from rolecall.iam.documents import PolicyKind
from rolecall.iam.grammar.policies import refusal
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Permission
from rolecall.lab.aws_endpoint.iam import directory

MAX_TAGS = 50
# Prefix of the path, prefix of the name (lower-case), and whose they are.
_RESERVED = (
    ("/aws-service-role/", "awsservicerolefor", "AWS Service linked Roles"),
    ("/aws-reserved/", "awsreservedsso_", "AWS Reserved Roles"),
)


@dataclass(frozen=True, slots=True)
class Owner:
    """A kind of thing that has policies.

    :param kind: ``User``, ``Role`` or ``Group``, as in the names of operations and parameters.
    """

    kind: str
    find: Callable[..., Row | None]
    arn: Callable[[str, Row], str]

    @property
    def parameter(self) -> str:
        return f"{self.kind}Name"

    @property
    def table(self) -> str:
        return f"{self.kind.lower()}s"

    def get(self, call: Call, name: str) -> Row:
        """The one with this name; ``NoSuchEntity`` if there is none."""
        found = self.find(call.store, call.account, name)
        if found is None:
            raise AwsError("NoSuchEntity", f"The {self.kind.lower()} with name {name} cannot be found.", 404)
        return found

    def resource(self, call: Call, params: Params) -> str:
        """The ARN that permission is needed on; a name that is not there has the path ``/``."""
        name = params.get(self.parameter) or call.caller.name
        found = self.find(call.store, call.account, name)
        if found is not None:
            return self.arn(call.partition, found)
        return new_arn(call, self.kind.lower(), params.get("Path", "/"), name)

    def tags(self, call: Call, params: Params) -> Context:
        """``aws:ResourceTag`` and ``iam:ResourceTag`` of an existing one."""
        found = self.find(call.store, call.account, params.get(self.parameter) or call.caller.name)
        return resource_tags(directory.tags_of(call.store, found["id"])) if found is not None else {}

    def with_boundary(self, call: Call, params: Params) -> Context:
        """The same and ``iam:PermissionsBoundary``: the boundary that an existing user or role has now.

        Source: service authorization reference, IAM; IAM user guide, "Permissions boundaries", delegation.
        """
        tags = self.tags(call, params)
        found = self.find(call.store, call.account, params.get(self.parameter) or call.caller.name)
        if found is None or "boundary" not in found.keys() or not found["boundary"]:  # noqa: SIM118 -- a row, no dict
            return tags
        return {**tags, "iam:permissionsboundary": (found["boundary"],)}


USER = Owner("User", directory.user_named, directory.user_arn)
ROLE = Owner("Role", directory.role_named, directory.role_arn)
GROUP = Owner("Group", directory.group_named, directory.group_arn)
OWNERS = (USER, ROLE, GROUP)


def new_arn(call: Call, kind: str, path: str, name: str) -> str:
    return f"arn:{call.partition}:iam::{call.account}:{kind}{path}{name}"


def the_user(call: Call, params: Params) -> Row:
    """The user that is named, or the caller if none is."""
    name = params.get("UserName")
    if name is None:
        if call.caller.kind is not PrincipalKind.USER:
            raise AwsError("ValidationError", "Must specify userName when calling with non-User credentials", 400)
        name = call.caller.name
    return USER.get(call, name)


def refuse_taken(call: Call, owner: Owner, name: str) -> None:
    """Names are unique without regard to case (IAM user guide, "IAM identifiers")."""
    taken = call.store.one(
        f"SELECT 1 FROM {owner.table} WHERE account = ? AND name = ? COLLATE NOCASE",  # noqa: S608 -- constant names
        (call.account, name),
    )
    if taken is not None:
        raise AwsError("EntityAlreadyExists", f"{owner.kind} with name {name} already exists.", 409)


def refuse_reserved(params: Params) -> None:
    """Refuse a path or a name that AWS keeps for the roles that its services create.

    Sources: IAM user guide, "Create a service-linked role" (path and name), and IAM Identity Center user guide,
    "Referencing permission sets in resource policies" (path and name); the message as users report it
    (tilfin/aws-iam-policy-tool pull request 9), the one for Identity Center in the same form.
    """
    path, name = params.get("Path", "/"), params["RoleName"]
    for prefix, of_name, roles in _RESERVED:
        if path.lower().startswith(prefix):
            raise AwsError("InvalidInput", f"Path prefix '{prefix}' can only be used for {roles}", 400)
        if name.lower().startswith(of_name):
            raise AwsError("InvalidInput", f"Name prefix '{name[: len(of_name)]}' can only be used for {roles}", 400)


def policy_size(text: str) -> int:
    """Characters that count against a quota: white space does not (IAM user guide, "IAM and AWS STS quotas")."""
    return len("".join(text.split()))


def check_policy(
    text: str, kind: PolicyKind, limit: int | None = None, quota: str = "", *, managed: bool = False
) -> None:
    """Refuse a document that AWS does not save: ``MalformedPolicyDocument`` in AWS's words, or ``LimitExceeded``.

    :param limit: of one document, with the name of its quota; ``None`` if only a sum is limited.
    :param managed: whether it is a managed policy, which must have the newer version of the language.
    """
    if limit is not None and policy_size(text) > limit:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for {quota}: {limit}", 409)
    if message := refusal(text, kind, managed=managed):
        raise AwsError("MalformedPolicyDocument", message, 400)


def tag_pairs(params: Params, *, ignore_case: bool = True) -> dict[str, str]:
    """The ``Tags`` of a request, checked.

    :param ignore_case: keys of users' and roles' tags ignore case, those of other IAM resources do not (IAM user guide,
        "Tags for IAM resources"; for policies as LocalStack recorded it in 2026-02).
    """
    tags = params.get("Tags") or []
    keys = [tag["Key"].lower() if ignore_case else tag["Key"] for tag in tags]
    if len(set(keys)) != len(keys):
        reminder = " Please note that Tag keys are case insensitive." if ignore_case else ""
        raise AwsError("InvalidInput", f"Duplicate tag keys found.{reminder}", 400)
    if any(key.lower().startswith("aws:") for key in keys):
        raise AwsError("InvalidInput", "Tag keys that begin with aws: are reserved.", 400)
    return {tag["Key"]: tag["Value"] for tag in tags}


def put_tags(call: Call, owner: str, tags: Mapping[str, str], *, ignore_case: bool = True) -> None:
    """Set tags, each in place of the one with its key; ``LimitExceeded`` beyond 50."""
    remove_tags(call, owner, tags, ignore_case=ignore_case)
    for key, value in tags.items():
        call.store.execute("INSERT INTO tags VALUES (?, ?, ?)", (owner, key, value))
    if len(directory.tags_of(call.store, owner)) > MAX_TAGS:
        raise AwsError("LimitExceeded", f"The number of tags has reached the maximum limit of {MAX_TAGS}.", 409)


def remove_tags(call: Call, owner: str, keys: Iterable[str], *, ignore_case: bool = True) -> None:
    """Remove tags by their keys."""
    collation = "NOCASE" if ignore_case else "BINARY"
    for key in keys:
        call.store.execute(f"DELETE FROM tags WHERE owner = ? AND key = ? COLLATE {collation}", (owner, key))  # noqa: S608


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def request_tags(call: Call, params: Params) -> Context:
    """``aws:RequestTag/*`` and ``aws:TagKeys`` of a request with tags."""
    tags = params.get("Tags") or []
    if not tags:
        return {}
    found: dict[str, tuple[str, ...]] = {"aws:tagkeys": tuple(tag["Key"] for tag in tags)}
    return found | {f"aws:requesttag/{tag['Key'].lower()}": (tag["Value"],) for tag in tags}


def tagging(kind: str, resource: Callable[[Call, Params], str]) -> Callable[[Call, Params], Iterable[Permission]]:
    """What creating something with tags needs besides: ``iam:TagUser`` and the like on the new thing.

    Source: IAM user guide, "Tags for IAM resources"; as users report it (openshift/installer issue 1073).
    """

    def also(call: Call, params: Params) -> Iterable[Permission]:
        if params.get("Tags"):
            yield Permission(f"iam:Tag{kind}", resource(call, params), request_tags(call, params))

    return also


def renaming(owner: Owner) -> Callable[[Call, Params], Iterable[Permission]]:
    """What changing a name or path needs besides: the same permission on the thing under its new ARN.

    Source: IAM API reference, UpdateUser and UpdateGroup ("on both the source object and the target object").
    """

    def also(call: Call, params: Params) -> Iterable[Permission]:
        found = owner.find(call.store, call.account, params[owner.parameter])
        name, path = params.get(f"New{owner.parameter}"), params.get("NewPath")
        if found is not None and (name or path):
            kind = owner.kind.lower()
            target = new_arn(call, kind, path or found["path"], name or found["name"])
            yield Permission(f"iam:Update{owner.kind}", target, owner.tags(call, params))

    return also


def resource_tags(tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {f"{prefix}:resourcetag/{key.lower()}": (value,) for key, value in tags.items() for prefix in ("aws", "iam")}


def with_boundary(call: Call, params: Params) -> Context:
    """The context of creating a user or role: its tags and its permissions boundary."""
    boundary = params.get("PermissionsBoundary")
    found = dict(request_tags(call, params))
    return found | ({"iam:permissionsboundary": (boundary,)} if boundary else {})


def below(rows: Iterable[Row], prefix: str | None) -> list[Row]:
    """The rows whose path begins with ``prefix``."""
    return [row for row in rows if row["path"].startswith(prefix or "/")]
