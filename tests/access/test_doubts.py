"""A policy that was not understood: no answer about access says "closed", or "open", over it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from rolecall.access.effective import EffectiveAccess
from rolecall.access.effects import effects
from rolecall.access.lingering import lingering, standing
from rolecall.access.reachable import Caller, reach_of_world
from rolecall.access.world import World
from rolecall.iam.account import IamRole
from worlds import MAIN, NOW, OTHER, account, aws_auth, cluster, role, role_arn, trust, user, user_arn, world

ANN, BRIDGE, ADMINS = user_arn("ann"), role_arn("Bridge"), role_arn("Admins")
ROOT = f"arn:aws:iam::{MAIN}:root"
UNKNOWN = {"StringResembles": {"aws:username": "ann"}}


def policy(**more: Any) -> str:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def of(bridge_policy: str, *, admins_trust_ann: bool, **more: Any) -> World:
    """Bridge trusts ann; Admins trusts the account's root, and perhaps ann; the cluster maps Admins alone."""
    admins = role("Admins", trust(*([ANN] if admins_trust_ann else []), ROOT))
    bridge = replace(role("Bridge", trust(ANN)), inline={"p": bridge_policy}, **more)
    return built(bridge, admins)


def built(*roles: IamRole) -> World:
    mapped = cluster("c1", "CONFIG_MAP", aws_auth=aws_auth([(ADMINS, "admin", ["system:masters"])]))
    return world([account([user("ann")], roles)], [mapped])


def test_what_means_nothing_closes_nothing() -> None:
    after = of(policy(Action=["sts:AssumeRole", "s3:GetObject "]), admins_trust_ann=False)
    (way,) = standing(EffectiveAccess(after), ANN)
    assert (way.roles, way.certain, way.doubts) == ((BRIDGE, ADMINS), True, ())


def test_a_way_over_what_is_not_understood_is_neither_open_nor_closed() -> None:
    before, after = (
        EffectiveAccess(of(policy(Condition=UNKNOWN), admins_trust_ann=trusted)) for trusted in (True, False)
    )
    (way,) = standing(after, ANN)
    assert (way.roles, way.certain) == ((BRIDGE, ADMINS), False)
    (doubt,) = way.doubts
    assert (doubt.account, doubt.principal, doubt.policy) == (MAIN, BRIDGE, "inline policy p of role Bridge")
    assert (doubt.statement, doubt.effect) == ("statement 0", "Allow")
    assert doubt.to_json() in way.to_json()["doubts"]
    # What was certain stays certain where a shorter or longer way is not.
    (way,) = standing(before, ANN)
    assert (way.roles, way.certain) == ((ADMINS,), True)
    assert lingering(before, after, ANN, NOW) == ()
    found = effects(before, after)
    assert found.locked_out == ()
    (perhaps,) = found.perhaps_locked_out
    assert (perhaps.person, perhaps.doubts) == (ANN, (doubt,))
    (change,) = found.changes
    assert change.after is not None
    assert (change.after.certain, change.after.doubts) == (False, (doubt,))
    assert found.to_json()["perhapsLockedOut"] == [perhaps.to_json()]


def test_a_denial_that_is_not_understood_leaves_the_way_open_and_is_named() -> None:
    denied = json.loads(policy())
    denied["Statement"].append({**denied["Statement"][0], "Effect": "Deny", "Condition": UNKNOWN})
    (way,) = standing(EffectiveAccess(of(json.dumps(denied), admins_trust_ann=False)), ANN)
    assert (way.certain, [doubt.effect for doubt in way.doubts]) == (False, ["Deny"])


def test_what_was_not_read_is_not_nothing() -> None:
    nothing = policy(Action="s3:GetObject")
    attached = of(nothing, admins_trust_ann=False, attached=("arn:aws:iam::aws:policy/ReadOnlyAccess",))
    (way,) = standing(EffectiveAccess(attached), ANN)
    assert not way.certain
    assert [(doubt.policy, doubt.why) for doubt in way.doubts] == [
        ("policy arn:aws:iam::aws:policy/ReadOnlyAccess of role Bridge", "the policy's document was not read")
    ]
    assert standing(EffectiveAccess(of(nothing, admins_trust_ann=False)), ANN) == ()


def test_a_trust_policy_that_is_not_understood_may_trust_anybody() -> None:
    strange = replace(role("Admins", trust(ROOT)), trust="not JSON")
    access = EffectiveAccess(built(strange))
    (way,) = standing(access, ANN)
    assert (way.roles, way.certain, way.why) == ((ADMINS,), False, "role Admins may trust them")
    assert [(doubt.principal, doubt.policy) for doubt in way.doubts] == [(ADMINS, "trust policy of role Admins")]
    outside = user_arn("eve", OTHER)
    (way,) = standing(access, outside)
    assert (way.certain, len(way.doubts)) == (False, 1)
    reach = access.reached_by(ADMINS)
    assert not any(found.certain for found in reach.values())
    assert reach["everyone *"].doubts


def test_a_caller_hears_what_could_not_be_known_about_a_role() -> None:
    strange = json.loads(role("Admins", trust(ANN)).trust)
    strange["Statement"][0]["Condition"] = UNKNOWN
    found = reach_of_world(built(replace(role("Admins", trust(ANN)), trust=json.dumps(strange))), Caller(ANN))
    (known,) = found.roles
    assert (known.certain, len(known.doubts)) == (False, 1)
    assert found.notes[0].startswith(f"whether role Admins can be assumed is not certain: account {MAIN}, trust policy")
