"""Change one place of access.yaml and nothing else: comments, order, quoting, line ends and every other byte stay.

Functions from text to text. A place is named by its path in the data, such as ``("roles", "admins", "assumableBy")``.
After each edit the text is read again and must mean exactly the old file plus the change, else :class:`EditError`: an
anchor, an alias or a comment in an odd place is the owner's to change, not ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rolecall.lines import text_lines
from rolecall.manifest.write_yaml import block, flow, scalar
from rolecall.manifest.yaml_data import PathKey, read_yaml
from rolecall.mapping.editing.yaml_lists import append_in_brackets, blank_before, item_span, on_whole_lines
from rolecall.mapping.editing.yaml_text import (
    Edit,
    Kind,
    Node,
    YamlTextError,
    last_line_end,
    line_break,
    parse,
    scalar_text,
    splice,
)

_BY_HAND = "make the change by hand; nothing was written"


class EditError(YamlTextError):
    """A file cannot be changed there without a risk to something else in it; nothing was changed."""


def add_item(text: str, path: PathKey, value: Any, file: str = "access.yaml") -> str:
    """Add an item at the end of the list at ``path``, which is made where there is none.

    A text in place of a list, as ``clusters: prod-1`` is, becomes a list of it and the item.

    :raises YamlTextError: the text is no YAML, or :class:`EditError`.
    """
    tree = _tree(text, file)
    node = _find(tree, path, file)
    if node is None or node.is_null:
        return set_value(text, path, [value], file)
    if node.kind is Kind.SCALAR:
        kept = text[node.start : node.end] if node.style in ("'", '"') else scalar(node.value)
        new = _spliced(text, node, Edit(node.start, node.end, f"[{kept}, {flow(value)}]"), file)
        return _checked(text, new, path, file, node.line, lambda found: [found, value])
    if node.kind is not Kind.SEQUENCE:
        raise _refusal(file, node.line, "this is not a list")
    if node.is_block and node.children:
        new = on_whole_lines(text, lambda text: _append_lines(text, node, value))
    else:
        new = _explained(file, node.line, lambda: append_in_brackets(text, node, _in_brackets(node, value)))
    return _checked(text, new, path, file, node.line, lambda found: [*found, value])


def remove_item(text: str, path: PathKey, file: str = "access.yaml") -> str:
    """Take an item out of a list; ``path`` ends with its number, counted from 0. Comments before it stay.

    :raises YamlTextError: as :func:`add_item`.
    """
    tree = _tree(text, file)
    *above, number = path
    parent, node = _find(tree, tuple(above), file), _find(tree, path, file)
    if parent is None or node is None or parent.kind is not Kind.SEQUENCE or not isinstance(number, int):
        raise _refusal(file, tree.line, "there is no such item")
    edits = [_explained(file, node.line, lambda: Edit(*item_span(text, parent, node), ""))]
    if parent.is_block and len(parent.children) == 1:
        # Nothing behind the key would be null, and no list any more.
        colon = _colon(text, _key(tree, tuple(above), file))
        edits.insert(0, Edit(colon, colon, " []"))
    new = _explained(file, node.line, lambda: splice(text, edits))
    return _checked(text, new, tuple(above), file, node.line, lambda found: [*found[:number], *found[number + 1 :]])


def set_value(text: str, path: PathKey, value: Any, file: str = "access.yaml") -> str:
    """Give a member or an item another value, or add the member that is not there yet at the end of its mapping.

    :raises YamlTextError: as :func:`add_item`.
    """
    tree = _tree(text, file)
    node = _find(tree, path, file)
    if node is None:
        return _add_member(text, tree, path, value, file)
    if node.start == node.end:
        colon = _colon(text, _key(tree, path, file))
        edit = Edit(colon, colon, f" {flow(value)}")
    else:
        written = _like(node, value) if isinstance(value, str) else flow(value)
        edit = Edit(node.start, _content_end(text, node), written)
    new = _spliced(text, node, edit, file)
    return _checked(text, new, path, file, node.line, lambda found: value)


def _add_member(text: str, tree: Node, path: PathKey, value: Any, file: str) -> str:
    *above, key = path
    parent = _find(tree, tuple(above), file)
    if not isinstance(key, str):
        raise _refusal(file, parent.line if parent else tree.line, "there is no such item")
    if parent is None or parent.is_null:
        return set_value(text, tuple(above), {key: value}, file)
    if parent.kind is not Kind.MAPPING:
        raise _refusal(file, parent.line, "this is not a mapping")
    if parent.is_block:
        new = on_whole_lines(text, lambda text: _append_member(text, parent, key, value))
    else:
        quoted = _quotes_keys(parent)
        written = f"{json.dumps(key)}: {_json(value)}" if quoted else f"{scalar(key)}: {flow(value)}"
        new = _explained(file, parent.line, lambda: append_in_brackets(text, parent, written))
    return _checked(text, new, tuple(above), file, parent.line, lambda found: {**(found or {}), key: value})


def _append_lines(text: str, tree: Node, value: Any) -> str:
    """A new item behind the last one of a block list, laid out like it."""
    last = tree.children[-1]
    at = last_line_end(text, last)
    offset = max(last.column - tree.column, 2) if last.kind is Kind.MAPPING and last.is_block else 2
    if isinstance(value, Mapping) and last.kind is Kind.MAPPING and last.is_block:
        lines = text_lines(block(value))
    else:
        lines = [_like(last, value) if isinstance(value, str) else flow(value)]
    gap = [""] if len(tree.children) > 1 and blank_before(text, tree.children[-2], last) else []
    heads = ["-".ljust(offset), *[" " * offset] * (len(lines) - 1)]
    written = [f"{' ' * tree.column}{head}{line}" for head, line in zip(heads, lines, strict=True)]
    return _inserted(text, at, [*gap, *written])


def _append_member(text: str, parent: Node, key: str, value: Any) -> str:
    """A new member behind the last one of a block mapping; a new section with a blank line where others have one."""
    pairs = list(parent.pairs)
    last_key, last = pairs[-1]
    at = last_line_end(text, last if last.end > last.start else last_key)
    pad = " " * parent.column
    many = isinstance(value, list) and any(isinstance(one, Mapping) for one in value)
    lines = [f"{scalar(key)}:", *text_lines(block(value, 2))] if many else text_lines(block({key: value}))
    gap = [""] if len(pairs) > 1 and blank_before(text, pairs[-2][1], last_key) else []
    return _inserted(text, at, [*gap, *(pad + line for line in lines)])


def _inserted(text: str, at: int, lines: list[str]) -> str:
    end = line_break(text, at)
    return text[:at] + "".join(line + end for line in lines) + text[at:]


def _in_brackets(tree: Node, value: Any) -> str:
    if tree.children and isinstance(value, str):
        return _like(tree.children[-1], value)
    quoted = any(_quotes_keys(child) for child in tree.children if child.kind is Kind.MAPPING)
    return _json(value) if quoted else flow(value)


def _like(sibling: Node, value: str) -> str:
    """A text in quotes like those of the value beside it or before it, else as it needs them."""
    if sibling.kind is Kind.SCALAR and sibling.style in ("'", '"'):
        return scalar_text(value, sibling.style, flow=True)
    return scalar(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _quotes_keys(mapping: Node) -> bool:
    """Whether a mapping in braces is written as JSON is."""
    return bool(mapping.children) and not mapping.is_block and mapping.children[0].style == '"'


def _tree(text: str, file: str) -> Node:
    if problems := read_yaml(text, file).problems:
        raise EditError(problems[0].what, where=str(problems[0].place), advice=problems[0].advice)
    tree = parse(text, file)
    if tree is None:
        raise EditError("the file is empty", where=file)
    return tree


def _find(tree: Node, path: PathKey, file: str) -> Node | None:
    """The node at ``path``; ``None`` where the last step is a member that is not there.

    :raises EditError: the path leads through an alias, or to nothing.
    """
    node: Node | None = tree
    for step in path:
        if node is None or node.is_null:
            return None
        if node.kind is Kind.ALIAS:
            raise _refusal(file, node.line, f"this is *{node.value}, which is written elsewhere")
        if isinstance(step, int):
            if node.kind is not Kind.SEQUENCE or step >= len(node.children):
                raise _refusal(file, node.line, "there is no such item")
            node = node.children[step]
        else:
            found = [value for key, value in node.pairs if key.value == step] if node.kind is Kind.MAPPING else []
            if not found and node.kind is Kind.MAPPING and any(key.value == "<<" for key, _ in node.pairs):
                raise _refusal(file, node.line, "this merges another mapping (<<), which is written elsewhere")
            node = found[0] if found else None
    if node is not None and node.kind is Kind.ALIAS:
        raise _refusal(file, node.line, f"this is *{node.value}, which is written elsewhere")
    return node


def _key(tree: Node, path: PathKey, file: str) -> Node:
    parent = _find(tree, path[:-1], file)
    if parent is None or parent.kind is not Kind.MAPPING:
        raise _refusal(file, parent.line if parent else tree.line, "the list belongs to no key")
    return next(key for key, _ in parent.pairs if key.value == path[-1])


def _colon(text: str, key: Node) -> int:
    return text.index(":", key.end) + 1


def _content_end(text: str, node: Node) -> int:
    """The end of a value without the line break that a block scalar reaches over."""
    return node.start + len(text[node.start : node.end].rstrip("\r\n"))


def _spliced(text: str, node: Node, edit: Edit, file: str) -> str:
    inside = [text[child.start : child.end] for child in node.walk() if child.kind is Kind.SCALAR and child.style]
    written = text[node.start : node.end]
    if node.kind is not Kind.SCALAR and written.count("#") > sum(one.count("#") for one in inside):
        raise _refusal(file, node.line, "a comment in it would be lost")
    if node.anchor or node.style in ("|", ">"):
        raise _refusal(file, node.line, "it has an anchor, or is a text over several lines")
    # On the line of its key or dash there may be nothing else, so that what is written stays in one line.
    return splice(text, [edit])


def _checked(old: str, new: str, path: PathKey, file: str, line: int, change: Callable[[Any], Any]) -> str:
    """``new``, once it is shown to mean ``old`` with ``change`` made at ``path``."""
    before, after = read_yaml(old, file), read_yaml(new, file)
    if after.problems or _text(after.data) != _text(_changed(before.data, path, change)):
        raise _refusal(file, line, "the change cannot be made without changing something else")
    return new


def _changed(data: Any, path: PathKey, change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(data)
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return [_changed(one, rest, change) if at == step else one for at, one in enumerate(data)]
    known = data or {}
    return {**known, step: _changed(known.get(step), rest, change)}


def _text(data: Any) -> str:
    # Not by ==, to which 1 and true are the same and order is nothing.
    return json.dumps(data, ensure_ascii=False)


def _explained(file: str, line: int, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except EditError:
        raise
    except YamlTextError as error:
        raise EditError(error.what, where=f"{file}:{line}", advice=error.advice or _BY_HAND) from None


def _refusal(file: str, line: int, what: str) -> EditError:
    return EditError(what, where=f"{file}:{line}", advice=_BY_HAND)
