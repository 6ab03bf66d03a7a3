"""A plan as people read it, and a first file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from rolecall.access.world import World
from rolecall.manifest.load import parse
from rolecall.manifest.schema import MappingBackend
from rolecall.manifest.starter import Start, starter
from rolecall.plan.findings import Allowance
from rolecall.plan.plan import Plan
from rolecall.plan.planning import make_plan
from rolecall.plan.render import change_lines, plan_lines
from rolecall.plan.render_effects import effect_lines
from rolecall.plan.resources import Change, Kind, ResourceId
from rolecall.visible import visible as shown
from worlds import (
    MAIN,
    NOW,
    ORGANISATION,
    OTHER,
    account,
    aws_auth,
    cluster,
    role,
    role_arn,
    trust,
    user,
    user_arn,
    world,
    worlds,
)

START = Start(
    "kubedemy",
    "Kubedemy_EKS_KubernetesAdmin",
    ["kubedemy"],
    MAIN,
    "eu-west-2",
    ["system:masters"],
    username="admin:{{AccessKeyID}}:{{SessionName}}",
)


def test_the_seed_case_from_the_starter_file() -> None:
    made = make_plan(
        parse(starter(START)), world([account()], [cluster()]), NOW, allowances=[Allowance("system-masters")]
    )
    assert (
        "\n".join(plan_lines(made))
        == f"""\
account {MAIN}
  + role Kubedemy_EKS_KubernetesAdmin
        may be assumed by arn:aws:iam::{MAIN}:user/kubedemy
  + inline policy rolecall-describe-clusters of role Kubedemy_EKS_KubernetesAdmin
        allows eks:DescribeCluster on arn:aws:eks:eu-west-2:{MAIN}:cluster/kubedemy
  + user kubedemy

cluster kubedemy (eu-west-2, account {MAIN})
  + aws-auth arn:aws:iam::{MAIN}:role/Kubedemy_EKS_KubernetesAdmin
        username admin:{{{{AccessKeyID}}}}:{{{{SessionName}}}}
        group system:masters

Effect on access
  + arn:aws:iam::{MAIN}:user/kubedemy gains cluster kubedemy
      through arn:aws:iam::{MAIN}:role/Kubedemy_EKS_KubernetesAdmin
      as admin:{{{{AccessKeyID}}}}:{{{{SessionName}}}} in group system:masters
      with ClusterRole cluster-admin (ClusterRoleBinding cluster-admin to group system:masters)
      with everything (group system:masters)

Warnings
  ! access.yaml:31:5: arn:aws:iam::{MAIN}:role/Kubedemy_EKS_KubernetesAdmin would get system:masters on cluster kubedemy, which no RBAC rule limits
      give a group of your own and bindings: [{{clusterRole: cluster-admin}}]
      allowed by --allow system-masters

Plan: 4 to add, in 1 account and 1 cluster."""
    )


def changed() -> Plan:
    text = starter(replace(START, groups=["devs"])).replace(
        "assumableBy: [kubedemy]", "assumableBy: [kubedemy]\n    conditions: {mfa: true}"
    )
    there = account(
        [user("kubedemy"), user("old")],
        [role("Kubedemy_EKS_KubernetesAdmin", trust(user_arn("old"), user_arn("kubedemy")))],
    )
    data = aws_auth(
        [(role_arn("Kubedemy_EKS_KubernetesAdmin"), "was", ["system:masters", "devs"])],
        [(user_arn("kubedemy"), "k", [])],
    )
    return make_plan(parse(text), world([there], [cluster(aws_auth=data)]), NOW)


def test_what_is_changed_and_removed() -> None:
    lines = "\n".join(plan_lines(replace(changed(), effects={}, findings=changed().refusals[:1])))
    assert (
        f"""\
  ~ role Kubedemy_EKS_KubernetesAdmin
      - may be assumed by arn:aws:iam::{MAIN}:user/old
      - may be assumed by arn:aws:iam::{MAIN}:user/kubedemy
      + may be assumed by arn:aws:iam::{MAIN}:user/kubedemy with MFA
"""
        in lines
    )
    assert (
        f"""\
  ~ aws-auth arn:aws:iam::{MAIN}:role/Kubedemy_EKS_KubernetesAdmin
      - username was
      - group system:masters
      + username admin:{{{{AccessKeyID}}}}:{{{{SessionName}}}}
  - aws-auth arn:aws:iam::{MAIN}:user/kubedemy
        username k
"""
        in lines
    )
    assert (
        """\
Refused
  ! cluster kubedemy would have no administrator left; now it has"""
        in lines
    )
    assert "or allow it: --allow lockout-last-admin:kubedemy" in lines
    assert lines.endswith("in 1 account and 1 cluster. 1 refusal: this plan will not be applied.")


def test_who_loses_and_who_becomes_somebody_else() -> None:
    lines = "\n".join(plan_lines(changed()))
    told = lines[lines.index("Effect on access") : lines.index("Refused")]
    admin = f"arn:aws:iam::{MAIN}:role/Kubedemy_EKS_KubernetesAdmin"
    assert (
        told
        == f"""\
Effect on access
  - arn:aws:iam::{MAIN}:user/old loses cluster kubedemy
      through {admin}
      was was in groups system:masters, devs
      had ClusterRole cluster-admin (ClusterRoleBinding cluster-admin to group system:masters)
      had everything (group system:masters)
  - arn:aws:iam::{MAIN}:user/kubedemy loses cluster kubedemy
      as themselves, arn:aws:iam::{MAIN}:user/kubedemy
      was k in no group
      had no permissions: no binding and no access policy gives any
  ~ arn:aws:iam::{MAIN}:user/kubedemy gets a different username or groups on cluster kubedemy
      through {admin} (with MFA)
      was was in groups system:masters, devs
      now admin:{{{{AccessKeyID}}}}:{{{{SessionName}}}} in group devs
      was through {admin}
      loses ClusterRole cluster-admin (ClusterRoleBinding cluster-admin to group system:masters)
      loses everything (group system:masters)
      gets ClusterRole view (ClusterRoleBinding rolecall:view:devs to group devs)
  ! arn:aws:iam::{MAIN}:user/old would have no way left into kubedemy

"""
    )


def test_who_keeps_their_name_is_not_called_another() -> None:
    """An unread account's role is spoken of as a role, not as a person."""
    other = f"arn:aws:iam::{OTHER}:role/Team"
    seat = {"roles": [], "needs": [], "username": "u", "groups": ["g"], "permissions": []}
    lost = {**seat, "permissions": [{"text": "ClusterRole edit", "by": "group g", "admin": False}]}
    cluster_arn = f"arn:aws:eks:eu-west-2:{MAIN}:cluster/c"
    change = {"cluster": cluster_arn, "principal": other, "before": lost, "after": seat, "people": [f"anyone who is {other}"]}  # fmt: skip
    assert [*effect_lines({"changes": [change]})][1:] == [
        f"  ~ anyone who is {other} has the same username and groups on cluster c; permissions or the way change",
        f"      as the role itself, {other}",
        "      loses ClusterRole edit (group g)",
        "      has no permissions any more",
    ]


def test_the_same_on_many_clusters_is_told_once() -> None:
    states = [cluster(f"c-{n}") for n in range(9)]
    text = starter(replace(START, clusters=[f"c-{n}" for n in range(9)]))
    lines = [*plan_lines(make_plan(parse(text), world([account()], states), NOW))]
    assert [line for line in lines if " gains " in line] == [
        f"  + arn:aws:iam::{MAIN}:user/kubedemy gains 9 clusters: c-0, c-1, c-2, c-3, c-4, c-5, c-6, c-7, c-8"
    ]


def test_every_name_is_shown() -> None:
    """A reviewer reads here who gets in."""
    people = [f"arn:aws:iam::{MAIN}:user/p{number}" for number in range(30)]
    seat = {"roles": [], "needs": [], "username": "u", "groups": ["a, b", "c "], "permissions": []}
    gain = {"cluster": f"arn:aws:eks:eu-west-2:{MAIN}:cluster/c", "principal": people[0], "before": None, "after": seat,
            "people": people}  # fmt: skip
    lines = [*effect_lines({"gains": [gain]})]
    assert lines[1] == "  + 30 people gain cluster c"
    assert ", ".join(people) == " ".join(line.strip() for line in lines[2:-3])
    assert max(map(len, lines)) <= 112
    assert lines[-2] == '      as u in groups "a, b", "c "'


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (Kind.IAM_ROLE_POLICY, {"Action": list("abcdef"), "Resource": "*"}, {"Action": list("abcdeg"), "Resource": "*"}),
        (Kind.IAM_ROLE_POLICY, {"Action": "a", "Resource": "x"}, {"Action": "a", "NotResource": "x"}),
        (Kind.IAM_ROLE_POLICY, {"Action": "a", "Resource": "x"}, {"NotAction": "a", "Resource": "x"}),
        (Kind.IAM_ROLE_POLICY, {"Action": "a", "Resource": "x", "Sid": "1"}, {"Action": "a", "Resource": "x", "Sid": "2"}),
        (Kind.IAM_ROLE, {"Action": "sts:AssumeRole", "Principal": "*"}, {"Action": "sts:AssumeRole", "NotPrincipal": "*"}),
        (Kind.IAM_ROLE, {"Action": "sts:AssumeRole", "Principal": "*"}, {"Action": "sts:*", "Principal": "*"}),
        (Kind.CLUSTER_ROLE_BINDING, {"kind": "ServiceAccount", "name": "a", "namespace": "x"},
         {"kind": "ServiceAccount", "name": "a", "namespace": "y"}),
        (Kind.AWS_AUTH_ROLE, ["a", "b"], ["a, b"]),
        (Kind.AWS_AUTH_ROLE, ["a"], ["a "]),
    ],
)  # fmt: skip
def test_two_values_that_differ_never_read_the_same(kind: Kind, before: Any, after: Any) -> None:
    def value(one: Any) -> dict[str, Any]:
        statement = {"Statement": [{"Effect": "Allow", **one}]} if isinstance(one, dict) else {}
        return {
            Kind.IAM_ROLE_POLICY: {"document": statement},
            Kind.IAM_ROLE: {"path": "/", "description": "", "maxSessionDuration": 3600, "tags": {}, "trust": statement},
            Kind.CLUSTER_ROLE_BINDING: {"roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [one]},
            Kind.AWS_AUTH_ROLE: {"arn": "arn:x", "username": "u", "groups": one},
        }[kind]

    shown_before, shown_after = (
        [*change_lines(Change("", ResourceId(kind, MAIN, "r/p"), None, value(one)))] for one in (before, after)
    )
    changed = [*change_lines(Change("", ResourceId(kind, MAIN, "r/p"), value(before), value(after)))]
    assert len(changed) > 1
    assert shown_before != shown_after or "Sid" in str(before)


def test_nothing_to_change() -> None:
    found = World(NOW)
    assert [*plan_lines(Plan((), made_at=found.read_at))] == ["Nothing to change."]


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    assert shown("a\x1b[31mb\u202ec\u200bd") == "a\\u001b[31mb\\u202ec\\u200bd"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_every_plan_can_be_shown(found: World) -> None:
    lines = [*plan_lines(make_plan(parse(ORGANISATION), found, NOW))]
    assert lines[-1].startswith(("Plan: ", "Nothing to change", "Cannot plan"))
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    "start",
    [
        START,
        replace(START, groups=[], username="", mapping=MappingBackend.access_entries, profile="p"),
        replace(START, person="arn:aws:iam::444455556666:role/team/ci", clusters=["a", "b"], groups=["yes", "devs"], cluster_role="edit"),
        replace(START, person="dan@example.com", cluster_role="", groups=["devs"]),
    ],
)  # fmt: skip
def test_a_first_file_is_valid_and_says_what_was_asked(start: Start) -> None:
    found = parse(starter(start)).manifest
    [grant] = found.grants
    assert (grant.role, grant.clusters) == (start.role, list(start.clusters))
    assert grant.groups == list(start.groups or [start.role])
    assert bool(grant.bindings) == bool(start.cluster_role and grant.groups != ["system:masters"])
    assert found.accounts["main"].id == MAIN
    assert starter(start).startswith("# yaml-language-server: $schema=access.schema.json\n")


def test_the_commented_lines_of_a_first_file_are_valid_too(tmp_path: Path) -> None:
    text = starter(replace(START, groups=["devs"]))
    for line in ("# conditions:", "# until:", "# groups:", "#   Kubedemy_EKS_KubernetesAdmin-team:"):
        assert line in text
        text = text.replace(line, line.replace("# ", "", 1).replace("#   ", "  ", 1))
    found = parse(text).manifest
    assert found.groups["Kubedemy_EKS_KubernetesAdmin-team"] == ["kubedemy"]
    assert found.grants[0].until is not None
