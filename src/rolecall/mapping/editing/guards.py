"""What a change of aws-auth must not do unless its guard is overridden: lock out, make administrators, map nobody.

Pure functions over the texts before and after; commands and plans ask them, people override one with ``--allow``. An
entry counts if somebody gets in by it (:mod:`rolecall.mapping.editing.reach`). Source of the need:
aws/containers-roadmap issues 185 and 1209 (one bad edit, and nobody can get back in, nodes included), aws-cdk issue
6982 (the entry that was left could not match).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rolecall.arn import Arn
from rolecall.mapping.editing.lint import Finding, Severity
from rolecall.mapping.editing.reach import NO_NODE, Reach, Reachable
from rolecall.mapping.reading.aws_auth import AwsAuthEntry

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
Judge = Callable[[AwsAuthEntry | None], bool]


def refusals(
    old: Mapping[str, str],
    new: Mapping[str, str],
    *,
    caller: str = "",
    administrators: Administrators = _MASTERS_ALONE,
    by_entry: Collection[str] = _NO_ARNS,
    gone: Collection[str] = _NO_ARNS,
) -> tuple[Refusal, ...]:
    """Why a change from ``old`` to ``new`` (the ConfigMap's ``data``) is not made unless the guard is overridden.

    :param caller: canonical ARN of the person who makes it; empty if aws-auth does not let them in.
    :param by_entry: canonical ARNs, lower case, that an access entry maps: aws-auth does not count for them.
    :param gone: canonical ARNs, lower case, of principals that IAM does not have: nobody gets in by their entries.
    """
    before, after = Reachable(old), Reachable(new)
    found = [
        *_caller(before, after, caller, administrators, by_entry),
        *_nodes(before, after, by_entry),
        *_last_admin(before, after, administrators, {*by_entry, *gone}),
        *_masters(before, after),
        *_never_matches(before.findings, after.findings),
    ]
    return tuple(found)


def administrator_arns(
    data: Mapping[str, str], administrators: Administrators = _MASTERS_ALONE, by_entry: Collection[str] = _NO_ARNS
) -> tuple[str, ...]:
    """The ARNs of the entries by which somebody may get in as an administrator."""
    found = Reachable(data)
    return tuple(
        entries[0].arn
        for key, entries in found.in_force().items()
        if key not in by_entry and entries[0].arn and _best(found, entries, administrators.include)
    )


def _best(found: Reachable, entries: Collection[AwsAuthEntry], judge: Judge) -> Reach:
    """Whether somebody gets in as what ``judge`` asks for; of several possible entries all have to agree."""
    reaches = [found.reach(entry) if judge(entry) else Reach.NOBODY for entry in entries]
    if not reaches or not any(reaches):
        return Reach.NOBODY
    return min(reaches) or Reach.DOUBTFUL


def _caller(
    before: Reachable, after: Reachable, caller: str, administrators: Administrators, by_entry: Collection[str]
) -> Iterator[Refusal]:
    if not caller or caller.lower() in by_entry:
        return
    account = Arn.parse(caller).account
    old, new = (found.aws_auth.candidates(caller, account) for found in (before, after))
    source = f"{old[0]}" if old else ""
    if _best(after, new, _anybody) < _best(before, old, _anybody):
        text = f"this would lock you out: you get in as {caller} by {source}, and nothing else lets you in"
        yield Refusal(Guard.LOCKOUT_CALLER, text)
    elif _best(after, new, administrators.include) < _best(before, old, administrators.include):
        text = f"you would no longer be an administrator: {source} makes {caller} one, and nothing else does"
        yield Refusal(Guard.LOCKOUT_CALLER, text)


def _anybody(entry: AwsAuthEntry | None) -> bool:
    return entry is not None


def _nodes(before: Reachable, after: Reachable, by_entry: Collection[str]) -> Iterator[Refusal]:
    for key, entries in before.in_force().items():
        if key in by_entry:
            continue
        old = _best(before, entries, lambda entry: _is_node(before, entry))
        if _best(after, after.entries_for(key), lambda entry: _is_node(after, entry)) < old:
            entry = entries[0]
            text = f"nodes would be locked out: those of {entry.arn or entry.sso} get in by {entry}, and nothing else"
            yield Refusal(Guard.LOCKOUT_NODES, f"{text} lets them in")


def _is_node(found: Reachable, entry: AwsAuthEntry | None) -> bool:
    # Kubernetes documentation, "Using Node Authorization": both are needed.
    if entry is None or "system:nodes" not in entry.groups or not entry.username.startswith("system:node:"):
        return False
    return not NO_NODE & set(found.codes(entry))


def _last_admin(
    before: Reachable, after: Reachable, administrators: Administrators, aside: Collection[str]
) -> Iterator[Refusal]:
    if administrators.elsewhere:
        return

    def admins(found: Reachable) -> dict[str, Reach]:
        return {
            entries[0].arn or str(entries[0].sso): reach
            for key, entries in found.in_force().items()
            if key not in aside and (reach := _best(found, entries, administrators.include))
        }

    old, new = admins(before), admins(after)
    if max(new.values(), default=Reach.NOBODY) < max(old.values(), default=Reach.NOBODY):
        arns = ", ".join(sorted(old, key=lambda arn: -old[arn])[:3])
        text = f"no administrator would be left: the last one is {arns}"
        yield Refusal(Guard.LOCKOUT_LAST_ADMIN, text)


def _masters(before: Reachable, after: Reachable) -> Iterator[Refusal]:
    def masters(found: Reachable) -> dict[str, AwsAuthEntry]:
        return {key: entry for key, entries in found.in_force().items() for entry in entries if MASTERS in entry.groups}

    had = masters(before)
    for key, entry in masters(after).items():
        if key not in had:
            text = f"{entry.arn or entry.sso} would be in {MASTERS}, which no RBAC rule can limit"
            yield Refusal(Guard.SYSTEM_MASTERS, text)


def _never_matches(old: Collection[Finding], new: Collection[Finding]) -> Iterator[Refusal]:
    """Errors that the change brings in; those that were there before are no reason to refuse it."""
    known = Counter((f.code, f.section, f.arn) for f in old if f.severity is Severity.ERROR)
    for finding in new:
        key = (finding.code, finding.section, finding.arn)
        if finding.severity is not Severity.ERROR:
            continue
        if known[key] > 0:
            known[key] -= 1
            continue
        advice = f": {finding.advice}" if finding.advice else ""
        place = f"{finding.section} line {finding.line}"
        yield Refusal(Guard.NEVER_MATCHES, f"{place} has no effect as written: {finding.text}{advice}")
