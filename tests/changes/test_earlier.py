"""Sessions of before an earlier run (IAM user guide, "Revoke IAM role temporary security credentials")."""

from __future__ import annotations

from datetime import timedelta

from rolecall.access.effective import EffectiveAccess
from rolecall.access.lingering import WEBHOOK_CACHE
from rolecall.changes.earlier import Earlier, longest_session, still_inside
from rolecall.plan.actual import role_value
from rolecall.plan.resources import Change, Kind, ResourceId
from worlds import MAIN, NOW, account, aws_auth, cluster, role, role_arn, trust, user, user_arn, world

OPEN, CLOSED = role("R", trust(user_arn("ann"), user_arn("bob"))), role("R", trust(user_arn("bob")))
CHANGE = Change("k", ResourceId(Kind.IAM_ROLE, MAIN, "R"), role_value(OPEN), role_value(CLOSED))
THERE = world([account([user("ann"), user("bob")], [CLOSED])], [cluster(aws_auth=aws_auth([(role_arn("R"), "r", [])]))])


def test_what_a_run_closed_still_works_for_sessions_of_before() -> None:
    access, at = EffectiveAccess(THERE), NOW - timedelta(minutes=20)
    [found] = still_inside(access, [Earlier("run", at, (CHANGE,))], user_arn("ann"), NOW)
    assert found.until == at + timedelta(hours=1) + WEBHOOK_CACHE
    assert still_inside(access, [Earlier("run", at, (CHANGE,))], user_arn("bob"), NOW) == []


def test_a_session_that_has_ended_is_no_way_and_old_runs_are_not_looked_at() -> None:
    access = EffectiveAccess(THERE)
    for ago in (timedelta(minutes=68), timedelta(days=3)):
        assert still_inside(access, [Earlier("run", NOW - ago, (CHANGE,))], user_arn("ann"), NOW) == []


def test_a_mapping_that_was_removed_works_for_as_long_as_the_api_server_caches() -> None:
    resource = ResourceId(Kind.AWS_AUTH_ROLE, THERE.clusters[next(iter(THERE.clusters))].arn, role_arn("R").lower())
    gone = world([account([user("ann")], [OPEN])], [cluster(aws_auth=aws_auth([]))])
    removed = Change("k", resource, {"arn": role_arn("R"), "username": "r", "groups": []}, None)
    access = EffectiveAccess(gone)
    [found] = still_inside(access, [Earlier("run", NOW - timedelta(minutes=2), (removed,))], user_arn("ann"), NOW)
    assert (found.role, found.until) == ("", NOW - timedelta(minutes=2) + WEBHOOK_CACHE)


def test_the_bound_for_sessions_of_which_nothing_is_known() -> None:
    long = world(
        [account([], [role("R", trust(user_arn("bob")), max_session_duration=43_200)])], list(THERE.clusters.values())
    )
    assert longest_session(EffectiveAccess(long), user_arn("ann")) == timedelta(hours=12)
    assert longest_session(EffectiveAccess(world([account()], [cluster()])), user_arn("ann")) == timedelta()
