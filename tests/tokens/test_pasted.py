"""What people paste around a token, and what they paste instead of one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolecall.tokens.pasted import NoTokenError, find_token

BODY = "aHR0cHM6Ly9zdHMuZXUtd2VzdC0yLmFtYXpvbmF3cy5jb20vP0FjdGlvbj1HZXRDYWxsZXJJZGVudGl0eQ"
TOKEN = f"k8s-aws-v1.{BODY}"


@pytest.mark.parametrize("text", [TOKEN, f" {TOKEN}\n", f"\t{TOKEN}\r\n\r\n", f"\ufeff{TOKEN}", f"\u200b{TOKEN}\u00a0"])
def test_the_token_alone_needs_no_word(text: str) -> None:
    assert find_token(text) == (TOKEN, "")


@pytest.mark.parametrize(
    ("text", "around"),
    [
        (f'"{TOKEN}"', "quotation marks"), (f"'{TOKEN}'\n", "quotation marks"), (f"{TOKEN}=", "quotation marks, padding"), (f"{TOKEN}==\n", "padding"),
        (f"{TOKEN[:40]}\n{TOKEN[40:80]}\n{TOKEN[80:]}\n", "line breaks"), (f"{TOKEN[:40]}\r\n  {TOKEN[40:]}", "line breaks"),
        (f"Bearer {TOKEN}", "header"), (f"Authorization: Bearer {TOKEN}\n", "header"), (f"-H 'Authorization: bearer {TOKEN}'", "header"),
        (f"    token: {TOKEN}\n", "kubeconfig"), (f'token: "{TOKEN}"', "kubeconfig"), (f"--token={TOKEN}", "kubeconfig"), (f"- name: x\n  user:\n    token: {TOKEN}\n    other: y\n", "kubeconfig"),
        (f'{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{{}},"status":{{"expirationTimestamp":"2026-01-01T00:00:00Z","token":"{TOKEN}"}}}}\n', "ExecCredential"),
        (f'{{\n    "kind": "ExecCredential",\n    "status": {{\n        "token": "{TOKEN}"\n    }}\n}}\n', "ExecCredential"),
        (f"client.authentication.k8s.io/v1beta1\tExecCredential\nSTATUS\t2026-01-01T00:00:00Z\t{TOKEN}\n", "other text"), (f"$ rolecall token -i prod --token-only\n{TOKEN}\n$ ", "other text"),
        (f"TOKEN={TOKEN}; export TOKEN", "kubeconfig"), (f"{TOKEN},", "quotation marks"), (f"{TOKEN} {TOKEN}", "quotation marks"),
    ],
)  # fmt: skip
def test_what_is_around_it_is_taken_off_and_said(text: str, around: str) -> None:
    if text.count("k8s-aws-v1.") > 1:
        assert find_token(text)[0] == TOKEN
        return
    token, said = find_token(text)
    assert token == TOKEN
    assert around in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the text is empty"), (" \n", "the text is empty"), ("eyJhbGciOiJSUzI1NiJ9.e30.x", "JSON Web Token"), ("Bearer eyJhbGciOiJSUzI1NiJ9.e30.x", "JSON Web Token"),
        ("https://sts.amazonaws.com/?Action=GetCallerIdentity", "this is a URL"), ("AKIAIOSFODNN7EXAMPLE", "access key id"), ('{"kind": "ExecCredential", "status": {}}', "this is ExecCredential without"),
        ("apiVersion: v1\nkind: Config\n", "this is a document without"), ("[1]", "does not begin with"), ("k8s-aws-v2.abc", "another version"), ("prod", "does not begin with"), ("x" * 70_000, "more than 65536"),
        (f"{TOKEN} or\n{TOKEN}B", "more than one token"),
    ],
)  # fmt: skip
def test_what_is_no_token_is_named(text: str, words: str) -> None:
    with pytest.raises(NoTokenError, match=words) as error:
        find_token(text)
    assert "eyJhbGci" not in str(error.value), "it may be a secret"


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_crashes(before: str, after: str) -> None:
    for text in (before, f"{before}{TOKEN}{after}"):
        try:
            token, _ = find_token(text)
        except NoTokenError:
            continue
        assert token.startswith("k8s-aws-v1.")


@given(st.text("\n\t \"'=,}]", max_size=20))
def test_what_cannot_be_in_a_token_is_never_part_of_it(after: str) -> None:
    assert find_token(TOKEN + after)[0] == TOKEN
