"""``rolecall aws-auth`` on a manifest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from rolecall.cli.cluster_maps.aws_auth import app
from rolecall.errors import RolecallError

A = "arn:aws:iam::111111111111"
NODES = f"""\
    # the nodes
    - rolearn: {A}:role/node
      username: system:node:{{{{EC2PrivateDNSName}}}}
      groups:
        - system:bootstrappers
        - system:nodes
"""
FILE = (
    "# platform team\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\n"
    f"data:\n  mapRoles: |\n{NODES}    - rolearn: {A}:role/Admin # us\n      username: admin\n      groups: [system:masters]\n"
    "  mapUsers: |\n    []\n"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "aws-auth.yaml"
    path.write_text(FILE)
    return path


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def said(result: Result) -> str:
    """What the person reads of a refusal."""
    assert isinstance(result.exception, RolecallError), result.output
    return str(result.exception)


def test_get(file: Path) -> None:
    shown = run("get", "-f", file)
    assert shown.exit_code == 0
    assert f"mapRoles   7      {A}:role/Admin   admin" in shown.stdout
    found = json.loads(run("get", "-f", file, "-o", "json", f"{A}:role/admin").stdout)
    assert [(e["username"], e["groups"], e["inForce"]) for e in found["entries"]] == [
        ("admin", ["system:masters"], True)
    ]
    assert run("get", "-f", file, f"{A}:role/Nobody").exit_code == 1


def test_set_changes_lines_of_its_own_and_keeps_the_mode(file: Path) -> None:
    file.chmod(0o640)
    done = run("set", f"{A}:role/Dev", "--username", "dev", "--group", "developers", "-f", file)
    assert done.exit_code == 0, done.output
    new = f"    - rolearn: {A}:role/Dev\n      username: dev\n      groups: [developers]\n"
    assert file.read_text() == FILE.replace("  mapUsers", new + "  mapUsers")
    assert file.stat().st_mode & 0o777 == 0o640
    assert f"+    - rolearn: {A}:role/Dev" in done.stdout
    # What is not named stays.
    run("set", f"{A}:role/Dev", "--group", "viewers", "-f", file)
    assert file.read_text() == FILE.replace("  mapUsers", new.replace("developers", "viewers") + "  mapUsers")
    run("remove", f"{A}:role/dev", "-f", file)
    assert file.read_text() == FILE


def test_a_dry_run_shows_and_changes_nothing(file: Path) -> None:
    done = run("set", f"{A}:user/ann", "--username", "ann", "--dry-run", "-f", file)
    assert done.exit_code == 0
    assert f"+    - userarn: {A}:user/ann" in done.stdout
    assert file.read_text() == FILE
    refused = run("remove", f"{A}:role/node", "--dry-run", "-f", file)
    assert refused.exit_code == 1
    assert "--allow lockout-nodes" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "guard", "words"),
    [
        (("remove", f"{A}:role/node"), "lockout-nodes", "nodes would be locked out"),
        (("remove", f"{A}:role/Admin"), "lockout-last-admin", "no administrator would be left"),
        (
            ("set", f"{A}:role/X", "--username", "x", "--group", "system:masters"),
            "system-masters",
            "which no RBAC rule can limit",
        ),
        (("set", f"{A}:role/team/X", "--username", "x"), "never-matches", f"write {A}:role/X"),
        (
            ("set", "arn:aws:sts::111111111111:assumed-role/X/s", "--username", "x"),
            "never-matches",
            f"write {A}:role/X",
        ),
        (("set", f"{A}:role/X", "--username", "x:{{sessionname}}"), "never-matches", "did you mean {{SessionName}}?"),
    ],
)
def test_guards_refuse_and_are_overridden_by_name(
    file: Path, arguments: tuple[str, ...], guard: str, words: str
) -> None:
    refused = said(run(*arguments, "-f", file))
    assert words in refused
    assert f"to do it anyway: --allow {guard}" in refused
    assert file.read_text() == FILE
    assert run(*arguments, "-f", file, "--allow", guard).exit_code == 0
    assert file.read_text() != FILE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("set", "nonsense", "--username", "x"), "give the ARN"),
        (("set", f"{A}:role/X"), "needs a username"),
        (("set", "111111111111", "--group", "x"), "neither username nor groups"),
        (("set", f"{A}:role/X", "--group", "x", "--no-groups"), "exclude each other"),
        (("get", "--context", "x"), "exclude each other"),
        (("get", "--region", "x"), "need --cluster"),
    ],
)
def test_wrong_usage_says_what_to_do(file: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in said(run(*arguments, "-f", file))
    assert file.read_text() == FILE


def test_accounts_and_standard_input() -> None:
    done = run("set", "000000000012", "-f", "-", stdin=FILE)
    assert yaml.safe_load(done.stdout)["data"]["mapAccounts"] == '- "000000000012"\n'
    assert "+  mapAccounts" in done.stderr
    assert run("remove", "000000000012", "-f", "-", stdin=done.stdout).stdout.startswith("# platform team")


def test_lint_has_lines_of_the_file_and_exit_codes(file: Path) -> None:
    clean = run("lint", "-f", file)
    assert clean.exit_code == 0
    assert "warning" in clean.stdout  # system:masters
    assert run("lint", "-f", file, "--strict").exit_code == 1
    file.write_text(FILE.replace("username: admin", "userName: admin"))
    found = run("lint", "-f", file)
    assert found.exit_code == 1
    line = 1 + next(n for n, text in enumerate(FILE.splitlines()) if "username: admin" in text)
    assert f"{file}:{line}: error: the key userName has capital letters" in found.stdout
    shown = json.loads(run("lint", "-f", file, "-o", "json").stdout)
    assert {"capital-key"} <= {finding["code"] for finding in shown["findings"]}
    assert run("lint", "-f", file.with_name("none")).exit_code == 2


def test_fmt(file: Path) -> None:
    file.write_text(FILE.replace("username: admin", "UserName: 'admin'").replace(" # us", ""))
    assert run("fmt", "-f", file, "--check").exit_code == 1
    assert run("fmt", "-f", file).exit_code == 0
    assert (
        f"    - rolearn: {A}:role/Admin\n      username: admin\n      groups:\n        - system:masters\n"
        in file.read_text()
    )
    assert "    # the nodes\n" in file.read_text()
    assert run("fmt", "-f", file, "--check").exit_code == 0


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    assert run("set", "111111111111", "-f", link).exit_code == 0
    assert link.is_symlink()
    assert "mapAccounts" in file.read_text()


OTHER_SECTION = FILE.replace(
    "    []\n", f"    - userarn: {A}:role/Ops\n      username: ops\n      groups: [devs]\n"
).replace(
    "  mapUsers",
    f"    - rolearn: {A}:user/ann\n      username: ann\n      groups: [devs]\n  mapUsers",
)


@pytest.mark.parametrize(
    ("arn", "name"), [(f"{A}:user/ann", "ann"), (f"{A}:role/Ops", "ops"), (f"{A}:ROLE/OPS", "ops")]
)
@pytest.mark.parametrize(
    ("options", "username", "groups"),
    [
        (["--group", "ops"], "", "ops"),
        (["--username", "other"], "other", "devs"),
        (["--no-groups"], "", ""),
        (["--username", "other", "--group", "a", "--group", "b"], "other", "a, b"),
    ],
)
def test_set_edits_the_entry_in_force_in_either_section(
    file: Path, arn: str, name: str, options: list[str], username: str, groups: str
) -> None:
    """The authenticator tries both maps; pulumi-eks issue 593 gives this as a work-around."""
    file.write_text(OTHER_SECTION)
    done = run("set", arn, *options, "-f", file)
    assert done.exit_code == 0, (done.output, done.exception)
    before = f"      username: {name}\n      groups: [devs]\n"
    after = f"      username: {username or name}\n      groups: [{groups}]\n"
    assert file.read_text() == OTHER_SECTION.replace(before, after)


def test_a_shadowed_entry_of_the_other_section_is_not_the_one_in_force(file: Path) -> None:
    text = OTHER_SECTION.replace(f"userarn: {A}:role/Ops", f"userarn: {A}:role/admin")
    file.write_text(text)
    assert run("set", f"{A}:role/Admin", "--username", "boss", "-f", file).exit_code == 0
    assert file.read_text() == text.replace("username: admin", "username: boss")


def test_set_does_not_guess_between_entries_that_differ_in_case(file: Path) -> None:
    ann = f"    - {{userarn: {A}:user/ann, username: a}}\n    - {{userarn: {A}:user/ANN, username: b}}\n"
    file.write_text(FILE.replace("    []\n", ann))
    assert "keep one of them first" in said(run("set", f"{A}:user/Ann", "--group", "x", "-f", file))
    shown = run("get", "-f", file)
    assert shown.stdout.count("undecided") == 2
    found = json.loads(run("get", "-f", file, "-o", "json", f"{A}:user/ann").stdout)
    assert [entry.get("inForce") for entry in found["entries"]] == [None, None]


def test_get_says_that_a_section_is_lost(file: Path) -> None:
    file.write_text(FILE.replace("    []\n", "    - userarn: [\n"))
    shown = run("get", "-f", file)
    assert shown.exit_code == 1
    assert f"{A}:role/Admin" in shown.stdout
    assert "error: mapUsers line 2: not YAML" in shown.stderr
    found = json.loads(run("get", "-f", file, "-o", "json").stdout)
    assert [(one["section"], one["line"]) for one in found["lost"]] == [("mapUsers", 2)]


def test_get_shows_what_the_authenticator_drops_and_characters_that_hide(file: Path) -> None:
    entries = (
        f'    - {{userarn: \'{A}:user/a\', username: "dev\\e[2K", groups: ["v\\u2060"]}}\n    - {{username: nobody}}\n'
    )
    file.write_text(FILE.replace("    []\n", entries))
    shown = run("get", "-f", file).stdout
    assert "\x1b" not in shown
    assert "dropped" in shown
    difference = run("set", f"{A}:user/a", "--group", "x", "--dry-run", "-f", file).stdout
    assert "\x1b" not in difference


def test_names_of_options_and_help() -> None:
    """Every command has two examples and its exit codes; an old name works and is not shown."""
    for name in ("get", "lint", "set", "remove", "fmt", "history", "rollback"):
        text = run(name, "-h").stdout
        assert text.count(f"rolecall aws-auth {name}") >= 2, name
        assert "Exit codes: 0" in text
        assert "--filename" not in text
    assert run("get", "--filename", "-", stdin=FILE).exit_code == 0
    assert run("get", "--file", "-", stdin=FILE).exit_code == 0
