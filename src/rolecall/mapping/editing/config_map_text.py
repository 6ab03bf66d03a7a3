"""A manifest of the ConfigMap aws-auth as a file that people own: its texts read, and replaced line by line.

YAML and JSON. Of a file with several documents the one for aws-auth is meant. The rest of the file stays as it is, to
the byte; what is written is read back, and must be exactly what was meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rolecall.lines import yaml_lines
from rolecall.mapping.editing.yaml_text import (
    Edit,
    Kind,
    Node,
    YamlTextError,
    last_line_end,
    line_break,
    line_end,
    parse_documents,
    place,
    splice,
)
from rolecall.yaml_scalars import quoted

NAME = "aws-auth"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file with the ConfigMap.

    :param data: its texts.
    :param first_lines: by section, the line of the file on which the section's line 1 stands; 0 where lines do not
        correspond, as in a quoted text.
    """

    text: str
    data: Mapping[str, str]
    first_lines: Mapping[str, int]
    root: Node
    values: Mapping[str, Node]

    def line(self, section: str, line: int) -> int:
        """The line of the file where a section's line stands, as closely as can be told."""
        if section not in self.values:
            return self.root.line
        first = self.first_lines[section]
        return first + line - 1 if first else self.values[section].line


def read_manifest(text: str, where: str = "") -> Manifest:
    """The ConfigMap aws-auth in ``text``.

    :raises YamlTextError: no YAML or JSON, no such ConfigMap in it or several, or texts that are none.
    """
    found = [root for root in parse_documents(text, where) if _is_aws_auth(root)]
    if len(found) != 1:
        how = "no manifest of the ConfigMap" if not found else f"{len(found)} manifests of the ConfigMap"
        raise YamlTextError(f"{how} {NAME}", where=where, advice=f"it has kind: ConfigMap and metadata.name: {NAME}")
    root = found[0]
    if shared := next((node for node in root.walk() if node.anchor or node.kind is Kind.ALIAS), None):
        raise YamlTextError("anchors and aliases in a manifest", where=place(where, shared.line))
    values: dict[str, Node] = {}
    pair = _pair(root, "data")
    if pair and not pair[1].is_null:
        if pair[1].kind is not Kind.MAPPING:
            raise YamlTextError("data is no mapping", where=place(where, pair[1].line))
        for key, value in pair[1].pairs:
            if value.kind is not Kind.SCALAR or key.value in values:
                raise YamlTextError(f"data.{key.value} is no text, or there twice", where=place(where, value.line))
            values[key.value] = value
    data = {key: "" if value.is_null else value.value for key, value in values.items()}
    first_lines = {key: value.line + 1 if value.style == "|" else 0 for key, value in values.items()}
    return Manifest(text, data, first_lines, root, values)


def replace_data(manifest: Manifest, data: Mapping[str, str]) -> str:
    """The file's text with other texts in the ConfigMap: changed sections alone, and in them changed lines alone.

    :raises YamlTextError: a section would vanish, or a text that cannot be written in the file's style.
    """
    if set(manifest.data) - set(data):
        raise YamlTextError("a section cannot be taken out of a file")
    edits: list[Edit] = []
    added = {key: text for key, text in data.items() if key not in manifest.data}
    for key, value in manifest.values.items():
        if data[key] != manifest.data[key]:
            edits.append(_replaced(manifest.text, value, _parent_column(manifest.root, value), data[key]))
    if added:
        edits += _added(manifest.text, manifest.root, added)
    result = splice(manifest.text, edits)
    if dict(read_manifest(result).data) != dict(data):
        raise YamlTextError(
            "the change cannot be written into the file as it stands", advice="write its texts as blocks: mapRoles: |"
        )
    return result


def _is_aws_auth(root: Node) -> bool:
    kind, metadata = _pair(root, "kind"), _pair(root, "metadata")
    name = _pair(metadata[1], "name") if metadata else None
    return bool(kind and name and kind[1].value == "ConfigMap" and name[1].value == NAME)


def _pair(node: Node, name: str) -> tuple[Node, Node] | None:
    if node.kind is not Kind.MAPPING:
        return None
    return next(((key, value) for key, value in node.pairs if key.value == name), None)


def _parent_column(root: Node, value: Node) -> int:
    pair = _pair(root, "data")
    assert pair is not None
    return next(key.column for key, found in pair[1].pairs if found is value)


def _replaced(text: str, value: Node, column: int, new: str) -> Edit:
    if value.style == "|" and value.value.strip():
        return _literal_lines(text, value, column, new)
    end = value.start + len(text[value.start : value.end].rstrip("\r\n"))
    gap = " " if value.start == value.end else ""
    followed = value.style != "|" and bool(text[end : line_end(text, end)].strip())
    if value.style == '"' or "\n" not in new or followed or not _fits_a_block(new):
        return Edit(value.start, end, gap + quoted(new))
    return Edit(value.start, end, gap + _block(new, " " * (column + 2), line_break(text, value.start)))


def _literal_lines(text: str, value: Node, column: int, new: str) -> Edit:
    """A literal block with the lines that changed; the others keep their characters, blank ones too."""
    if not new.strip():
        return Edit(value.start, value.start + len(text[value.start : value.end].rstrip("\r\n")), quoted(new))
    body = line_end(text, value.start)
    header, raw = text[value.start : body], yaml_lines(text[body : value.end], ends=True)
    eol = line_break(text, body)
    old_lines, new_lines = yaml_lines(value.value, ends=True), yaml_lines(new, ends=True)
    raw += [""] * (len(old_lines) - len(raw))
    at = next(number for number, line in enumerate(old_lines) if line.strip())
    indent = raw[at][: len(raw[at].rstrip("\r\n")) - len(old_lines[at].rstrip("\n"))]
    lines: list[str] = []
    for kept, i, j, k, m in _matched(old_lines, new_lines):
        part = raw[i:j] if kept else [indent + line if line != "\n" else line for line in new_lines[k:m]]
        lines += (line.rstrip("\r\n") + eol for line in part)
    result = _header(header, new, len(indent) - column) + "".join(lines)
    if not text[body : value.end].endswith("\n"):
        result = result.removesuffix(eol)
    return Edit(value.start, value.end, result)


def _matched(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[bool, int, int, int, int]]:
    """Spans of lines that stayed and of lines that did not: from and to in ``old``, from and to in ``new``.

    What is the same at both ends is set aside first: a large map with one change is compared in linear time.
    """
    shorter = min(len(old), len(new))
    head = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    tail = next((n for n in range(shorter - head) if old[-1 - n] != new[-1 - n]), shorter - head)
    yield True, 0, head, 0, head
    middle = SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False)
    for what, i, j, k, m in middle.get_opcodes():
        yield what == "equal", head + i, head + j, head + k, head + m
    yield True, len(old) - tail, len(old), len(new) - tail, len(new)


def _header(header: str, new: str, indentation: int) -> str:
    """The header of a literal block as ``new`` needs it: ``|``, an indentation where it cannot be guessed, chomping."""
    said = header.split("#")[0].rstrip()
    chomp = "-" if not new.endswith("\n") else "+" if new.endswith("\n\n") else ""
    digit = "".join(c for c in said if c.isdigit())
    if new.lstrip("\n").startswith(" "):
        digit = str(indentation)
    written = f"|{digit}{chomp}"
    return header if written == said else written + header[len(said) :]


def _added(text: str, root: Node, added: Mapping[str, str]) -> Iterator[Edit]:
    pair = _pair(root, "data")
    node = pair[1] if pair else None
    if root.style == "flow" or (node is not None and node.style == "flow" and node.children):
        written = ", ".join(f"{json.dumps(key)}: {quoted(value)}" for key, value in added.items())
        if node is None:
            yield Edit(root.children[-1].end, root.children[-1].end, f', "data": {{{written}}}')
        elif node.children:
            yield Edit(node.children[-1].end, node.children[-1].end, f", {written}")
        else:
            yield Edit(node.start, node.end, f"{{{written}}}")
        return
    column = node.column if node is not None and node.children else 2
    eol = line_break(text, root.end)
    lines = [] if pair else [f"data:{eol}"]
    for key, value in added.items():
        content = _block(value, " " * (column + 2), eol) if _fits_a_block(value) else quoted(value)
        lines.append(f"{' ' * column}{key}: {content}{eol}")
    if pair and node is not None and not node.children:
        yield Edit(node.start, node.end, "")
    last = (node if node is not None and node.children else pair[0] if pair else root) if pair else root
    at = last_line_end(text, last)
    before = "" if at == 0 or text[at - 1 : at] == "\n" else eol
    yield Edit(at, at, before + "".join(lines))


def _fits_a_block(text: str) -> bool:
    first = next((line for line in text.split("\n") if line.strip()), "")
    return bool(first) and not first.startswith(" ") and "\r" not in text and not text.startswith("\n")


def _block(text: str, indent: str, eol: str) -> str:
    """A literal block without its last line break."""
    chomp = "-" if not text.endswith("\n") else "+" if text.endswith("\n\n") else ""
    lines = [indent + line if line else "" for line in text.removesuffix("\n").split("\n")]
    return eol.join([f"|{chomp}", *lines])
