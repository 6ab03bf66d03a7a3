"""Entries of ``mapRoles``, ``mapUsers`` and ``mapAccounts`` as a file holds them, read strictly and with their lines.

aws-auth itself is read by :mod:`rolecall.mapping.reading.aws_auth`, with every leniency of the authenticator. What is
read here either is an entry or is a problem with a line, so that a broken file can be told from a good one before it
counts. Sources: aws-iam-authenticator v0.7 ``pkg/config/types.go`` (``RoleMapping``, ``UserMapping``) and
``pkg/config/mapper.go`` (``Validate``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from rolecall.mapping.reading.aws_auth import Problem
from rolecall.mapping.reading.bounded_yaml import STRING, by_lower_key, is_null, line_of
from rolecall.mapping.reading.sso import SsoRole, SsoRoleError, read_sso

ROLES, USERS, ACCOUNTS = "mapRoles", "mapUsers", "mapAccounts"
MAX_ENTRIES = 20_000
MAX_GROUPS = 200_000
_ARN_KEY = {ROLES: "rolearn", USERS: "userarn"}
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class MappedEntry:
    """One entry of ``mapRoles`` or ``mapUsers``.

    :param line: counted from 1 in the file or, for aws-auth, in the section's text.
    :param arn: empty where ``sso`` or ``user_id`` says who is meant.
    :param user_id: ``userid`` of a DynamicFile: the principal's unique id.
    """

    section: str
    line: int
    arn: str
    username: str
    groups: tuple[str, ...] = ()
    sso: SsoRole | None = None
    user_id: str = ""

    def __str__(self) -> str:
        return f"{self.section} line {self.line}"


class EntryReader:
    """Reads sections and collects what is wrong with them.

    :param loose: take a text for a list of one (``groups: a,b``) and a number for a text, as the configuration file of
        the original is decoded (viper, with mapstructure's weak types); JSON and aws-auth are strict.
    """

    def __init__(self, *, loose: bool = False) -> None:
        self.problems: list[Problem] = []
        self._loose = loose
        self._groups = 0

    def entries(self, node: yaml.Node | None, section: str) -> Iterator[MappedEntry]:
        """The entries of ``mapRoles`` or ``mapUsers``."""
        for item in self._items(node, section):
            fields = by_lower_key(item)
            if not isinstance(item, yaml.MappingNode):
                self._problem(section, item, "the entry is not a mapping")
                continue
            before = len(self.problems)
            entry = MappedEntry(
                section,
                line_of(item),
                self._text(fields.get(_ARN_KEY[section]), section, _ARN_KEY[section]),
                self._text(fields.get("username"), section, "username"),
                tuple(self._group_list(fields.get("groups"), section)),
                self._sso(fields.get("sso"), section) if section == ROLES else None,
                self._text(fields.get("userid"), section, "userid"),
            )
            if len(self.problems) > before:
                continue
            if not (entry.arn or entry.sso or entry.user_id):
                wanted = "rolearn or sso" if section == ROLES else "userarn"
                self._problem(section, item, f"the entry has no {wanted}, so it is for nobody")
            elif entry.arn and entry.sso:
                self._problem(section, item, "the entry has both rolearn and sso: only one of them can be meant")
            else:
                yield entry

    def accounts(self, node: yaml.Node | None) -> Iterator[str]:
        """The account ids of ``mapAccounts``."""
        for item in self._items(node, ACCOUNTS):
            if isinstance(item, yaml.ScalarNode) and _ACCOUNT.fullmatch(item.value):
                yield item.value
            elif not (self._loose and is_null(item)):
                self._problem(ACCOUNTS, item, "not an account id of 12 digits: quote it")

    def _items(self, node: yaml.Node | None, section: str) -> Iterator[yaml.Node]:
        if node is None or is_null(node):
            return
        if not isinstance(node, yaml.SequenceNode):
            self._problem(section, node, "not a list")
            return
        if len(node.value) > MAX_ENTRIES:
            self._problem(section, node, f"more than {MAX_ENTRIES} entries")
            return
        yield from node.value

    def _text(self, node: yaml.Node | None, section: str, key: str) -> str:
        if node is None or is_null(node):
            return ""
        if isinstance(node, yaml.ScalarNode) and (self._loose or node.tag == STRING):
            return str(node.value)
        self._problem(section, node, f"{key} is not a text: quote it")
        return ""

    def _group_list(self, node: yaml.Node | None, section: str) -> Iterator[str]:
        if node is None or is_null(node):
            return
        if self._loose and isinstance(node, yaml.ScalarNode):
            yield from node.value.split(",")
            return
        if not isinstance(node, yaml.SequenceNode):
            self._problem(section, node, "groups is not a list: write a dash in front")
            return
        self._groups += len(node.value)
        if self._groups > MAX_GROUPS:
            self._problem(section, node, f"more than {MAX_GROUPS} groups")
            return
        for item in node.value:
            if is_null(item):
                self._problem(section, item, "a group is empty")
            else:
                yield self._text(item, section, "a group")

    def _sso(self, node: yaml.Node | None, section: str) -> SsoRole | None:
        if node is None or is_null(node):
            return None
        try:
            return read_sso(node)
        except SsoRoleError as error:
            self._problem(section, node, error.what)
            return None

    def _problem(self, section: str, node: yaml.Node, text: str) -> None:
        self.problems.append(Problem(section, line_of(node), text))
