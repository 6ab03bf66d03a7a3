"""Profiles written into a config file that belongs to a person.

Source of the format: AWS CLI user guide, "Using an IAM role in the AWS CLI".
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import botocore.configloader
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.local_files import profile_text
from rolecall.local_files.aws_config import AwsConfigError, parse_sections, profile_of, read_aws_config
from rolecall.local_files.aws_profiles import write_profiles
from rolecall.local_files.profile_text import MARK, RoleProfile, merged
from unusual_files import ROOT, in_private_mounts

ROLE = "arn:aws:iam::231144931069:role/{}"
THEIRS = """\
# mine
[default]
region = eu-west-1

[profile work]   ; by hand
role_arn = arn:aws:iam::231144931069:role/Admins
source_profile=default
s3 =
    max_concurrent_requests = 20
"""


def profile(role: str = "Admins", names: tuple[str, ...] = (), region: str = "eu-west-2") -> RoleProfile:
    return RoleProfile(
        names or (role, f"231144931069-{role}"), ROLE.format(role), "default", {"region": region, "output": "json"}
    )


def test_botocore_reads_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".aws" / "config"
    written = write_profiles(path, [profile(), profile("Read Only")])
    assert written.added == ("Admins", "Read Only")
    assert path.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    found = botocore.session.Session().full_config["profiles"]
    assert found["Admins"] == {
        "role_arn": ROLE.format("Admins"),
        "source_profile": "default",
        "region": "eu-west-2",
        "output": "json",
    }
    assert found["Read Only"]["role_arn"] == ROLE.format("Read Only")


def test_the_persons_own_lines_stay_to_the_byte() -> None:
    new, written = merged(THEIRS, [profile()])
    assert new.startswith(THEIRS)
    assert written.added == ("Admins",)


def test_a_name_of_the_persons_is_not_taken() -> None:
    _, written = merged(THEIRS, [profile(names=("work", "work-2"))])
    assert written.added == ("work-2",)
    with pytest.raises(AwsConfigError, match=r"every name for a profile of .*role/Admins is taken: work"):
        merged(THEIRS, [profile(names=("work",))])


def test_the_same_again_changes_nothing_and_a_change_only_its_own_section() -> None:
    once, _ = merged(THEIRS, [profile(), profile("Readers")])
    twice, written = merged(once, [profile(), profile("Readers")])
    assert twice == once
    assert written.unchanged == ("Admins", "Readers")
    changed, written = merged(once, [profile(region="us-east-1"), profile("Readers")])
    assert written.changed == ("Admins",)
    assert changed == once.replace(
        f"[profile Admins]\n{MARK}\nrole_arn = {ROLE.format('Admins')}\nsource_profile = default\nregion = eu-west-2",
        f"[profile Admins]\n{MARK}\nrole_arn = {ROLE.format('Admins')}\nsource_profile = default\nregion = us-east-1",
    )


def test_more_keys_in_one_section_leave_the_next_in_place() -> None:
    once, _ = merged(THEIRS, [profile(), profile("Readers")])
    longer = RoleProfile(
        ("Admins",), ROLE.format("Admins"), "default", {**profile().settings, "mfa_serial": "m", "external_id": "e"}
    )
    changed, written = merged(once, [longer, profile("Readers", region="us-east-1")])
    assert written.changed == ("Admins", "Readers")
    assert (
        changed.count("[profile Readers]")
        == changed.count("external_id = e\n")
        == changed.count("region = us-east-1")
        == 1
    )
    assert merged(changed, [longer, profile("Readers", region="us-east-1")])[0] == changed


def test_a_file_without_a_last_line_break_is_continued_on_a_new_line() -> None:
    new, _ = merged("[default]\nregion = x", [profile()])
    assert new.startswith("[default]\nregion = x\n\n[profile Admins]\n")


def test_a_line_break_cannot_bring_in_another_key() -> None:
    with pytest.raises(AwsConfigError, match="has a line break in it or blanks"):
        merged("", [profile(region="x\ncredential_process = evil")])


def test_a_broken_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("key before any section = 1\n")
    with pytest.raises(AwsConfigError):
        write_profiles(path, [profile()])
    assert path.read_text() == "key before any section = 1\n"


@given(
    st.lists(
        st.sampled_from(["[profile a]", "[default]", "[sso-session s]", "# c", "", "  ", "region = x", "x=1"]),
        max_size=8,
    )
)
def test_whatever_is_there_comes_first_and_unchanged(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        new, written = merged(text, [profile()])
    except AwsConfigError:
        return
    assert new.startswith(text)
    assert written.added == ("Admins",)
    assert merged(new, [profile()])[0] == new


# All that `str.splitlines` takes for the end of a line. Only the first three end one in a file of the AWS CLI.
BREAKS = ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
KEEP = "[profile keep]\nregion = us-east-1\nrole_arn = arn:aws:iam::111111111111:role/Keep\nsource_profile = ann\n"


def as_botocore_reads(text: str, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "as-botocore-reads"
    path.write_bytes(text.encode())
    found: dict[str, Any] = botocore.configloader.load_config(str(path))["profiles"]
    return found


@pytest.mark.parametrize("character", BREAKS)
@pytest.mark.parametrize(
    "place", ["# one{0}# two{0}# three{0}# four\n", "cli_pager = a{0}# b{0}\n", "s3 =\n  a = 1{0}\n"]
)
def test_no_character_moves_the_cut(character: str, place: str, tmp_path: Path) -> None:
    """aws-sdk-java-v2 issue 3214 has such a file. A second run with a change is the one that cuts."""
    theirs = f"[profile ann]\nregion = eu-west-2\n{place.format(character)}{KEEP}"
    once, _ = merged(theirs, [profile()])
    twice, written = merged(once, [profile(region="us-east-1")])
    assert written.changed == ("Admins",)
    assert twice.startswith(theirs)
    assert twice.count("[profile Admins]") == twice.count(MARK) == 1
    found = as_botocore_reads(twice, tmp_path)
    assert found["keep"]["role_arn"] == "arn:aws:iam::111111111111:role/Keep"
    assert {name: found[name] for name in ("ann", "keep")} == as_botocore_reads(theirs, tmp_path)
    assert found["Admins"]["region"] == "us-east-1"


LINES = [
    "[profile a]", "[default]", "[DEFAULT]", "[sso-session s]", "# c", "", "region = x", "x=1", " y = 2",
    "[profile 'Admins']",
]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(BREAKS)), max_size=10))
def test_whatever_is_there_stays_when_ours_is_written_again(lines: list[tuple[str, str]]) -> None:
    text = "".join(line + end for line, end in lines)
    try:
        once, _ = merged(text, [profile()])
    except AwsConfigError:
        return
    for before in (once, f"{once}{KEEP}"):
        new, written = merged(before, [profile(region="us-east-1")])
        assert len(written.changed) == 1
        at = before.index("region = eu-west-2")
        assert new == before[:at] + "region = us-east-1" + before[at + len("region = eu-west-2") :]
        assert merged(new, [profile(region="us-east-1")])[0] == new


def test_the_net_refuses_a_text_in_which_something_else_would_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever goes wrong in the edit: a text with somebody's line changed is not written."""
    path = tmp_path / "config"
    path.write_text(f"[profile ann]\nregion = eu-west-2\n{KEEP}")
    write_profiles(path, [profile()])
    path.write_text(f"{path.read_text()}\n{KEEP.replace('keep', 'below')}")
    before, edited = path.read_text(), profile_text._edited
    for spoil in (
        lambda found: [*found, "[profile x]\n"],
        lambda found: [*found, "region = z\n"],
        lambda found: [*found, "cli_pager = z\n"],
        lambda found: found[:-3],
        lambda found: [],
    ):
        monkeypatch.setattr(profile_text, "_edited", lambda *rest, spoil=spoil: spoil(edited(*rest)))
        with pytest.raises(AwsConfigError, match="cannot be written without changing what is not ours"):
            write_profiles(path, [profile(region="us-east-1")])
    assert path.read_text() == before


def test_what_a_person_adds_to_our_section_stays(tmp_path: Path) -> None:
    once, _ = merged(THEIRS, [profile(), profile("Readers")])
    added = "# for big copies\ns3 =\n    max_concurrent_requests = 7\n\n# on the end\ncli_pager =\n"
    mine = once.replace("output = json\n\n", f"output = json\n{added}\n", 1)
    new, _ = merged(mine, [profile(region="us-east-1"), profile("Readers")])
    assert new == mine.replace("region = eu-west-2", "region = us-east-1", 1)
    fewer = RoleProfile(("Admins",), ROLE.format("Admins"), "default", {"external_id": "e"})
    new, _ = merged(mine, [fewer, profile("Readers")])
    assert added in new
    assert as_botocore_reads(new, tmp_path)["Admins"] == {
        "role_arn": ROLE.format("Admins"),
        "source_profile": "default",
        "external_id": "e",
        "s3": {"max_concurrent_requests": "7"},
        "cli_pager": "",
    }


def test_a_value_over_several_lines_is_replaced_whole() -> None:
    once, _ = merged("", [profile()])
    broken = once.replace("region = eu-west-2\n", "region = eu-west-2\n   and more\n\n   and more\n# mine\n")
    new, _ = merged(broken, [profile()])
    assert new == once.replace("region = eu-west-2\n", "region = eu-west-2\n# mine\n")


@pytest.mark.parametrize("place", ["[DEFAULT]\n{0}[default]\nx = y\n{1}", "[default]\nx = y\n{1}\n[DEFAULT]\n{0}"])
def test_keys_of_default_are_nobodys_own(place: str, tmp_path: Path) -> None:
    """configparser gives the keys of [DEFAULT] to every section."""
    mine, _ = merged("", [profile()])
    theirs = place.format("output = text\ncli_pager = less\n", mine)
    again, written = merged(theirs, [profile(region="us-east-1")])
    assert written.changed == ("Admins",)
    assert again == theirs.replace("eu-west-2", "us-east-1")
    found = as_botocore_reads(again, tmp_path)["Admins"]
    assert (found["output"], found["cli_pager"]) == ("json", "less")
    new, written = merged(theirs.replace(mine, ""), [profile()])
    assert written.added == ("Admins",)
    assert as_botocore_reads(new, tmp_path)["Admins"]["output"] == "json"


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_stay(ending: str, mark: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    theirs = mark + THEIRS.replace("\n", ending)
    path.write_bytes(theirs.encode())
    assert write_profiles(path, [profile()]).added == ("Admins",)
    once = path.read_bytes().decode()
    assert once.startswith(theirs)
    assert set(re.findall("\r\n|\r|\n", once)) == {ending}
    assert len(write_profiles(path, [profile(region="us-east-1")]).changed) == 1
    assert path.read_bytes().decode() == once.replace("region = eu-west-2", "region = us-east-1")
    assert read_aws_config(str(path), "").profiles["Admins"].values["region"] == "us-east-1"


# What botocore's `build_profile_map` takes for a profile's name: `shlex.split` of the header.
SPELLINGS = [
    "profile 'Admins'", 'profile "Admins"', "profile  Admins", "profile\tAdmins", 'profile Ad"min"s',
    r"profile Ad\mins", "profile Admins ", "profiles Admins", "profile ''Admins",
]  # fmt: skip


@pytest.mark.parametrize("header", SPELLINGS)
def test_a_profile_of_the_persons_own_is_theirs_in_every_spelling(header: str, tmp_path: Path) -> None:
    """aws-cli issue 2806, aws-sso-util issue 16: a second section of one name would win."""
    theirs = f"[{header}]\nregion = us-east-1\n"
    assert as_botocore_reads(theirs, tmp_path)["Admins"] == {"region": "us-east-1"}
    new, written = merged(theirs, [profile()])
    assert written.added == ("231144931069-Admins",)
    assert as_botocore_reads(new, tmp_path)["Admins"] == {"region": "us-east-1"}


@given(st.text(st.sampled_from("pro file'\"\\ \tAdmins"), max_size=12))
def test_headers_mean_what_botocore_takes_them_for(rest: str) -> None:
    header = f"profile{rest}"
    found = botocore.configloader.build_profile_map({header: {"x": "1"}})["profiles"]
    assert ([*found] or [None])[0] == profile_of(header)


@given(st.text(min_size=1, max_size=9))
def test_a_header_that_is_written_names_the_profile(name: str) -> None:
    try:
        new, written = merged("", [RoleProfile((name,), ROLE.format("Admins"), "default", {})])
    except AwsConfigError:
        return
    assert written.added == (name,)
    assert [profile_of(header) for header in parse_sections(new, "config")] == [name]


def test_a_mounted_file_and_one_of_somebody_else_stay_what_they_are(tmp_path: Path) -> None:
    """scality/cloudserver issue 3837 (a bind mount); minikube issue 5417 (root's file after sudo)."""
    real, folder = tmp_path / "real", tmp_path / "home"
    folder.mkdir()
    real.write_text(THEIRS)
    real.chmod(0o640)
    if ROOT:
        os.chown(real, 1000, 1001)
    before = real.stat()
    (folder / "config").write_text("")
    code = (
        "import sys; from pathlib import Path; from rolecall.local_files.aws_profiles import *\n"
        "print(write_profiles(Path(sys.argv[1]), [RoleProfile(('a',), 'arn', 'default', {})]).added)"
    )
    done = in_private_mounts([(real, folder / "config")], code, str(folder / "config"))
    assert done.stdout == "('a',)\n"
    write_profiles(real, [profile("Readers")])
    text, after = real.read_text(), real.stat()
    assert text.startswith(THEIRS)
    assert "[profile a]" in text
    assert "[profile Readers]" in text
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
