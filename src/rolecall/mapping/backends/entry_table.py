"""Which entry speaks for an identity: exact ARNs, permission sets, and what is matched only where it was asked for.

Roles come before users, and the last of two entries for one ARN wins (aws-iam-authenticator v0.7 ``pkg/mapper/file``).
Where the original leaves it to chance which of several kinds of entries wins (it walks a Go map), here it is an exact
ARN, then a permission set, then a pattern; of two patterns the one further down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from rolecall.arn import Arn, PrincipalArn, PrincipalKind, canonicalize
from rolecall.errors import InvalidArnError
from rolecall.iam.matching import Matcher, arn_matcher
from rolecall.mapping.reading.aws_auth import Problem
from rolecall.mapping.reading.entries import ACCOUNTS, ROLES, USERS, MappedEntry
from rolecall.mapping.reading.sso import Key, permission_set_of

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class MatchOptions:
    """What an entry may match besides its exact ARN.

    :param sso: ``sso`` mappings (feature gate ``SSORoleMatch`` of the original).
    :param role_paths: a role's ARN may have its path, which STS never sends: the path is left out. The names of roles
        are unique in an account whatever their paths, so this never means two roles.
    :param wildcards: ``*`` and ``?`` in the role's name.
    """

    sso: bool = True
    role_paths: bool = False
    wildcards: bool = False


@dataclass(frozen=True, slots=True)
class EntryTable:
    """Entries ready to be looked up.

    :param roles: by lower-case ARN; ``users`` the same.
    :param patterns: matchers of lower-case ARNs, the last entry first.
    """

    roles: dict[str, MappedEntry] = field(default_factory=dict)
    users: dict[str, MappedEntry] = field(default_factory=dict)
    permission_sets: dict[Key, MappedEntry] = field(default_factory=dict)
    patterns: tuple[tuple[Matcher, MappedEntry], ...] = ()
    accounts: frozenset[str] = frozenset()

    def find(self, canonical_arn: str, account: str) -> MappedEntry | None:
        """The entry for a canonical ARN, or the account's, with the ARN as username and no groups."""
        arn = canonical_arn.lower()
        return (
            self.roles.get(arn) or self._by_permission_set(arn) or self._by_pattern(arn) or self.users.get(arn)
        ) or self._by_account(canonical_arn, account)

    def _by_permission_set(self, arn: str) -> MappedEntry | None:
        if not self.permission_sets:
            return None
        key = permission_set_of(arn)
        return self.permission_sets.get(key) if key else None

    def _by_pattern(self, arn: str) -> MappedEntry | None:
        return next((entry for matches, entry in self.patterns if matches(arn)), None)

    def _by_account(self, canonical_arn: str, account: str) -> MappedEntry | None:
        if account not in self.accounts:
            return None
        return MappedEntry(ACCOUNTS, 0, canonical_arn, canonical_arn)


def build_table(
    entries: Iterable[MappedEntry], accounts: Iterable[str], options: MatchOptions, *, exact: bool = True
) -> tuple[EntryTable, tuple[Problem, ...], tuple[Problem, ...]]:
    """The table, what is wrong with the entries, and what is only doubtful (shadowed or inert entries).

    :param exact: whether entries count by their exact ARN; ``False`` where another reader already does that.
    """
    table = EntryTable()
    wrong: list[Problem] = []
    doubtful: list[Problem] = []
    patterns: list[tuple[Matcher, MappedEntry]] = []
    for entry in entries:
        try:
            _add(entry, table, patterns, options, exact, doubtful)
        except InvalidArnError as error:
            wrong.append(Problem(entry.section, entry.line, error.what))
    patterns.reverse()
    built = EntryTable(table.roles, table.users, table.permission_sets, tuple(patterns), frozenset(accounts))
    return built, tuple(wrong), tuple(doubtful)


def _add(
    entry: MappedEntry,
    table: EntryTable,
    patterns: list[tuple[Matcher, MappedEntry]],
    options: MatchOptions,
    exact: bool,
    doubtful: list[Problem],
) -> None:
    if entry.sso is not None:
        if options.sso:
            _put(table.permission_sets, entry.sso.key, entry, doubtful)
        else:
            doubtful.append(Problem(entry.section, entry.line, "never used: the feature gate SSORoleMatch is off"))
    elif entry.section == ROLES and ("*" in entry.arn or "?" in entry.arn):
        if options.wildcards:
            patterns.append((_pattern(entry.arn), entry))
        else:
            doubtful.append(Problem(entry.section, entry.line, "never used: wildcards in ARNs are not asked for"))
    elif entry.section == ROLES:
        for key in _role_keys(entry, options, exact, doubtful):
            _put(table.roles, key, entry, doubtful)
    elif exact and entry.section == USERS:
        _put(table.users, canonicalize(entry.arn).lower(), entry, doubtful)


def _role_keys(entry: MappedEntry, options: MatchOptions, exact: bool, doubtful: list[Problem]) -> Iterator[str]:
    canonical = canonicalize(entry.arn)
    if exact:
        yield canonical.lower()
    try:
        found = PrincipalArn.parse(canonical)
    except InvalidArnError:
        return
    if found.kind is PrincipalKind.ROLE and found.path != "/":
        if options.role_paths:
            yield f"arn:{found.partition}:iam::{found.account}:role/{found.name}".lower()
        else:
            doubtful.append(
                Problem(entry.section, entry.line, "never used: a role ARN with a path matches nobody, leave it out")
            )


def _put(into: dict[K, MappedEntry], key: K, entry: MappedEntry, doubtful: list[Problem]) -> None:
    shadowed = into.get(key)
    if shadowed is not None and shadowed is not entry:
        doubtful.append(
            Problem(shadowed.section, shadowed.line, f"never used: line {entry.line} maps the same identity")
        )
    into[key] = entry


def _pattern(text: str) -> Matcher:
    """The matcher of a role's ARN with wildcards in its resource only: nobody may bring an account of their own."""
    arn = Arn.parse(text)
    fixed = f"{arn.partition}:{arn.service}:{arn.region}:{arn.account}"
    # Raises where the partition, the service or the account is not one, so also where it is a wildcard.
    PrincipalArn.parse(f"arn:{fixed}:role/x")
    if not arn.resource.startswith("role/"):
        raise InvalidArnError(f"wildcards are allowed in a role's name only, not in {text!r}")
    return arn_matcher(text.lower())
