"""Add and remove ``sso`` entries in the text of aws-auth's ``mapRoles``; every other byte stays.

Entries with an ARN are :mod:`rolecall.mapping.editing.aws_auth_text`'s; the proof that nothing else changed is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rolecall.mapping.editing.entry_text import EntryStyle, entry_style
from rolecall.mapping.editing.list_edits import append_item, item_spans, refuse_shared_anchors
from rolecall.mapping.editing.sections import AwsAuthEditError, checked, fields, read_section
from rolecall.mapping.editing.yaml_text import Edit, flow_list, scalar_text, splice
from rolecall.mapping.reading.entries import ROLES
from rolecall.mapping.reading.sso import SsoRole


def add_sso_entry(data: Mapping[str, str], sso: SsoRole, username: str, groups: Sequence[str]) -> dict[str, str]:
    """Map a permission set at the end of ``mapRoles``.

    :raises YamlTextError: it is mapped already, or the list cannot be changed without a risk to what surrounds it.
    """
    read = read_section(data, ROLES)
    if any(entry.sso is not None and entry.sso.key == sso.key for entry in read.entries):
        raise AwsAuthEditError(f"{sso} is mapped already", where=ROLES, advice="remove it first")
    members = {"permissionSetName": sso.permission_set, "accountID": sso.account}
    if sso.partition != "aws":
        members["partition"] = sso.partition
    style = entry_style(read.text, read.tree, "rolearn")
    flow = _in_braces(members, username, groups, style.quote_keys)
    lines = [flow] if style.braces else _lines(members, username, groups, style)
    result = append_item(read.text, read.tree, style, lines, flow)
    after = [*(fields(entry) for entry in read.entries), ("", username, tuple(groups), sso)]
    return checked(data, ROLES, result, after)


def remove_sso_entry(data: Mapping[str, str], sso: SsoRole) -> dict[str, str]:
    """Remove every entry of a permission set; the same data if there is none."""
    read = read_section(data, ROLES)
    gone = [number for number, one in enumerate(read.entries) if one.sso is not None and one.sso.key == sso.key]
    if not gone or read.tree is None:
        return dict(data)
    items = [read.items[number] for number in gone]
    refuse_shared_anchors(ROLES, read.tree, items)
    result = splice(read.text, [Edit(start, end, "") for start, end in item_spans(read.text, read.tree, items)])
    return checked(data, ROLES, result, [fields(one) for number, one in enumerate(read.entries) if number not in gone])


def _lines(members: Mapping[str, str], username: str, groups: Sequence[str], style: EntryStyle) -> list[str]:
    # The account's digits and the name are quoted whatever the neighbours do: no reader may take them for a number.
    lines = ["sso:", *(f"  {name}: {_quoted(value)}" for name, value in members.items())]
    lines += [f"username: {scalar_text(username, style.quote)}", "groups:" if groups else "groups: []"]
    return lines + [f"{' ' * (style.group_offset or 0)}- {scalar_text(group, style.quote)}" for group in groups]


def _in_braces(members: Mapping[str, str], username: str, groups: Sequence[str], mark: str) -> str:
    inner = ", ".join(f"{mark}{name}{mark}: {_quoted(value, mark)}" for name, value in members.items())
    name = scalar_text(username, mark, flow=True)
    return (
        f"{{{mark}sso{mark}: {{{inner}}}, {mark}username{mark}: {name}, {mark}groups{mark}: {flow_list(groups, mark)}}}"
    )


def _quoted(text: str, mark: str = "") -> str:
    return scalar_text(text, mark or "'", flow=True)
