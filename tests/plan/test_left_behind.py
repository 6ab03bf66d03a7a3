"""Lines that are taken out of the file take nothing away, and plan says so."""

from __future__ import annotations

from dataclasses import replace

from rolecall.manifest.load import parse
from rolecall.plan.findings import Finding
from rolecall.plan.left_behind import left_behind
from rolecall.plan.plan import compare, ordered
from rolecall.plan.resources import MAPPING_KINDS, Kind, ResourceId
from rolecall.plan.simulate import with_changes
from rolecall.runs.journal import Recorded, Run, State, made_for
from worlds import MAIN, NOW, account, cluster, world

BEFORE = f"""\
accounts: {{main: {{id: '{MAIN}'}}}}
people: {{ann: {{user: ann, account: main}}, bob: {{user: bob, account: main}}}}
roles: {{Developers: {{account: main, assumableBy: [ann]}}, Viewers: {{account: main, assumableBy: [ann]}}}}
clusters: {{k: {{account: main, region: eu-west-2, name: kubedemy}}}}
grants:
- {{role: Developers, clusters: k, groups: [devs]}}
- {{role: Viewers, clusters: k, groups: [viewers]}}
"""
FILE = "/x/access.yaml"


def recorded() -> Recorded:
    changes = ordered(compare(parse(BEFORE), world([account()], [cluster()]), NOW))
    run = Run("20261125T021530Z-4f2a9c", "apply access.yaml", "", NOW.isoformat(), changes, reach={"file": FILE})
    return Recorded(run, {change.key: State.DONE for change in changes}, {}, {})


MADE = made_for(FILE, [recorded()])
AFTER = with_changes(world([account()], [cluster()]), recorded().run.changes)


def found(text: str, made: tuple[ResourceId, ...] = MADE) -> list[Finding]:
    return list(left_behind(parse(text), AFTER, NOW, made))


def without(*lines: str) -> str:
    text = BEFORE
    for line in lines:
        assert line in text
        text = text.replace(line, "")
    return text


def test_what_is_named_is_not_left_behind() -> None:
    assert found(BEFORE) == []


def test_a_role_with_its_mapping() -> None:
    text = without(
        "Developers: {account: main, assumableBy: [ann]}, ", "- {role: Developers, clusters: k, groups: [devs]}\n"
    )
    (one,) = found(text)
    assert one.text == (
        "role Developers was made by rolecall and is not in the file any more: it and its mapping on cluster kubedemy stay"
    )
    assert one.advice == "to remove it, keep it in roles with state: absent, and apply"
    assert not one.refuses
    assert one.about == ("Developers", "kubedemy")


def test_a_person() -> None:
    (one,) = found(without(", bob: {user: bob, account: main}"))
    assert one.text == "user bob was made by rolecall and is not in the file any more: it stays"
    assert "people" in one.advice


def test_a_cluster_with_its_mappings() -> None:
    text = BEFORE[: BEFORE.index("clusters:")]
    assert [one.text for one in found(text)] == [
        f"the mapping of role {name} on cluster kubedemy was made by rolecall, and the file does not name it any more: "
        "it stays"
        for name in ("developers", "viewers")
    ]


def test_what_is_gone_is_not_left_behind() -> None:
    gone = replace(AFTER, accounts={MAIN: account()}, clusters={})
    assert list(left_behind(parse("version: 1"), gone, NOW, MADE)) == []


def test_what_another_file_made_is_its_own() -> None:
    assert made_for("/y/access.yaml", [recorded()]) == ()
    assert {one.kind for one in MADE} >= {Kind.IAM_USER, Kind.IAM_ROLE}
    assert {one.kind for one in MADE} & MAPPING_KINDS


def test_what_a_later_run_deleted_was_not_left() -> None:
    first = recorded()
    back = tuple(replace(one, before=one.after, after=None) for one in first.run.changes)
    undone = replace(first, run=replace(first.run, changes=back, reach={}))
    assert made_for(FILE, [first, undone]) == ()
