"""A person writes their own kubeconfig and AWS profiles, and unmodified kubectl and aws use them.

The administrator has applied access.yaml; from then on everything is done as ann, who has no rights of an administrator.
Sources: AWS CLI command reference, ``eks update-kubeconfig``; AWS CLI user guide, "Using an IAM role in the AWS CLI".
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from own_files import (
    ACCESS,
    MAIN,
    OTHER,
    REGION,
    THEIRS_AWS,
    THEIRS_KUBE,
    Organisation,
    Person,
    administrator,
    make_organisation,
)
from rolecall.cli.main import app
from rolecall.cli.own_files.outcome import diff
from rolecall.lab.aws_endpoint.iam.mfa import code_at
from rolecall.local_files.profile_text import MARK
from terminal import Terminal

EXPECTED = {
    f"{MAIN}/prod/Viewers": "viewer:",
    "prod/Admins": "admin:ann",
    f"{MAIN}/staging/Admins": "admin:ann",
    "staging/ann": "ann-herself",
    f"{OTHER}/prod/Viewers": "partner:",
}


@pytest.fixture(scope="module")
def organisation(start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    lab = start_lab("--account", MAIN, "--account", OTHER, "--region", REGION)
    return make_organisation(lab.environment(), tmp_path_factory.mktemp("administrator"))


@pytest.fixture
def ann(organisation: Organisation, tmp_path: Path) -> Person:
    return organisation.person("ann", tmp_path)


@pytest.fixture(scope="module")
def profiles(organisation: Organisation, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `rolecall profiles` makes of ann's file."""
    person = organisation.person("ann", tmp_path_factory.mktemp("profiles"))
    person.rolecall("profiles")
    return person.aws_config.read_text()


@pytest.fixture
def ann_with_profiles(ann: Person, profiles: str) -> Person:
    ann.aws_config.write_text(profiles)
    return ann


def test_profiles_are_used_by_the_aws_cli(ann: Person, organisation: Organisation) -> None:
    done = ann.json("profiles")
    # A profile Viewers is ann's own already, and two accounts have a role of that name.
    names = ["Admins", "Secured", f"{MAIN}-Viewers", f"{OTHER}-Viewers"]
    assert (sorted(done["added"]), done["failed"]) == (sorted(names), [])
    for name, role, session in (
        ("Admins", f"{MAIN}:assumed-role/Admins", "/ann"),
        (f"{MAIN}-Viewers", f"{MAIN}:assumed-role/Viewers", ""),
        (f"{OTHER}-Viewers", f"{OTHER}:assumed-role/Viewers", ""),
    ):
        shown = json.loads(ann.run("aws", "--profile", name, "sts", "get-caller-identity").stdout)
        assert f"arn:aws:sts::{role}/" in shown["Arn"]
        assert shown["Arn"].endswith(session)
    text = ann.aws_config.read_text()
    assert text.startswith(THEIRS_AWS), "ann's own lines stay to the byte"
    secured = text.split("[profile Secured]")[1]
    assert secured.split("\n\n")[0] == (
        f"\n{MARK}\nrole_arn = arn:aws:iam::{MAIN}:role/Secured\nsource_profile = default\nregion = {REGION}\n"
        f"output = json\nmfa_serial = {organisation.devices['ann'][0]}"
    )
    again = ann.json("profiles")
    assert (again["added"], again["changed"]) == ([], [])
    assert ann.aws_config.read_text() == text, "a second run changes nothing to the byte"


@pytest.mark.parametrize("plugin", ["rolecall", "aws"])
def test_kubectl_reaches_every_cluster_as_every_role(ann_with_profiles: Person, plugin: str) -> None:
    ann = ann_with_profiles
    before = ann.kubeconfig.read_text()
    done = ann.json("kubeconfig", "--all", "--exec", plugin)
    assert set(done["added"]) == {*EXPECTED, "staging/Secured"}
    assert (done["failed"], done["current"]) == ([], "home")
    users = {context: ann.whoami(context) for context in EXPECTED}
    for context, username in EXPECTED.items():
        found = users[context]["username"]
        assert found.startswith(username)
        assert found != username or not username.endswith(":")
    # Two roles on one cluster are two users of it.
    assert "admins" in users["prod/Admins"]["groups"]
    assert "admins" not in users[f"{MAIN}/prod/Viewers"]["groups"]
    text = ann.kubeconfig.read_text()
    mine = before.split("contexts:")
    assert text.startswith(mine[0]), "ann's own entries, their comments and order stay"
    assert yaml.safe_load(text)["users"][0] == {"name": "me", "user": {"token": "not-for-the-diff"}}
    again = ann.json("kubeconfig", "--all", "--exec", plugin)
    assert (again["added"], again["changed"], again["removed"]) == ([], [], [])
    assert ann.kubeconfig.read_text() == text, "a second run changes nothing to the byte"


def exec_of(person: Person, context: str) -> dict[str, Any]:
    config = yaml.safe_load(person.kubeconfig.read_text())
    [user] = [one["context"]["user"] for one in config["contexts"] if one["name"] == context]
    [entry] = [one["user"]["exec"] for one in config["users"] if one["name"] == user]
    found: dict[str, Any] = entry
    return found


def test_the_entry_of_the_aws_cli_is_the_one_that_it_writes_itself(ann_with_profiles: Person) -> None:
    role = f"arn:aws:iam::{MAIN}:role/Viewers"
    ann = ann_with_profiles
    ann.rolecall("kubeconfig", "--profile", "default", "--exec", "aws", "--kubeconfig", str(ann.kubeconfig))
    theirs = ann.home / "theirs"
    ann.run(
        "aws", "--profile", f"{MAIN}-Viewers", "eks", "update-kubeconfig", "--name", "prod", "--role-arn", role,
        "--kubeconfig", str(theirs),
    )  # fmt: skip
    [expected] = [one["user"]["exec"] for one in yaml.safe_load(theirs.read_text())["users"]]
    entry = exec_of(ann, f"{MAIN}/prod/Viewers")
    # The AWS CLI shortens the flag, and was asked for by another profile, since ann may not describe this cluster.
    assert entry["args"] == ["--role-arn" if one == "--role" else one for one in expected["args"]]
    assert (entry["command"], entry["apiVersion"]) == (expected["command"], expected["apiVersion"])
    assert entry["env"] == [{"name": "AWS_PROFILE", "value": "default"}]
    # A session name is nothing that `aws eks get-token --role-arn` could be told: the role's own profile has it.
    admins = exec_of(ann, "prod/Admins")
    assert "--role-arn" not in admins["args"]
    assert admins["env"] == [{"name": "AWS_PROFILE", "value": "Admins"}]


def test_what_a_role_asks_for_is_written_or_told(ann: Person) -> None:
    done = ann.json("kubeconfig", "--exec", "aws", code=1)
    assert set(done["added"]) == {f"{MAIN}/prod/Viewers", "staging/ann"}
    told = {
        (one["cluster"].rpartition(":")[2], one["role"].rpartition("/")[2]): one["reason"] for one in done["failed"]
    }
    assert "a session name" in told["cluster/prod", "Admins"]
    assert "an MFA code" in told["cluster/staging", "Secured"]
    assert "an external id" in told["cluster/prod", "Viewers"]
    assert {one["advice"] for one in done["failed"]} == {"write a profile for it first: rolecall profiles"}
    done = ann.json("kubeconfig", code=1)
    assert [one["role"].rpartition("/")[2] for one in done["failed"]] == ["Secured"]
    assert exec_of(ann, "prod/Admins")["args"][-4:] == ["-r", f"arn:aws:iam::{MAIN}:role/team/Admins", "-s", "ann"]
    assert exec_of(ann, f"{OTHER}/prod/Viewers")["args"][-2:] == ["-e", "the-id"]


def test_a_key_in_the_environment_does_not_make_somebody_else_of_the_person(
    ann: Person, organisation: Organisation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # aws/aws-cli issue 7794: such a key silently beats AWS_PROFILE in the exec entry.
    ann.rolecall("kubeconfig", "--profile", "default", "--role", "Viewers", "--cluster", "prod")
    stranger = organisation.keys["stranger"]
    ann.variables |= {
        "AWS_ACCESS_KEY_ID": stranger["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": stranger["SecretAccessKey"],
    }
    assert ann.whoami(f"{MAIN}/prod/Viewers")["username"].startswith("viewer:")
    refused = ann.rolecall("profiles", code=1)
    assert "no person or role in this file is" in refused.stderr
    ann.variables |= {
        "AWS_ACCESS_KEY_ID": organisation.keys["ann"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": organisation.keys["ann"]["SecretAccessKey"],
        "AWS_REGION": REGION,
    }
    assert "a key in the environment, which no profile can name" in ann.rolecall("profiles", code=1).stderr
    [note] = ann.json("kubeconfig", "--cluster", "staging", "--role", "Admins", "--dry-run")["notes"]
    assert note == "your credentials are a key in the environment: these contexts work only in shells that have it"


def test_a_code_is_asked_for_once_where_only_such_a_role_can_describe(
    organisation: Organisation, tmp_path: Path
) -> None:
    cat = organisation.person("cat", tmp_path)
    serial, seed = organisation.devices["cat"]
    unknown = cat.json("profiles", code=1)
    assert (unknown["added"], unknown["failed"][0]["role"]) == ([], f"arn:aws:iam::{MAIN}:role/Secured")
    assert "your MFA devices could not be listed: ListMFADevices: AccessDenied" in unknown["notes"][0]
    assert cat.json("profiles", "--mfa-serial", serial)["added"] == ["Secured"]
    failed = cat.json("kubeconfig", code=1)["failed"]
    assert failed[0]["cluster"].endswith("cluster/staging")
    assert "is not authorized to perform: eks:DescribeCluster" in failed[0]["reason"]
    command = f"exec {sys.executable} -m rolecall kubeconfig -f {tmp_path}/access.yaml < /dev/tty"
    terminal = Terminal(["sh", "-c", command], cat.variables)
    terminal.wait_for(f"Enter MFA code for {serial}: ")
    terminal.type(f"{code_at(seed, int(time.time()) // 30)}\n")
    assert terminal.end() == 0, terminal.shown
    assert "staging/Secured   added" in terminal.shown
    assert exec_of(cat, "staging/Secured")["env"] == [{"name": "AWS_PROFILE", "value": "Secured"}]
    # kubectl asks for a code of its own, at the terminal alone.
    refused = cat.run("kubectl", "--context", "staging/Secured", "auth", "whoami", code=None)
    assert "MFA device" in refused.stderr
    assert refused.returncode == 1


def test_another_person_reaches_only_what_is_theirs(organisation: Organisation, tmp_path: Path) -> None:
    bob = organisation.person("bob", tmp_path)
    done = bob.json("kubeconfig", "--all")
    assert done["added"] == ["prod/Bobs"]
    assert "viewers" in bob.whoami("prod/Bobs")["groups"]
    # With ann's files bob is refused: by STS for the role, and by the cluster for himself.
    for arguments in (["-r", f"arn:aws:iam::{MAIN}:role/Viewers"], []):
        token = bob.rolecall("token", "-i", "prod", "--token-only", *arguments, code=None)
        if arguments:
            assert token.returncode == 1
            assert "not authorized to perform: sts:AssumeRole" in token.stderr
            continue
        shown = bob.run("kubectl", "--context", "prod/Bobs", "--token", token.stdout.strip(), "auth", "whoami", code=1)
        assert "Unauthorized" in shown.stderr or "must be logged in" in shown.stderr


def test_a_role_that_is_not_there_is_told(ann: Person) -> None:
    refused = ann.rolecall("kubeconfig", "--role", "Admin", code=1)
    assert "access.yaml: you can assume no role called Admin" in refused.stderr


def test_who_is_not_in_the_file_is_told_so(organisation: Organisation, tmp_path: Path) -> None:
    stranger = organisation.person("stranger", tmp_path)
    for command in ("kubeconfig", "profiles"):
        refused = stranger.rolecall(command, code=1)
        assert f"access.yaml: no person or role in this file is arn:aws:iam::{MAIN}:user/stranger (you)" in refused.stderr  # fmt: skip
    assert stranger.kubeconfig.read_text() == THEIRS_KUBE
    assert stranger.aws_config.read_text() == THEIRS_AWS


def test_a_dry_run_shows_the_change_without_anybodys_secret_and_writes_nothing(ann: Person) -> None:
    shown = ann.rolecall("kubeconfig", "--dry-run", "--cluster", "prod", "--role", "Viewers")
    assert "+    server: https://" in shown.stdout
    assert "not-for-the-diff" not in shown.stdout
    assert not [line for line in shown.stdout.splitlines() if line.startswith("-") and not line.startswith("---")]
    shown = ann.rolecall("profiles", "--dry-run", "-o", "yaml")
    assert "+[profile Admins]" in yaml.safe_load(shown.stdout)["diff"]
    assert (ann.kubeconfig.read_text(), ann.aws_config.read_text()) == (THEIRS_KUBE, THEIRS_AWS)


def test_a_role_that_an_account_leaves_to_its_policies_is_tried(ann: Person) -> None:
    # Nothing was applied of these: the one is refused by STS, as everything is of a role that is not there.
    more = ACCESS.replace("roles:\n", "roles:\n  Any: {account: main, assumableBy: [{account: main}]}\n")
    (ann.home / "access.yaml").write_text(
        more.replace("grants:\n", "grants:\n  - {role: Any, clusters: prod, groups: [g]}\n")
    )
    for command in ("kubeconfig", "profiles"):
        done = ann.json(command, "--role", "Any")
        assert (done["added"], done["failed"]) == ([], [])
        assert (
            f"role arn:aws:iam::{MAIN}:role/Any cannot be assumed, so it is left out: AssumeRole: " in done["notes"][0]
        )


def test_sessions_are_as_long_as_asked_where_the_role_allows(ann: Person) -> None:
    done = ann.json("profiles", "--duration", "14400", "--role", "Viewers", "--role", "Admins")
    sections = ann.aws_config.read_text().split("[profile ")
    longer = [section.partition("]")[0] for section in sections if "duration_seconds = 14400" in section]
    assert longer == [f"{MAIN}-Viewers"]
    assert sum("do not last 14400 seconds as far as is known" in note for note in done["notes"]) == 2
    shown = ann.run("aws", "--profile", f"{MAIN}-Viewers", "sts", "get-caller-identity")
    assert "assumed-role/Viewers" in shown.stdout


def test_use_and_prune(ann_with_profiles: Person) -> None:
    ann = ann_with_profiles
    done = ann.json("kubeconfig", "--use", "prod/Admins")
    assert done["current"] == "prod/Admins"
    assert ann.run("kubectl", "config", "current-context").stdout == "prod/Admins\n"
    wrong = ann.rolecall("kubeconfig", "--use", "prod/Admin", code=1)
    assert "did you mean prod/Admins?" in wrong.stderr
    file = ann.home / "access.yaml"
    file.write_text(ACCESS.replace("  platform: [ann]", "  platform: [bob]"))
    kept = ann.json("kubeconfig")
    assert (kept["removed"], "prod/Admins" in ann.kubeconfig.read_text()) == ([], True)
    pruned = ann.json("kubeconfig", "--prune")
    assert set(pruned["removed"]) == {"prod/Admins", f"{MAIN}/staging/Admins", f"{MAIN}/prod/Viewers"}
    assert {one["name"] for one in yaml.safe_load(ann.kubeconfig.read_text())["contexts"]} == {
        "home", "staging/Admins", "staging/ann", "staging/Secured", f"{OTHER}/prod/Viewers",
    }  # fmt: skip
    refused = ann.rolecall("kubeconfig", "--prune", "--role", "Admins", code=2)
    assert "--prune looks at everything" in refused.stderr


def test_one_failure_stops_no_other_and_removes_nothing(ann_with_profiles: Person) -> None:
    ann = ann_with_profiles
    ann.rolecall("kubeconfig")
    before = ann.kubeconfig.read_text()
    more = ACCESS.replace("clusters:\n  prod", f"clusters:\n  gone: {{account: main, region: {REGION}}}\n  prod")
    more = more.replace("roles:\n", "roles:\n  Never: {account: main, assumableBy: [ann]}\n")
    more = more.replace(
        "grants:\n", "grants:\n  - {role: Viewers, clusters: gone}\n  - {role: Never, clusters: prod}\n"
    )
    (ann.home / "access.yaml").write_text(more.replace("[platform]", "[bob]"))
    done = ann.json("kubeconfig", "--prune", code=1)
    told = {one["cluster"].rpartition("/")[2]: one["reason"] for one in done["failed"]}
    assert "DescribeCluster: " in told["gone"]
    assert "not authorized to perform: sts:AssumeRole" in told["prod"]
    assert done["removed"] == []
    assert done["notes"] == ["no context was removed, because not everything could be read"]
    assert ann.kubeconfig.read_text() == before


def test_names_of_other_files_of_kubeconfig_are_left_to_them(ann: Person) -> None:
    second = ann.home / "second"
    second.write_text(THEIRS_KUBE.replace("name: staging/Admins", "name: prod/Admins"))
    ann.variables["KUBECONFIG"] = f"{ann.home / 'first'}:{second}"
    done = ann.json("kubeconfig", "--cluster", "prod", "--role", "Admins")
    assert done["added"] == [f"{MAIN}/prod/Admins"]
    assert ann.whoami(f"{MAIN}/prod/Admins")["username"] == "admin:ann"


def test_without_a_file_an_administrator_gets_what_iam_and_the_clusters_say(
    organisation: Organisation, tmp_path: Path
) -> None:
    admin = Person(tmp_path, organisation.administrator.variables | {"KUBECONFIG": str(tmp_path / "config")})
    done = admin.json("kubeconfig")
    # The administrator made the clusters, and no trust policy names them.
    assert (set(done["added"]), done["failed"]) == ({"prod/lab-admin", "staging/lab-admin"}, [])
    assert admin.run("kubectl", "--context", "prod/lab-admin", "auth", "can-i", "*", "*").stdout == "yes\n"
    assert exec_of_file(tmp_path / "config")["env"] == [{"name": "AWS_PROFILE", "value": "lab-admin"}]
    every = admin.json("kubeconfig", "--all")
    assert set(every["added"]) == {f"{OTHER}/prod/lab-admin"}
    assert every["unchanged"] == ["prod/lab-admin", "staging/lab-admin"]


def exec_of_file(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())["users"][0]["user"]["exec"]
    return found


def test_without_a_file_a_person_is_told_once_what_may_not_be_read(ann_with_profiles: Person) -> None:
    ann = ann_with_profiles
    (ann.home / "access.yaml").unlink()
    done = ann.json("kubeconfig", "--cluster", "staging")
    assert done["added"] == ["staging/ann"]
    [note] = done["notes"]
    assert (
        f"which roles arn:aws:iam::{MAIN}:user/ann can assume is not known, because IAM of account {MAIN} may not be"
        in note
    )
    refused = ann.rolecall("profiles", code=1)
    assert f"it is not known which roles arn:aws:iam::{MAIN}:user/ann can assume" in refused.stderr
    # With every profile, the roles' own profiles say which roles there are.
    done = ann.json("kubeconfig", "--all", "--cluster", "prod")
    assert {"prod/Admins", f"{MAIN}/prod/Viewers", f"{OTHER}/prod/Viewers"} <= set(done["added"])
    assert ann.whoami("prod/Admins")["username"] == "admin:ann"
    assert any("profile Secured is left out: profile Secured asks for an MFA code" in note for note in done["notes"])


@pytest.mark.parametrize("command", ["kubeconfig", "profiles"])
def test_help_has_examples(command: str) -> None:
    assert f"rolecall {command} --" in CliRunner().invoke(app, [command, "--help"]).output


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a: 1\n", "a: 1\nb: 2\n", ["+b: 2"]),
        # A file that is written again may have a person's lines laid out anew: they are not shown.
        ("users:\n- name: me\n  token: abc\n", "users:\n  - name: me\n    token: abc\nb: 2\n", ["+b: 2"]),
        ("token: abc\n", "token: 'abc'\n", ["-token: (not shown)", "+token: (not shown)"]),
        ("client-key-data: >-\n  QUJD\n  REVG=\nx: 1\n", "client-key-data: QUJDREVG=\nx: 2\n",
         ["-client-key-data: (not shown)", "- (not shown)", "- (not shown)", "-x: 1", "+client-key-data: (not shown)", "+x: 2"]),
        ("- {name: me, user: {token: abc}}\n", "- {user: {token: abc}}\n", ["-- {name: me, user: {token: (not shown)", "+- {user: {token: (not shown)"]),
        ("aws_secret_access_key = abc\n", "aws_secret_access_key=abc\n", ["-aws_secret_access_key = (not shown)", "+aws_secret_access_key=(not shown)"]),
    ],
)  # fmt: skip
def test_a_diff_hides_what_is_secret(before: str, after: str, expected: list[str]) -> None:
    shown = [line for line in list(diff(Path("config"), before, after))[2:] if not line.startswith("@@")]
    assert shown == expected


def test_a_developer_with_a_cluster_and_a_role_arn_and_no_other_right(
    organisation: Organisation, tmp_path: Path
) -> None:
    """As `aws eks update-kubeconfig --role-arn`: a role that is named is tried. bob may read nothing, and has no file."""
    bob = organisation.person("bob", tmp_path)
    (tmp_path / "access.yaml").unlink()
    role = f"arn:aws:iam::{MAIN}:role/Bobs"
    done = bob.json("kubeconfig", "--cluster", "prod", "--role", role)
    assert (done["added"], done["failed"], done["notes"]) == (["prod/Bobs"], [], [])
    assert "viewers" in bob.whoami("prod/Bobs")["groups"]
    assert bob.json("profiles", "--role", role)["added"] == ["Bobs"]
    assert "assumed-role/Bobs" in bob.run("aws", "--profile", "Bobs", "sts", "get-caller-identity").stdout
    # What STS refuses is said as it says it, and what is not known is not said to be so.
    other = f"arn:aws:iam::{MAIN}:role/Viewers"
    for command in (("kubeconfig", "--cluster", "prod"), ("profiles",)):
        refused = bob.json(*command, "--role", other, code=1)
        assert (refused["added"], refused["failed"][0]["role"]) == ([], other)
        assert "not authorized to perform: sts:AssumeRole" in refused["failed"][0]["reason"]
        unknown = bob.rolecall(*command, "--role", "Bobs", code=1)
        assert "it is not known whether you can assume Bobs: IAM of account" in unknown.stderr
        assert "give the ARN of the role, which is then tried" in unknown.stderr
    unlisted = bob.rolecall("kubeconfig", "--role", role, code=1)
    assert "could not be listed" in unlisted.stderr
    assert "name the cluster: --cluster NAME" in unlisted.stderr
    user = bob.rolecall("profiles", "--role", f"arn:aws:iam::{MAIN}:user/bob", code=1)
    assert "is not the ARN of a role" in user.stderr


def test_the_rights_that_are_named_are_enough(organisation: Organisation, tmp_path: Path) -> None:
    bob = organisation.person("bob", tmp_path)
    (tmp_path / "access.yaml").unlink()
    refused = bob.rolecall("profiles", code=1)
    assert "iam:ListRoles and iam:GetAccountAuthorizationDetails" in refused.stderr
    iam = administrator(organisation.administrator, "lab-admin")("iam")
    statement = {"Effect": "Allow", "Action": ["iam:ListRoles", "iam:GetAccountAuthorizationDetails"], "Resource": "*"}
    iam.put_user_policy(UserName="bob", PolicyName="read", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))  # fmt: skip
    try:
        assert "Bobs" in bob.json("profiles")["added"]
    finally:
        iam.delete_user_policy(UserName="bob", PolicyName="read")


def test_a_role_that_the_file_does_not_give_is_tried_on_a_cluster_that_is_named(
    organisation: Organisation, tmp_path: Path
) -> None:
    bob = organisation.person("bob", tmp_path)
    (tmp_path / "access.yaml").write_text(ACCESS.replace("assumableBy: [bob]", "assumableBy: [cat]"))
    role = f"arn:aws:iam::{MAIN}:role/Bobs"
    refused = bob.rolecall("kubeconfig", "--role", role, code=1)
    assert "name the cluster too: --cluster NAME" in refused.stderr
    assert bob.json("kubeconfig", "--cluster", "prod", "--role", role)["added"] == ["prod/Bobs"]


def test_a_context_works_in_another_shell(ann: Person) -> None:
    """aws-cli issues 9428 and 7724: the AWS CLI's files are elsewhere, and the next shell does not know where."""
    (ann.home / ".aws").rename(ann.home / "elsewhere")
    here = {"AWS_CONFIG_FILE": "elsewhere/config", "AWS_SHARED_CREDENTIALS_FILE": "~/elsewhere/credentials"}
    ann.variables |= here
    ann.rolecall("kubeconfig", "--cluster", "prod", "--role", "Viewers")
    folder = ann.home / "elsewhere"
    assert exec_of(ann, f"{MAIN}/prod/Viewers")["env"] == [
        {"name": "AWS_CONFIG_FILE", "value": str(folder / "config")},
        {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": str(folder / "credentials")},
    ]
    for name in here:
        del ann.variables[name]
    assert ann.whoami(f"{MAIN}/prod/Viewers")["username"].startswith("viewer:")


def test_the_next_step_is_said(ann: Person) -> None:
    """The first `kubectl get ns` on a fresh machine must not go to localhost:8080."""
    ann.kubeconfig.unlink()
    several = ann.rolecall("kubeconfig", "--profile", "default", "--role", "Viewers", "--cluster", "prod", "--cluster", "other-prod")  # fmt: skip
    assert "there is no current context; to use a new one: kubectl config use-context " in several.stderr
    command = several.stderr.rpartition(": kubectl ")[2].split()
    ann.run("kubectl", *command)
    assert ann.run("kubectl", "config", "current-context").stdout.strip() == command[-1]
    ann.kubeconfig.unlink()
    one = ann.rolecall("kubeconfig", "--profile", "default", "--role", "Viewers", "--cluster", "other-prod")
    assert f"the current context is {OTHER}/prod/Viewers" in one.stderr or "the current context is prod/Viewers" in one.stderr  # fmt: skip
    stays = ann.rolecall("kubeconfig", "--profile", "default", "--role", "Admins", "--cluster", "prod")
    assert "the current context stays prod/Viewers; to use a new one: kubectl config use-context prod/Admins" in stays.stderr  # fmt: skip
