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
        (("remove", f"{A}:role/Admin"), "lockout-last-admin", "nobody would be an administrator any more"),
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
    assert f"to do it all the same: --allow {guard}" in refused
    assert file.read_text() == FILE
    assert run(*arguments, "-f", file, "--allow", guard).exit_code == 0
    assert file.read_text() != FILE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("set", "nonsense", "--username", "x"), "give the ARN"),
        (("set", f"{A}:role/X"), "needs a username"),
        (("set", "111111111111", "--group", "x"), "neither username nor groups"),
        (("set", f"{A}:role/X", "--group", "x", "--no-groups"), "contradict"),
        (("get", "--context", "x"), "three places"),
        (("get", "--region", "x"), "belong to --cluster"),
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
    assert {"capital-key"} <= {finding["code"] for finding in shown}
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
