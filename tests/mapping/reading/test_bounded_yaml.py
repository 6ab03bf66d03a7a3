"""Texts that would end the process in libyaml's recursive reader are refused wherever YAML comes from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rolecall.clusters.errors import ClusterError
from rolecall.clusters.kubeconfig import read_context
from rolecall.exec_plugin.arguments import UsageError
from rolecall.exec_plugin.authenticator_config import read_config
from rolecall.lab.kubernetes.decoding import load_yaml
from rolecall.lab.kubernetes.status import StatusError
from rolecall.local_files.kubeconfig_text import Kubeconfig, KubeconfigError
from rolecall.mapping.reading.aws_auth import parse_aws_auth
from rolecall.mapping.reading.bounded_yaml import MAX_DEPTH, UnreadableYamlError, compose, load_plain

DEEP = {"dashes": "- " * 100_000, "brackets": "[" * 100_000, "braces": "{a: " * 100_000, "questions": "? " * 100_000}


@pytest.fixture(params=DEEP.values(), ids=DEEP)
def deep(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def test_readers(deep: str) -> None:
    for read in (compose, load_plain):
        with pytest.raises(UnreadableYamlError, match="nested more than 50 levels deep"):
            read(deep)


def test_aws_auth(deep: str) -> None:
    """Go's reader gives up at some depth too: the section is lost, the rest stays."""
    found = parse_aws_auth(
        {"mapRoles": deep, "mapUsers": "- {userarn: 'arn:aws:iam::111122223333:user/a', username: a}"}
    )
    assert [problem.code for problem in found.problems] == ["not-yaml"]
    assert len(found.users) == 1


def test_bodies_of_a_cluster_api(deep: str) -> None:
    with pytest.raises(StatusError) as refused:
        load_yaml(deep.encode())
    assert refused.value.code == 400


def test_files_of_a_person(deep: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(deep)
    with pytest.raises(KubeconfigError, match="nested more than"):
        Kubeconfig(deep, path)
    with pytest.raises(ClusterError, match="nested more than"):
        read_context("c", [path])
    with pytest.raises(UsageError, match="nested more than"):
        read_config(str(path))


@pytest.mark.parametrize(("text", "value"), [("", None), ("a: 1", {"a": 1}), ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None)])
def test_what_is_within_the_bounds_is_read(text: str, value: Any) -> None:
    found = load_plain(text)
    assert value is None or found == value
