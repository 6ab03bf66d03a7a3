"""What a change of aws-auth must not do unless it is asked for by name: lock out, make administrators, map nobody.

Pure functions over the texts before and after; commands and plans ask them, people override one by its name. Source of
the need: aws/containers-roadmap issues 185 and 1209 (one bad edit, and nobody can get back in, nodes included).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rolecall.arn import Arn
from rolecall.mapping.editing.lint import Severity, lint
from rolecall.mapping.reading.aws_auth import AwsAuth, AwsAuthEntry, parse_aws_auth

MASTERS = "system:masters"
_NO_ARNS: Collection[str] = ()


class Guard(StrEnum):
    """The names by which a refusal is overridden."""

    LOCKOUT_CALLER = "lockout-caller"
    LOCKOUT_NODES = "lockout-nodes"
    LOCKOUT_LAST_ADMIN = "lockout-last-admin"
    SYSTEM_MASTERS = "system-masters"
    NEVER_MATCHES = "never-matches"
    OTHERS_CHANGES = "others-changes"  # of going back: it would undo what somebody else changed too


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason not to make a change: the sentence a person reads, and the name that overrides it."""

    guard: Guard
    text: str


@dataclass(frozen=True, slots=True)
class Administrators:
    """Who may do everything in a cluster, besides the group system:masters.

    :param groups: groups bound to the ClusterRole cluster-admin in the whole cluster; ``users`` likewise.
    :param elsewhere: whether somebody gets in as an administrator without aws-auth: by an access entry, or as the
        cluster's creator.
    """

    groups: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    elsewhere: bool = False

    def include(self, entry: AwsAuthEntry | None) -> bool:
        """Whether an entry makes its principal an administrator."""
        if entry is None:
            return False
        return MASTERS in entry.groups or bool(self.groups & {*entry.groups}) or entry.username in self.users


_MASTERS_ALONE = Administrators()


def refusals(
    old: Mapping[str, str],
    new: Mapping[str, str],
    *,
    caller: str = "",
    administrators: Administrators = _MASTERS_ALONE,
    by_entry: Collection[str] = _NO_ARNS,
) -> tuple[Refusal, ...]:
    """Why a change from ``old`` to ``new`` (the ConfigMap's ``data``) is not made without being asked for by name.

    :param caller: canonical ARN of whoever makes it; empty where aws-auth does not let them in.
    :param by_entry: canonical ARNs, lower case, that an access entry maps: aws-auth does not count for them.
    """
    before, after = parse_aws_auth(old), parse_aws_auth(new)
    found = [
        *_caller(before, after, caller, administrators, by_entry),
        *_nodes(before, after, by_entry),
        *_last_admin(before, after, administrators, by_entry),
        *_masters(before, after),
        *_never_matches(old, new),
    ]
    return tuple(found)


def _caller(
    before: AwsAuth, after: AwsAuth, caller: str, administrators: Administrators, by_entry: Collection[str]
) -> Iterator[Refusal]:
    if not caller or caller.lower() in by_entry:
        return
    account = Arn.parse(caller).account
    old, new = before.find(caller, account), after.find(caller, account)
    if old is not None and new is None:
        text = f"you would lock yourself out: {old} lets in {caller}, and after this change nothing does"
        yield Refusal(Guard.LOCKOUT_CALLER, text)
    elif administrators.include(old) and not administrators.include(new):
        text = f"you would no longer be an administrator: {old} makes {caller} one, and after this change nothing does"
        yield Refusal(Guard.LOCKOUT_CALLER, text)


def _is_node(entry: AwsAuthEntry | None) -> bool:
    # Kubernetes documentation, "Using Node Authorization": both are needed.
    return entry is not None and "system:nodes" in entry.groups and entry.username.startswith("system:node:")


def _nodes(before: AwsAuth, after: AwsAuth, by_entry: Collection[str]) -> Iterator[Refusal]:
    for arn, entry in before.roles.items():
        if _is_node(entry) and not _is_node(after.roles.get(arn)) and arn not in by_entry:
            text = (
                f"nodes would be locked out: {entry} lets in those of {entry.arn}, and after this change nothing does"
            )
            yield Refusal(Guard.LOCKOUT_NODES, text)


def _last_admin(
    before: AwsAuth, after: AwsAuth, administrators: Administrators, by_entry: Collection[str]
) -> Iterator[Refusal]:
    def admins(found: AwsAuth) -> list[AwsAuthEntry]:
        entries = {**found.users, **found.roles}
        return [entry for arn, entry in entries.items() if arn not in by_entry and administrators.include(entry)]

    old = admins(before)
    if old and not admins(after) and not administrators.elsewhere:
        arns = ", ".join(entry.arn for entry in old[:3])
        text = f"nobody would be an administrator any more: now it is {arns}, and after this change it is no one"
        yield Refusal(Guard.LOCKOUT_LAST_ADMIN, text)


def _masters(before: AwsAuth, after: AwsAuth) -> Iterator[Refusal]:
    for old, new in ((before.roles, after.roles), (before.users, after.users)):
        for arn, entry in new.items():
            had = old.get(arn)
            if MASTERS in entry.groups and not (had and MASTERS in had.groups):
                text = f"{entry.arn} would be in {MASTERS}, which no rule of the cluster can limit"
                yield Refusal(Guard.SYSTEM_MASTERS, text)


def _never_matches(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Refusal]:
    """Errors that the change brings in; those that were there before are no reason to refuse it."""
    known = Counter((f.code, f.section, f.arn) for f in lint(old) if f.severity is Severity.ERROR)
    for finding in lint(new):
        key = (finding.code, finding.section, finding.arn)
        if finding.severity is not Severity.ERROR:
            continue
        if known[key] > 0:
            known[key] -= 1
            continue
        advice = f": {finding.advice}" if finding.advice else ""
        place = f"{finding.section} line {finding.line}"
        yield Refusal(Guard.NEVER_MATCHES, f"{place} would not do what it says: {finding.text}{advice}")
