"""grant, revoke and drift against a lab, with the unmodified aws and kubectl of the person concerned."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from documents import check_document
from raw_cluster import client, keys

ACCOUNT, REGION = "231144931069", "eu-west-2"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
FILE = f"""\
# our access
accounts:
  main: {{id: "{ACCOUNT}"}}

people:
  # the lead
  ann: {{user: ann, account: main}}   # since 2020
  bob: {{user: bob, account: main}}

groups:
  team: [ ann ]

roles:
  Admins:
    account: main
    assumableBy:
      - team   # everybody of the team
      - 'bob'
  Viewers:
    account: main
    assumableBy: [ "bob" ]

clusters:
  prod-1: {{account: main, region: {REGION}}}
  prod-2: {{account: main, region: {REGION}, mapping: access-entries}}

grants:
  - role: Admins
    clusters: [prod-1]   # more later
    username: "admin:{{{{SessionName}}}}"
    groups: [ops]
    bindings: [{{clusterRole: cluster-admin}}]
  - role: Viewers
    clusters: prod-*
    username: "viewer:{{{{SessionName}}}}"
    groups: [viewers]
    bindings: [{{clusterRole: view}}]
"""


class Shell:
    """A folder in which the lab's administrator works, and the people whose credentials the lab gave out."""

    def __init__(self, environment: Mapping[str, str], folder: Path, found: dict[str, str]) -> None:
        self.iam, self.eks = client("iam", found), client("eks", found)
        self.environment = {**environment, "XDG_STATE_HOME": str(folder / "state")}
        self.folder = folder
        self.file = folder / "access.yaml"

    def run(
        self, *command: str, code: int | None = 0, keys: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = self.environment
        if keys is not None:
            environment = {key: value for key, value in environment.items() if key not in KEYS} | dict(keys)
        done = subprocess.run(
            command, env=environment, cwd=cwd or self.folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert code is None or done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        check_document(done.stdout)
        return done

    def rolecall(self, *arguments: str, code: int | None = 0, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "rolecall", *arguments, code=code, **more)

    def aws(self, *arguments: str, code: int | None = 0, **more: Any) -> Any:
        done = self.run("aws", *arguments, "--output", "json", code=code, **more)
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stderr

    def keys_of(self, user: str) -> dict[str, str]:
        """An access key of a user, as variables."""
        key = self.iam.create_access_key(UserName=user)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def assume(self, keys: Mapping[str, str], role: str, code: int = 0) -> Any:
        """The session that somebody gets of a role, as variables; the error where they get none."""
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        found = self.aws("sts", "assume-role", "--role-arn", arn, "--role-session-name", "me", code=code, keys=keys)
        if code:
            return found
        found = found["Credentials"]
        return dict(zip(KEYS[:3], (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]), strict=True))

    def whoami(self, keys: Mapping[str, str], cluster: str, code: int = 0) -> Any:
        """Who somebody is on a cluster, by ``kubectl auth whoami``; the error where nobody."""
        done = self.run("kubectl", "--context", cluster, "auth", "whoami", "-o", "json", code=code, keys=keys)
        return done.stderr if code else json.loads(done.stdout)["status"]["userInfo"]["username"]


def document(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# The environment of its administrator, and the keys in it.
Lab = tuple[dict[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def lab(start_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    running = start_lab("--account", ACCOUNT, "--region", REGION)
    folder, found = tmp_path_factory.mktemp("admin"), keys(running.home)
    environment = {**running.environment(), "KUBECONFIG": str(folder / "kubeconfig")}
    shell = Shell(environment, folder, found)
    for name, mode in (("prod-1", "CONFIG_MAP"), ("prod-2", "API_AND_CONFIG_MAP")):
        shell.eks.create_cluster(
            name=name, roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks", resourcesVpcConfig={"subnetIds": ["subnet-1"]},
            accessConfig={"authenticationMode": mode},
        )  # fmt: skip
    for name in ("prod-1", "prod-2"):
        shell.eks.get_waiter("cluster_active").wait(name=name, WaiterConfig={"Delay": 1})
        shell.aws("eks", "update-kubeconfig", "--name", name, "--alias", name)
    return environment, found


@pytest.fixture
def shell(lab: Lab, tmp_path: Path) -> Shell:
    """A folder with access.yaml, applied: whatever the test before left there is undone by that."""
    made = Shell(lab[0], tmp_path, lab[1])
    made.file.write_text(FILE)
    made.rolecall("apply", "--yes")
    return made


def test_somebody_gains_access_and_loses_it(shell: Shell) -> None:
    shell.rolecall("grant", "cho", "--user", "--role", "Admins", "--cluster", "prod-2", "--yes")
    added = FILE.replace("  bob: {user: bob, account: main}\n", "  bob: {user: bob, account: main}\n  cho: {user: cho, account: main}\n")  # fmt: skip
    added = added.replace("      - 'bob'\n", "      - 'bob'\n      - 'cho'\n").replace("[prod-1]   #", "[prod-1, prod-2]   #")  # fmt: skip
    assert shell.file.read_text() == added
    keys = shell.keys_of("cho")
    session = shell.assume(keys, "Admins")
    assert [shell.whoami(session, name) for name in ("prod-1", "prod-2")] == ["admin:me", "admin:me"]
    drift = shell.rolecall("drift").stdout
    assert drift.endswith("\nNo drift, in 1 account, 2 clusters.\n")
    # Whoever made the cluster is in it, and no file says so.
    assert f"arn:aws:iam::{ACCOUNT}:user/lab-admin has username " in drift

    begun = datetime.now(UTC)
    done = shell.rolecall("revoke", "cho", "--role", "Admins", "--yes", "-o", "json")
    assert shell.file.read_text() == added.replace("      - 'cho'\n", "")
    told = json.loads(done.stdout)
    assert told["complete"] is True
    assert "AccessDenied" in shell.assume(keys, "Admins", code=255)
    # As the report says: the session that lives still gets in, for an hour and what the API server remembers.
    assert shell.whoami(session, "prod-1") == "admin:me"
    left = told["afterwards"]["lingering"]
    assert [one["cluster"].rpartition("/")[2] for one in left] == ["prod-1", "prod-2"]
    until = datetime.fromisoformat(left[0]["until"])
    assert begun + timedelta(minutes=67) <= until <= datetime.now(UTC) + timedelta(minutes=67)
    assert told["afterwards"]["standing"] == []
    # And what would cut it now: the mapping taken away.
    shell.file.write_text(shell.file.read_text().replace("clusters: [prod-1, prod-2]", "clusters: [prod-2]"))
    # Nobody would be administrator there any more, which is allowed by name.
    shell.rolecall("apply", "--yes", "--cluster", "prod-1", "--allow", "lockout-last-admin:prod-1")
    assert "must be logged in" in shell.whoami(session, "prod-1", code=1)


def test_a_user_is_deleted_only_when_asked(shell: Shell) -> None:
    shell.rolecall("grant", "dan", "--user", "--role", "Viewers", "--yes")
    keys = shell.keys_of("dan")
    shell.rolecall("revoke", "dan", "--everywhere", "--yes")
    assert shell.aws("sts", "get-caller-identity", keys=keys)["Arn"].endswith("user/dan")
    done = shell.rolecall("revoke", "dan", "--delete-user", "--yes")
    assert "- user dan" in done.stdout
    assert "  dan: {user: dan, account: main, state: absent}\n" in shell.file.read_text()
    assert "InvalidClientTokenId" in shell.aws("sts", "get-caller-identity", keys=keys, code=255)


def test_everywhere_is_also_what_the_file_does_not_name(shell: Shell) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/eve"
    statement = {"Effect": "Allow", "Principal": {"AWS": [arn, f"arn:aws:iam::{ACCOUNT}:user/ann"]}, "Action": "sts:AssumeRole"}  # fmt: skip
    shell.iam.create_user(UserName="eve")
    shell.iam.create_role(RoleName="Legacy", AssumeRolePolicyDocument=document(statement))
    shell.rolecall("aws-auth", "set", arn, "--cluster", "prod-1", "--username", "eve", "--group", "viewers")
    shell.eks.create_access_entry(clusterName="prod-2", principalArn=arn, username="eve")
    keys = shell.keys_of("eve")
    assert [shell.whoami(keys, name) for name in ("prod-1", "prod-2")] == ["eve", "eve"]
    assert shell.assume(keys, "Legacy")
    root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    # A way that no list names: a role that trusts the whole account, and a policy of her own.
    shell.iam.create_role(RoleName="Wide", AssumeRolePolicyDocument=document(root))
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    shell.iam.put_user_policy(UserName="eve", PolicyName="p", PolicyDocument=document(allow))
    wide = f"arn:aws:iam::{ACCOUNT}:role/Wide"
    shell.eks.create_access_entry(clusterName="prod-2", principalArn=wide, username="wide")
    try:
        unknown = shell.rolecall("revoke", "eve", "--yes", code=1)
        assert "--everywhere" in unknown.stderr
        done = shell.rolecall("revoke", "eve", "--everywhere", "--yes")
        assert f'  eve: {{arn: "{arn}", state: absent}}\n' in shell.file.read_text()
        assert "AccessDenied" in shell.assume(keys, "Legacy", code=255)
        for name in ("prod-1", "prod-2"):
            assert "must be logged in" in shell.whoami(keys, name, code=1)
        assert f"cluster prod-2 ({REGION}, account {ACCOUNT}) as wide through Wide" in done.stdout
        assert "role Wide trusts the whole account, and their own policies allow them to assume it" in done.stdout
        # What it says is open is open.
        assert shell.whoami(shell.assume(keys, "Wide"), "prod-2") == "wide"
        assert shell.rolecall("drift", "--no-authors").returncode == 0
    finally:
        shell.eks.delete_access_entry(clusterName="prod-2", principalArn=wide)
        for role in ("Legacy", "Wide"):
            shell.iam.delete_role(RoleName=role)


def test_what_is_refused_or_not_confirmed_touches_nothing(shell: Shell) -> None:
    refused = shell.rolecall("grant", "ann", "--role", "Viewers", code=1)
    assert "cannot ask for confirmation" in refused.stderr
    assert '[ "bob", "ann" ]' in refused.stdout
    dry = json.loads(shell.rolecall("grant", "ann", "--role", "Viewers", "--dry-run", "-o", "json", code=10).stdout)
    assert dry["edits"][0]["file"] == "access.yaml"
    assert [gain["people"] for gain in dry["effects"]["gains"]] == [[f"arn:aws:iam::{ACCOUNT}:user/ann"]] * 2
    # A guard: system:masters.
    guarded = shell.rolecall("grant", "fay", "--user", "--role", "Viewers", "--cluster", "prod-1", "--yes", code=0)
    assert "fay" in guarded.stdout
    text = shell.file.read_text()
    shell.file.write_text(text.replace("groups: [ops]", "groups: [system:masters]").replace("    bindings: [{clusterRole: cluster-admin}]\n", ""))  # fmt: skip
    before = shell.file.read_bytes()
    masters = shell.rolecall("grant", "fay", "--role", "Admins", "--yes", code=11)
    assert "system:masters" in masters.stdout
    assert shell.file.read_bytes() == before
    # Only the grant that was made keeps what the file held, for its undo.
    assert len(list((shell.folder / "state").rglob("*.files.json"))) == 1


def test_a_failed_apply_keeps_what_the_file_held(shell: Shell) -> None:
    deny = {"Effect": "Deny", "Action": "iam:UpdateAssumeRolePolicy", "Resource": "*"}
    shell.iam.put_user_policy(UserName="lab-admin", PolicyName="no", PolicyDocument=document(deny))
    try:
        failed = shell.rolecall("grant", "ann", "--role", "Viewers", "--yes", code=1)
    finally:
        shell.iam.delete_user_policy(UserName="lab-admin", PolicyName="no")
    assert "! failed iam-role Viewers" in failed.stdout
    [kept] = (shell.folder / "state").rglob("*.files.json")
    assert [(one["path"], one["before"]) for one in json.loads(kept.read_text())] == [(str(shell.file), FILE)]
    assert f"what access.yaml held before is kept in {kept}" in failed.stderr
    assert '[ "bob", "ann" ]' in shell.file.read_text()
    shell.rolecall("resume")
    assert shell.rolecall("plan").stdout == "Nothing to change.\n"


def test_killed_while_it_applies_it_goes_on(shell: Shell) -> None:
    command = [
        sys.executable,
        "-m",
        "rolecall",
        "grant",
        "gus",
        "--user",
        "--role",
        "Admins",
        "--cluster",
        "prod-2",
        "--yes",
    ]
    process = subprocess.Popen(command, env=shell.environment, cwd=shell.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    runs = shell.folder / "state" / "rolecall" / "runs"
    known = set(runs.glob("*.jsonl"))
    deadline = time.monotonic() + 300
    # As soon as the first step is in the journal.
    while time.monotonic() < deadline and process.poll() is None:
        if any(b'"state"' in path.read_bytes() for path in set(runs.glob("*.jsonl")) - known):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    process.wait(300)
    assert "gus" in shell.file.read_text()
    if process.returncode == -signal.SIGKILL:
        [kept] = runs.glob("*.files.json")
        assert [(one["path"], one["before"]) for one in json.loads(kept.read_text())] == [(str(shell.file), FILE)]
    shell.rolecall("resume")
    assert shell.whoami(shell.assume(shell.keys_of("gus"), "Admins"), "prod-2") == "admin:me"
    assert shell.rolecall("plan").stdout == "Nothing to change.\n"


def test_only_what_it_is_about_is_changed(shell: Shell) -> None:
    shell.file.write_text(shell.file.read_text().replace("groups: [ops]", "groups: [ops, more]"))
    done = shell.rolecall("grant", "ann", "--role", "Viewers", "--yes")
    assert "left for rolecall apply: 2 other changes of the file" in done.stderr
    assert "more" not in done.stdout
    shell.rolecall("plan", code=10)


def test_without_a_file_the_world_itself_is_changed(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    shell.iam.create_user(UserName="hal", Path="/team/")
    shell.rolecall(
        "grant", "hal", "--role", "Viewers", "--cluster", "prod-2", "--until", "2090-01-01", "--yes", cwd=empty
    )
    keys = shell.keys_of("hal")
    assert shell.whoami(shell.assume(keys, "Viewers"), "prod-2") == "viewer:me"
    trust = shell.iam.get_role(RoleName="Viewers")["Role"]["AssumeRolePolicyDocument"]
    assert "2090-01-01T00:00:00Z" in json.dumps(trust)
    assert shell.iam.get_user(UserName="hal")["User"]["Path"] == "/team/"
    # It is one more change of the world for the file's owner, who is told.
    assert "may be assumed by" in shell.rolecall("drift", code=10).stdout
    shell.rolecall("revoke", "hal", "--yes", cwd=empty)
    assert "AccessDenied" in shell.assume(keys, "Viewers", code=255)
    assert list(empty.iterdir()) == []
    assert shell.rolecall("drift").returncode == 0


def test_drift_names_what_is_where_and_by_whom(shell: Shell) -> None:
    assert shell.rolecall("drift", "-q").stdout == ""
    roles = f"- rolearn: arn:aws:iam::{ACCOUNT}:role/Viewers\n  username: x\n- rolearn: arn:aws:iam::{ACCOUNT}:role/nodes\n  username: node\n"  # fmt: skip
    patch = json.dumps({"data": {"mapRoles": roles}})
    shell.run("kubectl", "--context", "prod-1", "-n", "kube-system", "patch", "configmap", "aws-auth", "--type", "merge", "-p", patch)  # fmt: skip
    shell.eks.delete_access_entry(clusterName="prod-2", principalArn=f"arn:aws:iam::{ACCOUNT}:role/Viewers")
    done = shell.rolecall("drift", "-q", "-o", "json", code=10)
    report = json.loads(done.stdout)
    found = {(one["kind"], one["difference"]): one for one in report["drift"]}
    assert set(found) == {("aws-auth-role", "missing"), ("aws-auth-role", "different"), ("access-entry", "missing")}
    changed = found["aws-auth-role", "different"]
    assert (changed["now"]["username"], changed["file"]["username"]) == ("x", "viewer:{{SessionName}}")
    line = FILE.splitlines().index("  - role: Viewers") + 1
    assert changed["source"] == f"access.yaml:{line}:5"
    assert changed["changedBy"]["who"] == "kubectl-patch"
    # The lab has no CloudTrail: nobody is made up.
    assert "changedBy" not in found["access-entry", "missing"]
    assert "CloudTrail: " in found["access-entry", "missing"]["changedByUnknown"]
    assert [one["name"] for one in report["unlisted"] if one["name"].endswith("role/nodes")]
    shell.rolecall("drift", "--no-exit-code", code=0)
    # With `unlisted: remove` what nobody names is drift too.
    shell.file.write_text(FILE.replace("prod-1: {account: main,", "prod-1: {account: main, unlisted: remove,"))
    again = json.loads(shell.rolecall("drift", "--cluster", "prod-1", "-o", "json", code=10).stdout)
    assert ("unexpected", f"arn:aws:iam::{ACCOUNT}:role/nodes") in {
        (d["difference"], d["name"]) for d in again["drift"]
    }
    # By rolecall's own command: with the name of who did it.
    shell.file.write_text(FILE)
    shell.rolecall("apply", "--yes")
    arn = f"arn:aws:iam::{ACCOUNT}:role/Viewers"
    shell.rolecall("aws-auth", "set", arn, "--cluster", "prod-1", "--username", "y", "--why", "for a while")
    [one] = json.loads(shell.rolecall("drift", "-o", "json", code=10).stdout)["drift"]
    assert one["changedBy"]["who"] == f"arn:aws:iam::{ACCOUNT}:user/lab-admin"
    assert one["changedBy"]["how"].endswith("because: for a while")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["grant", "ann"], 2, "--role"),
        (["grant", "ann", "--role", "Viewers", "--until", "soon"], 2, "is not a date or time"),
        (["grant", "ann", "--role", "Viewers", "--user", "--arn", "arn:aws:iam::1:user/x"], 2, "one of --user and --arn"),
        (["grant", "ann", "--role", "Viewer"], 1, "did you mean Viewers?"),
        (["revoke", "ann", "--everywhere", "--role", "Admins"], 2, "exclude each other"),
        (["revoke", "nobody"], 1, "there is no 'nobody'"),
        (["grant", "ann", "--role", "Viewers", "-f", "none.yaml"], 1, "none.yaml: not found"),
        (["drift", "-f", "none.yaml"], 1, "not found"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told(lab: Lab, tmp_path: Path, arguments: list[str], code: int, words: str) -> None:  # fmt: skip
    shell = Shell(lab[0], tmp_path, lab[1])
    shell.file.write_text(FILE)
    done = shell.rolecall(*arguments, code=code)
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert shell.file.read_text() == FILE


def test_whoever_asks_again_is_told_of_the_sessions_of_before(shell: Shell) -> None:
    """Access as code, fault 2: a session lives up to the role's longest duration after the revocation (IAM user guide)."""
    shell.rolecall("grant", "fay", "--user", "--role", "Viewers", "--yes")
    keys = shell.keys_of("fay")
    session = shell.assume(keys, "Viewers")
    assert shell.whoami(session, "prod-1") == "viewer:me"
    done = shell.rolecall("revoke", "fay", "--everywhere", "--why", "left the company", "--yes")
    assert "Closed for new logins. Existing sessions keep working:" in done.stdout
    assert f"The IAM user fay keeps 1 active access key: {keys['AWS_ACCESS_KEY_ID']}" in done.stdout
    done = shell.rolecall("revoke", "fay", "--everywhere", "--dry-run", "-o", "json", code=None)
    again = json.loads(done.stdout)
    assert done.stderr == "note: fay has no access through the file\n"
    assert [one["username"] for one in again["afterwards"]["lingering"]] == ["viewer:{{SessionName}}"] * 2
    assert again["afterwards"]["activeAccessKeys"] == [keys["AWS_ACCESS_KEY_ID"]]
    assert shell.whoami(session, "prod-1") == "viewer:me"
    # From another machine nothing is known of that run: then the bound is named.
    elsewhere = {**shell.environment, "XDG_STATE_HOME": str(shell.folder / "another")}
    command = [sys.executable, "-m", "rolecall", "revoke", "fay", "--everywhere", "--dry-run"]
    shown = subprocess.run(
        command, env=elsewhere, cwd=shell.folder, capture_output=True, text=True, timeout=90, check=False
    )
    assert "Sessions that began before somebody else took access away are not known here. They end by" in shown.stdout
    runs = json.loads(shell.rolecall("runs", "-o", "json").stdout)
    assert "left the company" in json.dumps(runs)


def test_a_revocation_goes_on_where_an_account_cannot_be_read(shell: Shell) -> None:
    shell.rolecall("grant", "jan", "--user", "--role", "Viewers", "--yes")
    keys = shell.keys_of("jan")
    assert shell.assume(keys, "Viewers")
    broken = shell.file.read_text().replace("accounts:\n", 'accounts:\n  far: {id: "444455556666", profile: gone}\n', 1)
    broken = broken.replace("\nclusters:\n", f"\nclusters:\n  far-1: {{account: far, region: {REGION}}}\n", 1)
    broken = broken.replace("\npeople:\n", "\npeople:\n  kim: {user: kim, account: main}\n", 1)
    shell.file.write_text(broken.replace("\nroles:\n", "\nroles:\n  Far: {account: far, assumableBy: [jan]}\n", 1))
    done = shell.rolecall("revoke", "jan", "--everywhere", "--yes", code=1)
    assert "jan may still have access where nothing could be read: 444455556666" in done.stderr
    assert "AccessDenied" in shell.assume(keys, "Viewers", code=255)
    # What the file has pending for others is not made by the way.
    assert "user kim" not in done.stdout


def test_a_mistake_in_the_file_names_the_way_to_revoke_without_it(shell: Shell) -> None:
    shell.rolecall("grant", "gil", "--user", "--role", "Viewers", "--yes")
    keys = shell.keys_of("gil")
    whole = shell.file.read_text()
    shell.file.write_text(whole.replace("clusters: prod-*", 'clusters: "staging-*"'))
    refused = shell.rolecall("revoke", "gil", "--everywhere", "--yes", code=1)
    assert "rolecall revoke gil --everywhere --no-file" in refused.stderr
    shell.rolecall("revoke", "gil", "--everywhere", "--no-file", "--yes")
    assert "AccessDenied" in shell.assume(keys, "Viewers", code=255)
    shell.file.write_text(whole)


def test_undo_takes_the_edit_of_the_file_back_or_says_what_stays(shell: Shell) -> None:
    before = shell.file.read_text()
    shell.rolecall("grant", "hal", "--user", "--role", "Viewers", "--for", "4h", "--yes")
    assert "hal" in shell.file.read_text()
    done = shell.rolecall("undo", "--yes")
    assert shell.file.read_text() == before
    assert "access.yaml is again as it was before the run" in done.stderr
    # The undo of an undo restores the edit as well.
    shell.rolecall("undo", "--yes")
    assert "hal" in shell.file.read_text()
    shell.file.write_text(shell.file.read_text() + "# by hand\n")
    done = shell.rolecall("undo", "--yes")
    assert "access.yaml was edited since this run" in done.stderr
    assert "still says: " in done.stderr
    assert "hal" in shell.file.read_text()


def test_deleting_and_restoring_a_user_says_what_does_not_come_back(shell: Shell) -> None:
    shell.rolecall("grant", "ida", "--user", "--role", "Viewers", "--yes")
    shell.iam.put_user_policy(
        UserName="ida",
        PolicyName="mine",
        PolicyDocument=document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}),
    )
    done = shell.rolecall("revoke", "ida", "--delete-user", "--yes")
    assert "with user ida go its access keys, password and MFA devices, and inline policies: mine" in done.stderr
    done = shell.rolecall("undo", "--yes")
    assert "user ida is created again with a new unique id" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--for", "4x"], "is not a duration; use 90m, 4h, 3d or 2w"),
        (["--until", "4h"], "or --for 4h"),
        (["--until", "2030-01-01", "--for", "4h"], "one of --until and --for"),
    ],
)
def test_when_a_grant_ends(shell: Shell, arguments: list[str], text: str) -> None:
    assert text in " ".join(shell.rolecall("grant", "ann", "--role", "Viewers", *arguments, code=2).stderr.split())
