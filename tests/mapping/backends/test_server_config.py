"""The configuration file. Source: aws-iam-authenticator v0.7 README, "Full Configuration Format", and root.go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.mapping.backends.entry_table import MatchOptions
from rolecall.mapping.backends.server_config import (
    ConfigError,
    ServerSettings,
    check_settings,
    mode_names,
    read_server_config,
)
from rolecall.model import Identity

FULL = """
clusterID: my-dev-cluster.example.com
defaultRole: arn:aws:iam::000000000000:role/KubernetesAdmin
server:
  port: 21362
  stateDir: /var/aws-iam-authenticator
  generateKubeconfig: /etc/kubernetes/aws-iam-authenticator.kubeconfig
  ec2DescribeInstancesRoleARN: arn:aws:iam::000000000000:role/DescribeInstancesRole
  ec2DescribeInstancesQps: 20
  scrubbedAccounts:
  - "111122223333"
  backendmode: [ "MountedFile", "DynamicFile" ]
  dynamicfilepath: /x
  dynamicfileUserIDStrict: true
  reservedPrefixConfig:
  - backendMode: DynamicFile
    usernamePrefixReserveList:
    - "system:"
  mapRoles:
  - roleARN: arn:aws:iam::000000000000:role/KubernetesAdmin
    username: kubernetes-admin
    groups:
    - system:masters
  - roleARN: arn:aws:sts::000000000000:assumed-role/Session/x
    username: 7
    groups: a,b
  mapUsers:
  - userARN: arn:aws:iam::000000000000:user/Alice
    username: alice
  mapAccounts:
  - "012345678901"
  # - <AWS_ACCOUNT_ID>
"""


def test_the_full_format() -> None:
    found = read_server_config(FULL, MatchOptions(), "config.yaml")
    assert (found.problems, found.doubts) == ((), ())
    settings = ServerSettings(**found.values)
    check_settings(settings)
    assert settings.cluster_id == "my-dev-cluster.example.com"
    assert (settings.ec2_qps, settings.user_id_strict) == (20, True)
    assert settings.backend_modes == ("MountedFile", "DynamicFile")
    assert found.reserved == {"DynamicFile": ("system:",)}
    # MountedFile takes a session's ARN for its role (file.go canonicalizes) and weak types (viper).
    entry = found.backend.table.roles["arn:aws:iam::000000000000:role/session"]
    assert (entry.username, entry.groups) == ("7", ("a", "b"))
    match = found.backend.find(Identity("a", "arn:aws:iam::000000000000:role/KubernetesAdmin", "000000000000", "AROA"))
    assert match is not None
    assert match.source == "config.yaml mapRoles line 20"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: b: c", 1),
        ("[]", 1),
        ("server: 5", 1),
        ("server:\n  port: x", 2),
        ("server:\n  port: 1.5", 2),
        ("server:\n  kubeconfigPregenerated: maybe", 2),
        ("server:\n  stateDir: [a]", 2),
        ("server:\n  mapRoles:\n  - roleARN: nonsense\n    username: x", 3),
        ("server:\n  mapRoles:\n  - username: x", 3),
        ("server:\n  mapUsers: x", 2),
        ("server:\n  reservedPrefixConfig:\n  - backendMode: Nope", 3),
    ],
)
def test_mistakes_have_a_line(text: str, line: int) -> None:
    assert [problem.line for problem in read_server_config(text, MatchOptions()).problems] == [line]


def test_unknown_keys_are_doubts() -> None:
    found = read_server_config("clusterID: x\nserver:\n  prot: 1\n", MatchOptions())
    assert [problem.line for problem in found.doubts] == [3]


@pytest.mark.parametrize(
    "change",
    [
        {"cluster_id": ""},
        {"cluster_id": "a\r\nX-Evil: 1"},
        {"partition": "aws-mars"},
        {"backend_modes": ()},
        {"backend_modes": ("Nope",)},
        {"backend_modes": ("File", "MountedFile")},
        {"backend_modes": ("DynamicFile",)},
        {"dynamic_file": "/x"},
        {"tls_cert_file": "/x"},
        {"missing_map": "lose"},
        {"broken_map": "lose"},
        {"workers": 0},
        {"port": 99_999},
        {"healthz_port": 65_536},
        # Nobody could ever be let in.
        {"sts_connections": 0},
        {"sts_timeout_seconds": 0},
        # A token is good for 900 seconds.
        {"token_cache_seconds": 901},
        {"scrubbed_accounts": ("12345",)},
        {"ec2_role_arn": "x"},
        {"access_entries_file": "a", "access_entries_cluster": "b"},
        {"sts_endpoint": "sts.evil.example"},
        {"sts_endpoint": "https://sts.evil.example/path"},
        {"sts_endpoint": "https://user@sts.evil.example"},
        {"sts_endpoint": "ftp://127.0.0.1:1"},
        {"sts_endpoint": "http://sts.example"},
    ],
)
def test_settings_that_cannot_be_meant(change: dict[str, Any]) -> None:
    good = ServerSettings(cluster_id="prod")
    check_settings(good)
    with pytest.raises(ConfigError):
        check_settings(replace(good, **change))


def test_names_of_backends() -> None:
    assert mode_names(["File", "ConfigMap", "CRD"]) == ("MountedFile", "EKSConfigMap", "CRD")


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    read_server_config(text, MatchOptions(True, True, True))


WORDS = st.sampled_from(
    [
        "server",
        "mapRoles",
        "roleARN",
        "username",
        "groups",
        "sso",
        "accountID",
        "-",
        ":",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "  ",
        "&a",
        "*a",
        "<<",
        "|",
        "arn:aws:iam::111122223333:role/*",
        "'",
        '"',
        "#",
        "!!int",
        "1e9",
    ]
)


@given(st.lists(WORDS, max_size=60).map("".join))
def test_any_arrangement_of_its_words_too(text: str) -> None:
    found = read_server_config(text, MatchOptions(True, True, True))
    # Nobody of another account ever gets in by it.
    stranger = Identity("a", "arn:aws:iam::999999999999:role/Evil", "999999999999", "AROAEVIL")
    assert found.backend.find(stranger) is None
