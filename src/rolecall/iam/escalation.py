"""Which statements of a principal's policies let it become another principal, or raise its own permissions.

A role with ``view`` on a cluster and the right to create access entries there is an administrator of the cluster one
call later; what it may do today does not show that. So the policies are held against the table of such actions
(:mod:`rolecall.iam.escalation_table`): each statement that allows one on some resource of the account is a finding,
unless a Deny takes all of it away or the permissions boundary allows none of it. Becoming a role by ``sts:AssumeRole``
is not among them: that is what :mod:`rolecall.iam.graph` is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rolecall.arn import Arn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.escalation_table import POWERS, About, Power
from rolecall.iam.matching import resource_matcher, resources_overlap
from rolecall.iam.needs import is_free
from rolecall.iam.policy_model import PolicyDocument, Statement
from rolecall.iam.principals import Principal
from rolecall.iam.request import request_context
from rolecall.iam.statements import action_fits
from rolecall.iam.understood import PolicySet
from rolecall.iam.variables import has_variables, protect, substitute, variable_keys

_CLUSTER = (About.CLUSTER, About.ACCESS_ENTRY)
_Context = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Escalation:
    """One action that one statement allows, and by which its owner becomes somebody else or raises itself.

    :param policy: whose policy: ``inline policy X of role Y``, ``policy ARN of role Y``.
    :param statement: ``statement 'Sid'`` or ``statement 0``.
    :param action: as AWS writes it, such as ``iam:PutRolePolicy``; the statement may have a wildcard.
    :param gives: what it gives, as the end of a sentence that begins with "can".
    :param resources: the statement's patterns that concern it; of a NotResource ``everything except PATTERN, ...``.
    :param clusters: ARNs of the clusters that it is about; empty for an action that is not about clusters.
    :param conditional: whether the statement has conditions, so that it does not always allow it.
    :param certain: false if the statement was not understood in full, so that it only may allow it; then ``why``.
    """

    policy: str
    statement: str
    action: str
    gives: str
    resources: tuple[str, ...]
    clusters: tuple[str, ...] = ()
    conditional: bool = False
    certain: bool = True
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; what does not apply is left out."""
        found: dict[str, Any] = {
            "policy": self.policy,
            "statement": self.statement,
            "action": self.action,
            "gives": self.gives,
            "resources": list(self.resources),
            "clusters": list(self.clusters),
            "conditional": self.conditional,
            "certain": self.certain,
        }
        return found | ({"why": self.why} if self.why else {})


def escalations(policies: PolicySet, principal: Principal, clusters: Iterable[str]) -> tuple[Escalation, ...]:
    """The findings about one principal, in the order of its policies and of the table.

    :param policies: of the principal (:meth:`rolecall.iam.account.Account.policies`).
    :param principal: whose they are (:meth:`rolecall.iam.account.Account.principal`), in whose account they act.
    :param clusters: ARNs of the clusters that matter; those of other accounts cannot be meant, and are left aside.
    """
    scope = _Scope(policies, principal, clusters)
    return tuple(
        finding for policy in policies.identity for power in POWERS for finding in scope.findings(policy, power)
    )


def by_statement(found: Iterable[Escalation]) -> dict[tuple[str, str], tuple[Escalation, ...]]:
    """The findings by policy and statement: ``*`` on ``*`` is one statement with the whole table."""
    grouped: dict[tuple[str, str], list[Escalation]] = {}
    for one in found:
        grouped.setdefault((one.policy, one.statement), []).append(one)
    return {key: tuple(ones) for key, ones in grouped.items()}


class _Scope:
    """What an action can be about in one account, for one principal."""

    def __init__(self, policies: PolicySet, principal: Principal, clusters: Iterable[str]) -> None:
        self._policies, self._principal = policies, principal
        self._partition = principal.arn.split(":", 2)[1]
        # No condition is evaluated, so the moment does not matter.
        self._context = request_context(principal, now=datetime(2000, 1, 1, tzinfo=UTC))
        self._clusters = tuple(_clusters(clusters, principal.account))

    def findings(self, policy: PolicyDocument, power: Power) -> Iterator[Escalation]:
        """What one policy gives of one power, statement by statement."""
        action = power.action.lower()
        unclear = [(one.statement, one.where or "the whole document", one.why) for one in policy.unclear]
        certain = [(statement, str(statement), "") for statement in policy.statements]
        for statement, where, why in (*certain, *unclear):
            if not (statement.allows and action_fits(statement, action)):
                continue
            resources: dict[str, None] = {}
            clusters: dict[str, None] = {}
            for target, cluster in self._targets(power.about):
                found = [text for text, pattern in self._reached(statement, policy, target)
                         if not (self._is_itself(pattern) and not power.on_itself)
                         and not self._taken_away(action, target, pattern)]  # fmt: skip
                resources |= dict.fromkeys(found)
                clusters |= dict.fromkeys([cluster] if found and cluster else [])
            if resources:
                yield Escalation(
                    policy.name or policy.kind.value, where, power.action, power.gives,
                    tuple(resources), tuple(clusters), bool(statement.conditions), not why, why,
                )  # fmt: skip

    def _targets(self, about: About) -> Iterator[tuple[str, str]]:
        """Patterns of what an action is about, each with the cluster's ARN if it is about one."""
        if about is About.ANYTHING:
            yield "*", ""
        elif about not in _CLUSTER:
            yield f"arn:{self._partition}:iam::{self._principal.account}:{about.value}", ""
        else:
            for arn in self._clusters:
                cluster = Arn.parse(arn)
                name = cluster.resource.removeprefix("cluster/")
                yield f"{arn.removesuffix(cluster.resource)}{about.value.replace('NAME', name)}", arn

    def _reached(self, statement: Statement, policy: PolicyDocument, target: str) -> Iterator[tuple[str, str]]:
        """The parts of a statement that cover some of a target: as written, and as a pattern without variables."""
        excepted = statement.not_resources
        if excepted and not any(_covers(self._wide(text, policy), target) for text in excepted):
            yield f"everything except {', '.join(excepted)}", target
        for text in statement.resources:
            pattern = self._wide(text, policy)
            if pattern is not None and resources_overlap(pattern, target):
                yield text, pattern

    def _is_itself(self, pattern: str) -> bool:
        """Whether a pattern can mean no other user than the principal itself."""
        user = self._principal
        return user.kind is PrincipalKind.USER and pattern.rpartition("/")[2] == protect(user.name)

    def _wide(self, text: str, policy: PolicyDocument) -> str | None:
        """A pattern with its variables replaced, by ``*`` if the caller can choose; ``None``: it matches nothing."""
        if not (policy.has_variables and has_variables(text)):
            return text
        free = {key.lower(): ("\0",) for key in variable_keys(text) if is_free(key.lower(), self._principal.kind)}
        found = substitute(text, {**self._context, **free})
        return None if found is None else found.replace("\0", "*")

    def _taken_away(self, action: str, target: str, pattern: str) -> bool:
        """Whether a Deny without conditions covers all of a target or pattern, or a limit allows none of it."""
        boundary = self._policies.boundary
        limits = (*(((boundary,),) if boundary else ()), *self._policies.scps)
        own = (*self._policies.identity, *(policy for limit in limits for policy in limit))
        denied = any(
            not (statement.allows or statement.conditions)
            and action_fits(statement, action)
            and self._denies(statement, policy, target, pattern)
            for policy in own
            for statement in policy.statements
        )
        return denied or not all(self._some_allow(limit, action, target, pattern) for limit in limits)

    def _denies(self, statement: Statement, policy: PolicyDocument, target: str, pattern: str) -> bool:
        excepted = (self._wide(text, policy) for text in statement.not_resources)
        if statement.not_resources:
            return not any(
                one is not None and resources_overlap(one, target) and resources_overlap(one, pattern)
                for one in excepted
            )
        fixed = [text for text in statement.resources if not (policy.has_variables and has_variables(text))]
        return any(_covers(text, target) or _covers(text, pattern) for text in fixed)

    def _some_allow(self, limit: Iterable[PolicyDocument], action: str, target: str, pattern: str) -> bool:
        return any(
            resources_overlap(allowed, pattern)
            for policy in limit
            for statement in (*policy.statements, *(one.statement for one in policy.unclear))
            if statement.allows and action_fits(statement, action)
            for _, allowed in self._reached(statement, policy, target)
        )


def _covers(pattern: str | None, target: str) -> bool:
    """Whether a pattern matches all that a target does: a ``*`` of the target is met by a ``*`` alone."""
    return pattern is not None and resource_matcher(pattern)(target)


def _clusters(arns: Iterable[str], account: str) -> Iterator[str]:
    for arn in arns:
        try:
            found = Arn.parse(arn)
        except InvalidArnError:
            continue
        if found.service == "eks" and found.account == account:
            yield arn
