"""The AWS CLI's files, against botocore's own reader, and the lines that errors name."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from botocore.configloader import load_config, raw_config_parse
from botocore.exceptions import ConfigParseError
from botocore.session import Session
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rolecall.local_files.aws_config import AwsConfigError, file_paths, parse_sections, read_aws_config

CONFIG = """\
# my accounts
[default]
region = eu-west-2

[profile dev]
role_arn = arn:aws:iam::111122223333:role/Dev
source_profile = default
s3 =
  max_concurrent_requests = 20
  addressing_style = path

[profile "with space"]
region: us-east-1
[sso-session corp]
sso_region = us-east-1
[services lab]
sts =
  endpoint_url = http://127.0.0.1:4566
[preview]
x = 1
"""
CREDENTIALS = """\
[default]
aws_access_key_id = AKIAIOSFODNN7EXAMPLE
aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
region = us-west-2
[only-here]
aws_access_key_id=AKIAI44QH8DHBEXAMPLE
"""


def write(folder: Path, config: str, credentials: str = "") -> tuple[str, str]:
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(credentials)
    return str(folder / "config"), str(folder / "credentials")


def test_both_files_as_one(tmp_path: Path) -> None:
    # AWS CLI user guide, "Configuration and credential file settings"
    found = read_aws_config(*write(tmp_path, CONFIG, CREDENTIALS))
    assert list(found.profiles) == ["default", "dev", "with space", "only-here"]
    assert found.profiles["default"].text("region") == "us-west-2", "the credentials file wins"
    assert found.profiles["dev"].values["s3"] == {"max_concurrent_requests": "20", "addressing_style": "path"}
    assert found.sso_sessions["corp"].values == {"sso_region": "us-east-1"}
    assert found.services["lab"].values == {"sts": {"endpoint_url": "http://127.0.0.1:4566"}}
    assert found.profiles["dev"].where("role_arn") == f"{tmp_path}/config:6"
    assert found.profiles["default"].where("aws_secret_access_key") == f"{tmp_path}/credentials:3"
    assert found.profiles["default"].where("no_such_key") == f"{tmp_path}/config:2"


def test_profiles_are_botocores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, credentials = write(tmp_path, CONFIG, CREDENTIALS)
    monkeypatch.setenv("AWS_CONFIG_FILE", config)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", credentials)
    theirs = Session().full_config["profiles"]
    ours = read_aws_config(config, credentials).profiles
    assert {name: profile.values for name, profile in ours.items()} == theirs


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("region = x\n", 1, "before the first"),
        ("[default]\nregion = x\nREGION = y\n", 3, "region is given twice"),
        ("[default]\n\n[default]\n", 3, "given twice, first in line 1"),
        ("[default]\nregion\n", 2, "neither"),
        ("[default]\n= x\n", 2, "neither"),
        ("[default]\ns3 =\n  nonsense\n", 2, "block below s3"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    config, credentials = write(tmp_path, text)
    with pytest.raises(AwsConfigError, match=words) as error:
        read_aws_config(config, credentials)
    assert error.value.where == f"{config}:{line}"
    with pytest.raises(ConfigParseError):
        raw_config_parse(config)


def test_a_secret_pasted_wrong_is_not_repeated(tmp_path: Path) -> None:
    config, credentials = write(tmp_path, "", "[default]\nwJalrXUtnFEMIxK7MDENG\n")
    with pytest.raises(AwsConfigError) as error:
        read_aws_config(config, credentials)
    assert "wJalr" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert read_aws_config(str(tmp_path / "none"), "/dev/null").profiles == {}
    with pytest.raises(AwsConfigError, match="cannot be read"):
        read_aws_config(str(tmp_path), "/dev/null")
    (tmp_path / "latin").write_bytes(b"[default]\nregion = \xe9\n")
    with pytest.raises(AwsConfigError, match="UTF-8") as error:
        read_aws_config(str(tmp_path / "latin"), "/dev/null")
    assert error.value.where.endswith("latin:2")


def test_paths_of_the_environment() -> None:
    # AWS CLI user guide, "Environment variables to configure the AWS CLI"
    assert file_paths({"HOME": "/h"}) == ("/h/.aws/config", "/h/.aws/credentials")
    assert file_paths({"HOME": "/h", "AWS_CONFIG_FILE": "~/c", "AWS_SHARED_CREDENTIALS_FILE": "/k"}) == ("/h/c", "/k")


lines = st.one_of(
    st.sampled_from(
        ["[default]", "[profile a]", "[profile  b ]", "[services s]", "[sso-session x]", "[DEFAULT]", "[]", "[x] y]",
         "[profile 'q w']", "a = 1", "a: 2", "A=3", "b =", "  c = 4", "\td = 5", "# e", "; f", "  # g", "", "  ", "h",
         "role_arn = arn:aws:iam::1:role/x", " i = j = k", "=", "[open", "l = [m]", "n\x0b= o", "p\x1c=q"],
    ),
    st.text(st.sampled_from("ab[]=: \t#;\"'\\"), max_size=12),
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(lines, max_size=12).map("\n".join))
@example("[default]\na =\n  b = 1\n\n  c = 2\nd = 3")
@example("[default]\n  a = 1\n b = 2\n   c = 3")
@example("[default]\na = 1\n[profile default]\nb = 2")
def test_every_text_is_read_as_botocore_reads_it(tmp_path: Path, text: str) -> None:
    config, credentials = write(tmp_path, text)
    try:
        theirs = load_config(config)
    except ConfigParseError:
        with pytest.raises(AwsConfigError):
            read_aws_config(config, credentials)
        return
    ours = read_aws_config(config, credentials)
    assert {name: profile.values for name, profile in ours.profiles.items()} == theirs["profiles"]
    assert {name: section.values for name, section in ours.services.items()} == theirs["services"]
    assert {name: section.values for name, section in ours.sso_sessions.items()} == theirs["sso_sessions"]


@given(st.text(max_size=200))
def test_no_text_crashes(text: str) -> None:
    with suppress(AwsConfigError):
        for section in parse_sections(text, "config").values():
            assert set(section.values) == set(section.lines)
