"""A plan's file has values alone: nothing in it is done that is not shown, and it allows nothing."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from rolecall.access.read_world import Reading
from rolecall.manifest.load import parse
from rolecall.plan.findings import Allowance
from rolecall.plan.guards import CODES
from rolecall.plan.plan import Plan
from rolecall.plan.plan_file import PlanError, from_json, to_json
from rolecall.plan.planning import make_plan
from rolecall.plan.recheck import OF_THE_FILE, RECHECKED, again
from worlds import MAIN, NOW, account, aws_auth, cluster, role, role_arn, trust, user, user_arn, world

ACCOUNTS = f"accounts: {{main: {{id: '{MAIN}'}}}}\n"
FILE = (
    ACCOUNTS
    + """\
people: {ann: {user: ann, account: main}}
roles:
  admins: {account: main, assumableBy: [ann]}
  raw:
    account: main
    trustPolicy:
      Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::999999999999:user/x"}, Action: "sts:AssumeRole"}]
clusters: {k: {account: main, region: eu-west-2, name: kubedemy}}
grants:
- {role: admins, clusters: k, username: a, groups: ["system:masters"]}
"""
)
THERE = world([account([user("ann")])], [cluster()])


def written(*allow: str) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(to_json(made(*allow)))
    return found


def made(*allow: str) -> Plan:
    return make_plan(parse(FILE), THERE, NOW, allowances=[Allowance.parse(one, CODES) for one in allow])


def refused(found: dict[str, Any], *allow: str) -> set[str]:
    plan = from_json(json.dumps(found))
    named = [Allowance.parse(one, CODES) for one in allow]
    return {one.code for one in again(plan, Reading(THERE), labels={}, allowances=named).refusals}


def test_it_says_what_was_planned() -> None:
    plan = from_json(json.dumps(written()))
    assert [(one.resource, one.before, one.after) for one in plan.changes] == [
        (one.resource, one.before, one.after) for one in made().changes
    ]
    assert (plan.findings, plan.files, plan.made_at) == (made().findings, made().files, made().made_at)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"format": 1}', '{"format": 2}', '{"format": 2, "changes": [1]}', "[" * 100_000, "1" * 5_000],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        from_json(text, "plan.json")


def test_a_value_that_is_no_object_is_refused() -> None:
    found = written()
    found["changes"][0]["after"] = "x"
    with pytest.raises(PlanError, match="has not the members of its kind"):
        from_json(json.dumps(found))


@pytest.mark.parametrize("member", ["text", "key", "needs", "follows", "gates", "restore"])
def test_a_change_has_no_member_that_is_not_shown(member: str) -> None:
    found = written()
    found["changes"][0][member] = "1"
    with pytest.raises(PlanError, match=f"a member that no plan has: '{member}'"):
        from_json(json.dumps(found))


@pytest.mark.parametrize("member", ["effects", "allowed", "steps"])
def test_a_plan_has_no_member_that_counts_for_nothing(member: str) -> None:
    with pytest.raises(PlanError, match=f"a member that no plan has: '{member}'"):
        from_json(json.dumps({**written(), member: {}}))


def test_a_resource_changes_once_so_that_nothing_happens_in_between() -> None:
    found = written()
    found["changes"].append(found["changes"][0])
    with pytest.raises(PlanError, match="changes one resource twice"):
        from_json(json.dumps(found))


def test_a_mapping_is_of_the_principal_that_it_is_named_by() -> None:
    found = written()
    mapping = next(one for one in found["changes"] if one["kind"] == "aws-auth-role")
    assert mapping["name"] == role_arn("admins")
    mapping["after"]["arn"] = "arn:aws:iam::999999999999:role/Stranger"
    with pytest.raises(PlanError, match="is of another principal"):
        from_json(json.dumps(found))


class TestAllowances:
    """What is allowed is what whoever applies it allows."""

    def test_what_was_allowed_when_it_was_made_refuses(self) -> None:
        assert refused(written("system-masters", "raw-trust-policy")) == {"system-masters", "raw-trust-policy"}

    @pytest.mark.parametrize("forged", [{"allowed": True, "refuses": False}, {"allowed": False, "refuses": False}])
    def test_a_changed_finding_refuses(self, forged: dict[str, bool]) -> None:
        found = written()
        found["findings"] = [{**one, **forged} for one in found["findings"]]
        assert refused(found) == {"system-masters", "raw-trust-policy"}

    def test_no_findings_are_worked_out_again(self) -> None:
        assert "system-masters" in refused({**written(), "findings": []})

    def test_whoever_applies_it_allows(self) -> None:
        assert refused(written(), "system-masters:admins", "raw-trust-policy") == set()

    def test_every_guard_is_asked_again_or_believed(self) -> None:
        assert set(CODES) == RECHECKED | OF_THE_FILE


def test_the_order_is_that_of_the_world_as_it_is() -> None:
    found = written()
    found["changes"].reverse()
    plan = again(from_json(json.dumps(found)), Reading(THERE), labels={}, allowances=[])
    assert plan.changes == again(made(), Reading(THERE), labels={}, allowances=[]).changes
    assert [one.needs for one in plan.changes][-1], "a mapping waits for its role"


def test_guards_of_mappings_and_policies_are_asked_again() -> None:
    text = FILE.replace("groups: [", "mapping: access-entries, groups: [")
    found = copy.deepcopy(to_json(make_plan(parse(text), THERE, NOW)))
    found["findings"] = []
    assert "mapping-not-read" in refused(found)


def test_what_is_shadowed_elsewhere_is_kept_out() -> None:
    """The example of whoever applies: an administrator who stays one by the current state and not by the file's word."""
    there = world(
        [account([user("ann")], [role("admins", trust(user_arn("ann")))])],
        [cluster(aws_auth=aws_auth([(role_arn("admins"), "a", ["system:masters"])]))],
        role_arn("admins"),
    )
    text = FILE.replace('groups: ["system:masters"]', "groups: [devs]")
    found = copy.deepcopy(to_json(make_plan(parse(text), there, NOW)))
    found["findings"], found["caller"] = [], "arn:aws:iam::231144931069:user/somebody-else"
    plan = again(from_json(json.dumps(found)), Reading(there), labels={}, allowances=[])
    assert "lockout-caller" in {one.code for one in plan.refusals}
