"""Change one entry of aws-auth and nothing else: comments, order, unknown keys, quoting and line ends stay.

Functions over the ``data`` of the ConfigMap; they return new data and leave the old as it was. After each edit the
result is read back twice, by the authenticator's rules (:mod:`rolecall.mapping.reading.aws_auth`) and as plain YAML,
and must mean exactly the old mappings plus the change; else :class:`AwsAuthEditError` and nothing changes. ARNs are
compared in lower case and the last of several entries for one ARN is the one in force, as the authenticator has it
(aws-iam-authenticator v0.7 ``pkg/mapper/configmap``, ``saveMap``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rolecall.lines import yaml_lines
from rolecall.mapping.editing.entry_text import edit_entry, entry_style
from rolecall.mapping.editing.list_edits import append_item, item_spans, refuse_shared_anchors
from rolecall.mapping.editing.sections import (
    ACCOUNTS,
    ARN_KEYS,
    AwsAuthEditError,
    Section,
    checked,
    fields,
    read_section,
)
from rolecall.mapping.editing.yaml_lists import on_whole_lines
from rolecall.mapping.editing.yaml_text import (
    Edit,
    Kind,
    dash_before,
    last_line_end,
    line_break,
    line_end,
    line_start,
    place,
    scalar_text,
    splice,
)
from rolecall.mapping.reading.aws_auth import AwsAuthEntry, arn_key, parse_aws_auth


@dataclass(frozen=True, slots=True)
class RemovedEntry:
    """An entry that was taken out, with what it takes to put it back.

    :param index: its place in the list, counted from 0.
    :param after: ARN of the entry before it, empty for the first.
    :param gap: lines (comments, blank ones) between that entry, or the start of the text, and this one.
    :param offset: where ``text`` stood.
    :param text: the characters that were cut.
    """

    index: int
    after: str
    arn: str
    username: str
    groups: tuple[str, ...]
    gap: int
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Removed:
    """What :func:`remove_entry` took out of a section.

    :param digest: SHA-256 of the section's text that remained, in hexadecimal; where it is still that text, an undo
        is exact to the byte.
    """

    section: str
    digest: str
    entries: tuple[RemovedEntry, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a journal."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Removed:
        """The value that :meth:`as_json` wrote."""
        entries = (RemovedEntry(**{**entry, "groups": tuple(entry["groups"])}) for entry in found["entries"])
        return cls(found["section"], found["digest"], tuple(entries))


def set_entry(data: Mapping[str, str], section: str, arn: str, username: str, groups: Sequence[str]) -> dict[str, str]:
    """Map ``arn`` to ``username`` and ``groups``: the entry in force is changed where it stands, or one is added.

    :raises YamlTextError: the text is not YAML, or the entry cannot be changed alone (anchors, merge keys, tabs).
    """
    groups = tuple(groups)
    if not arn.strip() or any(not group for group in groups):
        raise AwsAuthEditError("an entry needs an ARN, and no group may be empty", where=section)
    read = _entries(data, section)
    text, tree, entries = read.text, read.tree, read.entries
    found = _in_force(entries, arn)
    before = [fields(entry) for entry in entries]
    if found is None:
        style = entry_style(text, tree, ARN_KEYS[section])
        flow = style.flow(arn, username, groups)
        lines = [flow] if style.braces else style.lines(arn, username, groups)
        result = append_item(text, tree, style, lines, flow)
        after = [*before, (arn, username, groups, None)]
    else:
        entry = entries[found]
        if (entry.username, entry.groups) == (username, groups):
            return dict(data)
        item = read.items[found]
        result = on_whole_lines(text, lambda text: edit_entry(text, item, section, entry, username, groups))
        after = [*before[:found], (entry.arn, username, groups, entry.sso), *before[found + 1 :]]
    return checked(data, section, result, after, touched=found)


def remove_entry(data: Mapping[str, str], section: str, arn: str) -> tuple[dict[str, str], Removed]:
    """Take out every entry of ``arn``, and say what was taken. Comments that stand before an entry stay."""
    read = _entries(data, section)
    text, tree, entries, items = read.text, read.tree, read.entries, read.items
    wanted = [index for index, entry in enumerate(entries) if entry.arn and arn_key(entry.arn) == arn_key(arn)]
    if not wanted:
        return dict(data), Removed(section, _digest(text), ())
    assert tree is not None
    refuse_shared_anchors(section, tree, [items[index] for index in wanted])
    spans = dict(zip(wanted, item_spans(text, tree, [items[index] for index in wanted]), strict=True))
    remaining = splice(text, [Edit(start, end, "") for start, end in spans.values()])
    removed = []
    for index, (start, end) in spans.items():
        entry, floor = entries[index], items[index - 1].end if index else 0
        gap = text[floor:start].count("\n") - (1 if index else 0)
        after_arn = entries[index - 1].arn if index else ""
        removed.append(
            RemovedEntry(index, after_arn, entry.arn, entry.username, entry.groups, max(gap, 0), start, text[start:end])
        )
    after = [fields(entry) for index, entry in enumerate(entries) if index not in spans]
    new = checked(data, section, remaining, after)
    return new, Removed(section, _digest(new[section]), tuple(removed))


def restore_entries(data: Mapping[str, str], removed: Removed) -> dict[str, str]:
    """Put back what :func:`remove_entry` took out, in place.

    Where the section is as the removal left it, the result is what it was before, byte for byte. Where others changed
    it since, each entry goes back behind the entry it followed, else to the end.

    :raises AwsAuthEditError: somebody mapped one of the ARNs again, or the list is now written in another way.
    """
    result = dict(data)
    section = removed.section
    text = result.get(section, "")
    if _digest(text) == removed.digest:
        for entry in removed.entries:
            text = text[: entry.offset] + entry.text + text[entry.offset :]
        return {**result, section: text} if removed.entries else result
    taken = {arn_key(entry.arn) for entry in removed.entries}
    for mapped in parse_aws_auth(result).entries:
        if mapped.section == section and arn_key(mapped.arn) in taken:
            raise AwsAuthEditError(
                f"{mapped.arn} was mapped again since",
                where=place(section, mapped.line),
                advice="remove that entry first, or leave things as they are",
            )
    for entry in removed.entries:
        result = _put_back(result, section, entry)
    return result


def set_account(data: Mapping[str, str], account: str) -> dict[str, str]:
    """Add an account id to ``mapAccounts``, quoted so that no reader takes it for a number."""
    if not (len(account) == 12 and account.isascii() and account.isdigit()):
        raise AwsAuthEditError(f"{account!r} is not an account id", advice="an account id has 12 digits")
    read = read_section(data, ACCOUNTS)
    before = read.aws_auth.accounts
    if account in before:
        return dict(data)
    style = entry_style(read.text, read.tree, "")
    quoted = scalar_text(account, style.quote or '"', flow=True)
    result = append_item(read.text, read.tree, style, [quoted], quoted)
    return checked(data, ACCOUNTS, result, before | {account})


def remove_account(data: Mapping[str, str], account: str) -> dict[str, str]:
    """Take an account id out of ``mapAccounts``, wherever it stands."""
    read = read_section(data, ACCOUNTS)
    text, tree = read.text, read.tree
    items = [item for item in tree.children if item.kind is Kind.SCALAR and item.value == account] if tree else []
    if tree is None or not items:
        return dict(data)
    refuse_shared_anchors(ACCOUNTS, tree, items)
    result = splice(text, [Edit(start, end, "") for start, end in item_spans(text, tree, items)])
    return checked(data, ACCOUNTS, result, read.aws_auth.accounts - {account})


def _entries(data: Mapping[str, str], section: str) -> Section:
    if section not in ARN_KEYS:
        raise AwsAuthEditError(f"no section {section!r} with entries", advice="there are mapRoles and mapUsers")
    return read_section(data, section)


def _in_force(entries: Sequence[AwsAuthEntry], arn: str) -> int | None:
    """The number of the entry that counts for an ARN: the last that the authenticator does not drop."""
    key = arn_key(arn)
    matching = (index for index, entry in enumerate(entries) if arn_key(entry.arn) == key and not entry.is_dropped)
    return max(matching, default=None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _place_of(removed: RemovedEntry, arns: Sequence[str]) -> int:
    """Where an entry goes back: where it was if that is still behind the same entry, else behind it, else last."""
    after = removed.after.lower()
    if removed.index == 0 or list(arns[removed.index - 1 : removed.index]) == [after]:
        return removed.index
    return len(arns) - arns[::-1].index(after) if after in arns else len(arns)


def _put_back(data: dict[str, str], section: str, removed: RemovedEntry) -> dict[str, str]:
    read = _entries(data, section)
    text, tree, entries = read.text, read.tree, read.entries
    index = _place_of(removed, [entry.arn.lower() for entry in entries])
    expected = [fields(entry) for entry in entries]
    expected.insert(index, (removed.arn, removed.username, removed.groups, None))
    lines = _indented(removed.text.strip("\r\n"), tree.column if tree and tree.is_block else None)
    if tree is None:
        result = (text + "\n" if text and not text.endswith("\n") else text) + lines + "\n"
    elif not tree.is_block or not lines.lstrip().startswith("-"):
        raise AwsAuthEditError("the list is written in another way than the removed entry", where=section)
    else:
        items, block = read.items, tree

        def insert(text: str) -> str:
            at = last_line_end(text, items[index - 1]) if index else 0
            limit = line_start(text, dash_before(text, items[index], block.column, at)) if index < len(items) else at
            for _ in range(removed.gap):
                at = line_end(text, at) if at < limit else at
            return text[:at] + lines + line_break(text, at) + text[at:]

        result = on_whole_lines(text, insert)
    return checked(data, section, result, expected)


def _indented(item: str, column: int | None) -> str:
    """An item's lines with its dash at another column, the rest moved along."""
    old = " " * (len(item) - len(item.lstrip(" ")))
    if column is None:
        return item
    return "".join(
        " " * column + line.removeprefix(old) if line.startswith(old) and line.strip() else line
        for line in yaml_lines(item, ends=True)
    )
