"""The EKSConfigMap backend: aws-auth with its permission sets, and whether a new version may replace the last.

The authenticator takes what it can of a broken map, so one slip of a hand locks out everybody whose entry it touched.
:attr:`ConfigMapReading.broken` says which lines are such slips, so that the last good map can be kept instead. Either
way nobody gets in whom the authenticator keeps out: the entries are its own reading of the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rolecall.mapping.backends.chain import AwsAuthBackend
from rolecall.mapping.backends.entry_table import MatchOptions, build_table
from rolecall.mapping.reading.aws_auth import SLIPS, AwsAuthEntry, Problem, parse_aws_auth
from rolecall.mapping.reading.entries import MappedEntry


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
    aws_auth = parse_aws_auth(data)
    entries = [_mapped(entry) for entry in aws_auth.entries if not entry.is_dropped]
    table, wrong, doubts = build_table(entries, (), options, exact=False)
    broken = tuple(problem for problem in aws_auth.problems if problem.code in SLIPS)
    known = {(problem.section, problem.line) for problem in (*doubts, *wrong)}
    # An entry that counts by its path or pattern does what it says.
    known |= {(entry.section, entry.line) for entry in (*table.roles.values(), *(one for _, one in table.patterns))}
    more = [
        problem
        for problem in aws_auth.problems
        if problem.code not in SLIPS and (problem.section, problem.line) not in known
    ]
    return ConfigMapReading(AwsAuthBackend(aws_auth, table), broken, (*doubts, *wrong, *more))


def _mapped(entry: AwsAuthEntry) -> MappedEntry:
    return MappedEntry(entry.section, entry.line, entry.arn, entry.username, entry.groups, entry.sso)
