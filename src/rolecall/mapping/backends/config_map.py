"""The EKSConfigMap backend: aws-auth with its permission sets, and whether a new version may replace the last.

The authenticator takes what it can of a broken map, so one slip of a hand locks out everybody whose entry it touched.
:attr:`ConfigMapReading.broken` says which lines are such slips, so that the last good map can be kept instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from rolecall.mapping.backends.chain import AwsAuthBackend
from rolecall.mapping.backends.entry_table import MatchOptions, build_table
from rolecall.mapping.reading.aws_auth import Problem, parse_aws_auth
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, compose
from rolecall.mapping.reading.entries import ACCOUNTS, ROLES, USERS, EntryReader, MappedEntry


@dataclass(frozen=True, slots=True)
class ConfigMapReading:
    """aws-auth as read.

    :param backend: what the authenticator would make of it, broken or not.
    :param broken: lines that cannot mean what they say; empty for a map that is fit to be used.
    :param doubts: lines that match nobody.
    """

    backend: AwsAuthBackend
    broken: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()


def read_config_map(data: Mapping[str, str], options: MatchOptions) -> ConfigMapReading:
    """The mappings in the ConfigMap's ``data``; never fails."""
    broken: list[Problem] = []
    readable: dict[str, str] = {}
    reader = EntryReader()
    entries: list[MappedEntry] = []
    for section in (ROLES, USERS, ACCOUNTS):
        text = data.get(section, "")
        node = None
        # Texts that stand for nothing; source: the original's configmap.go, isSkippable.
        if text.strip() not in ("", "``", '""'):
            try:
                node = compose(text)
            except UnreadableYamlError as error:
                broken.append(Problem(section, error.line, error.what))
                continue
        readable[section] = text
        if section == ACCOUNTS:
            _check_accounts(node, broken)
        else:
            entries += reader.entries(node, section)
    table, wrong, doubts = build_table(entries, (), options, exact=False)
    aws_auth = parse_aws_auth(readable)
    broken += reader.problems
    known = {(problem.section, problem.line) for problem in (*broken, *doubts, *wrong)}
    # An sso entry has no ARN, which is all that aws-auth itself can say about it.
    known |= {(entry.section, entry.line) for entry in entries if entry.sso}
    known |= {(entry.section, entry.line) for entry in (*table.roles.values(), *(one for _, one in table.patterns))}
    more = [problem for problem in aws_auth.problems if (problem.section, problem.line) not in known]
    return ConfigMapReading(AwsAuthBackend(aws_auth, table), tuple(broken), (*doubts, *wrong, *more))


def _check_accounts(node: yaml.Node | None, broken: list[Problem]) -> None:
    if node is not None and not isinstance(node, yaml.SequenceNode):
        broken.append(Problem(ACCOUNTS, node.start_mark.line + 1, "not a list"))
