"""Entries added to and cut out of the list of a section, in the style of their neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from rolecall.mapping.editing.entry_text import EntryStyle
from rolecall.mapping.editing.sections import AwsAuthEditError
from rolecall.mapping.editing.yaml_lists import append_in_brackets, item_span, on_whole_lines
from rolecall.mapping.editing.yaml_text import Edit, Kind, Node, line_break, place, splice


def append_item(text: str, tree: Node | None, style: EntryStyle, lines: Sequence[str], flow: str) -> str:
    """``text`` with one more item at the end of its list."""
    if tree is None or (not tree.children and _alone(text, tree)):
        if tree is not None:
            text = splice(text, [Edit(tree.start, tree.end, "")])
        if not text.strip():
            text, end = "", "\n"
        else:
            end = line_break(text, 0)
        return on_whole_lines(
            text, lambda text: text + "".join(style.item_line(i, x) + end for i, x in enumerate(lines))
        )
    if tree.is_block:
        return on_whole_lines(text, lambda text: _append_lines(text, style, lines))
    return append_in_brackets(text, tree, flow)


def _alone(text: str, tree: Node) -> bool:
    """Whether an empty list stands at the start of a line of its own."""
    return tree.column == 0 and not text[tree.end :].split("\n", 1)[0].strip()


def _append_lines(text: str, style: EntryStyle, lines: Sequence[str]) -> str:
    at = len(text.rstrip(" \r\n")) if text.strip() else 0
    at = text.find("\n", at) + 1
    end = line_break(text, at)
    gap = end if style.blank_between else ""
    return text[:at] + gap + "".join(style.item_line(i, line) + end for i, line in enumerate(lines)) + text[at:]


def item_spans(text: str, tree: Node, items: Sequence[Node]) -> list[tuple[int, int]]:
    """What to cut so that the items are gone, in order and apart from each other."""
    spans: list[tuple[int, int]] = []
    for item in items:
        start, end = item_span(text, tree, item)
        spans.append((max(start, spans[-1][1]) if spans else start, end))
    return spans


def refuse_shared_anchors(section: str, tree: Node, items: Sequence[Node]) -> None:
    gone = {id(node) for item in items for node in item.walk()}
    anchors = {node.anchor for item in items for node in item.walk() if node.anchor}
    for node in tree.walk():
        if node.kind is Kind.ALIAS and node.value in anchors and id(node) not in gone:
            raise AwsAuthEditError(
                f"the entry defines &{node.value}, which line {node.line} uses",
                where=place(section, items[0].line),
                advice="write the values out in both entries first",
            )
