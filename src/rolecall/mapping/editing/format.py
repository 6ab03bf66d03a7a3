"""aws-auth in one form: what it means stays, and so do comments, order and unknown keys.

Each section begins at the margin; an entry is ``rolearn``, ``username``, ``groups`` in this order, in lower-case keys,
with a group on each line; account ids are quoted; lines end with LF and no spaces. An entry that holds comments, or
keys and values of its own, keeps its lines and is only moved to the margin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rolecall.lines import yaml_lines
from rolecall.mapping.editing.entry_text import EntryStyle
from rolecall.mapping.editing.sections import ACCOUNTS, ARN_KEYS, same_mappings
from rolecall.mapping.editing.yaml_text import Edit, Kind, Node, dash_before, last_line_end, line_start, parse, splice
from rolecall.mapping.reading.aws_auth import AwsAuthEntry, parse_aws_auth

_GROUP_OFFSET = 2
_BLANK_LINES = re.compile(r"\n{3,}")


def format_data(data: Mapping[str, str]) -> dict[str, str]:
    """The ConfigMap's ``data`` with each section in the usual form.

    A section whose meaning would not stay the same to the letter is left as it is.

    :raises YamlTextError: a section is no YAML, so nobody can tell what it means.
    """
    result = dict(data)
    for section in (*ARN_KEYS, ACCOUNTS):
        if section not in data or not data[section].strip():
            continue
        changed = {**result, section: _section(result, section)}
        if same_mappings(result, changed):
            result = changed
    return result


def _section(data: Mapping[str, str], section: str) -> str:
    text = data[section].replace("\r\n", "\n")
    tree = parse(text, section)
    if tree is None or tree.kind is not Kind.SEQUENCE:
        return text
    entries = [entry for entry in parse_aws_auth({section: text}).entries if entry.section == section]
    by_line = {entry.line: entry for entry in entries}
    if tree.is_block:
        edits = list(_block_items(text, tree, section, by_line))
        text = splice(text, edits)
    elif "#" not in text[tree.start : tree.end] and not text[tree.end :].split("\n", 1)[0].strip():
        items = [_written(text, item, section, by_line.get(item.line)) for item in tree.children]
        if tree.children and all(items) and tree.column == 0:
            text = splice(text, [Edit(tree.start, tree.end, "\n".join(item for item in items if item))])
    return _tidy(text)


def _tidy(text: str) -> str:
    """One line break at the end, no more than one blank line in a row, no spaces at the end of lines."""
    if any(style in text for style in ("|", ">")):
        # A block scalar's spaces and blank lines may be part of its value.
        return text if text.endswith("\n") else text + "\n"
    stripped = "\n".join(line.rstrip(" ") for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", stripped).strip("\n") + "\n"


def _block_items(text: str, tree: Node, section: str, by_line: Mapping[int, AwsAuthEntry]) -> Iterator[Edit]:
    floor = tree.start
    for item in tree.children:
        start = line_start(text, dash_before(text, item, tree.column, floor))
        end, floor = last_line_end(text, item), item.end
        written = _written(text[start:end], item, section, by_line.get(item.line))
        if written is None:
            written = "".join(_moved(line, tree.column) for line in yaml_lines(text[start:end], ends=True))
            yield Edit(start, end, written)
        else:
            yield Edit(start, end, written + "\n")
        # Comments in front of the next entry move along with the list.


def _moved(line: str, column: int) -> str:
    return line[column:] if line[:column].strip() == "" else line


def _written(lines: str, item: Node, section: str, entry: AwsAuthEntry | None) -> str | None:
    """The item in the usual form; ``None`` where something of it would be lost."""
    if "#" in lines or any(node.anchor or node.tag or node.kind is Kind.ALIAS for node in item.walk()):
        return None
    if section == ACCOUNTS:
        plain = item.kind is Kind.SCALAR and item.value.isascii() and item.value.isdigit()
        return f'- "{item.value}"' if plain else None
    if entry is None or item.kind is not Kind.MAPPING or not _is_usual(item, entry, ARN_KEYS[section]):
        return None
    style = EntryStyle(ARN_KEYS[section], group_offset=_GROUP_OFFSET)
    return "\n".join(style.item_line(*line) for line in enumerate(style.lines(entry.arn, entry.username, entry.groups)))


def _is_usual(item: Node, entry: AwsAuthEntry, arn_key: str) -> bool:
    """Whether the entry has the three fields, each once and of the right type, and nothing else."""
    found = {key.value.lower(): value for key, value in item.pairs}
    if sorted(found) != sorted((arn_key, "username", "groups")) or len(item.children) != 2 * len(found):
        return False
    groups = found["groups"]
    return (
        found[arn_key].value == entry.arn
        and found["username"].value == entry.username
        and groups.kind is Kind.SEQUENCE
        and tuple(group.value for group in groups.children) == entry.groups
        and all(entry.groups)
    )
