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
from rolecall.mapping.editing.quoted_text import replaced_in_quotes
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

_MOST_COMPARED = 4_000_000
NAME, NAMESPACE = "aws-auth", "kube-system"


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
    found = [one for root in parse_documents(text, where) for one in _manifests(root) if _is_aws_auth(one)]
    if len(found) > 1:
        # A List may have those of other namespaces, which no authenticator reads.
        found = [root for root in found if _namespace(root) in ("", NAMESPACE)] or found
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
            raise YamlTextError("data is not a mapping", where=place(where, pair[1].line))
        for key, value in pair[1].pairs:
            if value.kind is not Kind.SCALAR or key.value in values:
                raise YamlTextError(f"data.{key.value} is not text, or is there twice", where=place(where, value.line))
            values[key.value] = value
    data = {key: "" if value.is_null else value.value for key, value in values.items()}
    first_lines = {key: value.line + 1 if value.style == "|" else 0 for key, value in values.items()}
    return Manifest(text, data, first_lines, root, values)


def replace_data(manifest: Manifest, data: Mapping[str, str]) -> str:
    """The file's text with other texts in the ConfigMap: changed sections alone, and in them changed lines alone.

    Line breaks at the end of a block mean nothing to aws-auth: those of the file stay.

    :raises YamlTextError: a section would vanish, or a text that cannot be written in the file's style.
    """
    if set(manifest.data) - set(data):
        raise YamlTextError("a section cannot be taken out of a file")
    edits: list[Edit] = []
    added = {key: text for key, text in data.items() if key not in manifest.data}
    is_flow = manifest.root.style == "flow"
    for key, value in manifest.values.items():
        if data[key] != manifest.data[key]:
            column = _parent_column(manifest.root, value)
            edits.append(_replaced(manifest.text, value, column, data[key], is_flow=is_flow))
    if added:
        edits += _added(manifest.text, manifest.root, added)
    result = splice(manifest.text, edits)
    written = read_manifest(result)
    if set(written.data) != set(data) or not all(_is_as_meant(written.data[key], data[key]) for key in data):
        raise YamlTextError(
            "the change cannot be written into the file as it stands", advice="write its texts as blocks: mapRoles: |"
        )
    return result


def _is_as_meant(written: str, wanted: str) -> bool:
    """Whether a text that was written is the one wanted, but for line breaks at its end that say nothing."""
    if written == wanted:
        return True
    if written.rstrip("\n") != wanted.rstrip("\n"):
        return False
    try:
        one, two = (parse_documents(text) for text in (written, wanted))
    except YamlTextError:
        return True
    return [node.meaning() for node in one] == [node.meaning() for node in two]


def _manifests(root: Node) -> Iterator[Node]:
    """A document, or the items of a List in it (``kubectl get configmaps -o yaml``)."""
    kind, items = _pair(root, "kind"), _pair(root, "items")
    if kind and kind[1].value in ("List", "ConfigMapList") and items and items[1].kind is Kind.SEQUENCE:
        yield from items[1].children
    else:
        yield root


def _is_aws_auth(root: Node) -> bool:
    kind, metadata = _pair(root, "kind"), _pair(root, "metadata")
    name = _pair(metadata[1], "name") if metadata else None
    # The items of a ConfigMapList have no kind of their own.
    return bool((kind is None or kind[1].value == "ConfigMap") and name and name[1].value == NAME)


def _namespace(root: Node) -> str:
    metadata = _pair(root, "metadata")
    found = _pair(metadata[1], "namespace") if metadata else None
    return found[1].value if found else ""


def _pair(node: Node, name: str) -> tuple[Node, Node] | None:
    if node.kind is not Kind.MAPPING:
        return None
    return next(((key, value) for key, value in node.pairs if key.value == name), None)


def _parent_column(root: Node, value: Node) -> int:
    pair = _pair(root, "data")
    assert pair is not None
    return next(key.column for key, found in pair[1].pairs if found is value)


def _replaced(text: str, value: Node, column: int, new: str, *, is_flow: bool) -> Edit:
    if value.style in ("|", ">") and value.value.strip():
        return _block_lines(text, value, column, new)
    end = value.start + len(text[value.start : value.end].rstrip("\r\n"))
    if value.style in ("'", '"') and value.value.strip():
        kept = replaced_in_quotes(text[value.start : end], new)
        if kept is not None:
            return Edit(value.start, end, kept)
    gap = " " if value.start == value.end else ""
    followed = value.style not in ("|", ">") and bool(text[end : line_end(text, end)].strip())
    if is_flow or (value.style == '"' and value.value) or "\n" not in new or followed or not _fits_a_block(new):
        return Edit(value.start, end, gap + quoted(new))
    return Edit(value.start, end, gap + _block(new, " " * (column + 2), line_break(text, value.start)))


def _block_lines(text: str, value: Node, column: int, new: str) -> Edit:
    """A block with the lines that changed; the others keep their characters, and so do blank ones behind the block."""
    if not new.strip():
        return Edit(value.start, value.start + len(text[value.start : value.end].rstrip("\r\n")), quoted(new))
    body = line_end(text, value.start)
    header, raw = text[value.start : body], yaml_lines(text[body : value.end], ends=True)
    is_stripped = "-" in header.split("#")[0]
    if value.style == ">":
        old_lines, new_lines = _folded(value.value, is_stripped), _folded(new, is_stripped)
        if [line.strip() for line in raw[: len(old_lines)]] != [line.strip() for line in old_lines]:
            # Folded at other places than between entries: written again as lines that are not folded.
            return _unfolded(text, value, column, new)
    else:
        old_lines, new_lines = _content(value.value, is_stripped), _content(new, is_stripped)
    eol = line_break(text, body)
    tail = raw[len(old_lines) :]
    raw = raw[: len(old_lines)]
    at = next(number for number, line in enumerate(old_lines) if line.strip())
    indent = raw[at][: len(raw[at].rstrip("\r\n")) - len(old_lines[at])]
    lines: list[tuple[bool, str]] = []
    for kept, i, j, k, m in _matched(old_lines, new_lines):
        part = raw[i:j] if kept else [(indent + line if line else "") + eol for line in new_lines[k:m]]
        lines += ((kept, line) for line in part)
    # Blank lines at the end say nothing: those of the file stay, and none is added.
    while "+" not in header.split("#")[0] and lines and not lines[-1][0] and not lines[-1][1].strip():
        lines.pop()
    written = [line if line.endswith("\n") else line + eol for _, line in lines]
    if not text[body : value.end].endswith("\n") and not new.endswith("\n"):
        # The last line of the file had no line break, and none is asked for.
        written[-1] = written[-1].removesuffix(eol)
    return Edit(value.start, value.end, _header(header, new, len(indent) - column) + "".join(written + tail))


def _content(text: str, is_stripped: bool) -> list[str]:
    """The lines of a block that stands for a text: one whose header strips (``-``) has no line break at its end."""
    return (text if is_stripped else text.removesuffix("\n")).split("\n")


def _folded(text: str, is_stripped: bool) -> list[str]:
    """The lines of a folded block that stands for a text: where a line break would become a space, an empty line."""
    lines: list[str] = []
    for line in _content(text, is_stripped):
        if lines and lines[-1] and line and not (lines[-1].startswith(" ") or line.startswith(" ")):
            lines.append("")
        lines.append(line)
    return lines


def _unfolded(text: str, value: Node, column: int, new: str) -> Edit:
    end = value.start + len(text[value.start : value.end].rstrip("\r\n"))
    written = _block(new.rstrip("\n") + "\n", " " * (column + 2), line_break(text, value.start))
    return Edit(value.start, end, written if _fits_a_block(new) else quoted(new))


def _matched(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[bool, int, int, int, int]]:
    """Spans of lines that stayed and of lines that did not: from and to in ``old``, from and to in ``new``.

    What is the same at both ends is set aside first, and a large rest is taken for changed as a whole: a large map is
    compared in linear time.
    """
    shorter = min(len(old), len(new))
    head = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    tail = next((n for n in range(shorter - head) if old[-1 - n] != new[-1 - n]), shorter - head)
    yield True, 0, head, 0, head
    one, two = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(one) * len(two) > _MOST_COMPARED:
        yield False, head, head + len(one), head, head + len(two)
    else:
        for what, i, j, k, m in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
            yield what == "equal", head + i, head + j, head + k, head + m
    yield True, len(old) - tail, len(old), len(new) - tail, len(new)


def _header(header: str, new: str, indentation: int) -> str:
    """The header of a block as ``new`` needs it: as it was, with an indentation if that cannot be guessed."""
    said = header.split("#")[0].rstrip()
    if not new.lstrip("\n").startswith(" "):
        return header
    chomp = said.strip("|>0123456789 ")
    return f"{said[0]}{indentation}{chomp}" + header[len(said) :]


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
    column = node.column if node is not None and node.children else root.column + 2
    eol = line_break(text, root.end)
    lines = [] if pair else [f"{' ' * root.column}data:{eol}"]
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
