"""`token -c FILE`: every key that the original's `token` takes from its file, in viper's order.

Source: aws-iam-authenticator v0.7, ``cmd/aws-iam-authenticator/token.go`` and ``root.go`` (the calls of viper's BindPFlag and
BindEnv); viper's README, "Why Viper?": flag, environment, file; keys in any case of letters.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exec_plugin_person import ROLE, Person
from rolecall.exec_plugin.arguments import UsageError
from rolecall.exec_plugin.authenticator_config import merged, read_config
from sts_double import StsDouble

OTHER = "arn:aws:iam::111122223333:role/Other"
FILE = {"clusterid": "prod", "role": ROLE, "externalid": "x1", "sessionname": "ann", "region": "us-west-2"}


def write(folder: Path, text: str) -> str:
    (folder / "config.yaml").write_text(text)
    return str(folder / "config.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}), ("# nothing\n", {}), ("---\n", {}), ("null\n", {}), ("{}", {}), ("server: {port: 21362}\nother: [1]\n", {}),
        ("clusterID: prod", {"clusterid": "prod"}), ("clusterid: prod", {"clusterid": "prod"}), ("CLUSTERID: prod", {"clusterid": "prod"}), ('"ClusterId": "prod"', {"clusterid": "prod"}),
        ("\ufeffclusterID: prod\r\nrole: r\r\n", {"clusterid": "prod", "role": "r"}), ('{"clusterID": "prod", "tokenOnly": true}', {"clusterid": "prod", "tokenonly": "true"}),
        ("externalID: 12345", {"externalid": "12345"}), ("clusterID: 0", {"clusterid": "0"}), ("clusterID: no", {"clusterid": "no"}), ("clusterID: On", {"clusterid": "On"}),
        ("role:\nregion: ~\n", {"role": "", "region": ""}), ("externalID: '0123'", {"externalid": "0123"}),
        ("cache: true\ntokenOnly: 1\nforwardSessionName: 'T'\n", {"cache": "true", "tokenonly": "true", "forwardsessionname": "true"}),
        ("cache: false\ntokenonly: 0\nFORWARDSESSIONNAME:\n", {"cache": "false", "tokenonly": "false", "forwardsessionname": "false"}),
    ],
)  # fmt: skip
def test_what_is_read(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    assert read_config(write(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("clusterID: [", ":2", "cannot be read"), ("- a\n", "", "not a mapping"), ("prod\n", "", "not a mapping"), ("clusterID: a\nrole: b\nclusterID: c\n", ":3", "given twice"),
        ("clusterID: a\nclusterid: c\n", ":2", "given twice"), ("role: [a]\n", ":1", "role is not a text"), ("role: {a: b}\n", ":1", "role is not a text"),
        ("externalID: 0123\n", ":1", "quotation marks"), ("externalID: 1e3\n", ":1", "quotation marks"), ("externalID: 0o17\n", ":1", "quotation marks"), ("externalID: +1.5e-3\n", ":1", "quotation marks"), ("externalID: 2020-01-01\n", ":1", "quotation marks"), ("role: true\n", ":1", "quotation marks"),
        ("cache: yes\n", ":1", "true or false"), ("tokenOnly: [true]\n", ":1", "true or false"), ("clusterID: a\ncache: sure\n", ":2", "true or false"), ("\x00", ":1", "cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_said(tmp_path: Path, text: str, where: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=words) as error:
        read_config(path)
    assert error.value.where == path + where
    assert words in f"{error.value.what} {error.value.advice}"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none"), str(tmp_path), "a\0b"):
        with pytest.raises(UsageError, match="cannot be read"):
            read_config(path)
    (tmp_path / "latin").write_bytes(b"clusterID: pr\xf6d")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_config(str(tmp_path / "latin"))


@given(st.binary(max_size=80))
def test_no_bytes_crash(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config").write_bytes(data)
    try:
        read_config(str(tmp_path / "config"))
    except UsageError:
        return


def test_the_flag_counts_before_the_variable_and_the_variable_before_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, f"clusterID: file\nrole: {ROLE}\nregion: us-west-2\ncache: true\n")
    environ = {"KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID": "variable", "DEFAULT_ROLE": OTHER}
    assert merged({"config": path}, {})["cluster-id"] == "file"
    found = merged({"config": path}, environ)
    assert (found["cluster-id"], found["role"], found["region"], found["cache"]) == (
        "variable",
        OTHER,
        "us-west-2",
        "true",
    )
    # A flag that is given counts even if it is empty or off (viper: `flag.HasChanged`).
    flags = {"config": path, "cluster-id": "flag", "role": "", "region": "eu-west-2", "cache": "false"}
    found = merged(flags, environ)
    assert (found["cluster-id"], found["role"], found["region"], found["cache"]) == ("flag", "", "eu-west-2", "false")


def region_of(token: str) -> str:
    url = urlsafe_b64decode(token.removeprefix("k8s-aws-v1.") + "==").decode()
    return re.findall("X-Amz-Credential=[^%&]*%2F[0-9]{8}%2F([a-z0-9-]+)%2F", url)[0]


def test_the_session_that_the_file_asks_for(person: Person, sts: StsDouble) -> None:
    text = f"clusterid: prod\nrole: {ROLE}\nexternalID: 12\nsessionName: ann\nregion: us-west-2\n"
    path = write(person.home, text)
    done = person.run("token", "-c", path)
    # The file's region beats AWS_REGION, as the original passes it on.
    assert region_of(json.loads(done.stdout)["status"]["token"]) == "us-west-2"
    (call,) = sts.calls
    assert (call["RoleArn"], call["ExternalId"], call["RoleSessionName"]) == (ROLE, "12", "ann")
    # The flag may stand before the command; a role that is given empty is none.
    assert person.run("-c", path, "token").stdout == done.stdout
    person.run("token", f"-c={path}", "-r", "", "-i", "other")
    assert len(sts.calls) == 1
    path = write(person.home, text + "tokenOnly: true\n")
    assert person.run("--config", path, "token").stdout.startswith("k8s-aws-v1.")
    assert person.run("token", "-c", path, "--token-only=false").stdout.startswith("{")
    path = write(person.home, text + "forwardSessionName: true\n")
    refused = person.run("token", "-c", path, check=False)
    assert (refused.returncode, "exclude each other" in refused.stderr) == (2, True)
