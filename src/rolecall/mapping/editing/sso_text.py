"""Add and take away ``sso`` entries in the text of aws-auth's ``mapRoles``; every other byte stays.

Entries with an ARN are :mod:`rolecall.mapping.editing.aws_auth_text`'s. A permission set can be added to a list
with a dash for each entry, and to an empty text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import yaml

from rolecall.errors import RolecallError
from rolecall.lines import yaml_lines
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, compose
from rolecall.mapping.reading.entries import ROLES, EntryReader, MappedEntry
from rolecall.mapping.reading.sso import SsoRole


class SsoTextError(RolecallError):
    """The text cannot be edited without a risk to what surrounds the change."""


def add_sso_entry(data: Mapping[str, str], sso: SsoRole, username: str, groups: Sequence[str]) -> dict[str, str]:
    """Map a permission set at the end of ``mapRoles``; :class:`SsoTextError` where it is mapped, or cannot be."""
    text = data.get(ROLES, "")
    node, before = _read(text)
    if any(entry.sso == sso for entry in before):
        raise SsoTextError(f"{sso} is mapped already", where=ROLES, advice="remove it first")
    if node is not None and node.flow_style:
        raise SsoTextError("the list is written with brackets", where=ROLES, advice="write an entry on a line each")
    indent = " " * (node.value[0].start_mark.column - 2 if node is not None and node.value else 0)
    lines = [
        "- sso:",
        f"    permissionSetName: {_quoted(sso.permission_set)}",
        f"    accountID: {_quoted(sso.account)}",
    ]
    if sso.partition != "aws":
        lines.append(f"    partition: {_quoted(sso.partition)}")
    lines.append(f"  username: {_quoted(username)}")
    lines.append("  groups:" if groups else "  groups: []")
    lines += [f"  - {_quoted(group)}" for group in groups]
    kept = text if node is not None else ""
    ended = "" if not kept or kept.endswith("\n") else "\n"
    result = kept + ended + "".join(f"{indent}{line}\n" for line in lines)
    wanted = [*(_meaning(entry) for entry in before), ("", username, tuple(groups), sso, "")]
    return _checked(data, result, wanted)


def remove_sso_entry(data: Mapping[str, str], sso: SsoRole) -> dict[str, str]:
    """Take a permission set's entries out; the same data where there are none."""
    text = data.get(ROLES, "")
    node, before = _read(text)
    wanted = [_meaning(entry) for entry in before if entry.sso != sso]
    if node is None or len(wanted) == len(before):
        return dict(data)
    if node.flow_style:
        raise SsoTextError("the list is written with brackets", where=ROLES, advice="write an entry on a line each")
    lines = yaml_lines(text, ends=True)
    gone = {entry.line for entry in before if entry.sso == sso}
    starts = [item.start_mark.line for item in node.value] + [_last_line(node)]
    for start, end in reversed(list(pairwise(starts))):
        if start + 1 in gone:
            # What is written above the next entry belongs to that one.
            while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
                end -= 1
            del lines[start:end]
    result = "".join(lines)
    return _checked(data, result if wanted else "[]\n", wanted)


def _last_line(node: yaml.SequenceNode) -> int:
    """The line after the last entry; of a list in a block, where the list ends."""
    mark = node.end_mark
    return int(mark.line) if mark.column == 0 else int(mark.line) + 1


def _read(text: str) -> tuple[yaml.SequenceNode | None, list[MappedEntry]]:
    if text.strip() in ("", "``", '""', "[]"):
        return None, []
    try:
        node = compose(text)
    except UnreadableYamlError as error:
        raise SsoTextError(error.what, where=f"{ROLES} line {error.line}", advice="mend the text first") from None
    if node is None:
        return None, []
    reader = EntryReader()
    entries = list(reader.entries(node, ROLES))
    if reader.problems or not isinstance(node, yaml.SequenceNode):
        first = reader.problems[0]
        raise SsoTextError(first.text, where=f"{ROLES} line {first.line}", advice="mend the text first")
    return node, entries


def _checked(data: Mapping[str, str], text: str, wanted: list[tuple[object, ...]]) -> dict[str, str]:
    """The data with the new text, read again: it has to say what is wanted and nothing else."""
    if [_meaning(entry) for entry in _read(text)[1]] != wanted:
        raise SsoTextError("the text cannot be changed there alone", where=ROLES, advice="edit it by hand")
    return {**data, ROLES: text}


def _meaning(entry: MappedEntry) -> tuple[object, ...]:
    return entry.arn, entry.username, entry.groups, entry.sso, entry.user_id


def _quoted(text: str) -> str:
    """A YAML string that no reader takes for anything else."""
    return "'" + text.replace("'", "''") + "'"
