"""Profiles written into a config file that belongs to a person.

Source of the format: AWS CLI user guide, "Using an IAM role in the AWS CLI".
"""

from __future__ import annotations

from pathlib import Path

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.local_files.aws_config import AwsConfigError
from rolecall.local_files.aws_profiles import MARK, RoleProfile, merged, write_profiles

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
    with pytest.raises(AwsConfigError, match="has a line break in it"):
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
