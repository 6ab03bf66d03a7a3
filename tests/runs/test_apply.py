"""Runs: killed at any line, resumed, undone, in conflict, failing in part."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit
from typing import Any

import pytest

from rolecall.errors import RolecallError
from rolecall.plan.order import order
from rolecall.plan.resources import Change, Kind, ResourceId, Value
from rolecall.runs.apply import Outcome, apply_changes, compared
from rolecall.runs.journal import Journal, JournalError, Run, State, new_run_name, read_run, run_names
from rolecall.runs.undo import undo_run

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
CLUSTER = "arn:aws:eks:eu-west-2:111122223333:cluster/c{}"


class KilledError(BaseException):
    """Stands for kill -9: nothing more happens in the process."""


class FakeWorld:
    """Resources in a dictionary; ``kill_after`` writes the process dies, before or after the write is in force."""

    def __init__(self, values: dict[ResourceId, Value]) -> None:
        self.values = dict(values)
        self.writes = 0
        self.kill_at: int | None = None
        self.broken: set[str] = set()
        self.lock = threading.Lock()

    def read(self, resource: ResourceId) -> Value | None:
        return self.values.get(resource)

    def change(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        with self.lock:
            if changes[0].resource.place in self.broken:
                raise RolecallError("the cluster does not answer")
            outcomes = []
            for change in changes:
                state = compared(change, self.values.get(change.resource))
                if state is None:
                    self.writes += 1
                    if self.kill_at == self.writes:
                        raise KilledError
                    if change.after is None:
                        self.values.pop(change.resource, None)
                    else:
                        self.values[change.resource] = change.after
                    if self.kill_at == -self.writes:
                        raise KilledError
                outcomes.append(
                    Outcome(change, state or State.DONE, "changed since" if state is State.CONFLICT else "")
                )
            return outcomes


def mapping(number: int, groups: list[str]) -> tuple[ResourceId, dict[str, Any]]:
    arn = "arn:aws:iam::111122223333:role/r"
    return ResourceId(Kind.AWS_AUTH_ROLE, CLUSTER.format(number), arn), {"arn": arn, "username": "u", "groups": groups}


def trust(*names: str) -> dict[str, Any]:
    arns = [f"arn:aws:iam::111122223333:user/{name}" for name in names]
    return {
        "path": "/",
        "tags": {},
        "description": "",
        "maxSessionDuration": 3600,
        "trust": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": arns}, "Action": "sts:AssumeRole"}],
        },
    }


ROLE = ResourceId(Kind.IAM_ROLE, "111122223333", "r")
BEFORE: dict[ResourceId, Value] = {
    ROLE: trust("ann", "bob"),
    **dict(mapping(n, ["view"]) for n in range(6)),
    **dict([mapping(9, ["old"])]),
}
AFTER: dict[ResourceId, Value] = {
    ROLE: trust("bob", "cid"),
    **dict(mapping(n, ["edit"]) for n in range(6)),
    **dict([mapping(7, ["new"])]),
}


def planned(before: dict[ResourceId, Value] = BEFORE, after: dict[ResourceId, Value] = AFTER) -> Run:
    changes = [Change("", r, before.get(r), after.get(r)) for r in {**before, **after}]
    return Run(new_run_name(NOW), "apply", "arn:aws:iam::111122223333:user/me", NOW.isoformat(), order(changes, before))


def test_a_run_makes_its_changes_and_can_be_undone(tmp_path: Path) -> None:
    world = FakeWorld(BEFORE)
    run = planned()
    with Journal.create(tmp_path, run) as journal:
        report = apply_changes(journal, world)
    assert report.complete
    assert world.values == AFTER
    recorded = read_run(tmp_path, run.name)
    assert recorded.complete
    back = undo_run(recorded, world.read, world.values, now=NOW, caller="me")
    with Journal.create(tmp_path, back) as journal:
        assert apply_changes(journal, world).complete
    assert world.values == BEFORE
    assert len(run_names(tmp_path)) == 2


@pytest.mark.parametrize("seed", range(60))
def test_killed_anywhere_it_resumes_or_is_undone(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    world, run = FakeWorld(BEFORE), planned()
    total = len(run.changes)
    world.kill_at = rng.choice([1, -1]) * rng.randint(1, total)
    with pytest.raises(KilledError), Journal.create(tmp_path, run) as journal:
        apply_changes(journal, world, workers=rng.choice([1, 4]))
    path = tmp_path / f"{run.name}.jsonl"
    content = path.read_bytes()
    # The line that was being written when the process died may be there in part.
    if rng.random() < 0.5:
        path.write_bytes(content + b'{"steps":["1"],"st')
    world.kill_at = None
    if rng.random() < 0.5:
        back = undo_run(read_run(tmp_path, run.name), world.read, world.values, now=NOW, caller="me")
        with Journal.create(tmp_path, back) as journal:
            assert apply_changes(journal, world).complete
        assert world.values == BEFORE
    else:
        with Journal.reopen(tmp_path, run.name) as journal:
            assert apply_changes(journal, world).complete
        assert world.values == AFTER
        back = undo_run(read_run(tmp_path, run.name), world.read, world.values, now=NOW, caller="me")
        with Journal.create(tmp_path, back) as journal:
            assert apply_changes(journal, world).complete
        assert world.values == BEFORE


def test_one_clusters_failure_stops_only_what_needs_it(tmp_path: Path) -> None:
    world, run = FakeWorld(BEFORE), planned()
    world.broken.add(CLUSTER.format(3))
    with Journal.create(tmp_path, run) as journal:
        report = apply_changes(journal, world)
    failed = report.of(State.FAILED)
    assert [one.change.resource.place for one in failed] == [CLUSTER.format(3)]
    assert failed[0].why == "the cluster does not answer"
    for number in (0, 1, 2, 4, 5):
        assert world.values[mapping(number, [])[0]]["groups"] == ["edit"]
    # cid would have had the old mapping of cluster 3, so the trust policy stays without them.
    assert "cid" not in str(world.values[ROLE])
    assert "ann" not in str(world.values[ROLE])
    skipped = report.of(State.SKIPPED)
    assert read_run(tmp_path, run.name).why[failed[0].change.key] == "the cluster does not answer"
    assert all("which was not done" in one.why for one in skipped)
    world.broken.clear()
    with Journal.reopen(tmp_path, run.name) as journal:
        assert apply_changes(journal, world).complete
    assert world.values == AFTER


def test_somebody_elses_change_stays(tmp_path: Path) -> None:
    world, run = FakeWorld(BEFORE), planned()
    resource, value = mapping(2, ["theirs"])
    world.values[resource] = value
    with Journal.create(tmp_path, run) as journal:
        report = apply_changes(journal, world)
    assert [one.change.resource for one in report.of(State.CONFLICT)] == [resource]
    assert world.values[resource] == value


def test_an_undo_refuses_what_changed_since(tmp_path: Path) -> None:
    world, run = FakeWorld(BEFORE), planned()
    with Journal.create(tmp_path, run) as journal:
        apply_changes(journal, world)
    resource, value = mapping(2, ["theirs"])
    world.values[resource] = value
    with pytest.raises(JournalError, match="changed since by somebody else: aws-auth-role") as refused:
        undo_run(read_run(tmp_path, run.name), world.read, world.values, now=NOW, caller="me")
    assert "rolecall plan" in refused.value.advice


def test_a_journal_is_private_and_held_by_one_process(tmp_path: Path) -> None:
    run = planned()
    with Journal.create(tmp_path / "runs", run):
        path = tmp_path / "runs" / f"{run.name}.jsonl"
        assert path.stat().st_mode & 0o077 == 0
        assert (tmp_path / "runs").stat().st_mode & 0o077 == 0
        with (
            pytest.raises(JournalError, match="being worked on by another process"),
            Journal.reopen(tmp_path / "runs", run.name),
        ):
            pass


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "20261125T020000Z-ABCDEF", "20261125T020000Z-abcdef/x"])
def test_a_run_has_a_name_of_one_form(tmp_path: Path, name: str) -> None:
    with pytest.raises(JournalError, match="is not the name of a run"):
        read_run(tmp_path, name)


@pytest.mark.parametrize(
    "content", [b"", b"{}\n", b"[]\n", b'{"format":99}\n', b"\xff\n", b'{"format":1,"changes":[{"key":"1"}]}\n']
)
def test_a_damaged_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    name = new_run_name(NOW)
    (tmp_path / f"{name}.jsonl").write_bytes(content)
    with pytest.raises(JournalError):
        read_run(tmp_path, name)


@pytest.mark.parametrize(
    ("needs", "why"), [("9", "wait for '9', which is not one of them"), ("2", "wait for one another")]
)
def test_steps_that_can_never_begin_are_told(tmp_path: Path, needs: str, why: str) -> None:
    """A plan's file may have been written by hand."""
    resource, value = mapping(1, ["view"])
    other, more = mapping(2, ["view"])
    changes = (Change("1", resource, None, value, (needs,)), Change("2", other, None, more, ("1",)))
    run, world = Run(new_run_name(NOW), "apply", "me", NOW.isoformat(), changes), FakeWorld({})
    with Journal.create(tmp_path, run) as journal:
        try:
            told = apply_changes(journal, world).outcomes[0].why
        except JournalError as error:
            told = error.what
    assert why in told
    assert not world.values


def test_a_run_that_is_killed_before_its_plan_is_written_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("rolecall.runs.journal.os.fsync", killed)
        with pytest.raises(KilledError), Journal.create(tmp_path, planned()):
            pass
    assert list(run_names(tmp_path)) == []
    run = planned()
    with Journal.create(tmp_path, run):
        pass
    assert list(run_names(tmp_path)) == [run.name]
    # A run's name is nobody else's: what is there is never written over.
    with pytest.raises(JournalError, match="file exists"), Journal.create(tmp_path, run):
        pass


def test_a_journal_that_cannot_be_begun_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(JournalError, match=r"cannot be written \(not a directory\), so nothing was changed") as refused,
        Journal.create(tmp_path / "file" / "runs", planned()),
    ):
        pass
    assert "XDG_STATE_HOME" in refused.value.advice


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        setrlimit(RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 10, 100, 300])
def test_a_full_disk_stops_the_run_and_it_can_be_resumed(tmp_path: Path, room: int) -> None:
    """A file that may not grow is refused as a full disk is, after what still fits (write(2), EFBIG and ENOSPC)."""
    world, run = FakeWorld(BEFORE), planned()
    with (
        pytest.raises(JournalError, match="so no further step is made") as stopped,
        Journal.create(tmp_path, run) as journal,
        files_of_at_most((tmp_path / f"{run.name}.jsonl").stat().st_size + room),
    ):
        apply_changes(journal, world)
    assert f"rolecall resume {run.name}" in stopped.value.advice
    if room < 20:
        assert world.values == BEFORE
    assert (tmp_path / f"{run.name}.jsonl").read_bytes().endswith(b"\n")
    with Journal.reopen(tmp_path, run.name) as journal:
        assert apply_changes(journal, world).complete
    assert world.values == AFTER
