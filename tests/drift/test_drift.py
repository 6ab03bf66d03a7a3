"""Drift as a value: what differs, what nobody names, who changed it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from lightkube.models.meta_v1 import ManagedFieldsEntry, ObjectMeta
from lightkube.resources.core_v1 import ConfigMap

from rolecall.aws.errors import AwsError
from rolecall.clusters.config_maps import ConfigMapState
from rolecall.drift.authors import NOBODY_SAYS, Author, Authors, manager_of
from rolecall.drift.compare import Difference, drift, report_json, report_lines, report_rows, unlisted, without_drift
from rolecall.manifest.load import parse
from rolecall.plan.plan import compare
from rolecall.plan.resources import Change, Kind, ResourceId
from worlds import MAIN, NOW, account, aws_auth, cluster, cluster_arn, role, role_arn, trust, user, user_arn, world

TEXT = f"""\
accounts: {{main: {{id: "{MAIN}"}}}}
people: {{ann: {{user: ann, account: main}}}}
roles:
  R: {{account: main, assumableBy: [ann], describeClusters: false}}
clusters:
  a: {{account: main, region: eu-west-2}}
  b: {{account: main, region: eu-west-2, unlisted: remove}}
grants:
  - {{role: R, clusters: "*", username: r}}
"""
OTHERS = [(role_arn("nodes"), "node", ["g"])]


def test_every_difference_is_found_both_ways() -> None:
    there = world(
        [account([user("ann")], [role("R", trust(user_arn("bob")))])],
        [
            cluster("a", aws_auth=aws_auth([(role_arn("R"), "other", []), *OTHERS])),
            cluster("b", aws_auth=aws_auth(OTHERS)),
        ],
    )
    planned = compare(parse(TEXT), there, NOW)
    found = {(one.difference, one.change.resource.place.rpartition("/")[2], one.change.resource.name): one.source for one in drift(planned)}  # fmt: skip
    assert found == {
        (Difference.DIFFERENT, MAIN, "R"): "access.yaml:4:3",
        (Difference.DIFFERENT, "a", role_arn("R").lower()): "access.yaml:9:5",
        (Difference.MISSING, "b", role_arn("R").lower()): "access.yaml:9:5",
        (Difference.UNEXPECTED, "b", role_arn("nodes").lower()): "",
    }
    # What the file leaves alone is told apart.
    assert [(one.place.rpartition("/")[2], one.name) for one in unlisted(planned)] == [("a", role_arn("nodes").lower())]
    text = "\n".join(report_lines(planned, drift(planned), without_drift(planned)))
    assert f"! not in the file: aws-auth {role_arn('nodes')}" in text
    assert text.endswith("Drift: 1 missing, 1 not in the file, 2 different, in 1 account, 2 clusters.")


def test_what_could_not_be_looked_at_is_named_and_never_looks_the_same() -> None:
    there = world([account([user("ann")], [role("R")])], [cluster("a", aws_auth=aws_auth([(role_arn("R"), "r", [])]))])
    planned = compare(parse(TEXT), there, NOW)
    assert drift(planned) == ()
    found = report_json(planned, (), without_drift(planned))
    assert found["notRead"] == [{"place": cluster_arn("b"), "why": "the cluster 'b' was not read"}]
    assert [*report_lines(planned, (), without_drift(planned))][
        -1
    ] == "No drift found in 1 account, 1 cluster. 1 thing could not be compared."
    away = replace(there, clusters={one: replace(state, unread=("timeout",)) for one, state in there.clusters.items()})
    unread = compare(parse(TEXT), away, NOW)
    assert "! not read: cluster a (eu-west-2, account 231144931069): timeout" in [
        *report_lines(unread, (), without_drift(unread))
    ]


@pytest.mark.parametrize(
    ("groups", "now"),
    [
        (["system:masters"], ["username r", "group system:masters"]),
        (["g"], ["username r", "group g"]),
        ([], ["username r"]),
    ],
)
def test_what_there_is_stands_beside_what_the_file_says(groups: list[str], now: list[str]) -> None:
    """Drift shows what happened, not what an apply would do: the sign of a plan is the wrong way round here."""
    text = TEXT.replace("username: r", "username: r, groups: [v]")
    there = world(
        [account([user("ann")], [role("R", trust(user_arn("ann")))])],
        [cluster(name, aws_auth=aws_auth([(role_arn("R"), "r", groups)])) for name in ("a", "b")],
    )
    planned = compare(parse(text), there, NOW)
    found = drift(planned)
    assert [len(one.now) for one in found] == [len(now)] * 2
    lines = [*report_lines(planned, found, without_drift(planned))]
    assert lines[0] == "Effect on access: what people have now, compared with the file"
    at = next(index for index, line in enumerate(lines) if line.startswith("      now:"))
    assert "group v" in "\n".join(lines[at:]).partition("file:")[2]
    assert ("system:masters" in lines[at + 1]) == (groups == ["system:masters"])


def test_the_gravest_comes_first() -> None:
    masters = [(role_arn("R"), "r", ["system:masters"])]
    there = world(
        [account([user("ann")], [role("R", trust(user_arn("ann")))])],
        [cluster("a", aws_auth=aws_auth([])), cluster("b", aws_auth=aws_auth(masters))],
    )
    found = drift(compare(parse(TEXT), there, NOW))
    assert [one.difference for one in found] == [Difference.DIFFERENT, Difference.MISSING]
    assert "system:masters" in report_rows(found)[0][3]


class FakeClients:
    """Clients of AWS of which CloudTrail alone is asked."""

    def __init__(self, events: dict[str, list[dict[str, Any]]] | None) -> None:
        self.events, self.asked = events, 0

    def caller_arn(self, account: str = "") -> str:
        return user_arn("me")

    def client(self, account: str, service: str, region: str = "") -> Any:
        assert service == "cloudtrail"
        self.region = region
        return self

    def lookup_events(self, LookupAttributes: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803
        self.asked += 1
        if self.events is None:
            raise AwsError("LookupEvents: AccessDeniedException: no", code="AccessDeniedException")
        return {"Events": self.events.get(LookupAttributes[0]["AttributeValue"], [])}


class FakeLive:
    def __init__(self, clients: FakeClients) -> None:
        self.clients = clients


def event(who: str, parameters: str) -> dict[str, Any]:
    text = f'{{"userIdentity": {{"arn": "{who}"}}, "requestParameters": {parameters}}}'
    return {"EventTime": datetime(2026, 1, 1, tzinfo=UTC), "EventName": "E", "CloudTrailEvent": text}


ENTRY = ResourceId(Kind.ACCESS_ENTRY, cluster_arn("a"), role_arn("R"))


@pytest.mark.parametrize(
    ("resource", "gone", "name", "parameters"),
    [
        (ResourceId(Kind.IAM_ROLE, MAIN, "R"), False, "UpdateAssumeRolePolicy", '{"roleName": "R"}'),
        (ResourceId(Kind.IAM_ROLE, MAIN, "R"), True, "DeleteRole", '{"roleName": "r"}'),
        (ResourceId(Kind.IAM_ROLE_POLICY, MAIN, "R/p"), False, "PutRolePolicy", '{"roleName": "R", "policyName": "p"}'),
        (ResourceId(Kind.IAM_USER, MAIN, "u"), True, "DeleteUser", '{"userName": "u"}'),
        (ENTRY, False, "UpdateAccessEntry", f'{{"name": "a", "principalArn": "{role_arn("R")}"}}'),
        (ENTRY, True, "DeleteAccessEntry", f'{{"name": "a", "principalArn": "{role_arn("R").replace(":", "%3A").replace("/", "%2F")}"}}'),
    ],
)  # fmt: skip
def test_the_trail_names_who_did_it(resource: ResourceId, gone: bool, name: str, parameters: str) -> None:
    clients = FakeClients({name: [event(user_arn("other"), '{"roleName": "X", "name": "b"}'), event(user_arn("bob"), parameters)]})  # fmt: skip
    found = Authors(FakeLive(clients)).of(Change("", resource, None if gone else {"x": 1}, {"x": 2}))  # type: ignore[arg-type]
    assert found == Author(user_arn("bob"), "2026-01-01T00:00:00Z", "CloudTrail, E")
    # IAM's events are in one region (CloudTrail user guide, "Global service events").
    assert clients.region == ("eu-west-2" if resource.kind is Kind.ACCESS_ENTRY else "us-east-1")


def test_a_trail_that_refuses_is_asked_once_and_nobody_is_made_up() -> None:
    clients = FakeClients(None)
    authors = Authors(FakeLive(clients))  # type: ignore[arg-type]
    for name in ("R", "S"):
        said = authors.of(Change("", ResourceId(Kind.IAM_ROLE, MAIN, name), {"x": 1}, None))
        assert said == "CloudTrail: LookupEvents: AccessDeniedException: no"
    assert clients.asked == 1
    quiet = Authors(FakeLive(FakeClients({})))  # type: ignore[arg-type]
    assert quiet.of(Change("", ENTRY, {"x": 1}, None)) == "CloudTrail has no event about it in the last 90 days"
    binding = ResourceId(Kind.CLUSTER_ROLE_BINDING, cluster_arn("a"), "b")
    assert quiet.of(Change("", binding, {"x": 1}, None)) == NOBODY_SAYS


def test_the_program_that_wrote_a_section_last_is_named() -> None:
    def entry(manager: str, minute: int, *sections: str) -> ManagedFieldsEntry:
        time = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
        fields = {"f:data": {f"f:{section}": {} for section in sections}}
        return ManagedFieldsEntry(manager=manager, operation="Update", time=time, fieldsV1=fields)

    def state(*entries: ManagedFieldsEntry) -> ConfigMapState:
        return ConfigMapState(found=ConfigMap(metadata=ObjectMeta(managedFields=list(entries))))

    both = state(entry("eksctl", 1, "mapRoles"), entry("kubectl-edit", 2, "mapRoles"), entry("x", 3, "mapUsers"))
    assert manager_of(both, "mapRoles") == Author(
        "kubectl-edit", "2026-01-01T00:02:00Z", "managedFields of the ConfigMap, Update"
    )
    # Nobody owns a section that was taken out: whoever wrote last did it.
    gone = manager_of(state(entry("a", 1, "mapUsers"), entry("b", 2, "mapUsers")), "mapRoles")
    assert gone is not None
    assert gone.who == "b"
    assert manager_of(ConfigMapState(), "mapRoles") is None
