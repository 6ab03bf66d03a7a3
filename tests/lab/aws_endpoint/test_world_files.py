"""The worlds of ``tests/worlds`` over the lab's AWS endpoint: made by IAM's calls, asked by STS's and IAM's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from world_files import WorldFile, load_world, named, policies_of, policy_arn, text_of, world_files

LOADED = [(path, load_world(path)) for path in world_files()]
PATHS = [path for path, world in LOADED if "notInLab" not in world.data]
ROOT = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


def made(lab: Any, path: Path) -> WorldFile:
    """The world in the lab, in accounts of its own."""
    first = 2 * PATHS.index(path)
    accounts = list(lab.keys)[first : first + 2]
    world = load_world(path, dict(zip(("main", "other"), accounts, strict=True)))
    described = list(world.described())
    for number, found in described:
        make_users_and_roles(lab.client("iam", account=number), number, found)
    # A trust policy names principals that have to be there, also of the other account.
    for number, found in described:
        for name, role in named(found.get("roles")):
            iam = lab.client("iam", account=number)
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=text_of(role["trust"]))
    return world


def make_users_and_roles(iam: Any, number: str, found: Mapping[str, Any]) -> None:
    for name, policy in named(found.get("managed")):
        iam.create_policy(PolicyName=name, PolicyDocument=text_of(policy))
    for name, group in named(found.get("groups")):
        iam.create_group(GroupName=name)
        for policy, text in policies_of(group).items():
            iam.put_group_policy(GroupName=name, PolicyName=policy, PolicyDocument=text)
    for name, user in named(found.get("users")):
        iam.create_user(UserName=name, **common(number, user))
        for group in user.get("groups", ()):
            iam.add_user_to_group(GroupName=group, UserName=name)
        for policy, text in policies_of(user).items():
            iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=text)
    for name, role in named(found.get("roles")):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=text_of([ROOT]), **common(number, role))
        for policy, text in policies_of(role).items():
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=text)


def common(number: str, found: Mapping[str, Any]) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if "tags" in found:
        more["Tags"] = [{"Key": key, "Value": value} for key, value in found["tags"].items()]
    if "boundary" in found:
        more["PermissionsBoundary"] = policy_arn(number, found["boundary"])
    return more


def may_assume(lab: Any, world: WorldFile, keys: dict[str, Any], path: list[Any]) -> bool:
    """Whether the last call of a path succeeds; those before it have to. ``keys``: of the users, by name."""
    first, *steps = path
    number, rest = world.place(first)
    if first not in keys:
        name = rest.removeprefix("user/")
        keys[first] = lab.client("iam", account=number).create_access_key(UserName=name)["AccessKey"]
    credentials = keys[first]
    for index, step in enumerate(map(world.step, steps)):
        more: dict[str, Any] = {
            "Tags": [{"Key": key, "Value": value} for key, value in step.tags.items()],
            "TransitiveTagKeys": list(step.transitive),
            "ExternalId": step.external_id,
            "SourceIdentity": step.source_identity,
        }
        sts = lab.client("sts", credentials)
        try:
            credentials = sts.assume_role(
                RoleArn=f"arn:aws:iam::{step.account}:role/{step.role}",
                RoleSessionName=step.session,
                **{key: value for key, value in more.items() if value},
            )["Credentials"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied" or index < len(steps) - 1:
                raise
            return False
    return True


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_lab_answers_as_the_rules_do(shared_lab: Any, path: Path) -> None:
    world = made(shared_lab, path)
    keys: dict[str, Any] = {}
    for asked in world.questions("assume"):
        assert may_assume(shared_lab, world, keys, asked["path"]) is asked["answer"], asked
    for asked in world.questions("allowed"):
        number, _ = world.place(asked["who"])
        (found,) = shared_lab.client("iam", account=number).simulate_principal_policy(
            PolicySourceArn=world.arn(asked["who"]),
            ActionNames=[asked["action"]],
            ResourceArns=[asked.get("resource", "*")],
        )["EvaluationResults"]
        assert (found["EvalDecision"] == "allowed") is asked["answer"], asked
