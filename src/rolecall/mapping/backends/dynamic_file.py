"""The DynamicFile backend: JSON with ``mapRoles``, ``mapUsers`` and ``mapAccounts``, by ARN or by the principal's id.

Source: aws-iam-authenticator v0.7 ``pkg/mapper/dynamicfile``: one entry without its key makes the whole file count for
nothing; with ``userIDStrict`` the id is the key and the ARN, where one is given, has to fit without its path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rolecall.mapping.backends.chain import DYNAMIC_FILE, Backend, Match, TableBackend, UserIdBackend, path_free
from rolecall.mapping.backends.entry_table import MatchOptions, build_table
from rolecall.mapping.reading.aws_auth import Problem
from rolecall.mapping.reading.bounded_yaml import Kind, Node, UnreadableYamlError, by_lower_key
from rolecall.mapping.reading.entries import ROLES, USERS, EntryReader
from rolecall.mapping.reading.json_text import read_json


@dataclass(frozen=True, slots=True)
class DynamicFile:
    """A file as read.

    :param backend: what it says; to be used only where ``problems`` is empty.
    :param updated: ``LastUpdatedDateTime``, in seconds since 1970, as its writer put it; empty where it is missing.
    """

    backend: Backend
    problems: tuple[Problem, ...]
    doubts: tuple[Problem, ...] = ()
    version: str = ""
    updated: str = ""


def parse_dynamic_file(text: str, *, user_id_strict: bool, options: MatchOptions, where: str = "") -> DynamicFile:
    """The mappings in a text; never fails, what is wrong is in ``problems``."""
    empty = UserIdBackend(DYNAMIC_FILE, {})
    try:
        node = read_json(text)
    except UnreadableYamlError as error:
        return DynamicFile(empty, (Problem("", error.line, error.what),))
    if node.kind is not Kind.MAPPING:
        return DynamicFile(empty, (Problem("", 1, "not an object with mapRoles, mapUsers and mapAccounts"),))
    fields = by_lower_key(node)
    reader = EntryReader()
    entries = [*reader.entries(fields.get("maproles"), ROLES), *reader.entries(fields.get("mapusers"), USERS)]
    accounts = frozenset(reader.accounts(fields.get("mapaccounts")))
    problems = list(reader.problems)
    for entry in entries:
        if user_id_strict and not entry.user_id:
            problems.append(Problem(entry.section, entry.line, "userid is missing (dynamicfileUserIDStrict is set)"))
        elif not user_id_strict and not (entry.arn or entry.sso):
            problems.append(Problem(entry.section, entry.line, "the entry has no ARN"))
    backend: Backend
    doubts: tuple[Problem, ...] = ()
    if user_id_strict:
        by_id: dict[str, tuple[str, Match]] = {}
        # Users first, so that a role of the same id wins, as the original looks it up first.
        for entry in sorted((one for one in entries if one.user_id), key=lambda one: one.section == ROLES):
            source = f"{where} {entry}".strip()
            by_id[entry.user_id] = (path_free(entry.arn), Match(entry.username, entry.groups, source))
        backend = UserIdBackend(DYNAMIC_FILE, by_id, accounts)
    else:
        with_arn = [replace(entry, user_id="") for entry in entries if entry.arn or entry.sso]
        table, wrong, doubts = build_table(with_arn, accounts, options)
        problems += wrong
        backend = TableBackend(DYNAMIC_FILE, table, where)
    return DynamicFile(
        backend,
        tuple(problems),
        (*reader.doubts, *doubts),
        _text(fields, "version"),
        _text(fields, "lastupdateddatetime"),
    )


def _text(fields: dict[str, Node], key: str) -> str:
    node = fields.get(key)
    return node.value if node is not None else ""
