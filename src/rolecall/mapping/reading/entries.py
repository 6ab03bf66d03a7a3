"""Entries of ``mapRoles``, ``mapUsers`` and ``mapAccounts`` as a file holds them, with their lines.

aws-auth itself is read by :mod:`rolecall.mapping.reading.aws_auth`, with every leniency of the authenticator. What is
read here either is an entry or is a problem with a line, so that a broken file can be told from a good one before it
counts. Sources: aws-iam-authenticator v0.7 ``pkg/config/types.go`` (``RoleMapping``, ``UserMapping``),
``pkg/config/mapper.go`` (``Validate``) and, for the configuration file, how viper v1.21 and mapstructure v2.5 convert
weakly typed values (``decodeString``, ``decodeSlice``, ``StringToSliceHookFunc``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from rolecall.mapping.reading.aws_auth import Problem
from rolecall.mapping.reading.bounded_yaml import Kind, Node, by_lower_key, is_null
from rolecall.mapping.reading.go_scalars import GoYaml, Timestamp, Value, scalar_value
from rolecall.mapping.reading.sso import SsoRole, SsoRoleError, parse_sso

ROLES, USERS, ACCOUNTS = "mapRoles", "mapUsers", "mapAccounts"
MAX_ENTRIES = 20_000
MAX_GROUPS = 200_000
_ARN_KEY = {ROLES: "rolearn", USERS: "userarn"}
_SSO_KEYS = ("permissionSetName", "accountID", "partition")
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

    :param loose: convert values as the configuration file of the original is decoded: one entry for a list of one,
        ``groups: a,b`` for a list of two, a number for a text. JSON is strict.
    :ivar problems: what makes a file unfit for use; ``doubts`` is what has no effect.
    """

    def __init__(self, *, loose: bool = False) -> None:
        self.problems: list[Problem] = []
        self.doubts: list[Problem] = []
        self._loose = loose
        self._rules = GoYaml.V3 if loose else GoYaml.V2
        self._groups = 0

    def entries(self, node: Node | None, section: str) -> Iterator[MappedEntry]:
        """The entries of ``mapRoles`` or ``mapUsers``."""
        for item in self._items(node, section):
            if item.kind is not Kind.MAPPING:
                self._problem(section, item, "the entry is not a mapping")
                continue
            fields = by_lower_key(item, self._rules)
            before = len(self.problems)
            entry = MappedEntry(
                section,
                item.line,
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

    def accounts(self, node: Node | None) -> Iterator[str]:
        """The account ids of ``mapAccounts``."""
        for item in self._items(node, ACCOUNTS):
            # Only a text in place of the whole list is split.
            texts = self._split(item) if item is node else []
            for account in texts or [self._text(item, ACCOUNTS, "an account id")]:
                if _ACCOUNT.fullmatch(account):
                    yield account
                elif account:
                    what = f"never used: {account[:40]!r} is not an account id of 12 digits; put it in quotes"
                    self.doubts.append(Problem(ACCOUNTS, item.line, what))

    def _items(self, node: Node | None, section: str) -> list[Node]:
        if node is None or is_null(node):
            return []
        if node.kind is not Kind.SEQUENCE:
            if not self._loose:
                self._problem(section, node, "not a list")
                return []
            # One value stands for a list of one, and an empty text or mapping for an empty list.
            is_empty = not node.children if node.kind is Kind.MAPPING else self._value(node) == ""
            return [] if is_empty else [node]
        if len(node.children) > MAX_ENTRIES:
            self._problem(section, node, f"more than {MAX_ENTRIES} entries")
            return []
        return node.children

    def _value(self, node: Node) -> Value:
        return scalar_value(node, self._rules, strict=False)

    def _split(self, node: Node) -> list[str]:
        """The parts of a text that stands for a list."""
        value = self._value(node) if self._loose and node.kind is Kind.SCALAR else None
        return value.split(",") if isinstance(value, str) and not isinstance(value, Timestamp) else []

    def _text(self, node: Node | None, section: str, key: str) -> str:
        if node is None or is_null(node):
            return ""
        value = self._value(node) if node.kind is Kind.SCALAR else None
        if isinstance(value, str) and not (self._loose and isinstance(value, Timestamp)):
            return value
        if self._loose and isinstance(value, (bool, int, float)):
            return ("1" if value else "0") if isinstance(value, bool) else number_text(value)
        self._problem(section, node, f"{key} is not a text: quote it")
        return ""

    def _group_list(self, node: Node | None, section: str) -> Iterator[str]:
        if node is None or is_null(node):
            return
        items = [node]
        if node.kind is Kind.SEQUENCE:
            items = node.children
        elif not self._loose:
            self._problem(section, node, "groups is not a list: write a dash in front")
            return
        elif node.kind is Kind.MAPPING:
            items = [node] if node.children else []
        else:
            groups = self._split(node)
            if groups:
                yield from (group for group in groups if groups != [""])
                return
        self._groups += len(items)
        if self._groups > MAX_GROUPS:
            self._problem(section, node, f"more than {MAX_GROUPS} groups")
            return
        for item in items:
            # The original keeps the place of a null, with an empty text.
            yield self._text(item, section, "a group")

    def _sso(self, node: Node | None, section: str) -> SsoRole | None:
        if node is None or is_null(node):
            return None
        if node.kind is not Kind.MAPPING:
            self._problem(section, node, "sso is not a mapping")
            return None
        fields = by_lower_key(node, self._rules)
        before = len(self.problems)
        texts = {name: self._text(fields.get(name.lower()), section, f"sso.{name}") for name in _SSO_KEYS}
        if len(self.problems) > before:
            return None
        try:
            return parse_sso(texts)
        except SsoRoleError as error:
            self._problem(section, node, error.what)
            return None

    def _problem(self, section: str, node: Node, text: str) -> None:
        self.problems.append(Problem(section, node.line, text))


def number_text(value: int | float) -> str:
    """A number as Go writes it without an exponent."""
    if isinstance(value, int):
        return str(value)
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    return format(Decimal(repr(value)), "f").removesuffix(".0")
