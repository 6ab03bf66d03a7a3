"""The record that the procedure ends with (facts of the procedure, step 7), from a plan's effects."""

from __future__ import annotations

from rolecall.runs.record import records

USER = "arn:aws:iam::231144931069:user/team/kubedemy"
ROLE = "arn:aws:iam::231144931069:role/Admins"
CLUSTER = "arn:aws:eks:eu-west-2:231144931069:cluster/kubedemy"


def gain(people: list[str], roles: list[str]) -> dict[str, object]:
    seat = {"roles": roles, "needs": [], "username": "admin:{{SessionName}}", "groups": ["admins"], "permissions": []}
    return {"cluster": CLUSTER, "principal": ROLE, "before": None, "after": seat, "people": people}


def test_a_gain_is_a_record() -> None:
    (found,) = records({"gains": [gain([USER], [ROLE])], "losses": [gain(["other"], [ROLE])]})
    assert found.to_json() == {
        "person": USER, "roles": [ROLE], "cluster": CLUSTER, "username": "admin:{{SessionName}}", "groups": ["admins"]
    }  # fmt: skip
    assert found.cells() == ("kubedemy", "Admins", "kubedemy", "admin:{{SessionName}}", "admins")
    assert found.rows() == (
        ("IAM user name", "kubedemy"),
        ("IAM user ARN", USER),
        ("Role name", "Admins"),
        ("Role ARN", ROLE),
        ("Cluster", "kubedemy"),
        ("Username in the cluster", "admin:{{SessionName}}"),
        ("Groups in the cluster", "admins"),
    )


def test_somebody_mapped_without_a_role_and_somebody_known_by_name_alone() -> None:
    first, second = records({"changes": [gain([USER, "a service"], [])]})
    assert [name for name, _ in first.rows()] == [
        "IAM user name",
        "IAM user ARN",
        "Cluster",
        "Username in the cluster",
        "Groups in the cluster",
    ]
    assert second.rows()[0] == ("IAM user name", "a service")


def test_who_only_lost_permissions_has_no_record() -> None:
    """The record is of who got in as what, and ends what gives access."""
    view = {"text": "ClusterRole view", "by": "group admins", "admin": False}
    after = gain([USER], [ROLE])
    seat = dict(after["after"])  # type: ignore[call-overload]
    less = {**after, "before": {**seat, "permissions": [view]}}
    more = {**after, "before": seat, "after": {**seat, "permissions": [view]}}
    other = {**after, "before": {**seat, "username": "x", "permissions": [view]}}
    assert [len(list(records({"changes": [one]}))) for one in (less, more, other)] == [0, 1, 1]


def test_nobody_is_left_out() -> None:
    """The record is the audit trail of a grant."""
    assert len(list(records({"gains": [gain([f"p{number}" for number in range(500)], [])]}))) == 500
    assert list(records({})) == []
