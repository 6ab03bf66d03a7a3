"""Whether an entry of aws-auth lets anybody in, by the rules of ``lint`` and of the authenticator.

Guards count entries by this, never by their lines: an entry that looks like an administrator's and never matches is
nobody's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping
from enum import IntEnum

from rolecall.mapping.editing.lint import lint
from rolecall.mapping.reading.aws_auth import AwsAuth, AwsAuthEntry, parse_aws_auth

# Findings of lint about an entry that nobody gets in by, and about one that some authenticators read and others do not
# (EKS ignores keys with capital letters and sso; an undecided entry counts or not).
NOBODY = frozenset({"no-arn", "no-principal", "session-arn", "path", "no-username", "two-principals", "bad-sso"})
DOUBTFUL = frozenset({"capital-key", "sso", "undecided"})
# A node whose name is not what the kubelet says is no node, although it gets in.
NO_NODE = frozenset({"unknown-template", "half-a-node"})


class Reach(IntEnum):
    """Whether somebody gets in by an entry; the greater is the surer."""

    NOBODY = 0
    DOUBTFUL = 1
    SOMEBODY = 2


class Reachable:
    """A ConfigMap's ``data`` with what each of its entries is worth."""

    def __init__(self, data: Mapping[str, str]) -> None:
        self.aws_auth: AwsAuth = parse_aws_auth(data)
        self.findings = lint(data)
        starts: dict[str, list[int]] = {}
        for entry in self.aws_auth.entries:
            starts.setdefault(entry.section, []).append(entry.line)
        self._codes: dict[tuple[str, int], set[str]] = {}
        for finding in self.findings:
            lines = starts.get(finding.section, [])
            if finding.line and (at := bisect_right(lines, finding.line)):
                self._codes.setdefault((finding.section, lines[at - 1]), set()).add(finding.code)

    def codes(self, entry: AwsAuthEntry) -> Collection[str]:
        """What ``lint`` finds about an entry."""
        return self._codes.get((entry.section, entry.line), ())

    def reach(self, entry: AwsAuthEntry | None) -> Reach:
        """Whether somebody gets in by an entry that is in force."""
        if entry is None or entry.is_dropped or not entry.username:
            return Reach.NOBODY
        codes = self._codes.get((entry.section, entry.line), set())
        if codes & NOBODY:
            return Reach.NOBODY
        return Reach.DOUBTFUL if codes & DOUBTFUL else Reach.SOMEBODY

    def entries_for(self, key: str) -> tuple[AwsAuthEntry, ...]:
        """The entries that may count for an :func:`arn_key`: one, none, or those between which it is undecided."""
        role = self.aws_auth.roles.get(key)
        if role is not None:
            return (role,)
        user = self.aws_auth.users.get(key)
        return self.aws_auth.undecided.get(key) or ((user,) if user else ())

    def in_force(self) -> dict[str, tuple[AwsAuthEntry, ...]]:
        """The entries that count, by :func:`arn_key`, and those of permission sets."""
        found = {key: self.entries_for(key) for key in (*self.aws_auth.users, *self.aws_auth.roles)}
        for entry in self.aws_auth.entries:
            if entry.sso is not None and not entry.is_dropped:
                found["/".join(entry.sso.key)] = (entry,)
        return found
