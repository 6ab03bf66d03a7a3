"""What plan and apply say if they cannot begin, and a plan as a page and as rows."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from documents import check_document
from rolecall.access.read_world import Failure, Reading
from rolecall.access.world import World
from rolecall.cli.access_as_code import outcome
from rolecall.cli.access_as_code.plan import show
from rolecall.cli.access_as_code.world import nothing_read
from rolecall.cli.main import main
from rolecall.cli.output import Format, PasteFormat
from rolecall.errors import RolecallError
from rolecall.manifest.load import parse
from rolecall.plan.plan import Plan
from rolecall.plan.planning import make_plan
from worlds import MAIN, NOW, OTHER, account, cluster, world

TEXT = f"""\
accounts: {{main: {{id: '{MAIN}'}}}}
people: {{ann: {{user: ann, account: main}}}}
roles: {{admins: {{account: main, assumableBy: [ann]}}}}
clusters: {{k: {{account: main, region: eu-west-2, name: kubedemy}}}}
grants: [{{role: admins, clusters: k, groups: ["a|b"], bindings: [{{clusterRole: view}}]}}]
"""


def planned() -> Plan:
    return make_plan(parse(TEXT), world([account()], [cluster()]), NOW)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["apply", "access.yaml"], "access.yaml: this is an access file, not a plan"),
        (["apply", "nosuch.json"], "nosuch.json: not found"),
        (["apply", "other.json"], "other.json: this is not a plan: "),
        (["apply", "."], ".: the plan cannot be read: is a directory"),
        (["plan", "-f", "none.yaml"], "none.yaml: not found"),
        (["drift", "-f", "none.yaml"], "none.yaml: not found"),
    ],
)
def test_a_file_that_is_not_what_is_asked_for(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "access.yaml").write_text(TEXT)
    (tmp_path / "other.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["rolecall", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert words in capsys.readouterr().err


def test_if_nothing_could_be_read_it_is_one_error_and_each_cause_is_said_once() -> None:
    dead = cluster(unread=("the endpoint does not answer",))
    error = RolecallError("the endpoint does not answer", advice="check the network")
    failures = (Failure(MAIN, error), Failure(OTHER, error))
    nothing = Reading(World(NOW, {}, {dead.arn: dead}), failures=failures)
    found = nothing_read(nothing)
    assert found is not None
    assert str(found).count("the endpoint does not answer") == 1
    assert found.advice == "check the network"
    assert nothing_read(replace(nothing, world=world([account()]))) is None
    assert nothing_read(Reading(World(NOW))) is None


def test_who_does_not_agree_is_told_that_nothing_was_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    with pytest.raises(BaseException) as ended:
        outcome.confirm("Make these changes?", yes=False)
    assert getattr(ended.value, "exit_code", None) == 1
    assert "Nothing was changed." in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(RolecallError, match="cannot ask for confirmation"):
        outcome.confirm("Make these changes?", yes=False)


def test_a_plan_as_markdown_and_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    show(planned(), PasteFormat.markdown)
    page = capsys.readouterr().out
    assert page.startswith("### rolecall plan\n\nPlan: 5 to add")
    assert "#### Effect on access" in page
    assert "group a\\|b" in page
    show(planned(), PasteFormat.csv)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["what"] for row in rows} >= {"user", "role", "aws-auth", "access"}
    assert [row["person"] for row in rows if row["what"] == "access"] == [f"arn:aws:iam::{MAIN}:user/ann"]


def test_a_plan_as_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    show(planned(), Format.json)
    text = capsys.readouterr().out
    assert '"apiVersion": "rolecall/v1"' in text
    assert '"madeAt": "2026-01-01T00:00:00Z"' in text
    assert "null" not in text
    check_document(text)
    for internal in ('"key"', '"gates"', '"follows"', '"reach"'):
        assert internal not in text
