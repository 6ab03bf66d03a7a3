"""How long sessions live on after their access was taken away, and which ways are still open.

Durations: STS API reference, AssumeRole ("DurationSeconds"; role chaining limits a session to one hour).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rolecall.access.effective import EffectiveAccess
from rolecall.access.lingering import CHAINED, WEBHOOK_CACHE, lingering, session_ends, standing
from rolecall.access.world import World
from rolecall.iam.account import IamRole
from worlds import MAIN, NOW, OTHER, account, aws_auth, cluster, role, role_arn, trust, user, user_arn, world

ANN = user_arn("ann")
ROOT = f"arn:aws:iam::{MAIN}:root"
HOUR = timedelta(hours=1)
ALLOWS_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}'


def of(*roles: IamRole, mapped: Any = None, users: Any = ("ann", "bob"), mode: str = "CONFIG_MAP") -> World:
    """One cluster that maps every role to its own name, unless said otherwise."""
    names = [one.name for one in roles] if mapped is None else mapped
    data = aws_auth([(role_arn(name), name, ["g"]) for name in names])
    return world([account([user(name) for name in users], roles)], [cluster("c", mode, aws_auth=data)])


def ends(before: World, after: World, person: str = ANN) -> dict[str, Any]:
    """By name of the role: how long after now its last session ends."""
    first, then = EffectiveAccess(before), EffectiveAccess(after)
    found = session_ends(first.graph, then.graph, person, NOW)
    return {arn.rpartition("/")[2]: (end - NOW if end else None) for arn, end in found.items()}


@pytest.mark.parametrize("hours", [1, 4, 12])
def test_a_session_lives_until_its_own_end(hours: int) -> None:
    before = of(role("R", trust(ANN, user_arn("bob")), max_session_duration=hours * 3600))
    after = of(role("R", trust(user_arn("bob")), max_session_duration=3600))
    assert ends(before, after) == {"R": hours * HOUR}
    [found] = lingering(EffectiveAccess(before), EffectiveAccess(after), ANN, NOW)
    assert (found.role, found.user.username) == (role_arn("R"), "R")
    assert found.until == NOW + hours * HOUR + WEBHOOK_CACHE
    assert standing(EffectiveAccess(after), ANN) == ()


def test_whoever_never_could_has_nothing_left() -> None:
    before = of(role("R", trust(user_arn("bob"))))
    after = of(role("R", trust(user_arn("cid"))))
    assert ends(before, after) == {}
    assert lingering(EffectiveAccess(before), EffectiveAccess(after), ANN, NOW) == ()


def test_sessions_of_a_role_that_is_gone_are_worth_nothing() -> None:
    before, after = of(role("R", trust(ANN))), of()
    assert ends(before, after) == {}
    # Only what the API server remembers is left.
    [found] = lingering(EffectiveAccess(before), EffectiveAccess(after), ANN, NOW)
    assert (found.role, found.until) == ("", NOW + WEBHOOK_CACHE)


def test_where_the_mapping_is_gone_only_the_cache_is_left() -> None:
    before = of(role("R", trust(ANN), max_session_duration=43200))
    after = of(role("R", trust(user_arn("bob"))), mapped=[])
    [found] = lingering(EffectiveAccess(before), EffectiveAccess(after), ANN, NOW)
    assert (found.role, found.until) == ("", NOW + WEBHOOK_CACHE)


def test_a_live_session_assumes_the_next_role_until_its_end() -> None:
    last = role("Last", trust(role_arn("First")), max_session_duration=43200)
    before = of(role("First", trust(ANN), max_session_duration=4 * 3600), last)
    after = of(role("First", trust(user_arn("bob")), max_session_duration=4 * 3600), last)
    # In the fourth hour a session of Last may begin, which role chaining limits to one hour.
    assert ends(before, after) == {"First": 4 * HOUR, "Last": 4 * HOUR + CHAINED}


def test_where_the_second_link_is_cut_too_its_sessions_live_one_hour() -> None:
    before = of(role("First", trust(ANN), max_session_duration=4 * 3600), role("Last", trust(role_arn("First"))))
    after = of(role("First", trust(user_arn("bob"))), role("Last", trust(user_arn("bob"))))
    assert ends(before, after) == {"First": 4 * HOUR, "Last": CHAINED}


def test_somebody_who_is_a_role_has_chained_sessions_of_one_hour() -> None:
    me = role("AWSReservedSSO_X_0123456789abcdef", trust(user_arn("x")))
    before = of(me, role("R", trust(me.arn), max_session_duration=43200), mapped=["R"])
    after = of(me, role("R", trust(ANN), max_session_duration=43200), mapped=["R"])
    assert ends(before, after, me.arn) == {"R": HOUR}


@pytest.mark.parametrize(
    "circle",
    [
        {"Loop": ["Loop"]},
        {"Loop": ["Other"], "Other": ["Loop"]},
        {"Loop": ["Other"], "Other": ["Third"], "Third": ["Loop"]},
    ],
)
def test_roles_that_trust_each_other_in_a_circle_have_no_end(circle: dict[str, list[str]]) -> None:
    def roles(*people: str) -> list[IamRole]:
        return [
            role(name, trust(*(role_arn(one) for one in sources), *(people if name == "Loop" else ())))
            for name, sources in circle.items()
        ]

    behind = role("Behind", trust(role_arn("Loop")))
    before, after = of(*roles(ANN), behind), of(*roles(user_arn("bob")), behind)
    found = ends(before, after)
    assert set(found) == {*circle, "Behind"}
    assert set(found.values()) == {None}
    assert all(one.until is None for one in lingering(EffectiveAccess(before), EffectiveAccess(after), ANN, NOW))


def test_a_circle_that_nobody_can_enter_from_there_changes_nothing() -> None:
    loop = role("Loop", trust(role_arn("Loop")))
    before = of(role("R", trust(ANN)), loop)
    assert ends(before, of(role("R", trust(user_arn("bob"))), loop)) == {"R": HOUR}


def test_a_way_that_is_still_open_is_told_with_its_reason() -> None:
    ann = user("ann", inline={"all": ALLOWS_ALL})
    wide = role("Wide", trust(ROOT))
    after = world([account([ann], [wide])], [cluster("c", aws_auth=aws_auth([(wide.arn, "wide", ["g"])]))])
    [found] = standing(EffectiveAccess(after), ANN)
    assert found.why == "role Wide trusts the whole account, and their own policies allow them to assume it"
    assert (found.roles, found.certain, found.user.username) == ((wide.arn,), True, "wide")
    # What is open is no remainder.
    access = EffectiveAccess(after)
    assert lingering(access, access, ANN, NOW) == ()


def test_somebody_who_is_mapped_themselves_is_still_in() -> None:
    after = world([account([user("ann")])], [cluster("c", aws_auth=aws_auth((), [(ANN, "ann", ["g"])]))])
    [found] = standing(EffectiveAccess(after), ANN)
    assert (found.roles, found.why) == ((), "it is mapped itself")


def test_of_an_account_that_was_not_read_only_the_names_are_known() -> None:
    far = user_arn("far", OTHER)
    before = of(role("R", trust(far), max_session_duration=7200), role("W", trust(f"arn:aws:iam::{OTHER}:root")))
    after = of(role("R", trust(ANN), max_session_duration=7200), role("W", trust(f"arn:aws:iam::{OTHER}:root")))
    [left] = lingering(EffectiveAccess(before), EffectiveAccess(after), far, NOW)
    assert (left.role, left.until) == (role_arn("R"), NOW + 2 * HOUR + WEBHOOK_CACHE)
    [still] = standing(EffectiveAccess(after), far)
    assert (still.roles, still.certain) == ((role_arn("W"),), False)
    assert still.why == f"role W trusts the whole account {OTHER}, whose policies are not known here"
