"""What is written as YAML is the same text to a reader of YAML 1.1, to one of YAML 1.2, and to kubectl's.

Sources: terraform-aws-eks issue 287, kubernetes issue 85394 (a profile or an account that becomes another value).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from rolecall.local_files.yaml_dump import dump_yaml
from rolecall.manifest.write_yaml import block, flow
from rolecall.mapping.editing.yaml_text import scalar_text
from rolecall.yaml_scalars import is_plain, quoted, scalar

KUBECTL = Path(__file__).resolve().parents[1] / ".tools" / "kubectl" / "1.36" / "kubectl"
# Each is another value to some reader. YAML 1.1 and 1.2, and Go's yaml.v2.
TRAPS = [
    "y", "Y", "n", "N", "yes", "Yes", "no", "NO", "on", "On", "off", "true", "True", "false", "null", "Null", "~", "",
    "0", "1", "-1", "+1", "012", "089", "0o17", "0x1F", "0b11", "1_000", "1e3", "1E3", "1.5", ".5", "5.", "-.inf", ".NaN",
    ".inf", "1:20", "190:20:30", "2020-01-01", "2020-01-01T00:00:00Z", "089012345678", "012345678901", "111122223333",
    "=", "<<", "-", "--", "- a", "?", "? a", ":", "a:", "a: b", "a #b", "#a", "&a", "*a", "!a", "!!str", "|", ">", "%a",
    "@a", "`a", "'a", '"a', "[a]", "{a}", "a,b", "{{SessionName}}", " a", "a ", "a\tb", "a\nb", "a\u2028b", "a\x85b",
    "\ufeffa", "a\x7fb", "a\\b", "---", "...", "\U0001f600", "-r", "--role", "-1a", "-.5", "1e3/Admins", "e3", "0e0",
]  # fmt: skip
WRITERS: list[Callable[[str], str]] = [
    lambda text: f"value: {scalar(text)}\n",
    lambda text: f"{{value: {scalar(text, flow=True)}}}\n",
    lambda text: f"[{scalar(text, flow=True)}, {scalar(text, flow=True)}]\n",
    lambda text: f"{scalar(text)}: 1\n",
    lambda text: block({"value": text}),
    lambda text: flow({"value": [text, text]}) + "\n",
    lambda text: dump_yaml({"value": text, "more": [text]}),
]


def values(found: object) -> set[object]:
    """All texts in it but the names that the writers above give."""
    if isinstance(found, dict):
        return {one for pair in found.items() for part in pair for one in values(part)} - {"value", "more", 1}
    return {one for item in found for one in values(item)} if isinstance(found, list) else {found}


@pytest.mark.parametrize("text", TRAPS)
def test_a_trap_is_a_text(text: str) -> None:
    for number, write in enumerate(WRITERS):
        written = write(text)
        assert values(yaml.safe_load(written)) - {"value", 1} <= {text}, (number, written)
        assert values(YAML(typ="safe", pure=True).load(written)) - {"value", 1} <= {text}, (number, written)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.from_regex(r"[-+.0-9xobeE_:nN]{1,8}", fullmatch=True))  # fmt: skip
def test_any_text_is_this_text_to_both_versions(text: str) -> None:
    written = f"a: {scalar(text)}\nb: [{scalar(text, flow=True)}]\n"
    for found in (yaml.safe_load(written), YAML(typ="safe", pure=True).load(written)):
        assert found == {"a": text, "b": [text]}
    assert json.loads(quoted(text)) == text
    if is_plain(text):
        assert yaml.safe_load(text) == text


def test_kubectl_reads_each_as_a_text(tmp_path: Path) -> None:
    texts = [text for text in TRAPS if text not in ("\ufeffa",)]
    args = "".join(f"      - {scalar(text)}\n" for text in texts)
    flowing = ", ".join(scalar(text, flow=True) for text in texts)
    user = "      command: x\n      apiVersion: client.authentication.k8s.io/v1beta1\n"
    (tmp_path / "config").write_text(
        f"apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user:\n    exec:\n{user}      args:\n{args}"
        f"- name: b\n  user:\n    exec:\n{user}      args: [{flowing}]\n"
    )
    shown = subprocess.run(
        [KUBECTL, "--kubeconfig", tmp_path / "config", "config", "view", "--raw", "-o", "json"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 0, shown.stderr
    for one in json.loads(shown.stdout)["users"]:
        assert one["user"]["exec"]["args"] == texts


@pytest.mark.parametrize("text", ["no", "y", "012", "089", "1e3", "1:20"])
def test_aws_auth_is_written_by_the_same_rule(text: str) -> None:
    assert scalar_text(text) == quoted(text)
