"""A name that stands for nothing in AWS is trouble with that name alone, and never a reason to take anything away.

Source: IAM Identity Center user guide, "Referencing permission sets in resource policies": the role of a permission set
goes when the last assignment in the account goes.
"""

from __future__ import annotations

import pytest

from rolecall.changes.limited import About, limited
from rolecall.changes.removal import Taken
from rolecall.changes.revoking import revoke
from rolecall.manifest.draft import Draft
from rolecall.manifest.load import parse
from rolecall.plan.findings import Allowance
from rolecall.plan.guards import CODES
from rolecall.plan.plan import compare
from rolecall.plan.planning import make_plan, plan_of
from worlds import MAIN, NOW, OTHER, SSO_PATH, account, aws_auth, cluster, role, role_arn, trust, user, user_arn, world

TEXT = f"""\
accounts: {{main: {{id: "{MAIN}"}}, sso: {{id: "{OTHER}"}}}}
people:
  ann: {{user: ann, account: main}}
  cho: {{permissionSet: Platform, account: sso}}
roles: {{Viewers: {{account: main, assumableBy: [ann, cho]}}}}
clusters: {{k: {{account: main, region: eu-west-2, name: kubedemy, unlisted: remove}}}}
grants:
  - {{role: Viewers, clusters: k, username: v, groups: [viewers]}}
  - {{person: cho, clusters: k, username: cho, groups: [ops], bindings: [{{clusterRole: view}}]}}
"""
PLATFORM = "AWSReservedSSO_Platform_0123456789abcdef"
PLATFORM_ARN = role_arn(PLATFORM, OTHER, SSO_PATH)
CLUSTER = cluster(
    **{"aws_auth": aws_auth([(role_arn("Viewers"), "v", ["viewers"]), (role_arn(PLATFORM, OTHER), "cho", ["ops"])])}
)
VIEWERS = role("Viewers", trust(user_arn("ann"), PLATFORM_ARN))
HOME = account([user("ann")], [VIEWERS])
GONE = account([], [], OTHER)
SEVERAL = account([], [role(PLATFORM, path=SSO_PATH), role(f"{PLATFORM[:-1]}0", path=SSO_PATH)], OTHER)


@pytest.mark.parametrize("accounts", [(HOME,), (HOME, SEVERAL)], ids=["not read", "two roles"])
def test_who_cannot_be_looked_up_loses_nothing(accounts: tuple[object, ...]) -> None:
    found = compare(parse(TEXT), world(accounts, [CLUSTER]), NOW)  # type: ignore[arg-type]
    assert [one.name for one in found.unresolved] == ["cho"]
    assert not [change for change in found.changes if change.before is not None]
    kept = found.want.values[next(r for r in found.want.values if r.name == "Viewers")]
    assert PLATFORM_ARN in kept["trust"]["Statement"][0]["Principal"]["AWS"]


def test_a_permission_set_that_is_gone_is_a_finding_that_can_be_allowed() -> None:
    there = world([HOME, GONE], [CLUSTER])
    made = make_plan(parse(TEXT), there, NOW)
    [found] = [one for one in made.refusals if one.code == "unresolved-name"]
    assert str(found) == (
        "access.yaml:4:9: cho is left out: the permission set 'Platform' has no role AWSReservedSSO_Platform_* in account 'sso'"
    )
    allowed = make_plan(parse(TEXT), there, NOW, allowances=[Allowance.parse("unresolved-name:cho", CODES)])
    assert not [one for one in allowed.refusals if one.code == "unresolved-name"]


@pytest.mark.parametrize("accounts", [(HOME,), (HOME, SEVERAL), (HOME, GONE)], ids=["not read", "two roles", "gone"])
def test_the_revocation_of_somebody_else_goes_on(accounts: tuple[object, ...]) -> None:
    there = world(accounts, [CLUSTER])  # type: ignore[arg-type]
    draft = Draft.of_text(TEXT, "access.yaml")
    old = compare(draft.loaded(), there, NOW)
    revoked = revoke(draft, Taken("ann", everywhere=True), there)
    new = compare(draft.loaded(), there, NOW)
    part = limited(old, new, About([revoked.arn, new.names.roles["Viewers"].arn], [revoked.arn]), revoked.changes)
    made = plan_of(part)
    assert not [one for one in made.refusals if one.code == "unresolved-name"]
    after = {change.resource.name: change.after for change in made.changes}
    assert user_arn("ann") not in str(after["Viewers"])
    assert (PLATFORM_ARN in str(after["Viewers"])) == (GONE not in accounts)


def test_a_permission_set_that_is_gone_can_itself_be_revoked() -> None:
    draft = Draft.of_text(TEXT, "access.yaml")
    revoke(draft, Taken("cho", everywhere=True), world([HOME, GONE], [CLUSTER]))
    assert "assumableBy: [ann]" in draft.rewritten()[0].after


def test_the_spelling_of_iam_counts_and_is_a_finding() -> None:
    text = TEXT.replace("{user: ann,", "{user: Ann,")
    found = compare(parse(text), world([HOME, SEVERAL], [CLUSTER]), NOW)
    assert [one.what for one in found.unresolved if one.name == "ann"] == ["IAM has the user as 'ann'"]
    assert not [change for change in found.changes if change.before is not None], "ann is not replaced by an Ann"
