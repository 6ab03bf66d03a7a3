"""Principals that get less than administration and whose own policies let them take more.

Anyone who may create access entries and associate access policies is administrator of the cluster one call later (EKS
user guide, "Associate access policies with access entries"); anyone who may change a role's policies can give it
anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.access.principals import find_principal
from rolecall.arn import PrincipalArn
from rolecall.iam.escalation import Escalation, escalations
from rolecall.plan.findings import Finding
from rolecall.plan.guards.case import Case, cluster_label, mapped_arn
from rolecall.plan.links import owner_key, principal_key
from rolecall.plan.resources import IAM_KINDS, ResourceId


@dataclass(frozen=True, slots=True)
class Raising:
    """What one policy lets a principal take that no cluster gives it.

    :param principal: its ARN.
    :param clusters: ARNs of the clusters that know it, and of which it is not administrator.
    :param found: the actions of one policy, in the order of the table.
    """

    principal: str
    clusters: tuple[str, ...]
    found: tuple[Escalation, ...]
    of: ResourceId | None

    @property
    def policy(self) -> str:
        return self.found[0].policy

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "principal": self.principal,
            "clusters": list(self.clusters),
            "policy": self.policy,
            "actions": [one.action for one in self.found],
            "certain": any(one.certain and not one.conditional for one in self.found),
        }


def raises_itself(case: Case) -> Iterator[Finding]:
    """A grant that is not administrator, to a principal that can make itself one."""
    for one in raisings(case):
        name = PrincipalArn.parse(one.principal).name
        clusters = [cluster_label(case, arn) for arn in one.clusters]
        yield case.finding(
            "raises-itself", (name, *clusters), sentence(one.to_json()), _ADVICE, of=one.of, refuses=False
        )


_ADVICE = "take these actions out of the policy, or grant what the principal can take anyway"


def sentence(found: Mapping[str, Any]) -> str:
    """One of :meth:`Raising.to_json` in words."""
    may = "lets it" if found["certain"] else "may let it"
    return (
        f"{found['principal']} can take more than it is granted: {found['policy']} {may} {', '.join(found['actions'])}"
    )


def raisings(case: Case) -> Iterator[Raising]:
    """Of each principal whose mapping, trust or policies change: the policies by which it raises itself."""
    for arn, of in _touched(case).items():
        who, account = (
            find_principal(case.after.accounts, arn),
            case.after.accounts.get(PrincipalArn.parse(arn).account),
        )
        users = {c: user for c in case.after.clusters if (user := case.access_after.mapped(c).get(arn)) is not None}
        below = tuple(cluster for cluster, user in users.items() if not user.admin)
        if who is None or account is None or not below:
            continue
        by_policy: dict[str, list[Escalation]] = {}
        for one in escalations(account.policies(who), account.principal(who), below):
            by_policy.setdefault(one.policy, []).append(one)
        for found in by_policy.values():
            yield Raising(arn, below, tuple(found), of)


def _touched(case: Case) -> dict[str, ResourceId | None]:
    """By ARN with its path, the mapped principals that a change is about, with the resource of the mapping."""
    keys: dict[str, ResourceId | None] = {principal_key(mapped_arn(c)): c.resource for c in case.mapping_changes()}
    for change in case.changes:
        if change.resource.kind in IAM_KINDS:
            keys.setdefault(owner_key(change.resource), None)
    found: dict[str, ResourceId | None] = {}
    for cluster in case.after.clusters if keys else ():
        for arn in case.access_after.mapped(cluster):
            if (key := principal_key(arn)) in keys:
                found.setdefault(arn, keys[key])
    return found
