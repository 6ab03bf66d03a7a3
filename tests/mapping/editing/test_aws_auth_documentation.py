"""docs/aws-auth.md names every finding and every guard that there is."""

from __future__ import annotations

import re
from pathlib import Path

from rolecall.mapping.editing import lint as aws_auth_lint
from rolecall.mapping.editing.guards import Guard
from rolecall.mapping.reading import aws_auth

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "aws-auth.md").read_text()


def test_every_finding_and_guard_is_on_the_page() -> None:
    source = Path(aws_auth_lint.__file__).read_text()
    codes = set(aws_auth_lint._OF_PROBLEMS) | set(re.findall(r'(?:finding|Finding)\(\s*"([a-z-]+)"', source))
    assert len(codes) > 25
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()
    assert {guard for guard in Guard if f"`{guard}`" not in PAGE} == set()


def test_every_problem_of_the_parser_has_a_code_that_lint_knows() -> None:
    assert set(aws_auth_lint._OF_PROBLEMS) == aws_auth.SLIPS | aws_auth.DOUBTS
