"""A key that cannot be one is refused where it stands, before anything is signed with it.

Pains: aws-cli #5755, botocore #2001, openwpm-crawler #41. The AWS CLI signs with it, and the cluster says 401.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exec_plugin_person import ROLE, Person
from rolecall.access_keys import InvalidKeyError, Key, check_key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.credential_plan import plan_credentials
from rolecall.local_files.aws_config import read_aws_config

ID, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE/+=="
NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
# What editors, shells and browsers leave in and around a text.
STAINS = {
    "\n": "line break", "\r\n": "line break", " ": "space", "\t": "space", "\u00a0": "space", "\u2028": "", "\u3000": "space",
    '"': "quotation mark", "'": "quotation mark", "`": "quotation mark", "\u201c": "quotation mark", "\u2019": "quotation mark",
    "\u200b": "U+200B", "\ufeff": "U+FEFF", "\u00ad": "U+00AD", "\x1b": "U+001B", "\x7f": "U+007F", "\x01": "U+0001",
    "\u202e": "U+202E", "\u00e9": "U+00E9", "\uff21": "U+FF21", "\udcff": "UTF-8",
}  # fmt: skip


def values(number: int, text: str) -> dict[str, str]:
    found = dict(zip(NAMES, (ID, SECRET, TOKEN), strict=True))
    found[NAMES[number]] = text
    return found


def refused(environ: dict[str, str], tmp_path: Path) -> RolecallError:
    with pytest.raises(RolecallError) as error:
        plan_credentials(environ, read_aws_config(str(tmp_path / "none"), str(tmp_path / "none")), None)
    return error.value


@pytest.mark.parametrize("stain", STAINS)
@pytest.mark.parametrize("number", [0, 1, 2], ids=["id", "secret", "token"])
def test_a_variable_that_is_not_a_key_is_named(tmp_path: Path, stain: str, number: int) -> None:
    clean = (ID, SECRET, TOKEN)[number]
    for text in (clean + stain, stain + clean, clean[:9] + stain + clean[9:]):
        error = refused(values(number, text), tmp_path)
        assert NAMES[number] in error.what
        assert STAINS[stain] in error.what
        assert SECRET[10:20] not in str(error), "a secret is not repeated"


@pytest.mark.parametrize("stain", [stain for stain in STAINS if stain.strip() and stain not in ("\udcff", "\u2028")])
@pytest.mark.parametrize("number", [0, 1, 2], ids=["id", "secret", "token"])
@pytest.mark.parametrize("name", ["config", "credentials"])
def test_a_file_that_has_no_key_is_named_with_the_line(tmp_path: Path, stain: str, number: int, name: str) -> None:
    texts = [ID, SECRET, TOKEN]
    texts[number] = f"{stain}{texts[number]}{stain}"
    keys = [f"{name.lower()} = {text}" for name, text in zip(NAMES, texts, strict=True)]
    (tmp_path / name).write_text("\n".join(["# mine", "[default]", *keys, ""]))
    with pytest.raises(RolecallError) as error:
        plan_credentials({}, read_aws_config(str(tmp_path / "config"), str(tmp_path / "credentials")), None)
    assert error.value.where == f"{tmp_path / name}:{3 + number}"
    assert NAMES[number].lower() in error.value.what


def test_blanks_around_a_value_in_a_file_are_not_part_of_it(tmp_path: Path) -> None:
    # Both readers strip them (configparser), so a key with them works everywhere.
    (tmp_path / "c").write_text(f"[default]\naws_access_key_id = {ID} \t\naws_secret_access_key =  {SECRET}\u00a0\r\n")
    source = plan_credentials({}, read_aws_config("none", str(tmp_path / "c")), None).source
    assert source.key is not None
    assert (source.key.access_key_id, source.key.secret_access_key) == (ID, SECRET)


@given(st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="/+="), min_size=1, max_size=128))
def test_every_secret_and_token_of_aws_is_taken(text: str) -> None:
    check_key(Key(ID, text, text), NAMES, ("", "", ""))


@pytest.mark.parametrize(
    "key", [Key(1, "s"), Key("A", []), Key("A", "s", {}), Key("", "s"), Key("A" * 129, "s"), Key("A", "")]
)  # type: ignore[arg-type]
def test_what_is_not_a_text_is_not_signed_with(key: Key) -> None:
    with pytest.raises(InvalidKeyError):
        check_key(key, NAMES, ("", "", ""))


def test_the_network_is_not_blamed(person: Person) -> None:
    variables = {"AWS_ACCESS_KEY_ID": f"{ID}\n", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-west-2"}
    for role in ([], ["-r", ROLE]):
        done = person.run("token", "-i", "prod", *role, check=False, **variables)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: the environment: AWS_ACCESS_KEY_ID has a line break at its end\n")
