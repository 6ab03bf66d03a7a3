"""What a journal says is shown, worked out again or compared before it has an effect; what it cannot say is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rolecall.mapping.editing.aws_auth_text import Removed, RemovedEntry, remove_entry
from rolecall.mapping.reading.aws_auth import parse_aws_auth
from rolecall.plan.order import order, reordered, strange_step
from rolecall.plan.resources import Change, Kind, ResourceId
from rolecall.runs.journal import Journal, JournalError, Run, State, read_run
from rolecall.runs.live import edited
from rolecall.runs.reach import reach_lines

ACCOUNT = "111122223333"
CLUSTER = f"arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/c1"
ARN = f"arn:aws:iam::{ACCOUNT}:role/Viewers"
STRANGER = "- rolearn: arn:aws:iam::999999999999:role/Stranger\n  username: s\n  groups: [system:masters]\n"
VIEWERS = f"# ours\n- rolearn: {ARN}\n  username: v\n  groups: [viewers]\n"
OTHERS = f"- rolearn: arn:aws:iam::{ACCOUNT}:role/Others\n  username: o\n"
BACK = Change(
    "1",
    ResourceId(Kind.AWS_AUTH_ROLE, CLUSTER, ARN.lower()),
    None,
    {"arn": ARN, "username": "v", "groups": ["viewers"]},
)


def taken(**changed: Any) -> str:
    """What a removal of Viewers keeps for its undo, with members of its entry changed."""
    new, removed = remove_entry({"mapRoles": OTHERS + VIEWERS}, "mapRoles", ARN)
    assert new["mapRoles"].startswith(OTHERS)
    entry = {**removed.as_json()["entries"][0], **changed}
    return json.dumps({**removed.as_json(), "entries": [entry]})


def entries(data: Mapping[str, str]) -> list[Any]:
    return [(one.section, one.arn, one.username, one.groups) for one in parse_aws_auth(data).entries]


class TestPuttingBack:
    data = remove_entry({"mapRoles": OTHERS + VIEWERS}, "mapRoles", ARN)[0]

    def back(self, text: str, data: Mapping[str, str] | None = None) -> Mapping[str, str]:
        change = Change(BACK.key, BACK.resource, None, BACK.after, text=text)
        found, outcome = edited(data or self.data, change)
        assert outcome.state is State.DONE
        return found

    def test_an_entry_returns_to_its_place(self) -> None:
        assert self.back(taken()) == {"mapRoles": OTHERS + VIEWERS}

    @pytest.mark.parametrize(
        "text",
        [
            taken(text=VIEWERS + STRANGER),
            taken(text=f"- rolearn: {ARN}\n  username: v\n  groups: [viewers, system:masters]\n"),
            taken(text=f"- rolearn: {ARN}\n  username: v\n  groups: [system:masters]\n" + VIEWERS),
            taken(text=f"- rolearn: {ARN}\n  username: v\n  groups: [viewers]\n---\n" + STRANGER),
            taken(text="", offset=-30),
            taken(offset="x"),
            json.dumps(
                Removed("mapUsers", "", (RemovedEntry(0, "", ARN, "v", ("viewers",), 0, 0, STRANGER),)).as_json()
            ),
            "{}",
            "[" * 100_000,
            "null",
        ],
    )
    def test_nothing_else_does(self, text: str) -> None:
        """Every entry of every section is compared before and after; what was not shown is not done."""
        found = self.back(text)
        assert sorted(entries(found)) == sorted([*entries(self.data), ("mapRoles", ARN, "v", ("viewers",))])
        assert found.keys() == {"mapRoles"}

    def test_a_section_that_the_change_is_not_of_stays(self) -> None:
        data = {**self.data, "mapUsers": "", "mapAccounts": ""}
        found = self.back(taken(), data)
        assert {key: found[key] for key in ("mapUsers", "mapAccounts")} == {"mapUsers": "", "mapAccounts": ""}


def role(*people: str, **more: Any) -> dict[str, Any]:
    arns = [f"arn:aws:iam::{ACCOUNT}:user/{one}" for one in people]
    allow = {"Effect": "Allow", "Principal": {"AWS": arns}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [allow]}
    return {"path": "/", "tags": {}, "description": "", "maxSessionDuration": 3600, "trust": trust, **more}


ROLE = ResourceId(Kind.IAM_ROLE, ACCOUNT, "r")
BINDING = ResourceId(Kind.CLUSTER_ROLE_BINDING, CLUSTER, "b")
STEPS = order(
    [Change("", ROLE, role("ann", "bob"), role("bob", "cid")), Change("", BACK.resource, None, BACK.after)], {}
)


def head(**changed: Any) -> dict[str, Any]:
    run = {"name": "20261125T021530Z-4f2a9c", "what": "apply", "caller": "", "at": "2026-11-25T02:15:30+00:00",
           "undoes": "", "reach": {}, "allowed": []}  # fmt: skip
    steps = [
        {"key": one.key, "resource": {"kind": one.resource.kind.value, "place": one.resource.place,
         "name": one.resource.name}, "before": one.before, "after": one.after, "needs": list(one.needs),
         "follows": list(one.follows), "gates": list(one.gates), "text": ""}
        for one in STEPS
    ]  # fmt: skip
    return {"format": 1, **run, "changes": steps, **changed}


def read(folder: Path, first: Any, *lines: Any, raw: str = "") -> Any:
    name = "20261125T021530Z-4f2a9c"
    text = raw or "".join(f"{json.dumps(line)}\n" for line in (first, *lines))
    (folder / f"{name}.jsonl").write_text(text)
    return read_run(folder, name)


def test_a_journal_is_read(tmp_path: Path) -> None:
    recorded = read(tmp_path, head(), {"steps": ["1"], "state": "done"})
    assert recorded.run.changes == STEPS
    assert len(recorded.left()) == len(STEPS) - 1


STEP = head()["changes"][0]


@pytest.mark.parametrize(
    "changed",
    [
        {"changes": [STEP, STEP]},
        {"changes": [{**STEP, "key": 1}]},
        {"changes": [{**STEP, "text": {}}]},
        {"changes": [{**STEP, "after": role("mallory")}, *head()["changes"][1:]]},
        {"changes": [{**STEP, "resource": {**STEP["resource"], "name": "../r"}}]},
        {"name": "20261125T021530Z-ffffff"},
        {"at": "yesterday"},
        {"what": ["x"]},
        {"caller": None},
        {"reach": 1},
        {"allowed": [1]},
        {"more": 1},
        {"undoes": 7},
    ],
)
def test_a_head_that_no_run_writes_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(JournalError, match=r"cannot be read"):
        read(tmp_path, head(**changed))


@pytest.mark.parametrize(
    "raw", ["[" * 100_000 + "\n", "\n", "1\n", "null\n", "[]\n", '{"format":1}\n', "1" * 5_000 + "\n", "\ud83d\n"]
)
def test_rubbish_is_refused_with_a_sentence(tmp_path: Path, raw: str) -> None:
    path = tmp_path / "20261125T021530Z-4f2a9c.jsonl"
    path.write_bytes(raw.encode(errors="surrogatepass"))
    with pytest.raises(JournalError):
        read_run(tmp_path, path.stem)


@pytest.mark.parametrize("line", ["[" * 100_000, "1", '{"steps": 1, "state": "done"}', '{"steps": [[]], "state": "x"}'])
def test_a_line_of_rubbish_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(JournalError):
        read(tmp_path, None, raw=f"{json.dumps(head())}\n{line}\n")


class TestSteps:
    """What is done between the value that is shown first and the one that is shown last."""

    def test_those_of_an_order_are_its_own(self) -> None:
        policy = ResourceId(Kind.IAM_ROLE_POLICY, ACCOUNT, "r/p")
        two, one = ResourceId(Kind.IAM_ROLE, ACCOUNT, "two"), ResourceId(Kind.IAM_ROLE, ACCOUNT, "one")
        linked = role()
        linked["trust"]["Statement"][0]["Principal"]["AWS"] = [f"arn:aws:iam::{ACCOUNT}:role/one"]

        def document(*actions: str) -> dict[str, Any]:
            return {"document": {"Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}}

        changes = [
            Change("", ROLE, role("ann", "bob"), role("bob", "cid")),
            Change("", policy, document("a:B", "c:D"), document("c:D", "e:F")),
            Change("", ResourceId(Kind.IAM_ROLE, ACCOUNT, "gone"), role("ann"), None),
            Change("", one, None, role("ann")),
            Change("", two, None, linked),
        ]
        steps = order(changes, {})
        assert len(steps) > len(changes)
        assert strange_step(steps) is None

    @pytest.mark.parametrize(
        ("before", "between", "after"),
        [
            (role("ann"), role("mallory"), role("ann", "bob")),
            (role("ann", "bob"), role("ann", "bob", "mallory"), role("ann")),
            (None, role("mallory"), role("ann")),
            (role("ann"), role("mallory"), None),
            (role("ann"), None, role("ann", "bob")),
        ],
    )
    def test_a_value_in_between_that_gives_more_is_strange(self, before: Any, between: Any, after: Any) -> None:
        steps = [Change("1", ROLE, before, between), Change("2", ROLE, between, after)]
        assert strange_step(steps) == ROLE

    def test_steps_that_do_not_meet_are_strange(self) -> None:
        steps = [Change("1", ROLE, role("ann", "bob"), role("bob")), Change("2", ROLE, role("cid"), role("bob", "cid"))]
        assert strange_step(steps) == ROLE

    def test_an_order_in_a_journal_counts_for_nothing(self) -> None:
        forged = [Change(one.key, one.resource, one.before, one.after) for one in reversed(STEPS)]
        assert reordered(forged, {}) == STEPS


def test_a_resumed_run_takes_the_order_that_it_is_given(tmp_path: Path) -> None:
    run = Run("20261125T021530Z-4f2a9c", "apply", "", "2026-11-25T02:15:30+00:00", STEPS)
    with Journal.create(tmp_path, run) as journal:
        journal.note(["1"], State.DONE)
    with Journal.reopen(tmp_path, run.name) as journal:
        with pytest.raises(JournalError, match="has gone on meanwhile"):
            journal.go_on(STEPS)
        journal.go_on(reordered(STEPS[1:], {}))
        assert [one.key for one in journal.run.changes] == [one.key for one in STEPS]
        assert journal.run.changes[0].needs == ()


def test_how_a_place_is_reached_is_said() -> None:
    reach = {
        "accounts": [{"account": ACCOUNT, "profile": "other\x1b[2K", "role_arn": f"arn:aws:iam::{ACCOUNT}:role/x"}],
        "contexts": {CLUSTER: "elsewhere"},
        "clusters": {CLUSTER: "staging"},
    }
    assert list(reach_lines(reach, [CLUSTER])) == [
        "Reached",
        f"  account {ACCOUNT} by profile other\\u001b[2K, role arn:aws:iam::{ACCOUNT}:role/x",
        f'  cluster {CLUSTER} by context "elsewhere", called "staging" here',
    ]
    usual = {"accounts": [{"account": ACCOUNT, "region": "eu-west-1"}], "clusters": {CLUSTER: "c1"}, "contexts": {}}
    assert list(reach_lines(usual, [CLUSTER, ACCOUNT])) == []
