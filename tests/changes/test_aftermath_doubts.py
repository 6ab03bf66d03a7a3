"""What `revoke` says about a way over a policy that was not understood: never "closed", never "no way"."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rolecall.access.effective import EffectiveAccess
from rolecall.access.world import World
from rolecall.changes.aftermath import aftermath, aftermath_lines
from worlds import MAIN, NOW, account, aws_auth, cluster, role, role_arn, trust, user, user_arn, world

ANN, ADMINS = user_arn("ann"), role_arn("Admins")
UNKNOWN = {"Condition": {"StringResembles": {"aws:username": "ann"}}}


def of(*, trusts_ann: bool, **more: object) -> World:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*", **more}
    bridge = replace(
        role("Bridge", trust(ANN)), inline={"p": json.dumps({"Version": "2012-10-17", "Statement": statement})}
    )
    admins = role("Admins", trust(*([ANN] if trusts_ann else []), f"arn:aws:iam::{MAIN}:root"))
    mapped = cluster("c1", "CONFIG_MAP", aws_auth=aws_auth([(ADMINS, "admin", ["system:masters"])]))
    return world([account([user("ann")], [bridge, admins])], [mapped])


@pytest.mark.parametrize("more", [UNKNOWN, {"Surprise": 1}, {"Resource": [None]}, {"Action": ["s3:*", 5]}])
def test_nothing_is_closed_over_what_was_not_understood(more: dict[str, object]) -> None:
    before, after = (EffectiveAccess(of(trusts_ann=trusted, **more)) for trusted in (True, False))
    found = aftermath(before, after, ANN, NOW, done=False, failed={})
    lines = "\n".join(aftermath_lines(found))
    assert "Closed" not in lines
    assert "No way" not in lines
    assert "  May still be open, because not every policy was understood or read:" in lines
    assert f"account {MAIN}, inline policy p of role Bridge, statement 0 may allow this: $.Statement" in lines
    (standing,) = found.to_json()["standing"]
    assert (standing["certain"], standing["doubts"][0]["policy"]) == (False, "inline policy p of role Bridge")


def test_what_means_nothing_leaves_the_way_open() -> None:
    before, after = (
        EffectiveAccess(of(trusts_ann=trusted, Action=["sts:AssumeRole", "s3:GetObject "])) for trusted in (True, False)
    )
    lines = list(aftermath_lines(aftermath(before, after, ANN, NOW, done=True, failed={})))
    assert "  Still open:" in lines
    assert any("through Bridge > Admins" in line and "perhaps" not in line for line in lines)
