"""All guards, in the order in which they speak."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rolecall.plan.findings import Finding
from rolecall.plan.guards import cluster_names, lockout, mapping, raising, trust
from rolecall.plan.guards.case import Case

Guard = Callable[[Case], Iterator[Finding]]

GUARDS: Mapping[str, Guard] = {
    "lockout-caller": lockout.caller_loses_access,
    "lockout-last-admin": lockout.last_administrator,
    "lockout-nodes": lockout.node_role_loses_access,
    "wide-trust": trust.wide_trust,
    "raw-trust-policy": trust.raw_trust_policy,
    "trust-through-role": trust.trust_through_role,
    "cannot-assume": trust.cannot_assume,
    "date-over": trust.date_over,
    "break-glass-without-mfa": trust.break_glass_without_mfa,
    "break-glass-session": trust.break_glass_session,
    "policy-length": trust.policy_length,
    "role-path": trust.role_path,
    "role-in-use": trust.role_in_use,
    "raises-itself": raising.raises_itself,
    "system-masters": mapping.system_masters,
    "mapping-not-read": mapping.mapping_not_read,
    "no-such-principal": mapping.no_such_principal,
    "unresolved-name": mapping.unresolved_name,
    "shadowed-mapping": mapping.shadowed_mapping,
    "no-such-role": cluster_names.no_such_role,
    "no-such-namespace": cluster_names.no_such_namespace,
    "group-without-binding": mapping.group_without_binding,
    "eks-rejects": mapping.eks_rejects,
    "entry-of-gone-principal": mapping.entry_of_a_gone_principal,
    "binding-of-others": mapping.binding_of_others,
    "never-matches": mapping.never_matches,
    "aws-auth-problem": mapping.aws_auth_problem,
    "not-read": mapping.not_read,
}
CODES = tuple(GUARDS)


def examine(case: Case) -> tuple[Finding, ...]:
    """What every guard finds; refusals first."""
    found = [finding for guard in GUARDS.values() for finding in guard(case)]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: not one.refuses))
