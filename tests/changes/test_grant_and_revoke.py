"""What granting and revoking change in the files, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rolecall.changes.granting import Asked, grant
from rolecall.changes.limited import About, limited
from rolecall.changes.removal import Taken
from rolecall.changes.revoking import revoke
from rolecall.errors import RolecallError
from rolecall.local_files.edited import EditedFileError
from rolecall.manifest.draft import Draft, write
from rolecall.plan.plan import compare
from rolecall.plan.resources import Kind
from worlds import MAIN, NOW, OTHER, account, aws_auth, cluster, role, role_arn, trust, user, user_arn, world

TEXT = f"""\
accounts: {{main: {{id: "{MAIN}"}}, far: {{id: "{OTHER}"}}}}
people:
  ann: {{user: ann, account: main}}
  bob: {{user: bob, account: main, path: /team/}}   # on call
  eve: {{arn: "{user_arn("eve", OTHER)}"}}
  out: {{user: out, account: main, state: absent}}
groups:
  team: [ann]
  all: [team, bob]
  alone: [ann]
roles:
  Admins: {{account: main, assumableBy: [all]}}
  Views: {{account: main, assumableBy: [bob, {{person: eve, until: 2027-01-01}}]}}
  Ops: {{account: main, assumableBy: [alone]}}
  Raw:
    account: main
    trustPolicy:
      Version: "2012-10-17"
      Statement:
        - {{Effect: Allow, Principal: {{AWS: ["{user_arn("ann")}", "{user_arn("eve", OTHER)}"]}}, Action: "sts:AssumeRole"}}
  Mine: {{arn: "{role_arn("Mine")}"}}
  Gone: {{account: main, state: absent}}
clusters:
  a: {{account: main, region: eu-west-2}}
  b: {{account: main, region: eu-west-2}}
  c: {{account: main, region: eu-west-2}}
grants:
  - {{role: Admins, clusters: a, username: admin, groups: [ops]}}   # the first
  - role: Views
    clusters: [a]
    username: view
    groups: [v]
  - {{role: Views, clusters: b, username: other}}
  - {{person: ann, clusters: [a, b], username: ann}}
  - {{person: eve, clusters: "*", username: eve}}
"""  # fmt: skip
WORLD = world([account([user("ann"), user("bob", path="/team/"), user("zoe", path="/x/")])], [cluster("a")])


def draft(text: str = TEXT) -> Draft:
    return Draft.of_text(text, "access.yaml")


def lines(made: Draft, old: str = TEXT) -> tuple[list[str], list[str]]:
    """The lines that went and the lines that came."""
    [new] = made.texts.values()
    before, after = old.splitlines(), new.splitlines()
    return [one for one in before if one not in after], [one for one in after if one not in before]


def granted(**asked: Any) -> tuple[list[str], list[str], tuple[str, ...]]:
    made = draft()
    found = grant(made, Asked(**asked), WORLD)
    made.loaded()
    return *lines(made), found.notes


def taken(**what: Any) -> tuple[list[str], list[str]]:
    made = draft()
    revoke(made, Taken(**what), WORLD)
    made.loaded()
    return lines(made)


def test_a_member_is_added_to_the_role_alone() -> None:
    gone, came, notes = granted(person="ann", role="Views")
    assert gone == ["  Views: {account: main, assumableBy: [bob, {person: eve, until: 2027-01-01}]}"]
    assert came == ["  Views: {account: main, assumableBy: [bob, {person: eve, until: 2027-01-01}, ann]}"]
    assert notes == ()


@pytest.mark.parametrize(
    ("person", "until", "member"),
    [
        ("ann", datetime(2026, 2, 1, tzinfo=UTC), '[bob, {person: eve, until: 2027-01-01}, {person: ann, until: "2026-02-01T00:00:00Z"}]'),
        ("team", None, "[bob, {person: eve, until: 2027-01-01}, team]"),
        ("team", datetime(2026, 2, 1, tzinfo=UTC), '[bob, {person: eve, until: 2027-01-01}, {group: team, until: "2026-02-01T00:00:00Z"}]'),
        # Somebody who is in already: given an end, another one, or none.
        ("bob", datetime(2026, 2, 1, tzinfo=UTC), '[{person: bob, until: "2026-02-01T00:00:00Z"}, {person: eve, until: 2027-01-01}]'),
        ("eve", datetime(2026, 2, 1, tzinfo=UTC), '[bob, {person: eve, until: "2026-02-01T00:00:00Z"}]'),
        ("eve", None, "[bob, eve]"),
        # Named in another way.
        (user_arn("eve", OTHER), None, "[bob, eve]"),
        (user_arn("bob", path="/team/"), datetime(2026, 2, 1, tzinfo=UTC), '[{person: bob, until: "2026-02-01T00:00:00Z"}, {person: eve, until: 2027-01-01}]'),
    ],
)  # fmt: skip
def test_ends_are_set_and_taken_away(person: str, until: datetime | None, member: str) -> None:
    _, came, _ = granted(person=person, role="Views", until=until)
    assert came == [f"  Views: {{account: main, assumableBy: {member}}}"]


def test_an_end_is_told_with_what_outlasts_it() -> None:
    end = datetime(2026, 2, 1, tzinfo=UTC)
    assert granted(person="ann", role="Views", until=end)[2] == ("a session that begins before the end may last 1 h beyond it",)  # fmt: skip


def test_whoever_has_it_through_a_group_gets_nothing_twice() -> None:
    gone, came, notes = granted(person="ann", role="Admins")
    assert (gone, came) == ([], [])
    assert notes == ("ann may assume Admins already, as a member of all",)


def test_somebody_new_is_named_as_what_they_are() -> None:
    _, came, _ = granted(person="cid", role="Ops", user=True)
    assert "  cid: {user: cid, account: main}" in came
    # An IAM user who exists keeps the path, which would else be changed.
    _, came, _ = granted(person="zoe", role="Ops", user=True)
    assert '  zoe: {user: zoe, account: main, path: "/x/"}' in came
    _, came, _ = granted(person="dan", role="Ops", arn=user_arn("d", OTHER))
    assert f'  dan: {{arn: "{user_arn("d", OTHER)}"}}' in came
    _, came, _ = granted(person=user_arn("fay", OTHER), role="Ops")
    assert "  Ops: {account: main, assumableBy: [alone, fay]}" in came


def test_a_cluster_new_to_the_role_gets_what_the_role_is_elsewhere() -> None:
    gone, came, notes = granted(person="bob", role="Admins", clusters=["c", "a"])
    assert gone == ["  - {role: Admins, clusters: a, username: admin, groups: [ops]}   # the first"]
    assert came == ["  - {role: Admins, clusters: [a, c], username: admin, groups: [ops]}   # the first"]
    assert "everybody who may assume Admins gets what it is on c" in notes


def test_or_what_is_said() -> None:
    said = {"username": "ops", "groups": ["o"], "bindings": [{"clusterRole": "view"}]}
    _, came, _ = granted(person="ann", role="Ops", clusters=["c"], grant=said)
    assert came == ["  - {role: Ops, clusters: [c], username: ops, groups: [o], bindings: [{clusterRole: view}]}"]
    # Beside a role's other grants.
    _, came, _ = granted(person="ann", role="Views", clusters=["c"], grant=said)
    assert came[1:] == ["  - {role: Views, clusters: [c], username: ops, groups: [o], bindings: [{clusterRole: view}]}"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"person": "nn", "role": "Ops"}, r"there is no 'nn' in people or groups\ndid you mean"),
        ({"person": "ann", "role": "Op"}, r"there is no 'Op' in roles\ndid you mean Ops"),
        ({"person": "ann", "role": "Raw"}, r"access.yaml:17:5: the trust policy of 'Raw' is written out"),
        ({"person": "ann", "role": "Mine"}, "refers to the role by its arn"),
        ({"person": "ann", "role": "Gone"}, "the role 'Gone' shall be absent"),
        ({"person": "out", "role": "Ops"}, r"access.yaml:6:35: 'out' shall be absent"),
        ({"person": "ann", "role": "Ops", "clusters": ["d"]}, "there is no 'd' in clusters"),
        ({"person": "bob", "role": "Ops", "clusters": ["c"]}, "the role 'Ops' is nothing anywhere yet"),
        ({"person": "ann", "role": "Views", "clusters": ["c"]}, "'Views' is not the same on all its clusters"),
        ({"person": "ann", "role": "Views", "until": datetime(2025, 1, 1, tzinfo=UTC)}, "over already"),
        # The group would outlast it.
        ({"person": "ann", "role": "Admins", "until": datetime(2026, 2, 1, tzinfo=UTC)}, "as a member of all, for good"),
        ({"person": "x y", "role": "Ops", "user": True}, "x y"),
    ],
)  # fmt: skip
def test_what_cannot_be_granted_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(RolecallError, match=words):
        granted(**asked)


def test_one_role_is_taken_away_and_nothing_else() -> None:
    gone, came = taken(person="bob", role="Views")
    assert came == ["  Views: {account: main, assumableBy: [{person: eve, until: 2027-01-01}]}"]
    assert len(gone) == 1
    # Through a group that gives this role alone.
    assert taken(person="ann", role="Ops")[1] == ["  alone: []"]
    assert taken(person="ann", role="Admins")[1] == ["  team: []"]
    # Out of a document.
    assert len(taken(person="ann", role="Raw")[0]) == 1
    assert user_arn("ann") not in str(taken(person="ann", role="Raw")[1])


def test_everything_of_the_file_is_taken_away() -> None:
    gone, came = taken(person="ann")
    assert {"  team: []", "  alone: []"} <= {*came}
    assert "  - {person: ann, clusters: [a, b], username: ann}" in gone
    assert not [line for line in came if "person: ann" in line or "state" in line]
    assert len(gone) == 4


def test_a_mapping_of_ones_own_is_taken_off_one_cluster() -> None:
    assert taken(person="ann", clusters=["b"])[1] == ["  - {person: ann, clusters: [a], username: ann}"]
    with pytest.raises(RolecallError, match="through the role Admins, which is not of one person and cluster alone"):
        taken(person="ann", clusters=["a"])
    with pytest.raises(RolecallError, match=r"the grant of eve is for '\*', which means more clusters"):
        taken(person="eve", clusters=["c"])


def test_only_what_is_owned_is_deleted_and_only_when_asked() -> None:
    assert "state: absent" not in str(taken(person="bob", everywhere=True)[1])
    assert "  bob: {user: bob, account: main, path: /team/, state: absent}   # on call" in taken(person="bob", delete_user=True)[1]  # fmt: skip
    # Somebody who is only referred to is not deleted by that, and kept out for good.
    assert any("state: absent" in line for line in taken(person="eve", everywhere=True)[1])
    with pytest.raises(RolecallError, match="is not a user that the file owns"):
        taken(person="eve", delete_user=True)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"person": "nn"}, "there is no 'nn'"),
        ({"person": "team"}, "'team' is a group"),
        ({"person": "ann", "role": "X"}, "there is no 'X' in roles"),
        ({"person": "ann", "group": "X"}, "there is no 'X' in groups"),
        ({"person": "ann", "clusters": ["X"]}, "no cluster in the file matches 'X'"),
        ({"person": "bob", "role": "Views", "clusters": ["a"]}, "Views is also of b: anyone who may assume it"),
        ({"person": "zoe"}, "--everywhere"),
    ],
)
def test_what_cannot_be_taken_is_refused(what: dict[str, Any], words: str) -> None:
    with pytest.raises(RolecallError, match=words):
        taken(**what)


def test_a_group_that_gives_more_is_not_touched_for_one_role() -> None:
    made = draft(
        TEXT.replace("Ops: {account: main, assumableBy: [alone]}", "Ops: {account: main, assumableBy: [team]}")
    )
    with pytest.raises(RolecallError, match="as a member of team, which also gives Admins"):
        revoke(made, Taken("ann", role="Ops"), WORLD)
    revoke(made, Taken("ann", group="team"), WORLD)
    assert made.loaded().manifest.groups["team"] == []


def test_somebody_whom_the_file_does_not_know_is_taken_out_of_all_it_can_see() -> None:
    made = draft()
    found = revoke(made, Taken("zoe", everywhere=True), WORLD)
    assert found.arn == user_arn("zoe", path="/x/")
    assert f'  zoe: {{arn: "{user_arn("zoe", path="/x/")}", state: absent}}' in lines(made)[1]
    made = draft()
    revoke(made, Taken("zoe", delete_user=True), WORLD)
    assert '  zoe: {user: zoe, account: main, path: "/x/", state: absent}' in lines(made)[1]


def test_trust_policies_that_the_file_does_not_name_are_changed_by_the_plan() -> None:
    zoe = user_arn("zoe", path="/x/")
    ids = user("zoe", path="/x/").user_id
    roles = [
        role("Both", trust(zoe, user_arn("bob", path="/team/"))),
        role("Alone", trust(zoe)),
        role("ById", trust(ids, user_arn("ann"))),
        role("Not", trust(user_arn("ann"))),
        role("Of-AWS", trust(zoe), path="/aws-service-role/x.amazonaws.com/"),
    ]
    there = world([account([user("ann"), user("zoe", path="/x/")], roles)], [cluster("a")])
    found = revoke(draft(), Taken("zoe", everywhere=True), there)
    after = {change.resource.name: (change.after or {})["trust"]["Statement"] for change in found.changes}
    assert set(after) == {"Both", "Alone", "ById"}
    assert after["Both"][0]["Principal"] == {"AWS": [user_arn("bob", path="/team/")]}
    assert after["Alone"] == [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]
    assert not [text for text in (zoe, ids) if text in json.dumps(after)]
    # Not without being asked for everything.
    assert revoke(draft(), Taken("ann"), there).changes == ()


def test_a_role_that_still_trusts_somebody_is_changed_also_where_the_file_no_longer_says_so() -> None:
    """An undo brings back the world and not the file; after it the file names the person no more, the role does."""
    there = world(
        [account([user("ann"), user("bob", path="/team/")], [role("Ops", trust(user_arn("bob", path="/team/")))])],
        [cluster("a")],
    )
    found = revoke(draft(), Taken("bob", everywhere=True), there)
    assert set(found.roles) == {"Admins", "Views", "Ops"}
    assert found.changes == ()
    assert "Ops" not in revoke(draft(), Taken("bob"), there).roles


# Several files.
FILES = {
    "access.yaml": (
        'include: [people.yaml, "teams/*.yaml"]\n'
        f'accounts: {{main: {{id: "{MAIN}"}}}}\nclusters:\n  a: {{account: main, region: eu-west-2}}\n'
    ),
    "people.yaml": "# everybody\r\npeople:\r\n  ann: {user: ann, account: main}\r\n  bob: {user: bob, account: main}\r\n",
    "teams/one.yaml": "roles:\n  One: {account: main, assumableBy: [ann]}\ngrants:\n- {role: One, clusters: a, username: one}\n- {person: bob, clusters: a, username: b}",
    "teams/two.yaml": "roles:\n  Two: {account: main, assumableBy: [bob]} # two\ngrants:\n- {role: Two, clusters: a, username: two}\n- {person: ann, clusters: a, username: a}\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def contents(folder: Path) -> Mapping[str, str]:
    return {name: (folder / name).read_bytes().decode() for name in FILES}


def test_of_several_files_the_right_one_is_edited(folder: Path) -> None:
    made = Draft.read(folder / "access.yaml")
    grant(made, Asked("cid", "Two", user=True), WORLD)
    assert contents(folder) == FILES
    write(made.rewritten())
    assert contents(folder) == {
        **FILES,
        "people.yaml": FILES["people.yaml"] + "  cid: {user: cid, account: main}\r\n",
        "teams/two.yaml": FILES["teams/two.yaml"].replace("[bob]", "[bob, cid]"),
    }


def test_grants_are_counted_through_the_files(folder: Path) -> None:
    made = Draft.read(folder / "access.yaml")
    revoke(made, Taken("ann"), WORLD)
    write(made.rewritten())
    assert contents(folder) == {
        **FILES,
        "teams/one.yaml": FILES["teams/one.yaml"].replace("[ann]", "[]"),
        "teams/two.yaml": FILES["teams/two.yaml"].replace("- {person: ann, clusters: a, username: a}\n", ""),
    }


def test_where_one_file_was_changed_meanwhile_none_is(folder: Path) -> None:
    made = Draft.read(folder / "access.yaml")
    grant(made, Asked("cid", "Two", user=True), WORLD)
    theirs = FILES["teams/two.yaml"] + "# theirs\n"
    (folder / "teams/two.yaml").write_text(theirs)
    with pytest.raises(EditedFileError, match="somebody else changed it meanwhile"):
        write(made.rewritten())
    assert contents(folder) == {**FILES, "teams/two.yaml": theirs}


def test_only_what_the_edit_is_about_is_planned() -> None:
    # Pending besides: everything else of the file, because the world has nothing of it yet.
    there = world([account([user("ann"), user("bob", path="/team/")])], [cluster(name) for name in "abc"])
    made = draft()
    old = compare(made.loaded(), there, NOW)
    grant(made, Asked("ann", "Views"), there)
    new = compare(made.loaded(), there, NOW)
    about = About([user_arn("ann"), role_arn("Views")], [role_arn("Views")], ["Views"])
    part = limited(old, new, about)
    assert {(c.resource.kind, c.resource.name) for c in part.changes} == {
        (Kind.IAM_ROLE, "Views"),
        (Kind.IAM_ROLE_POLICY, "Views/rolecall-describe-clusters"),
        (Kind.AWS_AUTH_ROLE, role_arn("Views").lower()),
    }
    assert len([c for c in part.changes if c.resource.kind is Kind.AWS_AUTH_ROLE]) == 2
    assert len(new.changes) > len(part.changes)
    # A cluster that could not be read keeps back only what needs it.
    away = world([account([user("ann"), user("bob", path="/team/")])], [cluster("a")])
    part = limited(compare(draft().loaded(), away, NOW), compare(made.loaded(), away, NOW), about)
    assert [place.rpartition("/")[2] for place in part.unread] == ["b"]


def test_a_mapping_that_nobody_names_is_left_alone_by_a_grant_to_somebody_else() -> None:
    data = aws_auth((), [(user_arn("zoe", path="/x/"), "zoe", ["g"])])
    there = world([account([user("zoe", path="/x/")])], [cluster("a", aws_auth=data)])
    made = draft()
    old = compare(made.loaded(), there, NOW)
    grant(made, Asked("ann", "Views"), there)
    part = limited(old, compare(made.loaded(), there, NOW), About([user_arn("ann")]))
    assert not [c for c in part.changes if "zoe" in c.resource.name]
