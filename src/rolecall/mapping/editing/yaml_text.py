"""A YAML text as people own it: where each value stands, and edits that leave every other byte alone.

No document is written whole. A text is read into nodes that know their first and last character; an edit replaces
spans. Positions come from the marks of libyaml's events (PyYAML), which count characters. Texts whose positions could
be misread (a byte order mark, line breaks other than LF and CRLF) are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import yaml

from rolecall.errors import RolecallError
from rolecall.yaml_scalars import is_plain, quoted

MAX_DEPTH = 50
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# A carriage return alone, NEL, LS and PS are line breaks to some YAML readers and plain characters to others.
_ODD_BREAK = re.compile(r"\r(?!\n)|[\x85\u2028\u2029]")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029\ufeff]")


class YamlTextError(RolecallError):
    """A text is no YAML, or cannot be edited without a risk to what surrounds the change."""


class Kind(Enum):
    """What a node is."""

    SCALAR = "scalar"
    SEQUENCE = "sequence"
    MAPPING = "mapping"
    ALIAS = "alias"


@dataclass(frozen=True, slots=True)
class Node:
    """One value in the text.

    :param start: index of its first character; of a block sequence, its first dash.
    :param end: index after its last character; what follows (comments, blank lines) is not its own.
    :param line: counted from 1.
    :param column: counted from 0.
    :param style: of a scalar ``""`` (plain), ``"'"``, ``'"'``, ``"|"`` or ``">"``; of a collection ``"flow"`` or
        ``"block"``.
    :param children: the items of a sequence; of a mapping, key and value in turn.
    """

    kind: Kind
    start: int
    end: int
    line: int
    column: int
    style: str = ""
    value: str = ""
    anchor: str = ""
    tag: str = ""
    children: tuple[Node, ...] = ()

    @property
    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """Keys and values of a mapping."""
        return zip(self.children[::2], self.children[1::2], strict=True)

    @property
    def is_block(self) -> bool:
        return self.style == "block"

    @property
    def is_null(self) -> bool:
        """A plain scalar that YAML reads as null."""
        return self.kind is Kind.SCALAR and not (self.style or self.tag) and self.value in _NULLS

    def walk(self) -> Iterator[Node]:
        """This node and everything below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def meaning(self) -> tuple[object, ...]:
        """What the node says, without where it stands: equal for texts that differ in layout alone."""
        return (
            self.kind,
            self.value,
            # A quoted number is another value than a plain one.
            self.kind is Kind.SCALAR and not self.style,
            self.anchor,
            self.tag,
            tuple(child.meaning() for child in self.children),
        )


_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters from ``start`` up to ``end`` by ``text``."""

    start: int
    end: int
    text: str


def parse(text: str, where: str = "") -> Node | None:
    """The only document of ``text``, or ``None`` where it has none (blank, or comments alone).

    :raises YamlTextError: as :func:`parse_documents`, or there are several documents.
    """
    documents = parse_documents(text, where)
    if len(documents) > 1:
        raise YamlTextError("several YAML documents in one text", where=place(where, documents[1].line))
    return documents[0] if documents else None


def parse_documents(text: str, where: str = "") -> tuple[Node, ...]:
    """The documents of ``text``; empty ones are left out.

    :raises YamlTextError: no YAML, nested deeper than 50, or line breaks other than LF and CRLF.
    """
    if text.startswith("\ufeff"):
        raise YamlTextError("the text starts with a byte order mark", where=where, advice="remove it")
    if found := _ODD_BREAK.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise YamlTextError(
            f"an unusual line break ({found[0]!r})", where=place(where, line), advice="use LF or CRLF throughout"
        )
    try:
        return tuple(_documents(yaml.parse(text, Loader=_Loader), where))
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "unreadable characters"
        raise YamlTextError(
            f"not YAML: {problem}",
            where=place(where, mark.line + 1 if mark else 1),
            advice="fix the text there first; nothing was changed",
        ) from None


def place(where: str, line: int) -> str:
    """``mapRoles line 3``; the line alone where there is no name."""
    return f"{where} line {line}".strip()


def _documents(events: Iterator[Any], where: str) -> Iterator[Node]:
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            first = next(events)
            # An explicit `---` with nothing after it is a document with an empty scalar: nothing to see either.
            node = _node(first, events, where, 0)
            if not (node.kind is Kind.SCALAR and node.start == node.end):
                yield node


def _node(event: Any, events: Iterator[Any], where: str, depth: int) -> Node:
    start, line, column = event.start_mark.index, event.start_mark.line + 1, event.start_mark.column
    if depth > MAX_DEPTH:
        raise YamlTextError(f"nested deeper than {MAX_DEPTH}", where=place(where, line))
    event_type, end = type(event), event.end_mark.index
    if event_type is yaml.AliasEvent:
        return Node(Kind.ALIAS, start, end, line, column, value=event.anchor)
    anchor, tag = event.anchor or "", event.tag or ""
    if event_type is yaml.ScalarEvent:
        # PyYAML's two parsers write the plain style as None and as "".
        return Node(Kind.SCALAR, start, end, line, column, event.style or "", event.value, anchor, tag)
    children = []
    while type(found := next(events)) not in (yaml.SequenceEndEvent, yaml.MappingEndEvent):
        children.append(_node(found, events, where, depth + 1))
    kind = Kind.SEQUENCE if event_type is yaml.SequenceStartEvent else Kind.MAPPING
    if event.flow_style:
        return Node(kind, start, found.end_mark.index, line, column, "flow", "", anchor, tag, tuple(children))
    end = children[-1].end if children else end
    return Node(kind, start, end, line, column, "block", "", anchor, tag, tuple(children))


def splice(text: str, edits: Iterable[Edit]) -> str:
    """``text`` with the edits made; those at one place come out in the order given."""
    pieces: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < position:
            raise YamlTextError("two edits touch the same characters", advice="make one change after the other")
        pieces += (text[position : edit.start], edit.text)
        position = edit.end
    pieces.append(text[position:])
    return "".join(pieces)


def line_start(text: str, index: int) -> int:
    """Where the line begins that holds ``index``."""
    return text.rfind("\n", 0, index) + 1


def line_end(text: str, index: int) -> int:
    """Where the line after the one that holds ``index`` begins, or the end of the text."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def last_line_end(text: str, node: Node) -> int:
    """Where the line after the node's last line begins. A block scalar's end is already the start of a line."""
    if node.end > node.start and text[node.end - 1] == "\n":
        return node.end
    return line_end(text, node.end)


def line_break(text: str, index: int) -> str:
    """The line break in use around ``index``: that of the line before, else of the first line, else LF."""
    before = text.rfind("\n", 0, index)
    at = before if before >= 0 else text.find("\n")
    return "\r\n" if at > 0 and text[at - 1] == "\r" else "\n"


def dash_before(text: str, item: Node, column: int, floor: int) -> int:
    """Index of the dash of a block sequence's item.

    :param column: of the sequence's dashes.
    :param floor: nothing before this index belongs to the item.
    """
    start, lowest = line_start(text, item.start), line_start(text, floor)
    while start >= lowest:
        dash = start + column
        if text[dash : dash + 1] == "-" and not text[start:dash].strip(" "):
            return dash
        if start == 0:
            break
        start = line_start(text, start - 1)
    raise YamlTextError("cannot find the dash of this entry", where=place("", item.line))


def scalar_text(value: str, style: str = "", *, flow: bool = False) -> str:
    """``value`` as a YAML scalar in a style (``""``, ``"'"`` or ``'"'``), quoted where plain would be misread.

    :param flow: inside ``[]`` or ``{}``, where more characters have a meaning.
    :raises YamlTextError: a character that no plain or quoted scalar on one line can hold safely.
    """
    if found := _UNPRINTABLE.search(value):
        raise YamlTextError(f"the character {found[0]!r} cannot be written into the map", where=repr(value[:80]))
    if style not in ("'", '"') and is_plain(value, flow=flow):
        return value
    if (style != "'" and not ("\\" in value or '"' in value)) or style == '"':
        return quoted(value)
    return "'" + value.replace("'", "''") + "'"


def flow_list(values: Sequence[str], style: str = "", kept: dict[str, str] | None = None, pad: str = "") -> str:
    """``[a, b]``; ``kept`` gives texts for values that are already written somewhere."""
    written = [(kept or {}).get(value) or scalar_text(value, style, flow=True) for value in values]
    return f"[{pad}{', '.join(written)}{pad}]" if written else "[]"
