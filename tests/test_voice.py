"""Texts that people read, held to plain English: strings and docstrings of the program, README, docs and changelog."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.voice import better, found_in

ROOT = Path(__file__).parents[1]


def _strings(source: str) -> Iterator[tuple[int, str]]:
    """Every string of a module with its line; of an f-string all that it says itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = (str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _spaces(text: str) -> str:
    return " ".join(text.split())


def test_strings_and_docstrings() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line}: {one} (write: {better(one)})"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for line, text in _strings(path.read_text("utf-8"))
        for one in found_in(_spaces(text))
    ] == []


def test_pages() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    assert len(pages) > 20
    assert [
        f"{path.relative_to(ROOT)}: {one} (write: {better(one)})"
        for path in pages
        for one in found_in(_spaces(path.read_text("utf-8")))
    ] == []


@pytest.mark.parametrize(
    "text",
    ["What speaks against it", "the key is made anew", "'4h' is no moment", "see that it can be read", "Whoever"],
)
def test_a_wording_is_found(text: str) -> None:
    assert found_in(text)
    assert better(text)
    assert not found_in(better(text))
