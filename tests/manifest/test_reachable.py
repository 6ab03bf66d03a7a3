"""What a file says of one caller.

Sources: IAM user guide, "AWS JSON policy elements: Principal" (an account in a trust policy leaves it to that account's
own policies), "Secure API access with MFA" (sessions of roles carry none); IAM Identity Center user guide, "Referencing
permission sets in resource policies".
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from rolecall.access.reachable import Caller, Reach
from rolecall.manifest.load import parse
from rolecall.manifest.reachable import reach_of_manifest

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MAIN, PROD = "111122223333", "444455556666"
ANN = Caller(f"arn:aws:iam::{MAIN}:user/people/ann")
SSO = Caller(f"arn:aws:iam::{PROD}:role/AWSReservedSSO_Platform_0123456789abcdef")
FILE = """\
accounts: {main: {id: "111122223333"}, prod: {id: "444455556666"}}
people:
  ann: {user: ann, account: main, path: /people/}
  cho: {permissionSet: Platform, account: prod}
  dan: {arn: "arn:aws:iam::111122223333:role/team/Robot"}
groups: {inner: [ann], outer: [inner, cho]}
roles:
%s
clusters:
  one: {account: prod, region: eu-west-2}
  two: {account: prod, region: eu-west-1, name: second, labels: {env: dev}}
grants:
%s
"""


def reach(roles: str, grants: str = "  []", caller: Caller = ANN, only: tuple[str, ...] = ()) -> Reach:
    found = reach_of_manifest(parse(FILE % (roles, grants)), caller, NOW, only)
    assert found is not None
    return found


def trusting(caller: Caller) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": caller.arn}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def names(found: Reach) -> list[str]:
    return [role.principal.name for role in found.roles]


@pytest.mark.parametrize(
    ("role", "caller", "is_reached"),
    [
        ("assumableBy: [ann]", ANN, True),
        ("assumableBy: [outer]", ANN, True),
        ("assumableBy: [cho]", ANN, False),
        ("assumableBy: [outer]", SSO, True),
        ("assumableBy: [{group: outer, until: 2026-03-02}]", ANN, True),
        ("assumableBy: [{group: outer, until: 2026-03-01}]", ANN, False),
        ("assumableBy: []", ANN, False),
        ("assumableBy: [dan]", Caller(f"arn:aws:iam::{MAIN}:role/Robot"), True),
        # A session of a role has no MFA device.
        ("assumableBy: [outer], conditions: {mfa: true}", ANN, True),
        ("assumableBy: [outer], conditions: {mfa: true}", SSO, False),
        (f"trustPolicy: {trusting(ANN)}", ANN, True),
        (f"trustPolicy: {trusting(SSO)}", ANN, False),
        ("assumableBy: [ann], state: absent", ANN, False),
    ],
)  # fmt: skip
def test_who_reaches_a_role(role: str, caller: Caller, is_reached: bool) -> None:
    assert names(reach(f"  R: {{account: prod, {role}}}", caller=caller)) == (["R"] if is_reached else [])


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("conditions: {sessionName: username}", {"session_name": "ann"}),
        ("conditions: {sourceIdentity: username}", {"source_identity": "ann"}),
        ("conditions: {externalId: the-id, mfa: true}", {"external_id": "the-id", "mfa": True}),
        ("conditions: {mfa: true, mfaMaxAge: 900}", {"mfa": True}),
        ("conditions: {sourceIp: [203.0.113.0/24]}", {}),
        ("maxSessionDuration: 7200", {"max_duration": 7200}),
        ("breakGlass: true, conditions: {mfa: true}", {"mfa": True, "max_duration": 3600}),
    ],
)
def test_what_a_role_asks_for(role: str, expected: dict[str, Any]) -> None:
    [found] = reach(f"  R: {{account: prod, assumableBy: [ann], {role}}}").roles
    plain = {"session_name": "", "external_id": "", "source_identity": "", "mfa": False, "max_duration": None}
    assert {key: getattr(found, key) for key in plain} == plain | expected
    assert found.certain


def test_a_whole_account_leaves_it_to_its_own_policies() -> None:
    [found] = reach("  R: {account: prod, assumableBy: [{account: main}]}").roles
    assert not found.certain
    assert names(reach("  R: {account: prod, assumableBy: [{account: prod}]}")) == []


def test_existing_roles_are_tried_only_when_they_are_named() -> None:
    roles = '  R: {arn: "arn:aws:iam::444455556666:role/Existing"}'
    grants = "  - {role: R, clusters: one, groups: [g]}"
    found = reach(roles, grants)
    assert (found.roles, found.clusters) == ((), ())
    assert "who may assume the existing roles of the file is not known, so they are left out: R" in found.notes[0]
    found = reach(roles, grants, only=("R",))
    assert [(role.arn, role.certain) for role in found.roles] == [("arn:aws:iam::444455556666:role/Existing", False)]
    assert [one.cluster.name for one in found.clusters] == ["one"]
    # Whoever is that role already needs not assume it.
    found = reach(roles, grants, Caller("arn:aws:iam::444455556666:role/Existing"))
    assert [(one.cluster.name, one.role) for one in found.clusters] == [("one", None)]


def test_clusters_are_those_of_grants_that_hold_now() -> None:
    roles = "  R: {account: prod, path: /team/, assumableBy: [outer]}\n  N: {account: prod, assumableBy: [ann]}"
    grants = """\
  - {role: R, clusterSelector: {matchLabels: {env: dev}}, groups: [g]}
  - {role: R, clusters: one, groups: [g], until: 2026-03-01}
  - {role: N, clusters: "*", nodeRole: true}
  - {person: ann, clusters: one, groups: [g], until: 2026-04-01}
  - {person: cho, clusters: "*", groups: [g]}"""
    found = reach(roles, grants)
    assert sorted(names(found)) == ["N", "R"]
    assert [(one.cluster.name, one.cluster.region, one.role and one.role.arn) for one in found.clusters] == [
        ("second", "eu-west-1", "arn:aws:iam::444455556666:role/team/R"),
        ("one", "eu-west-2", None),
    ]
    assert {one.cluster.name for one in reach(roles, grants, SSO).clusters if one.role is None} == {"one", "second"}
    assert [one.cluster.name for one in reach(roles, grants, only=("R",)).clusters] == ["second"]


def test_somebody_whom_the_file_does_not_name() -> None:
    loaded = parse(FILE % ("  R: {account: prod, assumableBy: [ann]}", "  []"))
    for arn in (f"arn:aws:iam::{MAIN}:user/ann", f"arn:aws:iam::{PROD}:user/people/ann", f"arn:aws:iam::{MAIN}:root"):
        assert reach_of_manifest(loaded, Caller(arn), NOW) is None
