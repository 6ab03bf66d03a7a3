"""One entry of aws-auth as text: its username and groups changed in place, and how a new one should look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rolecall.lines import yaml_lines
from rolecall.mapping.editing.yaml_lists import blank_before
from rolecall.mapping.editing.yaml_text import (
    Edit,
    Kind,
    Node,
    YamlTextError,
    dash_before,
    flow_list,
    last_line_end,
    line_break,
    line_start,
    place,
    scalar_text,
    splice,
)
from rolecall.mapping.reading.aws_auth import AwsAuthEntry


@dataclass(frozen=True, slots=True)
class EntryStyle:
    """How the entries of a list are written, so that a new one looks like its neighbours.

    :param arn_key: ``rolearn`` or ``userarn``; empty for a list of account ids.
    :param order: the order of the three keys.
    :param indent: of the dash.
    :param offset: from the dash to the first key.
    :param group_offset: from the key ``groups`` to the dashes below it; ``None`` where groups stand in brackets.
    :param quote: ``""``, ``"'"`` or ``'"'``: of values; ``quote_keys`` the same for keys (JSON).
    :param blank_between: whether a blank line stands between entries.
    :param braces: whether entries of a block list are written ``- {...}``.
    """

    arn_key: str
    order: tuple[str, ...] = ()
    indent: int = 0
    offset: int = 2
    group_offset: int | None = 0
    quote: str = ""
    quote_keys: str = ""
    blank_between: bool = False
    braces: bool = False

    def lines(self, arn: str, username: str, groups: Sequence[str]) -> list[str]:
        """The lines of a new entry of a block list, without its dash and indentation."""
        result = []
        for key in self.order or (self.arn_key, "username", "groups"):
            if key != "groups":
                result.append(f"{key}: {scalar_text(arn if key == self.arn_key else username, self.quote)}")
            elif self.group_offset is None or not groups:
                result.append(f"groups: {flow_list(groups, self.quote)}")
            else:
                result.append("groups:")
                result += [f"{' ' * self.group_offset}- {scalar_text(group, self.quote)}" for group in groups]
        return result

    def flow(self, arn: str, username: str, groups: Sequence[str]) -> str:
        """A new entry in braces."""
        keys = {self.arn_key: arn, "username": username}
        quote = self.quote_keys or self.quote
        written = []
        for key in self.order or (self.arn_key, "username", "groups"):
            value = scalar_text(keys[key], quote, flow=True) if key in keys else flow_list(groups, quote)
            written.append(f"{self.quote_keys}{key}{self.quote_keys}: {value}")
        return "{" + ", ".join(written) + "}"

    def item_line(self, number: int, line: str) -> str:
        """A line of an item with its indentation; line number 0 has the dash."""
        return " " * self.indent + ("-".ljust(self.offset) if number == 0 else " " * self.offset) + line


def entry_style(text: str, tree: Node | None, arn_key: str) -> EntryStyle:
    """The style of the last usual entry of a list, or AWS's own for an empty one."""
    if tree is None or not tree.children:
        return EntryStyle(arn_key)
    last, indent = tree.children[-1], tree.column if tree.is_block else 0
    quote = _quote(last)
    if last.kind is not Kind.MAPPING:
        return EntryStyle(arn_key, indent=indent, quote=quote)
    keys = [key.value for key, _ in last.pairs if key.value in (arn_key, "username", "groups")]
    pair = field_of(last, arn_key, "")
    return EntryStyle(
        arn_key,
        order=tuple(keys) if len(keys) == 3 and len(set(keys)) == 3 else (),
        indent=indent,
        offset=last.column - indent if tree.is_block and last.is_block and last.column > indent + 1 else 2,
        group_offset=_group_offset(tree),
        quote=pair[1].style if pair and pair[1].style in ("'", '"') else "",
        braces=not last.is_block,
        quote_keys=next((key.style for key, _ in last.pairs if key.style in ("'", '"')), ""),
        blank_between=tree.is_block and len(tree.children) > 1 and blank_before(text, tree.children[-2], last),
    )


def _quote(node: Node) -> str:
    return node.style if node.kind is Kind.SCALAR and node.style in ("'", '"') else ""


def _group_offset(tree: Node) -> int | None:
    for item in reversed(tree.children):
        pair = field_of(item, "groups", "") if item.kind is Kind.MAPPING and item.is_block else None
        if pair and pair[1].kind is Kind.SEQUENCE and pair[1].children:
            return pair[1].column - pair[0].column if pair[1].is_block else None
    return 0


def field_of(entry: Node, name: str, where: str) -> tuple[Node, Node] | None:
    """Key and value of a field, its name in any case; refused where the entry has it twice (``where`` given)."""
    found = [(key, value) for key, value in entry.pairs if key.kind is Kind.SCALAR and key.value.lower() == name]
    if len(found) > 1 and where:
        raise YamlTextError(
            f"the entry has {name} twice", where=place(where, found[1][0].line), advice="keep one of the two"
        )
    return found[-1] if found else None


def edit_entry(text: str, item: Node, section: str, entry: AwsAuthEntry, username: str, groups: Sequence[str]) -> str:
    """``text`` with the entry's username and groups changed, line by line.

    :param entry: what the authenticator reads there.
    :raises YamlTextError: anchors, aliases, merge keys, tabs, or comments that would be lost.
    """
    _refuse_unsafe(text, item, section)
    edits: list[Edit] = []
    if username != entry.username:
        edits += _edit_username(text, item, section, username)
    if tuple(groups) != entry.groups:
        edits += _edit_groups(text, item, section, entry, groups)
    return splice(text, edits)


def _refuse_unsafe(text: str, item: Node, section: str) -> None:
    def refuse(what: str, node: Node, advice: str) -> None:
        raise YamlTextError(what, where=place(section, node.line), advice=advice)

    for node in item.walk():
        if node.kind is Kind.ALIAS or node.anchor:
            refuse("the entry uses an anchor or alias", node, "write its values out first")
    for key, _ in item.pairs:
        if key.value == "<<":
            refuse("the entry merges another one (<<)", key, "write its values out first")
    for line in yaml_lines(text[line_start(text, item.start) : item.end]):
        if "\t" in line[: len(line) - len(line.lstrip(" \t-"))]:
            refuse("a tab in the indentation of the entry", item, "use spaces")


def _edit_username(text: str, item: Node, section: str, username: str) -> Iterator[Edit]:
    pair = field_of(item, "username", section)
    if pair is None:
        yield _new_field(text, item, "username", scalar_text(username, flow=not item.is_block))
        return
    value = pair[1]
    if value.kind is not Kind.SCALAR:
        raise YamlTextError("the username is not text", where=place(section, value.line), advice="write it as text")
    yield _replace_scalar(text, item, value, scalar_text(username, value.style, flow=not item.is_block))


def _replace_scalar(text: str, item: Node, value: Node, written: str) -> Edit:
    if value.start == value.end:
        if not item.is_block:
            raise YamlTextError("a field without a value in braces", where=f"line {value.line}")
        return Edit(value.start, value.start, f" {written}")
    # A block scalar reaches over its last line break, which has to stay.
    end = value.start + len(text[value.start : value.end].rstrip("\r\n"))
    return Edit(value.start, end, written)


def _new_field(text: str, item: Node, key: str, value: str) -> Edit:
    """A field that the entry has not yet, behind its ARN."""
    pair = field_of(item, "rolearn", "") or field_of(item, "userarn", "")
    last = pair[1] if pair else item
    if item.is_block:
        at = last_line_end(text, last)
        return Edit(at, at, f"{' ' * item.column}{key}: {value}{line_break(text, at)}")
    quote = next((key.style for key, _ in item.pairs if key.style in ("'", '"')), "")
    return Edit(last.end, last.end, f", {quote}{key}{quote}: {value}")


def _edit_groups(text: str, item: Node, section: str, entry: AwsAuthEntry, groups: Sequence[str]) -> Iterator[Edit]:
    pair = field_of(item, "groups", section)
    if pair is None:
        quote = next((key.style for key, _ in item.pairs if key.style in ("'", '"')), "")
        yield _new_field(text, item, "groups", flow_list(groups, quote))
        return
    key, value = pair
    if value.kind is Kind.SCALAR:
        yield _replace_scalar(text, item, value, flow_list(groups, value.style))
    elif value.kind is Kind.SEQUENCE and value.is_block:
        if groups:
            yield from _edit_group_lines(text, value, entry.groups, groups)
        else:
            colon = text.index(":", key.end) + 1
            yield Edit(colon, colon, " []")
            for group in value.children:
                yield Edit(*_group_span(text, value, group), "")
    elif value.kind is Kind.SEQUENCE:
        yield _rewrite_flow_groups(text, section, value, entry.groups, groups)
    else:
        raise YamlTextError(
            "groups is not a list", where=place(section, value.line), advice="write - before each group"
        )


def _rewrite_flow_groups(text: str, section: str, value: Node, old: Sequence[str], groups: Sequence[str]) -> Edit:
    written = text[value.start : value.end]
    if "#" in written and "\n" in written:
        raise YamlTextError(
            "a comment inside the brackets of groups would be lost",
            where=place(section, value.line),
            advice="write one group a line, each with a dash",
        )
    kept = {name: text[node.start : node.end] for name, node in zip(old, value.children, strict=True) if name}
    style = next((node.style for node in value.children if node.style in ("'", '"')), "")
    return Edit(value.start, value.end, flow_list(groups, style, kept, " " if written[1:2] == " " else ""))


def _edit_group_lines(text: str, value: Node, old: Sequence[str], groups: Sequence[str]) -> Iterator[Edit]:
    style = next((node.style for node in value.children if node.style in ("'", '"')), "")
    spans = [_group_span(text, value, node) for node in value.children]
    for what, start, end, new_start, new_end in SequenceMatcher(None, old, groups, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        paired = min(end - start, new_end - new_start)
        for node, group in zip(value.children[start : start + paired], groups[new_start:], strict=False):
            yield _replace_scalar(text, value, node, scalar_text(group, node.style))
        for span in spans[start + paired : end]:
            yield Edit(*span, "")
        at = spans[start + paired][0] if start + paired < len(spans) else spans[-1][1]
        for group in groups[new_start + paired : new_end]:
            dash = f"{' ' * value.column}- {scalar_text(group, style)}"
            yield Edit(at, at, dash + line_break(text, at))


def _group_span(text: str, value: Node, group: Node) -> tuple[int, int]:
    at = value.children.index(group)
    floor = value.children[at - 1].end if at else value.start
    return line_start(text, dash_before(text, group, value.column, floor)), last_line_end(text, group)
