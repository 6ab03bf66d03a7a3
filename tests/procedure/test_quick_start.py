"""The commands of docs/quick-start.md, typed as they stand there."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from procedure_checks import NEEDS_TOOLS

pytestmark = NEEDS_TOOLS

DOCS = Path(__file__).resolve().parents[2] / "docs"
# `aws configure` asks; what it asks for has just been printed by the command before it.
ANSWERS = """aws iam create-access-key --user-name kubedemy > key.json
sed -n 's/.*"\\(AccessKeyId\\|SecretAccessKey\\)": "\\(.*\\)".*/\\2/p' key.json > answers
printf '\\n\\n' >> answers
aws configure --profile default < answers > asked
"""


def test_the_quick_start_can_be_typed(start_lab: Callable[..., Any], tmp_path: Path) -> None:
    text = (DOCS / "quick-start.md").read_text()
    script = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    asked = re.search(r"aws iam create-access-key .*\naws configure --profile default.*\n", script)
    assert asked is not None
    script = script.replace(asked.group(), ANSWERS)
    environment = start_lab().environment()
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    key = json.loads((tmp_path / "key.json").read_text())["AccessKey"]
    assert re.search(r"Username +admin:ASIA\w+:botocore-session-\d+", done.stdout), done.stdout
    assert "[system:masters system:authenticated]" in done.stdout
    assert key["SecretAccessKey"] not in done.stdout
