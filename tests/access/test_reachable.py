"""What one caller reaches in a world as it was read.

Sources: EKS user guide, "Grant IAM users access to Kubernetes with a ConfigMap" (a role's ARN has no path there);
aws-iam-authenticator v0.7 ``pkg/arn/arn.go`` (what a cluster sees of a session).
"""

from __future__ import annotations

from rolecall.access.reachable import Caller, Reach, merged, reach_of_world
from worlds import MAIN, OTHER, account, aws_auth, cluster, entry, role, role_arn, trust, user, user_arn, world

ANN = Caller(user_arn("ann"))
OPS = role("Ops", trust(user_arn("ann"), StringEquals={"sts:ExternalId": "x-1"}), path="/team/")
IDLE, BOBS = role("Idle"), role("Bobs", trust(user_arn("bob")))
HOME = account([user("ann"), user("bob")], [OPS, IDLE, BOBS])
MAPPED = aws_auth([(role_arn("Ops"), "ops", ["g"]), (role_arn("Bobs"), "bobs", ["g"])])


def found(reach: Reach) -> list[tuple[str, str]]:
    return [(one.cluster.name, one.role.principal.name if one.role else "") for one in reach.clusters]


def test_roles_that_can_be_assumed_and_that_the_cluster_maps() -> None:
    reach = reach_of_world(world([HOME], [cluster(mode="API", entries=(entry(OPS.arn, "ops"),))]), ANN)
    assert sorted(one.principal.name for one in reach.roles) == ["Idle", "Ops"]
    assert found(reach) == [("kubedemy", "Ops")]
    ops = reach.clusters[0].role
    assert ops is not None
    assert (ops.external_id, ops.max_duration, ops.certain) == ("x-1", 3600, True)


def test_whoever_the_kubernetes_api_answered_is_mapped() -> None:
    # ann reads aws-auth without being in it: she made the cluster.
    assert found(reach_of_world(world([HOME], [cluster(aws_auth=MAPPED)]), ANN)) == [
        ("kubedemy", ""),
        ("kubedemy", "Ops"),
    ]


def test_a_role_is_the_same_with_its_path_and_without() -> None:
    session = Caller(role_arn("Ops"))
    entries = (entry(OPS.arn, "ops"),)
    assert found(reach_of_world(world([HOME], [cluster(mode="API", entries=entries)]), session)) == [("kubedemy", "")]
    assert found(reach_of_world(world([HOME], [cluster(mode="API", entries=entries)]), Caller(role_arn("Idle")))) == []
    elsewhere = Caller(role_arn("Ops", OTHER))
    assert found(reach_of_world(world([HOME], [cluster(mode="API", entries=entries)]), elsewhere)) == []


def test_what_was_not_read_is_said() -> None:
    reach = reach_of_world(world([HOME], [cluster(unread=("aws-auth: forbidden\nask for it",))]), ANN)
    assert found(reach) == [("kubedemy", "")]
    assert reach.notes == (
        "whom cluster kubedemy maps could not be read, so roles are left out there: aws-auth: forbidden",
    )
    # Without IAM the caller is all that is known.
    nothing = account(ident=OTHER)
    assert found(reach_of_world(world([nothing], [cluster(unread=("no",))]), ANN)) == [("kubedemy", "")]


def test_only_roles_that_are_asked_for() -> None:
    known = world([HOME], [cluster(aws_auth=MAPPED)])
    for name in ("Ops", OPS.arn):
        assert found(reach_of_world(known, ANN, (name,))) == [("kubedemy", "Ops")]
    assert found(reach_of_world(known, ANN, ("Bobs",))) == []


def test_of_two_ways_to_be_the_same_the_first_counts() -> None:
    known = world([HOME], [cluster(mode="API", entries=(entry(OPS.arn, "ops"),))])
    as_ann, as_ops = (reach_of_world(known, Caller(arn, profile)) for arn, profile in ((ANN.arn, "a"), (role_arn("Ops"), "b")))  # fmt: skip
    for order, profile in (((as_ann, as_ops), "a"), ((as_ops, as_ann), "b")):
        [one] = merged(order).clusters
        assert one.caller.profile == profile
        assert one.cluster.account == MAIN
