"""aws-auth in one form: the meaning and the comments stay."""

from __future__ import annotations

import pytest
from hypothesis import given

from aws_auth_texts import sections
from rolecall.errors import RolecallError
from rolecall.mapping.editing.format import format_data
from rolecall.mapping.editing.sections import same_mappings

A = "arn:aws:iam::111111111111"
USUAL = f"- rolearn: {A}:role/Dev\n  username: dev\n  groups:\n    - a\n    - system:masters\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (USUAL, USUAL),
        (f"- groups:\n  - a\n  - system:masters\n  rolearn: {A}:role/Dev\n  username: dev\n", USUAL),
        (f'- {{RoleArn: "{A}:role/Dev", username: \'dev\', groups: [a, "system:masters"]}}', USUAL),
        (f'[{{"rolearn": "{A}:role/Dev", "username": "dev", "groups": ["a", "system:masters"]}}]', USUAL),
        (
            f"  -   rolearn: {A}:role/Dev   \r\n      username: dev\r\n      groups: [a, 'system:masters']\r\n\r\n\r\n\r\n",
            USUAL,
        ),
        # comments and unknown keys keep their entry's lines, at the margin
        (
            f"# top\n\n\n\n  - rolearn: {A}:role/Dev # who\n    username: dev\n    groups: [a]\n    note: x",
            f"# top\n\n- rolearn: {A}:role/Dev # who\n  username: dev\n  groups: [a]\n  note: x\n",
        ),
        (
            f"- rolearn: {A}:role/Dev\n  username: 123\n  groups: [a]\n",
            f"- rolearn: {A}:role/Dev\n  username: 123\n  groups: [a]\n",
        ),
        ("[]\n", "[]\n"),
        ("# nothing\n", "# nothing\n"),
    ],
)
def test_format(text: str, expected: str) -> None:
    assert format_data({"mapRoles": text})["mapRoles"] == expected
    assert format_data({"mapRoles": expected})["mapRoles"] == expected


def test_accounts_are_quoted_and_other_keys_left_alone() -> None:
    data = {"mapAccounts": "- 111111111111\n- 222222222222 # theirs\n", "other": " x \r\n"}
    assert format_data(data) == {"mapAccounts": '- "111111111111"\n- 222222222222 # theirs\n', "other": " x \r\n"}


def test_what_is_no_yaml_is_refused() -> None:
    with pytest.raises(RolecallError, match="mapUsers line 2"):
        format_data({"mapUsers": "- a: [\n"})


@given(sections())
def test_meaning_and_comments_stay_and_twice_is_once(section: tuple[list[str], str]) -> None:
    data = {"mapRoles": section[1]}
    formatted = format_data(data)
    assert same_mappings(data, formatted)

    def comments(text: str) -> list[str]:
        return [line.strip() for line in text.splitlines() if line.strip().startswith("#")]

    assert comments(formatted["mapRoles"]) == comments(section[1])
    assert format_data(formatted) == formatted
