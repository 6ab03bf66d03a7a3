"""Items added to and cut out of a YAML list, block or in brackets, with every other byte left alone."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.lines import yaml_lines
from rolecall.mapping.editing.yaml_text import (
    Edit,
    Kind,
    Node,
    YamlTextError,
    dash_before,
    last_line_end,
    line_break,
    line_start,
    splice,
)


def on_whole_lines(text: str, change: Callable[[str], str]) -> str:
    """``change`` made to a text whose last line has a line break; one that was not there is gone afterwards."""
    if not text or text.endswith("\n"):
        return change(text)
    end = line_break(text, len(text))
    return change(text + end).removesuffix(end)


def append_in_brackets(text: str, tree: Node, written: str) -> str:
    """``text`` with ``written`` as the last member of a list or mapping in brackets, laid out as the one before it.

    :raises YamlTextError: a comment stands behind the last member, so that nobody knows to which it belongs.
    """
    if not tree.children:
        if text[tree.start + 1 : tree.end - 1].strip():
            raise YamlTextError("a comment stands between the brackets", where=f"line {tree.line}")
        return splice(text, [Edit(tree.start + 1, tree.end - 1, written)])
    last = tree.children[-1]
    rest = text[last.end : tree.end - 1]
    if "#" in rest:
        raise YamlTextError("a comment follows the last entry of a list in brackets", where=f"line {last.line}")
    # A pair of a mapping begins with its key.
    head = tree.children[-2] if tree.kind is Kind.MAPPING else last
    start = line_start(text, head.start)
    indent = text[start : head.start]
    gap = line_break(text, start) + indent if start > tree.start and not indent.strip() else " "
    if "," in rest:
        at = last.end + rest.index(",") + 1
        return splice(text, [Edit(at, at, f"{gap}{written},")])
    return splice(text, [Edit(last.end, last.end, f",{gap}{written}")])


def item_span(text: str, tree: Node, item: Node) -> tuple[int, int]:
    """The characters to cut so that an item is gone: its lines in a block, itself and one comma in brackets.

    :raises YamlTextError: a comment stands between items in brackets, or an item's dash cannot be found.
    """
    at = tree.children.index(item)
    previous = tree.children[at - 1] if at else None
    following = tree.children[at + 1] if at + 1 < len(tree.children) else None
    if tree.is_block:
        dash = dash_before(text, item, tree.column, previous.end if previous else tree.start)
        start, end = line_start(text, dash), last_line_end(text, item)
        open_block = previous is not None and text[previous.end - 1] == "\n"
        if not text[start:end].endswith("\n") and start > 0 and not open_block:
            # The last line had no line break: the one before it loses its own, and the text still ends without. The
            # line break of a block scalar is part of its value and stays.
            start -= 2 if text[start - 2 : start] == "\r\n" else 1
        return start, end
    start, end = (item.start, following.start) if following else (previous.end if previous else item.start, item.end)
    gap = text[start : item.start] + text[item.end : end]
    if not previous and not following:
        gap = text[tree.start + 1 : item.start] + text[item.end : tree.end - 1]
        start, end = tree.start + 1, tree.end - 1
    if "#" in gap:
        raise YamlTextError("a comment stands between entries of a list in brackets", where=f"line {item.line}")
    return start, end


def blank_before(text: str, previous: Node, item: Node) -> bool:
    """Whether a blank line stands between two items of a block."""
    return any(
        not line.strip() for line in yaml_lines(text[last_line_end(text, previous) : line_start(text, item.start)])
    )
