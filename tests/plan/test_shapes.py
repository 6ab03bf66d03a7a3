"""A plan's file that somebody changed by hand is refused with a sentence, or means what it says."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.plan.plan import Plan
from rolecall.plan.plan_file import PlanError, from_json, to_json
from rolecall.plan.resources import Change, Kind, ResourceId, Value
from rolecall.plan.shapes import check_shape
from rolecall.plan.values import same_value

ACCOUNT = "111122223333"
CLUSTER = f"arn:aws:eks:eu-west-2:{ACCOUNT}:cluster/prod"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/R"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["AIDAEXAMPLE", ROLE]}, "Action": "sts:AssumeRole",
         "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}},
        {"Effect": "Deny", "Principal": "*", "Action": ["sts:AssumeRole"]},
    ],
}  # fmt: skip
MAPPING = {"username": "u", "groups": ["g"]}
POLICY = {"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy", "scope": "namespace"}
BINDING = {"roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "Group", "name": "g"}]}
VALUES: dict[Kind, tuple[str, str, Value]] = {
    Kind.IAM_USER: (ACCOUNT, "ann", {"path": "/", "tags": {"a": "b"}}),
    Kind.IAM_ROLE: (ACCOUNT, "R", {"path": "/", "description": "", "maxSessionDuration": 3600, "tags": {}, "trust": TRUST}),
    Kind.IAM_ROLE_POLICY: (ACCOUNT, "R/p", {"document": {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}}),
    Kind.IAM_USER_POLICY: (ACCOUNT, "ann/p", {"document": {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}}),
    Kind.AWS_AUTH_ROLE: (CLUSTER, ROLE.lower(), {"arn": ROLE, **MAPPING}),
    Kind.AWS_AUTH_USER: (CLUSTER, f"arn:aws:iam::{ACCOUNT}:user/ann", {"arn": f"arn:aws:iam::{ACCOUNT}:user/ann", **MAPPING}),
    Kind.ACCESS_ENTRY: (CLUSTER, ROLE, {"type": "STANDARD", **MAPPING, "policies": [{**POLICY, "namespaces": ["dev"]}]}),
    Kind.IDENTITY_MAPPING: (CLUSTER, "one", {"arn": ROLE, **MAPPING}),
    Kind.CLUSTER_ROLE_BINDING: (CLUSTER, "b", BINDING),
    Kind.ROLE_BINDING: (CLUSTER, "dev/b", BINDING),
}  # fmt: skip
PLAN = to_json(
    Plan(tuple(Change(kind.value, ResourceId(kind, place, name), None, value) for kind, (place, name, value) in VALUES.items()))
)  # fmt: skip


def test_every_kind_has_a_shape() -> None:
    assert VALUES.keys() == set(Kind)
    assert len(from_json(json.dumps(PLAN)).changes) == len(Kind)


def leaves(found: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [path] * bool(path) + [leaf for key, value in inner for leaf in leaves(value, (*path, key))]


@given(st.randoms(use_true_random=False), st.sampled_from([None, 1, "x", [], {}, [1], {"x": 1}, True]))
def test_a_changed_plan_is_refused_or_can_be_compared(rng: random.Random, new: Any) -> None:
    changed = copy.deepcopy(PLAN)
    *path, last = rng.choice(leaves(changed))
    inner: Any = changed
    for key in path:
        inner = inner[key]
    if rng.random() < 0.3:
        del inner[last]
    else:
        inner[last] = new
    try:
        plan = from_json(json.dumps(changed), "plan.json")
    except PlanError:
        return
    for change in plan.changes:
        assert same_value(change.resource.kind, change.after, change.after)


@pytest.mark.parametrize(
    ("kind", "place", "name"),
    [
        (Kind.IAM_USER, CLUSTER, "ann"),
        (Kind.IAM_USER, "11112222333", "ann"),
        (Kind.AWS_AUTH_ROLE, ACCOUNT, ROLE),
        (Kind.AWS_AUTH_ROLE, f"{CLUSTER}/../x", ROLE),
        (Kind.IAM_ROLE_POLICY, ACCOUNT, "R"),
        (Kind.ROLE_BINDING, CLUSTER, "b"),
    ],
)
def test_a_resource_is_in_a_place_of_its_kind(kind: Kind, place: str, name: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        check_shape(ResourceId(kind, place, name), None)
