"""What the image is built from: exact files by their hashes, and nothing that is fetched unpinned on the way.

Sources: pip documentation, "Secure installs" and "Repeatable Installs"; packaging specification, "Build system table".
"""

from __future__ import annotations

import re
import tomllib

from deploy_files import DEPLOY, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (DEPLOY / "requirements.lock").read_text()
PINS = dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", LOCK, re.MULTILINE))


def name(requirement: str) -> str:
    """A package's name in its normal form (packaging specification, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


def test_every_line_is_a_name_a_version_and_hashes() -> None:
    line = re.compile(r"[a-z0-9-]+==[^\s;\\]+(?: ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?|")
    assert [text for text in LOCK.splitlines() if not line.fullmatch(text)] == []
    parts = re.split(r"(?m)^(?=[a-z])", LOCK)[1:]
    assert parts
    assert all("--hash=sha256:" in part for part in parts)


def test_the_versions_are_those_that_are_tested() -> None:
    tested = dict(re.findall(r"^(\S+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    tested = {name(package): version for package, version in tested.items()}
    build = dict(requirement.split("==") for requirement in PROJECT["build-system"]["requires"])
    others = {
        package: version for package, version in PINS.items() if tested.get(package, build.get(package)) != version
    }
    # For Windows only.
    assert set(others) <= {"colorama"}, "run scripts/lock.py"


def test_all_that_the_server_needs_is_locked() -> None:
    needed = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["server"]]
    assert {name(one) for one in (*needed, *PROJECT["build-system"]["requires"])} <= set(PINS)


def test_the_image_is_built_from_the_lock_alone() -> None:
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip install [^&\n]*", text)
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "--no-deps --no-build-isolation ." in installs[1]
    # A tag can be moved: the page says how to build from a digest.
    assert "--build-context" in (ROOT / "docs" / "deploy.md").read_text()
