"""``access.yaml`` read: what a person reads about each mistake, where it is, and what a hostile file cannot do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from rolecall.manifest.load import ManifestError, load, parse
from rolecall.manifest.schema import Manifest, json_schema
from rolecall.manifest.yaml_data import MAX_DEPTH, read_yaml
from rolecall.moments import parse_moment, write_moment

GOOD = """\
accounts:
  main: {id: "231144931069", profile: default}
people:
  ann: {user: ann, account: main}
  bob: {arn: "arn:aws:iam::444455556666:user/bob"}
  cho: {permissionSet: Platform, account: main}
groups:
  platform: [ann, bob]
roles:
  admins:
    account: main
    assumableBy: [platform, {person: cho, until: 2026-03-31}]
    conditions: {mfa: true}
clusters:
  kubedemy: {account: main, region: eu-west-2, labels: {env: prod}}
grants:
  - role: admins
    clusters: kube*
    username: "admin:{{SessionName}}"
    groups: [platform-admins]
    bindings: [{clusterRole: cluster-admin}]
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def test_a_good_file_and_the_places_of_its_parts() -> None:
    found = parse(GOOD)
    assert found.manifest.roles["admins"].assumable_by is not None
    assert found.manifest.grants[0].clusters == ["kube*"]
    assert str(found.place("roles", "admins", "conditions", "mfa")) == "access.yaml:13:18"
    # A part that is not written stands where what contains it stands.
    assert str(found.place("grants", 0, "until")) == "access.yaml:17:5"


# Each: what stands in GOOD, what is written instead, and the whole sentence that a person reads.
MISTAKES = [
    ("\n  admins:\n", f"\n  {'r' * 65}:\n", f"access.yaml:10:3: IAM takes no such name of a role: {'r' * 65!r}; write name: beside it; it must match ^[A-Za-z0-9_+=,.@-]{{1,64}}$"),
    ("  kubedemy: {account", "  kube.demy: {account", "access.yaml:15:3: EKS takes no such name of a cluster: 'kube.demy'; write name: beside it; it must match ^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$"),
    ("profile: default", "profil: default", "access.yaml:2:30: unknown key 'profil' in accounts.main; did you mean profile?"),
    ("\nclusters:", "\ncluster:", "access.yaml:14:1: unknown key 'cluster' in the file; did you mean clusters?"),
    ("bindings: [{clusterRole", "bindings: [{clusterrole", "access.yaml:21:17: unknown key 'clusterrole' in grants.0.bindings.0; did you mean clusterRole?"),
    ("{person: cho", "{persn: cho", "access.yaml:12:30: unknown key 'persn' in roles.admins.assumableBy.1; did you mean person?"),
    ("[ann, bob]", "[ann, bop]", "access.yaml:8:19: there is no 'bop' in people or groups; did you mean bob?"),
    ("[platform, {", "[platfrom, {", "access.yaml:12:19: there is no 'platfrom' in people or groups; did you mean platform?"),
    ("{person: cho,", "{person: chou,", "access.yaml:12:30: there is no 'chou' in people; did you mean cho?"),
    ("- role: admins", "- role: admin", "access.yaml:17:5: there is no 'admin' in roles; did you mean admins?"),
    ("clusters: kube*", "clusters: kub", "access.yaml:18:5: there is no 'kub' in clusters; known: kubedemy"),
    ("clusters: kube*", "clusters: [cube*]", "access.yaml:18:16: no cluster matches 'cube*'; known: kubedemy"),
    ("{account: main, region", "{account: mane, region", "access.yaml:15:14: there is no 'mane' in accounts; did you mean main?"),
    ('"231144931069"', "231144931069", "access.yaml:2:14: 231144931069 is a number to YAML, and loses its leading zeros or changes its value; an account id is a text: write \"231144931069\""),
    ('"231144931069"', "012345678901", "access.yaml:2:14: 012345678901 is a number to YAML, and loses its leading zeros or changes its value; an account id is a text: write \"012345678901\""),
    ('"231144931069"', '"23114493106"', "access.yaml:2:10: accounts.main.id cannot be the text '23114493106'; an account id is 12 digits in quotes"),
    ("{user: ann,", "{user: 7,", "access.yaml:4:9: people.ann.user must be a text, this is the number 7; put it in quotes: \"7\""),
    ("mfa: true", "mfa: yes", "access.yaml:13:23: yes is true or false to most readers of YAML and a text to others; write true or false, or \"yes\" for the text"),
    ("mfa: true", 'mfa: "true"', "access.yaml:13:18: roles.admins.conditions.mfa must be true or false, this is the text 'true'"),
    ("2026-03-31}", "2026-03-31T18:00:00}", "access.yaml:12:43: roles.admins.assumableBy.1.until: '2026-03-31T18:00:00' has no time zone: add Z for UTC, or an offset such as +01:00"),
    ("2026-03-31}", "soon}", "access.yaml:12:43: roles.admins.assumableBy.1.until: 'soon' is not a date or time; use 2026-03-31 or 2026-03-31T18:00:00Z"),
    ('"admin:{{SessionName}}"', "{{SessionName}}", "access.yaml:19:16: a text that begins with {{ is taken for a mapping; put it in quotes"),
    ("user/bob", "group/bob", "access.yaml:5:9: 'arn:aws:iam::444455556666:group/bob' does not name a principal; a principal is an IAM user, role or root, an STS assumed-role session or a federated user"),
    ("iam::444455556666:user/bob", "sts::444455556666:assumed-role/R/bob", "access.yaml:5:9: arn:aws:sts::444455556666:assumed-role/R/bob is a session, which ends; access is given to its role; write arn:aws:iam::444455556666:role/R, with its path if it has one"),
    ("platform: [ann, bob]", "platform: [ann, ops]\n  ops: [platform]", "access.yaml:8:3: the group 'platform' contains itself: platform > ops > platform; take one of them out of the other"),
    ("mfa: true", "sessionName: username", "access.yaml:13:18: 'cho' is a role and has no aws:username, so this would keep it out; leave sessionName out, or give it a role of its own"),
    ("mfa: true", "mfaMaxAge: 600", "access.yaml:13:5: roles.admins.conditions: mfaMaxAge needs mfa: true"),
    ("mfa: true", "sourceIp: [10.0.0.1/8]", "access.yaml:13:5: roles.admins.conditions: '10.0.0.1/8' is not an IP address or CIDR block, such as 203.0.113.0/24"),
    ("    assumableBy: [platform, {person: cho, until: 2026-03-31}]\n    conditions: {mfa: true}", "    trustPolicy: {Version: 2012-10-17, Statement: [{Effect: Alow, Principal: {AWS: '*'}, Action: 'sts:AssumeRole'}]}", "access.yaml:12:53: Effect is Allow or Deny ($.Statement[0].Effect)"),
    ("    assumableBy: [platform, {person: cho, until: 2026-03-31}]\n", "", "access.yaml:10:3: roles.admins: give assumableBy or trustPolicy, exactly one of them"),
    ("groups: [platform-admins]", "groups: []", "access.yaml:21:5: nobody to bind: the grant has no groups, and its username is not the same for everybody; give groups"),
    ("groups: [platform-admins]", "accessPolicies: [{policy: AmazonEKSViewPolcy}]\n    groups: [x]", "access.yaml:20:23: there is no access policy 'AmazonEKSViewPolcy'; did you mean AmazonEKSViewPolicy?"),
    ("groups: [platform-admins]", "mapping: aws-auth\n    accessPolicies: [{policy: AmazonEKSViewPolicy}]\n    groups: [x]", "access.yaml:21:5: access policies belong to access entries, and the mapping here is written elsewhere; write mapping: access-entries, or use groups"),
    ("region: eu-west-2", "region: eu-west-2, mapping: aws_auth", "access.yaml:15:48: clusters.kubedemy.mapping cannot be the text 'aws_auth'; did you mean aws-auth?"),
    ("  cho:", "  ann2: {user: ann, account: main}\n  cho:", "access.yaml:6:3: 'ann2' is the same as 'ann' at access.yaml:4:3; keep one of them"),
    ("region: eu-west-2", "region: eu-west-2, context: one}\n  other: {account: main, region: eu-west-2, context: one", "access.yaml:16:45: 'other' and 'kubedemy' are two clusters, and one context leads to one; see: kubectl config get-contexts"),
    ("people:\n", "people:\n  ann: {user: other, account: main}\n", "access.yaml:5:3: the key 'ann' is given twice; it stands in line 4 already"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "sentence"), MISTAKES, ids=[sentence[:60] for *_, sentence in MISTAKES])
def test_the_sentence_about_a_mistake(good: str, bad: str, sentence: str) -> None:
    assert GOOD.count(good) >= 1
    assert sentence in mistakes(GOOD.replace(good, bad, 1))


def test_all_mistakes_at_once_in_the_order_of_the_file() -> None:
    text = (
        GOOD.replace("profile", "profil").replace("[ann, bob]", "[ann, bop]").replace("- role: admins", "- role: admin")
    )
    assert [line.split(":")[1] for line in mistakes(text)] == ["2", "8", "17"]


def test_a_wrong_grant_does_not_move_the_places_of_others() -> None:
    text = GOOD.replace("grants:\n", "grants:\n  - {role: admins, clusters: kubedemy, usrname: x}\n")
    text += "  - {role: admns, clusters: kubedemy}\n"
    assert [line.split(";")[0] for line in mistakes(text)] == [
        "access.yaml:17:40: unknown key 'usrname' in grants.0",
        "access.yaml:23:6: there is no 'admns' in roles",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is empty"),
        ("- a", "the file holds no mapping"),
        ("a:\n\tb: 1", "not YAML"),
        ("a: [", "not YAML"),
        ("a: 1\n---\nb: 2", "a second YAML document begins here"),
        ("a: \x07", "character 7 is not allowed"),
        # Escapes in a text reach the terminal of whoever reads the plan (Unicode TR36 for the second).
        ('a: "\\e[31m"', "the character U+001B is not allowed"),
        ('a: "\\u202e"', "the character U+202E is not allowed"),
        ("a: !!python/object/apply:os.system [id]", "the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not"),
        ("a: &a [*a]", "an anchor contains itself"),
        ("[" * (MAX_DEPTH + 2), f"nested deeper than {MAX_DEPTH} levels"),
        ("[" * 100_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("a: *b", "no anchor &b stands before this"),
        ("? [a]\n: 1", "a key must be a text"),
        ("include: [x.yaml]", "other files cannot be included here"),
    ],
)  # fmt: skip
def test_no_trick_of_yaml_passes(text: str, sentence: str) -> None:
    assert any(sentence in line for line in mistakes(text))


def test_a_mistake_is_told_without_what_a_terminal_obeys() -> None:
    with pytest.raises(ManifestError) as caught:
        parse('roles: {"a\\e[31m": {acount: x}}')
    assert "\x1b" not in str(caught.value)
    assert "\\u001b" in str(caught.value)


def test_a_billion_laughs_end_soon() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert any("anchors make the file grow" in line for line in mistakes("\n".join(lines)))


class TestSmallFilesThatMultiply:
    def test_patterns_over_all_clusters_in_every_grant(self) -> None:
        clusters = "".join(f"  c{n}: {{account: main, region: eu-west-2}}\n" for n in range(1_000))
        grants = "- {role: r, clusters: 'c*', groups: [g]}\n" * 600
        text = f"accounts: {{main: {{id: '111122223333'}}}}\nroles: {{r: {{account: main, assumableBy: []}}}}\nclusters:\n{clusters}grants:\n{grants}"
        assert mistakes(text) == [
            "access.yaml:1505:3: up to here the grants are more than 500,000 mappings; split the file"
        ]

    def test_groups_of_groups(self) -> None:
        groups = "  g0: [p, p, p, p, p, p, p, p, p, p]\n" + "".join(
            f"  g{n}: [{', '.join([f'g{n - 1}'] * 10)}]\n" for n in range(1, 12)
        )
        text = f"accounts: {{main: {{id: '111122223333'}}}}\npeople: {{p: {{user: p, account: main}}}}\ngroups:\n{groups}roles: {{r: {{account: main, assumableBy: [g11]}}}}"
        assert mistakes(text) == [
            "access.yaml:16:9: up to here the roles have more than 1,000,000 members; split the file"
        ]


def test_anchors_and_merge_keys_are_fine_within_bounds() -> None:
    found = read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {y: 4, <<: *a}", "f")
    assert found.problems == []
    assert found.data == yaml.safe_load("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {y: 4, <<: *a}")


@pytest.mark.parametrize(
    "value", ["a", "1.5", "true", "null", "~", "'yes'", "2012-10-17", "-7", "a:b", "1e3", '"x"', "|\n  t\n"]
)
def test_values_that_mean_the_same_to_every_reader(value: str) -> None:
    # YAML 1.2.2, section 10.3 (core schema); a date stays a text, and 1e3 is a number to YAML 1.2 alone.
    found = read_yaml(f"a: {value}", "f")
    assert found.problems == []
    expected = {"2012-10-17": "2012-10-17", "1e3": 1000.0}
    assert found.data["a"] == expected.get(value, yaml.safe_load(f"a: {value}")["a"])


def test_moments_are_utc() -> None:
    assert write_moment(parse_moment("2026-03-31")) == "2026-03-31T00:00:00Z"
    assert write_moment(parse_moment("2026-03-31T18:00:00+02:00")) == "2026-03-31T16:00:00Z"


class TestIncludes:
    def test_sections_are_joined_and_places_name_their_file(self, tmp_path: Path) -> None:
        (tmp_path / "teams").mkdir()
        head, grants = GOOD.split("grants:")
        (tmp_path / "access.yaml").write_text("include: [teams/*.yaml]\n" + head)
        (tmp_path / "teams" / "a.yaml").write_text("grants:" + grants)
        (tmp_path / "teams" / "b.yaml").write_text("people:\n  dan: {user: dan, account: main}\ngrants:" + grants)
        found = load(tmp_path / "access.yaml")
        assert [*found.manifest.people] == ["ann", "bob", "cho", "dan"]
        assert len(found.manifest.grants) == 2
        assert str(found.place("grants", 1, "username")) == f"{tmp_path}/teams/b.yaml:6:5"
        assert [path.name for path in found.files] == ["access.yaml", "a.yaml", "b.yaml"]

    @pytest.mark.parametrize(
        ("include", "sentence"),
        [
            ("/etc/hostname", "'/etc/hostname' is not relative to this file"),
            ("../outside.yaml", "leads out of"),
            ("link.yaml", "leads out of"),
            ("dir/../../outside.yaml", "leads out of"),
            ("**/x.yaml", "is not relative to this file"),
            ("none*.yaml", "no file matches 'none*.yaml'"),
            ("none.yaml", "not found"),
            ("access.yaml", "'access.yaml' is included twice"),
            ("fifo", "not a regular file"),
            ("dir", "not a regular file"),
            ("latin.yaml", "not UTF-8"),
            ("again.yaml", "'main' is already in accounts, at"),
        ],
    )
    def test_what_is_not_included(self, tmp_path: Path, include: str, sentence: str) -> None:
        home = tmp_path / "home"
        (home / "dir").mkdir(parents=True)
        (tmp_path / "outside.yaml").write_text("people: {}")
        (home / "link.yaml").symlink_to(tmp_path / "outside.yaml")
        (home / "latin.yaml").write_bytes(b"a: \xe4")
        (home / "again.yaml").write_text('accounts: {main: {id: "111122223333"}}')
        os.mkfifo(home / "fifo")
        (home / "access.yaml").write_text(f"include: ['{include}']\n{GOOD}")
        with pytest.raises(ManifestError) as caught:
            load(home / "access.yaml")
        assert any(sentence in str(problem) for problem in caught.value.problems)

    def test_a_folder_that_the_caller_names_may_be_included_from(self, tmp_path: Path) -> None:
        for name in ("home", "shared"):
            (tmp_path / name).mkdir()
        (tmp_path / "shared" / "x.yaml").write_text("people: {dan: {user: dan, account: main}}")
        (tmp_path / "home" / "access.yaml").write_text(f"include: [../shared/x.yaml]\n{GOOD}")
        assert "dan" in load(tmp_path / "home" / "access.yaml", folders=[tmp_path / "shared"]).manifest.people

    def test_includes_of_includes_end(self, tmp_path: Path) -> None:
        for number in range(12):
            (tmp_path / f"{number}.yaml").write_text(f"include: [{number + 1}.yaml]")
        with pytest.raises(ManifestError, match="includes are nested deeper than 8"):
            load(tmp_path / "0.yaml")


def test_the_published_schema_names_every_key_and_has_help_for_editors() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == {
        "version",
        "include",
        "accounts",
        "people",
        "groups",
        "roles",
        "clusters",
        "grants",
    }
    assert set(schema["$defs"]["Grant"]["properties"]) >= {"role", "clusters", "accessPolicies", "bindings", "until"}
    assert schema["$defs"]["Grant"]["additionalProperties"] is False
    assert schema["$defs"]["Grant"]["properties"]["username"]["examples"]
    assert "title" not in schema["$defs"]["Grant"]["properties"]["username"]


def test_models_are_strict() -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate({"version": "1"})


@pytest.mark.parametrize(
    "pattern",
    [
        "\\u0000x",
        "a\\u0000*",
        "x" * 5000,
        "x/" * 600,
        "~nobody*",
        "[",
        "[!",
        "a\\nb",
        "\\u200b.yaml",
        "*" * 900,
        "loop",
    ],
)
def test_an_include_that_names_no_file_is_a_mistake(pattern: str, tmp_path: Path) -> None:
    """The whole kind: whatever the operating system or the library refuses is a sentence with its place."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    file = tmp_path / "access.yaml"
    file.write_text(f'include: ["{pattern}"]\n')
    with pytest.raises(ManifestError):
        load(file)


@pytest.mark.parametrize(
    "character", ["\u2060", "\u00ad", "\u115f", "\ufe0f", "\U000e0041", "\u3164", "\u200b", "\u202e"]
)
@pytest.mark.parametrize("place", ["groups", "username", "key"])
def test_characters_that_do_not_show_are_mistakes(character: str, place: str) -> None:
    """Unicode, Default_Ignorable_Code_Point: two groups must not look the same in a plan."""
    text = {
        "groups": f'grants: [{{role: a, clusters: c, groups: ["admins{character}"]}}]',
        "username": f'grants: [{{role: a, clusters: c, username: "a{character}"}}]',
        "key": f'people: {{"a{character}": {{arn: "arn:aws:iam::111122223333:user/a"}}}}',
    }[place]
    with pytest.raises(ManifestError, match=f"U\\+{ord(character):04X}"):
        parse(text)
